//! The dashboard: model to screen, keys to actions.
//!
//! Nothing here reads a clock, a socket or a file: a frame is drawn from the model and the state of
//! the screen, a key becomes [`action::Action`]s that the front end's loop carries out.

pub mod action;
pub mod dialog;
pub mod layer;
pub mod theme;
