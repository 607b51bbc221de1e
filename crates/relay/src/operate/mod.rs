//! The relay as a program of its host's: settings, commands, starting and stopping, and the socket on which the host asks.

pub(crate) mod admin;
pub mod command;
pub(crate) mod serve;
pub(crate) mod server;
pub(crate) mod settings;
mod supervisor;
