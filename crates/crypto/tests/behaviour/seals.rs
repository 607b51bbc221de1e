//! The seal: sizes, who can open it, and that nothing in it can be altered.

use hmac::Mac;
use sha2::Digest;
use subrosa_crypto::*;

use crate::parties::Party;

fn content(kind: MessageKind, sender: &Party, message: Vec<u8>) -> SealedContent {
    let certificate = *sender.certificate.certificate();
    match kind {
        MessageKind::Setup => SealedContent::setup(sender.record, certificate, message),
        MessageKind::Session => SealedContent::session(sender.record.id(), certificate, message),
        MessageKind::Group => SealedContent::group(sender.record.id(), certificate, message),
    }
}

fn open_for(party: &Party, envelope: &SealedEnvelope) -> Result<OpenedSeal, OpenError> {
    open(&party.identity, &party.address(), &envelope.heads[0], &envelope.body)
}

#[test]
fn every_bucket_is_filled_to_its_last_byte_and_no_further() {
    let (alice, bob) = (Party::new(), Party::new());
    for kind in [MessageKind::Setup, MessageKind::Session, MessageKind::Group] {
        // Body, content and padding around a message.
        let overhead = BUCKETS[7] - max_message_len(kind);
        let mut lengths: Vec<_> = BUCKETS
            .iter()
            .filter_map(|bucket| bucket.checked_sub(overhead))
            .flat_map(|fits| [fits.saturating_sub(1), fits, fits + 1])
            .collect();
        lengths.push(0);
        for len in lengths {
            // Ends like padding does: the mark must be found from the end.
            let mut message = vec![0x80; len];
            if let Some(last) = message.last_mut() {
                *last = 0;
            }
            let content = content(kind, &alice, message);
            let sealed = seal(&[&alice.key_to(&bob)], &content);
            if len > max_message_len(kind) {
                assert_eq!(sealed.unwrap_err(), SealError::TooLong);
                continue;
            }
            let envelope = sealed.unwrap();
            let expected = BUCKETS.iter().find(|b| **b >= len + overhead).unwrap();
            assert_eq!(envelope.body.len(), *expected);
            let opened = open_for(&bob, &envelope).unwrap().verify(&bob.key_from(&alice)).unwrap();
            assert!(opened == content);
        }
    }
}

#[test]
fn an_opened_seal_claims_and_a_verified_one_says() {
    let (alice, bob) = (Party::new(), Party::new());
    let sealed = content(MessageKind::Setup, &alice, b"message".to_vec());
    let opened = open_for(&bob, &seal(&[&alice.key_to(&bob)], &sealed).unwrap()).unwrap();
    assert_eq!(opened.claimed_sender(), alice.address());
    assert_eq!(opened.claimed_record(), Some(&alice.record));
    assert_eq!(opened.claimed_certificate().verify(&alice.record).unwrap(), alice.certificate);
    let verified = opened.verify(&bob.key_from(&alice)).unwrap();
    assert_eq!(verified.kind(), MessageKind::Setup);
    assert_eq!(verified.sender(), alice.address());
    assert_eq!(verified.record(), Some(&alice.record));
    assert_eq!(verified.certificate(), alice.certificate.certificate());
    assert_eq!(verified.message(), b"message");
    assert_eq!(verified.into_message(), b"message");
}

#[test]
fn only_the_receiving_device_opens_it() {
    let (alice, bob, carol) = (Party::new(), Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[&alice.key_to(&bob), &alice.key_to(&carol)], &sealed).unwrap();
    assert_eq!(envelope.heads.len(), 2);
    assert_ne!(envelope.heads[0], envelope.heads[1]);
    for (party, head) in [(&bob, 0), (&carol, 1)] {
        let opened = open(&party.identity, &party.address(), &envelope.heads[head], &envelope.body).unwrap();
        assert!(opened.verify(&party.key_from(&alice)).unwrap() == sealed);
        let wrong = open(&party.identity, &party.address(), &envelope.heads[1 - head], &envelope.body);
        assert_eq!(wrong.unwrap_err(), OpenError::NotForThisDevice);
    }
    // The right key under another name.
    for address in [PartyAddress { device: 2, ..bob.address() }, PartyAddress { account: [0; 32], ..bob.address() }] {
        let opened = open(&bob.identity, &address, &envelope.heads[0], &envelope.body);
        assert_eq!(opened.unwrap_err(), OpenError::NotForThisDevice);
    }
}

#[test]
fn every_byte_of_head_and_body_is_authenticated() {
    let (alice, bob) = (Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    let key = bob.key_from(&alice);
    assert!(open_for(&bob, &envelope).unwrap().verify(&key).is_ok());
    for position in 0..envelope.heads[0].len() {
        let mut altered = envelope.clone();
        altered.heads[0][position] ^= 1;
        match open_for(&bob, &altered) {
            Err(_) => assert!(position < 48, "the tag is not part of what opens: {position}"),
            Ok(opened) => {
                assert!(position >= 48, "head {position}");
                assert_eq!(opened.verify(&key).unwrap_err(), NotFromSender, "tag {position}");
            }
        }
    }
    for position in 0..envelope.body.len() {
        let mut altered = envelope.clone();
        altered.body[position] ^= 1;
        assert!(open_for(&bob, &altered).is_err(), "body {position}");
    }
}

#[test]
fn the_body_of_one_submission_does_not_open_with_the_head_of_another() {
    let (alice, bob) = (Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let first = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    let second = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    assert_ne!(first.body, second.body);
    assert_eq!(
        open(&bob.identity, &bob.address(), &first.heads[0], &second.body).unwrap_err(),
        OpenError::NotForThisDevice
    );
}

#[test]
fn odd_sizes_and_bad_keys_are_refused_before_any_work() {
    let (alice, bob) = (Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    let open = |head: &[u8], body: &[u8]| open(&bob.identity, &bob.address(), head, body).unwrap_err();
    let head = &envelope.heads[0];
    assert!(matches!(open(&head[..63], &envelope.body), OpenError::Malformed(_)));
    // What a head was before it had a tag.
    assert!(matches!(open(&head[..48], &envelope.body), OpenError::Malformed(_)));
    for len in [0, 1, 511, 513, 65_537] {
        let body = vec![1; len];
        assert!(matches!(open(head, &body), OpenError::Malformed(_)));
    }
    let mut body = envelope.body.clone();
    body[0] = 2;
    assert_eq!(open(head, &body), OpenError::Malformed(DecodeError::UnknownVersion(2)));
    for bad in [0x00, 0xff] {
        let mut body = envelope.body.clone();
        body[1..33].fill(bad);
        assert_eq!(open(head, &body), OpenError::Malformed(DecodeError::BadKey));
    }
}

#[test]
fn a_head_moved_to_another_body_opens_nothing_and_names_nobody() {
    let (alice, bob) = (Party::new(), Party::new());
    let key = bob.key_from(&alice);
    // Two bodies that open with one head: Bob himself, or whoever knows the body key, can make the second.
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    let other = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    let moved = SealedEnvelope { heads: envelope.heads.clone(), body: other.body.clone() };
    assert!(open_for(&bob, &moved).is_err());
    // The tag alone, on a head that does open the body: it covers the head's other bytes and the body.
    let mut grafted = other.clone();
    grafted.heads[0][48..].copy_from_slice(&envelope.heads[0][48..]);
    assert_eq!(open_for(&bob, &grafted).unwrap().verify(&key).unwrap_err(), NotFromSender);
    assert!(open_for(&bob, &other).unwrap().verify(&key).is_ok());
}

#[test]
fn a_tag_moved_to_another_device_is_none() {
    let (alice, bob, carol) = (Party::new(), Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    // One body for two devices: everything but the pair key is the same for both tags' makers.
    let mut envelope = seal(&[&alice.key_to(&bob), &alice.key_to(&carol)], &sealed).unwrap();
    let (bobs, carols) = envelope.heads.split_at_mut(1);
    bobs[0][48..].swap_with_slice(&mut carols[0][48..]);
    let opened = open_for(&bob, &envelope).unwrap();
    assert_eq!(opened.verify(&bob.key_from(&alice)).unwrap_err(), NotFromSender);
}

#[test]
fn a_tag_sent_back_to_its_maker_is_none() {
    let (alice, bob) = (Party::new(), Party::new());
    // Bob seals to Alice in her own name: their agreement is the same in both directions, the key is not.
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[&bob.key_to(&alice)], &sealed).unwrap();
    let opened = open_for(&alice, &envelope).unwrap();
    assert!(opened.verify(&alice.key_from(&alice)).is_err());
    let opened = open_for(&alice, &envelope).unwrap();
    assert!(opened.verify(&alice.key_from(&bob)).is_err(), "the content names somebody else");
}

#[test]
fn a_pair_key_verifies_one_name_and_one_key_only() {
    let (alice, bob) = (Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[&alice.key_to(&bob)], &sealed).unwrap();
    // The same identity as device 2 of the same account: another name.
    let second = DeviceCertificate::issue(&alice.account, &alice.record.id(), 2, &alice.identity.public(), 1);
    let second = second.verify(&alice.record).unwrap();
    let key = ReceivingPairKey::new(&bob.identity, &bob.address(), &second).unwrap();
    assert!(open_for(&bob, &envelope).unwrap().verify(&key).is_err());
    // Her name, another key.
    let other = DeviceCertificate::issue(&alice.account, &alice.record.id(), 1, &bob.identity.public(), 1);
    let key = ReceivingPairKey::new(&bob.identity, &bob.address(), &other.verify(&alice.record).unwrap()).unwrap();
    assert!(open_for(&bob, &envelope).unwrap().verify(&key).is_err());
}

/// Deniable: with his own key Bob makes what Alice could have made, so an envelope of hers proves
/// nothing to a third person. The same sentence from the other side: whoever has Bob's identity key can
/// name any sender to Bob.
#[test]
fn the_receiver_could_have_made_the_tag_itself() {
    let (alice, bob) = (Party::new(), Party::new());
    let ours = bob.key_from(&alice);
    let envelope = seal(&[&alice.key_to(&bob)], &content(MessageKind::Session, &alice, b"said".to_vec())).unwrap();
    assert!(open_for(&bob, &envelope).unwrap().verify(&ours).is_ok());
    // HMAC under a key from Bob's secret alone, over the bytes that he holds.
    let shared = {
        let secret = sha2::Sha512::digest(*bob.identity.seed());
        let theirs = ed25519_dalek::VerifyingKey::from_bytes(alice.identity.public().as_bytes()).unwrap();
        let mut scalar = [0; 32];
        scalar.copy_from_slice(&secret[..32]);
        theirs.to_montgomery().mul_clamped(scalar).to_bytes()
    };
    let end = |party: &Party| {
        [&party.address().account[..], &party.address().device.to_be_bytes(), party.identity.public().as_bytes()]
            .concat()
    };
    let info = [b"Subrosa seal sender v1".to_vec(), end(&alice), end(&bob)].concat();
    let mut key = [0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&[0; 32]), &shared).expand(&info, &mut key).unwrap();
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(&key).unwrap();
    mac.update(&envelope.heads[0][..48]);
    mac.update(&sha2::Sha256::digest(&envelope.body));
    assert_eq!(mac.finalize().into_bytes()[..16], envelope.heads[0][48..]);
}

/// The numbers that docs/protocol.md, "Seal and padding" names.
#[test]
fn limits_are_those_of_the_protocol_text() {
    assert_eq!(BUCKETS, [512, 1024, 2304, 4096, 8192, 16_384, 32_768, 65_536]);
    assert_eq!(HEAD_LEN, 64);
    assert_eq!(SETUP_HEADER_LEN, 1615);
    assert_eq!(MESSAGE_OVERHEAD, 73);
    assert_eq!(max_plaintext_len(MessageKind::Session), 65_243);
    assert_eq!(max_plaintext_len(MessageKind::Setup), 63_563);
    assert_eq!(max_plaintext_len(MessageKind::Group), 65_183);
    assert_eq!(BUCKETS[7] - max_plaintext_len(MessageKind::Session), BUCKETS[0] - 219);
}
