//! Models with known contents, and a screen to type at, for the tests of the dashboard.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::batch::{Account, Batch, Datagram, SLOTS};
use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use crate::base::iface::{Iface, IfaceAddr, IfaceKind};
use crate::base::time::{Mono, Now, Wall};
use crate::engine::command::{Examined, SendId, SendProgress};
use crate::model::group::{Buffer as SocketBuffer, Origin};
use crate::model::{Model, Settings};
use crate::ui::action::Action;
use crate::ui::dialogs::Dialogs;
use crate::ui::keymap::{KeyMap, parse_key};
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::screen::{self, Screen};
use crate::ui::theme::Theme;

/// 2026-11-22 15:00:00 UTC: when every fixture begins.
const START: i64 = 1_795_359_600_000_000_000;

/// The time so many milliseconds after the fixture began.
pub fn at(ms: u64) -> Now {
    let ns = ms * 1_000_000;
    Now { mono: Mono(1_000_000_000_000 + ns), wall: Wall(START + ns as i64) }
}

pub fn endpoint(text: &str) -> Endpoint {
    Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap())
}

/// A model that is fed by hand.
pub struct World {
    pub model: Model,
    pub now_ms: u64,
    next: u32,
}

/// One datagram to be fed.
#[derive(Clone)]
pub struct Say {
    pub to: MembershipId,
    pub from: Endpoint,
    pub ms: u64,
    pub payload: Vec<u8>,
    pub ttl: u8,
    pub dscp: u8,
}

impl World {
    pub fn new() -> World {
        let mut model = Model::new(Settings::default(), at(0));
        let addr = |ip: &str, prefix_len| IfaceAddr { ip: ip.parse().unwrap(), prefix_len };
        let iface = |index, name: &str, kind, addrs| Iface {
            index,
            name: name.into(),
            up: true,
            carrier: Some(true),
            multicast: true,
            kind,
            master: None,
            mtu: Some(1500),
            mac: Some([2, 0, 0, 0, 0, index as u8]),
            addrs,
        };
        let mut down = iface(4, "eth2", IfaceKind::Wired, vec![]);
        (down.up, down.carrier) = (false, Some(false));
        let mut lo = iface(1, "lo", IfaceKind::Loopback, vec![addr("127.0.0.1", 8), addr("::1", 128)]);
        (lo.mtu, lo.mac) = (Some(65_536), None);
        let eth0 = vec![addr("10.1.2.3", 24), addr("fe80::1234:5678:9abc:def0", 64)];
        let list = vec![
            lo,
            iface(2, "eth0", IfaceKind::Wired, eth0),
            iface(3, "eth1", IfaceKind::Wired, vec![addr("10.9.0.3", 16)]),
            down,
            iface(5, "docker0", IfaceKind::ContainerBridge, vec![addr("172.17.0.1", 16)]),
        ];
        model.set_ifaces(list, at(0));
        for name in ["eth0", "eth1"] {
            model.nic_drops(name, 7);
        }
        World { model, now_ms: 0, next: 0 }
    }

    /// Asks for a row; it stands as joining.
    pub fn ask(&mut self, group: &str, iface: &str, label: Option<&str>) -> MembershipId {
        let id = MembershipId(self.next);
        self.next += 1;
        let to = endpoint(group);
        let m = Membership { group: to.ip, port: to.port, iface: iface.into(), filter: SourceFilter::Any };
        self.model.add(id, Arc::new(m), Origin::User, label.map(Into::into));
        id
    }

    /// Joins a row at once.
    pub fn join(&mut self, group: &str, iface: &str, label: Option<&str>) -> MembershipId {
        let id = self.ask(group, iface, label);
        self.model.joined(id, SocketBuffer::default(), at(self.now_ms));
        id
    }

    /// Feeds datagrams in the order of their times, then brings the model to `until`.
    pub fn feed(&mut self, mut list: Vec<Say>, until: u64) {
        list.sort_by_key(|s| s.ms);
        for some in list.chunks(SLOTS) {
            let mut batch = Batch::new();
            for s in some {
                let mut d = Datagram::new(s.to, at(s.ms).wall, s.from, s.payload.len() as u32);
                (d.ttl, d.tos, d.ifindex) = (Some(s.ttl), Some(s.dscp << 2), 2);
                batch.push_copy(d, &s.payload);
            }
            batch.received = at(some.last().map_or(until, |s| s.ms));
            self.model.apply(&batch);
            self.model.advance(batch.received);
        }
        self.to(until);
    }

    /// Tells the accounts of a row.
    pub fn account(&mut self, id: MembershipId, socket_drops: Option<u64>, not_analysed: u64) {
        let mut batch = Batch::new();
        batch.received = at(self.now_ms);
        batch.accounts.push(Account {
            membership: id,
            socket_drops,
            not_analysed,
            not_analysed_bytes: not_analysed * 100,
        });
        self.model.apply(&batch);
    }

    /// Lets time pass.
    pub fn to(&mut self, ms: u64) {
        self.now_ms = ms;
        self.model.advance(at(ms));
    }
}

/// A steady stream: a datagram every `every` milliseconds from `start` to `end`.
pub fn steady(
    to: MembershipId,
    from: &str,
    start: u64,
    end: u64,
    every: u64,
    payload: impl Fn(u64) -> Vec<u8>,
) -> Vec<Say> {
    let from = endpoint(from);
    (start..end)
        .step_by(every as usize)
        .enumerate()
        .map(|(n, ms)| Say { to, from, ms, payload: payload(n as u64), ttl: 64, dscp: 46 })
        .collect()
}

/// An RTP datagram of payload type 98.
pub fn rtp(n: u64, ssrc: u32, len: usize) -> Vec<u8> {
    let mut b = vec![0x80, 98];
    b.extend_from_slice(&(41_000 + n as u16).to_be_bytes());
    b.extend_from_slice(&(n as u32 * 48).to_be_bytes());
    b.extend_from_slice(&ssrc.to_be_bytes());
    b.resize(len, 0);
    for (i, x) in b.iter_mut().enumerate().skip(12) {
        *x = (i as u64 * 31 + n * 7) as u8;
    }
    b
}

/// The usual picture: two RTP senders, a chatty text sender, IPv6, a silent, a failed, a joining row.
pub fn studio() -> World {
    let mut w = World::new();
    let audio = w.join("239.1.1.1:5004", "eth0", Some("RTP audio"));
    let chat = w.join("239.255.0.17:9999", "eth0", None);
    let mdns = w.join("[ff02::fb]:5353", "eth1", Some("mDNS"));
    let quiet = w.join("239.7.7.7:5004", "eth1", None);
    let failed = w.ask("239.3.3.3:319", "eth2", Some("PTP event"));
    w.ask("239.9.9.9:7000", "eth0", None);
    w.model.failed(
        failed,
        "cannot join 239.3.3.3 on eth2 (IP_ADD_MEMBERSHIP): no such device".into(),
        Some("bring the interface up: ip link set eth2 up".into()),
        at(10),
    );
    let _ = quiet;
    w.model.own(endpoint("10.1.2.3:40000"));
    let mut list = steady(audio, "10.1.2.20:5004", 15_000, 65_000, 20, |n| rtp(n, 0x5a01, 332));
    // The second camera starts late, loses one in fifty and changes its marking.
    list.extend(
        steady(audio, "10.1.2.21:5004", 40_000, 65_000, 20, |n| rtp(n, 0x5a02, 332))
            .into_iter()
            .enumerate()
            .filter(|(n, _)| n % 50 != 49)
            .map(|(n, s)| Say { dscp: if n > 600 { 0 } else { 46 }, ..s }),
    );
    list.extend(steady(chat, "10.1.2.30:33000", 1_000, 65_000, 500, |n| {
        format!("hello {n} \u{1b}[31m from the stage").into_bytes()
    }));
    list.extend(
        steady(chat, "10.1.2.3:40000", 60_000, 62_000, 1_000, |n| format!("ours {n}").into_bytes())
            .into_iter()
            .map(|s| Say { ttl: 1, dscp: 0, ..s }),
    );
    list.extend(
        steady(mdns, "[fe80::1234:5678:9abc:1]:5353", 5_000, 60_000, 20_000, |_| vec![0; 40])
            .into_iter()
            .map(|s| Say { ttl: 255, dscp: 0, ..s }),
    );
    w.feed(list, 65_000);
    w.account(audio, Some(0), 0);
    w.account(chat, Some(12), 3);
    w
}

/// Dialogs that say only that they are there.
pub struct Stubs;

struct Stub(String);

impl Layer for Stub {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        match key.code {
            KeyCode::Esc => Outcome::Close(vec![]),
            KeyCode::F(1) => Outcome::Passed,
            _ => Outcome::Consumed,
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        frame.buffer_mut().set_string(area.x + 2, area.y + 5, &self.0, ctx.theme.text);
    }
}

impl Dialogs for Stubs {
    fn join(&self, _prefill: &str, _ctx: &Ctx<'_>) -> Box<dyn Layer> {
        Box::new(Stub("<the join dialog>".into()))
    }

    fn send(&self, to: MembershipId, _ctx: &Ctx<'_>) -> Box<dyn Layer> {
        Box::new(Stub(format!("<the send dialog for {}>", to.0)))
    }

    fn sends(&self) -> Box<dyn Layer> {
        Box::new(Stub("<the list of sends>".into()))
    }

    fn ping(&self, group: MembershipId) -> (Box<dyn Layer>, Action) {
        (Box::new(Stub(format!("<the ping of {}>", group.0))), Action::Ping(group, 1))
    }
}

/// A screen with its world, to be typed at.
pub struct Desk {
    pub world: World,
    pub screen: Screen,
    pub theme: Theme,
    pub keymap: KeyMap,
    pub names: HashMap<IpAddr, Option<Arc<str>>>,
    pub sends: Vec<(SendId, SendProgress)>,
    pub examined: Option<Examined>,
    pub terminal: Terminal<TestBackend>,
    frozen: Option<(Model, Now)>,
}

impl Desk {
    pub fn new(world: World, width: u16, height: u16) -> Desk {
        let mut names = HashMap::new();
        names.insert("10.1.2.20".parse().unwrap(), Some("cam-a.local".into()));
        names.insert("10.1.2.21".parse().unwrap(), Some("cam-b.local".into()));
        let mut desk = Desk {
            world,
            screen: Screen::new(screen::Settings { dialogs: Box::new(Stubs) }),
            theme: Theme::dark(),
            keymap: KeyMap::default(),
            names,
            sends: Vec::new(),
            examined: None,
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            frozen: None,
        };
        desk.draw();
        desk
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Screen, &mut Terminal<TestBackend>, &Ctx<'_>) -> T) -> T {
        let ctx = Ctx {
            model: self.frozen.as_ref().map_or(&self.world.model, |f| &f.0),
            theme: &self.theme,
            keys: &self.keymap,
            now: at(self.world.now_ms),
            utc_offset_s: 3600,
            names: &self.names,
            sends: &self.sends,
            ping: None,
            examined: self.examined.as_ref(),
            recent: &[],
            host: "studio-3",
            selected: None,
        };
        f(&mut self.screen, &mut self.terminal, &ctx)
    }

    /// Draws a frame, as the loop would.
    pub fn draw(&mut self) {
        match (self.screen.paused(), &self.frozen) {
            (Some(_), None) => self.frozen = Some((self.world.model.clone(), at(self.world.now_ms))),
            (None, Some(_)) => self.frozen = None,
            _ => {}
        }
        self.with(|screen, terminal, ctx| {
            terminal.draw(|frame| screen.draw(frame, ctx)).unwrap();
        });
    }

    /// The line that holds the selection mark of the pane that begins with this title.
    pub fn marked(&self, title: &str) -> String {
        let lines = self.lines();
        let from = lines
            .iter()
            .position(|l| l.contains(title))
            .unwrap_or_else(|| panic!("{title}:\n{}", self.text()));
        let line = lines[from..].iter().find(|l| l.contains('▌'));
        line.unwrap_or_else(|| panic!("no mark under {title}:\n{}", self.text())).clone()
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
        self.draw();
    }

    /// Types keys: names in angle brackets, all else as it stands: `J<esc>/cam<enter>`.
    pub fn keys(&mut self, keys: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let name = rest.strip_prefix('<').and_then(|r| r.split_once('>')).filter(|(n, _)| n.len() > 1);
            let (code, mods) = match name {
                Some((name, after)) => {
                    rest = after;
                    parse_key(name).unwrap_or_else(|| panic!("no key {name}"))
                }
                None => {
                    rest = &rest[c.len_utf8()..];
                    (KeyCode::Char(c), KeyModifiers::NONE)
                }
            };
            let event = Event::Key(KeyEvent::new(code, mods));
            actions.extend(self.with(|screen, _, ctx| screen.handle(&event, ctx)));
            self.draw();
        }
        actions
    }

    pub fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) -> Vec<Action> {
        let event = Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
        let actions = self.with(|screen, _, ctx| screen.handle(&event, ctx));
        self.draw();
        actions
    }

    pub fn click(&mut self, column: u16, row: u16) -> Vec<Action> {
        self.mouse(MouseEventKind::Down(MouseButton::Left), column, row)
    }

    pub fn asks(&mut self) -> Vec<Action> {
        let now = at(self.world.now_ms);
        self.screen.asks(now)
    }

    pub fn buffer(&self) -> &Buffer {
        self.terminal.backend().buffer()
    }

    /// The screen's text, a line each.
    pub fn lines(&self) -> Vec<String> {
        let b = self.buffer();
        let line = |y| {
            let mut out = String::new();
            let mut x = 0;
            while x < b.area.width {
                let s = b[(x, y)].symbol();
                out.push_str(s);
                x += unicode_width::UnicodeWidthStr::width(s).max(1) as u16;
            }
            out.trim_end().to_owned()
        };
        (0..b.area.height).map(line).collect()
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    pub fn shows(&self, what: &str) -> bool {
        self.text().contains(what)
    }

    /// Fails with the whole screen unless it shows this.
    #[track_caller]
    pub fn expect(&self, what: &str) {
        assert!(self.shows(what), "“{what}” is not on the screen:\n{}", self.text());
    }

    /// Fails with the whole screen if it shows this.
    #[track_caller]
    pub fn expect_not(&self, what: &str) {
        assert!(!self.shows(what), "“{what}” is on the screen:\n{}", self.text());
    }
}
