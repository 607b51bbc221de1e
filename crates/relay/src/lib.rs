//! The blind relay: stores sealed envelopes until the receiving device has them.
//!
//! [`run`] is the library's entry: the caller owns the socket and the stop signal, so the binary,
//! `subrosa relay serve`, `subrosa demo` and every test run the same code. A relay never sees who
//! sends, and cannot decrypt: the cryptography crate is not among its dependencies; it verifies
//! Ed25519 signatures and compares hashes.

mod backend;
mod clock;
mod config;
#[cfg(test)]
mod conformance;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod json;
mod ledger;
mod lock;
mod metrics;
mod names;
mod operate;
mod parts;
mod peer;
mod policy;
mod remembered;
pub mod router;
mod shared;
mod sockets;
mod tls;

pub use backend::embedded::copies::{backup, restore};
pub use config::{AcmeSettings, Config, LogFormat, RelayError, Synchronous, Tls};
pub use http::accept::Listen;
pub use operate::{
    command,
    serve::{ServeArgs, init_logging, runtime, serve, serve_with},
    server::{Relay, run},
    settings::{Flags, SettingError},
};
pub use policy::{
    identity,
    limits::{MAX_IN_FLIGHT_SUBMITS, Rate, RateLimits, SUBMIT_UNIT_BYTES},
    registration::RegistrationMode,
};
