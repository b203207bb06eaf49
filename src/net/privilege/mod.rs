//! Least privilege: what the process was given beyond an ordinary user's rights is held by one thread,
//! the keeper, and used there for single calls.
//!
//! Capabilities belong to threads (capabilities(7)). At the start the keeper's thread is made; it keeps
//! what [`KEPT`] names, permitted but not effective, and every other thread gives up all it has, so that
//! whatever is started later starts with nothing. A call that may need a capability is first tried
//! without; only when the system refuses, it is done by the keeper, which raises what the call needs and
//! lowers it again ([`with`]). Descriptors belong to the process: a socket that the keeper made or bound
//! is used by the others as their own.
//!
//! [`give_up`] ends that for good. Where nothing was given (an ordinary user, and every system but
//! Linux) there is no keeper, and calls are just made.
//!
//! | capability | raised around |
//! | --- | --- |
//! | CAP_NET_RAW | making packet and raw sockets, tying a socket to an interface before Linux 5.7 |
//! | CAP_NET_ADMIN | receive buffers beyond `net.core.rmem_max` |
//! | CAP_NET_BIND_SERVICE | binding to ports below `net.ipv4.ip_unprivileged_port_start` |
//! | CAP_DAC_READ_SEARCH | reading a file that the user named, where root could read it before |
//! | CAP_SYS_PTRACE (and the one before) | finding out which process has a socket open |

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use socket2::Socket;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as imp;
#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(not(target_os = "linux"))]
use absent as imp;

/// What the keeper can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Read any file, search any directory.
    DacReadSearch = 2,
    /// Ports below 1024.
    NetBindService = 10,
    /// Buffers beyond the limit.
    NetAdmin = 12,
    /// Packet and raw sockets.
    NetRaw = 13,
    /// See what other processes have open.
    SysPtrace = 19,
}

impl Capability {
    /// Its bit in a set (linux/capability.h).
    pub fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// What is kept of what the process was given; all else is dropped at the start.
pub const KEPT: [Capability; 5] = [
    Capability::DacReadSearch,
    Capability::NetBindService,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::SysPtrace,
];

/// A set of capabilities as the kernel has it.
pub(super) fn bits(of: &[Capability]) -> u64 {
    of.iter().fold(0, |set, c| set | c.bit())
}

/// A call for the keeper, with what it needs.
struct Order {
    needed: u64,
    call: Box<dyn FnOnce() + Send>,
}

/// How far it is.
enum State {
    /// Nothing was dropped: threads have what they have.
    Plain,
    /// The keeper holds this set.
    Kept(Sender<Order>, u64),
    /// All is given up.
    GivenUp,
}

static STATE: Mutex<State> = Mutex::new(State::Plain);

fn state() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(|e| e.into_inner())
}

/// The keeper, to be run on a thread of its own: see [`start`].
pub struct Keeper {
    orders: Receiver<Order>,
    kept: u64,
}

impl Keeper {
    /// Takes on what is kept, calls `ready`, and serves until [`give_up`]. The thread it runs on has to
    /// have been started before [`drop_own`].
    pub fn run(self, ready: impl FnOnce()) {
        let _ = imp::set(self.kept, 0);
        ready();
        while let Ok(Order { needed, call }) = self.orders.recv() {
            // Raising what is permitted, and lowering it, are never refused; if they were, the call says so.
            let _ = imp::set(self.kept, needed & self.kept);
            call();
            let _ = imp::set(self.kept, 0);
        }
        let _ = imp::set(0, 0);
    }
}

/// The keeper of what this process was given, to be run on a thread before any other is started;
/// `None` when nothing of it is to be kept.
pub fn start() -> Option<Keeper> {
    let kept = imp::permitted() & bits(&KEPT);
    if kept == 0 {
        return None;
    }
    let (tell, orders) = mpsc::channel();
    *state() = State::Kept(tell, kept);
    Some(Keeper { orders, kept })
}

/// Gives up all capabilities of the calling thread, and of all that it starts from now on. `for_good`:
/// programs that it runs do not get any back either, not even as root.
///
/// # Errors
/// When the system refuses.
pub fn drop_own(for_good: bool) -> io::Result<()> {
    imp::set(0, 0)?;
    if for_good { imp::no_new_privileges() } else { Ok(()) }
}

/// Does this with the capabilities raised, on the keeper's thread, and waits for it. Without a keeper it
/// is done as it is, and the system says what it thinks of it.
pub fn with<T: Send + 'static>(needed: &[Capability], call: impl FnOnce() -> T + Send + 'static) -> T {
    let needed = bits(needed);
    let keeper = match &*state() {
        State::Kept(keeper, kept) if kept & needed != 0 => keeper.clone(),
        _ => return call(),
    };
    let (tell, result) = mpsc::channel();
    // Whoever sends it has it again if there is nobody to take it.
    let order = Order { needed, call: Box::new(move || drop(tell.send(call()))) };
    match keeper.send(order) {
        Ok(()) => {}
        Err(mpsc::SendError(order)) => (order.call)(),
    }
    result.recv().expect("the keeper does every call that it takes")
}

/// Tries it; where the system does not permit it, the keeper tries it once more with the capabilities.
///
/// # Errors
/// Those of the call.
pub fn retry<T: Send + 'static>(
    needed: &[Capability],
    call: impl Fn() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match call() {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && can(needed) => with(needed, call),
        done => done,
    }
}

/// As [`retry`], of a call on a socket.
///
/// # Errors
/// Those of the call.
pub(super) fn on<T: Send + 'static>(
    socket: &Socket,
    needed: &[Capability],
    call: impl Fn(&Socket) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match call(socket) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && can(needed) => {
            let same = socket.try_clone()?;
            with(needed, move || call(&same))
        }
        done => done,
    }
}

/// Whether a keeper has any of these.
fn can(needed: &[Capability]) -> bool {
    matches!(&*state(), State::Kept(_, kept) if kept & bits(needed) != 0)
}

/// Reads a file that the user named, also where only a privileged user may.
///
/// # Errors
/// Those of [`std::fs::read`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    retry(&[Capability::DacReadSearch], move || std::fs::read(&path))
}

/// Ends the keeper: from now on nobody has anything to raise. Returns what was given up.
pub fn give_up() -> Vec<Capability> {
    match std::mem::replace(&mut *state(), State::GivenUp) {
        State::Kept(_, kept) => KEPT.into_iter().filter(|c| kept & c.bit() != 0).collect(),
        _ => Vec::new(),
    }
}

/// Whether [`give_up`] was called.
pub fn given_up() -> bool {
    matches!(*state(), State::GivenUp)
}

/// What can be raised: the keeper's set, or what this thread has in force when nothing was dropped.
pub fn at_hand() -> u64 {
    match &*state() {
        State::Plain => imp::effective(),
        State::Kept(_, kept) => *kept,
        State::GivenUp => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_keeper_calls_are_made_as_they_are_and_the_kept_sets_are_linuxs_numbers() {
        let here = std::thread::current().id();
        assert_eq!(with(&[Capability::NetRaw], || std::thread::current().id()), here);
        let denied = || Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(retry(&[Capability::NetRaw], denied).is_err());
        assert_eq!(retry(&[Capability::NetRaw], || Ok(7)).unwrap(), 7);
        assert_eq!(bits(&KEPT), 1 << 2 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 19);
    }
}
