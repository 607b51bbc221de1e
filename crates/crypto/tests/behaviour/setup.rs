//! Session set-up: plain X3DH, the hybrid form, and what they bind.

use subrosa_crypto::*;

use crate::parties::{Party, committed, conversation, receive, send};

#[test]
fn both_sides_of_plain_x3dh_agree_with_and_without_a_one_time_key() {
    let alice = IdentityKeyPair::generate().unwrap();
    let bob = IdentityKeyPair::generate().unwrap();
    let base = Curve25519KeyPair::generate().unwrap();
    let signed = Curve25519KeyPair::generate().unwrap();
    let one_time = Curve25519KeyPair::generate().unwrap();
    let mut secrets = Vec::new();
    for one_time in [None, Some(&one_time)] {
        let ours = x3dh::initiate(
            &alice,
            &base,
            &bob.public(),
            &signed.public(),
            one_time.map(Curve25519KeyPair::public).as_ref(),
        )
        .unwrap();
        let theirs = x3dh::accept(&bob, &signed, one_time, &alice.public(), &base.public()).unwrap();
        assert_eq!(ours, theirs);
        secrets.push(ours);
    }
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn the_header_names_the_prekeys_and_repeats_until_answered() {
    let (alice, bob) = (Party::new(), Party::new());
    let mut a = alice.initiate(&bob);
    assert!(a.is_unanswered());
    assert_eq!(a.peer(), bob.address());
    let messages: Vec<_> = (0..3).map(|n| send(&mut a, &[n])).collect();
    for message in &messages {
        assert_eq!(message.kind, MessageKind::Setup);
        let header = SetupHeader::peek(&message.message).unwrap();
        assert_eq!(header.signed_prekey_id(), 11);
        assert_eq!(header.one_time_prekey_id(), Some(12));
        assert_eq!(header.kem_prekey_id(), 13);
        assert_eq!(header.kem_use(), KemUse::OneTime);
        assert_eq!(header.session_id(), a.id());
    }
    // Accepted with any of them; the others belong to the same session.
    let (mut b, text) = bob.accept(&alice, &messages[1].message).unwrap();
    assert_eq!(text.as_bytes(), [1]);
    assert_eq!(b.id(), a.id());
    assert_eq!(b.peer(), alice.address());
    assert!(!b.is_unanswered());
    assert_eq!(receive(&mut b, &messages[2]).unwrap(), [2]);
    assert_eq!(receive(&mut b, &messages[0]).unwrap(), [0]);
    assert_eq!(receive(&mut b, &messages[1]).unwrap_err(), DecryptError::KeyGone);
    let answer = send(&mut b, b"here");
    assert_eq!(answer.kind, MessageKind::Session);
    assert_eq!(receive(&mut a, &answer).unwrap(), b"here");
    assert!(!a.is_unanswered());
    assert_eq!(send(&mut a, b"short").kind, MessageKind::Session);
}

#[test]
fn strangers_are_served_without_one_time_keys() {
    let (alice, bob) = (Party::new(), Party::new());
    let last = KemPrekeyPair::generate(40, &bob.identity, KemUse::LastResort).unwrap();
    let bundle = PrekeyBundle::verify(
        &bob.certificate,
        &bob.signed.public_bytes(),
        None,
        &last.public_bytes(),
        KemUse::LastResort,
    )
    .unwrap();
    let mut a = Session::initiate(&alice.identity, &alice.address(), &bundle).unwrap();
    let first = send(&mut a, b"hello");
    let header = SetupHeader::peek(&first.message).unwrap();
    assert_eq!(header.one_time_prekey_id(), None);
    assert_eq!(header.kem_use(), KemUse::LastResort);
    let prekeys = ResponderPrekeys { signed: &bob.signed, one_time: None, kem: &last };
    let (_, text) = committed(
        Session::accept(&bob.identity, &bob.address(), &alice.certificate, &prekeys, &first.message).unwrap(),
    );
    assert_eq!(text.as_bytes(), b"hello");
}

#[test]
fn unknown_key_share_and_identity_misbinding_fail() {
    let (alice, bob, mallory) = (Party::new(), Party::new(), Party::new());
    let first = send(&mut alice.initiate(&bob), b"hello");
    let forged = AcceptError::Message(DecryptError::Forged);

    // The responder under another account id or device number.
    for address in
        [PartyAddress { account: mallory.record.id(), ..bob.address() }, PartyAddress { device: 2, ..bob.address() }]
    {
        let refused = Session::accept(&bob.identity, &address, &alice.certificate, &bob.prekeys(), &first.message);
        assert_eq!(refused.unwrap_err(), forged);
    }

    // Mallory's account certifies alice's identity key as its own device.
    let stolen = DeviceCertificate::issue(&mallory.account, &mallory.record.id(), 1, &alice.identity.public(), 1)
        .verify(&mallory.record)
        .unwrap();
    for certificate in [&stolen, &mallory.certificate] {
        let refused = Session::accept(&bob.identity, &bob.address(), certificate, &bob.prekeys(), &first.message);
        assert_eq!(refused.unwrap_err(), forged);
    }
}

#[test]
fn other_prekeys_than_those_named_are_refused() {
    let (alice, bob) = (Party::new(), Party::new());
    let first = send(&mut alice.initiate(&bob), b"hello");
    let accept = |prekeys: &ResponderPrekeys<'_>| {
        Session::accept(&bob.identity, &bob.address(), &alice.certificate, prekeys, &first.message).unwrap_err()
    };
    let other_signed = SignedPrekeyPair::generate(99, &bob.identity).unwrap();
    let same_id_signed = SignedPrekeyPair::generate(11, &bob.identity).unwrap();
    let same_id_one_time = OneTimePrekeyPair::generate(12).unwrap();
    let same_id_kem = KemPrekeyPair::generate(13, &bob.identity, KemUse::OneTime).unwrap();
    let last = KemPrekeyPair::generate(13, &bob.identity, KemUse::LastResort).unwrap();
    let good = bob.prekeys();
    let named_others = [
        ResponderPrekeys { signed: &other_signed, ..good },
        ResponderPrekeys { one_time: None, ..good },
        ResponderPrekeys { kem: &last, ..good },
    ];
    for prekeys in &named_others {
        assert_eq!(accept(prekeys), AcceptError::OtherPrekeys);
    }
    let same_names = [
        ResponderPrekeys { signed: &same_id_signed, ..good },
        ResponderPrekeys { one_time: Some(&same_id_one_time), ..good },
        ResponderPrekeys { kem: &same_id_kem, ..good },
    ];
    for prekeys in &same_names {
        assert_eq!(accept(prekeys), AcceptError::Message(DecryptError::Forged));
    }
}

#[test]
fn every_byte_of_a_set_up_message_is_bound() {
    let (alice, bob) = (Party::new(), Party::new());
    let mut a = alice.initiate(&bob);
    let first = send(&mut a, b"hello");
    let second = send(&mut a, b"again");
    let (b, _) = bob.accept(&alice, &first.message).unwrap();
    let positions = (0..60).chain((60..SETUP_HEADER_LEN).step_by(97)).chain(SETUP_HEADER_LEN..first.message.len());
    for position in positions {
        let mut altered = first.message.clone();
        altered[position] ^= 0x10;
        assert!(bob.accept(&alice, &altered).is_err(), "byte {position}");
        // Also when the session is known already.
        let mut altered = second.message.clone();
        altered[position] ^= 0x10;
        assert!(b.decrypt(MessageKind::Setup, &altered).is_err(), "byte {position}");
    }
    assert!(b.decrypt(MessageKind::Setup, &second.message).is_ok());
}

#[test]
fn a_small_order_base_key_is_refused() {
    let (alice, bob) = (Party::new(), Party::new());
    let mut first = send(&mut alice.initiate(&bob), b"hello").message;
    first[1..33].fill(0);
    assert_eq!(
        bob.accept(&alice, &first).unwrap_err(),
        AcceptError::Message(DecryptError::Malformed(DecodeError::BadKey))
    );
    assert_eq!(SetupHeader::peek(&first), Err(DecodeError::BadKey));
}

#[test]
fn a_set_up_message_of_another_session_is_told_apart() {
    let (alice, bob) = (Party::new(), Party::new());
    let (a, b) = conversation(&alice, &bob);
    let other = send(&mut alice.initiate(&bob), b"hello");
    for session in [&a, &b] {
        assert_eq!(session.decrypt(MessageKind::Setup, &other.message).unwrap_err(), DecryptError::OtherSession);
    }
}

#[test]
fn two_set_ups_with_one_bundle_are_two_sessions() {
    let (alice, bob) = (Party::new(), Party::new());
    let (first, second) = (alice.initiate(&bob), alice.initiate(&bob));
    assert_ne!(first.id(), second.id());
}
