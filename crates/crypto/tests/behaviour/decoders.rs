//! Decoders: exact, refusing what follows, and never panicking on any input.

use std::sync::LazyLock;

use proptest::prelude::*;
use subrosa_crypto::membership::{
    Act, ChainEnd, Change, Checkpoint, Ending, Membership, Newcomer, Offered, Settings, Signer,
};
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
    let mut encodings: Vec<(&'static str, Vec<u8>, Decoder)> = vec![
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
    ];
    encodings.extend(memberships(&alice, &bob));
    encodings
});

/// A checkpoint, and a change of each kind.
fn memberships(alice: &Party, bob: &Party) -> Vec<(&'static str, Vec<u8>, Decoder)> {
    let list = |party: &Party| {
        let certificate = *party.certificate.certificate();
        DeviceList::issue(&party.account, &party.record, 1, 5, 1, vec![certificate]).unwrap().unverified()
    };
    let newcomer = |party: &Party| Newcomer { record: party.record, list: list(party) };
    let (by_device, by_account) = (Signer::Device(1, &alice.identity), Signer::Account(&alice.account));
    let id = bob.record.id();
    let chains: Vec<ChainEnd> =
        (1..=2).map(|device| ChainEnd { device, generation: 2, next: 3, chain: [4; 32] }).collect();
    let ending = Ending { account: id, chains: chains.clone() };
    let settings = Settings { only_admins_write: true, ..Settings::default() };
    let create =
        Act::Create { random: [5; 16], settings, author: Box::new(newcomer(alice)), name: "hikers".to_owned() };
    let first = Change::sign([0; 32], alice.record.id(), by_device, 1, &[], create);
    let mut group = Membership::begin(first.clone()).unwrap();
    let add = Act::Add { link: None, members: vec![newcomer(bob)] };
    let added = Change::sign(*group.id(), alice.record.id(), by_device, 2, &group.heads(), add);
    assert!(matches!(group.offer(added.clone()), Ok(Offered::Taken { .. })));
    let checkpoint = Checkpoint::sign(&group, alice.record.id(), 1, &alice.identity);
    let on_two_heads =
        |signer, act| Change::sign(*group.id(), alice.record.id(), signer, u64::MAX, &[[6; 32], [5; 32]], act).encode();
    let change: Decoder = |b| Change::decode(b).ok().map(|change| change.encode());
    let mut all: Vec<(&'static str, Vec<u8>, Decoder)> = vec![
        ("checkpoint", checkpoint.encode(), |b| Checkpoint::decode(b).ok().map(|checkpoint| checkpoint.encode())),
        ("create", first.encode(), change),
        ("add", added.encode(), change),
    ];
    let by_link = Act::Add { link: Some([7; 16]), members: vec![newcomer(bob)] };
    let open = Act::OpenLink { link: [7; 16], uses: 2, expires_ms: 9, approval: true };
    let acts = [
        ("add by a link", by_device, by_link),
        ("remove", by_device, Act::Remove(vec![ending.clone()])),
        ("promote", by_device, Act::Promote(vec![id])),
        ("demote", by_device, Act::Demote(vec![ending])),
        ("rename", by_device, Act::Rename("Wanderer, Grüße".to_owned())),
        ("describe", by_device, Act::Describe("世界".to_owned())),
        ("set", by_device, Act::Set(settings)),
        ("open link", by_device, open),
        ("revoke link", by_device, Act::RevokeLink([7; 16])),
        ("leave", by_account, Act::Leave { successor: Some(id), chains }),
        ("disband", by_device, Act::Disband),
        ("list", by_account, Act::List(list(alice))),
    ];
    all.extend(acts.map(|(name, signer, act)| (name, on_two_heads(signer, act), change)));
    all
}

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
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_encodings_are_refused_or_mean_something_else(
        which in 0..ENCODINGS.len(),
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
