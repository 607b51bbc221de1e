//! The terminal interface: driven only through [`subrosa_client_core::Client`].
//!
//! ```text
//!  terminal ─ keys, paste, mouse ─┐                    ┌─► view ─► terminal
//!                                 ├─► App::update ─────┤
//!  engine ── events, answers ─────┘   (pure state)     └─► effects ─► worker ─► engine
//! ```
//! The state ([`app`]) is changed by one function that waits for nothing; what it wants done comes out as effects, whose
//! outcomes come back as messages. Views are pure functions of the state. So the interface never waits for network or disk,
//! draws only when something changed, and is tested without a terminal.
#![deny(missing_docs)]

pub mod account_service;
mod app;
mod ask;
mod commands;
mod config;
mod editor;
#[cfg(any(test, feature = "fuzzing"))]
// For tests and the fuzz target, which does not use all of it.
#[cfg_attr(not(test), allow(dead_code))]
#[allow(clippy::unwrap_used)]
mod fixture;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod help;
mod hidden;
mod hyperlink;
mod key;
mod keymap;
mod layout;
mod message;
mod model;
mod opener;
mod overlay;
mod run;
mod scroll;
mod sign_in;
mod terminal;
mod text;
mod theme;
mod time;
mod view;
mod worker;

pub use app::Welcome;
pub use config::{Notify, Preview, TuiConfig};
pub use keymap::Profile;
pub use run::{Ending, Options, run};
pub use theme::THEMES;
