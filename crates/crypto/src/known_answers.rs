//! Known answers: the primitives as this crate wraps them (values from the RFCs), and one
//! conversation with fixed randomness. The conversation's values were computed from
//! `docs/protocol.md` by an independent implementation (Python with OpenSSL), so they are not
//! just what this code happened to write.

use crate::account::{AccountKeyPair, AccountRecord};
use crate::certificate::DeviceCertificate;
use crate::chain_key::ChainKey;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::device::IdentityKeyPair;
use crate::ed25519::{Ed25519KeyPair, Ed25519PublicKey};
use crate::kdf::{hkdf, sha256};
use crate::kem::KemUse;
use crate::message_key::MessageKey;
use crate::prekeys::{KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, ResponderPrekeys, SignedPrekeyPair};
use crate::randomness::{Entropy, RandomnessError};
use crate::safety_number::safety_number;
use crate::seal::{SealTarget, SealedContent, open, seal_from};
use crate::session::Session;

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
    assert_eq!(*image.public().as_bytes(), public.x25519_image());
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
    assert_eq!(*message_key.as_bytes(), bytes(CHAIN_MESSAGE_KEY));
    assert_eq!(*next.as_bytes(), bytes(CHAIN_NEXT));
    assert_eq!(*chain.next().as_bytes(), bytes(CHAIN_NEXT));
}

#[test]
fn the_salt_decides_aead_key_and_nonce() {
    let key = MessageKey::new(&[1; 32]);
    let seal = |salt| {
        let mut text = vec![0; 32];
        assert!(key.aead_key(&salt).seal(&[], &mut text, 0));
        text
    };
    assert_eq!(seal([0; 16]), seal([0; 16]));
    assert_ne!(seal([0; 16]), seal([1; 16]));
}

/// Fills its n-th request, counted from `start`, with the byte n.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        buffer.fill(self.0);
        self.0 += 1;
        Ok(())
    }
}

fn secret_bytes(id: u32, middle: &[u8]) -> Vec<u8> {
    [&[1][..], &id.to_be_bytes(), middle].concat()
}

#[test]
fn a_conversation_with_fixed_randomness() {
    let account_a = AccountKeyPair::from_seed(&[0xa0; 32]);
    let account_b = AccountKeyPair::from_seed(&[0xb0; 32]);
    let record_a = AccountRecord::new(account_a.public(), [0xa9; 32]);
    let record_b = AccountRecord::new(account_b.public(), [0xb9; 32]);
    let alice = IdentityKeyPair::from_seed(&[0xa1; 32]);
    let bob = IdentityKeyPair::from_seed(&[0xb1; 32]);
    let certificate_a =
        DeviceCertificate::issue(&account_a, &record_a.id(), 1, &alice.public(), 1).verify(&record_a).unwrap();
    let certificate_b =
        DeviceCertificate::issue(&account_b, &record_b.id(), 2, &bob.public(), 1).verify(&record_b).unwrap();

    // Prekeys with fixed secrets, signed with the identity.
    let signed_pair = Curve25519KeyPair::from_secret(&[0xb2; 32]);
    let signature = bob.sign(&[b"Subrosa signed prekey v1", &[1], &[0, 0, 0, 21], signed_pair.public().as_bytes()]);
    let signed =
        SignedPrekeyPair::from_secret_bytes(&secret_bytes(21, &[&[0xb2; 32][..], &signature].concat())).unwrap();
    let one_time = OneTimePrekeyPair::from_secret_bytes(&secret_bytes(22, &[0xb3; 32])).unwrap();
    let unsigned = secret_bytes(23, &[&[2][..], &[0xb4; 64], &[0; 64]].concat());
    let unsigned = KemPrekeyPair::from_secret_bytes(&unsigned).unwrap();
    let kem_signature = bob.sign(&[b"Subrosa KEM prekey v1", &[2], &[0, 0, 0, 23], &unsigned.public_bytes()[4..1572]]);
    let kem =
        KemPrekeyPair::from_secret_bytes(&secret_bytes(23, &[&[2][..], &[0xb4; 64], &kem_signature].concat())).unwrap();
    let bundle = PrekeyBundle::verify(
        &certificate_b,
        &signed.public_bytes(),
        Some(&one_time.public_bytes()),
        &kem.public_bytes(),
        KemUse::OneTime,
    )
    .unwrap();

    // The ML-KEM ciphertext is the one value the independent implementation took as given (it
    // has no encapsulation with chosen randomness); it decapsulated it to the same secret.
    // Base key 01.., KEM randomness 02.., first ratchet key 03.., salts 04.. and 05...
    let mut entropy = Counting(1);
    let a = Session::initiate_from(&alice, &certificate_a.address(), &bundle, &mut entropy).unwrap();
    let commit = |step: crate::Step<crate::Ciphertext>| step.commit(|_| Ok::<_, ()>(())).unwrap();
    let (a, first) = commit(a.encrypt_from(b"one", &mut entropy).unwrap());
    let (a, second) = commit(a.encrypt_from(b"two", &mut entropy).unwrap());
    let prekeys = ResponderPrekeys { signed: &signed, one_time: Some(&one_time), kem: &kem };
    let (b, text) = Session::accept(&bob, &certificate_b.address(), &certificate_a, &prekeys, &first.message)
        .unwrap()
        .commit(|_| Ok::<_, ()>(()))
        .unwrap();
    assert_eq!(text.as_bytes(), b"one");
    // Ratchet key 11.., salt 12...
    let (_, third) = commit(b.encrypt_from(b"three", &mut Counting(0x11)).unwrap());
    let (a, _) = a.decrypt(third.kind, &third.message).unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    // Ratchet key 06.., salt 07...
    let (_, fourth) = commit(a.encrypt_from(b"four", &mut entropy).unwrap());

    // Ephemeral key 31.., body key 32...
    let content = SealedContent::session(record_a.id(), *certificate_a.certificate(), fourth.message.clone());
    let target = SealTarget { address: certificate_b.address(), identity: certificate_b.identity() };
    let sealed = seal_from(&[target], &content, &mut Counting(0x31)).unwrap();
    assert!(open(&bob, &certificate_b.address(), &sealed.heads[0], &sealed.body).unwrap() == content);
    let number = safety_number((&record_a.id(), record_a.account_key()), (&record_b.id(), record_b.account_key()));

    let hash = |message: &[u8]| hex::encode(sha256(&[message]));
    assert_eq!(hash(&first.message), FIRST);
    assert_eq!(hash(&second.message), SECOND);
    assert_eq!(hex::encode(&third.message), THIRD);
    assert_eq!(hex::encode(&fourth.message), FOURTH);
    assert_eq!(hex::encode(sealed.heads[0]), HEAD);
    assert_eq!(hash(&sealed.body), BODY);
    assert_eq!(number.digits(), SAFETY_NUMBER);
}

const CHAIN_MESSAGE_KEY: &str = "3d8b2fa2a2537fdcdda46e704966a105722d268d2e9ed43bbe5b1dd9d6802935";
const CHAIN_NEXT: &str = "469e03123f1c9c6d5c3ffaa260c7fef9f863c0b6af93f7dcae5c13cbfdadfca5";
const FIRST: &str = "bfb0cd6096de311e54841d3b9fa9146a6dfa6622c5a0f5bd4cc5cf3ee815db72";
const SECOND: &str = "672e5b7d2e7d29d319fbb0b0767fc34499d76ddd7923da60f7e74220fee3472f";
const THIRD: &str = "017b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f\
    13000000000000000012121212121212121212121212121212e101169c04430b\
    bd66f4883b24678cd370d373a628";
const FOURTH: &str = "01f5b2d6e60f9477e310c2982daaa6c9136c108a1777c5947e448fa37d681745\
    57000000020000000007070707070707070707070707070707575dbc90cbb510\
    c077af84de2760724a637fa71a";
const HEAD: &str = "09c445f0e2c51f338db6a8dc2ff4811b2efc203248edefaa63cfe1bcd4b3b4c0\
    da5682c23bc15beaa7a748cd2012e086";
const BODY: &str = "dff360fce685a1b83024c5d1b9f2f210948beb1bf335185472734570e475a6e7";
const SAFETY_NUMBER: &str = "447530281147402772703786934332933285519545621833788837648318";
