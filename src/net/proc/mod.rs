//! Linux: what /proc tells of the network, read in one place.
//!
//! | part | what it reads |
//! | --- | --- |
//! | [`tables`] | the texts of /proc/net that have rows: groups, filters, sockets |
//! | [`process`] | /proc/PID/fd: who has a socket open |
//! | here | the files themselves, and single settings |

#[cfg(target_os = "linux")]
pub mod process;
pub mod tables;

#[cfg(target_os = "linux")]
use std::{fs, str::FromStr};

/// A file of /proc/net, of the calling thread: it may live in another network namespace than its process.
#[cfg(target_os = "linux")]
pub fn table(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/thread-self/net/{name}")).ok()
}

/// A setting below /proc/sys/net, which follows the calling thread by itself: `ipv4/conf/all/rp_filter`.
#[cfg(target_os = "linux")]
pub fn setting<T: FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
}
