//! Signals as messages.

use crossbeam_channel::Receiver;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End, with the exit code that says which signal it was (128 + its number).
    End(u8),
    /// Stop like a shell job.
    Stop,
    /// Went on after a stop.
    Continue,
}

/// Delivers SIGINT, SIGTERM and SIGHUP; with `jobs` also SIGTSTP and SIGCONT. Where there are no
/// signals nothing ever comes.
pub fn listen(jobs: bool) -> Receiver<Signal> {
    let (tell, signals) = crossbeam_channel::bounded(8);
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
        let mut wanted = vec![SIGINT, SIGTERM, SIGHUP];
        if jobs {
            wanted.extend([SIGTSTP, SIGCONT]);
        }
        if let Ok(mut all) = signal_hook::iterator::Signals::new(wanted) {
            let handle = move || {
                let mut ends = 0;
                for s in &mut all {
                    let signal = match s {
                        SIGTSTP => Signal::Stop,
                        SIGCONT => Signal::Continue,
                        s => {
                            ends += 1;
                            Signal::End(128 + s as u8)
                        }
                    };
                    // Asked to end twice: whoever asks will not wait for a tidy end.
                    if ends > 1 {
                        std::process::exit(i32::from(128 + s as u8));
                    }
                    let _ = tell.try_send(signal);
                }
            };
            let _ = std::thread::Builder::new().name("signals".into()).spawn(handle);
        }
    }
    #[cfg(not(unix))]
    {
        let _ = jobs;
        // Keep the channel open: a closed one would look like a signal without end.
        std::mem::forget(tell);
    }
    signals
}

/// Stops this process as a shell's job control does; returns when it is continued.
pub fn stop_self() {
    #[cfg(unix)]
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP);
}
