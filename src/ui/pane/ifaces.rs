//! The interfaces: what they are, whether a join that names none takes them, what they lost.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::iface::Iface;
use crate::base::units::{self, ABSENT};
use crate::model::filter::Interface;
use crate::model::rate::Rate;
use crate::model::{IfaceState, Totals};
use crate::ui::format::tally;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::{Choice, Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame, put};
use crate::ui::widget::table::{Column, Grid, Key, Widths};

const NAME: usize = 0;
const KIND: usize = 1;
const STATE: usize = 2;
const JOINS: usize = 3;
const ADDRESSES: usize = 4;
const MTU: usize = 5;
const GROUPS: usize = 6;
const PPS: usize = 7;
const BPS: usize = 8;
const NIC: usize = 9;
const MAC: usize = 10;
const WIRE: usize = 11;

static COLUMNS: &[Column] = &[
    Column::text("IFACE", "interface", 8, 15, 0),
    Column::text("KIND", "kind", 8, 16, 6),
    Column::text("STATE", "state", 10, 10, 0),
    Column::text("CANDIDATE", "whether joins take it", 22, 32, 1),
    Column::text("ADDRESSES", "addresses", 18, 90, 0),
    Column::number("MTU", "MTU in bytes", 5, 2),
    Column::number("GROUPS", "groups joined on it", 6, 3),
    Column::number("PKT/S", "pkt/s", 6, 4),
    Column::number("BIT/S", "bit/s", 6, 5),
    Column::number("NIC", "NIC (receive drops)", 6, 1),
    Column::text("MAC", "hardware address", 17, 17, 7),
    Column::number("◇ PKT/S", "pkt/s on the wire, not joined", 7, 3),
];

/// From this width on a full IPv6 address has room; other columns come after that.
const WIDE: u16 = 100;

/// The pane.
pub struct Ifaces {
    grid: Grid,
}

impl Default for Ifaces {
    fn default() -> Self {
        Ifaces { grid: Grid::new(NAME, false) }
    }
}

fn state(i: &Iface) -> &'static str {
    match (i.up, i.carrier) {
        (false, _) => "down",
        (true, Some(false)) => "no carrier",
        (true, _) => "up",
    }
}

fn joins(i: &Iface) -> String {
    match i.candidate() {
        Ok(()) => "yes".to_owned(),
        Err(why) => format!("no: {why}"),
    }
}

fn addresses(i: &Iface) -> String {
    i.addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join("  ")
}

fn key<'a>(s: &'a IfaceState, column: usize, t: &Totals, wire: Option<Rate>) -> Key<'a> {
    let i = &s.iface;
    match column {
        NAME => Key::Text((&*i.name).into()),
        KIND => Key::Text(i.kind.word().into()),
        STATE => Key::Text(state(i).into()),
        JOINS => Key::Text(joins(i).into()),
        ADDRESSES => Key::Text(addresses(i).into()),
        MTU => Key::num(i.mtu.map(f64::from)),
        GROUPS => Key::Num(t.groups as f64),
        PPS => Key::num(t.rate.map(|r| r.packets_pps)),
        BPS => Key::num(t.rate.map(|r| r.payload_bps)),
        NIC => Key::num(s.nic_drops.map(|n| n as f64)),
        WIRE => Key::num(wire.map(|r| r.packets_pps)),
        _ => Key::Absent,
    }
}

/// What a tap sees of the interface that is not joined, in the last second.
fn wire(s: &IfaceState, ctx: &Ctx<'_>) -> Option<Rate> {
    let name = &s.iface.name;
    let on = ctx.model.wire().is_on(name);
    on.then(|| ctx.model.wire_totals(Some(name)).rate.unwrap_or_default())
}

fn passes(s: &IfaceState, at: &Shared) -> bool {
    let i = &s.iface;
    let words = format!("{}\n{}\n{}\n{}\n{}", i.name, i.kind.word(), state(i), joins(i), addresses(i));
    !at.filter.is_set() || at.filter.expr().passes(&Interface { name: &i.name, words: &words })
}

/// The interface that is looked at first: one that is joined on, rather than the loopback.
pub fn first(ctx: &Ctx<'_>) -> Option<Arc<str>> {
    let all = ctx.model.ifaces().iter();
    let usable = all.clone().find(|i| ctx.model.groups().any(|g| g.membership.iface == i.iface.name));
    let usable = usable.or_else(|| all.clone().find(|i| i.iface.candidate().is_ok()));
    usable.map(|i| i.iface.name.clone())
}

impl Ifaces {
    fn place(at: &Shared, ctx: &Ctx<'_>) -> Option<u32> {
        let name = at.iface.as_deref()?;
        ctx.model.ifaces().iter().position(|i| &*i.iface.name == name).map(|i| i as u32)
    }

    fn select(row: Option<u32>, at: &mut Shared, ctx: &Ctx<'_>) {
        if let Some(i) = row.and_then(|r| ctx.model.ifaces().get(r as usize)) {
            at.iface = Some(i.iface.name.clone());
        }
    }

    fn order(&mut self, at: &Shared, ctx: &Ctx<'_>) {
        let mut hash = DefaultHasher::new();
        at.filter.text().hash(&mut hash);
        for i in ctx.model.ifaces() {
            i.iface.name.hash(&mut hash);
        }
        self.grid.order(ctx.model.now().mono, hash.finish(), Self::place(at, ctx), |sort| {
            let all = ctx.model.ifaces().iter().zip(0u32..).filter(|(s, _)| passes(s, at));
            all.map(|(s, i)| {
                let wire = (sort == WIRE).then(|| wire(s, ctx)).flatten();
                (key(s, sort, &ctx.model.totals_of_iface(&s.iface.name), wire), i)
            })
            .collect::<Vec<_>>()
        });
    }

    fn row(&self, buf: &mut Buffer, y: u16, s: &IfaceState, ctx: &Ctx<'_>) {
        let (i, theme) = (&s.iface, ctx.theme);
        let t = ctx.model.totals_of_iface(&i.name);
        let usable = i.candidate().is_ok();
        let plain = if usable { theme.text } else { theme.idle };
        let (sign, style) = match state(i) {
            "up" => ("●", if usable { theme.live } else { theme.idle }),
            "no carrier" => ("◌", theme.silent),
            _ => ("○", theme.idle),
        };
        put(buf, self.grid.placed().first().map_or(0, |p| p.x - 2), y, 1, sign, style);
        for p in self.grid.placed() {
            let (text, style) = match p.column {
                NAME => (i.name.to_string(), plain),
                KIND => (i.kind.word().to_owned(), plain),
                STATE => (state(i).to_owned(), style),
                JOINS => (joins(i), plain),
                ADDRESSES if i.addrs.is_empty() => (ABSENT.to_owned(), plain),
                ADDRESSES => (addresses(i), plain),
                MTU => (units::or_dash(i.mtu, |m| m.to_string()), plain),
                GROUPS => (t.groups.to_string(), plain),
                PPS => (units::or_dash(t.rate.map(|r| r.packets_pps), units::si_column), plain),
                BPS => (units::or_dash(t.rate.map(|r| r.payload_bps), units::si_column), plain),
                NIC => {
                    let style = if s.nic_drops.unwrap_or(0) > 0 { theme.bad } else { theme.dim };
                    (units::or_dash(s.nic_drops, tally), style)
                }
                WIRE => (units::or_dash(wire(s, ctx).map(|r| r.packets_pps), units::si_column), plain),
                MAC => {
                    let mac = i.mac.map(|m| m.map(|b| format!("{b:02x}")).join(":"));
                    (units::or_dash(mac, |m| m), theme.dim)
                }
                _ => continue,
            };
            self.grid.cell(buf, p, COLUMNS, y, &text, style);
        }
    }
}

impl Pane for Ifaces {
    fn kind(&self) -> Kind {
        Kind::Ifaces
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let mut columns = COLUMNS.to_vec();
        let names = ctx.model.ifaces().iter().map(|i| i.iface.name.len()).max().unwrap_or(0) as u16;
        columns[NAME].widths = Widths::Range(names.clamp(5, 15), names.clamp(5, 15));
        if area.width >= WIDE {
            columns[ADDRESSES].widths = Widths::Range(40, 90);
            columns[JOINS].widths = Widths::Range(26, 32);
        }
        let inside = area.inner(ratatui::layout::Margin::new(1, 1));
        let hidden = self.grid.hidden.get();
        let tapped = ctx.model.wire().depth().shows_groups();
        self.grid.hidden.set(hidden | u64::from(!tapped) << WIRE);
        self.grid.lay(inside, &columns);
        self.grid.hidden.set(hidden);
        self.order(at, ctx);
        let words = Words {
            title: format!("Interfaces of {}", ctx.host),
            right: self.grid.words(COLUMNS),
            bottom: self.copy(at, ctx).unwrap_or_default(),
            ..Words::default()
        };
        let inner = frame(area, buf, ctx.theme, focused, &words);
        if self.grid.rows().is_empty() {
            let line = if at.filter.is_set() && !ctx.model.ifaces().is_empty() {
                nothing_matches(at)
            } else {
                "the interfaces are not known yet".to_owned()
            };
            return empty(buf, inner, &[line], ctx.theme.dim);
        }
        if at.iface.is_none() {
            at.iface = first(ctx);
        }
        let settled = self.grid.settled(Self::place(at, ctx));
        Self::select(settled, at, ctx);
        self.grid.draw_head(buf, &columns, ctx.theme, |_| None);
        for (y, r) in self.grid.window(settled) {
            let Some(s) = ctx.model.ifaces().get(r as usize) else { continue };
            self.row(buf, y, s, ctx);
            if settled == Some(r) {
                self.grid.mark(buf, y, focused, ctx.theme);
            }
        }
        at.filter.highlight(buf, inner, ctx.theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if let Some(by) = movement(cmd, self.grid.height()) {
            Self::select(self.grid.moved(Self::place(at, ctx), by), at, ctx);
            return Reply::Done;
        }
        match cmd {
            Cmd::Open => Reply::Focus(Kind::Memberships),
            _ if self.grid.sort_command(cmd) => Reply::Done,
            _ => Reply::Ignored,
        }
    }

    fn click(&mut self, x: u16, y: u16, at: &mut Shared, ctx: &Ctx<'_>) {
        if !self.grid.click_head(x, y) {
            Self::select(self.grid.row_at(y), at, ctx);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        Self::select(self.grid.moved(Self::place(at, ctx), lines), at, ctx);
    }

    fn choice(&self) -> Option<Choice> {
        Some(Choice { columns: COLUMNS, hidden: self.grid.hidden.clone() })
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let i = &ctx.model.iface(at.iface.as_deref()?)?.iface;
        Some(format!("{} {}", i.name, addresses(i)))
    }
}
