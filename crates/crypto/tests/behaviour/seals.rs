//! The seal: sizes, who can open it, and that nothing in it can be altered.

use subrosa_crypto::*;

use crate::parties::Party;

fn target(party: &Party) -> SealTarget<'_> {
    SealTarget { address: party.address(), identity: party.certificate.identity() }
}

fn content(kind: MessageKind, sender: &Party, message: Vec<u8>) -> SealedContent {
    let certificate = *sender.certificate.certificate();
    match kind {
        MessageKind::Setup => SealedContent::setup(sender.record, certificate, message),
        MessageKind::Session => SealedContent::session(sender.record.id(), certificate, message),
    }
}

fn open_for(party: &Party, envelope: &SealedEnvelope) -> Result<SealedContent, OpenError> {
    open(&party.identity, &party.address(), &envelope.heads[0], &envelope.body)
}

#[test]
fn every_bucket_is_filled_to_its_last_byte_and_no_further() {
    let (alice, bob) = (Party::new(), Party::new());
    for kind in [MessageKind::Setup, MessageKind::Session] {
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
            let sealed = seal(&[target(&bob)], &content);
            if len > max_message_len(kind) {
                assert_eq!(sealed.unwrap_err(), SealError::TooLong);
                continue;
            }
            let envelope = sealed.unwrap();
            let expected = BUCKETS.iter().find(|b| **b >= len + overhead).unwrap();
            assert_eq!(envelope.body.len(), *expected);
            let opened = open_for(&bob, &envelope).unwrap();
            assert!(opened == content);
        }
    }
}

#[test]
fn an_opened_seal_tells_its_hints() {
    let (alice, bob) = (Party::new(), Party::new());
    let sealed = content(MessageKind::Setup, &alice, b"message".to_vec());
    let opened = open_for(&bob, &seal(&[target(&bob)], &sealed).unwrap()).unwrap();
    assert_eq!(opened.kind(), MessageKind::Setup);
    assert_eq!(opened.sender_hint(), alice.address());
    assert_eq!(opened.record(), Some(&alice.record));
    assert_eq!(opened.certificate().verify(&alice.record).unwrap(), alice.certificate);
    assert_eq!(opened.message(), b"message");
    assert_eq!(opened.into_message(), b"message");
}

#[test]
fn only_the_receiving_device_opens_it() {
    let (alice, bob, carol) = (Party::new(), Party::new(), Party::new());
    let sealed = content(MessageKind::Session, &alice, b"message".to_vec());
    let envelope = seal(&[target(&bob), target(&carol)], &sealed).unwrap();
    assert_eq!(envelope.heads.len(), 2);
    assert_ne!(envelope.heads[0], envelope.heads[1]);
    for (party, head) in [(&bob, 0), (&carol, 1)] {
        let opened = open(&party.identity, &party.address(), &envelope.heads[head], &envelope.body);
        assert!(opened.unwrap() == sealed);
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
    let envelope = seal(&[target(&bob)], &sealed).unwrap();
    for position in 0..envelope.heads[0].len() {
        let mut altered = envelope.clone();
        altered.heads[0][position] ^= 1;
        assert!(open_for(&bob, &altered).is_err(), "head {position}");
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
    let first = seal(&[target(&bob)], &sealed).unwrap();
    let second = seal(&[target(&bob)], &sealed).unwrap();
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
    let envelope = seal(&[target(&bob)], &sealed).unwrap();
    let open = |head: &[u8], body: &[u8]| open(&bob.identity, &bob.address(), head, body).unwrap_err();
    let head = &envelope.heads[0];
    assert!(matches!(open(&head[..47], &envelope.body), OpenError::Malformed(_)));
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

/// The numbers that docs/protocol.md section 6 names.
#[test]
fn limits_are_those_of_the_protocol_text() {
    assert_eq!(BUCKETS, [512, 1024, 2304, 4096, 8192, 16_384, 32_768, 65_536]);
    assert_eq!(SETUP_HEADER_LEN, 1615);
    assert_eq!(MESSAGE_OVERHEAD, 73);
    assert_eq!(max_plaintext_len(MessageKind::Session), 65_243);
    assert_eq!(max_plaintext_len(MessageKind::Setup), 63_563);
    assert_eq!(BUCKETS[7] - max_plaintext_len(MessageKind::Session), BUCKETS[0] - 219);
}
