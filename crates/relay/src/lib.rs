//! The blind relay: stores sealed envelopes until the receiving device has them.
//!
//! [`run`] is the library's entry: the caller owns the socket and the stop signal, so the binary,
//! `subrosa relay serve`, `subrosa demo` and every test run the same code. A relay never sees who
//! sends, and cannot decrypt: the cryptography crate is not among its dependencies; it verifies
//! Ed25519 signatures and compares hashes.

mod accept;
mod addresses;
pub mod backend;
mod clock;
mod config;
mod descriptors;
mod handshake;
mod http;
pub mod identity;
mod lane;
mod limiter;
mod limits;
mod lock;
mod metered;
mod requests;
pub mod router;
mod serve;
mod server;
mod session;
mod socket;
mod submit;

pub use config::{Config, RelayError, Synchronous};
pub use limits::{Rate, RateLimits};
pub use serve::{ServeArgs, init_logging, serve, serve_with};
pub use server::{Relay, run};
