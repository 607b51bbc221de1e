//! Decoders: exact, refusing what follows, and never panicking on any input.

use std::sync::LazyLock;

use proptest::prelude::*;
use subrosa_crypto::*;

use crate::parties::{Party, conversation, send};

/// Whether a decoder takes the bytes, and what it writes again.
type Decoder = fn(&[u8]) -> Option<Vec<u8>>;

/// A good encoding for each decoder.
static ENCODINGS: LazyLock<Vec<(&'static str, Vec<u8>, Decoder)>> = LazyLock::new(|| {
    let (alice, bob) = (Party::new(), Party::new());
    let certificate = *alice.certificate.certificate();
    let list = DeviceList::issue(&alice.account, &alice.record, 1, 5, 1, vec![certificate]).unwrap();
    let unanswered = alice.initiate(&bob);
    let (mut answered, mut peer) = conversation(&alice, &bob);
    send(&mut answered, b"skipped");
    let late = send(&mut answered, b"read");
    let (peer_session, _) = crate::parties::committed(peer.decrypt(late.kind, &late.message).unwrap());
    peer = peer_session;
    let chain = SendingChain::new(std::num::NonZeroU32::MIN).unwrap();
    let handover = chain.handover();
    let sender = GroupSender::of([7; 32], &alice.certificate);
    let (chain, _) = chain.encrypt(&sender, b"skipped").unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    let (chain, late) = chain.encrypt(&sender, b"read").unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    let read = MemberChain::new(&handover).decrypt(&sender, &late.message).unwrap();
    let (member, _) = read.commit(|_| Ok::<_, ()>(())).unwrap();
    vec![
        ("record", alice.record.encode().to_vec(), |b| AccountRecord::decode(b).ok().map(|r| r.encode().to_vec())),
        ("certificate", certificate.encode().to_vec(), |b| {
            DeviceCertificate::decode(b).ok().map(|c| c.encode().to_vec())
        }),
        ("device list", list.encode(), |b| DeviceList::decode(b).ok().map(|_| b.to_vec())),
        ("signed prekey", bob.signed.to_secret_bytes().to_vec(), |b| {
            SignedPrekeyPair::from_secret_bytes(b).ok().map(|p| p.to_secret_bytes().to_vec())
        }),
        ("one-time", bob.one_time.to_secret_bytes().to_vec(), |b| {
            OneTimePrekeyPair::from_secret_bytes(b).ok().map(|p| p.to_secret_bytes().to_vec())
        }),
        ("KEM prekey", bob.kem.to_secret_bytes().to_vec(), |b| {
            KemPrekeyPair::from_secret_bytes(b).ok().map(|p| p.to_secret_bytes().to_vec())
        }),
        ("unanswered", unanswered.serialize().as_bytes().to_vec(), session),
        ("answered", answered.serialize().as_bytes().to_vec(), session),
        ("with skipped keys", peer.serialize().as_bytes().to_vec(), session),
        ("sender key", handover.encode().to_vec(), |b| SenderKeyHandover::decode(b).ok().map(|h| h.encode().to_vec())),
        ("sending chain", chain.serialize().as_bytes().to_vec(), |b| {
            SendingChain::deserialize(b).ok().map(|chain| chain.serialize().as_bytes().to_vec())
        }),
        ("member chain", member.serialize().as_bytes().to_vec(), |b| {
            MemberChain::deserialize(b).ok().map(|chain| chain.serialize().as_bytes().to_vec())
        }),
    ]
});

fn session(bytes: &[u8]) -> Option<Vec<u8>> {
    let session = Session::deserialize(bytes).ok()?;
    // A damaged session may refuse to work, but never panics.
    let _ = session.encrypt(b"text");
    let _ = session.decrypt(MessageKind::Session, &[1; 100]);
    Some(session.serialize().as_bytes().to_vec())
}

#[test]
fn encodings_are_read_exactly() {
    for (name, bytes, decode) in ENCODINGS.iter() {
        assert_eq!(decode(bytes).as_ref(), Some(bytes), "{name}");
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode(&longer), None, "{name}: trailing byte");
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "{name}: cut at {len}");
        }
    }
}

#[test]
fn unknown_versions_are_refused() {
    for (name, bytes, decode) in ENCODINGS.iter() {
        if *name == "certificate" {
            continue; // carries no version: the record and list round it do
        }
        for version in [0, 2, 255] {
            let mut other = bytes.clone();
            other[0] = version;
            assert_eq!(decode(&other), None, "{name}: version {version}");
        }
    }
}

#[test]
fn public_prekeys_are_read_exactly() {
    let bob = Party::new();
    let signed = bob.signed.public_bytes().to_vec();
    let one_time = bob.one_time.public_bytes().to_vec();
    let kem = bob.kem.public_bytes();
    let verify = |signed: &[u8], one_time: &[u8], kem: &[u8]| {
        PrekeyBundle::verify(&bob.certificate, signed, Some(one_time), kem, KemUse::OneTime)
    };
    verify(&signed, &one_time, &kem).unwrap();
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    let shorter = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    for resize in [longer as fn(&[u8]) -> Vec<u8>, shorter] {
        for refused in [
            verify(&resize(&signed), &one_time, &kem),
            verify(&signed, &resize(&one_time), &kem),
            verify(&signed, &one_time, &resize(&kem)),
        ] {
            assert!(matches!(refused, Err(BundleError::Malformed(_))));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_encodings_are_refused_or_mean_something_else(
        which in 0..12usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, bytes, decode) = &ENCODINGS[which];
        let mut damaged = bytes.clone();
        for (index, byte) in damage {
            damaged[index.index(bytes.len())] = byte;
        }
        // One encoding for each value: what is read is written again byte for byte.
        if let Some(again) = decode(&damaged) {
            prop_assert_eq!(again, damaged);
        }
    }

    #[test]
    fn no_decoder_panics_on_noise(noise in prop::collection::vec(any::<u8>(), 0..2500)) {
        for (_, _, decode) in ENCODINGS.iter() {
            let _ = decode(&noise);
        }
        let _ = SetupHeader::peek(&noise);
        let _ = GroupMessage::chain_id_of(&noise);
        let _ = RecoveryKey::from_words(&String::from_utf8_lossy(&noise));
    }
}
