//! Widgets: pure functions from data into a buffer.

pub mod chart;
pub mod feed;
pub mod frame;
pub mod hex;
pub mod strip;
pub mod table;
