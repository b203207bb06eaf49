//! mcscope: an oscilloscope for IP multicast in a terminal.
//!
//! A folder is a layer, and imports only point down: [`base`] (the vocabulary), [`wire`] (bytes to
//! meaning), [`model`] (what is known), [`net`] (sockets and interfaces), [`doctor`] (why a group does
//! not arrive), [`engine`] (threads and channels), [`export`] (text formats), [`ui`] (the dashboard),
//! [`cli`] and [`config`] (where they meet).

pub mod base;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod export;
pub mod model;
pub mod net;
pub mod ui;
pub mod wire;
