//! Domain-separation labels of the signatures that a relay verifies (`docs/protocol.md`).
//! The other labels live in `subrosa-crypto`, which repeats these.

/// `AccountId = SHA-256(label ‖ account key ‖ recovery hash)`.
pub const ACCOUNT_ID: &[u8] = b"Subrosa account id v1";
/// Device certificate, signed by the account key.
pub const DEVICE_CERTIFICATE: &[u8] = b"Subrosa device certificate v1";
/// Device list, signed by the account key.
pub const DEVICE_LIST: &[u8] = b"Subrosa device list v1";
/// Answer to the relay's challenge, signed by the device identity.
pub const RELAY_AUTH: &[u8] = b"Subrosa relay auth v1";
/// Registration proof, signed by the identity of the first device.
pub const REGISTRATION: &[u8] = b"Subrosa registration v1";
