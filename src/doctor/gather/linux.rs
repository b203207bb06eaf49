//! Linux: /proc and rtnetlink.
//!
//! `/proc/thread-self/net` rather than `/proc/net`: a thread may live in another network namespace than
//! its process. `/proc/sys/net` follows the thread by itself. /sys does not, and is asked only for what
//! belongs to the machine.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::str::FromStr;
use std::sync::Arc;

use super::{Once, Snapshot};
use crate::base::iface::Iface;
use crate::base::text;
use crate::doctor::counters::{self, Counters};
use crate::doctor::facts::{Host, IfaceFacts, IfaceSettings, LinkLocal, Program, Settings, UdpSocket};
use crate::net::iface;
use crate::net::privilege::{self, Capability};

pub use super::rules::read as rules;

/// Programs looked through for a socket, and descriptors of each: a bound, not a limit that is met.
const PROGRAMS_MAX: usize = 32_768;
const DESCRIPTORS_MAX: usize = 65_536;

fn read(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/thread-self/net/{name}")).ok()
}

fn setting<T: FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}

fn of_scope(scope: &str) -> IfaceSettings {
    let one = |name: &str| setting(&format!("ipv4/conf/{scope}/{name}"));
    IfaceSettings {
        rp_filter: one("rp_filter"),
        accept_local: one("accept_local"),
        force_igmp: one("force_igmp_version"),
        mc_forwarding: one("mc_forwarding"),
    }
}

pub fn once() -> Once {
    let mut members = read("igmp").map(|text| counters::igmp(&text).0);
    if let Some(text) = read("igmp6") {
        members.get_or_insert_default().extend(counters::igmp6(&text));
    }
    Once { members, settings: settings(), host: host() }
}

fn settings() -> Settings {
    Settings {
        all: of_scope("all"),
        force_mld: setting("ipv6/conf/all/force_mld_version"),
        igmp_max_memberships: setting("ipv4/igmp_max_memberships"),
        igmp_max_msf: setting("ipv4/igmp_max_msf"),
        mld_max_msf: setting("ipv6/mld_max_msf"),
        igmp_link_local_reports: setting("ipv4/igmp_link_local_mcast_reports"),
        optmem_max: setting("core/optmem_max"),
        rmem_max: setting("core/rmem_max"),
        rmem_default: setting("core/rmem_default"),
        netdev_max_backlog: setting("core/netdev_max_backlog"),
        ipfrag_high_thresh: setting("ipv4/ipfrag_high_thresh"),
        ipfrag_time_s: setting("ipv4/ipfrag_time"),
        multicast_vifs: read("ip_mr_vif").map(|t| counters::multicast_vifs(&t)),
    }
}

fn host() -> Host {
    let osrelease = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().to_lowercase();
    let marker = ["/.dockerenv", "/run/.containerenv"].into_iter().find(|f| fs::exists(f).unwrap_or(false));
    let variable = std::env::var("container").ok().filter(|v| !v.is_empty());
    Host {
        container: marker
            .map(str::to_owned)
            .or_else(|| variable.map(|v| format!("container={}", text::visible(&v, 40)))),
        wsl: osrelease.contains("microsoft"),
        machine: machine(),
        default_route: read("route").map(|t| counters::has_default_route(&t)),
    }
}

/// The hypervisor or cloud that the firmware names.
fn machine() -> Option<String> {
    // /sys/class/dmi belongs to the machine, not to a network namespace.
    let dmi = |file: &str| fs::read_to_string(format!("/sys/class/dmi/id/{file}")).unwrap_or_default();
    let named = format!("{} {}", dmi("sys_vendor").trim(), dmi("product_name").trim());
    const VIRTUAL: [&str; 14] = [
        "QEMU",
        "KVM",
        "VMware",
        "VirtualBox",
        "innotek",
        "Xen",
        "Microsoft Corporation Virtual",
        "Amazon EC2",
        "Google Compute Engine",
        "OpenStack",
        "Bochs",
        "Parallels",
        "BHYVE",
        "DigitalOcean",
    ];
    if VIRTUAL.iter().any(|v| named.contains(v)) {
        return Some(text::visible(named.trim(), 80));
    }
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flagged =
        cpu.lines().any(|l| l.starts_with("flags") && l.split_whitespace().any(|w| w == "hypervisor"));
    flagged.then(|| "the processor's flag \"hypervisor\" is set".to_owned())
}

pub fn snapshot(ifaces: &[Iface]) -> Snapshot {
    let mut all = Counters::default();
    let snmp = read("snmp");
    all.read_pairs(snmp.as_deref().unwrap_or_default());
    all.read_pairs(&read("netstat").unwrap_or_default());
    all.read_lines(&read("snmp6").unwrap_or_default());
    let mld_queries: HashMap<Arc<str>, u64> = ifaces
        .iter()
        .filter(|i| !i.name.contains('/'))
        .filter_map(|i| {
            let mut one = Counters::default();
            one.read_lines(&read(&format!("dev_snmp6/{}", i.name))?);
            // The line is absent while it is 0.
            Some((i.name.clone(), one.get("Icmp6InType130").unwrap_or(0)))
        })
        .collect();
    let own = own_sockets();
    let sockets = read("udp").map(|text| {
        let mut list = counters::udp(&text);
        list.extend(counters::udp(&read("udp6").unwrap_or_default()));
        list.retain(|s| !own.contains(&s.inode));
        list
    });
    Snapshot {
        counters: snmp.map(|_| all),
        softnet: counters::softnet(&read("softnet_stat").unwrap_or_default()),
        sockets,
        details: iface::details().unwrap_or_default(),
        // At the end too: a query of an old version may come meanwhile.
        igmp_versions: read("igmp").map(|t| counters::igmp(&t).1).unwrap_or_default(),
        mld_queries,
    }
}

pub fn iface_facts(facts: IfaceFacts) -> IfaceFacts {
    let name = &facts.iface.name;
    if name.contains('/') {
        return facts;
    }
    let flags = read("if_inet6").map(|t| counters::link_locals(&t));
    // Flags of linux/if_addr.h.
    const DADFAILED: u32 = 0x08;
    const TENTATIVE: u32 = 0x40;
    let link_local = match flags {
        None => LinkLocal::Unknown,
        Some(all) => {
            let mine: Vec<u32> = all.into_iter().filter(|(n, _)| n == name).map(|(_, f)| f).collect();
            match mine[..] {
                [] => LinkLocal::Missing,
                _ if mine.iter().any(|f| f & (DADFAILED | TENTATIVE) == 0) => LinkLocal::Ready,
                _ if mine.iter().any(|f| f & DADFAILED != 0) => LinkLocal::Duplicate,
                _ => LinkLocal::Tentative,
            }
        }
    };
    IfaceFacts {
        v4: of_scope(name),
        ipv6_off: setting::<u32>(&format!("ipv6/conf/{name}/disable_ipv6")).map(|v| v != 0),
        force_mld: setting(&format!("ipv6/conf/{name}/force_mld_version")),
        link_local,
        ..facts
    }
}

/// The inode of a socket, from where a descriptor's link points to.
fn socket_inode(link: &fs::DirEntry) -> Option<u64> {
    let target = fs::read_link(link.path()).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn own_sockets() -> HashSet<u64> {
    let Ok(list) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    list.flatten().filter_map(|l| socket_inode(&l)).collect()
}

/// Finds who has the sockets on these ports. The descriptors of other users' programs are hidden from
/// whoever lacks CAP_SYS_PTRACE; those sockets keep no name.
pub fn name_programs(sockets: &mut [UdpSocket], ports: &[u16]) {
    let wanted = |s: &&mut UdpSocket| ports.contains(&s.local.port) || s.drops > 0;
    let inodes: HashSet<u64> = sockets.iter_mut().filter(wanted).map(|s| s.inode).collect();
    if inodes.is_empty() {
        return;
    }
    let needed = [Capability::SysPtrace, Capability::DacReadSearch];
    let mut found = privilege::with(&needed, move || programs(inodes));
    for s in sockets.iter_mut() {
        s.program = found.remove(&s.inode);
    }
}

/// The programs that have these sockets open, by inode.
fn programs(mut wanted: HashSet<u64>) -> HashMap<u64, Program> {
    let mut found = HashMap::new();
    let Ok(all) = fs::read_dir("/proc") else { return found };
    for program in all.flatten().take(PROGRAMS_MAX) {
        if wanted.is_empty() {
            break;
        }
        let Some(pid) = program.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(list) = fs::read_dir(program.path().join("fd")) else { continue };
        for link in list.flatten().take(DESCRIPTORS_MAX) {
            let Some(inode) = socket_inode(&link).filter(|inode| wanted.remove(inode)) else { continue };
            let name = fs::read_to_string(program.path().join("comm")).unwrap_or_default();
            found.insert(inode, Program { pid, name: text::visible(name.trim(), 40) });
        }
    }
    found
}
