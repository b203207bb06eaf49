//! Readings of what this host has joined, on a thread of their own: to look into the processes of a
//! busy host takes milliseconds.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::engine::command::Update;
use crate::net::joined::Reader;

/// The tables are read this often.
const EVERY: Duration = Duration::from_secs(2);

/// The thread that reads.
pub(super) struct Joins {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Joins {
    /// Starts the thread; it ends by itself where the system tells nothing.
    pub fn spawn(updates: Sender<Update>) -> std::io::Result<Joins> {
        let (stop, stopped) = bounded(1);
        let thread = std::thread::Builder::new().name("joins".into()).spawn(move || {
            let mut reader = Reader::default();
            while let Some(reading) = reader.read() {
                // A front end that does not keep up gets the next one.
                let _ = updates.try_send(Update::HostJoins(reading));
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Joins { stop, thread })
    }

    /// Ends it.
    pub fn join(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}
