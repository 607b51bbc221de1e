//! What belongs to others: mailboxes, signatures, prekeys and names are not to be had by asking.

use std::net::IpAddr;

use crate::support::*;
use bytes::Bytes;
use subrosa_relay::{Rate, RateLimits};
use subrosa_wire::{
    Capability, ContactToken, DeliveryKey, ErrorCode, TokenBinding,
    http::{CONTENT_TYPE, GetDevices, HttpCall, Resolve, TakePrekeys},
    mailbox::{LoginMarks, MailboxClientFrame, MailboxServerFrame, PrekeyUpload},
    submit::{Refusal, SubmitClientFrame, SubmitResult, SubmitServerFrame},
};
use tokio::io::AsyncWriteExt;

async fn challenge(at: &At) -> (Socket, [u8; 32]) {
    let mut socket = connect(at, "/v1/mailbox").await;
    send(&mut socket, &MailboxClientFrame::Hello(vec![1])).await;
    match frame(&mut socket).await.unwrap() {
        MailboxServerFrame::Challenge { nonce, .. } => (socket, nonce),
        other => panic!("{other:?}"),
    }
}

async fn answer(mut socket: Socket, auth: &MailboxClientFrame) -> ErrorCode {
    send(&mut socket, auth).await;
    match frame(&mut socket).await.unwrap() {
        MailboxServerFrame::Error(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_to_a_challenge_opens_one_socket_of_one_relay() {
    let (relay, other) = (TestRelay::start().await, TestRelay::start().await);
    let (bob, _mailbox) = account(&relay.at(), "bob").await;
    bob.register(&other.at()).await.unwrap();
    let (first, nonce) = challenge(&relay.at()).await;
    let auth = bob.auth(1, &relay.authority, &nonce);
    let mut first = first;
    send(&mut first, &auth).await;
    assert!(matches!(frame(&mut first).await, Some(MailboxServerFrame::Ready { .. })));
    // Replayed on another socket of the same relay.
    let (second, _) = challenge(&relay.at()).await;
    assert_eq!(answer(second, &auth).await, ErrorCode::AuthenticationFailed);
    // A relay in the middle hands the other relay's challenge on; Bob signs for the relay he means.
    let (third, foreign) = challenge(&other.at()).await;
    let relayed = bob.auth(1, &relay.authority, &foreign);
    assert_eq!(answer(third, &relayed).await, ErrorCode::WrongRelay);
    let (fourth, foreign) = challenge(&other.at()).await;
    let MailboxClientFrame::Auth { device, pin, marks, signature, .. } = bob.auth(1, &relay.authority, &foreign) else {
        panic!()
    };
    let renamed = MailboxClientFrame::Auth { device, authority: other.authority.clone(), pin, marks, signature };
    assert_eq!(answer(fourth, &renamed).await, ErrorCode::AuthenticationFailed);
}

#[tokio::test]
async fn a_foreign_mailbox_is_neither_read_nor_acknowledged_nor_probed() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, bobs) = account(&at, "bob").await;
    bobs.hang_up().await;
    let (mallory, mut mallorys) = account(&at, "mallory").await;
    let mut sender = Submitter::open(&at).await;
    for words in ["one", "two"] {
        assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, words)).await, SubmitResult::Accepted);
    }
    // Her signature for his device, and her own device number in his account.
    for (device, code) in [(1, ErrorCode::AuthenticationFailed), (2, ErrorCode::AuthenticationFailed)] {
        let (socket, nonce) = challenge(&at).await;
        let MailboxClientFrame::Auth { authority, pin, marks, signature, .. } = mallory.auth(1, &at.authority, &nonce)
        else {
            panic!()
        };
        let auth = MailboxClientFrame::Auth { device: bob.device(device), authority, pin, marks, signature };
        assert_eq!(answer(socket, &auth).await, code);
    }
    // What she acknowledges is hers.
    assert!(mallorys.drain().await.is_empty());
    for upto in [1, 2, u64::MAX] {
        mallorys.ack(upto).await;
    }
    mallorys.hang_up().await;
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), 2);
    // Without a capability nothing tells whether something waits, or how much.
    let full = TestRelay::with(|config| config.max_mailbox_rows = 1).await;
    let at = full.at();
    let (bob, _bobs) = account(&at, "bob").await;
    let mut sender = Submitter::open(&at).await;
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await, SubmitResult::Accepted);
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "y")).await;
    assert!(matches!(result, SubmitResult::Full { .. }));
    for (device, version) in [(1, 1), (1, 0), (2, 1), (2, 9)] {
        let submit =
            envelope(bob.device(device), Some(Capability::DeliveryKey(DeliveryKey::new(random()))), version, "z");
        assert_eq!(sender.one(submit).await, refused(ErrorCode::CapabilityRefused));
    }
}

/// The relay's whole answer to a question, status line and headers too, without the date.
async fn answer_bytes<C: HttpCall>(at: &At, question: &C) -> String {
    let mut stream = raw(at).await;
    let body = question.encode();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        C::PATH,
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let answer = rest(&mut stream).await;
    String::from_utf8_lossy(&answer).lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_absent_account_answers_like_a_present_one() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, _mailbox) = account(&at, "bob").await;
    let nobody = Account::new("nobody");
    let wrong = || Some(Capability::DeliveryKey(DeliveryKey::new(random())));
    let token =
        || Some(Capability::ContactToken { token: ContactToken::new(random()), binding: TokenBinding::new(random()) });
    // Prekeys with a capability that does not fit.
    for capability in [wrong(), token()] {
        let ask = |device| TakePrekeys::one(device, capability.clone());
        assert_eq!(answer_bytes(&at, &ask(bob.device(1))).await, answer_bytes(&at, &ask(nobody.device(1))).await);
    }
    // Submissions, by the bytes of the reply.
    let mut sender = Submitter::open(&at).await;
    let mut reply = async |submit| {
        sender.send(&SubmitClientFrame::Submit { id: 7, submit }).await;
        next_bytes(&mut sender.socket).await.unwrap()
    };
    for capability in [None, wrong(), token()] {
        let there = reply(envelope(bob.device(1), capability.clone(), 1, "x")).await;
        assert!(matches!(SubmitServerFrame::decode(there.clone()), Ok(SubmitServerFrame::Reply { result: Ok(_), .. })));
        assert_eq!(there, reply(envelope(bob.device(9), capability.clone(), 0, "x")).await, "another device");
        assert_eq!(there, reply(envelope(nobody.device(1), capability, 1, "x")).await, "nobody");
    }
    // The challenge is the same for everybody, and so is the refusal of a wrong signature.
    let mut refusals = Vec::new();
    for device in [bob.device(1), bob.device(2), nobody.device(1)] {
        let (mut socket, _) = challenge(&at).await;
        let authority = at.authority.clone();
        send(
            &mut socket,
            &MailboxClientFrame::Auth {
                device,
                authority,
                pin: None,
                marks: LoginMarks::default(),
                signature: [7; 64],
            },
        )
        .await;
        refusals.push(next_bytes(&mut socket).await.unwrap());
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]));
}

#[tokio::test]
async fn handles_are_walked_through_no_faster_than_the_limit() {
    assert!(RateLimits::default().resolve.per_minute <= 60, "one name a second");
    // So slowly that none is added while this test runs.
    let relay = TestRelay::with(|config| config.rates.resolve.per_minute = 1).await;
    let at = relay.at();
    let (bob, _mailbox) = account(&at, "bob").await;
    let mut answered = 0;
    let refusal = loop {
        let question = Resolve {
            handle: if answered == 0 { bob.handle.clone() } else { format!("name{answered}").parse().unwrap() },
        };
        match at.ask(&question).await {
            Ok(_) => answered += 1,
            Err(refusal) if refusal.code == ErrorCode::NotFound => answered += 1,
            Err(refusal) => break refusal,
        }
        assert!(answered < 100, "names without end");
    };
    assert!(answered >= 60, "{answered}: a person who looks somebody up is not hindered");
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert!((1..=60).contains(&refusal.retry_after_s));
    // Whether the name exists or not: the limit says the same.
    assert_eq!(at.ask(&Resolve { handle: bob.handle.clone() }).await.unwrap_err().code, ErrorCode::RateLimited);
    // Other calls of the same address go on.
    assert!(at.ask(&GetDevices { account: bob.id }).await.is_ok());
}

fn key(id: u32, len: usize) -> Bytes {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.resize(len, 1);
    bytes.into()
}

#[tokio::test]
async fn a_contact_cannot_drain_the_one_time_keys_that_all_contacts_share() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    let upload = PrekeyUpload {
        signed_prekey: Some(key(1, 100)),
        last_resort_kem: Some(key(999, 1_636)),
        one_time_ec: (0..100).map(|id| key(id, 36)).collect(),
        one_time_kem: (0..20).map(|id| key(id, 1_636)).collect(),
        replace_one_time: false,
    };
    mailbox.put_prekeys(upload).await.unwrap();
    let from = |n: u8| IpAddr::from([127, 0, 0, n]);
    // Whether somebody at this address gets one-time keys of both kinds. What is beyond a share is flagged.
    let take = async |from: IpAddr, capability| {
        let taken = at.take_as(from, &TakePrekeys::one(bob.device(1), capability)).await.unwrap();
        assert_eq!(taken.one_time_ec.is_none(), taken.kem_last_resort, "half a bundle");
        !taken.kem_last_resort
    };
    let link = async |mailbox: &mut Mailbox| {
        let token = ContactToken::new(random());
        mailbox.put_token(token.hash()).await;
        Some(Capability::ContactToken { token, binding: TokenBinding::new(random()) })
    };

    // All that one contact can do at once from where he is: with the key, and with a link that he was given.
    let mut his = vec![bob.capability(); 100];
    his.extend(vec![link(&mut mailbox).await; 16]);
    let mut given = 0;
    for capability in his {
        given += usize::from(take(from(2), capability).await);
    }
    assert_eq!(given, 6);
    assert!(take(from(3), bob.capability()).await, "another contact");

    // He has accomplices elsewhere, who use up what the key gives at once: a link still gives the real thing, and so does a new key.
    let mut more = 0;
    for n in 4..24 {
        more += usize::from(take(from(n), bob.capability()).await);
    }
    assert_eq!(more, 1);
    let joined = link(&mut mailbox).await;
    assert!(take(from(30), joined).await, "somebody who joins by a link");
    let next = DeliveryKey::new(random());
    mailbox.set_delivery_key(&next).await;
    assert!(take(from(31), Some(Capability::DeliveryKey(next.clone()))).await, "a contact after a block");

    // Many links in his hand do not empty the stock either, and of every kind of key something is left.
    for n in 40..60 {
        let capability = link(&mut mailbox).await;
        take(from(n), capability).await;
    }
    for kind in [1, 2] {
        let left = count(&relay.data(), &format!("SELECT count(*) FROM prekey WHERE kind = {kind}"));
        assert!(left > 0, "kind {kind}");
    }
}

#[tokio::test]
async fn accounts_and_capabilities_take_so_much_and_strangers_cannot_use_it_up() {
    let relay = TestRelay::with(|config| {
        config.rates.account = Rate { burst: 6, per_minute: 1 };
        config.rates.capability = Rate { burst: 4, per_minute: 1 };
    })
    .await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    let mut sender = Submitter::open(&at).await;
    for _ in 0..20 {
        let guess = Some(Capability::DeliveryKey(DeliveryKey::new(random())));
        assert_eq!(sender.one(envelope(bob.device(1), guess, 1, "x")).await, refused(ErrorCode::CapabilityRefused));
    }
    let kept = envelope(bob.device(1), bob.capability(), 1, "kept");
    for _ in 0..3 {
        assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await, SubmitResult::Accepted);
    }
    assert_eq!(sender.one(kept.clone()).await, SubmitResult::Accepted);
    let limited = |result: &SubmitResult| {
        matches!(result, SubmitResult::Refused { code: ErrorCode::RateLimited, retry_after_s: 1..=60 })
    };
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await;
    assert!(limited(&result), "{result:?}");
    assert_eq!(sender.one(kept).await, SubmitResult::Accepted, "a repeat is no new envelope");
    // A link still has room, until the account's own rate is used up.
    let token = ContactToken::new(random());
    mailbox.put_token(token.hash()).await;
    let join = || Capability::ContactToken { token: token.clone(), binding: TokenBinding::new([1; 16]) };
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(sender.one(envelope(bob.device(1), Some(join()), 1, "x")).await);
    }
    assert!(results[0] == SubmitResult::Accepted && limited(&results[2]), "{results:?}");
    // Of a batch, nothing overtakes what was refused.
    let mut batch = envelope(bob.device(1), bob.capability(), 1, "a");
    batch.items.push(item(bob.device(1), bob.capability(), 1));
    assert!(sender.submit(batch).await.unwrap().iter().all(limited));
}

#[tokio::test]
async fn an_address_submits_so_much_and_guesses_even_less() {
    let relay = TestRelay::with(|config| {
        config.rates.submit = Rate { burst: 10, per_minute: 1 };
        config.rates.wrong_capabilities = Rate { burst: 3, per_minute: 60 };
    })
    .await;
    let at = relay.at();
    let (bob, _mailbox) = account(&at, "bob").await;
    let mut sender = Submitter::open(&at).await;
    let guess = || envelope(bob.device(1), Some(Capability::DeliveryKey(DeliveryKey::new(random()))), 1, "x");
    for _ in 0..4 {
        assert_eq!(sender.one(guess()).await, refused(ErrorCode::CapabilityRefused));
    }
    let limited = |refusal: Refusal| refusal.code == ErrorCode::RateLimited && refusal.retry_after_s > 0;
    assert!(limited(sender.submit(guess()).await.unwrap_err()));
    assert!(limited(Submitter::open(&at).await.submit(guess()).await.unwrap_err()), "a new socket changes nothing");

    let relay = TestRelay::with(|config| config.rates.submit = Rate { burst: 20, per_minute: 1 }).await;
    let at = relay.at();
    let (bob, _mailbox) = account(&at, "bob").await;
    let mut sender = Submitter::open(&at).await;
    let mut large = envelope(bob.device(1), bob.capability(), 1, "x");
    large.bodies = vec![vec![1; 65_536].into()];
    assert_eq!(sender.one(large.clone()).await, SubmitResult::Accepted);
    assert!(limited(sender.submit(large).await.unwrap_err()), "64 KiB cost as much as seventeen small ones");
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await, SubmitResult::Accepted);
}

#[tokio::test]
async fn connections_and_requests_of_an_address_are_limited_before_anybody_is_asked_who_he_is() {
    let relay = TestRelay::with(|config| config.max_connections_per_address = 3).await;
    let at = relay.at();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect(&at, "/v1/submit").await);
    }
    let mut fourth = raw(&at).await;
    fourth.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = String::from_utf8_lossy(&rest(&mut fourth).await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: "), "{answer}");
    // Who is refused and says nothing, or comes in droves, is not even answered.
    let mut droves = Vec::new();
    for _ in 0..100 {
        droves.push(raw(&at).await);
    }
    for stream in &mut droves {
        assert!(rest(stream).await.is_empty());
    }
    held.pop();
    let mut sender = Submitter::open(&at).await;
    sender.send(&SubmitClientFrame::Ping).await;
    assert_eq!(sender.next().await, Some(SubmitServerFrame::Pong));

    for limit in [
        (|config: &mut subrosa_relay::Config| config.rates.requests = Rate { burst: 2, per_minute: 1 }) as fn(&mut _),
        |config| config.rates.connect = Rate { burst: 2, per_minute: 1 },
    ] {
        let relay = TestRelay::with(limit).await;
        let at = relay.at();
        let question = GetDevices { account: Account::new("nobody").id };
        for _ in 0..2 {
            assert_eq!(at.ask(&question).await.unwrap_err().code, ErrorCode::NotFound);
        }
        let refusal = at.ask(&question).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        assert!((1..=60).contains(&refusal.retry_after_s));
    }
}

#[tokio::test]
async fn what_an_account_asks_on_its_own_socket_is_limited_too() {
    let relay = TestRelay::with(|config| config.rates.own_requests = Rate { burst: 3, per_minute: 1 }).await;
    let (_bob, mut mailbox) = account(&relay.at(), "bob").await;
    for _ in 0..2 {
        mailbox.put_token(ContactToken::new(random()).hash()).await;
    }
    let refusal = mailbox.put_prekeys(PrekeyUpload::default()).await.unwrap_err();
    assert!(refusal.code == ErrorCode::RateLimited && refusal.retry_after_s > 0);
}
