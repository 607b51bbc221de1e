//! Steps, storing, restored copies, tampering.

use subrosa_crypto::*;

use crate::parties::{Party, committed, conversation, receive, send};

/// version ‖ ratchet key ‖ pn ‖ n.
const HEADER_LEN: usize = 41;
const SALT_LEN: usize = 16;

#[test]
fn a_step_whose_storing_fails_releases_nothing_and_changes_nothing() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, mut b) = conversation(&alice, &bob);
    let before = a.serialize();
    let refused = a.encrypt(b"lost").unwrap().commit(|_| Err("disk full"));
    assert_eq!(refused.unwrap_err(), "disk full");
    assert_eq!(a.serialize().as_bytes(), before.as_bytes());

    let message = send(&mut a, b"kept");
    let refused = b.decrypt(message.kind, &message.message).unwrap().commit(|_| Err("disk full"));
    assert_eq!(refused.unwrap_err(), "disk full");
    assert_eq!(receive(&mut b, &message).unwrap(), b"kept");
}

#[test]
fn what_is_stored_is_the_state_after_the_step() {
    let (alice, bob) = (Party::new(), Party::new());
    let (a, mut b) = conversation(&alice, &bob);
    let mut stored = Vec::new();
    let (a, first) = a
        .encrypt(b"one")
        .unwrap()
        .commit(|state| {
            stored = state.as_bytes().to_vec();
            Ok::<_, ()>(())
        })
        .unwrap();
    assert_eq!(stored, a.serialize().as_bytes());
    let mut restarted = Session::deserialize(&stored).unwrap();
    assert_eq!(restarted.serialize().as_bytes(), stored);
    assert_eq!((restarted.id(), restarted.peer()), (a.id(), a.peer()));
    let second = send(&mut restarted, b"two");
    assert_eq!(receive(&mut b, &second).unwrap(), b"two");
    assert_eq!(receive(&mut b, &first).unwrap(), b"one");
}

#[test]
fn a_restored_snapshot_never_repeats_key_and_nonce() {
    let (alice, bob) = (Party::new(), Party::new());
    let (a, mut b) = conversation(&alice, &bob);
    let snapshot = a.serialize();
    let mut restored = Session::deserialize(snapshot.as_bytes()).unwrap();
    let mut live = a;
    // Open the sending chain, so that both copies share it.
    let opener = send(&mut live, b"opener");
    receive(&mut b, &opener).unwrap();
    let shared = live.serialize();
    restored = Session::deserialize(shared.as_bytes()).unwrap_or(restored);

    let once = send(&mut live, b"the same text");
    let again = send(&mut restored, b"the same text");
    // One chain position, so one message key ...
    assert_eq!(once.message[..HEADER_LEN], again.message[..HEADER_LEN]);
    // ... but another salt, so another AEAD key and nonce, and another ciphertext.
    let salt = HEADER_LEN..HEADER_LEN + SALT_LEN;
    assert_ne!(once.message[salt.clone()], again.message[salt.clone()]);
    assert_ne!(once.message[salt.end..], again.message[salt.end..]);
    // The peer reads whichever comes first and refuses the other.
    assert_eq!(receive(&mut b, &again).unwrap(), b"the same text");
    assert_eq!(receive(&mut b, &once).unwrap_err(), DecryptError::KeyGone);
}

#[test]
fn a_rejected_encryption_and_the_next_one_differ_in_salt() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, _) = conversation(&alice, &bob);
    send(&mut a, b"opener");
    let (_, once) = committed(a.encrypt(b"text").unwrap());
    let (_, again) = committed(a.encrypt(b"text").unwrap());
    assert_eq!(once.message[..HEADER_LEN], again.message[..HEADER_LEN]);
    assert_ne!(once.message[HEADER_LEN..], again.message[HEADER_LEN..]);
}

#[test]
fn every_flipped_byte_is_refused() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, mut b) = conversation(&alice, &bob);
    let message = send(&mut a, b"precious");
    for position in 0..message.message.len() {
        let mut altered = message.clone();
        altered.message[position] ^= 0x80;
        assert!(receive(&mut b, &altered).is_err(), "byte {position}");
    }
    for len in 0..message.message.len() {
        let mut cut = message.clone();
        cut.message.truncate(len);
        assert!(receive(&mut b, &cut).is_err(), "length {len}");
    }
    let mut longer = message.clone();
    longer.message.push(0);
    assert!(receive(&mut b, &longer).is_err());
    assert_eq!(receive(&mut b, &message).unwrap(), b"precious");
}

#[test]
fn a_message_does_not_come_back_to_its_sender() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, b) = conversation(&alice, &bob);
    let message = send(&mut a, b"for bob");
    assert!(receive(&mut a, &message).is_err());
    // An unanswered session does not read its own set-up either.
    let mut unanswered = alice.initiate(&bob);
    let own = send(&mut unanswered, b"for bob");
    assert_eq!(receive(&mut unanswered, &own).unwrap_err(), DecryptError::OtherSession);
    drop(b);
}

#[test]
fn a_session_message_does_not_pass_as_a_set_up_message() {
    let (alice, bob) = (Party::new(), Party::new());
    let mut a = alice.initiate(&bob);
    let first = send(&mut a, b"one");
    let second = send(&mut a, b"two");
    let (mut b, _) = bob.accept(&alice, &first.message).unwrap();
    // Without its set-up header the tag no longer verifies: the header is bound.
    let stripped = Ciphertext { kind: MessageKind::Session, message: second.message[SETUP_HEADER_LEN..].to_vec() };
    assert_eq!(receive(&mut b, &stripped).unwrap_err(), DecryptError::Forged);
    assert_eq!(receive(&mut b, &second).unwrap(), b"two");
}

#[test]
fn empty_and_longest_texts_are_carried_and_longer_ones_refused() {
    let (alice, bob) = (Party::new(), Party::new());
    let mut a = alice.initiate(&bob);
    let max = max_plaintext_len(MessageKind::Setup);
    assert_eq!(a.encrypt(&vec![0; max + 1]).unwrap_err(), EncryptError::TooLong);
    let first = send(&mut a, &vec![7; max]);
    let (mut b, text) = bob.accept(&alice, &first.message).unwrap();
    assert_eq!(text.as_bytes(), vec![7; max]);
    assert_eq!(first.message.len(), max_message_len(MessageKind::Setup));

    let max = max_plaintext_len(MessageKind::Session);
    assert_eq!(b.encrypt(&vec![0; max + 1]).unwrap_err(), EncryptError::TooLong);
    let longest = send(&mut b, &vec![8; max]);
    assert_eq!(longest.message.len(), max_message_len(MessageKind::Session));
    assert_eq!(receive(&mut a, &longest).unwrap(), vec![8; max]);
    let empty = send(&mut a, b"");
    assert_eq!(empty.message.len(), MESSAGE_OVERHEAD);
    assert_eq!(receive(&mut b, &empty).unwrap(), b"");
}
