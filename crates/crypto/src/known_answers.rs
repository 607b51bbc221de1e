//! Known answers for the primitives as this crate wraps them: values from the RFCs. The whole protocol is compared with
//! `test-vectors/` in [`crate::vectors`].

use crate::chain_key::ChainKey;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::ed25519::{Ed25519KeyPair, Ed25519PublicKey};
use crate::kdf::hkdf;
use crate::message_key::MessageKey;

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// RFC 7748 section 6.1.
#[test]
fn x25519() {
    let alice =
        Curve25519KeyPair::from_secret(&bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob =
        Curve25519PublicKey::from_bytes(&bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
            .unwrap();
    assert_eq!(*alice.public().as_bytes(), bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(
        *alice.diffie_hellman(&bob).unwrap(),
        bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    );
}

/// RFC 8032 section 7.1, TEST 2.
#[test]
fn ed25519() {
    let pair = Ed25519KeyPair::from_seed(&bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    let public = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    assert_eq!(*pair.public().as_bytes(), public);
    assert_eq!(pair.sign(&[&[0x72]]), signature);
    let public = Ed25519PublicKey::from_bytes(&public).unwrap();
    assert!(public.verify(&[&[0x72]], &signature).is_ok());
    assert!(public.verify(&[&[0x73]], &signature).is_err());
    // The image of the public key belongs to the secret of the image.
    let image = Curve25519KeyPair::from_secret(&pair.x25519_secret());
    assert_eq!(image.public(), public.x25519_image());
}

/// RFC 5869 appendix A.1.
#[test]
fn hkdf_sha256() {
    let salt: [u8; 13] = bytes("000102030405060708090a0b0c");
    let info: [u8; 10] = bytes("f0f1f2f3f4f5f6f7f8f9");
    assert_eq!(
        *hkdf::<42>(&salt, &[0x0b; 22], &[&info[..3], &info[3..]]),
        bytes(
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
             34007208d5b887185865"
        )
    );
}

/// `hmac.new(bytes([7]) * 32, bytes([n]), "sha256")` in Python.
#[test]
fn chain_step() {
    let chain = ChainKey::new(&[7; 32]);
    let (message_key, next) = chain.step();
    assert_eq!(*message_key.as_bytes(), bytes("3d8b2fa2a2537fdcdda46e704966a105722d268d2e9ed43bbe5b1dd9d6802935"));
    assert_eq!(*next.as_bytes(), bytes("469e03123f1c9c6d5c3ffaa260c7fef9f863c0b6af93f7dcae5c13cbfdadfca5"));
    assert_eq!(*chain.next().as_bytes(), bytes("469e03123f1c9c6d5c3ffaa260c7fef9f863c0b6af93f7dcae5c13cbfdadfca5"));
}

#[test]
fn the_salt_decides_aead_key_and_nonce() {
    let key = MessageKey::new(&[1; 32]);
    let seal = |salt| {
        let mut text = vec![0; 32];
        assert!(key.aead_key(crate::labels::MESSAGE, &salt).seal(&[], &mut text, 0));
        text
    };
    assert_eq!(seal([0; 16]), seal([0; 16]));
    assert_ne!(seal([0; 16]), seal([1; 16]));
}
