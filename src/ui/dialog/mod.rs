//! Pop-up dialogs: join, send, running sends, ping, yes or no, and messages.
//!
//! Each is a [`Layer`](crate::ui::layer::Layer): it takes keys, draws itself over the screen, and
//! closes with the actions to carry out. None reads a file, a socket or a clock.

pub mod choice;
pub mod confirm;
pub mod form;
pub mod ifaces;
pub mod input;
pub mod join;
pub mod message;
pub mod ping;
pub mod popup;
pub mod send;
pub mod sends;
#[cfg(test)]
mod testing;
pub mod value;
