//! What this host has joined, read from the kernel's tables; no privilege is needed, except to see the
//! processes of other users.
//!
//! | system | read from |
//! | --- | --- |
//! | Linux | /proc/net/igmp, igmp6, mcfilter, mcfilter6, dev_snmp6, udp, udp6; /proc/PID/fd |
//! | others | nothing: the tables need calls that are not made yet, and [`Reader::read`] says so |

#[cfg(target_os = "linux")]
mod linux;

use crate::base::joined::HostJoins;

/// Groups kept of one reading.
pub const GROUPS_MAX: usize = 16_384;

/// Reads the tables again and again, and remembers what need not be looked up twice.
#[derive(Debug, Default)]
pub struct Reader {
    #[cfg(target_os = "linux")]
    linux: linux::Tables,
}

impl Reader {
    /// What is joined now; `None` where the system does not tell. The tables are those of the calling
    /// thread's network namespace.
    pub fn read(&mut self) -> Option<HostJoins> {
        #[cfg(target_os = "linux")]
        {
            self.linux.read()
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}
