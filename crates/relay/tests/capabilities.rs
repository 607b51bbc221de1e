//! What stands in for a sender's name: delivery keys, contact tokens, the request lane; and prekeys.

use crate::support::*;
use bytes::Bytes;
use subrosa_wire::{
    Capability, ContactToken, DeliveryKey, ErrorCode, TokenBinding,
    http::TakePrekeys,
    limits::{MAX_CONTACT_TOKENS, MAX_PENDING_REQUESTS, MAX_REQUESTS_PER_DAY, MAX_TOKEN_PREKEYS, MAX_TOKEN_SUBMITS},
    mailbox::{MailboxRequest, MailboxServerFrame, PrekeyCount, PrekeyUpload, Push, RequestOutcome, TokenUses, Way},
    submit::{EnvelopeClass, Refusal, SubmitResult},
};

const REFUSED: SubmitResult = SubmitResult::Refused { code: ErrorCode::CapabilityRefused, retry_after_s: 0 };

fn key(key: &DeliveryKey) -> Option<Capability> {
    Some(Capability::DeliveryKey(key.clone()))
}

#[tokio::test]
async fn wrong_missing_and_foreign_capabilities_are_refused_alike() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (carol, _carols) = account(&relay.at(), "carol").await;
    let nobody = Account::new("nobody");
    let token = Capability::ContactToken { token: ContactToken::new(random()), binding: TokenBinding::new(random()) };
    let mut sender = Submitter::open(&relay.at()).await;
    for submit in [
        envelope(bob.device(1), None, 1, "x"),
        envelope(bob.device(1), key(&DeliveryKey::new(random())), 1, "x"),
        envelope(bob.device(1), carol.capability(), 1, "x"),
        envelope(bob.device(1), Some(token.clone()), 1, "x"),
        envelope(nobody.device(1), nobody.capability(), 1, "x"),
        envelope(nobody.device(1), Some(token), 1, "x"),
    ] {
        assert_eq!(sender.one(submit).await, REFUSED);
    }
    assert!(mailbox.drain().await.is_empty());
    assert_eq!(count(&relay.data(), "SELECT (SELECT count(*) FROM mailbox) + (SELECT count(*) FROM body)"), 0);
}

#[tokio::test]
async fn a_replaced_delivery_key_is_honoured_as_long_as_its_owner_says() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let next = DeliveryKey::new(random());
    let mut sender = Submitter::open(&relay.at()).await;
    let mut rotate = async |previous_valid_s| {
        let op = MailboxRequest::SetDeliveryKeys {
            current: next.hash(),
            previous: Some(bob.delivery_key.hash()),
            previous_valid_s,
        };
        assert_eq!(mailbox.request(op).await, Ok(RequestOutcome::Done));
    };
    rotate(600).await;
    assert_eq!(sender.one(envelope(bob.device(1), key(&next), 1, "x")).await, SubmitResult::Accepted);
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await, SubmitResult::Accepted);
    // After a block: at once.
    rotate(0).await;
    assert_eq!(sender.one(envelope(bob.device(1), key(&next), 1, "x")).await, SubmitResult::Accepted);
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await, REFUSED);
}

/// A token of `bob` and a way to make the capability of one joiner.
async fn token(mailbox: &mut Mailbox) -> (ContactToken, impl Fn(u8) -> Option<Capability> + use<>) {
    let token = ContactToken::new(random());
    mailbox.put_token(token.hash()).await;
    let shown = token.clone();
    let joiner = move |n| Some(Capability::ContactToken { token: shown.clone(), binding: TokenBinding::new([n; 16]) });
    (token, joiner)
}

#[tokio::test]
async fn a_contact_token_belongs_to_its_first_joiner() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (token, joiner) = token(&mut mailbox).await;
    let mut sender = Submitter::open(&relay.at()).await;
    // What is never stored cannot be the first use.
    let mut typing = envelope(bob.device(1), joiner(1), 1, "typing");
    typing.items[0].class = EnvelopeClass::Ephemeral;
    assert_eq!(sender.one(typing).await, REFUSED);
    let first = envelope(bob.device(1), joiner(1), 1, "first");
    assert_eq!(sender.one(first.clone()).await, SubmitResult::Accepted);
    assert_eq!(sender.one(envelope(bob.device(1), joiner(2), 1, "x")).await, refused(ErrorCode::TokenUsed));
    let ask = |capability| TakePrekeys::one(bob.device(1), capability);
    assert_eq!(relay.at().take(&ask(joiner(2))).await.unwrap_err().code, ErrorCode::TokenUsed);
    // Putting the same token again does not unbind it.
    mailbox.put_token(token.hash()).await;
    assert_eq!(sender.one(envelope(bob.device(1), joiner(2), 1, "x")).await, refused(ErrorCode::TokenUsed));
    // Delivered and acknowledged meanwhile: a retry of the same bytes is still accepted.
    let push = mailbox.push().await;
    mailbox.ack(push.seq).await;
    mailbox.hang_up().await;
    assert_eq!(sender.one(first).await, SubmitResult::Accepted);
    for n in 2..MAX_TOKEN_SUBMITS {
        let result = sender.one(envelope(bob.device(1), joiner(1), 1, &n.to_string())).await;
        assert_eq!(result, SubmitResult::Accepted);
    }
    assert_eq!(sender.one(envelope(bob.device(1), joiner(1), 1, "x")).await, refused(ErrorCode::QuotaExceeded));
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(mailbox.request(MailboxRequest::RemoveContactToken(token.hash())).await, Ok(RequestOutcome::Done));
    assert_eq!(sender.one(envelope(bob.device(1), joiner(1), 1, "x")).await, REFUSED);
}

#[tokio::test]
async fn an_envelope_says_the_way_it_came() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    let (_, mut carols) = account(&at, "carol").await;
    let (_, joiner) = token(&mut mailbox).await;
    let mut sender = Submitter::open(&at).await;
    let first = envelope(bob.device(1), bob.capability(), 1, "by key");
    assert_eq!(sender.one(first.clone()).await, SubmitResult::Accepted);
    assert_eq!(sender.one(envelope(bob.device(1), joiner(1), 1, "by token")).await, SubmitResult::Accepted);
    let request = envelope(bob.device(1), None, 1, "by lane");
    assert_eq!(carols.ask_to_talk(request).await.unwrap(), [SubmitResult::Accepted]);
    // What waits keeps the way it came: the same bytes shown with something else are a repeat.
    let mut again = first;
    again.items[0].capability = joiner(1);
    assert_eq!(sender.one(again).await, SubmitResult::Accepted);
    let expected = [Way::DeliveryKey, Way::ContactToken, Way::RequestLane];
    let ways = |pushes: Vec<Push>| pushes.iter().map(|push| push.way).collect::<Vec<_>>();
    for way in expected {
        assert_eq!(mailbox.push().await.way, way);
    }

    // What is handed on and never stored says it too.
    for (capability, way) in [(bob.capability(), Way::DeliveryKey), (joiner(1), Way::ContactToken)] {
        let mut typing = envelope(bob.device(1), capability, 1, "typing");
        typing.items[0].class = EnvelopeClass::Ephemeral;
        assert_eq!(sender.one(typing).await, SubmitResult::Accepted);
        let push = mailbox.push().await;
        assert_eq!((push.class, push.way), (EnvelopeClass::Ephemeral, way));
    }

    // The key before is a delivery key as long as it is honoured, and nothing of it depends on this life of the relay.
    let op = MailboxRequest::SetDeliveryKeys {
        current: DeliveryKey::new(random()).hash(),
        previous: Some(bob.delivery_key.hash()),
        previous_valid_s: 600,
    };
    assert_eq!(mailbox.request(op).await, Ok(RequestOutcome::Done));
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "old key")).await, SubmitResult::Accepted);
    mailbox.hang_up().await;
    let relay = TestRelay::on(relay.stop().await, |_| {}).await;
    let waiting = Mailbox::open(&relay.at(), &bob, 1).await.drain().await;
    assert_eq!(ways(waiting), [&expected[..], &[Way::DeliveryKey]].concat());
}

#[tokio::test]
async fn of_two_joiners_at_once_exactly_one_wins() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (_, joiner) = token(&mut mailbox).await;
    let mut joiners = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (at, submit) = (relay.at(), envelope(bob.device(1), joiner(n), 1, "me"));
        joiners.spawn(async move { Submitter::open(&at).await.one(submit).await });
    }
    let results = joiners.join_all().await;
    assert_eq!(results.iter().filter(|result| **result == SubmitResult::Accepted).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == refused(ErrorCode::TokenUsed)).count(), 7);
}

#[tokio::test]
async fn an_expired_token_is_refused_and_tokens_are_counted() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (_, joiner) = token(&mut mailbox).await;
    let db = rusqlite::Connection::open(relay.data().join("relay.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    db.execute("UPDATE contact_token SET expires_ms = 1", []).unwrap();
    let mut sender = Submitter::open(&relay.at()).await;
    assert_eq!(sender.one(envelope(bob.device(1), joiner(1), 1, "x")).await, REFUSED);
    for _ in 0..MAX_CONTACT_TOKENS {
        mailbox.put_token(ContactToken::new(random()).hash()).await;
    }
    let one_more = MailboxRequest::PutContactToken {
        token: ContactToken::new(random()).hash(),
        expiry_s: 60,
        uses: TokenUses::ONE,
    };
    assert_eq!(mailbox.request(one_more).await, Err(Refusal::never(ErrorCode::QuotaExceeded)));
}

fn prekey(id: u32, len: usize) -> Bytes {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.resize(len, id as u8);
    bytes.into()
}

fn upload(ec: std::ops::Range<u32>, kem: std::ops::Range<u32>) -> PrekeyUpload {
    PrekeyUpload {
        signed_prekey: Some(prekey(1, 100)),
        last_resort_kem: Some(prekey(999, 1636)),
        one_time_ec: ec.map(|id| prekey(id, 36)).collect(),
        one_time_kem: kem.map(|id| prekey(id, 1636)).collect(),
        replace_one_time: false,
    }
}

#[tokio::test]
async fn a_repeated_upload_serves_no_key_a_second_time() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let take = TakePrekeys::one(bob.device(1), bob.capability());
    mailbox.put_prekeys(upload(0..2, 0..1)).await.unwrap();
    let first = relay.at().take(&take).await.unwrap();
    // The answer to the upload was lost: it comes again.
    mailbox.put_prekeys(upload(0..2, 0..1)).await.unwrap();
    let second = relay.at().take(&take).await.unwrap();
    assert_eq!((first.one_time_ec, second.one_time_ec), (Some(prekey(0, 36)), Some(prekey(1, 36))));
    assert!(!first.kem_last_resort && second.kem_last_resort);
    assert_eq!(relay.at().take(&take).await.unwrap().one_time_ec, None);
    // A restored client begins anew, with lower ids.
    mailbox.put_prekeys(PrekeyUpload { replace_one_time: true, ..upload(0..1, 0..1) }).await.unwrap();
    assert_eq!(relay.at().take(&take).await.unwrap().one_time_ec, Some(prekey(0, 36)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_takers_at_once_get_each_key_once() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    mailbox.put_prekeys(upload(0..12, 0..5)).await.unwrap();
    let mut takers = tokio::task::JoinSet::new();
    // Fourteen within their shares, two beyond.
    let mut capabilities = vec![bob.capability(); 8];
    for n in 0..4 {
        let (_, joiner) = token(&mut mailbox).await;
        capabilities.extend([joiner(n), joiner(n)]);
    }
    for capability in capabilities {
        let (at, question) = (relay.at(), TakePrekeys::one(bob.device(1), capability));
        takers.spawn(async move { at.take(&question).await.unwrap() });
    }
    let taken = takers.join_all().await;
    let mut ec: Vec<_> = taken.iter().filter_map(|keys| keys.one_time_ec.clone()).collect();
    ec.sort();
    assert_eq!(ec, (0..12).map(|id| prekey(id, 36)).collect::<Vec<_>>());
    let mut kem: Vec<_> = taken.iter().filter(|keys| !keys.kem_last_resort).map(|keys| keys.kem.clone()).collect();
    kem.sort();
    assert_eq!(kem, (0..5).map(|id| prekey(id, 1636)).collect::<Vec<_>>());
    let last_resort: Vec<_> = taken.iter().filter(|keys| keys.kem_last_resort).collect();
    assert_eq!(last_resort.len(), 11);
    assert!(last_resort.iter().all(|keys| keys.kem == prekey(999, 1636)));
    loop {
        if let Some(MailboxServerFrame::PrekeysLow(count)) = mailbox.next().await
            && count == PrekeyCount::default()
        {
            break;
        }
    }
}

#[tokio::test]
async fn nobody_is_drained_of_one_time_keys_without_a_capability() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let ask = |capability| TakePrekeys::one(bob.device(1), capability);
    let early = relay.at().take(&ask(None)).await.unwrap_err();
    assert_eq!(early.code, ErrorCode::Unavailable, "nothing uploaded yet: {early:?}");
    mailbox.put_prekeys(upload(0..100, 0..20)).await.unwrap();
    for _ in 0..30 {
        let keys = relay.at().take(&ask(None)).await.unwrap();
        assert_eq!((keys.one_time_ec, keys.kem_last_resort), (None, true));
    }
    let wrong = relay.at().take(&ask(key(&DeliveryKey::new(random())))).await.unwrap_err();
    assert_eq!(wrong, Refusal::never(ErrorCode::CapabilityRefused));
    let nobody = Account::new("nobody");
    for capability in [nobody.capability(), bob.capability()] {
        let question = TakePrekeys::one(nobody.device(1), capability);
        assert_eq!(relay.at().take(&question).await.unwrap_err().code, ErrorCode::CapabilityRefused);
    }
    mailbox.hang_up().await;
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(mailbox.prekeys, PrekeyCount { one_time_ec: 100, one_time_kem: 20 });
    assert_eq!(
        mailbox.put_prekeys(upload(100..101, 0..0)).await,
        Err(Refusal::never(ErrorCode::QuotaExceeded)),
        "the stock is bounded"
    );
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM prekey"), 120, "and nothing of it was taken in");
    let (_, joiner) = token(&mut mailbox).await;
    let mut given = 0;
    for _ in 0..MAX_TOKEN_PREKEYS {
        let keys = relay.at().take(&ask(joiner(1))).await.unwrap();
        assert_eq!(keys.one_time_ec.is_none(), keys.kem_last_resort);
        given += usize::from(keys.one_time_ec.is_some());
    }
    assert_eq!(given, 2, "a session and a retry; what is beyond is flagged");
    assert_eq!(relay.at().take(&ask(joiner(1))).await.unwrap_err().code, ErrorCode::QuotaExceeded);
    let mut replacing = upload(500..502, 500..501);
    replacing.replace_one_time = true;
    mailbox.put_prekeys(replacing).await.unwrap();
    mailbox.hang_up().await;
    let mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(mailbox.prekeys, PrekeyCount { one_time_ec: 2, one_time_kem: 1 });
}

#[tokio::test]
async fn a_stranger_may_ask_once_until_the_receiver_has_seen_it() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (alice, mut alices) = account(&at, "alice").await;
    let (bob, mut bobs) = account(&at, "bob").await;
    let request = envelope(bob.device(1), None, 1, "may I?");
    assert_eq!(alices.ask_to_talk(request.clone()).await.unwrap(), [SubmitResult::Accepted]);
    assert_eq!(alices.ask_to_talk(request.clone()).await.unwrap(), [SubmitResult::Accepted], "a repeat");
    let second = envelope(bob.device(1), None, 1, "hello?");
    assert_eq!(alices.ask_to_talk(second.clone()).await.unwrap(), [refused(ErrorCode::RequestPending)]);
    let (_carol, mut carols) = account(&at, "carol").await;
    let other = envelope(bob.device(1), None, 1, "me too");
    assert_eq!(carols.ask_to_talk(other).await.unwrap(), [SubmitResult::Accepted], "another sender");
    assert_eq!(text(&bobs.push().await), "may I?");
    bobs.ack(1).await;
    bobs.hang_up().await;
    assert_eq!(alices.ask_to_talk(second).await.unwrap(), [SubmitResult::Accepted]);
    let stale = envelope(alice.device(1), None, 0, "x");
    assert_eq!(carols.ask_to_talk(stale).await.unwrap(), [SubmitResult::StaleDevices(alice.list())]);
    let nobody = Account::new("nobody");
    let lost = alices.ask_to_talk(envelope(nobody.device(1), None, 1, "x")).await.unwrap();
    assert_eq!(lost, [refused(ErrorCode::NotFound)]);
    // The database knows that it was a request, not whose.
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox WHERE way = 1"), 2);
}

#[tokio::test]
async fn the_request_lane_takes_nothing_that_belongs_elsewhere() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (_alice, mut alices) = account(&at, "alice").await;
    let (bob, _bobs) = account(&at, "bob").await;
    let (carol, _carols) = account(&at, "carol").await;
    let mut ephemeral = envelope(bob.device(1), None, 1, "x");
    ephemeral.items[0].class = EnvelopeClass::Ephemeral;
    let mut two = envelope(bob.device(1), None, 1, "x");
    two.items.push(item(carol.device(1), None, 1));
    for submit in [ephemeral, two, envelope(bob.device(1), bob.capability(), 1, "x")] {
        assert_eq!(alices.ask_to_talk(submit).await, Err(Refusal::never(ErrorCode::Malformed)));
    }
}

#[tokio::test]
async fn requests_are_limited_by_sender_and_by_receiver() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, bobs) = account(&at, "bob").await;
    bobs.hang_up().await;
    let mut asked = 0;
    for n in 0..MAX_PENDING_REQUESTS {
        let (_, mut mailbox) = account(&at, &format!("sender{n}")).await;
        asked += 1;
        let results = mailbox.ask_to_talk(envelope(bob.device(1), None, 1, "x")).await.unwrap();
        assert_eq!(results, [SubmitResult::Accepted], "request {asked}");
    }
    let (_, mut late) = account(&at, "late").await;
    let results = late.ask_to_talk(envelope(bob.device(1), None, 1, "x")).await.unwrap();
    assert!(matches!(results[0], SubmitResult::Refused { code: ErrorCode::QuotaExceeded, retry_after_s: 1.. }));

    for n in 0..MAX_REQUESTS_PER_DAY {
        let receiver = Account::new(&format!("receiver{n}"));
        receiver.register(&at).await.unwrap();
        let results = late.ask_to_talk(envelope(receiver.device(1), None, 1, "x")).await.unwrap();
        assert_eq!(results, [SubmitResult::Accepted]);
    }
    let (carol, _carols) = account(&at, "carol").await;
    let results = late.ask_to_talk(envelope(carol.device(1), None, 1, "x")).await.unwrap();
    assert!(matches!(results[0], SubmitResult::Refused { code: ErrorCode::RateLimited, retry_after_s: 80_000.. }));
}
