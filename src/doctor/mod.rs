//! The doctor: why does a group not arrive, and what will keep it from arriving?
//!
//! Two halves that meet in [`facts::Facts`]:
//!
//! | part | what it does |
//! | --- | --- |
//! | [`gather`] | reads the host and measures for a few seconds; all the I/O |
//! | [`funnel`] | from the counters' increases and the look at the wire to the place where packets die |
//! | [`checks`] | a table of checks, each from facts to findings; pure |
//! | [`finding`] | the findings: plain data for the front ends |
//!
//! Nothing needs a privilege. What cannot be read without one becomes a finding of verdict `unknown` that
//! names it.

pub mod checks;
pub mod counters;
pub mod facts;
pub mod finding;
pub mod funnel;
pub mod gather;
pub mod picture;
pub mod ruleset;

use std::io;
use std::thread::JoinHandle;

pub use gather::{Known, Request};

use crate::net::NetError;
use crate::net::wake::Waker;
use facts::Facts;
use finding::Report;

/// Reads, measures and judges, in the calling thread: a report for each group, or, with no group, one of
/// the host. Takes the request's window and little more; it ends early when the waker is awake.
///
/// # Errors
/// When the interfaces cannot be listed.
pub fn examine(request: &Request, stop: &Waker) -> Result<Vec<Report>, NetError> {
    Ok(judge(&gather::gather(request, stop)?))
}

/// Judges facts. Pure.
pub fn judge(facts: &Facts) -> Vec<Report> {
    if facts.targets.is_empty() {
        return vec![checks::of_host(facts)];
    }
    facts.targets.iter().map(|t| checks::of_target(facts, t)).collect()
}

/// An examination that runs in a thread of its own.
pub struct Examination {
    stop: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Examination {
    /// Starts one. `tell` gets the reports, or why there are none, in that thread.
    ///
    /// # Errors
    /// When no thread or no descriptor can be had.
    pub fn start(
        request: Request,
        tell: impl FnOnce(Result<Vec<Report>, NetError>) + Send + 'static,
    ) -> io::Result<Examination> {
        let stop = Waker::new().map_err(io::Error::other)?;
        let waker = stop.clone();
        let thread = std::thread::Builder::new()
            .name("doctor".into())
            .spawn(move || tell(examine(&request, &waker)))?;
        Ok(Examination { stop, thread: Some(thread) })
    }

    /// Ends the measurement; the reports of what was measured till then still come.
    pub fn stop(&self) {
        self.stop.wake();
    }

    /// Whether it has told its reports.
    pub fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Examination {
    /// Ends the measurement and waits for the thread.
    fn drop(&mut self) {
        self.stop.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
