//! Every domain separation label in one place: no two uses of a key or a hash share a label,
//! and none is a prefix of another in the same function.
//!
//! The labels that the relay verifies are repeated in `subrosa_wire::labels`; a test in the
//! client engine asserts that they are equal.

/// Hashed into the account id.
pub(crate) const ACCOUNT_ID: &[u8] = b"Subrosa account id v1";
/// Signed by the account key: a device certificate.
pub(crate) const DEVICE_CERTIFICATE: &[u8] = b"Subrosa device certificate v1";
/// Signed by the account key: a device list.
pub(crate) const DEVICE_LIST: &[u8] = b"Subrosa device list v1";
/// Signed by the device identity: a signed prekey.
pub(crate) const SIGNED_PREKEY: &[u8] = b"Subrosa signed prekey v1";
/// Signed by the device identity: a KEM prekey.
pub(crate) const KEM_PREKEY: &[u8] = b"Subrosa KEM prekey v1";
/// Signed by the device identity: the answer to the relay's challenge.
pub(crate) const RELAY_AUTH: &[u8] = b"Subrosa relay auth v1";
/// Signed by the device identity: a registration.
pub(crate) const REGISTRATION: &[u8] = b"Subrosa registration v1";
/// HKDF info of plain X3DH.
pub(crate) const X3DH: &[u8] = b"Subrosa X3DH v1 X25519 SHA-256";
/// HKDF info of the hybrid set-up.
pub(crate) const PQXDH: &[u8] = b"Subrosa PQXDH v1 X25519 SHA-256 ML-KEM-1024";
/// First bytes of a session's associated data.
pub(crate) const SESSION: &[u8] = b"Subrosa session v1";
/// HKDF info of the root step.
pub(crate) const ROOT: &[u8] = b"Subrosa root v1";
/// HKDF info from message key and salt to AEAD key and nonce.
pub(crate) const MESSAGE: &[u8] = b"Subrosa message v1";
/// HKDF info from message key and salt to AEAD key and nonce, in a group.
pub(crate) const GROUP_MESSAGE: &[u8] = b"Subrosa group message v1";
/// First bytes of a group message's associated data.
pub(crate) const GROUP_SENDER: &[u8] = b"Subrosa group sender v1";
/// Signed by a sending chain's own key: a group message.
pub(crate) const GROUP_SIGNATURE: &[u8] = b"Subrosa group message signature v1";
/// HKDF info of a seal's head.
pub(crate) const SEAL_HEAD: &[u8] = b"Subrosa seal head v1";
/// HKDF info of a seal's body.
pub(crate) const SEAL_BODY: &[u8] = b"Subrosa seal body v1";
/// HKDF info of the key under which a seal's sender is shown to one receiver.
pub(crate) const SEAL_SENDER: &[u8] = b"Subrosa seal sender v1";
/// Hashed into the id of what two accounts say to each other.
pub(crate) const CHAT_ID: &[u8] = b"Subrosa chat id v1";
/// Hashed into the id of a content.
pub(crate) const MESSAGE_ID: &[u8] = b"Subrosa message id v1";
/// HKDF info of a contact link's token, which the relay sees.
pub(crate) const LINK_TOKEN: &[u8] = b"Subrosa link token v1";
/// HKDF info of the key that proves to its maker who has a contact link.
pub(crate) const LINK_PROOF: &[u8] = b"Subrosa link proof v1";
/// Signed by a device of a member, or by an account: a change of a group's membership.
pub(crate) const GROUP_CHANGE: &[u8] = b"Subrosa group change v1";
/// Hashed into the id of such a change.
pub(crate) const CHANGE_ID: &[u8] = b"Subrosa change id v1";
/// Signed by a device of an admin: what a group is at some moment.
pub(crate) const GROUP_CHECKPOINT: &[u8] = b"Subrosa group checkpoint v1";
/// Hashed into what a content says of the changes that its author knew.
pub(crate) const GROUP_HEADS: &[u8] = b"Subrosa group heads v1";
