//! The dashboard as a person meets it: whole screens, and what keys and mouse do.

mod doctor;
mod feeds;
mod keys;
mod screens;
