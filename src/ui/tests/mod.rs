//! The dashboard as a person meets it: whole screens, and what keys and mouse do.

mod announced;
mod doctor;
mod feeds;
mod filter;
mod hostile;
mod keymap;
mod keys;
mod network;
mod packets;
mod screens;
mod tables;
