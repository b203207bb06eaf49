//! What a waiting thread is woken by.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::error::NetError;
use super::sys::{self, Want};

#[cfg(target_os = "linux")]
#[path = "eventfd.rs"]
mod imp;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "pipe.rs"]
mod imp;
#[cfg(windows)]
#[path = "loopback.rs"]
mod imp;

// The pipe is compiled and tested on Linux too.
#[cfg(all(test, target_os = "linux"))]
#[path = "pipe.rs"]
mod pipe;

/// Wakes a thread that waits on a socket, an interface watch or on the waker alone.
///
/// It stays awake until it is cleared: a wake before the wait is not lost, and every thread that
/// waits on it is woken. Clones are the same waker.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<imp::Event>,
}

impl Waker {
    /// A waker that sleeps.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> Result<Waker, NetError> {
        match imp::Event::new() {
            Ok(event) => Ok(Waker { event: Arc::new(event) }),
            Err(source) => Err(NetError::Open { what: "a wake-up descriptor", source }),
        }
    }

    /// Wakes whoever waits, now and until [`Waker::clear`].
    pub fn wake(&self) {
        self.event.set();
    }

    /// Lets the next wait sleep again.
    pub fn clear(&self) {
        self.event.clear();
    }

    /// Waits until it is awake, at most `timeout` (`None`: without end). Whether it is awake; a
    /// signal to the thread ends the wait early. It is not cleared.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, NetError> {
        self.poll(timeout).map_err(|source| NetError::Wait { object: "a wake-up".into(), source })
    }

    fn poll(&self, timeout: Option<Duration>) -> io::Result<bool> {
        sys::poll([(self.handle(), Want::Read)], timeout).map(|[awake]| awake)
    }

    pub(super) fn handle(&self) -> sys::Handle {
        self.event.handle()
    }
}

/// Which of the two that were waited on is ready; neither after the timeout or a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The socket has something to receive (or an error to tell).
    pub socket: bool,
    /// The waker is awake.
    pub woken: bool,
}

/// Waits for a socket to become readable or the waker awake.
pub(super) fn wait(
    socket: sys::Handle,
    waker: &Waker,
    timeout: Option<Duration>,
    object: impl FnOnce() -> String,
) -> Result<Ready, NetError> {
    match sys::poll([(socket, Want::Read), (waker.handle(), Want::Read)], timeout) {
        Ok([socket, woken]) => Ok(Ready { socket, woken }),
        Err(source) => Err(NetError::Wait { object: object(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_is_kept_until_it_is_cleared() {
        let waker = Waker::new().unwrap();
        assert!(!waker.wait(Some(Duration::ZERO)).unwrap());
        waker.wake();
        waker.clone().wake();
        assert!(waker.wait(None).unwrap());
        assert!(waker.clone().wait(None).unwrap(), "a clone is the same waker");
        waker.clear();
        assert!(!waker.wait(Some(Duration::ZERO)).unwrap());
        waker.clear();
    }

    #[test]
    fn another_thread_is_woken() {
        let waker = Waker::new().unwrap();
        let waiting = {
            let waker = waker.clone();
            std::thread::spawn(move || waker.wait(Some(Duration::from_secs(60))).unwrap())
        };
        waker.wake();
        assert!(waiting.join().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_pipe_wakes_as_the_eventfd_does() {
        let event = pipe::Event::new().unwrap();
        let awake = || sys::poll([(event.handle(), Want::Read)], Some(Duration::ZERO)).unwrap()[0];
        assert!(!awake());
        // More wakes than a pipe holds bytes: none blocks, none is lost.
        for _ in 0..100_000 {
            event.set();
        }
        assert!(awake());
        event.clear();
        assert!(!awake());
        event.set();
        assert!(awake());
    }
}
