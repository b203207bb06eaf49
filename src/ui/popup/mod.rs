//! The screen's own pop-ups: help, palette, column and protocol chooser.

pub mod chooser;
pub mod help;
pub mod palette;
pub mod protocol;
