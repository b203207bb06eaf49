//! A host, a screen and a keyboard for the tests of dialogs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use crate::base::group::{Membership, MembershipId, SourceFilter};
use crate::base::iface::{Iface, IfaceAddr, IfaceKind};
use crate::base::time::{Mono, Now, Wall};
use crate::engine::command::{PingProgress, SendId, SendProgress};
use crate::model::group::Origin;
use crate::model::{Model, Settings};
use crate::ui::action::Action;
use crate::ui::keymap::KeyMap;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::theme::Theme;

const NOW: Now = Now { mono: Mono(1_000_000_000_000), wall: Wall(1_764_000_000_000_000_000) };

/// Everything a [`Ctx`] points to.
pub struct Host {
    pub model: Model,
    pub theme: Theme,
    pub keys: KeyMap,
    pub names: HashMap<IpAddr, Option<Arc<str>>>,
    pub sends: Vec<(SendId, SendProgress)>,
    pub ping: Option<PingProgress>,
    pub recent: Vec<String>,
    pub selected: Option<MembershipId>,
}

fn iface(index: u32, name: &str, kind: IfaceKind, addrs: &[(&str, u8)]) -> Iface {
    let addrs =
        addrs.iter().map(|(ip, prefix_len)| IfaceAddr { ip: ip.parse().unwrap(), prefix_len: *prefix_len });
    Iface {
        index,
        name: name.into(),
        up: true,
        carrier: Some(true),
        multicast: true,
        kind,
        master: None,
        mtu: Some(1500),
        mac: None,
        addrs: addrs.collect(),
    }
}

impl Host {
    /// A host with eth0, eth1, a container bridge, a tunnel and the loopback, on which
    /// 239.1.1.1:5004 is joined on eth0 and selected.
    pub fn new() -> Host {
        let mut model = Model::new(Settings::default(), NOW);
        let ifaces = vec![
            iface(1, "lo", IfaceKind::Loopback, &[("127.0.0.1", 8)]),
            iface(2, "eth0", IfaceKind::Wired, &[("10.1.2.3", 24), ("fe80::1", 64)]),
            iface(3, "eth1", IfaceKind::Wired, &[("10.9.0.3", 16)]),
            iface(4, "docker0", IfaceKind::ContainerBridge, &[("172.17.0.1", 16)]),
            iface(5, "wg0", IfaceKind::Tunnel, &[]),
        ];
        model.set_ifaces(ifaces, NOW);
        let id = MembershipId(0);
        model.add(id, Arc::new(membership("239.1.1.1", 5004, "eth0")), Origin::User, None);
        Host {
            model,
            theme: Theme::dark(),
            keys: KeyMap::default(),
            names: HashMap::new(),
            sends: Vec::new(),
            ping: None,
            recent: vec!["239.7.7.7:5004%eth1".to_owned(), "10.1.2.20@232.1.1.1:5004".to_owned()],
            selected: Some(id),
        }
    }

    /// Replaces the interfaces.
    pub fn set_ifaces(&mut self, list: Vec<Iface>) {
        self.model.set_ifaces(list, NOW);
    }

    pub fn ctx(&self) -> Ctx<'_> {
        Ctx {
            model: &self.model,
            theme: &self.theme,
            keys: &self.keys,
            now: NOW,
            utc_offset_s: 0,
            names: &self.names,
            sends: &self.sends,
            ping: self.ping.as_ref(),
            examined: None,
            recent: &self.recent,
            host: "studio-3",
            selected: self.selected,
        }
    }
}

/// A membership that lets everybody through.
pub fn membership(group: &str, port: u16, iface: &str) -> Membership {
    Membership { group: group.parse().unwrap(), port, iface: iface.into(), filter: SourceFilter::Any }
}

/// Presses keys: characters as they are, `<tab>`, `<s-tab>`, `<enter>`, `<esc>`, `<up>`, `<down>`,
/// `<left>`, `<right>`, `<home>`, `<end>`, `<bs>`, `<del>`, `<space>`, `<c-u>`. Returns the outcome
/// of the last.
pub fn press(layer: &mut dyn Layer, host: &Host, keys: &str) -> Outcome {
    let mut last = Outcome::Consumed;
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|r| r.split_once('>'));
        let (key, after) = match named {
            Some((name, after)) => (named_key(name), after),
            None => (KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), &rest[c.len_utf8()..]),
        };
        last = layer.key(key, &host.ctx());
        rest = after;
    }
    last
}

fn named_key(name: &str) -> KeyEvent {
    if let Some(c) = name.strip_prefix("c-") {
        return KeyEvent::new(KeyCode::Char(c.chars().next().unwrap()), KeyModifiers::CONTROL);
    }
    let code = match name {
        "tab" => KeyCode::Tab,
        "s-tab" => return KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT),
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "bs" => KeyCode::Backspace,
        "del" => KeyCode::Delete,
        "space" => KeyCode::Char(' '),
        other => panic!("no key is called {other}"),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

/// The actions of a layer that closed.
pub fn closed(outcome: Outcome) -> Vec<Action> {
    match outcome {
        Outcome::Close(actions) => actions,
        other => panic!("expected the dialog to close, not {other:?}"),
    }
}

/// Draws a layer onto an empty screen.
pub fn draw(layer: &mut dyn Layer, host: &Host, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let done = terminal.draw(|frame| layer.draw(frame, frame.area(), &host.ctx())).unwrap();
    done.buffer.clone()
}

/// The rows of a screen as text.
pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let row: String = (0..buf.area.width).map(|x| buf[(x, y)].symbol()).collect();
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// Draws a layer and returns the screen as text.
pub fn screen(layer: &mut dyn Layer, host: &Host, width: u16, height: u16) -> String {
    text(&draw(layer, host, width, height))
}

/// Draws a layer at every size from 1x1 to a large screen, in steps that hit each small one.
pub fn draw_at_all_sizes(layer: &mut dyn Layer, host: &Host) {
    let widths = (1..=24).chain([40, 60, 79, 80, 81, 120, 200]);
    for width in widths {
        for height in (1..=26).chain([36, 60]) {
            draw(layer, host, width, height);
        }
    }
}
