//! Messages of a group by sender keys: who can read, who can write, what is refused, what is kept.

use std::collections::HashSet;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use ed25519_dalek::Signer;
use hmac::Mac;
use proptest::prelude::*;
use subrosa_crypto::*;

use crate::parties::Party;

/// Header 37 (version, chain id, number), salt 16, ciphertext and tag, signature 64.
const SALT_AT: usize = 37;
const TEXT_AT: usize = 53;
const SIGNATURE: usize = 64;

static PARTIES: LazyLock<[Party; 2]> = LazyLock::new(|| [Party::new(), Party::new()]);

fn alice() -> GroupSender {
    GroupSender::of([7; 32], &PARTIES[0].certificate)
}

fn chain() -> SendingChain {
    SendingChain::new(NonZeroU32::MIN).unwrap()
}

/// Hands a chain over, in bytes as it travels.
fn joined(chain: &SendingChain) -> MemberChain {
    MemberChain::new(&SenderKeyHandover::decode(&chain.handover().encode()).unwrap())
}

fn send(chain: &mut SendingChain, text: &[u8]) -> Vec<u8> {
    let step = chain.encrypt(&alice(), text).unwrap();
    let (next, sent) = step.commit(|_| Ok::<_, Infallible>(())).unwrap();
    assert_eq!(sent.kind, MessageKind::Group);
    assert_eq!(sent.message.len(), text.len() + GROUP_MESSAGE_OVERHEAD);
    *chain = next;
    sent.message
}

/// Decrypts and moves the chain on; a refusal must leave it as it was.
fn receive_as(chain: &mut MemberChain, who: &GroupSender, message: &[u8]) -> Result<Vec<u8>, GroupDecryptError> {
    let before = chain.serialize();
    match chain.decrypt(who, message) {
        Ok(step) => {
            let (next, text) = step.commit(|_| Ok::<_, Infallible>(())).unwrap();
            *chain = next;
            Ok(text.as_bytes().to_vec())
        }
        Err(error) => {
            assert_eq!(chain.serialize().as_bytes(), before.as_bytes());
            Err(error)
        }
    }
}

fn receive(chain: &mut MemberChain, message: &[u8]) -> Result<Vec<u8>, GroupDecryptError> {
    receive_as(chain, &alice(), message)
}

#[test]
fn a_message_is_encrypted_once_and_read_by_all_who_have_the_chain() {
    let mut sender = chain();
    let mut members: Vec<_> = (0..3).map(|_| joined(&sender)).collect();
    for text in [&b"one"[..], b"", &[9; 1000]] {
        let message = send(&mut sender, text);
        assert_eq!(GroupMessage::chain_id_of(&message), Ok(sender.id()));
        for member in &mut members {
            assert_eq!(receive(member, &message).unwrap(), text);
            assert_eq!(receive(member, &message), Err(GroupDecryptError::KeyGone));
        }
    }
    assert_eq!(sender.next_number(), 3);
    assert!(members.iter().all(|member| member.next_number() == 3 && member.id() == sender.id()));
}

#[test]
fn every_byte_of_a_group_message_is_bound() {
    let mut sender = chain();
    let mut member = joined(&sender);
    let message = send(&mut sender, b"text");
    for position in 0..message.len() {
        for flip in [1, 0x80] {
            let mut altered = message.clone();
            altered[position] ^= flip;
            let error = receive(&mut member, &altered).unwrap_err();
            let expected = match position {
                0 => GroupDecryptError::Malformed(DecodeError::UnknownVersion(altered[0])),
                1..33 => GroupDecryptError::OtherChain,
                _ => GroupDecryptError::BadSignature,
            };
            assert_eq!(error, expected, "byte {position}");
        }
    }
    for len in 0..message.len() {
        assert!(receive(&mut member, &message[..len]).is_err(), "cut at {len}");
    }
    assert!(receive(&mut member, &[&message[..], &[0]].concat()).is_err());
    assert_eq!(receive(&mut member, &message).unwrap(), b"text");
}

#[test]
fn a_message_cannot_be_moved() {
    let mut sender = chain();
    let mut member = joined(&sender);
    let message = send(&mut sender, b"text");
    let own = alice();
    let bob = GroupSender::of(own.group, &PARTIES[1].certificate);
    let other_device = PartyAddress { device: own.address.device + 1, ..own.address };
    for other in [
        GroupSender { group: [8; 32], ..own },
        bob,
        GroupSender { address: bob.address, ..own },
        GroupSender { address: other_device, ..own },
        GroupSender { identity: bob.identity, ..own },
    ] {
        assert_eq!(receive_as(&mut member, &other, &message), Err(GroupDecryptError::BadSignature));
    }
    // Another generation of the same chain, which no honest sender hands over.
    let mut handover = chain_handover(&sender);
    handover[1..5].copy_from_slice(&2u32.to_be_bytes());
    handover[5..9].copy_from_slice(&0u32.to_be_bytes());
    let mut other = MemberChain::new(&SenderKeyHandover::decode(&handover).unwrap());
    assert_eq!(receive(&mut other, &message), Err(GroupDecryptError::BadSignature));
    // Another chain of the same device.
    let mut next = joined(&chain());
    assert_eq!(receive(&mut next, &message), Err(GroupDecryptError::OtherChain));
    assert_eq!(receive(&mut member, &message).unwrap(), b"text");
}

fn chain_handover(chain: &SendingChain) -> Vec<u8> {
    chain.handover().encode().to_vec()
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// All that somebody can make who was handed a chain, computed from docs/protocol.md.
fn written_by_a_reader(handover: &[u8], text: &[u8], signing: &ed25519_dalek::SigningKey) -> Vec<u8> {
    let (number, chain_key, chain_id) = (&handover[5..9], &handover[9..41], &handover[41..73]);
    let who = alice();
    let header = [&[1][..], chain_id, number].concat();
    let data = [
        b"Subrosa group sender v1",
        &who.group[..],
        &who.address.account,
        &who.address.device.to_be_bytes(),
        who.identity.as_bytes(),
        &handover[1..5],
    ]
    .concat();
    let salt = [3; 16];
    let mut key = [0; 44];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&salt), &hmac(chain_key, &[1]))
        .expand(b"Subrosa group message v1", &mut key)
        .unwrap();
    let cipher = aes_gcm::Aes256Gcm::new_from_slice(&key[..32]).unwrap();
    let nonce: [u8; 12] = key[32..].try_into().unwrap();
    let aad = [&data[..], &header].concat();
    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: text, aad: &aad }).unwrap();
    let before = [&header[..], &salt, &sealed].concat();
    let signed = [b"Subrosa group message signature v1", &data[..], &before].concat();
    [before, signing.sign(&signed).to_bytes().to_vec()].concat()
}

#[test]
fn who_can_read_a_chain_cannot_write_in_it() {
    let mut sender = chain();
    let mut member = joined(&sender);
    let handover = chain_handover(&sender);
    let mallory = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let forged = written_by_a_reader(&handover, b"forged", &mallory);
    assert_eq!(receive(&mut member, &forged), Err(GroupDecryptError::BadSignature));
    // With a real signature of another message, and with none.
    let real = send(&mut sender, b"real");
    let stolen = [&forged[..forged.len() - SIGNATURE], &real[real.len() - SIGNATURE..]].concat();
    assert_eq!(receive(&mut member, &stolen), Err(GroupDecryptError::BadSignature));
    let unsigned = [&forged[..forged.len() - SIGNATURE], &[0; SIGNATURE]].concat();
    assert_eq!(receive(&mut member, &unsigned), Err(GroupDecryptError::BadSignature));
    assert_eq!(receive(&mut member, &real).unwrap(), b"real");

    // The forger does all but the signature right: under a chain of its own it would be read.
    let mut own = handover;
    own[41..73].copy_from_slice(mallory.verifying_key().as_bytes());
    let mut reader = MemberChain::new(&SenderKeyHandover::decode(&own).unwrap());
    assert_eq!(receive(&mut reader, &written_by_a_reader(&own, b"forged", &mallory)).unwrap(), b"forged");
}

#[test]
fn a_newcomer_reads_nothing_from_before() {
    let mut sender = chain();
    let before = [send(&mut sender, b"a"), send(&mut sender, b"b")];
    let handover = sender.handover();
    assert_eq!((handover.number(), handover.generation(), handover.chain_id()), (2, 1, sender.id()));
    let mut newcomer = joined(&sender);
    let after = send(&mut sender, b"c");
    for message in &before {
        assert_eq!(receive(&mut newcomer, message), Err(GroupDecryptError::KeyGone));
    }
    assert_eq!(receive(&mut newcomer, &after).unwrap(), b"c");
}

#[test]
fn skipped_keys_are_bounded_and_what_was_dropped_is_said() {
    let mut sender = chain();
    let mut member = joined(&sender);
    let missed: Vec<_> = (0..MAX_CHAIN_SKIPPED + 2).map(|_| send(&mut sender, b"missed")).collect();
    let empty = member.serialize().as_bytes().len();
    let held = |member: &MemberChain| (member.serialize().as_bytes().len() - empty) / 36;
    receive(&mut member, &send(&mut sender, b"read")).unwrap();
    assert_eq!(held(&member), MAX_CHAIN_SKIPPED);
    for gone in &missed[..2] {
        assert_eq!(receive(&mut member, gone), Err(GroupDecryptError::KeyGone));
    }
    receive(&mut member, &missed[2]).unwrap();
    receive(&mut member, missed.last().unwrap()).unwrap();
    assert_eq!(held(&member), MAX_CHAIN_SKIPPED - 2);
    // Five more: the three oldest of those that are left go.
    let more: Vec<_> = (0..5).map(|_| send(&mut sender, b"more")).collect();
    receive(&mut member, &send(&mut sender, b"read")).unwrap();
    assert_eq!(held(&member), MAX_CHAIN_SKIPPED);
    for gone in &missed[3..6] {
        assert_eq!(receive(&mut member, gone), Err(GroupDecryptError::KeyGone));
    }
    for late in missed[6..missed.len() - 1].iter().chain(&more) {
        receive(&mut member, late).unwrap();
    }
    assert_eq!(held(&member), 0);
}

#[test]
fn a_jump_is_bounded() {
    let mut sender = chain();
    let mut member = joined(&sender);
    for _ in 0..MAX_JUMP {
        send(&mut sender, b"");
    }
    let far = send(&mut sender, b"far");
    let farther = send(&mut sender, b"farther");
    assert_eq!(receive(&mut member, &farther), Err(GroupDecryptError::JumpTooFar));
    assert_eq!(receive(&mut member, &far).unwrap(), b"far");
    assert_eq!(receive(&mut member, &farther).unwrap(), b"farther");
}

#[test]
fn a_chain_that_is_handed_over_again_stays_as_it_is() {
    let mut sender = chain();
    let handovers: Vec<_> = (0..4)
        .map(|_| {
            let handover = sender.handover();
            send(&mut sender, b"");
            handover
        })
        .collect();
    let mut member = MemberChain::new(&handovers[1]);
    receive(&mut member, &send(&mut sender, b"ahead")).unwrap();
    let before = member.serialize();
    for handover in handovers.iter().chain([&sender.handover()]) {
        assert_eq!(member.handed_over_again(handover), Ok(()));
    }
    assert_eq!(member.handed_over_again(&chain().handover()), Err(HandoverError::OtherChain));
    let altered = |position: usize, bytes: &[u8]| {
        let mut handover = handovers[2].encode().to_vec();
        handover[position..position + bytes.len()].copy_from_slice(bytes);
        member.handed_over_again(&SenderKeyHandover::decode(&handover).unwrap())
    };
    assert_eq!(altered(4, &[9]), Err(HandoverError::OtherGeneration));
    assert_eq!(altered(9, &[1; 32]), Err(HandoverError::OtherKey));
    assert_eq!(altered(8, &[1]), Err(HandoverError::OtherKey));
    assert_eq!(altered(5, &(5 + MAX_JUMP).to_be_bytes()), Err(HandoverError::OtherKey));
    assert_eq!(altered(5, &(6 + MAX_JUMP).to_be_bytes()), Err(HandoverError::TooFar));
    assert_eq!(member.serialize().as_bytes(), before.as_bytes());
}

#[test]
fn texts_up_to_the_limit_fit_the_seal_and_longer_ones_are_refused() {
    let max = max_plaintext_len(MessageKind::Group);
    let message = send(&mut chain(), &vec![1; max]);
    assert_eq!(message.len(), max_message_len(MessageKind::Group));
    assert_eq!(chain().encrypt(&alice(), &vec![1; max + 1]).unwrap_err(), GroupEncryptError::TooLong);
}

#[test]
fn a_chain_ends_before_its_numbers_repeat() {
    let stored = chain().serialize();
    let at = |next: u32| {
        let mut bytes = stored.as_bytes().to_vec();
        bytes[5..9].copy_from_slice(&next.to_be_bytes());
        SendingChain::deserialize(&bytes).unwrap()
    };
    let mut sender = at(u32::MAX - 1);
    let mut member = joined(&sender);
    let last = send(&mut sender, b"last");
    assert_eq!(sender.encrypt(&alice(), b"none").unwrap_err(), GroupEncryptError::ChainExhausted);
    assert_eq!(receive(&mut member, &last).unwrap(), b"last");
    assert_eq!(receive(&mut member, &last), Err(GroupDecryptError::KeyGone));
    assert_eq!(receive(&mut joined(&sender), &last), Err(GroupDecryptError::KeyGone));

    assert!(!at(MAX_CHAIN_MESSAGES - 1).is_worn(MAX_CHAIN_AGE - Duration::from_secs(1)));
    assert!(at(MAX_CHAIN_MESSAGES).is_worn(Duration::ZERO));
    assert!(at(0).is_worn(MAX_CHAIN_AGE));
}

#[test]
fn nothing_comes_out_before_it_is_stored() {
    let mut sender = chain();
    let member = joined(&sender);
    let step = sender.encrypt(&alice(), b"text").unwrap();
    assert_eq!(step.commit(|_| Err("disk full")).unwrap_err(), "disk full");
    let message = send(&mut sender, b"text");
    let step = member.decrypt(&alice(), &message).unwrap();
    assert_eq!(step.commit(|_| Err("disk full")).unwrap_err(), "disk full");
    let (next, text) = member
        .decrypt(&alice(), &message)
        .unwrap()
        .commit(|stored| {
            assert_eq!(MemberChain::deserialize(stored.as_bytes()).unwrap().next_number(), 1);
            Ok::<_, Infallible>(())
        })
        .unwrap();
    assert_eq!((next.next_number(), text.as_bytes()), (1, &b"text"[..]));
}

#[derive(Clone, Debug)]
enum Action {
    Send,
    /// One of the messages to one of the members.
    Deliver {
        to: usize,
        pick: usize,
    },
    Tamper {
        to: usize,
        pick: usize,
        position: usize,
        flip: u8,
    },
    /// Somebody is handed the chain at its present number.
    Join,
    /// A member, or the sender, starts again from its stored bytes.
    Restart(usize),
    /// The sender's state is put back to an old copy.
    Restore(usize),
    /// The sender encrypts, and its store fails.
    FailToSend,
}

fn action() -> impl Strategy<Value = Action> {
    let any = any::<usize>;
    prop_oneof![
        5 => Just(Action::Send),
        8 => (any(), any()).prop_map(|(to, pick)| Action::Deliver { to, pick }),
        1 => (any(), any(), any(), 1..=255u8)
            .prop_map(|(to, pick, position, flip)| Action::Tamper { to, pick, position, flip }),
        1 => Just(Action::Join),
        1 => any().prop_map(Action::Restart),
        1 => any().prop_map(Action::Restore),
        1 => Just(Action::FailToSend),
    ]
}

struct Member {
    chain: MemberChain,
    joined_at: u32,
    read: HashSet<u32>,
}

fn member(sender: &SendingChain) -> Member {
    Member { chain: joined(sender), joined_at: sender.next_number(), read: HashSet::new() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each member reads each number from its joining on exactly once, in whatever order, and nothing else. No salt comes
    /// twice under one number, also not after an old copy was put back: so no key and nonce do.
    #[test]
    fn every_group_message_is_read_exactly_once_or_refused(actions in prop::collection::vec(action(), 0..120)) {
        let mut sender = chain();
        let mut copies = vec![sender.serialize()];
        let mut members = vec![member(&sender)];
        let mut sent: Vec<(u32, Vec<u8>, Vec<u8>)> = Vec::new();
        let mut salts = HashSet::new();
        for (at, action) in actions.into_iter().enumerate() {
            match action {
                Action::Send => {
                    let (number, text) = (sender.next_number(), at.to_be_bytes().to_vec());
                    let message = send(&mut sender, &text);
                    prop_assert!(salts.insert((number, message[SALT_AT..TEXT_AT].to_vec())));
                    copies.push(sender.serialize());
                    sent.push((number, text, message));
                }
                Action::Deliver { to, pick } if !sent.is_empty() => {
                    let count = members.len();
                    let member = &mut members[to % count];
                    let (number, text, message) = &sent[pick % sent.len()];
                    let result = receive(&mut member.chain, message);
                    if *number >= member.joined_at && member.read.insert(*number) {
                        prop_assert_eq!(result.as_ref(), Ok(text));
                    } else {
                        prop_assert_eq!(result, Err(GroupDecryptError::KeyGone));
                    }
                }
                Action::Tamper { to, pick, position, flip } if !sent.is_empty() => {
                    let count = members.len();
                    let mut altered = sent[pick % sent.len()].2.clone();
                    let len = altered.len();
                    altered[position % len] ^= flip;
                    prop_assert!(receive(&mut members[to % count].chain, &altered).is_err());
                }
                Action::Join => members.push(member(&sender)),
                Action::Restart(0) => sender = SendingChain::deserialize(sender.serialize().as_bytes()).unwrap(),
                Action::Restart(which) => {
                    let count = members.len();
                    let chain = &mut members[which % count].chain;
                    *chain = MemberChain::deserialize(chain.serialize().as_bytes()).unwrap();
                }
                Action::Restore(which) => {
                    sender = SendingChain::deserialize(copies[which % copies.len()].as_bytes()).unwrap();
                }
                Action::FailToSend => {
                    let step = sender.encrypt(&alice(), b"never leaves").unwrap();
                    prop_assert!(step.commit(|_| Err(())).is_err());
                }
                _ => {}
            }
        }
    }
}
