//! A program in a pseudo-terminal, seen through a terminal emulator: the screen as a person has it, and every byte that
//! was sent to it.
//!
//! For tests and for the pictures of the documentation. Nothing here sleeps: one waits for what the screen shows.

mod emulator;
pub mod keys;
mod terminal;

pub use terminal::{Failed, Result, Terminal};
pub use vt100::{Cell, Color, Parser, Screen};
