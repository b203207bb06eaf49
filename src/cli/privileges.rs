//! Who holds the privileges, and when they are given up: see [`crate::net::privilege`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::cli::CliError;
use crate::net::privilege::{self, Capability};

/// Whether they are to be given up when the first sockets are open.
static TO_BE_DROPPED: AtomicBool = AtomicBool::new(false);

/// The privileges of this run, held by a thread of their own.
pub(super) struct Held {
    keeper: Option<JoinHandle<()>>,
}

/// Takes the privileges from this thread, and so from all that are started later, and gives those that
/// are of use to a keeper. To be called before any other thread is started.
pub(super) fn hold(drop_when_open: bool) -> Result<Held, CliError> {
    let failed = |e: std::io::Error| CliError::could_not(format!("cannot drop privileges: {e}"));
    let keeper = match privilege::start() {
        None => None,
        Some(keeper) => {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let serve = move || {
                keeper.run(|| {
                    let _ = ready.send(());
                })
            };
            let thread =
                std::thread::Builder::new().name("privileges".into()).spawn(serve).map_err(failed)?;
            let _ = is_ready.recv();
            Some(thread)
        }
    };
    privilege::drop_own(drop_when_open).map_err(failed)?;
    TO_BE_DROPPED.store(drop_when_open, Ordering::Release);
    Ok(Held { keeper })
}

impl Held {
    /// The end: nobody needs them any more.
    pub fn release(self) {
        privilege::give_up();
        if let Some(thread) = self.keeper {
            let _ = thread.join();
        }
    }
}

/// Whether [`sockets_open`] has something to do.
pub(super) fn to_be_dropped() -> bool {
    TO_BE_DROPPED.load(Ordering::Acquire)
}

/// The first sockets are open: gives the privileges up if that was asked for. What that means, in words.
pub(super) fn sockets_open() -> Option<String> {
    if !TO_BE_DROPPED.swap(false, Ordering::AcqRel) {
        return None;
    }
    let given_up = privilege::give_up();
    if given_up.is_empty() {
        return Some("there were no privileges to give up".to_owned());
    }
    let lost: Vec<&str> = [
        (Capability::NetRaw, "packet rings and taps"),
        (Capability::NetBindService, "ports below 1024"),
        (Capability::NetAdmin, "receive buffers beyond net.core.rmem_max"),
        (Capability::SysPtrace, "the names of other users' processes"),
    ]
    .iter()
    .filter(|(c, _)| given_up.contains(c))
    .map(|(_, what)| *what)
    .collect();
    Some(format!("privileges given up; no longer to be had: {}", lost.join(", ")))
}
