//! What is on the wire of the selected interface and not joined: the groups table with the tap's state.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::tap::Depth;
use crate::base::text::visible;
use crate::base::units;
use crate::model::seen::TapState;
use crate::ui::format::tally;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::groups::Groups;
use crate::ui::pane::{Kind, Pane, Reply};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, frame, put, wrap};
use crate::ui::widget::table::{Column, Grid};

/// What a tap would show.
const WOULD_SHOW: &str = "A tap shows every group that is on the wire here, joined or not: who sends, how much, \
                          in the same tables, marked ◇. It joins nothing and sends nothing. Of joined groups it \
                          tells what arrives on the interface and is not delivered.";

/// The pane.
pub struct WirePane {
    table: Groups,
}

impl Default for WirePane {
    fn default() -> Self {
        WirePane { table: Groups::of_wire() }
    }
}

fn state<'a>(at: &Shared, ctx: &Ctx<'a>) -> Option<&'a TapState> {
    Some(&ctx.model.wire().iface(at.iface.as_deref()?)?.state)
}

fn is_on(at: &Shared, ctx: &Ctx<'_>) -> bool {
    state(at, ctx).is_some_and(|s| s.depth().shows_groups())
}

/// What the tap counted on the selected interface, in one line.
pub(super) fn account(at: &Shared, ctx: &Ctx<'_>) -> String {
    let t = ctx.model.wire_totals(at.iface.as_deref());
    let mut line =
        format!("◇ {}  {}", units::packets(t.counters.packets), units::bytes(t.counters.payload_bytes));
    for (n, what) in [
        (t.counts.drops, "dropped at the tap"),
        (t.counts.not_analysed, "counted only"),
        (t.counts.bad_checksums, "with a wrong checksum"),
        (t.counts.incomplete, "never complete"),
        (t.tagged, "of VLANs, apart"),
        (t.evicted, "groups forgotten"),
    ] {
        if n > 0 {
            line.push_str(&format!(" · {} {what}", tally(n)));
        }
    }
    line
}

/// What an empty table says while the tap is on.
pub(super) fn quiet(at: &Shared, ctx: &Ctx<'_>) -> Vec<String> {
    let iface = at.iface.as_deref().unwrap_or("this interface");
    let mut lines = vec![format!("nothing is on the wire of {iface} that is not joined")];
    lines.push(match state(at, ctx).map(TapState::depth) {
        Some(Depth::All) => {
            "a switch that snoops sends only what somebody behind this port joined".to_owned()
        }
        _ => format!(
            "{} asks the adapter for what its filter keeps away; a snooping switch sends only what is joined",
            ctx.key(Cmd::TapAll)
        ),
    });
    lines
}

/// What the pane says without a tap: what it would show, and what it takes.
fn without(at: &Shared, ctx: &Ctx<'_>) -> Vec<String> {
    let mut lines = vec![WOULD_SHOW.to_owned(), String::new()];
    let failed = match state(at, ctx) {
        Some(TapState::Failed { error, remedy }) => Some((error.as_str(), remedy.as_deref())),
        _ => ctx.model.wire().refused(),
    };
    match failed {
        Some((error, remedy)) => {
            lines.push(visible(error, 400));
            lines.extend(remedy.map(|r| visible(r, 400)));
            lines.push(format!(
                "Everything else works without it. · {} copies the command",
                ctx.key(Cmd::Copy)
            ));
        }
        None if ctx.model.wire().depth().shows_groups() => {
            let name = at.iface.as_deref().unwrap_or("it");
            lines.push(format!(
                "There is no tap on {name}: taps are on interfaces that joins take, and where a group is joined."
            ));
        }
        None => lines.push("W switches it on".to_owned()),
    }
    lines
}

/// The command out of a remedy, as `it needs …: `sudo …`` has it.
fn command(remedy: &str) -> &str {
    remedy.split('`').nth(1).unwrap_or(remedy)
}

impl Pane for WirePane {
    fn kind(&self) -> Kind {
        Kind::Wire
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        if is_on(at, ctx) {
            return self.table.draw(area, buf, focused, at, ctx);
        }
        let title = match at.iface.as_deref() {
            Some(i) => format!("On the wire of {i}: tap off"),
            None => "On the wire: tap off".to_owned(),
        };
        let inner = frame(area, buf, ctx.theme, focused, &Words { title, ..Words::default() });
        let room = inner.width.saturating_sub(4) as usize;
        let lines = without(at, ctx).into_iter().flat_map(|l| wrap(&l, room));
        for (line, y) in lines.zip(inner.y..inner.bottom()) {
            put(buf, inner.x + 2, y, room, &line, ctx.theme.dim);
        }
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if is_on(at, ctx) { self.table.command(cmd, at, ctx) } else { Reply::Ignored }
    }

    fn click(&mut self, x: u16, y: u16, at: &mut Shared, ctx: &Ctx<'_>) {
        if is_on(at, ctx) {
            self.table.click(x, y, at, ctx);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        if is_on(at, ctx) {
            self.table.wheel(lines, at, ctx);
        }
    }

    fn table(&mut self) -> Option<(&'static [Column], &mut Grid)> {
        self.table.table()
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        if is_on(at, ctx) {
            return self.table.copy(at, ctx);
        }
        let remedy = match state(at, ctx) {
            Some(TapState::Failed { remedy, .. }) => remedy.as_deref(),
            _ => ctx.model.wire().refused().and_then(|(_, remedy)| remedy),
        };
        remedy.map(|r| command(r).to_owned())
    }
}
