//! Linux: the tables put together.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::GROUPS_MAX;
use crate::base::joined::{Holder, HostJoins, JoinedGroup, JoinedIface, JoinedSource};
use crate::base::registry::Registry;
use crate::net::proc::process::Processes;
use crate::net::proc::tables::{self, Bound, Filtered, Row};
use crate::net::proc::{setting, table};

/// What changes rarely or costs much (settings, sockets, processes) is read this often at most, unless
/// a group is new.
const SELDOM: Duration = Duration::from_secs(10);
/// Holders of one group that are kept.
const HOLDERS_MAX: usize = 16;
/// Sources of one group that are kept.
const SOURCES_MAX: usize = 64;

type Place = (u32, IpAddr);

/// What is remembered between readings.
#[derive(Debug, Default)]
pub struct Tables {
    processes: Processes,
    holders: HashMap<IpAddr, Vec<Holder>>,
    /// Versions set by hand for IGMP and MLD, by interface.
    forced: HashMap<String, (u8, u8)>,
    /// The groups for which holders were looked for.
    known: Vec<IpAddr>,
    seldom_at: Option<Instant>,
}

impl Tables {
    pub fn read(&mut self) -> Option<HostJoins> {
        let mut rows = tables::igmp(&table("igmp")?);
        // Without IPv6 in the kernel there is no such table.
        rows.extend(table("igmp6").map(|t| tables::igmp6(&t)).unwrap_or_default());
        let left_out = rows.len().saturating_sub(GROUPS_MAX);
        rows.truncate(GROUPS_MAX);
        let mut groups: Vec<IpAddr> = rows.iter().map(|r| r.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let due = self.seldom_at.is_none_or(|at| at.elapsed() >= SELDOM);
        if due || groups != self.known {
            self.seldom_at = Some(Instant::now());
            self.find_holders(&groups);
            self.read_forced(&rows);
            self.known = groups;
        }
        let mut filters = table("mcfilter").map(|t| tables::filters(&t)).unwrap_or_default();
        filters.extend(table("mcfilter6").map(|t| tables::filters(&t)).unwrap_or_default());
        let sees_all_processes = self.processes.sees_all();
        Some(HostJoins { ifaces: self.put_together(rows, &filters), left_out, sees_all_processes })
    }

    fn put_together(&self, rows: Vec<Row>, filters: &[Filtered]) -> Vec<JoinedIface> {
        let mut sources: HashMap<Place, Vec<JoinedSource>> = HashMap::new();
        for f in filters {
            let list = sources.entry((f.ifindex, f.group)).or_default();
            if list.len() < SOURCES_MAX {
                list.push(JoinedSource { ip: f.source, include: f.include, exclude: f.exclude });
            }
        }
        let mut ifaces: BTreeMap<u32, JoinedIface> = BTreeMap::new();
        for row in rows {
            let iface = ifaces.entry(row.ifindex).or_insert_with(|| {
                let (igmp_forced, mld_forced) = self.forced.get(&row.name).copied().unwrap_or((0, 0));
                let counters = table(&format!("dev_snmp6/{}", row.name));
                JoinedIface {
                    igmp_forced,
                    mld_forced,
                    mld_queries: counters.map(|t| tables::mld_queries(&t)),
                    ..JoinedIface::none(Arc::from(row.name.as_str()))
                }
            });
            iface.igmp_version = iface.igmp_version.or(row.version);
            iface.groups.push(JoinedGroup {
                group: row.group,
                users: row.users,
                timer_ns: row.timer_ns,
                last_reporter: row.last_reporter,
                sources: sources.remove(&(row.ifindex, row.group)).unwrap_or_default(),
                holders: self.holders.get(&row.group).cloned().unwrap_or_default(),
            });
        }
        ifaces.into_values().collect()
    }

    /// Which sockets may hold which group. The kernel lists what sockets are bound to, not what they
    /// joined.
    fn find_holders(&mut self, groups: &[IpAddr]) {
        let registry = Registry::builtin();
        // Ports that are a group's by the registry: a socket bound to the port alone may hold it.
        let mut ports: HashMap<u16, Vec<IpAddr>> = HashMap::new();
        for &group in groups {
            for (first, last, _) in registry.ports_of(group) {
                // A wide range says nothing about a port.
                if last - first < 16 {
                    (first..=last).for_each(|port| ports.entry(port).or_default().push(group));
                }
            }
        }
        let mut found: Vec<(IpAddr, Bound)> = Vec::new();
        let texts: Vec<String> = ["udp", "udp6"].iter().filter_map(|name| table(name)).collect();
        for bound in texts.iter().flat_map(|t| tables::sockets(t)) {
            if groups.binary_search(&bound.local.ip).is_ok() {
                found.push((bound.local.ip, bound));
            } else if bound.local.ip.is_unspecified() {
                let of_port = ports.get(&bound.local.port).into_iter().flatten();
                // An IPv6 wildcard may hold groups of both families.
                let fits = of_port.filter(|g| bound.local.ip.is_ipv6() || g.is_ipv4());
                found.extend(fits.map(|g| (*g, bound)));
            }
        }
        let inodes: Vec<u64> = found.iter().map(|(_, b)| b.inode).collect();
        self.processes.find(&inodes);
        self.holders.clear();
        for (group, bound) in found {
            let list = self.holders.entry(group).or_default();
            let holder = Holder {
                port: bound.local.port,
                by_address: bound.local.ip == group,
                uid: bound.uid,
                process: self.processes.of(bound.inode),
            };
            if list.len() < HOLDERS_MAX && !list.contains(&holder) {
                list.push(holder);
            }
        }
    }

    fn read_forced(&mut self, rows: &[Row]) {
        let setting = |family: &str, scope: &str, name: &str| -> u8 {
            setting(&format!("{family}/conf/{scope}/{name}")).unwrap_or(0)
        };
        // Either of the two counts.
        let of = |family: &str, name: &str, iface: &str| match setting(family, "all", name) {
            0 => setting(family, iface, name),
            all => all,
        };
        self.forced.clear();
        for row in rows {
            if !self.forced.contains_key(&row.name) {
                let igmp = of("ipv4", "force_igmp_version", &row.name);
                let mld = of("ipv6", "force_mld_version", &row.name);
                self.forced.insert(row.name.clone(), (igmp, mld));
            }
        }
    }
}
