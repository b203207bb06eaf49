//! Sockets and interfaces: bind, join, receive, send. No threads and no model: the engine owns the
//! threads, and what is received goes into a [`crate::base::batch::Batch`] in place.
//!
//! What differs between systems lies in files of its own with one surface: `sys` (numbers,
//! structures, single calls), [`recv`] (how many datagrams are taken at once), [`wake`] (what a
//! waiting thread is woken by), [`iface`] (how interfaces are listed and watched).

pub mod clock;
mod cmsg;
pub mod counters;
pub mod error;
pub mod iface;
pub mod joined;
pub mod limits;
pub mod names;
pub mod packet;
pub mod privilege;
#[cfg(any(target_os = "linux", test))]
pub mod proc;
pub mod recv;
pub mod ring;
pub mod route;
pub mod send;
pub mod socket;
mod sys;
pub mod wake;

pub use error::{Kind, NetError};
