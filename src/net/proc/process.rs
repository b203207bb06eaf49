//! Linux: which process has a socket open, by /proc/PID/fd. Without privilege only the processes of the
//! same user can be looked into.

use std::collections::{HashMap, HashSet};
use std::fs;

use crate::base::joined::Process;
use crate::base::text;
use crate::net::privilege::{self, Capability};

/// Processes looked into in one search, and descriptors in all.
const PROCESSES_MAX: usize = 8_192;
const DESCRIPTORS_MAX: usize = 262_144;
/// Characters kept of a name: the kernel has 15.
const NAME_MAX: usize = 40;

/// Sockets' owners, as far as they were found.
#[derive(Debug, Default)]
pub struct Processes {
    found: HashMap<u64, Process>,
    /// Sockets that were looked for in vain.
    unseen: HashSet<u64>,
    denied: bool,
}

impl Processes {
    /// Whether the last search could look into every process.
    pub fn sees_all(&self) -> bool {
        !self.denied
    }

    /// The process that has this socket open.
    pub fn of(&self, inode: u64) -> Option<Process> {
        self.found.get(&inode).cloned()
    }

    /// Looks for the owners of these sockets; what was looked for before is not looked for again.
    pub fn find(&mut self, inodes: &[u64]) {
        let wanted: HashSet<u64> = inodes.iter().copied().collect();
        self.found.retain(|inode, _| wanted.contains(inode));
        self.unseen.retain(|inode| wanted.contains(inode));
        let fresh = |inode: &u64| !self.found.contains_key(inode) && !self.unseen.contains(inode);
        let missing: HashSet<u64> = wanted.iter().copied().filter(fresh).collect();
        if missing.is_empty() {
            return;
        }
        let (Searched { found, denied }, missing) = owners(missing);
        self.denied = denied;
        self.found.extend(found);
        self.unseen.extend(missing);
    }
}

/// What a search brought to light.
#[derive(Debug, Default)]
pub struct Searched {
    /// The processes, by the sockets' inodes.
    pub found: HashMap<u64, Process>,
    /// Whether a process could not be looked into.
    pub denied: bool,
}

/// Looks for the processes that have these sockets open; gives back those that were not found, too.
pub fn owners(mut missing: HashSet<u64>) -> (Searched, HashSet<u64>) {
    // What other users' processes have open is hidden from whoever lacks CAP_SYS_PTRACE.
    let needed = [Capability::SysPtrace, Capability::DacReadSearch];
    privilege::with(&needed, move || (search(&mut missing), missing))
}

/// The sockets of this process.
pub fn own() -> HashSet<u64> {
    let Ok(list) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    list.flatten().filter_map(|d| inode(&d)).collect()
}

/// The inode of a socket, from where a descriptor's link points to.
fn inode(descriptor: &fs::DirEntry) -> Option<u64> {
    let target = fs::read_link(descriptor.path()).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Looks into every process for these sockets, and takes those found out of the list.
fn search(missing: &mut HashSet<u64>) -> Searched {
    let mut result = Searched::default();
    let Ok(all) = fs::read_dir("/proc") else { return result };
    let pids = all.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let mut left = DESCRIPTORS_MAX;
    for pid in pids.take(PROCESSES_MAX) {
        let descriptors = match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(d) => d,
            Err(e) => {
                // Gone meanwhile is not the same as not allowed.
                result.denied |= e.kind() == std::io::ErrorKind::PermissionDenied;
                continue;
            }
        };
        let mut process = None;
        for descriptor in descriptors.flatten() {
            if left == 0 || missing.is_empty() {
                return result;
            }
            left -= 1;
            if let Some(inode) = inode(&descriptor)
                && missing.remove(&inode)
            {
                let process = process.get_or_insert_with(|| named(pid));
                result.found.insert(inode, process.clone());
            }
        }
    }
    result
}

fn named(pid: u32) -> Process {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // Any program may call itself anything.
    Process { pid, name: text::visible(name.trim_end(), NAME_MAX).into() }
}
