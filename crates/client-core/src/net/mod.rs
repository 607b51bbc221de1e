//! The network: how an engine reaches relays (docs/protocol.md, sections 8 to 10).
//!
//! Three ways, one for each thing a relay is asked:
//! - [`Http`]: a question and its answer (register, resolve, devices, prekeys);
//! - [`Submitter`]: anonymous submissions, to any relay;
//! - [`connect`]: the device's own mailbox, kept open and reopened.
//!
//! Nothing here knows accounts, keys or the store. Everything a relay says is hostile: each frame
//! is decoded by `subrosa-wire`, every wait has an end, every queue a bound, and what does not
//! belong to the protocol ends the connection with an error. Log events carry no ids.

mod acks;
mod backoff;
mod calls;
mod endpoint;
mod error;
mod http;
mod mailbox;
mod network;
mod proxy;
#[cfg(feature = "simulation")]
pub mod simulated;
mod socket;
mod standing;
mod submit;
mod timing;
mod tls;
mod waiting;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub(crate) use backoff::jitter;
pub use endpoint::RelayEndpoint;
pub use error::NetError;
pub use http::Http;
pub use mailbox::{Login, MailboxEvent, MailboxHandle, MailboxSigner, Ready, connect};
pub use network::Network;
pub use proxy::Proxy;
pub use submit::Submitter;
