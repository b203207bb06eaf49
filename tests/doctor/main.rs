//! `mcscope doctor` in networks that are broken on purpose, one fault a test: what it puts first, what it
//! says of it, and whether its remedy makes the traffic flow. Each test proves its fault first: with
//! a plain listener that hears nothing while a sender sends (or, where the fault is a loss or only a
//! threat, with the kernel's counters). What is well must not be warned of.
//!
//! Skipped where there are no network namespaces, unless `MCSCOPE_REQUIRE_NETNS=1`.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod address;
mod case;
mod craft;
mod firewall;
mod link;
mod membership;
mod noise;
mod notes;
mod plain;
mod querier;
mod socket;
mod view;
mod well;
