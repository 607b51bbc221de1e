//! Jumps, skipped keys, remembered chains: bounded, and never silently.

use subrosa_crypto::*;

use crate::parties::{Party, conversation, receive, send};

/// Where the header has its numbers.
const PREVIOUS: std::ops::Range<usize> = 33..37;
const NUMBER: std::ops::Range<usize> = 37..41;

fn pair() -> (Session, Session) {
    conversation(&Party::new(), &Party::new())
}

fn send_many(session: &mut Session, count: usize) -> Vec<Ciphertext> {
    (0..count).map(|_| send(session, b"")).collect()
}

#[test]
fn skipped_key_exhaustion_is_refused_at_once_in_known_and_new_chains() {
    let (mut a, mut b) = pair();
    let new_chain = send(&mut a, b"");
    for previous in [0u32, 1, 5000, u32::MAX] {
        for number in [2001u32, 1 << 20, u32::MAX] {
            let mut forged = new_chain.clone();
            forged.message[PREVIOUS].copy_from_slice(&previous.to_be_bytes());
            forged.message[NUMBER].copy_from_slice(&number.to_be_bytes());
            let error = receive(&mut b, &forged).unwrap_err();
            assert!(
                matches!(error, DecryptError::JumpTooFar | DecryptError::BadHeader),
                "{previous} {number}: {error}"
            );
        }
    }
    receive(&mut b, &new_chain).unwrap();
    for number in [2002u32, 1 << 20, u32::MAX] {
        let mut forged = new_chain.clone();
        forged.message[NUMBER].copy_from_slice(&number.to_be_bytes());
        assert_eq!(receive(&mut b, &forged).unwrap_err(), DecryptError::JumpTooFar);
    }
}

#[test]
fn the_largest_jump_is_read_and_one_more_is_not() {
    let (mut a, mut b) = pair();
    let messages = send_many(&mut a, MAX_JUMP as usize + 2);
    let mut also_b = Session::deserialize(b.serialize().as_bytes()).unwrap();
    assert_eq!(receive(&mut b, &messages[MAX_JUMP as usize + 1]).unwrap_err(), DecryptError::JumpTooFar);
    receive(&mut b, &messages[MAX_JUMP as usize]).unwrap();
    // All that were skipped can still be read, also after a restart.
    b = Session::deserialize(b.serialize().as_bytes()).unwrap();
    for message in messages[..MAX_JUMP as usize].iter().step_by(333) {
        receive(&mut b, message).unwrap();
    }
    // In a chain that is known.
    receive(&mut also_b, &messages[0]).unwrap();
    receive(&mut also_b, &messages[MAX_JUMP as usize + 1]).unwrap();
}

#[test]
fn the_end_of_the_previous_chain_counts_into_the_jump() {
    let (mut a, mut b) = pair();
    let old = send_many(&mut a, 1500);
    receive(&mut b, &old[0]).unwrap();
    let answer = send(&mut b, b"");
    receive(&mut a, &answer).unwrap();
    let new = send_many(&mut a, 600);
    // 1,499 unread in the old chain and 502 in the new one.
    assert_eq!(receive(&mut b, &new[502]).unwrap_err(), DecryptError::JumpTooFar);
    receive(&mut b, &new[501]).unwrap();
    receive(&mut b, &old[1]).unwrap();
    receive(&mut b, &old[1499]).unwrap();
    receive(&mut b, &new[0]).unwrap();
}

#[test]
fn over_the_limit_the_oldest_skipped_keys_go_and_their_messages_are_refused() {
    let (mut a, mut b) = pair();
    let messages = send_many(&mut a, 3002);
    receive(&mut b, &messages[1500]).unwrap();
    receive(&mut b, &messages[3001]).unwrap();
    // 3,000 were skipped: the first 1,000 are gone.
    for gone in [0, 999] {
        assert_eq!(receive(&mut b, &messages[gone]).unwrap_err(), DecryptError::KeyGone);
    }
    for kept in [1000, 1499, 1501, 3000] {
        receive(&mut b, &messages[kept]).unwrap();
    }
    assert!(b.serialize().as_bytes().len() < MAX_SKIPPED * 36 + 1024);
}

#[test]
fn five_chains_are_remembered() {
    let (mut a, mut b) = pair();
    let mut late = Vec::new();
    for _ in 0..=MAX_CHAINS {
        late.push(send(&mut a, b"late"));
        let on_time = send(&mut a, b"on time");
        receive(&mut b, &on_time).unwrap();
        let answer = send(&mut b, b"answer");
        receive(&mut a, &answer).unwrap();
    }
    // MAX_CHAINS + 1 chains ended or run: the first is forgotten.
    assert!(receive(&mut b, &late[0]).is_err());
    for message in &late[1..] {
        assert_eq!(receive(&mut b, message).unwrap(), b"late");
    }
}

#[test]
fn a_new_ratchet_key_that_answers_nothing_is_refused_without_work() {
    let (mut a, mut b) = pair();
    let message = send(&mut a, b"");
    receive(&mut b, &message).unwrap();
    // b has not sent since, so no message of a can have another ratchet key.
    let mut forged = send(&mut a, b"");
    forged.message[1..33].fill(9);
    assert_eq!(receive(&mut b, &forged).unwrap_err(), DecryptError::BadHeader);
}

#[test]
fn small_order_ratchet_keys_are_refused() {
    let (mut a, mut b) = pair();
    let mut forged = send(&mut a, b"");
    forged.message[1..33].fill(0);
    assert_eq!(receive(&mut b, &forged).unwrap_err(), DecryptError::BadHeader);
}
