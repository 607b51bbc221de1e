use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use subrosa_wire::{
    CapabilityHash, ErrorCode,
    limits::{MAX_ONE_TIME_EC, MAX_TOKEN_PREKEYS},
    mailbox::{PrekeyUpload, TokenUses},
};

use crate::policy::{
    Moment,
    facts::{Account, Keys, Token},
    permission::Permission,
    prekeys::{Given, Standing, Stock, judge_taking, judge_upload},
};

const KEM: Stock = Stock { left: 0, last: None };
const NOW: Moment = Moment { ms: 1_800_000_000_000, day: 20_833 };

fn key(id: u32) -> Bytes {
    let mut key = id.to_be_bytes().to_vec();
    key.extend([7; 32]);
    key.into()
}

fn upload(ids: &[u32], replace_one_time: bool) -> PrekeyUpload {
    PrekeyUpload {
        signed_prekey: None,
        last_resort_kem: None,
        one_time_ec: ids.iter().copied().map(key).collect(),
        one_time_kem: Vec::new(),
        replace_one_time,
    }
}

proptest! {
    #[test]
    fn no_key_is_served_twice_and_none_is_kept_beyond_the_stock(
        uploads in vec((vec(0u32..60, 0..40), any::<bool>(), 0usize..30), 1..12)
    ) {
        let (mut stock, mut shelf) = (KEM, BTreeSet::new());
        let mut served = BTreeSet::new();
        for (ids, replace, taken) in uploads {
            if replace {
                // A restored client has new keys under old ids.
                served.clear();
            }
            match judge_upload(stock, KEM, &upload(&ids, replace)) {
                Ok((kept, _)) => {
                    if replace {
                        shelf.clear();
                    }
                    prop_assert!(kept.keys.keys().all(|id| ids.contains(id) && !served.contains(id) && !shelf.contains(id)));
                    shelf.extend(kept.keys.keys().copied());
                    stock = Stock { left: shelf.len(), last: kept.last };
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal.code, ErrorCode::QuotaExceeded);
                    continue;
                }
            }
            prop_assert!(shelf.len() <= MAX_ONE_TIME_EC);
            prop_assert!(shelf.last().is_none_or(|highest| stock.last.is_some_and(|last| last >= *highest)));
            for _ in 0..taken {
                let Some(id) = shelf.pop_first() else { break };
                prop_assert!(served.insert(id), "{} again", id);
                stock.left -= 1;
            }
        }
    }
}

#[test]
fn a_key_without_an_id_is_malformed() {
    let broken = PrekeyUpload { one_time_ec: vec![Bytes::from_static(&[1, 2, 3])], ..upload(&[], false) };
    assert_eq!(judge_upload(KEM, KEM, &broken).unwrap_err().code, ErrorCode::Malformed);
}

#[test]
fn who_shows_nothing_gets_what_everybody_gets_and_who_shows_something_wrong_gets_nothing() {
    let hash = |n| CapabilityHash([n; 32]);
    let account = Account {
        list_version: 1,
        list_bytes: 1,
        delivery: Keys { current: Some(hash(1)), previous: None },
        member: Keys { current: Some(hash(5)), previous: None },
        disabled: false,
    };
    let token = |prekeys| Token {
        expires_ms: NOW.ms + 1,
        uses: TokenUses::ONE,
        joined: 1,
        joined_today: 1,
        prekeys,
        joiners: HashMap::from([(hash(3), 1)]),
    };
    let device = true;
    let take = |permission, account: Option<&Account>, token: Option<&Token>, device| {
        judge_taking(&permission, account, token, device, NOW)
            .map(|given| given == Given::OneTime)
            .map_err(|error| error.code)
    };
    let key = |n| Permission::DeliveryKey(hash(n));
    let joiner = |n| Permission::ContactToken(hash(7), hash(n));
    assert_eq!(take(Permission::Missing, Some(&account), None, device), Ok(false));
    assert_eq!(take(key(1), Some(&account), None, device), Ok(true));
    // What all members of all groups hold drains nobody.
    assert_eq!(take(Permission::MemberKey(hash(5)), Some(&account), None, device), Ok(false));
    assert_eq!(take(key(2), Some(&account), None, device), Err(ErrorCode::CapabilityRefused));
    assert_eq!(take(key(1), None, None, false), Err(ErrorCode::CapabilityRefused));
    assert_eq!(take(joiner(3), Some(&account), Some(&token(0)), device), Ok(true));
    assert_eq!(take(joiner(4), Some(&account), Some(&token(0)), device), Err(ErrorCode::TokenUsed));
    let used_up = token(MAX_TOKEN_PREKEYS);
    assert_eq!(take(joiner(3), Some(&account), Some(&used_up), device), Err(ErrorCode::QuotaExceeded));
    let off = Account { disabled: true, ..account.clone() };
    assert_eq!(take(key(1), Some(&off), None, device), Err(ErrorCode::AccountDisabled));
    assert_eq!(take(key(1), Some(&account), None, false), Err(ErrorCode::NotFound));
    assert_eq!(Standing::default().prekeys().unwrap_err().code, ErrorCode::Unavailable, "nothing uploaded yet");
}
