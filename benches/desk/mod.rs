//! A model full of senders and a dashboard before it, in memory: what the benchmarks of a frame and of
//! scale have in common.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use mcscope::base::batch::{Batch, Datagram, SLOTS};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::{Model, Settings};
use mcscope::ui::action::Action;
use mcscope::ui::dialogs::Dialogs;
use mcscope::ui::layer::{Ctx, Layer, Outcome};
use mcscope::ui::screen::{self, Screen};
use mcscope::ui::theme::Theme;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

const START: u64 = 1_000_000_000_000;
const WALL: i64 = 1_700_000_000_000_000_000;

/// A filter that looks at every group and every source, and that all of them pass.
pub const FILTER: &str = "1/port=5004 and lost=0 and size>10\n";

fn at(ms: u64) -> Now {
    let ns = ms * 1_000_000;
    Now { mono: Mono(START + ns), wall: Wall(WALL + ns as i64) }
}

/// Who sends.
#[derive(Clone, Copy)]
pub struct Crowd {
    pub groups: u32,
    /// Senders to the first group.
    pub first: u32,
    /// Senders to each of the others.
    pub each: u32,
}

/// What applying a round of datagrams took.
#[derive(Clone, Copy, Default)]
pub struct Applied {
    pub datagrams: u64,
    pub all: Duration,
    /// The one batch that took longest.
    pub worst: Duration,
}

pub struct Desk {
    crowd: Crowd,
    pub model: Model,
    ms: u64,
    round: u32,
    batch: Batch,
    screen: Screen,
    theme: Theme,
    names: HashMap<IpAddr, Option<Arc<str>>>,
    terminal: Terminal<TestBackend>,
}

impl Desk {
    /// The groups are joined; nobody has sent yet.
    pub fn new(crowd: Crowd, settings: Settings) -> Desk {
        let mut model = Model::new(settings, at(0));
        for n in 0..crowd.groups {
            let membership = Membership {
                group: IpAddr::V4(Ipv4Addr::from(0xef01_0000 + n)),
                port: 5004,
                iface: "eth0".into(),
                filter: SourceFilter::Any,
            };
            model.add(MembershipId(n), Arc::new(membership), Origin::User, None);
            model.joined(MembershipId(n), Buffer::default(), at(0));
        }
        Desk {
            crowd,
            model,
            ms: 0,
            round: 0,
            batch: Batch::new(),
            screen: Screen::new(screen::Settings { dialogs: Box::new(NoDialogs) }),
            theme: Theme::dark(),
            names: HashMap::new(),
            terminal: Terminal::new(TestBackend::new(200, 60)).expect("a screen in memory"),
        }
    }

    /// Each sender sends a datagram of RTP, 200 bytes, now.
    pub fn traffic(&mut self) -> Applied {
        let Desk { crowd, model, ms, round, batch, .. } = self;
        let mut payload = [0x5a; 200];
        payload[..2].copy_from_slice(&[0x80, 96]);
        payload[2..4].copy_from_slice(&(*round as u16).to_be_bytes());
        payload[4..8].copy_from_slice(&(*round * 160).to_be_bytes());
        *round += 1;
        let mut applied = Applied::default();
        let mut apply = |batch: &mut Batch| {
            batch.received = at(*ms);
            applied.datagrams += batch.datagrams().len() as u64;
            let start = Instant::now();
            model.apply(batch);
            let took = start.elapsed();
            applied.all += took;
            applied.worst = applied.worst.max(took);
            batch.clear();
        };
        for group in 0..crowd.groups {
            for s in 0..if group == 0 { crowd.first } else { crowd.each } {
                let from = Endpoint::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + s)), 5004);
                let mut d = Datagram::new(MembershipId(group), at(*ms).wall, from, 200);
                (d.ttl, d.tos) = (Some(8), Some(0));
                batch.push_copy(d, &payload);
                if batch.datagrams().len() == SLOTS {
                    apply(batch);
                }
            }
        }
        apply(batch);
        applied
    }

    fn with(&mut self, f: impl FnOnce(&mut Screen, &mut Terminal<TestBackend>, &Ctx<'_>)) {
        let ctx = Ctx {
            model: &self.model,
            theme: &self.theme,
            now: at(self.ms),
            utc_offset_s: 0,
            names: &self.names,
            sends: &[],
            ping: None,
            examined: None,
            recent: &[],
            host: "bench",
            selected: None,
        };
        f(&mut self.screen, &mut self.terminal, &ctx);
    }

    /// Types; what stands in the filter goes when it is opened.
    pub fn keys(&mut self, keys: &str) {
        for c in keys.chars() {
            let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
            let mut press = |code, modifiers| {
                let event = Event::Key(KeyEvent::new(code, modifiers));
                self.with(|screen, _, ctx| drop(screen.handle(&event, ctx)));
            };
            press(code, KeyModifiers::NONE);
            if c == '/' {
                press(KeyCode::Char('u'), KeyModifiers::CONTROL);
            }
            self.draw();
        }
    }

    /// Draws a frame.
    pub fn draw(&mut self) -> Duration {
        let start = Instant::now();
        self.with(|screen, terminal, ctx| {
            terminal.draw(|frame| screen.draw(frame, ctx)).expect("a screen in memory");
        });
        start.elapsed()
    }

    /// Lets time pass; what the model needs for it.
    pub fn pass(&mut self, ms: u64) -> Duration {
        self.ms += ms;
        let start = Instant::now();
        self.model.advance(at(self.ms));
        start.elapsed()
    }
}

/// No dialog is opened here.
struct NoDialogs;

struct Nothing;

impl Layer for Nothing {
    fn key(&mut self, _: KeyEvent, _: &Ctx<'_>) -> Outcome {
        Outcome::Passed
    }
    fn draw(&mut self, _: &mut Frame<'_>, _: Rect, _: &Ctx<'_>) {}
}

impl Dialogs for NoDialogs {
    fn join(&self, _: &str, _: &Ctx<'_>) -> Box<dyn Layer> {
        Box::new(Nothing)
    }
    fn send(&self, _: MembershipId, _: &Ctx<'_>) -> Box<dyn Layer> {
        Box::new(Nothing)
    }
    fn sends(&self) -> Box<dyn Layer> {
        Box::new(Nothing)
    }
    fn ping(&self, group: MembershipId) -> (Box<dyn Layer>, Action) {
        (Box::new(Nothing), Action::Ping(group, 1))
    }
}
