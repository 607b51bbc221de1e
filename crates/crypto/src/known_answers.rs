//! Known answers: the primitives as this crate wraps them (values from the RFCs), and one
//! conversation with fixed randomness. Its vector is checked by `test-vectors/verify.py` as well,
//! which shares no code with this crate, so the values are not just what this code happened to
//! write.

use serde_json::Value;

use crate::account::{AccountKeyPair, AccountRecord};
use crate::certificate::{DeviceCertificate, VerifiedCertificate};
use crate::chain_key::ChainKey;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::device::IdentityKeyPair;
use crate::ed25519::{Ed25519KeyPair, Ed25519PublicKey};
use crate::kdf::hkdf;
use crate::kem::KemUse;
use crate::message_key::MessageKey;
use crate::prekeys::{KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, ResponderPrekeys, SignedPrekeyPair};
use crate::randomness::{Entropy, RandomnessError};
use crate::safety_number::safety_number;
use crate::seal::{SealTarget, SealedContent, open, seal_from};
use crate::session::Session;
use crate::step::Step;

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
        assert!(key.aead_key(&salt).seal(&[], &mut text, 0));
        text
    };
    assert_eq!(seal([0; 16]), seal([0; 16]));
    assert_ne!(seal([0; 16]), seal([1; 16]));
}

const CONVERSATION: &str = include_str!("../../../test-vectors/conversation-v1.json");

fn field<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value.as_str().unwrap())
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// Answers requests for randomness from a list.
struct Scripted<'a>(Vec<&'a Value>);

impl Entropy for Scripted<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        let next = hex::decode(self.0.remove(0).as_str().unwrap()).unwrap();
        buffer.copy_from_slice(&next);
        Ok(())
    }
}

struct Person {
    record: AccountRecord,
    identity: IdentityKeyPair,
    certificate: VerifiedCertificate,
}

impl Person {
    fn new(input: &Value) -> Self {
        let account = AccountKeyPair::from_seed(&field(&input["account_seed"]));
        let record = AccountRecord::new(account.public(), field(&input["recovery_commitment"]));
        let identity = IdentityKeyPair::from_seed(&field(&input["identity_seed"]));
        let device = number(&input["device"]);
        let certificate = DeviceCertificate::issue(&account, &record.id(), device, &identity.public(), 1);
        Self { certificate: certificate.verify(&record).unwrap(), record, identity }
    }
}

/// Prekeys with given secrets, signed by `bob`.
fn prekeys(bob: &IdentityKeyPair, input: &Value) -> (SignedPrekeyPair, OneTimePrekeyPair, KemPrekeyPair) {
    let stored = |id: u32, rest: &[&[u8]]| [&[1][..], &id.to_be_bytes(), &rest.concat()].concat();

    let id = number(&input["signed_prekey_id"]);
    let secret = field::<32>(&input["signed_prekey_secret"]);
    let public = Curve25519KeyPair::from_secret(&secret).public();
    let signature = bob.sign(&[b"Subrosa signed prekey v1", &[1], &id.to_be_bytes(), public.as_bytes()]);
    let signed = SignedPrekeyPair::from_secret_bytes(&stored(id, &[&secret, &signature])).unwrap();

    let id = number(&input["one_time_prekey_id"]);
    let secret = field::<32>(&input["one_time_prekey_secret"]);
    let one_time = OneTimePrekeyPair::from_secret_bytes(&stored(id, &[&secret])).unwrap();

    let id = number(&input["kem_prekey_id"]);
    let seed = field::<64>(&input["kem_seed"]);
    let unsigned = KemPrekeyPair::from_secret_bytes(&stored(id, &[&[2], &seed, &[0; 64]])).unwrap();
    let public = &unsigned.public_bytes()[4..1572];
    let signature = bob.sign(&[b"Subrosa KEM prekey v1", &[2], &id.to_be_bytes(), public]);
    let kem = KemPrekeyPair::from_secret_bytes(&stored(id, &[&[2], &seed, &signature])).unwrap();
    (signed, one_time, kem)
}

fn committed<T>(step: Step<T>) -> (Session, T) {
    step.commit(|_| Ok::<_, ()>(())).unwrap()
}

#[test]
fn a_conversation_with_fixed_randomness() {
    let vector: Value = serde_json::from_str(CONVERSATION).unwrap();
    let (input, output) = (&vector["inputs"], &vector["outputs"]);
    let (ratchets, salts) = (&input["ratchet_secrets"], &input["salts"]);
    let texts: Vec<_> = (0..4).map(|n| input["texts"][n].as_str().unwrap().as_bytes()).collect();
    let (alice, bob) = (Person::new(&input["alice"]), Person::new(&input["bob"]));
    let (signed, one_time, kem) = prekeys(&bob.identity, &input["bob"]);
    let bundle = PrekeyBundle::verify(
        &bob.certificate,
        &signed.public_bytes(),
        Some(&one_time.public_bytes()),
        &kem.public_bytes(),
        KemUse::OneTime,
    )
    .unwrap();

    let mut entropy = Scripted(vec![&input["base_secret"], &input["kem_randomness"], &ratchets[0]]);
    let a = Session::initiate_from(&alice.identity, &alice.certificate.address(), &bundle, &mut entropy).unwrap();
    let (a, first) = committed(a.encrypt_from(texts[0], &mut Scripted(vec![&salts[0]])).unwrap());
    let (a, second) = committed(a.encrypt_from(texts[1], &mut Scripted(vec![&salts[1]])).unwrap());
    let prekeys = ResponderPrekeys { signed: &signed, one_time: Some(&one_time), kem: &kem };
    let accepted =
        Session::accept(&bob.identity, &bob.certificate.address(), &alice.certificate, &prekeys, &first.message);
    let (b, text) = committed(accepted.unwrap());
    assert_eq!(text.as_bytes(), texts[0]);
    let (_, third) = committed(b.encrypt_from(texts[2], &mut Scripted(vec![&ratchets[1], &salts[2]])).unwrap());
    let (a, text) = committed(a.decrypt(third.kind, &third.message).unwrap());
    assert_eq!(text.as_bytes(), texts[2]);
    let (_, fourth) = committed(a.encrypt_from(texts[3], &mut Scripted(vec![&ratchets[2], &salts[3]])).unwrap());

    let content = SealedContent::session(alice.record.id(), *alice.certificate.certificate(), fourth.message.clone());
    let target = SealTarget { address: bob.certificate.address(), identity: bob.certificate.identity() };
    let mut entropy = Scripted(vec![&input["seal_secret"], &input["body_key"]]);
    let sealed = seal_from(&[target], &content, &mut entropy).unwrap();
    let opened = open(&bob.identity, &bob.certificate.address(), &sealed.heads[0], &sealed.body).unwrap();
    assert!(opened == content);
    let number =
        safety_number((&alice.record.id(), alice.record.account_key()), (&bob.record.id(), bob.record.account_key()));

    for (index, message) in [first, second, third, fourth].iter().enumerate() {
        assert_eq!(output["messages"][index], hex::encode(&message.message), "message {index}");
    }
    assert_eq!(output["head"], hex::encode(sealed.heads[0]));
    assert_eq!(output["body"], hex::encode(&sealed.body));
    assert_eq!(output["safety_number"], number.digits());
}
