//! The terminal: entered, drawn to from a thread of its own, and left as it was found.
//!
//! A terminal can be slow, or stopped with Ctrl-S. Drawing must not wait for it: a frame's bytes go
//! to a writer thread, and while that one is busy frames are skipped, not queued.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{clipboard, cursor, queue, terminal};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

/// How long the end waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_millis(500);
/// The input thread looks at its stop flag this often.
const LOOK: Duration = Duration::from_millis(200);

/// Set while the terminal is ours, so that it is given back once and not twice.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The bytes of the frame being drawn.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// The page is handed on as a whole, by [`Terminal::draw`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Desk {
    waiting: Option<Vec<u8>>,
    writing: bool,
    closed: bool,
}

/// The screen of the terminal.
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Page>>,
    page: Page,
    desk: Arc<(Mutex<Desk>, Condvar)>,
}

impl Terminal {
    /// Takes the terminal: raw, on its alternate screen, with mouse and bracketed paste. A panic
    /// gives it back before it prints.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn enter() -> io::Result<Terminal> {
        let hook = std::panic::take_hook();
        let main = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            hook(info);
            // Nobody is told of the end of another thread, and the screen is gone: end it all.
            if std::thread::current().id() != main {
                std::process::exit(101);
            }
        }));
        // Whether there are colours is the theme's business, which knows NO_COLOR and what was asked for.
        crossterm::style::force_color_output(true);
        take()?;
        let page = Page::default();
        let inner = ratatui::Terminal::new(CrosstermBackend::new(page.clone()))?;
        let desk: Arc<(Mutex<Desk>, Condvar)> = Arc::default();
        let theirs = desk.clone();
        std::thread::Builder::new().name("terminal".into()).spawn(move || write(&theirs))?;
        Ok(Terminal { inner, page, desk })
    }

    /// Draws a frame, unless the terminal is still busy with one; whether it was drawn.
    ///
    /// # Errors
    /// When the terminal's size cannot be had.
    pub fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> io::Result<bool> {
        if self.is_busy() {
            return Ok(false);
        }
        // Terminals that know synchronized output show the frame at once; others ignore the marks.
        queue!(self.page, BeginSynchronizedUpdate)?;
        self.inner.draw(frame)?;
        queue!(self.page, EndSynchronizedUpdate)?;
        self.submit();
        Ok(true)
    }

    /// Puts a text on the clipboard (OSC 52), if the terminal lets it.
    ///
    /// # Errors
    /// Never on a page in memory; the signature follows the writer's.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.page, clipboard::CopyToClipboard::to_clipboard_from(text))
    }

    /// Draws everything anew with the next frame.
    ///
    /// # Errors
    /// When the terminal's size cannot be had.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not by its own `clear`, which asks the terminal where the cursor is and waits for the answer:
        // over a slow line or in a stopped terminal none comes in time.
        let size = self.inner.size()?;
        self.inner.resize(Rect::new(0, 0, size.width, size.height))
    }

    fn submit(&self) {
        let bytes = std::mem::take(&mut *lock(&self.page.0));
        let (desk, bell) = &*self.desk;
        lock(desk).waiting = Some(bytes);
        bell.notify_all();
    }

    fn is_busy(&self) -> bool {
        let desk = lock(&self.desk.0);
        desk.writing || desk.waiting.is_some()
    }

    /// Whether the terminal is gone.
    pub fn is_closed(&self) -> bool {
        lock(&self.desk.0).closed
    }

    /// Gives the terminal back, for a while or for good. One that takes nothing is waited for only a
    /// moment: its modes are set back in any case.
    pub fn leave(&self) {
        let (desk, bell) = &*self.desk;
        let until = Instant::now() + PATIENCE;
        let mut state = lock(desk);
        while (state.writing || state.waiting.is_some()) && !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let stuck = state.writing;
        drop(state);
        if stuck {
            // What is written now would wait behind the frame that the terminal does not take.
            let _ = terminal::disable_raw_mode();
            ENTERED.store(false, Ordering::Release);
        } else {
            restore();
        }
    }

    /// Takes the terminal again after [`Terminal::leave`].
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn come_back(&mut self) -> io::Result<()> {
        take()?;
        self.clear()
    }
}

fn take() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    ENTERED.store(true, Ordering::Release);
    let mut out = io::stdout().lock();
    queue!(out, EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste, cursor::Hide)?;
    out.flush()
}

/// Gives the terminal back; does nothing if it is not ours.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::AcqRel) {
        return;
    }
    let mut out = io::stdout().lock();
    let _ = queue!(
        out,
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
}

fn write(desk: &(Mutex<Desk>, Condvar)) {
    let (desk, bell) = desk;
    loop {
        let bytes = {
            let mut state = lock(desk);
            loop {
                if let Some(bytes) = state.waiting.take() {
                    state.writing = true;
                    break bytes;
                }
                state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let mut out = io::stdout().lock();
        let outcome = out.write_all(&bytes).and_then(|()| out.flush());
        drop(out);
        let mut state = lock(desk);
        state.writing = false;
        state.closed |= outcome.is_err();
        bell.notify_all();
    }
}

/// Reads keys, mouse and paste on a thread of its own until `stop`. `tell` gets each event, and
/// `None` once when the terminal is gone; it returns false to end.
///
/// # Errors
/// When no thread can be had.
pub fn read_input(
    stop: Arc<AtomicBool>,
    mut tell: impl FnMut(Option<Event>) -> bool + Send + 'static,
) -> io::Result<()> {
    std::thread::Builder::new().name("input".into()).spawn(move || {
        while !stop.load(Ordering::Acquire) {
            let next = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read().ok(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => None,
            };
            let last = next.is_none();
            if !tell(next) || last {
                return;
            }
        }
    })?;
    Ok(())
}
