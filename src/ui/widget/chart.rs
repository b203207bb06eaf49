//! Bars over several rows, an eighth of a cell fine.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::ui::widget::frame::put;

const PARTS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws a bar in each column of `area`, from the left, `top` filling its height. What is more than
/// nothing shows at least the lowest eighth; 0 is a dot on the ground, `None` is blank.
pub fn bars(buf: &mut Buffer, area: Rect, values: impl Iterator<Item = Option<f64>>, top: f64, style: Style) {
    let levels = f64::from(area.height) * 8.0;
    for (x, v) in (area.left()..area.right()).zip(values) {
        let Some(v) = v else { continue };
        let ground = area.bottom().saturating_sub(1);
        if v <= 0.0 {
            put(buf, x, ground, 1, "·", style);
            continue;
        }
        let level = (v / top.max(f64::MIN_POSITIVE) * levels).ceil().clamp(1.0, levels) as usize;
        for row in 0..area.height {
            let part = level.saturating_sub(usize::from(row) * 8).min(8);
            if part > 0 {
                put(buf, x, ground - row, 1, PARTS[part], style);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_rows_from_the_ground_and_nothing_is_not_absent() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 2));
        let area = buf.area;
        let values = [Some(16.0), Some(8.0), Some(12.0), Some(0.01), Some(0.0), None];
        bars(&mut buf, area, values.into_iter(), 16.0, Style::new());
        let row = |y| (0..6).map(|x| buf[(x, y)].symbol()).collect::<String>();
        assert_eq!([row(0), row(1)], ["█ ▄   ", "███▁· "]);
    }
}
