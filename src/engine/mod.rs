//! Threads and channels: the listeners, the supervisor that joins and leaves, the senders, the
//! responder, the demo.

pub mod command;
