//! The dashboard: model to screen, keys to actions.
//!
//! A frame is drawn from the model and the state of the screen, a key becomes [`action::Action`]s
//! that the front end's loop carries out: no clock, socket or file. Only [`terminal`] does I/O, with
//! the terminal.

pub mod action;
pub mod dialog;
pub mod dialogs;
pub mod filter;
pub mod forecast;
pub mod format;
pub mod header;
pub mod keymap;
pub mod keys;
pub mod layer;
pub mod pane;
pub mod popup;
pub mod screen;
pub mod shared;
pub mod terminal;
pub mod theme;
pub mod view;
pub mod widget;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
