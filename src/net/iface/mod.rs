//! The interfaces of this host: listing them, and noticing when they change.
//!
//! On Linux both by netlink, which is right in every network namespace; elsewhere through `netdev`.

mod details;
mod kind;
#[cfg(target_os = "linux")]
pub(super) mod rtnl;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(not(target_os = "linux"))]
#[path = "portable.rs"]
mod imp;

use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use imp::route_socket;

pub use details::{Bridge, BridgePort, Details, Stats};

use super::error::NetError;
use super::wake::Waker;
use crate::base::iface::Iface;

/// Every interface of this host (of its network namespace), by index.
///
/// # Errors
/// When the system does not answer.
pub fn list() -> Result<Vec<Iface>, NetError> {
    imp::list()
}

/// What the kernel says of every interface beyond what [`list`] has, by index; nothing where the system
/// is not asked.
///
/// # Errors
/// When the system does not answer.
pub fn details() -> Result<Vec<Details>, NetError> {
    imp::details()
}

/// What a wait for changes ended with; nothing of it after the timeout or a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Interfaces or addresses changed, or may have: list them anew.
    pub changed: bool,
    /// The waker is awake.
    pub woken: bool,
    /// Indexes of interfaces that were seen without carrier, or down, or deleted, since the last
    /// wait, in the order in which that was told. An interface that has its carrier again by now is
    /// among them: its groups must be joined anew, and the list alone would not show it.
    pub lost_carrier: Vec<u32>,
}

/// Notices changes of interfaces and of their addresses.
///
/// Open it before the interfaces are listed, so that no change falls between.
pub struct Watch {
    imp: imp::Watch,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn open() -> Result<Watch, NetError> {
        Ok(Watch { imp: imp::Watch::open()? })
    }

    /// Waits until something changed or the waker is awake, at most `timeout` (`None`: without end).
    /// Takes all that was told by then. Elsewhere than on Linux a change is noticed within two
    /// seconds.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, waker: &Waker, timeout: Option<Duration>) -> Result<Change, NetError> {
        self.imp.wait(waker, timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::iface::IfaceKind;

    #[test]
    fn the_loopback_is_listed_with_its_address() {
        let all = list().unwrap();
        let lo = all.iter().find(|i| i.kind == IfaceKind::Loopback).expect("a loopback interface");
        assert!(lo.index > 0 && lo.mac.is_none() && lo.master.is_none());
        if lo.up {
            assert!(lo.addrs.iter().any(|a| a.ip.is_loopback()), "{lo:?}");
        }
        assert!(all.is_sorted_by_key(|i| i.index));
    }

    #[test]
    fn a_watch_is_woken() {
        let waker = Waker::new().unwrap();
        waker.wake();
        let mut watch = Watch::open().unwrap();
        assert!(watch.wait(&waker, Some(Duration::from_secs(60))).unwrap().woken);
    }
}
