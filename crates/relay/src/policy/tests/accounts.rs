use bytes::Bytes;
use proptest::{collection::btree_map, prelude::*};
use subrosa_wire::{AccountId, CapabilityHash, DeviceAddress, ErrorCode, limits::MAX_CONTACT_TOKENS};

use crate::policy::{
    device_list::{Held, judge_list},
    identity::{Device, DeviceList},
    judge_contact_token,
    mailbox::{Login, judge_ack, judge_login},
    registration::{Admission, Registered, Registration, RegistrationFacts, judge_registration},
};

const NOW_MS: u64 = 1_800_000_000_000;
const ALICE: AccountId = AccountId([1; 32]);

fn list(version: u32, highest: u32, devices: Vec<Device>) -> DeviceList {
    DeviceList { account: ALICE, version, highest, devices }
}

fn wanted(admission: Admission) -> Registration {
    Registration {
        record: [1; 65],
        handle: "alice".parse().unwrap(),
        list_bytes: Bytes::from_static(b"list"),
        list: list(1, 1, vec![Device { number: 1, identity: [1; 32] }]),
        admission,
    }
}

fn registers(facts: &RegistrationFacts, admission: Admission) -> Result<Registered, ErrorCode> {
    judge_registration(facts, &wanted(admission), NOW_MS).map_err(|refusal| refusal.code)
}

#[test]
fn who_is_here_already_is_answered_as_before_and_nobody_else_gets_the_name() {
    let here = |list: &[u8]| RegistrationFacts {
        existing: Some((vec![1; 65], "alice".into(), list.to_vec())),
        ..RegistrationFacts::default()
    };
    // Whatever has become of admissions since.
    assert_eq!(registers(&here(b"list"), Admission::Closed), Ok(Registered::Again));
    assert_eq!(registers(&here(b"other"), Admission::Open), Err(ErrorCode::AccountExists));
    let bob = Some(AccountId([2; 32]));
    let taken = RegistrationFacts { handle_of: bob, ..RegistrationFacts::default() };
    assert_eq!(registers(&taken, Admission::Open), Err(ErrorCode::HandleTaken));
    let retired = |of| RegistrationFacts { retired_of: of, ..RegistrationFacts::default() };
    assert_eq!(registers(&retired(bob), Admission::Open), Err(ErrorCode::HandleTaken));
    assert_eq!(registers(&retired(Some(ALICE)), Admission::Open), Ok(Registered::New(None)), "its own");
}

#[test]
fn a_registration_token_lets_in_as_often_and_as_long_as_it_says() {
    let token = CapabilityHash([7; 32]);
    let facts = |token| RegistrationFacts { token, ..RegistrationFacts::default() };
    let shown = Admission::Token(Some(token));
    assert_eq!(registers(&facts(Some((1, None))), shown), Ok(Registered::New(Some(token))));
    assert_eq!(registers(&facts(Some((1, Some(NOW_MS + 1)))), shown), Ok(Registered::New(Some(token))));
    for useless in [None, Some((0, None)), Some((1, Some(NOW_MS)))] {
        assert_eq!(registers(&facts(useless), shown), Err(ErrorCode::RegistrationTokenRefused));
    }
    assert_eq!(registers(&facts(None), Admission::Token(None)), Err(ErrorCode::RegistrationTokenNeeded));
    assert_eq!(registers(&facts(None), Admission::Closed), Err(ErrorCode::RegistrationClosed));
}

/// The bytes of a list as far as the rule reads them: the highest number.
fn bytes(highest: u32) -> Vec<u8> {
    [&[0; 45][..], &highest.to_be_bytes()].concat()
}

proptest! {
    #[test]
    fn a_list_that_replaces_another_gives_no_number_to_another_device(
        before in btree_map(1u32..8, 0u8..3, 1..5),
        after in btree_map(1u32..10, 0u8..3, 1..5),
        (version, highest) in (1u32..4, 1u32..10),
    ) {
        let devices = |of: &std::collections::BTreeMap<u32, u8>| -> Vec<Device> {
            of.iter().map(|(number, key)| Device { number: *number, identity: [*key; 32] }).collect()
        };
        let held_highest = before.last_key_value().map_or(0, |(number, _)| *number).max(5);
        let held = Held { bytes: bytes(held_highest), version: 2, devices: devices(&before) };
        let new = list(version, highest, devices(&after));
        match judge_list(&held, &bytes(highest), &new) {
            Ok(None) => prop_assert_eq!(bytes(highest), held.bytes, "the same"),
            Ok(Some(replaced)) => {
                prop_assert!(version > 2 && highest >= held_highest);
                prop_assert!(replaced.new.iter().all(|device| device.number > held_highest));
                let mut left: Vec<Device> = held.devices.clone();
                left.retain(|device| !replaced.gone.contains(&device.number));
                left.extend(&replaced.new);
                left.sort_by_key(|device| device.number);
                prop_assert_eq!(left, new.devices);
            }
            Err(refusal) => {
                prop_assert_eq!(refusal.code, ErrorCode::OldDeviceList);
                let again = new.devices.iter().any(|device| device.number <= held_highest && !held.devices.contains(device));
                prop_assert!(version <= 2 || highest < held_highest || again);
            }
        }
    }

    #[test]
    fn an_acknowledgement_goes_forwards_and_never_beyond_what_was_given(acked in 0u64..9, more in 0u64..9, upto in 0u64..20) {
        let last = acked + more;
        match judge_ack(acked, last, upto) {
            Some(now) => prop_assert!(now > acked && now <= last && now <= upto),
            None => prop_assert!(upto <= acked || last == acked),
        }
    }
}

#[test]
fn another_copy_is_told_apart_by_the_mark_that_it_does_not_know() {
    let login = |shown: Vec<[u8; 32]>, take_over| Login {
        device: DeviceAddress { account: ALICE, device: 1 },
        shown,
        mark: [9; 32],
        take_over,
    };
    let newest = [1; 32];
    assert!(judge_login(None, &login(Vec::new(), false)).is_ok(), "nothing is known here");
    assert!(judge_login(Some(&newest), &login(vec![[2; 32], newest], false)).is_ok());
    assert_eq!(judge_login(Some(&newest), &login(vec![[2; 32]], false)).unwrap_err().code, ErrorCode::OtherCopy);
    assert!(judge_login(Some(&newest), &login(Vec::new(), true)).is_ok(), "a person chose it");
}

#[test]
fn contact_tokens_are_counted() {
    let most = u32::try_from(MAX_CONTACT_TOKENS).unwrap();
    assert!(judge_contact_token(most - 1).is_ok());
    assert_eq!(judge_contact_token(most).unwrap_err().code, ErrorCode::QuotaExceeded);
}
