//! Host names: looked up on a thread of their own, because the system's resolver blocks.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use crate::engine::command::Update;
use crate::net::names;

/// Addresses that may wait for their turn; what comes on top is not looked up.
const WAITING: usize = 256;

/// The resolver thread.
pub(super) struct Names {
    ask: Sender<IpAddr>,
    _thread: JoinHandle<()>,
}

impl Names {
    /// Starts the thread. It ends when this handle is dropped, after the look-up under way; nobody
    /// waits for that, because a resolver may take many seconds to give up.
    pub fn spawn(updates: Sender<Update>) -> std::io::Result<Names> {
        let (ask, asked) = bounded::<IpAddr>(WAITING);
        let thread = std::thread::Builder::new().name("names".into()).spawn(move || {
            for ip in asked {
                let name = names::lookup(ip).map(Arc::from);
                if updates.send(Update::Name(ip, name)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Names { ask, _thread: thread })
    }

    /// Asks for a name.
    pub fn ask(&self, ip: IpAddr) {
        let _ = self.ask.try_send(ip);
    }
}
