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
/// What a login exports from its TLS connection (RFC 5705, RFC 8446 section 7.5), without context.
pub const RELAY_AUTH_EXPORTER: &[u8] = b"EXPORTER-Subrosa-relay-auth-v1";
/// Bytes that a login exports: as many as any hash or key of it has.
pub const RELAY_AUTH_EXPORTER_BYTES: usize = 32;
/// Registration proof, signed by the identity of the first device.
pub const REGISTRATION: &[u8] = b"Subrosa registration v1";
