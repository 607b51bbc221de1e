//! Prekey bundles: only what the certified device signed can start a session.

use ed25519_dalek::{Signer, SigningKey};
use subrosa_crypto::*;

use crate::parties::{Party, verify_bundle};

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
            verify_bundle(&bob, &altered, None, &kem, KemUse::OneTime).unwrap_err(),
            BundleError::BadPrekeySignature,
            "byte {position}"
        );
    }
    for position in (0..kem.len()).step_by(7).chain(kem.len() - 64..kem.len()) {
        let mut altered = kem.clone();
        altered[position] ^= 0x40;
        assert_eq!(
            verify_bundle(&bob, &signed, None, &altered, KemUse::OneTime).unwrap_err(),
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
        verify_bundle(&bob, &signed, None, &last.public_bytes(), KemUse::OneTime).unwrap_err(),
        BundleError::BadKemSignature
    );
    let bundle = verify_bundle(&bob, &signed, None, &last.public_bytes(), KemUse::LastResort).unwrap();
    assert!(!bundle.is_one_time());
    assert!(bob.bundle().is_one_time());
}

#[test]
fn prekeys_of_another_device_are_refused() {
    let (bob, mallory) = (Party::new(), Party::new());
    assert_eq!(
        verify_bundle(&bob, &mallory.signed.public_bytes(), None, &bob.kem.public_bytes(), KemUse::OneTime)
            .unwrap_err(),
        BundleError::BadPrekeySignature
    );
    assert_eq!(
        verify_bundle(&bob, &bob.signed.public_bytes(), None, &mallory.kem.public_bytes(), KemUse::OneTime)
            .unwrap_err(),
        BundleError::BadKemSignature
    );
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
    assert_eq!(
        verify_bundle(&bob, &bob.signed.public_bytes(), None, &kem, KemUse::OneTime).unwrap_err(),
        BundleError::BadKey
    );
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
