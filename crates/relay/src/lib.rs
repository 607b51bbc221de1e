//! The blind relay: stores sealed envelopes until the receiving device has them.
//!
//! [`run`] is the library's entry: the caller owns the socket and the stop signal, so the binary,
//! `subrosa relay serve`, `subrosa demo` and every test run the same code. A relay never sees who
//! sends, and cannot decrypt: the cryptography crate is not among its dependencies; it verifies
//! Ed25519 signatures and compares hashes.

mod accept;
mod addresses;
mod admin;
pub mod backend;
mod clock;
pub mod command;
mod config;
mod descriptors;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod http;
pub mod identity;
mod json;
mod lane;
mod limiter;
mod limits;
mod lock;
mod metered;
mod metrics;
mod metrics_page;
mod names;
mod peer;
mod registration;
mod remembered;
mod requests;
pub mod router;
mod serve;
mod server;
mod session;
mod settings;
mod shared;
mod socket;
mod submit;
mod supervisor;
mod tls;

pub use accept::Listen;
pub use backend::copies::{backup, restore};
pub use config::{AcmeSettings, Config, LogFormat, RelayError, Synchronous, Tls};
pub use limits::{Rate, RateLimits};
pub use registration::RegistrationMode;
pub use serve::{ServeArgs, init_logging, runtime, serve, serve_with};
pub use server::{Relay, run};
pub use settings::{Flags, SettingError};
