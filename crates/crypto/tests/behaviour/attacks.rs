//! Attacks that audits and papers found in protocols like this one: one test each, named after the
//! attack. `docs/threat-model.md` lists them with their sources, together with those that need a
//! relay or a client.

use ed25519_dalek::{Signer, SigningKey};
use subrosa_crypto::*;

use crate::parties::{Party, committed, conversation, receive, send, verify_bundle};

/// version ‖ ratchet key ‖ pn ‖ n, then the salt.
const HEADER_LEN: usize = 41;

/// The u-coordinates of small order, then encodings that are not canonical: Wycheproof's and RFC
/// 7748's.
fn bad_keys() -> impl Iterator<Item = [u8; 32]> {
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
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    ]
    .into_iter()
    .map(|text| hex::decode(text).unwrap().try_into().unwrap())
}

/// id ‖ key ‖ signature over label ‖ type ‖ id ‖ key.
fn prekey(signer: &SigningKey, label: &str, kind: u8, key: &[u8]) -> Vec<u8> {
    let unsigned = [&5u32.to_be_bytes()[..], key].concat();
    let signature = signer.sign(&[label.as_bytes(), &[kind], &unsigned].concat());
    [&unsigned[..], &signature.to_bytes()].concat()
}

#[test]
fn small_order_and_non_canonical_keys_reach_no_agreement() {
    let (alice, bob) = (Party::new(), Party::new());
    let signer = SigningKey::from_bytes(&bob.identity.seed());
    let (good, kem) = (bob.signed.public_bytes(), bob.kem.public_bytes());
    let first = send(&mut alice.initiate(&bob), b"hello");
    let (mut a, mut b) = conversation(&alice, &bob);
    let ratchet = send(&mut a, b"hello");
    let content = SealedContent::session(alice.record.id(), *alice.certificate.certificate(), vec![1]);
    let sealed = seal(&[&alice.key_to(&bob)], &content).unwrap();
    for key in bad_keys() {
        assert!(Curve25519PublicKey::from_bytes(&key).is_err());
        // As a signed prekey (with a good signature), as a one-time prekey, ...
        let signed = prekey(&signer, "Subrosa signed prekey v1", 1, &key);
        assert_eq!(verify_bundle(&bob, &signed, None, &kem, KemUse::OneTime).unwrap_err(), BundleError::BadKey);
        let one_time = [&6u32.to_be_bytes()[..], &key].concat();
        assert_eq!(
            verify_bundle(&bob, &good, Some(&one_time), &kem, KemUse::OneTime).unwrap_err(),
            BundleError::BadKey
        );
        // ... as a base key, as a ratchet key, ...
        let mut altered = first.message.clone();
        altered[1..33].copy_from_slice(&key);
        let refused = AcceptError::Message(DecryptError::Malformed(DecodeError::BadKey));
        assert_eq!(bob.accept(&alice, &altered).unwrap_err(), refused);
        let mut altered = ratchet.clone();
        altered.message[1..33].copy_from_slice(&key);
        assert_eq!(receive(&mut b, &altered).unwrap_err(), DecryptError::BadHeader);
        // ... and as the ephemeral key of a seal.
        let mut body = sealed.body.clone();
        body[1..33].copy_from_slice(&key);
        let refused = open(&bob.identity, &bob.address(), &sealed.heads[0], &body).unwrap_err();
        assert_eq!(refused, OpenError::Malformed(DecodeError::BadKey));
    }
    assert_eq!(receive(&mut b, &ratchet).unwrap(), b"hello");
}

#[test]
fn unsigned_and_wrongly_signed_prekeys_start_nothing() {
    let (bob, mallory) = (Party::new(), Party::new());
    let signers = [&bob, &mallory].map(|party| SigningKey::from_bytes(&party.identity.seed()));
    let ec = bob.signed.public_bytes();
    let kem = bob.kem.public_bytes();
    let (ec_key, kem_key) = (&ec[4..36], &kem[4..1572]);
    let refused_ec = |signed: &[u8]| {
        assert_eq!(
            verify_bundle(&bob, signed, None, &kem, KemUse::OneTime).unwrap_err(),
            BundleError::BadPrekeySignature
        );
    };
    let refused_kem = |kem: &[u8]| {
        assert_eq!(verify_bundle(&bob, &ec, None, kem, KemUse::OneTime).unwrap_err(), BundleError::BadKemSignature);
    };
    // No signature, another device's, one for another label, one for another type of key.
    refused_ec(&[&ec[..36], &[0; 64]].concat());
    refused_kem(&[&kem[..1572], &[0; 64]].concat());
    refused_ec(&prekey(&signers[1], "Subrosa signed prekey v1", 1, ec_key));
    refused_kem(&prekey(&signers[1], "Subrosa KEM prekey v1", 2, kem_key));
    refused_ec(&prekey(&signers[0], "Subrosa KEM prekey v1", 1, ec_key));
    refused_kem(&prekey(&signers[0], "Subrosa signed prekey v1", 2, kem_key));
    refused_ec(&prekey(&signers[0], "Subrosa signed prekey v1", 2, ec_key));
    for kind in [1, 3] {
        refused_kem(&prekey(&signers[0], "Subrosa KEM prekey v1", kind, kem_key));
    }
    // The same made right is taken.
    let ec = prekey(&signers[0], "Subrosa signed prekey v1", 1, ec_key);
    let kem = prekey(&signers[0], "Subrosa KEM prekey v1", 2, kem_key);
    verify_bundle(&bob, &ec, None, &kem, KemUse::OneTime).unwrap();
}

#[test]
fn a_swapped_kem_key_or_a_re_encapsulated_secret_opens_no_session() {
    let (alice, bob) = (Party::new(), Party::new());
    let first = send(&mut alice.initiate(&bob), b"hello");
    let other = KemPrekeyPair::generate(14, &bob.identity, KemUse::OneTime).unwrap();
    let accept = |kem: &KemPrekeyPair, message: &[u8]| {
        let prekeys = ResponderPrekeys { kem, ..bob.prekeys() };
        Session::accept(&bob.identity, &bob.address(), &alice.certificate, &prekeys, message).map(committed)
    };
    let forged = AcceptError::Message(DecryptError::Forged);
    // The ciphertext handed to another key of Bob's, under that key's id and under the old one.
    let mut renamed = first.message.clone();
    renamed[42..46].copy_from_slice(&14u32.to_be_bytes());
    assert_eq!(accept(&other, &renamed).unwrap_err(), forged);
    assert_eq!(accept(&other, &first.message).unwrap_err(), AcceptError::OtherPrekeys);
    // A ciphertext for the other key, made by somebody else, in Alice's header.
    let bundle = verify_bundle(
        &bob,
        &bob.signed.public_bytes(),
        Some(&bob.one_time.public_bytes()),
        &other.public_bytes(),
        KemUse::OneTime,
    );
    let mallory = Party::new();
    let mut theirs = Session::initiate(&mallory.identity, &mallory.address(), &bundle.unwrap()).unwrap();
    let theirs = send(&mut theirs, b"hello").message;
    let mut swapped = renamed;
    swapped[47..SETUP_HEADER_LEN].copy_from_slice(&theirs[47..SETUP_HEADER_LEN]);
    assert_eq!(accept(&other, &swapped).unwrap_err(), forged);
    assert!(accept(&bob.kem, &first.message).is_ok());
}

#[test]
fn a_replayed_first_message_is_read_once_and_shows_its_base_key() {
    let (alice, bob) = (Party::new(), Party::new());
    let first = send(&mut alice.initiate(&bob), b"hello");
    let (mut b, _) = bob.accept(&alice, &first.message).unwrap();
    assert_eq!(receive(&mut b, &first).unwrap_err(), DecryptError::KeyGone);
    // What a client remembers when the session itself is gone.
    let header = SetupHeader::peek(&first.message).unwrap();
    assert_eq!(header.session_id(), b.id());
    assert_eq!(header.base_key(), first.message[1..33]);
}

#[test]
fn a_seal_in_somebody_elses_name_is_nobodys() {
    let (alice, bob, mallory) = (Party::new(), Party::new(), Party::new());
    let (_, b) = conversation(&alice, &bob);
    let (mut m, _) = conversation(&mallory, &bob);
    // Mallory, a contact too, seals her own message under Alice's name and certificate.
    let message = send(&mut m, b"I am Alice").message;
    let content = SealedContent::session(alice.record.id(), *alice.certificate.certificate(), message);
    let sealed = seal(&[&mallory.key_to(&bob)], &content).unwrap();
    let open = || open(&bob.identity, &bob.address(), &sealed.heads[0], &sealed.body).unwrap();
    assert_eq!(open().claimed_sender(), alice.address(), "a claim");
    assert_eq!(open().verify(&bob.key_from(&alice)).unwrap_err(), NotFromSender);
    assert_eq!(open().verify(&bob.key_from(&mallory)).unwrap_err(), NotFromSender, "not in her own name either");
    // And if it were believed: what she wrote verifies in no session with Alice.
    assert!(b.decrypt(content.kind(), content.message()).is_err());
    // The same with a set-up message: her agreement is not Alice's.
    let first = send(&mut mallory.initiate(&bob), b"I am Alice").message;
    assert_eq!(bob.accept(&alice, &first).unwrap_err(), AcceptError::Message(DecryptError::Forged));
    // And with a certificate that her own account made for Alice's number.
    let content = SealedContent::session(alice.record.id(), *mallory.certificate.certificate(), vec![1]);
    assert!(content.certificate().verify(&alice.record).is_err());
}

#[test]
fn truncated_tags_are_refused() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, mut b) = conversation(&alice, &bob);
    let message = send(&mut a, b"text");
    for cut in 1..=16 {
        let mut short = message.clone();
        short.message.truncate(message.message.len() - cut);
        assert!(receive(&mut b, &short).is_err(), "{} bytes of the tag", 16 - cut);
    }
    assert_eq!(receive(&mut b, &message).unwrap(), b"text");
}

/// Whoever receives a message cannot prove who wrote it: there is no room for a signature, and
/// with the same secrets the receiver could have made it.
#[test]
fn a_message_proves_nothing_about_its_author_to_others() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, _) = conversation(&alice, &bob);
    for len in [0, 1, 1000] {
        let message = send(&mut a, &vec![1; len]);
        // Header, salt, ciphertext, tag: all of it is determined by keys that both sides have.
        assert_eq!(message.message.len(), HEADER_LEN + 16 + len + 16);
    }
}

#[test]
fn a_session_of_one_device_is_worth_nothing_at_another() {
    // Two devices of one account: a message for the first does not open on the second, even if the
    // relay delivers it there and both would have the same session id.
    let (alice, bob, tablet) = (Party::new(), Party::new(), Party::new());
    let first = send(&mut alice.initiate(&bob), b"for the phone");
    assert!(tablet.accept(&alice, &first.message).is_err());
    let (_, mut on_tablet) = conversation(&alice, &tablet);
    let (mut a, _) = conversation(&alice, &bob);
    let message = send(&mut a, b"for the phone");
    assert!(receive(&mut on_tablet, &message).is_err());
}
