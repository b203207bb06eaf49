//! The last minute of one stream on one time axis: rate, longest gap, jitter and
//! loss of each second.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::units;
use crate::model::rate::STRIP_SECONDS;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::stream::selected;
use crate::ui::pane::{Kind, Pane, Reply};
use crate::ui::shared::Shared;
use crate::ui::widget::chart::bars;
use crate::ui::widget::frame::{Words, empty, frame, put, put_right};
use crate::ui::widget::strip::scale;

/// Cells of the names and scales at the left.
const NAMES: u16 = 16;

/// Rows from which on jitter has a chart beside the gaps.
const WITH_JITTER: u16 = 9;

/// The pane.
#[derive(Default)]
pub struct Charts;

/// One chart.
struct Chart {
    name: &'static str,
    /// A value for each second, the oldest first.
    values: Vec<Option<f64>>,
    unit: fn(f64) -> String,
    style: Style,
    /// What stands there in its place.
    absent: Option<&'static str>,
}

/// Which of `n` seconds stands in a column of `width`.
fn second(column: u16, width: u16, n: usize) -> usize {
    usize::from(column) * n / usize::from(width.max(1))
}

fn nanoseconds(v: f64) -> String {
    units::duration_short(v as u64)
}

fn draw_one(buf: &mut Buffer, area: Rect, chart: &Chart, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let highest = chart.values.iter().flatten().copied().fold(0.0, f64::max);
    let top = scale(highest);
    put(buf, area.x + 1, area.y, 7, chart.name, theme.title);
    let x = area.x + NAMES;
    if let Some(text) = chart.absent {
        return put(buf, x, area.y, area.right().saturating_sub(x) as usize, text, theme.dim);
    }
    // The scale is written at the height it stands for.
    let edge = x - 1;
    let highest_written = match top {
        None if chart.values.iter().any(Option::is_some) => "0".to_owned(),
        _ => units::or_dash(top, chart.unit),
    };
    put_right(buf, edge, area.y, 9, &highest_written, theme.dim);
    if area.height > 1 && top.is_some() {
        put_right(buf, edge, area.bottom() - 1, 9, "0", theme.dim);
    }
    let width = area.right().saturating_sub(x + 1);
    let values =
        (0..width).map(|c| chart.values.get(second(c, width, chart.values.len())).copied().flatten());
    bars(buf, Rect { x, width, ..area }, values, top.unwrap_or(1.0), chart.style);
}

impl Pane for Charts {
    fn kind(&self) -> Kind {
        Kind::Charts
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let words = |right: String| Words { title: "Last minute".into(), right, ..Words::default() };
        let Some((_, s)) = selected(at, ctx) else {
            frame(area, buf, ctx.theme, focused, &words(String::new()));
            return;
        };
        let inner = frame(area, buf, ctx.theme, focused, &words("each second · scales at the left".into()));
        let Some(d) = &s.detail else {
            let text = "no minute is kept of this source: there are too many";
            return empty(buf, inner, &[text.to_owned()], ctx.theme.dim);
        };
        let now = ctx.model.now().mono;
        let width = inner.width.saturating_sub(NAMES + 1);
        let seconds = usize::from(width).min(STRIP_SECONDS);
        let backs = || (0..seconds).rev();
        let history = || backs().map(|b| d.history.second(now, b));
        let known = s.continuity().is_some();
        let rows = inner.height.saturating_sub(1);
        let mut list = vec![
            Chart {
                name: "PKT/S",
                values: d.strip.packets(now, seconds).map(|p| p.map(f64::from)).collect(),
                unit: units::si,
                style: ctx.theme.chart,
                absent: None,
            },
            Chart {
                name: "GAP",
                values: history().map(|h| h.map(|h| h.gap_max_ns as f64)).collect(),
                unit: nanoseconds,
                style: ctx.theme.accent,
                absent: None,
            },
        ];
        // Jitter is that of the media clock: what has none has gaps only.
        if rows >= WITH_JITTER && d.media().iter().any(|m| m.jitter_ns().is_some()) {
            list.push(Chart {
                name: "JITTER",
                values: history()
                    .map(|h| h.filter(|h| h.jitter_max_ns > 0).map(|h| f64::from(h.jitter_max_ns)))
                    .collect(),
                unit: nanoseconds,
                style: ctx.theme.wire,
                absent: None,
            });
        }
        list.push(Chart {
            name: "LOST",
            values: history().map(|h| h.map(|h| f64::from(h.missing))).collect(),
            unit: units::si,
            style: ctx.theme.bad,
            absent: (!known).then_some("– no counter is known in this payload"),
        });
        // Loss needs the least height: that there was some is the news.
        let lost = (rows / (list.len() as u16 + 2)).max(1);
        let others = list.len() as u16 - 1;
        let mut y = inner.y;
        for (i, chart) in (0..).zip(&list) {
            let each = (rows - lost) / others + u16::from(i < (rows - lost) % others);
            let height = if i == others { lost } else { each };
            if height > 0 {
                draw_one(buf, Rect { y, height, ..inner }, chart, ctx);
            }
            y += height;
        }
        let x = inner.x + NAMES;
        for back in [60u8, 45, 30, 15].iter().filter(|b| usize::from(**b) <= seconds) {
            let text = format!("-{back} s");
            let behind = (usize::from(*back) * usize::from(width)).div_ceil(seconds.max(1)) as u16;
            put(buf, x + width - behind, y, text.len(), &text, ctx.theme.dim);
        }
        put_right(buf, x + width, y, 3, "now", ctx.theme.dim);
    }

    fn command(&mut self, _cmd: Cmd, _at: &mut Shared, _ctx: &Ctx<'_>) -> Reply {
        Reply::Ignored
    }

    fn click(&mut self, _x: u16, _y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn wheel(&mut self, _lines: isize, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn copy(&self, _at: &Shared, _ctx: &Ctx<'_>) -> Option<String> {
        None
    }
}
