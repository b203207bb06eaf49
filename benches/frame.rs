//! What one frame of the dashboard costs: 200x60 cells, 1000 groups, 100,000 sources (a thousand
//! groups of 50 and one of 50,000), sorted and filtered.
//!
//! `cargo bench --bench frame`; the target is 4 ms. `steady` is the frame that follows 50 ms after
//! another, `worst` one that comes a second or more later, when every order is made anew and no figure
//! is still known. `advance` is what the model does before each frame.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use mcscope::base::batch::{Batch, Datagram, SLOTS};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::{Model, Settings};
use mcscope::ui::action::Action;
use mcscope::ui::dialogs::Dialogs;
use mcscope::ui::keymap::KeyMap;
use mcscope::ui::layer::{Ctx, Layer, Outcome};
use mcscope::ui::screen::{self, Screen};
use mcscope::ui::theme::Theme;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

const START: u64 = 1_000_000_000_000;
const WALL: i64 = 1_700_000_000_000_000_000;
const GROUPS: u32 = 1000;
/// Sources of each group but the first.
const EACH: u32 = 50;
/// Sources of the first one.
const FIRST: u32 = 50_050;

fn at(ms: u64) -> Now {
    let ns = ms * 1_000_000;
    Now { mono: Mono(START + ns), wall: Wall(WALL + ns as i64) }
}

/// Each source sends a datagram of RTP every 100 ms for 300 ms, and the first ones go on.
fn model() -> (Model, u64) {
    let mut model = Model::new(Settings::default(), at(0));
    for n in 0..GROUPS {
        let membership = Membership {
            group: IpAddr::V4(Ipv4Addr::from(0xef01_0000 + n)),
            port: 5004,
            iface: "eth0".into(),
            filter: SourceFilter::Any,
        };
        model.add(MembershipId(n), Arc::new(membership), Origin::User, None);
        model.joined(MembershipId(n), Buffer::default(), at(0));
    }
    let mut batch = Batch::new();
    let mut payload = [0x5a; 200];
    payload[..2].copy_from_slice(&[0x80, 96]);
    let mut ms = 0;
    for round in 0..4u32 {
        ms = 100 + u64::from(round) * 100;
        for group in 0..GROUPS {
            for s in 0..if group == 0 { FIRST } else { EACH } {
                payload[2..4].copy_from_slice(&(round as u16).to_be_bytes());
                payload[4..8].copy_from_slice(&(round * 160).to_be_bytes());
                let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + s));
                let from = Endpoint::new(ip, 5004);
                let mut d = Datagram::new(MembershipId(group), at(ms).wall, from, 200);
                (d.ttl, d.tos) = (Some(8), Some(0));
                batch.push_copy(d, &payload);
                if batch.datagrams().len() == SLOTS {
                    batch.received = at(ms);
                    model.apply(&batch);
                    batch.clear();
                }
            }
        }
    }
    model.apply(&batch);
    model.advance(at(ms));
    (model, ms)
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

struct Desk {
    model: Model,
    ms: u64,
    screen: Screen,
    theme: Theme,
    keys: KeyMap,
    names: HashMap<IpAddr, Option<Arc<str>>>,
    terminal: Terminal<TestBackend>,
}

impl Desk {
    fn new() -> Desk {
        let (model, ms) = model();
        Desk {
            model,
            ms,
            screen: Screen::new(screen::Settings { dialogs: Box::new(NoDialogs) }),
            theme: Theme::dark(),
            keys: KeyMap::default(),
            names: HashMap::new(),
            terminal: Terminal::new(TestBackend::new(200, 60)).expect("a screen in memory"),
        }
    }

    fn with(&mut self, f: impl FnOnce(&mut Screen, &mut Terminal<TestBackend>, &Ctx<'_>)) {
        let ctx = Ctx {
            model: &self.model,
            theme: &self.theme,
            keys: &self.keys,
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

    fn keys(&mut self, keys: &str) {
        for c in keys.chars() {
            let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
            let event = Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
            self.with(|screen, _, ctx| drop(screen.handle(&event, ctx)));
            self.draw();
        }
    }

    fn draw(&mut self) -> Duration {
        let start = Instant::now();
        self.with(|screen, terminal, ctx| {
            terminal.draw(|frame| screen.draw(frame, ctx)).expect("a screen in memory");
        });
        start.elapsed()
    }

    /// Lets time pass; what the model needs for it.
    fn pass(&mut self, ms: u64) -> Duration {
        self.ms += ms;
        let start = Instant::now();
        self.model.advance(at(self.ms));
        start.elapsed()
    }
}

fn frame(c: &mut Criterion) {
    let mut g = c.benchmark_group("frame");
    g.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let mut desk = Desk::new();
    for (name, keys) in [("live", "1"), ("filtered", "1/port=5004 and lost=0 and size>10\n"), ("stream", "2")]
    {
        desk.keys(keys);
        for (when, ms) in [("steady", 50), ("worst", 1100)] {
            g.bench_function(format!("{name}, {when}"), |b| {
                b.iter_custom(|rounds| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..rounds {
                        desk.pass(ms);
                        spent += desk.draw();
                    }
                    spent
                });
            });
        }
    }
    g.bench_function("advance", |b| {
        b.iter_custom(|rounds| (0..rounds).map(|_| desk.pass(50)).sum());
    });
    g.finish();
}

criterion_group!(benches, frame);
criterion_main!(benches);
