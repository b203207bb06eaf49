//! Linux: /proc and rtnetlink.
//!
//! /sys does not follow the calling thread's network namespace, and is asked only for what belongs to the
//! machine.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use super::{Once, Snapshot};
use crate::base::iface::Iface;
use crate::base::text;
use crate::doctor::counters::{self, Counters};
use crate::doctor::facts::{Host, IfaceFacts, IfaceSettings, LinkLocal, Member, Settings, UdpSocket};
use crate::net::iface;
use crate::net::proc::{process, setting, table, tables};

pub use super::rules::read as rules;

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
    let rows = table("igmp").map(|text| tables::igmp(&text));
    let rows6 = table("igmp6").map(|text| tables::igmp6(&text));
    let member = |r: tables::Row| Member { iface: r.name.into(), group: r.group, users: r.users };
    let members = (rows.is_some() || rows6.is_some())
        .then(|| rows.into_iter().chain(rows6).flatten().map(member).collect());
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
        multicast_vifs: table("ip_mr_vif").map(|t| counters::multicast_vifs(&t)),
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
        default_route: table("route").map(|t| counters::has_default_route(&t)),
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
    let snmp = table("snmp");
    all.read_pairs(snmp.as_deref().unwrap_or_default());
    all.read_pairs(&table("netstat").unwrap_or_default());
    all.read_lines(&table("snmp6").unwrap_or_default());
    let mld_queries: HashMap<Arc<str>, u64> = ifaces
        .iter()
        .filter(|i| !i.name.contains('/'))
        .filter_map(|i| {
            Some((i.name.clone(), tables::mld_queries(&table(&format!("dev_snmp6/{}", i.name))?)))
        })
        .collect();
    let own = process::own();
    let sockets = table("udp").map(|text| {
        let text6 = table("udp6").unwrap_or_default();
        let all = tables::sockets(&text).chain(tables::sockets(&text6));
        all.filter(|s| !own.contains(&s.inode)).map(socket).collect()
    });
    Snapshot {
        counters: snmp.map(|_| all),
        softnet: counters::softnet(&table("softnet_stat").unwrap_or_default()),
        sockets,
        details: iface::details().unwrap_or_default(),
        // At the end too: a query of an old version may come meanwhile.
        igmp_versions: table("igmp").map(|t| versions(&t)).unwrap_or_default(),
        mld_queries,
    }
}

pub fn iface_facts(facts: IfaceFacts) -> IfaceFacts {
    let name = &facts.iface.name;
    if name.contains('/') {
        return facts;
    }
    let flags = table("if_inet6").map(|t| counters::link_locals(&t));
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

/// The IGMP version of each interface that has a group, as each has that is up.
fn versions(text: &str) -> Vec<(Arc<str>, u8)> {
    let mut all: Vec<(Arc<str>, u8)> =
        tables::igmp(text).into_iter().filter_map(|r| Some((r.name.into(), r.version?))).collect();
    all.dedup();
    all
}

/// `drops` is of all its time in both fields.
fn socket(s: tables::Bound) -> UdpSocket {
    let tables::Bound { local, connected, uid, inode, drops } = s;
    UdpSocket { local, uid, inode, drops, drops_ever: drops, connected, program: None }
}

/// Finds who has the sockets on these ports. The descriptors of other users' programs are hidden from
/// whoever lacks CAP_SYS_PTRACE; those sockets keep no name.
pub fn name_programs(sockets: &mut [UdpSocket], ports: &[u16]) {
    let wanted = |s: &&mut UdpSocket| ports.contains(&s.local.port) || s.drops > 0;
    let inodes: HashSet<u64> = sockets.iter_mut().filter(wanted).map(|s| s.inode).collect();
    if inodes.is_empty() {
        return;
    }
    let mut found = process::owners(inodes).0.found;
    for s in sockets.iter_mut() {
        s.program = found.remove(&s.inode);
    }
}
