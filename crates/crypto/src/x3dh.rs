//! X3DH (Signal's specification, revision 1; `docs/protocol.md`, "Session set-up"): the three or four
//! Diffie-Hellman agreements of a set-up.
//!
//! Sessions use the hybrid form with ML-KEM-1024; the plain form is public so that it can be
//! checked against other implementations.

use zeroize::Zeroizing;

use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey, NotContributory};
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::kdf::hkdf;
use crate::key_error::KeyError;
use crate::labels;

/// FF^32: no X25519 secret or XEdDSA input begins so (X3DH section 2.2).
const PREFIX: [u8; 32] = [0xff; 32];
/// HKDF's salt: zeros of the hash's length (X3DH section 2.2).
pub(crate) const SALT: [u8; 32] = [0; 32];

/// FF^32 ‖ DH1 ‖ DH2 ‖ DH3 \[‖ DH4\], with room for a KEM secret.
pub(crate) type Input = Zeroizing<Vec<u8>>;

fn input() -> Input {
    // Exact capacity: growing would leave a copy of the secrets behind.
    let mut input = Zeroizing::new(Vec::with_capacity(6 * 32));
    input.extend_from_slice(&PREFIX);
    input
}

pub(crate) fn initiator_input(
    identity: &IdentityKeyPair,
    base: &Curve25519KeyPair,
    remote_identity: &IdentityKey,
    signed_prekey: &Curve25519PublicKey,
    one_time: Option<&Curve25519PublicKey>,
) -> Result<Input, NotContributory> {
    let mut input = input();
    input.extend_from_slice(&*identity.agreement().diffie_hellman(signed_prekey)?);
    input.extend_from_slice(&*base.diffie_hellman(&remote_identity.agreement())?);
    input.extend_from_slice(&*base.diffie_hellman(signed_prekey)?);
    if let Some(one_time) = one_time {
        input.extend_from_slice(&*base.diffie_hellman(one_time)?);
    }
    Ok(input)
}

pub(crate) fn responder_input(
    identity: &IdentityKeyPair,
    signed_prekey: &Curve25519KeyPair,
    one_time: Option<&Curve25519KeyPair>,
    remote_identity: &IdentityKey,
    base: &Curve25519PublicKey,
) -> Result<Input, NotContributory> {
    let mut input = input();
    input.extend_from_slice(&*signed_prekey.diffie_hellman(&remote_identity.agreement())?);
    input.extend_from_slice(&*identity.agreement().diffie_hellman(base)?);
    input.extend_from_slice(&*signed_prekey.diffie_hellman(base)?);
    if let Some(one_time) = one_time {
        input.extend_from_slice(&*one_time.diffie_hellman(base)?);
    }
    Ok(input)
}

/// The initiator's side: SK = HKDF-SHA-256(0^32, FF^32 ‖ DH1 ‖ DH2 ‖ DH3 \[‖ DH4\], info, 32).
///
/// DH1 = (identity, signed prekey), DH2 = (base, remote identity), DH3 = (base, signed prekey),
/// DH4 = (base, one-time prekey).
///
/// # Errors
/// [`KeyError::SmallOrder`] if an agreement is not contributory.
pub fn initiate(
    identity: &IdentityKeyPair,
    base: &Curve25519KeyPair,
    remote_identity: &IdentityKey,
    signed_prekey: &Curve25519PublicKey,
    one_time: Option<&Curve25519PublicKey>,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let input = initiator_input(identity, base, remote_identity, signed_prekey, one_time)
        .map_err(|NotContributory| KeyError::SmallOrder)?;
    Ok(hkdf(&SALT, &input, &[labels::X3DH]))
}

/// The responder's side of [`initiate`], with the same result.
///
/// # Errors
/// [`KeyError::SmallOrder`] if an agreement is not contributory.
pub fn accept(
    identity: &IdentityKeyPair,
    signed_prekey: &Curve25519KeyPair,
    one_time: Option<&Curve25519KeyPair>,
    remote_identity: &IdentityKey,
    base: &Curve25519PublicKey,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let input = responder_input(identity, signed_prekey, one_time, remote_identity, base)
        .map_err(|NotContributory| KeyError::SmallOrder)?;
    Ok(hkdf(&SALT, &input, &[labels::X3DH]))
}
