//! How the inter-arrival times of one stream are distributed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::units;
use crate::model::quantile::Quantiles;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::stream::selected;
use crate::ui::pane::{Kind, Pane, Reply};
use crate::ui::shared::Shared;
use crate::ui::widget::chart::bars;
use crate::ui::widget::frame::{Words, empty, frame, put};

/// The pane.
#[derive(Default)]
pub struct Histogram;

/// The share of all gaps in each of `n` columns that are equally wide on a logarithmic scale from
/// `low` to `high`.
fn columns(q: &Quantiles, low: f64, high: f64, n: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n];
    let span = (high / low).ln();
    for (from, width, count) in q.cells() {
        let middle = from as f64 + width as f64 / 2.0;
        let place = ((middle / low).ln() / span * n as f64).clamp(0.0, n as f64 - 1.0);
        if let Some(c) = counts.get_mut(place as usize) {
            *c += f64::from(count);
        }
    }
    counts
}

/// Where the axis begins and ends: at least a factor of two apart, so that one sharp gap is one bar.
fn range(q: &Quantiles) -> Option<(f64, f64)> {
    let low = q.cells().next().map(|(from, _, _)| from.max(1) as f64)?;
    let high = q.cells().last().map(|(from, width, _)| (from + width) as f64)?;
    let widen = (2.0 / (high / low)).sqrt().max(1.05);
    Some((low / widen, high * widen))
}

impl Pane for Histogram {
    fn kind(&self) -> Kind {
        Kind::Histogram
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let found = selected(at, ctx);
        let gaps = found.and_then(|(_, s)| s.detail.as_ref()).map(|d| &d.gaps);
        let count = gaps.map_or(0, Quantiles::len);
        let words = Words {
            title: "Gaps between packets".into(),
            right: if count > 0 { "logarithmic both ways".into() } else { String::new() },
            bottom: if count > 0 { format!("{} measured", units::count(count)) } else { String::new() },
            ..Words::default()
        };
        let inner = frame(area, buf, theme, focused, &words);
        let Some((low, high, gaps)) = gaps.and_then(|q| range(q).map(|(l, h)| (l, h, q))) else {
            if found.is_some() {
                empty(buf, inner, &["two packets are needed to measure a gap".to_owned()], theme.dim);
            }
            return;
        };
        let chart = Rect {
            x: inner.x + 1,
            width: inner.width.saturating_sub(2),
            height: inner.height.saturating_sub(1),
            ..inner
        };
        if chart.width < 8 || chart.height == 0 {
            return;
        }
        let n = chart.width as usize;
        let counts = columns(gaps, low, high, n);
        let level = |v: f64| if v > 0.0 { (v + 1.0).ln() } else { 0.0 };
        let top = level(counts.iter().copied().fold(0.0, f64::max));
        let values = counts.iter().map(|&v| (v > 0.0).then(|| level(v)));
        bars(buf, chart, values, top, theme.chart);
        let y = chart.bottom();
        let place = |ns: f64| ((ns / low).ln() / (high / low).ln() * n as f64) as u16;
        let mut free = chart.x;
        // Round figures in between, as far as they do not touch.
        let mut ticks = Vec::new();
        let mut power = 10f64.powf(low.log10().floor());
        while power <= high {
            ticks.extend([1.0, 2.0, 5.0].map(|m| m * power).into_iter().filter(|t| (low..=high).contains(t)));
            power *= 10.0;
        }
        let decades: Vec<f64> =
            ticks.iter().copied().filter(|t| (t.log10() - t.log10().round()).abs() < 1e-9).collect();
        if ticks.len() * 9 > n && decades.len() >= 2 {
            ticks = decades;
        }
        for t in ticks {
            let text = format!("╵{}", units::duration(t.round() as u64));
            let x = chart.x + place(t);
            if x >= free && x + text.chars().count() as u16 <= chart.right() {
                put(buf, x, y, text.len(), &text, theme.dim);
                free = x + text.chars().count() as u16 + 1;
            }
        }
    }

    fn command(&mut self, _cmd: Cmd, _at: &mut Shared, _ctx: &Ctx<'_>) -> Reply {
        Reply::Ignored
    }

    fn click(&mut self, _x: u16, _y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn wheel(&mut self, _lines: isize, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let (_, s) = selected(at, ctx)?;
        let rows =
            s.detail.as_ref()?.gaps.cells().map(|(from, width, n)| format!("{from}\t{}\t{n}", from + width));
        Some(std::iter::once("from_ns\tto_ns\tgaps".to_owned()).chain(rows).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_falls_into_one_column_and_the_ends_are_wide_enough() {
        let mut q = Quantiles::default();
        for _ in 0..90 {
            q.add(1_000_000);
        }
        let (low, high) = range(&q).unwrap();
        assert!(low < 1_000_000.0 && high > 1_000_000.0 && high / low >= 1.99, "{low} {high}");
        for _ in 0..10 {
            q.add(100_000_000);
        }
        let (low, high) = range(&q).unwrap();
        let c = columns(&q, low, high, 40);
        let filled: Vec<f64> = c.iter().copied().filter(|v| *v > 0.0).collect();
        assert_eq!(filled, [90.0, 10.0]);
        assert_eq!(range(&Quantiles::default()), None);
    }
}
