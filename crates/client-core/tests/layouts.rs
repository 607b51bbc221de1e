//! `crates/crypto`, `crates/wire` and the relay's own parser know nothing of each other; here they meet.

use sha2::{Digest, Sha256};
use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, KemPrekeyPair, KemUse,
    OneTimePrekeyPair, PartyAddress, RecoveryKey, RelayMarks, SignedPrekeyPair,
};
use subrosa_relay::identity;
use subrosa_wire::{
    AccountId, DeviceAddress, http, labels, limits,
    mailbox::{self, LoginMarks},
};

const AUTHORITY: &str = "relay.example:8443";
const NOW_MS: u64 = 1_790_000_000_000;

struct Account {
    record: AccountRecord,
    identities: Vec<IdentityKeyPair>,
    list: DeviceList,
}

/// An account with `devices` devices.
fn account(devices: u32) -> Account {
    let key = AccountKeyPair::generate().unwrap();
    let record = AccountRecord::new(key.public(), RecoveryKey::generate().unwrap().commitment());
    let identities: Vec<_> = (0..devices).map(|_| IdentityKeyPair::generate().unwrap()).collect();
    let certificates = (1..=devices)
        .zip(&identities)
        .map(|(number, identity)| DeviceCertificate::issue(&key, &record.id(), number, &identity.public(), number))
        .collect();
    let list = DeviceList::issue(&key, &record, devices, NOW_MS, devices, certificates).unwrap();
    Account { record, identities, list }
}

#[test]
fn the_relay_reads_the_records_and_lists_that_the_cryptography_issues() {
    assert_eq!(subrosa_crypto::MAX_DEVICES, limits::MAX_DEVICES);
    for devices in 1..=u32::try_from(limits::MAX_DEVICES).unwrap() {
        let account = account(devices);
        let record = identity::AccountRecord::parse(&account.record.encode()).unwrap();
        assert_eq!(record.id.0, account.record.id());
        assert_eq!(&record.account_key, account.record.account_key().as_bytes());
        let list = identity::DeviceList::parse(&account.list.encode(), &record).unwrap();
        assert_eq!((list.account, list.version), (AccountId(account.record.id()), account.list.version()));
        assert_eq!(list.highest, account.list.highest());
        let read: Vec<_> = list.devices.iter().map(|device| (device.number, device.identity)).collect();
        let issued: Vec<_> =
            (1..=devices).zip(&account.identities).map(|(number, key)| (number, *key.public().as_bytes())).collect();
        assert_eq!(read, issued);
    }
}

#[test]
fn every_byte_of_record_and_list_counts_for_both_parsers() {
    let account = account(2);
    let record = identity::AccountRecord::parse(&account.record.encode()).unwrap();
    let bytes = account.list.encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let ours = DeviceList::decode(&changed).ok().and_then(|list| list.verify(&account.record).ok());
        assert!(ours.is_none(), "byte {at}");
        assert!(identity::DeviceList::parse(&changed, &record).is_err(), "byte {at}");
    }
    for cut in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
        assert!(DeviceList::decode(cut).is_err() && identity::DeviceList::parse(cut, &record).is_err());
    }
}

#[test]
fn the_relay_verifies_the_proofs_that_the_cryptography_signs() {
    let account = account(1);
    let device = DeviceAddress { account: AccountId(account.record.id()), device: 1 };
    let party = PartyAddress { account: account.record.id(), device: 1 };
    let (key, nonce) = (&account.identities[0], [9; 32]);
    let record = identity::AccountRecord::parse(&account.record.encode()).unwrap();
    let bytes = account.list.encode();
    let list = identity::DeviceList::parse(&bytes, &record).unwrap();
    let handle = "alice".parse().unwrap();
    for (pin, exporter) in [(None, None), (Some([5; 32]), None), (None, Some([7; 32])), (Some([5; 32]), Some([7; 32]))]
    {
        let marks = LoginMarks { mark: [1; 16], shown: vec![[2; 16], [3; 16]], take_over: false };
        let signed = RelayMarks { shown: &marks.shown, new: &marks.mark, take_over: false };
        let signature = key.sign_relay_auth(AUTHORITY, pin.as_ref(), exporter.as_ref(), &nonce, &party, &signed);
        let verify = |challenged: identity::Challenged<'_>| {
            identity::verify_auth(key.public().as_bytes(), &challenged, &device, &signature)
        };
        let meant = identity::Challenged {
            authority: AUTHORITY,
            pin: pin.as_ref(),
            exporter: exporter.as_ref(),
            nonce: &nonce,
            marks: &marks,
        };
        verify(meant).unwrap();
        assert!(verify(identity::Challenged { authority: "other.example:8443", ..meant }).is_err());
        assert!(verify(identity::Challenged { pin: Some(&[6; 32]), ..meant }).is_err());
        assert!(verify(identity::Challenged { nonce: &[8; 32], ..meant }).is_err());
        for other in [
            LoginMarks { mark: [9; 16], ..marks.clone() },
            LoginMarks { shown: vec![[2; 16]], ..marks.clone() },
            LoginMarks { take_over: true, ..marks.clone() },
        ] {
            assert!(verify(identity::Challenged { marks: &other, ..meant }).is_err());
        }
        // Of another connection, of none, or where there was none.
        for other in [None, Some(&[7; 32]), Some(&[8; 32])] {
            let moved = identity::Challenged { exporter: other, ..meant };
            assert_eq!(verify(moved).is_ok(), other == exporter.as_ref());
        }

        let proof = key.sign_registration(AUTHORITY, pin.as_ref(), "alice", &account.record.id(), &account.list.hash());
        identity::verify_registration(&list, &bytes, AUTHORITY, pin.as_ref(), &handle, &proof).unwrap();
        let other = "mallory".parse().unwrap();
        assert!(identity::verify_registration(&list, &bytes, AUTHORITY, pin.as_ref(), &other, &proof).is_err());
        assert!(identity::verify_registration(&list, &bytes, AUTHORITY, pin.as_ref(), &handle, &signature).is_err());
    }
}

#[test]
fn ids_and_hashes_are_those_of_the_labels() {
    let account = account(1);
    let record = account.record.encode();
    let id = Sha256::new().chain_update(labels::ACCOUNT_ID).chain_update(&record[1..]).finalize();
    assert_eq!(<[u8; 32]>::from(id), account.record.id());
    assert_eq!(<[u8; 32]>::from(Sha256::digest(account.list.encode())), account.list.hash());
    let party = PartyAddress { account: account.record.id(), device: 7 };
    let device = DeviceAddress { account: AccountId(account.record.id()), device: 7 };
    assert_eq!(device.to_bytes()[..], [&party.account[..], &party.device.to_be_bytes()].concat()[..]);
}

#[test]
fn sizes_on_the_wire_are_those_of_the_cryptography() {
    let identity = IdentityKeyPair::generate().unwrap();
    assert_eq!(AccountRecord::LEN, http::ACCOUNT_RECORD_BYTES);
    assert_eq!(SignedPrekeyPair::generate(1, &identity).unwrap().public_bytes().len(), mailbox::SIGNED_PREKEY_BYTES);
    assert_eq!(OneTimePrekeyPair::generate(1).unwrap().public_bytes().len(), mailbox::ONE_TIME_EC_BYTES);
    for kem_use in [KemUse::OneTime, KemUse::LastResort] {
        let key = KemPrekeyPair::generate(1, &identity, kem_use).unwrap();
        assert_eq!(key.public_bytes().len(), mailbox::KEM_PREKEY_BYTES);
    }
    assert_eq!(subrosa_crypto::BUCKETS, limits::BODY_SIZES);
    assert_eq!(limits::BODY_SIZES.first(), Some(&limits::MIN_BODY_BYTES));
    assert_eq!(limits::BODY_SIZES.last(), Some(&limits::MAX_BODY_BYTES));
}

#[test]
fn a_seal_is_what_a_submission_carries() {
    use subrosa_crypto::{HEAD_LEN, MessageKind, SealedContent, SendingPairKey, max_message_len, seal};
    assert_eq!(HEAD_LEN, limits::HEAD_BYTES);
    let (sender, receiver) = (account(1), account(1));
    let certificate = *sender.list.device(1).unwrap().certificate();
    let own = PartyAddress { account: sender.record.id(), device: 1 };
    let target = SendingPairKey::new(&sender.identities[0], &own, &receiver.list.device(1).unwrap()).unwrap();
    for len in [1, 400, 5_000, max_message_len(MessageKind::Session)] {
        let content = SealedContent::session(sender.record.id(), certificate, vec![0; len]);
        let envelope = seal(&[&target], &content).unwrap();
        assert_eq!(envelope.heads[0].len(), limits::HEAD_BYTES);
        assert!(limits::BODY_SIZES.contains(&envelope.body.len()), "{len}");
    }
}

#[test]
fn the_longest_message_to_all_devices_of_a_person_fits_a_submission_and_the_request_lane() {
    use bytes::Bytes;
    use subrosa_wire::{
        Capability, DeliveryKey,
        mailbox::{MailboxClientFrame, MailboxRequest},
        submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem},
    };
    let devices = u32::try_from(limits::MAX_DEVICES).unwrap();
    let item = |device: u32, capability| SubmitItem {
        device: DeviceAddress { account: AccountId([1; 32]), device },
        capability,
        class: EnvelopeClass::Durable,
        expiry_s: 0,
        head: [0; limits::HEAD_BYTES],
        body_ref: device as usize - 1,
        list_version: 1,
    };
    let submit = |capability: Option<Capability>| Submit {
        bodies: (0..devices).map(|_| Bytes::from(vec![0; limits::MAX_BODY_BYTES])).collect(),
        items: (1..=devices).map(|device| item(device, capability.clone())).collect(),
    };
    let key = Capability::DeliveryKey(DeliveryKey::new([2; 16]));
    let frame = SubmitClientFrame::Submit { id: 1, submit: submit(Some(key)) }.encode();
    assert!(SubmitClientFrame::decode(frame).is_ok());
    let frame = MailboxClientFrame::Request { id: 1, op: MailboxRequest::SubmitRequest(submit(None)) }.encode();
    assert!(MailboxClientFrame::decode(frame).is_ok());
}
