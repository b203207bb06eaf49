//! What kind of host this is. Properties, not faults: they are notes, unless nothing of the group comes
//! and they are a usual cause of just that.

use super::{Case, Check, Judged, Subject, note, ok, one, unknown, untold, warn_if};
use crate::base::iface::IfaceKind;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "env.container", subject: Subject::Host, why: CONTAINER, judge: container },
    Check { id: "env.wsl2", subject: Subject::Host, why: WSL, judge: wsl },
    Check { id: "env.vm", subject: Subject::Host, why: VM, judge: machine },
    Check { id: "env.vpn", subject: Subject::Iface, why: VPN, judge: vpn },
    Check { id: "env.macos", subject: Subject::Host, why: MACOS, judge: macos },
    Check { id: "env.windows", subject: Subject::Host, why: WINDOWS, judge: windows },
    Check { id: "route.metric", subject: Subject::Host, why: METRIC, judge: metric },
];

const CONTAINER: &str = "a container's bridge network does not carry multicast from or to the outside; containers on one \
                         bridge hear each other";
const WSL: &str =
    "in its NAT mode WSL gets no multicast from the LAN; in mirrored mode the Hyper-V firewall must allow it";
const VM: &str =
    "hypervisors may filter multicast towards their guests, and clouds carry none between machines";
const VPN: &str = "tunnels rarely carry the multicast of a LAN";
const MACOS: &str =
    "since macOS 15 a program needs the user's consent for the local network, and until then nothing arrives";
const WINDOWS: &str =
    "the firewall's profile Public blocks what comes in, and virtual adapters may win the multicast route";
const METRIC: &str =
    "of several routes to 224.0.0.0/4 the lowest metric wins, which may be a virtual adapter's";

fn container(c: &Case<'_>) -> Vec<Judged> {
    let host = &c.facts.host;
    if !c.facts.supported {
        return one(untold("whether this is a container"));
    }
    let Some(sign) = &host.container else {
        return one(
            ok("this is no container").seen("neither /.dockerenv nor /run/.containerenv nor $container")
        );
    };
    // The host's own network, or a macvlan, has no veth to another namespace.
    let bridged = c.facts.ifaces.iter().any(|i| {
        i.iface.kind != IfaceKind::Loopback
            && i.details.as_ref().is_some_and(|d| d.peer_elsewhere && d.driver.as_deref() == Some("veth"))
    });
    one(if bridged {
        warn_if(
            c.comes_nowhere(),
            "this is a container behind a bridge, which groups of the LAN do not cross",
        )
        .seen(format!("{sign}; a veth whose peer is in another namespace (rtnetlink)"))
        .advise("start it with `--network host`, or with a macvlan or ipvlan network on the LAN's interface")
    } else {
        note("this is a container").seen(sign.clone())
    })
}

fn wsl(c: &Case<'_>) -> Vec<Judged> {
    if !c.facts.supported {
        return Vec::new();
    }
    one(if c.facts.host.wsl {
        warn_if(c.comes_nowhere(), "this is Windows Subsystem for Linux")
            .seen("/proc/sys/kernel/osrelease names microsoft")
            .advise("set networkingMode=mirrored in .wslconfig and allow it with New-NetFirewallHyperVRule, or run mcscope on Windows")
    } else {
        ok("this is not Windows Subsystem for Linux").seen("/proc/sys/kernel/osrelease")
    })
}

fn machine(c: &Case<'_>) -> Vec<Judged> {
    if !c.facts.supported {
        return one(untold("whether this is a virtual machine"));
    }
    one(match &c.facts.host.machine {
        Some(name) => note("this is a virtual machine: its hypervisor may filter multicast")
            .seen(name.clone())
            .advise("in the hypervisor, let the adapter receive multicast (libvirt: trustGuestRxFilters='yes'; VMware: promiscuous mode)"),
        None => ok("this is no virtual machine that says so").seen("/sys/class/dmi/id, /proc/cpuinfo"),
    })
}

fn vpn(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    one(if matches!(i.iface.kind, IfaceKind::Tunnel | IfaceKind::PointToPoint) {
        warn_if(c.comes_nowhere(), format!("{} is a {}", i.iface.name, i.iface.kind.word()))
            .seen("by its driver and hardware type (rtnetlink)")
            .advise("choose the interface that carries the LAN")
    } else {
        ok(format!("{} is no tunnel", i.iface.name)).seen(i.iface.kind.word())
    })
}

fn macos(_: &Case<'_>) -> Vec<Judged> {
    if !cfg!(target_os = "macos") {
        return Vec::new();
    }
    one(unknown("whether the local network may be used")
        .seen("the system does not say; sending answers \"no route to host\" where it may not")
        .advise("System Settings, Privacy & Security, Local Network: allow the terminal program"))
}

fn windows(_: &Case<'_>) -> Vec<Judged> {
    if !cfg!(windows) {
        return Vec::new();
    }
    one(unknown("whether the firewall lets multicast in")
        .seen("the firewall's rules are not read")
        .advise("New-NetFirewallRule -DisplayName mcscope -Direction Inbound -Protocol UDP -LocalPort PORT -Action Allow"))
}

fn metric(_: &Case<'_>) -> Vec<Judged> {
    if !cfg!(windows) {
        return Vec::new();
    }
    one(unknown("which interface wins the multicast route")
        .seen("the routes are not read")
        .advise("route print -4 224*; Set-NetIPInterface -InterfaceAlias NAME -InterfaceMetric 5"))
}
