//! Colours by meaning. Every one has a second sign, so that nothing is lost without colour.

use ratatui::style::{Color, Modifier, Style};

use crate::model::source::State;

/// Styles by meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// Ordinary text.
    pub text: Style,
    /// Labels, headings, units, borders.
    pub dim: Style,
    /// Live, fine.
    pub live: Style,
    /// Quiet for longer than usual.
    pub idle: Style,
    /// Expected and missing.
    pub silent: Style,
    /// Failed, lost, dropped.
    pub bad: Style,
    /// The selected row, over the style of its cells.
    pub selected: Style,
    /// The mark at the left edge of the selected row, active tabs, the key caps of the footer.
    pub accent: Style,
    /// Sent by us.
    pub ours: Style,
    /// Seen on the wire, not joined.
    pub wire: Style,
    /// Titles.
    pub title: Style,
    /// The part of a text that a filter matched.
    pub matched: Style,
    /// Strips and charts.
    pub chart: Style,
    /// A row that has just changed state.
    pub flash: Style,
}

impl Theme {
    /// The themes there are, in words.
    pub const NAMES: &str = "dark, light and mono exist";

    /// The named theme: `dark`, `light` or `mono`.
    pub fn named(name: &str) -> Option<Theme> {
        match name {
            "dark" => Some(Theme::dark()),
            "light" => Some(Theme::light()),
            "mono" => Some(Theme::mono()),
            _ => None,
        }
    }

    /// For dark backgrounds, which stay as the terminal has them.
    pub fn dark() -> Theme {
        let fg = |r, g, b| Style::new().fg(Color::Rgb(r, g, b));
        Theme {
            text: Style::new(),
            dim: fg(0x7a, 0x84, 0x90),
            live: fg(0x5f, 0xd7, 0x87),
            idle: fg(0x9a, 0xa3, 0xad),
            silent: fg(0xf0, 0xc0, 0x50),
            bad: fg(0xff, 0x6b, 0x6b),
            selected: Style::new().bg(Color::Rgb(0x1e, 0x2d, 0x3d)),
            accent: fg(0x56, 0xc8, 0xd8),
            ours: fg(0x56, 0xc8, 0xd8),
            wire: fg(0x6c, 0xa8, 0xff),
            title: Style::new().add_modifier(Modifier::BOLD),
            matched: Style::new().add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
            chart: fg(0x4f, 0xa8, 0x8b),
            flash: Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// For light backgrounds.
    pub fn light() -> Theme {
        let fg = |r, g, b| Style::new().fg(Color::Rgb(r, g, b));
        Theme {
            text: Style::new(),
            dim: fg(0x70, 0x78, 0x80),
            live: fg(0x1a, 0x7f, 0x37),
            idle: fg(0x5a, 0x62, 0x6a),
            silent: fg(0x9a, 0x67, 0x00),
            bad: fg(0xcf, 0x22, 0x2e),
            selected: Style::new().bg(Color::Rgb(0xdd, 0xea, 0xf6)),
            accent: fg(0x05, 0x6d, 0x8a),
            ours: fg(0x05, 0x6d, 0x8a),
            wire: fg(0x09, 0x50, 0xc8),
            title: Style::new().add_modifier(Modifier::BOLD),
            matched: Style::new().add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
            chart: fg(0x2a, 0x7f, 0x62),
            flash: Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// Without colour (`NO_COLOR`): the second signs carry the meaning.
    pub fn mono() -> Theme {
        let (plain, bold) = (Style::new(), Style::new().add_modifier(Modifier::BOLD));
        Theme {
            text: plain,
            dim: Style::new().add_modifier(Modifier::DIM),
            live: plain,
            idle: Style::new().add_modifier(Modifier::DIM),
            silent: bold,
            bad: bold,
            selected: Style::new().add_modifier(Modifier::REVERSED),
            accent: bold,
            ours: plain,
            wire: plain,
            title: bold,
            matched: Style::new().add_modifier(Modifier::UNDERLINED),
            chart: plain,
            flash: Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The style and the sign of a state.
    pub fn state(&self, state: State) -> (Style, &'static str) {
        match state {
            State::Joining => (self.dim, "◔"),
            State::Live => (self.live, "●"),
            State::Idle => (self.idle, "○"),
            State::Silent => (self.silent, "◌"),
            State::Failed => (self.bad, "✕"),
        }
    }
}
