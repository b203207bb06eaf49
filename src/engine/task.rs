//! A thread that does one thing until it is done or told to end: a send, a ping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::net::wake::Waker;

/// The supervisor's end of it.
pub(super) struct Task {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Task {
    /// Starts it. `run` is to end soon after its flag is set; the waker ends its waits.
    pub fn spawn(
        name: String,
        run: impl FnOnce(&Waker, &AtomicBool) + Send + 'static,
    ) -> std::io::Result<Task> {
        let waker = Waker::new().map_err(std::io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (w, s) = (waker.clone(), stop.clone());
        let thread = std::thread::Builder::new().name(name).spawn(move || run(&w, &s))?;
        Ok(Task { stop, waker, thread })
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits for its end.
    pub fn join(self) {
        self.stop();
        let _ = self.thread.join();
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        self.thread.is_finished()
    }
}
