//! Runs a program, the real binary above all, in a fresh folder with an environment of its own.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::DEADLINE;

/// A fresh folder that is home, configuration and state of the programs started in it. It is
/// removed at the end, and kept when the test fails and `MCSCOPE_KEEP` is set.
pub struct Sandbox {
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl Sandbox {
    /// Makes the folder.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("mcscope-test-").tempdir().expect("make a temp folder");
        let path = dir.path().canonicalize().expect("resolve the temp folder");
        for sub in ["home", "config", "state", "cache", "runtime", "work"] {
            std::fs::create_dir(path.join(sub)).expect("make a folder in the temp folder");
        }
        Sandbox { dir: Some(dir), path }
    }

    /// Where the program is started.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// A path below the folder: `config/mcscope/config.toml`, `state/…`, `work/…`.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path.join(below)
    }

    /// Writes a file below the folder, with the folders it needs.
    pub fn write(&self, below: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make the folder");
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        path
    }

    /// mcscope with these arguments.
    pub fn mcscope<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_mcscope"));
        command.args(args);
        command
    }

    /// Any program, in this folder and with this environment only.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.work()).stdin(Stdio::null()).env_clear();
        for kept in ["PATH", "LLVM_PROFILE_FILE", "SystemRoot"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// Every file below the folder with its size, for a failing test's message.
    pub fn listing(&self) -> String {
        fn walk(root: &Path, at: &Path, out: &mut Vec<String>) {
            let Ok(entries) = std::fs::read_dir(at) else { return };
            for entry in entries.flatten() {
                let path = entry.path();
                match entry.metadata() {
                    Ok(m) if m.is_dir() => walk(root, &path, out),
                    Ok(m) => {
                        let name = path.strip_prefix(root).unwrap_or(&path);
                        out.push(format!("  {} ({} bytes)", name.display(), m.len()));
                    }
                    Err(e) => out.push(format!("  {} ({e})", path.display())),
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.path, &self.path, &mut all);
        all.sort();
        if all.is_empty() { "  (no files)".into() } else { all.join("\n") }
    }

    /// Runs a command to its end, which must come within [`DEADLINE`].
    pub fn run(&self, command: Command) -> Outcome {
        self.run_within(command, DEADLINE)
    }

    /// Runs a command to its end. A program still running at the deadline is killed and the test
    /// fails with all that it printed.
    pub fn run_within(&self, command: Command, deadline: Duration) -> Outcome {
        let mut running = self.spawn(command);
        let outcome = running.end(deadline);
        match outcome {
            Ok(o) => o,
            Err(o) => panic!("still running after {deadline:?}, killed\n{o}"),
        }
    }

    /// Starts a command and reads its output on threads.
    pub fn spawn(&self, mut command: Command) -> Running {
        let line = describe(&command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what it starts in turn is killed with it and lets go of the pipes.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {line}: {e}"));
        let (send, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let out = std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut all = Vec::new();
            loop {
                let from = all.len();
                match reader.read_until(b'\n', &mut all) {
                    Ok(0) | Err(_) => return all,
                    // The test may have stopped listening: the output is still wanted at the end.
                    Ok(_) => drop(send.send(String::from_utf8_lossy(&all[from..]).trim_end().to_string())),
                }
            }
        });
        let err = std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = BufReader::new(stderr).read_to_end(&mut all);
            all
        });
        Running {
            child,
            line,
            lines,
            seen: VecDeque::new(),
            out: Some(out),
            err: Some(err),
            listing: self.path.clone(),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking()
            && super::required("MCSCOPE_KEEP")
            && let Some(dir) = self.dir.take()
        {
            eprintln!("kept {}", dir.keep().display());
        }
    }
}

/// What a program left behind.
pub struct Outcome {
    /// The command as one would type it.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// The files in its folder.
    pub listing: String,
}

impl Outcome {
    /// Fails, with everything known of the run, unless the program exited with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Fails, with everything known of the run, unless standard output holds the text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "expected {text:?} on standard output\n{self}");
        self
    }

    /// Fails, with everything known of the run, unless standard error holds the text.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected {text:?} on standard error\n{self}");
        self
    }

    /// Standard output as JSON Lines.
    ///
    /// # Panics
    /// On a line that is not JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}\n{self}"));
        self.stdout.lines().map(parse).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "── command\n  {}\n── {}", self.command, self.status)?;
        for (name, text) in [("standard output", &self.stdout), ("standard error", &self.stderr)] {
            writeln!(f, "── {name} ({} bytes)", text.len())?;
            // The start says what ran, the end why it failed.
            let lines: Vec<&str> = text.lines().collect();
            let cut = lines.len().saturating_sub(80);
            for (i, line) in lines.iter().enumerate() {
                match i {
                    20 if cut > 0 => writeln!(f, "  … {cut} lines …")?,
                    i if i > 20 && i < 20 + cut => {}
                    _ => writeln!(f, "  {line}")?,
                }
            }
        }
        writeln!(f, "── files\n{}", self.listing)
    }
}

/// A program that runs. Dropping it kills it.
pub struct Running {
    child: Child,
    line: String,
    lines: Receiver<String>,
    seen: VecDeque<String>,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
    listing: PathBuf,
}

impl Running {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output for which `is` holds; earlier ones are passed over.
    ///
    /// # Panics
    /// With all output so far when the program ends first or [`DEADLINE`] passes.
    #[track_caller]
    pub fn wait_line(&mut self, what: &str, mut is: impl FnMut(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push_back(line.clone());
                    if self.seen.len() > 200 {
                        self.seen.pop_front();
                    }
                    if is(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let o = self.end(DEADLINE).unwrap_or_else(|o| o);
                    panic!("{what} never came: the program closed its output\n{o}")
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.strike();
                    let o = self.end(DEADLINE).unwrap_or_else(|o| o);
                    panic!("{what} did not come within {DEADLINE:?}\n{o}")
                }
            }
        }
    }

    /// The next line of JSON for which `is` holds.
    #[track_caller]
    pub fn wait_json(
        &mut self,
        what: &str,
        mut is: impl FnMut(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let mut found = None;
        self.wait_line(what, |line| {
            found = serde_json::from_str(line).ok().filter(|v| is(v));
            found.is_some()
        });
        found.expect("the line was accepted because it parsed")
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes numbers only; the child is not yet waited for, so its id is its own.
        let done = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(done, 0, "signal {signal} to {}: {}", self.line, std::io::Error::last_os_error());
    }

    /// Kills the program and what it started; it is not yet waited for, so the id is its own.
    fn strike(&mut self) {
        #[cfg(unix)]
        // SAFETY: kill takes numbers only.
        unsafe {
            libc::kill(-(self.child.id() as i32), libc::SIGKILL);
        }
        self.child.kill().ok();
    }

    /// Waits for the end, which must come within [`DEADLINE`].
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        match self.end(DEADLINE) {
            Ok(o) => o,
            Err(o) => panic!("still running after {DEADLINE:?}, killed\n{o}"),
        }
    }

    /// Kills and waits; the output up to then.
    pub fn kill(mut self) -> Outcome {
        self.strike();
        self.end(DEADLINE).unwrap_or_else(|o| o)
    }

    /// Standard output is closed when the program (and whoever inherited it) is gone, so that
    /// waiting for its reader with a deadline needs no polling.
    fn end(&mut self, deadline: Duration) -> Result<Outcome, Outcome> {
        let until = Instant::now() + deadline;
        let in_time = loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break self.exits_by(until),
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        if !in_time {
            self.strike();
        }
        let status = self.child.wait().expect("wait for the program");
        let text = |h: Option<JoinHandle<Vec<u8>>>| {
            let bytes = h.map(|h| h.join().expect("the reader of a pipe ends")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let outcome = Outcome {
            command: self.line.clone(),
            status,
            stdout: text(self.out.take()),
            stderr: text(self.err.take()),
            listing: Sandbox { dir: None, path: self.listing.clone() }.listing(),
        };
        if in_time { Ok(outcome) } else { Err(outcome) }
    }

    /// Whether the process, whose output is closed already, ends in time.
    fn exits_by(&mut self, until: Instant) -> bool {
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) => return false,
                _ => return true,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.out.is_some() {
            self.strike();
            self.child.wait().ok();
        }
    }
}

/// The command as one would type it.
pub fn describe(command: &Command) -> String {
    let quote = |s: &OsStr| {
        let s = s.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,[]".contains(c);
        if !s.is_empty() && s.chars().all(plain) { s.into_owned() } else { format!("'{s}'") }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect::<Vec<_>>().join(" ")
}
