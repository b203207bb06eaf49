//! The dashboard as a person meets it: whole screens, and what keys and mouse do.

mod announced;
mod doctor;
mod feeds;
mod hostile;
mod keys;
mod network;
mod screens;
