use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use subrosa_wire::{
    AccountId, CapabilityHash, DeviceAddress, EnvelopeId, ErrorCode,
    limits::{HEAD_BYTES, IDLE_DAYS, MAX_PENDING_REQUESTS, MAX_TOKEN_SUBMITS},
    mailbox::{TokenUses, Way},
    submit::{EnvelopeClass, Refusal},
};

use crate::policy::{
    Moment,
    facts::{Account, Device, Keys, Token},
    limiter::Left,
    limits::MAX_STALE_LIST_BYTES,
    permission::Permission,
    submission::{Batch, IntakeItem, Quotas, Rates, SubmissionFacts, Verdict, judge},
};

const NOW: Moment = Moment { ms: 1_800_000_000_000, day: 20_833 };
const PLENTY: Quotas = Quotas { rows: 1_000, bytes: 1_000_000 };

fn hash(n: u8) -> CapabilityHash {
    CapabilityHash([n; 32])
}

fn account(n: u8) -> AccountId {
    AccountId([n; 32])
}

fn device(n: u8, number: u32) -> DeviceAddress {
    DeviceAddress { account: account(n), device: number }
}

/// An account with key 1, list 5, and nothing special.
fn plain() -> Account {
    Account {
        list_version: 5,
        list_bytes: 300,
        delivery: Keys { current: Some(hash(1)), previous: None },
        member: Keys { current: Some(hash(11)), previous: None },
        disabled: false,
    }
}

const EMPTY: Device = Device { waiting_rows: 0, waiting_bytes: 0, waiting_requests: 0, seen_day: NOW.day };

fn item(n: u8, permission: Permission) -> IntakeItem {
    IntakeItem {
        device: device(n, 1),
        id: EnvelopeId([0; 16]),
        permission,
        class: EnvelopeClass::Durable,
        expires_ms: NOW.ms + 1,
        head: [0; HEAD_BYTES],
        body: 0,
        list_version: 5,
    }
}

fn batch(items: Vec<IntakeItem>) -> Batch {
    let number = |(n, item): (usize, IntakeItem)| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        IntakeItem { id: EnvelopeId(id), ..item }
    };
    let items = items.into_iter().enumerate().map(number).collect();
    Batch { bodies: vec![Bytes::from_static(&[0; 512])], items, rates: Rates::default() }
}

fn one_person(account_facts: Account, device_facts: Device) -> SubmissionFacts {
    SubmissionFacts {
        accounts: HashMap::from([(account(1), account_facts)]),
        devices: HashMap::from([(device(1, 1), device_facts)]),
        ..SubmissionFacts::default()
    }
}

fn verdict(facts: SubmissionFacts, item: IntakeItem) -> Verdict {
    judge(facts, &batch(vec![item]), PLENTY, NOW)[0]
}

const KEY: Permission = Permission::DeliveryKey(CapabilityHash([1; 32]));

fn refused(verdict: Verdict) -> Option<ErrorCode> {
    match verdict {
        Verdict::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

#[test]
fn the_checks_have_an_order_and_each_hides_those_behind_it() {
    let wrong = Permission::DeliveryKey(hash(9));
    let idle = Device { seen_day: NOW.day - IDLE_DAYS, ..EMPTY };
    let full = Device { waiting_rows: PLENTY.rows, ..EMPTY };
    let off = Account { disabled: true, ..plain() };
    let old = IntakeItem { list_version: 4, ..item(1, KEY) };
    // Who may not write learns nothing else, whatever there is.
    for (account, device) in [(plain(), full), (off.clone(), idle)] {
        let asked = IntakeItem { list_version: 0, ..item(1, wrong) };
        assert_eq!(refused(verdict(one_person(account, device), asked)), Some(ErrorCode::CapabilityRefused));
    }
    assert_eq!(refused(verdict(SubmissionFacts::default(), item(1, KEY))), Some(ErrorCode::CapabilityRefused));
    assert_eq!(refused(verdict(one_person(off, full), old.clone())), Some(ErrorCode::AccountDisabled));
    assert_eq!(verdict(one_person(plain(), idle), old), Verdict::Stale);
    let limited = |device| {
        let mut batch = batch(vec![item(1, KEY)]);
        batch.rates.accounts.insert(account(1), Left { tokens: 0, retry_after_s: 7 });
        judge(one_person(plain(), device), &batch, PLENTY, NOW)[0]
    };
    let slow = Verdict::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s: 7 });
    assert_eq!((limited(idle), limited(full)), (slow, slow));
    let idle_full = Device { seen_day: idle.seen_day, ..full };
    assert_eq!(refused(verdict(one_person(plain(), idle_full), item(1, KEY))), Some(ErrorCode::DeviceIdle));
    let ephemeral = IntakeItem { class: EnvelopeClass::Ephemeral, ..item(1, KEY) };
    assert_eq!(verdict(one_person(plain(), full), ephemeral), Verdict::HandOn(Way::DeliveryKey));
    assert_eq!(verdict(one_person(plain(), full), item(1, KEY)), Verdict::Full);
    assert_eq!(verdict(one_person(plain(), EMPTY), item(1, KEY)), Verdict::Store(Way::DeliveryKey));
}

#[test]
fn a_repeat_is_accepted_before_anything_else_is_looked_at() {
    let asked = item(1, Permission::Missing);
    let mut facts = one_person(Account { disabled: true, ..plain() }, EMPTY);
    facts.known.insert((asked.device, asked.id));
    assert_eq!(verdict(facts, asked), Verdict::Repeat);
    let mut twice = batch(vec![item(1, KEY), item(1, KEY)]);
    twice.items[1].id = twice.items[0].id;
    let verdicts = judge(one_person(plain(), EMPTY), &twice, PLENTY, NOW);
    assert_eq!(verdicts, [Verdict::Store(Way::DeliveryKey), Verdict::Repeat]);
}

#[test]
fn the_key_before_is_honoured_until_its_time() {
    let before = |until_ms| Account {
        delivery: Keys { current: Some(hash(1)), previous: Some((hash(2), until_ms)) },
        ..plain()
    };
    let shown = item(1, Permission::DeliveryKey(hash(2)));
    let asked = |until_ms| verdict(one_person(before(until_ms), EMPTY), shown.clone());
    assert_eq!(asked(NOW.ms + 1), Verdict::Store(Way::DeliveryKey));
    assert_eq!(refused(asked(NOW.ms)), Some(ErrorCode::CapabilityRefused));
}

/// A token for one that nobody has used.
fn token() -> Token {
    Token {
        expires_ms: NOW.ms + 1,
        uses: TokenUses::ONE,
        joined: 0,
        joined_today: 0,
        prekeys: 0,
        joiners: HashMap::new(),
    }
}

/// The same after somebody has joined with it and stored so many.
fn joined(binding: u8, submits: u32) -> Token {
    Token { joined: 1, joined_today: 1, joiners: HashMap::from([(hash(binding), submits)]), ..token() }
}

fn with_token(token: Token) -> SubmissionFacts {
    let mut facts = one_person(plain(), EMPTY);
    facts.tokens.insert((account(1), hash(7)), token);
    facts
}

fn joins(binding: u8) -> IntakeItem {
    item(1, Permission::ContactToken(hash(7), hash(binding)))
}

#[test]
fn a_token_is_bound_by_its_first_use_and_used_up() {
    let stored = Verdict::Store(Way::ContactToken);
    // Also within one submission.
    let verdicts = judge(with_token(token()), &batch(vec![joins(3), joins(4), joins(3)]), PLENTY, NOW);
    assert_eq!((verdicts[0], refused(verdicts[1]), verdicts[2]), (stored, Some(ErrorCode::TokenUsed), stored));
    let asked = |binding| refused(verdict(with_token(joined(3, 1)), joins(binding)));
    assert_eq!((asked(3), asked(4)), (None, Some(ErrorCode::TokenUsed)));
    let over = Token { expires_ms: NOW.ms, ..token() };
    assert_eq!(refused(verdict(with_token(over), joins(3))), Some(ErrorCode::CapabilityRefused));
    let nearly = joined(3, MAX_TOKEN_SUBMITS - 1);
    let verdicts = judge(with_token(nearly), &batch(vec![joins(3), joins(3)]), PLENTY, NOW);
    assert_eq!((verdicts[0], refused(verdicts[1])), (stored, Some(ErrorCode::QuotaExceeded)));
    // What is never stored binds nothing.
    let ephemeral = || IntakeItem { class: EnvelopeClass::Ephemeral, ..joins(3) };
    assert_eq!(refused(verdict(with_token(token()), ephemeral())), Some(ErrorCode::CapabilityRefused));
    assert_eq!(verdict(with_token(joined(3, 1)), ephemeral()), Verdict::HandOn(Way::ContactToken));
}

#[test]
fn a_token_of_several_uses_lets_in_as_many_as_it_says_and_no_more_on_a_day() {
    let uses = |most, per_day| Token { uses: TokenUses { most, per_day }, ..joined(3, 1) };
    let asks = |token| {
        let batch = batch(vec![joins(3), joins(4), joins(4), joins(5), joins(6)]);
        let verdicts = judge(with_token(token), &batch, PLENTY, NOW);
        verdicts.iter().map(|verdict| refused(*verdict)).collect::<Vec<_>>()
    };
    let (used, slow) = (Some(ErrorCode::TokenUsed), Some(ErrorCode::RateLimited));
    assert_eq!(asks(uses(3, 0)), [None, None, None, None, used]);
    assert_eq!(asks(uses(9, 2)), [None, None, None, slow, slow]);
    // Those of other days do not count for this one.
    assert_eq!(asks(Token { joined: 4, joined_today: 0, ..uses(9, 2) }), [None, None, None, None, slow]);
    let Verdict::Refused(refusal) = verdict(with_token(uses(9, 1)), joins(4)) else { panic!() };
    assert!((1..=24 * 3_600).contains(&refusal.retry_after_s), "tomorrow: {}", refusal.retry_after_s);
}

#[test]
fn the_member_key_is_a_way_of_its_own() {
    let shown = |n| item(1, Permission::MemberKey(hash(n)));
    let asked = |n| verdict(one_person(plain(), EMPTY), shown(n));
    assert_eq!(asked(11), Verdict::Store(Way::MemberKey));
    assert_eq!(refused(asked(1)), Some(ErrorCode::CapabilityRefused), "the delivery key is none");
    let as_delivery = verdict(one_person(plain(), EMPTY), item(1, Permission::DeliveryKey(hash(11))));
    assert_eq!(refused(as_delivery), Some(ErrorCode::CapabilityRefused));
    let member = Keys { current: Some(hash(12)), previous: Some((hash(11), NOW.ms + 1)) };
    let replaced = Account { member, ..plain() };
    assert_eq!(verdict(one_person(replaced, EMPTY), shown(11)), Verdict::Store(Way::MemberKey));
}

#[test]
fn requests_wait_in_a_queue_of_their_own() {
    let waiting = |waiting_requests: usize| Device { waiting_requests: waiting_requests as u32, ..EMPTY };
    let asked = |count| verdict(one_person(plain(), waiting(count)), item(1, Permission::Request));
    assert_eq!(asked(MAX_PENDING_REQUESTS - 1), Verdict::Store(Way::RequestLane));
    assert_eq!(refused(asked(MAX_PENDING_REQUESTS)), Some(ErrorCode::QuotaExceeded));
    let with_key = verdict(one_person(plain(), waiting(MAX_PENDING_REQUESTS)), item(1, KEY));
    assert_eq!(with_key, Verdict::Store(Way::DeliveryKey));
    // The sender has named itself, and handles are resolved openly.
    assert_eq!(refused(verdict(SubmissionFacts::default(), item(1, Permission::Request))), Some(ErrorCode::NotFound));
}

#[test]
fn an_answer_holds_only_so_many_lists() {
    let large = Account { list_bytes: u32::try_from(MAX_STALE_LIST_BYTES).unwrap(), ..plain() };
    let old = || IntakeItem { list_version: 0, ..item(1, KEY) };
    let verdicts = judge(one_person(large, EMPTY), &batch(vec![old(), old(), item(1, KEY)]), PLENTY, NOW);
    assert_eq!(
        (verdicts[0], refused(verdicts[1]), verdicts[2]),
        (Verdict::Stale, Some(ErrorCode::Unavailable), Verdict::Store(Way::DeliveryKey))
    );
}

/// Accounts 1 to 3, of which the third is not there, with two devices each and a token each.
fn random_facts() -> impl Strategy<Value = SubmissionFacts> {
    let account_facts =
        (4u32..6, 0u8..3, 0u8..3, any::<bool>(), 0u64..3).prop_map(|(version, key, before, off, until)| Account {
            list_version: version,
            list_bytes: 60_000,
            delivery: Keys {
                current: (key > 0).then(|| hash(key)),
                previous: (before > 0).then(|| (hash(before), NOW.ms - 1 + until)),
            },
            member: Keys { current: (key == 1).then(|| hash(2)), previous: None },
            disabled: off && key == 2,
        });
    let device_facts = (0u64..4, 0u32..3, 0u32..2).prop_map(|(rows, requests, away)| Device {
        waiting_rows: rows,
        waiting_bytes: rows * 512,
        waiting_requests: requests * u32::try_from(MAX_PENDING_REQUESTS / 2).unwrap(),
        seen_day: NOW.day - away * IDLE_DAYS,
    });
    let token = (0u8..3, 0u32..3, 0u64..3, 1u32..3, 0u32..3).prop_map(|(binding, left, lives, most, per_day)| Token {
        expires_ms: NOW.ms + lives,
        uses: TokenUses { most, per_day },
        ..if binding > 0 { joined(binding, MAX_TOKEN_SUBMITS - left) } else { token() }
    });
    let two = (vec(account_facts, 2), vec(device_facts, 4), vec(token, 2), vec(any::<bool>(), 4));
    two.prop_map(|(accounts, devices, tokens, listed)| {
        let ids = [1u8, 2];
        let places = ids.iter().flat_map(|n| [device(*n, 1), device(*n, 2)]);
        let devices = places.zip(devices).zip(listed).filter(|(_, listed)| *listed).map(|(device, _)| device);
        SubmissionFacts {
            accounts: ids.iter().map(|n| account(*n)).zip(accounts).collect(),
            devices: devices.collect(),
            tokens: ids.iter().map(|n| (account(*n), hash(7))).zip(tokens).collect(),
            known: HashSet::new(),
        }
    })
}

fn random_batch() -> impl Strategy<Value = Batch> {
    let permission = (0u8..7, 1u8..4).prop_map(|(kind, n)| match kind {
        0 | 1 => Permission::DeliveryKey(hash(n)),
        2 | 3 => Permission::ContactToken(hash(7), hash(n)),
        4 => Permission::Request,
        5 => Permission::MemberKey(hash(n)),
        _ => Permission::Missing,
    });
    let one =
        (1u8..4, 1u32..3, permission, any::<bool>(), 4u32..6).prop_map(|(to, number, permission, durable, list)| {
            IntakeItem {
                device: device(to, number),
                class: if durable { EnvelopeClass::Durable } else { EnvelopeClass::Ephemeral },
                list_version: list,
                ..item(to, permission)
            }
        });
    (vec(one, 1..24), 0u32..12, 0u32..12).prop_map(|(items, first, second)| {
        let mut batch = batch(items);
        let left = |tokens| Left { tokens, retry_after_s: 1 };
        batch.rates.accounts.extend([(account(1), left(first)), (account(2), left(second))]);
        batch
    })
}

/// Whether somebody may write, said in another way than the rules say it.
fn may_write(facts: &SubmissionFacts, item: &IntakeItem) -> bool {
    let Some(account) = facts.accounts.get(&item.device.account) else { return false };
    match item.permission {
        Permission::DeliveryKey(key) | Permission::MemberKey(key) => {
            let member = matches!(item.permission, Permission::MemberKey(_));
            let keys = if member { account.member } else { account.delivery };
            keys.current == Some(key)
                || keys.previous.is_some_and(|(before, until_ms)| before == key && NOW.ms < until_ms)
        }
        Permission::ContactToken(token, _) => {
            facts.tokens.get(&(item.device.account, token)).is_some_and(|token| NOW.ms < token.expires_ms)
        }
        Permission::Request => true,
        Permission::Missing | Permission::RequestRefused(_) => false,
    }
}

proptest! {
    #[test]
    fn nothing_is_stored_that_one_rule_forbids(facts in random_facts(), batch in random_batch(), rows in 0u64..6) {
        let quotas = Quotas { rows, bytes: 5 * 512 };
        let verdicts = judge(facts.clone(), &batch, quotas, NOW);
        prop_assert_eq!(&verdicts, &judge(facts.clone(), &batch, quotas, NOW), "the same again");
        let mut stored: HashMap<DeviceAddress, u64> = HashMap::new();
        let mut by_token: HashMap<AccountId, HashMap<CapabilityHash, u32>> = HashMap::new();
        let mut counted: HashMap<AccountId, u32> = HashMap::new();
        let mut closed: HashSet<DeviceAddress> = HashSet::new();
        for (item, verdict) in batch.items.iter().zip(&verdicts) {
            let at = item.device;
            match verdict {
                Verdict::Store(_) | Verdict::HandOn(_) | Verdict::Full => {
                    let (account, device) = (&facts.accounts[&at.account], &facts.devices[&at]);
                    prop_assert!(may_write(&facts, item) && !account.disabled && item.list_version >= account.list_version);
                    prop_assert!(NOW.day - device.seen_day < IDLE_DAYS);
                    *counted.entry(at.account).or_default() += 1;
                }
                Verdict::Stale => prop_assert!(may_write(&facts, item) && !facts.accounts[&at.account].disabled),
                Verdict::Repeat => prop_assert!(false, "nothing was known"),
                Verdict::Refused(_) => {}
            }
            prop_assert_eq!(matches!(verdict, Verdict::HandOn(_)) && item.class == EnvelopeClass::Durable, false);
            match verdict {
                Verdict::Store(_) => {
                    prop_assert!(item.class == EnvelopeClass::Durable && !closed.contains(&at), "overtakes");
                    *stored.entry(at).or_default() += 1;
                    if let Permission::ContactToken(_, binding) = item.permission {
                        *by_token.entry(at.account).or_default().entry(binding).or_default() += 1;
                    }
                }
                Verdict::Full => drop(closed.insert(at)),
                _ => {}
            }
        }
        for (device, count) in stored {
            let before = facts.devices[&device];
            prop_assert!(before.waiting_rows + count <= quotas.rows);
            prop_assert!(before.waiting_bytes + 512 * count <= quotas.bytes);
        }
        for (account, uses) in by_token {
            let token = &facts.tokens[&(account, hash(7))];
            let before = |binding: &CapabilityHash| token.joiners.get(binding).copied();
            prop_assert!(uses.iter().all(|(binding, count)| before(binding).unwrap_or(0) + count <= MAX_TOKEN_SUBMITS));
            let new = u32::try_from(uses.keys().filter(|binding| before(binding).is_none()).count()).unwrap();
            prop_assert!(token.joined + new <= token.uses.most.max(token.joined));
            prop_assert!(token.uses.per_day == 0 || new == 0 || token.joined_today + new <= token.uses.per_day);
        }
        for (account, count) in counted {
            prop_assert!(count <= batch.rates.accounts[&account].tokens);
        }
    }

    #[test]
    fn who_is_refused_holds_nobody_up(facts in random_facts(), batch in random_batch()) {
        let verdicts = judge(facts.clone(), &batch, PLENTY, NOW);
        let kept = || batch.items.iter().zip(&verdicts).filter(|(_, verdict)| refused(**verdict).is_none());
        let without = Batch { items: kept().map(|(item, _)| item.clone()).collect(), ..batch.clone() };
        let expected: Vec<Verdict> = kept().map(|(_, verdict)| *verdict).collect();
        prop_assert_eq!(judge(facts, &without, PLENTY, NOW), expected);
    }

    #[test]
    fn an_absent_account_answers_like_one_that_the_sender_may_not_write_to(facts in random_facts(), batch in random_batch()) {
        let verdicts = judge(facts.clone(), &batch, PLENTY, NOW);
        let nobody = judge(SubmissionFacts::default(), &batch, PLENTY, NOW);
        for ((item, verdict), absent) in batch.items.iter().zip(verdicts).zip(nobody) {
            if !may_write(&facts, item) {
                prop_assert_eq!(verdict, absent);
            }
        }
    }
}
