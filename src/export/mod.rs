//! The model as text: JSON Lines, CSV, plain lines, tables.
//!
//! Formats are pure functions of the model; who writes them where is the front end's business.

pub mod csv;
pub mod doctor;
pub mod feed;
pub mod health;
pub mod json;
pub mod ping;
pub mod plain;
pub mod soak;
pub mod stats;
pub mod table;
pub mod tree;
