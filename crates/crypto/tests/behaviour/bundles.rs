//! Prekey bundles: only what the certified device signed can start a session.

use ed25519_dalek::{Signer, SigningKey};
use subrosa_crypto::*;

use crate::parties::Party;

fn verify(
    party: &Party,
    signed: &[u8],
    one_time: Option<&[u8]>,
    kem: &[u8],
    kem_use: KemUse,
) -> Result<PrekeyBundle, BundleError> {
    PrekeyBundle::verify(&party.certificate, signed, one_time, kem, kem_use)
}

#[test]
fn one_flipped_bit_in_any_signature_or_signed_key_is_refused() {
    let bob = Party::new();
    let signed = bob.signed.public_bytes();
    let kem = bob.kem.public_bytes();
    assert_eq!((signed.len(), kem.len()), (100, 1636));
    for position in 0..signed.len() {
        let mut altered = signed;
        altered[position] ^= 0x04;
        assert_eq!(
            verify(&bob, &altered, None, &kem, KemUse::OneTime).unwrap_err(),
            BundleError::BadPrekeySignature,
            "byte {position}"
        );
    }
    for position in (0..kem.len()).step_by(7).chain(kem.len() - 64..kem.len()) {
        let mut altered = kem.clone();
        altered[position] ^= 0x40;
        assert_eq!(
            verify(&bob, &signed, None, &altered, KemUse::OneTime).unwrap_err(),
            BundleError::BadKemSignature,
            "byte {position}"
        );
    }
}

#[test]
fn a_last_resort_key_does_not_pass_as_a_one_time_key() {
    let bob = Party::new();
    let last = KemPrekeyPair::generate(1, &bob.identity, KemUse::LastResort).unwrap();
    let signed = bob.signed.public_bytes();
    assert_eq!(
        verify(&bob, &signed, None, &last.public_bytes(), KemUse::OneTime).unwrap_err(),
        BundleError::BadKemSignature
    );
    let bundle = verify(&bob, &signed, None, &last.public_bytes(), KemUse::LastResort).unwrap();
    assert!(!bundle.is_one_time());
    assert!(bob.bundle().is_one_time());
}

#[test]
fn prekeys_of_another_device_are_refused() {
    let (bob, mallory) = (Party::new(), Party::new());
    assert_eq!(
        verify(&bob, &mallory.signed.public_bytes(), None, &bob.kem.public_bytes(), KemUse::OneTime).unwrap_err(),
        BundleError::BadPrekeySignature
    );
    assert_eq!(
        verify(&bob, &bob.signed.public_bytes(), None, &mallory.kem.public_bytes(), KemUse::OneTime).unwrap_err(),
        BundleError::BadKemSignature
    );
}

/// The u-coordinates of small order, then encodings that are not canonical.
fn bad_x25519_keys() -> Vec<[u8; 32]> {
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0900000000000000000000000000000000000000000000000000000000000080",
    ]
    .map(|text| hex::decode(text).unwrap().try_into().unwrap())
    .to_vec()
}

#[test]
fn small_order_and_non_canonical_prekeys_are_refused_even_when_signed() {
    let bob = Party::new();
    let signer = SigningKey::from_bytes(&bob.identity.seed());
    let kem = bob.kem.public_bytes();
    for key in bad_x25519_keys() {
        assert!(Curve25519PublicKey::from_bytes(&key).is_err());

        let mut signed_part = b"Subrosa signed prekey v1\x01".to_vec();
        signed_part.extend_from_slice(&[0, 0, 0, 5]);
        signed_part.extend_from_slice(&key);
        let mut signed = vec![0, 0, 0, 5];
        signed.extend_from_slice(&key);
        signed.extend_from_slice(&signer.sign(&signed_part).to_bytes());
        assert_eq!(verify(&bob, &signed, None, &kem, KemUse::OneTime).unwrap_err(), BundleError::BadKey);

        let mut one_time = vec![0, 0, 0, 6];
        one_time.extend_from_slice(&key);
        assert_eq!(
            verify(&bob, &bob.signed.public_bytes(), Some(&one_time), &kem, KemUse::OneTime).unwrap_err(),
            BundleError::BadKey
        );
    }
}

#[test]
fn an_ml_kem_key_with_coefficients_out_of_range_is_refused_even_when_signed() {
    let bob = Party::new();
    let signer = SigningKey::from_bytes(&bob.identity.seed());
    let key = [0xff; 1568];
    let mut signed_part = b"Subrosa KEM prekey v1\x02".to_vec();
    signed_part.extend_from_slice(&[0, 0, 0, 5]);
    signed_part.extend_from_slice(&key);
    let mut kem = vec![0, 0, 0, 5];
    kem.extend_from_slice(&key);
    kem.extend_from_slice(&signer.sign(&signed_part).to_bytes());
    assert_eq!(verify(&bob, &bob.signed.public_bytes(), None, &kem, KemUse::OneTime).unwrap_err(), BundleError::BadKey);
}

#[test]
fn prekey_secrets_go_through_their_bytes() {
    let bob = Party::new();
    let signed = SignedPrekeyPair::from_secret_bytes(&bob.signed.to_secret_bytes()).unwrap();
    assert_eq!(signed.public_bytes(), bob.signed.public_bytes());
    let one_time = OneTimePrekeyPair::from_secret_bytes(&bob.one_time.to_secret_bytes()).unwrap();
    assert_eq!(one_time.public_bytes(), bob.one_time.public_bytes());
    let kem = KemPrekeyPair::from_secret_bytes(&bob.kem.to_secret_bytes()).unwrap();
    assert_eq!(kem.public_bytes(), bob.kem.public_bytes());
    assert_eq!(kem.kem_use(), KemUse::OneTime);
    assert_eq!((signed.id(), one_time.id(), kem.id()), (11, 12, 13));
}
