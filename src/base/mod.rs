//! The vocabulary: addresses, group specs, memberships, interfaces, time, units and the batch that
//! carries datagrams from a receiver to the model.
//!
//! Nothing here reads a clock, a socket, a file or a terminal: time and bytes are arguments.

pub mod batch;
pub mod dscp;
pub mod group;
pub mod iface;
pub mod joined;
pub mod prefix;
pub mod registry;
pub mod resolve;
pub mod spec;
pub mod tap;
pub mod text;
pub mod time;
pub mod units;
