//! What groups ask of a relay: the member key, links for several, and the keys of many devices at once.

use crate::support::*;
use bytes::Bytes;
use subrosa_wire::{
    Capability, ContactToken, DeliveryKey, ErrorCode, MemberKey, TokenBinding,
    http::{HttpCall, HttpMessage, Take, TakePrekeys},
    limits::{MAX_BUNDLES, MAX_TOKEN_USES},
    mailbox::{MailboxRequest, PrekeyCount, PrekeyUpload, RequestOutcome, TokenUses, Way},
    submit::{Refusal, SubmitResult},
};

const REFUSED: SubmitResult = SubmitResult::Refused { code: ErrorCode::CapabilityRefused, retry_after_s: 0 };

fn member(key: &MemberKey) -> Option<Capability> {
    Some(Capability::MemberKey(key.clone()))
}

async fn set_member_key(mailbox: &mut Mailbox, key: &MemberKey, previous: Option<(&MemberKey, u32)>) {
    let op = MailboxRequest::SetMemberKeys {
        current: key.hash(),
        previous: previous.map(|(key, _)| key.hash()),
        previous_valid_s: previous.map_or(0, |(_, valid_s)| valid_s),
    };
    assert_eq!(mailbox.request(op).await, Ok(RequestOutcome::Done));
}

fn prekey(id: u32, len: usize) -> Bytes {
    let mut key = vec![7; len];
    key[..4].copy_from_slice(&id.to_be_bytes());
    key.into()
}

fn upload(one_time: u32) -> PrekeyUpload {
    PrekeyUpload {
        signed_prekey: Some(prekey(1, 100)),
        last_resort_kem: Some(prekey(999, 1_636)),
        one_time_ec: (0..one_time).map(|id| prekey(id, 36)).collect(),
        one_time_kem: (0..one_time).map(|id| prekey(id, 1_636)).collect(),
        replace_one_time: false,
    }
}

#[tokio::test]
async fn the_member_key_lets_members_in_by_a_way_of_its_own_and_lasts_as_its_owner_says() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (first, second) = (MemberKey::new(random()), MemberKey::new(random()));
    let mut sender = Submitter::open(&relay.at()).await;
    let mut says = async |capability| sender.one(envelope(bob.device(1), capability, 1, "x")).await;
    assert_eq!(says(member(&first)).await, REFUSED, "none was set");
    set_member_key(&mut mailbox, &first, None).await;
    assert_eq!(says(member(&first)).await, SubmitResult::Accepted);
    assert_eq!(mailbox.push().await.way, Way::MemberKey);
    // One key does not pass for the other.
    let as_delivery = Some(Capability::DeliveryKey(DeliveryKey::new(*first.as_bytes())));
    assert_eq!(says(as_delivery).await, REFUSED);
    let as_member = member(&MemberKey::new(*bob.delivery_key.as_bytes()));
    assert_eq!(says(as_member).await, REFUSED);
    set_member_key(&mut mailbox, &second, Some((&first, u32::MAX))).await;
    assert_eq!(
        (says(member(&second)).await, says(member(&first)).await),
        (SubmitResult::Accepted, SubmitResult::Accepted)
    );
    let lasts = count(&relay.data(), "SELECT (previous_member_until_ms / 1000 - unixepoch()) / 3600 FROM account");
    assert!((47..=48).contains(&lasts), "two days at most, whoever asks for more: {lasts}");
    // The delivery key goes its own way.
    mailbox.set_delivery_key(&DeliveryKey::new(random())).await;
    assert_eq!((says(member(&second)).await, says(bob.capability()).await), (SubmitResult::Accepted, REFUSED));
    set_member_key(&mut mailbox, &second, Some((&first, 0))).await;
    assert_eq!(says(member(&first)).await, REFUSED, "at once");
}

#[tokio::test]
async fn nobody_is_drained_of_one_time_keys_by_the_members_of_his_groups() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    mailbox.put_prekeys(upload(20)).await.unwrap();
    let key = MemberKey::new(random());
    set_member_key(&mut mailbox, &key, None).await;
    for _ in 0..255 {
        let keys = relay.at().take(&TakePrekeys::one(bob.device(1), member(&key))).await.unwrap();
        assert!(keys.one_time_ec.is_none() && keys.kem_last_resort);
    }
    let wrong = TakePrekeys::one(bob.device(1), member(&MemberKey::new(random())));
    assert_eq!(relay.at().take(&wrong).await, Err(Refusal::never(ErrorCode::CapabilityRefused)));
    mailbox.hang_up().await;
    let left = Mailbox::open(&relay.at(), &bob, 1).await.prekeys;
    assert_eq!(left, PrekeyCount { one_time_ec: 20, one_time_kem: 20 });
}

/// A token for several, and the capability of each who joins.
async fn invite(mailbox: &mut Mailbox, uses: TokenUses) -> (ContactToken, impl Fn(u8) -> Option<Capability> + use<>) {
    let token = ContactToken::new(random());
    let op = MailboxRequest::PutContactToken { token: token.hash(), expiry_s: 600, uses };
    assert_eq!(mailbox.request(op).await, Ok(RequestOutcome::Done));
    let shown = token.clone();
    let joiner = move |n| Some(Capability::ContactToken { token: shown.clone(), binding: TokenBinding::new([n; 16]) });
    (token, joiner)
}

#[tokio::test]
async fn a_link_for_several_lets_in_as_many_as_it_says_until_it_is_revoked() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (token, joiner) = invite(&mut mailbox, TokenUses { most: 3, per_day: 0 }).await;
    let mut sender = Submitter::open(&relay.at()).await;
    let mut joins = async |n| sender.one(envelope(bob.device(1), joiner(n), 1, "may I?")).await;
    for n in [1, 2, 3, 1, 2] {
        assert_eq!(joins(n).await, SubmitResult::Accepted);
    }
    assert_eq!(joins(4).await, refused(ErrorCode::TokenUsed));
    // Said again for more: who joined stays joined.
    let more = |most| MailboxRequest::PutContactToken {
        token: token.hash(),
        expiry_s: 600,
        uses: TokenUses { most, per_day: 0 },
    };
    mailbox.request(more(4)).await.unwrap();
    assert_eq!((joins(4).await, joins(5).await), (SubmitResult::Accepted, refused(ErrorCode::TokenUsed)));
    mailbox.request(more(u32::MAX)).await.unwrap();
    assert_eq!(count(&relay.data(), "SELECT uses FROM contact_token"), i64::from(MAX_TOKEN_USES));
    assert_eq!(mailbox.request(MailboxRequest::RemoveContactToken(token.hash())).await, Ok(RequestOutcome::Done));
    assert_eq!((joins(1).await, joins(6).await), (REFUSED, REFUSED));
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM token_joiner"), 0, "nothing is kept of who joined");
}

#[tokio::test]
async fn a_link_for_several_lets_in_no_more_on_a_day_than_its_maker_wants() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (_, joiner) = invite(&mut mailbox, TokenUses { most: 10, per_day: 2 }).await;
    let mut sender = Submitter::open(&relay.at()).await;
    let mut joins = async |n| sender.one(envelope(bob.device(1), joiner(n), 1, "may I?")).await;
    assert_eq!((joins(1).await, joins(2).await), (SubmitResult::Accepted, SubmitResult::Accepted));
    let SubmitResult::Refused { code: ErrorCode::RateLimited, retry_after_s } = joins(3).await else { panic!() };
    assert!((1..=24 * 3_600).contains(&retry_after_s), "{retry_after_s}");
    assert_eq!(joins(2).await, SubmitResult::Accepted, "who has joined");
    let db = rusqlite::Connection::open(relay.data().join("relay.db")).unwrap();
    db.execute("UPDATE token_joiner SET day = day - 1", []).unwrap();
    assert_eq!(joins(3).await, SubmitResult::Accepted, "the next day");
}

#[tokio::test]
async fn the_keys_of_many_devices_come_in_one_answer_and_each_is_answered_singly() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let mut takes = Vec::new();
    let mut people = Vec::new();
    for n in 0..8 {
        let (person, mut mailbox) = account(&at, &format!("person{n}")).await;
        mailbox.put_prekeys(upload(2)).await.unwrap();
        takes.push(Take { device: person.device(1), capability: person.capability() });
        people.push((person, mailbox));
    }
    let stranger = Account::new("stranger");
    takes.push(Take { device: stranger.device(1), capability: stranger.capability() });
    takes.push(Take { device: people[0].0.device(1), capability: people[1].0.capability() });
    takes.push(Take { device: people[0].0.device(9), capability: people[0].0.capability() });
    takes.push(Take { device: people[2].0.device(1), capability: None });
    // The same device twice takes two keys, then none are left.
    takes.extend(vec![takes[3].clone(); 2]);
    let results = at.ask(&TakePrekeys::new(takes.clone()).unwrap()).await.unwrap().0;
    assert_eq!(results.len(), takes.len());
    for (n, result) in results[..8].iter().enumerate() {
        let keys = result.as_ref().unwrap();
        assert!(keys.one_time_ec.is_some() && !keys.kem_last_resort, "{n}");
    }
    let codes: Vec<_> = results[8..11].iter().map(|result| result.as_ref().unwrap_err().code).collect();
    assert_eq!(codes, [ErrorCode::CapabilityRefused, ErrorCode::CapabilityRefused, ErrorCode::NotFound]);
    assert!(results[11].as_ref().unwrap().kem_last_resort, "what everybody gets");
    let again: Vec<bool> = results[12..].iter().map(|result| result.as_ref().unwrap().kem_last_resort).collect();
    assert_eq!(again, [false, true], "two of each were there");
    assert_ne!(results[3].as_ref().unwrap().kem, results[12].as_ref().unwrap().kem);
}

#[tokio::test]
async fn questions_for_keys_are_counted_in_devices_and_bounded() {
    let relay = TestRelay::with(|config| {
        config.rates.prekeys = subrosa_relay::Rate { burst: 100, per_minute: 1 };
    })
    .await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    mailbox.put_prekeys(upload(1)).await.unwrap();
    let many = |count| vec![Take { device: bob.device(1), capability: None }; count];
    let full = TakePrekeys::new(many(MAX_BUNDLES)).unwrap();
    let answer = at.ask(&full).await.unwrap();
    assert_eq!(answer.0.len(), MAX_BUNDLES, "the largest answer passes");
    assert_eq!(at.ask(&full).await.unwrap_err().code, ErrorCode::RateLimited, "64 and 64 are more than 100");
    assert!(at.ask(&TakePrekeys::new(many(30)).unwrap()).await.is_ok(), "what was refused took one only");
    // As a client of another make would ask.
    let one = TakePrekeys::one(bob.device(1), None).encode();
    for body in [Vec::new(), one.repeat(MAX_BUNDLES + 1)] {
        let url = format!("{}{}", at.url, TakePrekeys::PATH);
        let asked = reqwest::Client::new().post(url).header("content-type", "application/x-protobuf").body(body);
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let refusal = Refusal::decode(answer.bytes().await.unwrap()).unwrap();
        assert_eq!(refusal.code, ErrorCode::Malformed);
    }
}
