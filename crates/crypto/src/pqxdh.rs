//! The hybrid set-up: X3DH with an ML-KEM-1024 secret in the same key derivation (Signal's
//! PQXDH, revision 3; `docs/protocol.md`, "Session set-up"), and the associated data of the session.

use zeroize::Zeroizing;

use crate::address::{ADDRESS_LEN, PartyAddress};
use crate::curve25519::{Curve25519KeyPair, NotContributory};
use crate::decoding::put_optional_u32;
use crate::device::{IdentityKey, IdentityKeyPair};
use crate::kdf::{hkdf, sha256};
use crate::kem::KEM_PUBLIC_LEN;
use crate::labels;
use crate::prekeys::{PrekeyBundle, ResponderPrekeys};
use crate::randomness::{Entropy, RandomnessError};
use crate::setup_header::SetupHeader;
use crate::x3dh::{Input, SALT, initiator_input, responder_input};

/// Type byte before an identity key in the associated data: an Ed25519 key.
const IDENTITY_TYPE: u8 = 1;

/// Bytes of a session's associated data.
pub(crate) const ASSOCIATED_DATA_LEN: usize = labels::SESSION.len() + 2 * (1 + 32 + ADDRESS_LEN) + 4 + 5 + 4 + 1 + 32;

/// What both sides know after a set-up.
pub(crate) struct Agreed {
    /// The first root key.
    pub(crate) shared: Zeroizing<[u8; 32]>,
    /// What every message of the session binds.
    pub(crate) associated_data: Vec<u8>,
}

/// Why no set-up was possible.
pub(crate) enum AgreeError {
    Randomness(RandomnessError),
    NotContributory,
}

impl From<NotContributory> for AgreeError {
    fn from(_: NotContributory) -> Self {
        Self::NotContributory
    }
}

/// One side as the associated data names it.
pub(crate) struct Side<'a> {
    pub(crate) identity: &'a IdentityKey,
    pub(crate) address: &'a PartyAddress,
}

/// SK = HKDF-SHA-256(0^32, FF^32 ‖ DH1 ‖ DH2 ‖ DH3 \[‖ DH4\] ‖ KEM secret, info, 32).
fn derive(mut input: Input, kem_secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    input.extend_from_slice(kem_secret);
    hkdf(&SALT, &input, &[labels::PQXDH])
}

/// label ‖ initiator ‖ responder ‖ signed prekey id ‖ presence and one-time id ‖ KEM id ‖
/// KEM use ‖ SHA-256(KEM public key); each side: 0x01 ‖ identity key ‖ account id ‖ device.
///
/// Names and Ed25519 encodings stop unknown key shares and identity misbinding; the KEM key's
/// hash stops re-encapsulation (Bhargavan et al., 2024).
fn associated_data(
    initiator: &Side<'_>,
    responder: &Side<'_>,
    header: &SetupHeader,
    kem_public: &[u8; KEM_PUBLIC_LEN],
) -> Vec<u8> {
    let mut data = Vec::with_capacity(ASSOCIATED_DATA_LEN);
    data.extend_from_slice(labels::SESSION);
    for side in [initiator, responder] {
        data.push(IDENTITY_TYPE);
        data.extend_from_slice(side.identity.as_bytes());
        data.extend_from_slice(&side.address.to_bytes());
    }
    data.extend_from_slice(&header.signed_id.to_be_bytes());
    put_optional_u32(&mut data, header.one_time_id);
    data.extend_from_slice(&header.kem_id.to_be_bytes());
    data.push(header.kem_use.to_byte());
    data.extend_from_slice(&sha256(&[kem_public]));
    data
}

/// The initiator's side, with the header that its first messages carry.
pub(crate) fn initiate(
    local: &IdentityKeyPair,
    local_address: &PartyAddress,
    bundle: &PrekeyBundle,
    entropy: &mut impl Entropy,
) -> Result<(Agreed, SetupHeader), AgreeError> {
    let base = Curve25519KeyPair::generate_from(entropy).map_err(AgreeError::Randomness)?;
    let encapsulated = bundle.kem_key.encapsulate(entropy).map_err(AgreeError::Randomness)?;
    let input = initiator_input(
        local,
        &base,
        &bundle.identity,
        &bundle.signed_key,
        bundle.one_time.as_ref().map(|(_, key)| key),
    )?;
    let header = SetupHeader {
        base_key: base.public(),
        signed_id: bundle.signed_id,
        one_time_id: bundle.one_time.map(|(id, _)| id),
        kem_id: bundle.kem_id,
        kem_use: bundle.kem_use,
        kem_ciphertext: encapsulated.ciphertext,
    };
    let agreed = Agreed {
        shared: derive(input, &encapsulated.secret),
        associated_data: associated_data(
            &Side { identity: &local.public(), address: local_address },
            &Side { identity: &bundle.identity, address: &bundle.address },
            &header,
            bundle.kem_key.as_bytes(),
        ),
    };
    Ok((agreed, header))
}

/// The responder's side. The caller checked that the prekeys are those the header names.
pub(crate) fn accept(
    local: &IdentityKeyPair,
    local_address: &PartyAddress,
    remote: &Side<'_>,
    prekeys: &ResponderPrekeys<'_>,
    header: &SetupHeader,
) -> Result<Agreed, NotContributory> {
    let input = responder_input(
        local,
        prekeys.signed.pair(),
        prekeys.one_time.map(|prekey| prekey.pair()),
        remote.identity,
        &header.base_key,
    )?;
    let kem = prekeys.kem.pair();
    let kem_secret = kem.decapsulate(&header.kem_ciphertext);
    Ok(Agreed {
        shared: derive(input, &kem_secret),
        associated_data: associated_data(
            remote,
            &Side { identity: &local.public(), address: local_address },
            header,
            kem.public().as_bytes(),
        ),
    })
}
