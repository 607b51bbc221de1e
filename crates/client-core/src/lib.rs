//! The engine of a Subrosa account: keys, sessions, encrypted store, outbox, receipts, sync.
//!
//! One process runs the engine ([`Engine`]); every interface drives it through [`Client`], in the
//! same process or over the account's private socket. The user interface never waits for network
//! or disk: state flows one way, from the engine's events.
#![deny(missing_docs)]

// The support of the integration tests serves the engine's own tests too.
#[cfg(test)]
extern crate self as subrosa_client_core;

pub mod account;
pub mod accounts;
pub mod api;
pub mod backup;
#[cfg(feature = "bulk")]
pub mod bulk;
pub mod caller;
pub mod clean;
pub mod client;
pub mod config;
mod content;
mod conversation;
mod engine;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod home;
pub mod keep;
pub mod keys;
pub mod limits;
pub mod lock;
pub mod net;
pub mod new_file;
pub mod open;
mod receipts;
pub mod relay_access;
pub mod repair;
mod replace;
pub mod requests;
pub mod restore;
pub mod rpc;
pub mod schema;
mod store;
pub mod ticks;
mod times;

pub use api::{ApiError, ErrorKind};
pub use client::{Client, Remote, RemoteCall, dispatch};
pub use conversation::{chat_id, message_id};
pub use engine::{DeviceRequest, Engine, OwnDevice, Provision};
pub use store::words::found_in;
pub use subrosa_wire::qr;
