//! The screen's own pop-ups: help, palette, column chooser.

pub mod chooser;
pub mod help;
pub mod palette;
