//! The screen's own pop-ups: help, palette, column and protocol chooser, announced sessions.

pub mod chooser;
pub mod help;
pub mod palette;
pub mod protocol;
pub mod sessions;
