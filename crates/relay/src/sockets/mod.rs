//! The two WebSockets: `/v1/mailbox`, where a device proves who it is, and the anonymous `/v1/submit`.

mod handshake;
mod intake;
pub(crate) mod metered;
mod requests;
pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod submit;
