//! Standard output on a thread of its own: a reader that is slow, or stopped, never stalls the
//! counting.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

/// Packet lines are left out while more than this waits to be written.
const PACKETS_UP_TO: usize = 4 << 20;
/// Statistics of an interval are left out while more than this waits: a later line says all that an
/// earlier one did, and more.
const STATS_UP_TO: usize = 64 << 20;

/// How much a line matters when the reader is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Left out first, and counted.
    Packet,
    /// Left out when a great many wait: the counters in them are cumulative.
    Stats,
    /// Never left out: events, joins, final figures.
    Must,
}

/// The way to standard output.
pub struct Output {
    lines: Option<Sender<String>>,
    pending: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    gone: Receiver<()>,
    dropped: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    /// Starts the writer.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start() -> io::Result<Output> {
        // The queue is bounded by bytes, which is what counts here.
        let (lines, to_write) = unbounded::<String>();
        let (tell, gone) = bounded(1);
        let (pending, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (p, b) = (pending.clone(), broken.clone());
        let thread = std::thread::Builder::new().name("output".into()).spawn(move || {
            let mut out = io::stdout().lock();
            let mut buffer = Vec::new();
            while let Ok(first) = to_write.recv() {
                buffer.clear();
                let mut next = Some(first);
                while let Some(line) = next.take() {
                    buffer.extend_from_slice(line.as_bytes());
                    buffer.push(b'\n');
                    if buffer.len() < 64 << 10 {
                        next = to_write.try_recv().ok();
                    }
                }
                if out.write_all(&buffer).and_then(|()| out.flush()).is_err() {
                    b.store(true, Ordering::Release);
                    let _ = tell.try_send(());
                    return;
                }
                p.fetch_sub(buffer.len(), Ordering::AcqRel);
            }
        })?;
        Ok(Output {
            lines: Some(lines),
            pending,
            broken,
            gone,
            dropped: AtomicU64::new(0),
            thread: Some(thread),
        })
    }

    /// Offers a line, without its end. False if it was left out.
    pub fn line(&self, rank: Rank, line: String) -> bool {
        let room = match rank {
            Rank::Packet => PACKETS_UP_TO,
            Rank::Stats => STATS_UP_TO,
            Rank::Must => usize::MAX,
        };
        let Some(lines) = &self.lines else { return false };
        if self.pending.load(Ordering::Acquire) > room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.pending.fetch_add(line.len() + 1, Ordering::AcqRel);
        lines.send(line).is_ok()
    }

    /// Whether packet lines would be left out at present: then they need not be made.
    pub fn is_behind(&self) -> bool {
        self.pending.load(Ordering::Acquire) > PACKETS_UP_TO
    }

    /// Counts packet lines that were not even made.
    pub fn count_dropped(&self, n: u64) {
        self.dropped.fetch_add(n, Ordering::Relaxed);
    }

    /// Lines left out so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether the reader is gone (a broken pipe, a full disk).
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Becomes ready when the reader is gone.
    pub fn gone(&self) -> &Receiver<()> {
        &self.gone
    }

    /// Writes what waits and ends.
    pub fn finish(mut self) {
        self.lines = None;
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
