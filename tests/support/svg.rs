//! A picture of a terminal's screen as SVG, by our own hand: no font and no tool is needed to make
//! it, it can be read in a diff, and every viewer shows it alike.
//!
//! Text stands in runs whose length is set, so that the viewer's own monospaced font fits the grid.
//! Blocks, box lines and braille are drawn as shapes: they join without gaps in any font.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// Width of a cell, in the picture's units. Even, so that a light line in the middle is sharp.
const W: i32 = 8;
/// Height of a cell.
const H: i32 = 18;
/// Where the text stands, from the top of its cell.
const BASELINE: i32 = 14;
/// Size of the font: a monospaced letter is about 0.6 of it wide.
const FONT: f32 = 13.3;
/// Space around the screen.
const MARGIN: i32 = 10;

/// An RGB colour.
type Rgb = (u8, u8, u8);

/// The screen's own colours, where a cell has none.
const FORE: Rgb = (0xd8, 0xd8, 0xd8);
const BACK: Rgb = (0x12, 0x12, 0x18);

/// The sixteen named colours, as widely used terminals have them.
const NAMED: [Rgb; 16] = [
    (0x1c, 0x1c, 0x22),
    (0xcd, 0x31, 0x31),
    (0x0d, 0xbc, 0x79),
    (0xd9, 0xc0, 0x40),
    (0x3b, 0x82, 0xd8),
    (0xbc, 0x3f, 0xbc),
    (0x11, 0xa8, 0xcd),
    (0xd0, 0xd0, 0xd0),
    (0x70, 0x70, 0x78),
    (0xf1, 0x4c, 0x4c),
    (0x23, 0xd1, 0x8b),
    (0xf5, 0xe0, 0x50),
    (0x5a, 0xa0, 0xf0),
    (0xd6, 0x70, 0xd6),
    (0x29, 0xb8, 0xdb),
    (0xf5, 0xf5, 0xf5),
];

/// How a run of text looks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Style {
    colour: Rgb,
    bold: bool,
    italic: bool,
}

/// Text side by side in one style.
struct Run {
    col: u16,
    cells: u16,
    text: String,
    style: Style,
}

/// The picture of a screen, with a title for those who cannot see it.
pub fn picture(screen: &Screen, title: &str) -> String {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let (width, height) = (i32::from(cols) * W + 2 * MARGIN, i32::from(rows) * H + 2 * MARGIN);
    let mut behind = String::new();
    let mut letters = String::new();
    let mut shapes: BTreeMap<Rgb, String> = BTreeMap::new();
    let mut lines: BTreeMap<Rgb, String> = BTreeMap::new();
    for row in 0..rows {
        let mut runs: Vec<Run> = Vec::new();
        let mut back: Option<(u16, u16, Rgb)> = None;
        let mut rule: Option<(u16, u16, Rgb)> = None;
        for col in 0..cols {
            let Some(cell) = screen.cell(row, col) else { continue };
            let (fore, behind_it) = colours(cell);
            extend(&mut back, col, behind_it, |(from, to, colour)| {
                background(&mut behind, row, from, to, colour)
            });
            let (x, y) = (i32::from(col) * W, i32::from(row) * H);
            let mut chars = cell.contents().chars();
            let first = chars.next().filter(|c| *c != ' ');
            if let Some(c) = first {
                if c == '─' {
                    extend(&mut rule, col, fore, |r| horizontal(&mut lines, row, r));
                } else if let Some(path) = line(c, x, y) {
                    lines.entry(fore).or_default().push_str(&path);
                } else if let Some(path) = shape(c, x, y) {
                    shapes.entry(fore).or_default().push_str(&path);
                } else {
                    add_text(&mut runs, cell, col, fore);
                }
            }
            if cell.underline() && !cell.is_wide_continuation() {
                let _ = write!(shapes.entry(fore).or_default(), "M{x} {}h{W}v1h-{W}z", y + BASELINE + 2);
            }
        }
        if let Some((from, to, colour)) = back {
            background(&mut behind, row, from, to, colour);
        }
        if let Some(r) = rule {
            horizontal(&mut lines, row, r);
        }
        for run in runs {
            text(&mut letters, row, &run);
        }
    }
    if !screen.hide_cursor() {
        let (row, col) = screen.cursor_position();
        let (x, y) = (i32::from(col) * W, i32::from(row) * H);
        let _ = writeln!(
            behind,
            r#"<rect x="{x}" y="{y}" width="{W}" height="{H}" fill="{}" opacity=".5"/>"#,
            hex(FORE)
        );
    }
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{}</title>
<rect width="{width}" height="{height}" rx="8" fill="{}"/>
<g transform="translate({MARGIN} {MARGIN})" xml:space="preserve" font-family="ui-monospace,'DejaVu Sans Mono',SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace" font-size="{FONT}">
{behind}"#,
        escape(title),
        hex(BACK),
    );
    for (colour, path) in shapes {
        let _ = writeln!(out, r#"<path fill="{}" d="{path}"/>"#, hex(colour));
    }
    for (colour, path) in lines {
        // Half a unit aside a line of width 1 covers whole pixels.
        let stroke = hex(colour);
        let _ =
            writeln!(out, r#"<path fill="none" stroke="{stroke}" transform="translate(.5 .5)" d="{path}"/>"#);
    }
    out + &letters + "</g>\n</svg>\n"
}

/// Lengthens a stretch of one colour by this cell, or hands it over and begins another.
fn extend(
    stretch: &mut Option<(u16, u16, Rgb)>,
    col: u16,
    colour: Rgb,
    mut finish: impl FnMut((u16, u16, Rgb)),
) {
    match stretch {
        Some((_, to, c)) if *to == col && *c == colour => *to = col + 1,
        _ => {
            if let Some(done) = stretch.replace((col, col + 1, colour)) {
                finish(done);
            }
        }
    }
}

fn background(out: &mut String, row: u16, from: u16, to: u16, colour: Rgb) {
    if colour != BACK {
        let (x, y, w) = (i32::from(from) * W, i32::from(row) * H, i32::from(to - from) * W);
        let _ = writeln!(out, r#"<rect x="{x}" y="{y}" width="{w}" height="{H}" fill="{}"/>"#, hex(colour));
    }
}

fn horizontal(lines: &mut BTreeMap<Rgb, String>, row: u16, (from, to, colour): (u16, u16, Rgb)) {
    let (x, y, w) = (i32::from(from) * W, i32::from(row) * H + H / 2, i32::from(to - from) * W);
    let _ = write!(lines.entry(colour).or_default(), "M{x} {y}h{w}");
}

/// Adds a cell to the last run if it continues it. A letter that the viewer's font may take from
/// another font, with another width, stands alone in its cell.
fn add_text(runs: &mut Vec<Run>, cell: &Cell, col: u16, colour: Rgb) {
    let style = Style { colour, bold: cell.bold(), italic: cell.italic() };
    let cells = if cell.is_wide() { 2 } else { 1 };
    let plain = |t: &str| t.chars().all(|c| c.is_ascii() || ('\u{a0}'..='\u{17f}').contains(&c));
    match runs.last_mut() {
        Some(run)
            if run.style == style
                && (run.col + run.cells..=run.col + run.cells + 1).contains(&col)
                && plain(&run.text)
                && plain(cell.contents()) =>
        {
            // One blank inside a sentence does not end the run.
            if col > run.col + run.cells {
                run.text.push(' ');
                run.cells += 1;
            }
            run.text.push_str(cell.contents());
            run.cells += cells;
        }
        _ => runs.push(Run { col, cells, text: cell.contents().into(), style }),
    }
}

fn text(out: &mut String, row: u16, run: &Run) {
    let (x, y, w) = (i32::from(run.col) * W, i32::from(row) * H + BASELINE, i32::from(run.cells) * W);
    let _ = write!(out, r#"<text x="{x}" y="{y}" textLength="{w}" lengthAdjust="spacingAndGlyphs" "#);
    let _ = write!(out, r#"fill="{}""#, hex(run.style.colour));
    if run.style.bold {
        out.push_str(r#" font-weight="bold""#);
    }
    if run.style.italic {
        out.push_str(r#" font-style="italic""#);
    }
    let _ = writeln!(out, ">{}</text>", escape(&run.text));
}

/// Box lines, as strokes through the middle of the cell; `─` is drawn in stretches elsewhere.
fn line(c: char, x: i32, y: i32) -> Option<String> {
    let (mx, my, r) = (x + W / 2, y + H / 2, W / 2);
    let (right, bottom) = (x + W, y + H);
    Some(match c {
        '│' => format!("M{mx} {y}v{H}"),
        '╭' => format!("M{mx} {bottom}V{}Q{mx} {my} {right} {my}", my + r),
        '╮' => format!("M{mx} {bottom}V{}Q{mx} {my} {x} {my}", my + r),
        '╰' => format!("M{mx} {y}V{}Q{mx} {my} {right} {my}", my - r),
        '╯' => format!("M{mx} {y}V{}Q{mx} {my} {x} {my}", my - r),
        '┌' => format!("M{mx} {bottom}V{my}H{right}"),
        '┐' => format!("M{mx} {bottom}V{my}H{x}"),
        '└' => format!("M{mx} {y}V{my}H{right}"),
        '┘' => format!("M{mx} {y}V{my}H{x}"),
        '├' => format!("M{mx} {y}v{H}M{mx} {my}H{right}"),
        '┤' => format!("M{mx} {y}v{H}M{mx} {my}H{x}"),
        '┬' => format!("M{x} {my}h{W}M{mx} {my}V{bottom}"),
        '┴' => format!("M{x} {my}h{W}M{mx} {my}V{y}"),
        '┼' => format!("M{x} {my}h{W}M{mx} {y}v{H}"),
        '╴' => format!("M{x} {my}H{mx}"),
        '╵' => format!("M{mx} {y}V{my}"),
        '╶' => format!("M{mx} {my}H{right}"),
        '╷' => format!("M{mx} {my}V{bottom}"),
        '┄' | '┈' | '╌' => format!("M{x} {my}h2m2 0h2"),
        '┆' | '┊' | '╎' => format!("M{mx} {y}v3m0 3v3m0 3v3"),
        _ => return None,
    })
}

/// Blocks, shades, heavy lines and braille, as filled shapes.
fn shape(c: char, x: i32, y: i32) -> Option<String> {
    let rect = |x: f32, y: f32, w: f32, h: f32| format!("M{x} {y}h{w}v{h}h-{w}z");
    let (fx, fy, w, h) = (x as f32, y as f32, W as f32, H as f32);
    // A block of this many eighths, as coordinates without needless digits.
    Some(match c {
        '█' => rect(fx, fy, w, h),
        '▁'..='▇' => {
            let part = h * (c as u32 - 0x2580) as f32 / 8.0;
            rect(fx, fy + h - part, w, part)
        }
        '▉'..='▏' => rect(fx, fy, w * (0x2590 - c as u32) as f32 / 8.0, h),
        '▀' => rect(fx, fy, w, h / 2.0),
        '▐' => rect(fx + w / 2.0, fy, w / 2.0, h),
        '▔' => rect(fx, fy, w, h / 8.0),
        '▕' => rect(fx + w * 7.0 / 8.0, fy, w / 8.0, h),
        '▖'..='▟' => {
            // Which quarters: upper left, upper right, lower left, lower right.
            const QUARTERS: [u8; 10] = [2, 1, 8, 11, 9, 14, 13, 4, 6, 7];
            let bits = QUARTERS[(c as u32 - 0x2596) as usize];
            let mut path = String::new();
            for (bit, dx, dy) in [(8, 0.0, 0.0), (4, 1.0, 0.0), (2, 0.0, 1.0), (1, 1.0, 1.0)] {
                if bits & bit != 0 {
                    path += &rect(fx + dx * w / 2.0, fy + dy * h / 2.0, w / 2.0, h / 2.0);
                }
            }
            path
        }
        '░' | '▒' | '▓' => {
            // A raster of dots: one, two or three in four.
            let dots = c as usize - 0x2590;
            let places = [(0, 0), (1, 1), (1, 0)];
            let mut path = String::new();
            for (px, py) in (0..W / 2).flat_map(|i| (0..H / 2).map(move |j| (2 * i, 2 * j))) {
                for (dx, dy) in &places[..dots] {
                    let _ = write!(path, "M{} {}h1v1h-1z", x + px + dx, y + py + dy);
                }
            }
            path
        }
        '━' => rect(fx, fy + h / 2.0 - 1.0, w, 2.0),
        '┃' => rect(fx + w / 2.0 - 1.0, fy, 2.0, h),
        '═' => rect(fx, fy + h / 2.0 - 2.0, w, 1.0) + &rect(fx, fy + h / 2.0 + 1.0, w, 1.0),
        '║' => rect(fx + w / 2.0 - 2.0, fy, 1.0, h) + &rect(fx + w / 2.0 + 1.0, fy, 1.0, h),
        '\u{2801}'..='\u{28ff}' => {
            // Unicode counts the dots 1-3 and 7 down the left column, 4-6 and 8 down the right.
            const PLACES: [(f32, f32); 8] =
                [(0., 0.), (0., 1.), (0., 2.), (1., 0.), (1., 1.), (1., 2.), (0., 3.), (1., 3.)];
            let bits = c as u32 - 0x2800;
            let mut path = String::new();
            for (i, (col, row)) in PLACES.iter().enumerate() {
                if bits >> i & 1 != 0 {
                    path += &rect(fx + 1.0 + col * w / 2.0, fy + 1.25 + row * h / 4.0, 2.0, 2.0);
                }
            }
            path
        }
        _ => return None,
    })
}

/// Foreground and background of a cell as they are seen.
fn colours(cell: &Cell) -> (Rgb, Rgb) {
    let bright = cell.bold() && matches!(cell.fgcolor(), Color::Idx(0..8));
    let mut fore = match cell.fgcolor() {
        Color::Idx(i) if bright => rgb(Color::Idx(i + 8), FORE),
        other => rgb(other, FORE),
    };
    let mut back = rgb(cell.bgcolor(), BACK);
    if cell.inverse() {
        std::mem::swap(&mut fore, &mut back);
    }
    if cell.dim() {
        let mix = |f: u8, b: u8| ((u16::from(f) * 11 + u16::from(b) * 9) / 20) as u8;
        fore = (mix(fore.0, back.0), mix(fore.1, back.1), mix(fore.2, back.2));
    }
    (fore, back)
}

fn rgb(colour: Color, default: Rgb) -> Rgb {
    match colour {
        Color::Default => default,
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Idx(i @ 0..16) => NAMED[usize::from(i)],
        // xterm's cube of 6 x 6 x 6, then its ramp of 24 greys.
        Color::Idx(i @ 16..232) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = i - 16;
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        Color::Idx(i) => {
            let grey = 8 + 10 * (i - 232);
            (grey, grey, grey)
        }
    }
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
