//! The real program in a pseudo-terminal: type into it, look at its screen, hang up, suspend it.
//!
//! The test's own thread is the terminal: it reads what the program writes only while it waits for
//! something. A test that does not look is a terminal that has stopped reading.

use std::fmt::Write as _;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use unicode_width::UnicodeWidthStr;

use super::run::describe;
use super::{DEADLINE, run};

/// What the terminal notes of sequences that the screen model does not keep.
#[derive(Default)]
struct Notes {
    /// Private modes set and not reset (focus reports 1004, synchronised output 2026 …).
    modes: Vec<u16>,
    /// What a real terminal would answer to the program's questions.
    answers: Vec<u8>,
    /// What was copied to the clipboard (OSC 52), still in base64.
    clipboard: Vec<String>,
    /// The window title.
    title: String,
}

impl vt100::Callbacks for Notes {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = String::from_utf8_lossy(title).into_owned();
    }

    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], data: &[u8]) {
        self.clipboard.push(String::from_utf8_lossy(data).into_owned());
    }

    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        i1: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        c: char,
    ) {
        let first = params.first().and_then(|p| p.first()).copied().unwrap_or(0);
        match (i1, c) {
            (Some(b'?'), 'h') => self.modes.extend(params.iter().filter_map(|p| p.first())),
            (Some(b'?'), 'l') => self.modes.retain(|m| !params.iter().any(|p| p.first() == Some(m))),
            (None, 'n') if first == 6 => {
                let (row, col) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, col + 1).bytes());
            }
            (None, 'c') => self.answers.extend(b"\x1b[?62;22c"),
            _ => {}
        }
    }
}

/// The state of a terminal that a program must leave as it found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Input, output, control and local flags and the control characters of the line.
    line: (u32, u32, u32, u32, Vec<u8>),
    /// Whether the line is cooked: lines are edited and echoed, keys make signals.
    pub cooked: bool,
    /// The alternate screen is shown.
    pub alternate_screen: bool,
    /// The cursor is hidden.
    pub cursor_hidden: bool,
    /// Mouse reports.
    pub mouse: vt100::MouseProtocolMode,
    /// Pasted text is marked.
    pub bracketed_paste: bool,
    /// Cursor keys send their application codes.
    pub application_cursor: bool,
    /// The key pad sends its application codes.
    pub application_keypad: bool,
    /// Other private modes that are on.
    pub other_modes: Vec<u16>,
}

/// A program in a pseudo-terminal. Dropping it hangs up and kills.
pub struct Term {
    child: Child,
    line: String,
    master: Option<OwnedFd>,
    /// Kept open, as a shell in the same terminal would, so that its settings outlive the program.
    slave: OwnedFd,
    parser: vt100::Parser<Notes>,
    before: State,
    /// Everything written, for tests of what must never be.
    raw: Vec<u8>,
    status: Option<ExitStatus>,
}

impl Term {
    /// Starts a program as the leader of a new session whose terminal has this size.
    pub fn spawn(mut command: Command, rows: u16, cols: u16) -> Self {
        let line = describe(&command);
        let (master, slave) = open_pty(&winsize(rows, cols)).expect("open a pseudo-terminal");
        let end = || Stdio::from(slave.try_clone().expect("duplicate the terminal"));
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: the closure runs in the child between fork and exec and makes system calls only.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                if libc::ioctl(0, libc::TIOCSCTTY as _, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let parser = vt100::Parser::new_with_callbacks(nonzero(rows), nonzero(cols), 0, Notes::default());
        let before = state(&tcgetattr(&slave).expect("read the terminal's settings"), &parser);
        let child = command.spawn().unwrap_or_else(|e| panic!("start {line}: {e}"));
        Term { child, line, master: Some(master), slave, parser, before, raw: Vec::new(), status: None }
    }

    /// Starts an interactive shell with job control, in which the test types its commands; waits
    /// for its prompt, a `$` on a line of its own.
    pub fn shell(sandbox: &run::Sandbox, rows: u16, cols: u16) -> Self {
        let mut command = sandbox.command("sh");
        command.arg("-i").env("PS1", "\n$ ").env("ENV", "");
        let mut term = Self::spawn(command, rows, cols);
        term.wait_prompt();
        term
    }

    /// Reads until the main screen ends with the prompt of [`Term::shell`].
    #[track_caller]
    pub fn wait_prompt(&mut self) {
        self.wait_until("the shell's prompt", |s| {
            !s.alternate_screen() && text(s).trim_end().ends_with("\n$")
        });
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// The screen as of what was read so far.
    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// The screen's text, a line a row, without blanks at the ends.
    pub fn text(&self) -> String {
        text(self.screen())
    }

    /// Every byte the program wrote so far and the terminal read.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// What was copied to the clipboard by OSC 52, in base64, oldest first.
    pub fn clipboard(&self) -> &[String] {
        &self.parser.callbacks().clipboard
    }

    /// Types keys: plain characters, and names in angle brackets: `<enter>`, `<esc>`, `<tab>`,
    /// `<backtab>`, `<up>`, `<down>`, `<left>`, `<right>`, `<pgup>`, `<pgdn>`, `<home>`, `<end>`,
    /// `<backspace>`, `<del>`, `<space>`, `<f1>` to `<f12>`, `<ctrl-c>`, `<alt-x>`, `<lt>` for `<`.
    /// A program cannot tell `<esc>` with a key right behind it from that key with Alt: wait for what
    /// `<esc>` does before typing on.
    #[track_caller]
    pub fn type_keys(&mut self, keys: &str) {
        self.write(&encode(keys));
    }

    /// A click of the left button at a cell, counted from 1 (SGR encoding).
    #[track_caller]
    pub fn click(&mut self, col: u16, row: u16) {
        self.write(format!("\x1b[<0;{col};{row}M\x1b[<0;{col};{row}m").as_bytes());
    }

    /// One notch of the wheel at a cell, counted from 1.
    #[track_caller]
    pub fn scroll(&mut self, up: bool, col: u16, row: u16) {
        self.write(format!("\x1b[<{};{col};{row}M", if up { 64 } else { 65 }).as_bytes());
    }

    /// Pastes text, marked as such where the program asked for that.
    #[track_caller]
    pub fn paste(&mut self, text: &str) {
        let marked = self.screen().bracketed_paste();
        self.write(if marked { format!("\x1b[200~{text}\x1b[201~") } else { text.into() }.as_bytes());
    }

    /// Gives the terminal another size, of which the program is told by SIGWINCH.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.parser.set_size(nonzero(rows), nonzero(cols));
        let size = winsize(rows, cols);
        // SAFETY: the pointer is to a `winsize` that outlives the call.
        let done = unsafe { libc::ioctl(self.slave.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(done, 0, "resize the terminal: {}", io::Error::last_os_error());
    }

    /// Reads until the screen is as `is` wants it.
    ///
    /// # Panics
    /// With the screen if it is not by [`DEADLINE`], or the program ends first.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut is: impl FnMut(&vt100::Screen) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            if is(self.screen()) {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            if self.exited().is_some() && !self.pump(Duration::ZERO) {
                if !is(self.screen()) {
                    panic!("{what}: never seen, the program ended\n{}", self.report());
                }
                return;
            }
            if left.is_zero() {
                panic!("{what}: not seen within {DEADLINE:?}\n{}", self.report());
            }
            self.pump(left.min(Duration::from_millis(50)));
        }
    }

    /// Reads until the text is on the screen.
    #[track_caller]
    pub fn wait_text(&mut self, wanted: &str) {
        self.wait_until(&format!("{wanted:?}"), |s| text(s).contains(wanted));
    }

    /// Reads until the text is no longer on the screen.
    #[track_caller]
    pub fn wait_no_text(&mut self, unwanted: &str) {
        self.wait_until(&format!("an end of {unwanted:?}"), |s| !text(s).contains(unwanted));
    }

    /// Lets the program run for a while and reads what it draws: for pictures and for counting what
    /// is written, never to wait for something.
    pub fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.pump(left.min(Duration::from_millis(50)));
        }
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        let id = nix::unistd::Pid::from_raw(self.id());
        nix::sys::signal::kill(id, signal).unwrap_or_else(|e| panic!("{signal} to {}: {e}", self.line));
    }

    /// Closes the terminal, as a terminal window does: the program gets SIGHUP and can neither
    /// read nor write any more.
    pub fn hangup(&mut self) {
        self.master = None;
    }

    /// Reads until the program has ended, which must be by [`DEADLINE`].
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.exited() {
                while self.pump(Duration::ZERO) {}
                return status;
            }
            if Instant::now() > until {
                panic!("still running after {DEADLINE:?}\n{}", self.report());
            }
            self.pump(Duration::from_millis(10));
        }
    }

    /// The terminal's state as of now.
    pub fn state(&self) -> State {
        state(&tcgetattr(&self.slave).expect("read the terminal's settings"), &self.parser)
    }

    /// Fails unless the terminal is as it was before the program started.
    #[track_caller]
    pub fn assert_restored(&self) {
        let now = self.state();
        assert!(now == self.before, "not restored\nwas {:?}\nis  {now:?}\n{}", self.before, self.report());
    }

    /// Makes the terminal stop echoing what is typed, so that a test sees the program's own output
    /// only.
    pub fn no_echo(&mut self) {
        let mut settings = tcgetattr(&self.slave).expect("read the terminal's settings");
        settings.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&self.slave, SetArg::TCSANOW, &settings).expect("change the terminal's settings");
        self.before = self.state();
    }

    /// The screen in a frame, with the command, for a failing test's message.
    pub fn report(&self) -> String {
        let (_, cols) = self.screen().size();
        let mut out = format!("── {}\n", self.line);
        if let Some(status) = self.status {
            let _ = writeln!(out, "── ended: {status}");
        }
        let edge = "─".repeat(cols.get().into());
        let _ = writeln!(out, "┌{edge}┐");
        for row in self.screen().rows(0, cols.get()) {
            let _ =
                writeln!(out, "│{row}{}│", " ".repeat(usize::from(cols.get()).saturating_sub(row.width())));
        }
        let _ = write!(out, "└{edge}┘");
        out
    }

    /// How the program ended, if it did.
    fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("ask for the program's end");
        }
        self.status
    }

    /// Reads what is there, waiting for it this long at most; whether there was something.
    fn pump(&mut self, wait: Duration) -> bool {
        let Some(master) = &self.master else {
            // Nothing to read from: only time can pass.
            std::thread::sleep(wait);
            return false;
        };
        let mut poll = libc::pollfd { fd: master.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one pollfd, and so says the count.
        let ready = unsafe { libc::poll(&raw mut poll, 1, wait.as_millis() as i32) };
        if ready <= 0 || poll.revents & libc::POLLIN == 0 {
            return false;
        }
        let mut buffer = [0; 65_536];
        let Ok(n) = nix::unistd::read(master, &mut buffer) else { return false };
        self.raw.extend_from_slice(&buffer[..n]);
        self.parser.process(&buffer[..n]);
        let answers = std::mem::take(&mut self.parser.callbacks_mut().answers);
        if !answers.is_empty() {
            self.write(&answers);
        }
        n > 0
    }

    #[track_caller]
    fn write(&mut self, mut bytes: &[u8]) {
        let master = self.master.as_ref().expect("the terminal is closed");
        while !bytes.is_empty() {
            let n = nix::unistd::write(master.as_fd(), bytes).expect("write to the terminal");
            bytes = &bytes[n..];
        }
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.master = None;
        if self.status.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The code a shell would give for this end: the exit code, or 128 and the signal.
pub fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().expect("neither exited nor killed"))
}

/// The screen's text, a line a row, without blanks at the ends.
pub fn text(screen: &vt100::Screen) -> String {
    let (_, cols) = screen.size();
    let rows: Vec<String> = screen.rows(0, cols.get()).map(|r| r.trim_end().to_string()).collect();
    rows.join("\n")
}

/// The bytes that a terminal sends for these keys; see [`Term::type_keys`].
pub fn encode(keys: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '<' {
            let mut utf8 = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            continue;
        }
        let (name, after) =
            rest.split_once('>').unwrap_or_else(|| panic!("no > in {keys:?}; write <lt> for <"));
        rest = after;
        out.extend_from_slice(&named(name).unwrap_or_else(|| panic!("no key is named <{name}>")));
    }
    out
}

fn named(name: &str) -> Option<Vec<u8>> {
    let code = match name {
        "enter" => "\r",
        "esc" => "\x1b",
        "tab" => "\t",
        "backtab" => "\x1b[Z",
        "up" => "\x1b[A",
        "down" => "\x1b[B",
        "right" => "\x1b[C",
        "left" => "\x1b[D",
        "home" => "\x1b[H",
        "end" => "\x1b[F",
        "pgup" => "\x1b[5~",
        "pgdn" => "\x1b[6~",
        "del" => "\x1b[3~",
        "backspace" => "\x7f",
        "space" => " ",
        "lt" => "<",
        "f1" => "\x1bOP",
        "f2" => "\x1bOQ",
        "f3" => "\x1bOR",
        "f4" => "\x1bOS",
        "f5" => "\x1b[15~",
        "f6" => "\x1b[17~",
        "f7" => "\x1b[18~",
        "f8" => "\x1b[19~",
        "f9" => "\x1b[20~",
        "f10" => "\x1b[21~",
        "f11" => "\x1b[23~",
        "f12" => "\x1b[24~",
        _ => {
            let (prefix, key) = name.split_once('-')?;
            let &[key] = key.as_bytes() else { return None };
            return match prefix {
                "ctrl" => Some(vec![key.to_ascii_uppercase() & 0x1f]),
                "alt" => Some(vec![0x1b, key]),
                _ => None,
            };
        }
    };
    Some(code.into())
}

fn state(line: &Termios, parser: &vt100::Parser<Notes>) -> State {
    let screen = parser.screen();
    let local = line.local_flags;
    State {
        line: (
            line.input_flags.bits(),
            line.output_flags.bits(),
            line.control_flags.bits(),
            local.bits(),
            line.control_chars.to_vec(),
        ),
        cooked: local.contains(LocalFlags::ICANON | LocalFlags::ISIG),
        alternate_screen: screen.alternate_screen(),
        cursor_hidden: screen.hide_cursor(),
        mouse: screen.mouse_protocol_mode(),
        bracketed_paste: screen.bracketed_paste(),
        application_cursor: screen.application_cursor(),
        application_keypad: screen.application_keypad(),
        other_modes: parser.callbacks().modes.clone(),
    }
}

fn winsize(rows: u16, cols: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}

fn nonzero(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a terminal has rows and columns")
}

/// Both ends of a new pseudo-terminal. A program that another test starts at the same moment must
/// not inherit them, or it would keep the terminal open after a hang-up: they are close-on-exec from
/// the start, which `openpty` cannot do.
fn open_pty(size: &Winsize) -> nix::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = nix::fcntl::open(ptsname_r(&master)?.as_str(), flags, Mode::empty())?;
    // SAFETY: the pointer is to a `winsize` that outlives the call.
    nix::errno::Errno::result(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSWINSZ, &raw const *size) })?;
    Ok((master.into(), slave))
}
