//! Who may register, authenticate and change a device list, and who may not.

use crate::support::*;
use ed25519_dalek::SigningKey;
use subrosa_wire::{
    ErrorCode,
    http::{GetDevices, Resolve},
    mailbox::{MailboxClientFrame, MailboxRequest, MailboxServerFrame, RequestOutcome},
    submit::{Refusal, SubmitResult},
};

#[tokio::test]
async fn registering_again_with_the_same_content_succeeds_again() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let bob = Account::new("bob");
    let registration = bob.registration(&at.authority);
    let first = at.ask(&registration).await.unwrap();
    assert!(first.server_time_ms > 1_700_000_000_000);
    assert!(at.ask(&registration).await.is_ok());
    assert_eq!(at.ask(&Resolve { handle: bob.handle.clone() }).await.unwrap().account, bob.id);
    let devices = at.ask(&GetDevices { account: bob.id }).await.unwrap();
    assert_eq!((devices.account_record, devices.device_list), (bob.record, bob.list()));
    let other = Account { handle: "bobby".parse().unwrap(), ..bob.clone() };
    assert_eq!(other.register(&at).await.unwrap_err().code, ErrorCode::AccountExists);
    let thief = Account::new("bob");
    assert_eq!(thief.register(&at).await.unwrap_err().code, ErrorCode::HandleTaken);
    assert_eq!(at.ask(&GetDevices { account: thief.id }).await, Err(Refusal::never(ErrorCode::NotFound)));
    let nobody = Resolve { handle: "nobody".parse().unwrap() };
    assert_eq!(at.ask(&nobody).await, Err(Refusal::never(ErrorCode::NotFound)));
}

#[tokio::test]
async fn a_registration_for_another_relay_is_refused() {
    let relay = TestRelay::start().await;
    let bob = Account::new("bob");
    let elsewhere = bob.registration("relay.example.org:443");
    assert_eq!(relay.at().ask(&elsewhere).await, Err(Refusal::never(ErrorCode::WrongRelay)));
    let mut pinned = bob.registration(&relay.authority);
    pinned.pin = Some([1; 32]);
    assert_eq!(relay.at().ask(&pinned).await, Err(Refusal::never(ErrorCode::WrongRelay)));
    // Signed for there, sent here.
    let mut forwarded = elsewhere;
    forwarded.authority.clone_from(&relay.authority);
    assert_eq!(relay.at().ask(&forwarded).await, Err(Refusal::never(ErrorCode::InvalidSignature)));
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM account"), 0);
}

#[tokio::test]
async fn every_part_of_a_registration_is_covered_by_a_signature() {
    let relay = TestRelay::start().await;
    let good = Account::new("bob").registration(&relay.authority);
    let flip = |bytes: &bytes::Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        bytes::Bytes::from(bytes)
    };
    let mut bad = Vec::new();
    for at in [0, 5, 40] {
        let mut changed = good.clone();
        changed.account_record[at] ^= 1;
        bad.push(changed);
    }
    for at in [0, 10, 34, 40, 45, 50, 90, 130, good.device_list.len() - 1] {
        let mut changed = good.clone();
        changed.device_list = flip(&good.device_list, at);
        bad.push(changed);
    }
    let mut proof = good.clone();
    proof.proof[63] ^= 1;
    bad.push(proof);
    let mut handle = good.clone();
    handle.handle = "mallory".parse().unwrap();
    bad.push(handle);
    for registration in bad {
        assert_eq!(relay.at().ask(&registration).await, Err(Refusal::never(ErrorCode::InvalidSignature)));
    }
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM account"), 0);
    assert!(relay.at().ask(&good).await.is_ok());
}

#[tokio::test]
async fn each_loopback_name_is_this_relay() {
    let relay = TestRelay::start().await;
    let port = relay.authority.rsplit_once(':').unwrap().1;
    for (host, handle) in [("localhost", "bob"), ("[::1]", "carol")] {
        let at = At { url: relay.url.clone(), authority: format!("{host}:{port}") };
        account(&at, handle).await;
    }
}

/// Says hello and gives the nonce.
async fn challenged(at: &At) -> (Socket, [u8; 32]) {
    let mut socket = connect(at, "/v1/mailbox").await;
    send(&mut socket, &MailboxClientFrame::Hello(vec![1])).await;
    match frame(&mut socket).await {
        Some(MailboxServerFrame::Challenge { nonce, version: 1, tls_bound: false }) => (socket, nonce),
        other => panic!("{other:?}"),
    }
}

async fn refusal(mut socket: Socket, answer: &MailboxClientFrame) -> ErrorCode {
    send(&mut socket, answer).await;
    let Some(MailboxServerFrame::Error(refusal)) = frame(&mut socket).await else { panic!("not refused") };
    assert!(close_code(&mut socket).await.is_some());
    refusal.code
}

#[tokio::test]
async fn only_the_devices_own_signature_over_this_challenge_opens_a_mailbox() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, mailbox) = account(&at, "bob").await;
    mailbox.hang_up().await;

    let (socket, nonce) = challenged(&at).await;
    let mut wrong_key = bob.clone();
    wrong_key.devices[0].1 = SigningKey::from_bytes(&random());
    assert_eq!(refusal(socket, &wrong_key.auth(1, &at.authority, &nonce)).await, ErrorCode::AuthenticationFailed);

    // A recorded answer to an earlier challenge.
    let (fresh, fresh_nonce) = challenged(&at).await;
    assert_ne!(nonce, fresh_nonce);
    assert_eq!(refusal(fresh, &bob.auth(1, &at.authority, &nonce)).await, ErrorCode::AuthenticationFailed);

    let (socket, nonce) = challenged(&at).await;
    assert_eq!(refusal(socket, &bob.auth(1, "relay.example.org:443", &nonce)).await, ErrorCode::WrongRelay);

    // Signed for another relay, sent here under this one's name.
    let (socket, nonce) = challenged(&at).await;
    let mut forwarded = bob.auth(1, "relay.example.org:443", &nonce);
    if let MailboxClientFrame::Auth { authority, .. } = &mut forwarded {
        authority.clone_from(&at.authority);
    }
    assert_eq!(refusal(socket, &forwarded).await, ErrorCode::AuthenticationFailed);

    // An account and a device that do not exist are refused in the same words.
    let (socket, nonce) = challenged(&at).await;
    let stranger = Account::new("stranger");
    assert_eq!(refusal(socket, &stranger.auth(1, &at.authority, &nonce)).await, ErrorCode::AuthenticationFailed);
    let (socket, nonce) = challenged(&at).await;
    let mut phantom = bob.clone();
    phantom.devices.push((2, SigningKey::from_bytes(&random())));
    assert_eq!(refusal(socket, &phantom.auth(2, &at.authority, &nonce)).await, ErrorCode::AuthenticationFailed);

    assert!(Mailbox::try_open(&at, &bob, 1).await.is_ok());
}

#[tokio::test]
async fn an_unknown_protocol_version_is_named() {
    let relay = TestRelay::start().await;
    let socket = connect(&relay.at(), "/v1/mailbox").await;
    assert_eq!(refusal(socket, &MailboxClientFrame::Hello(vec![2, 99])).await, ErrorCode::UnsupportedVersion);
}

async fn put_list(mailbox: &mut Mailbox, account: &Account) -> Result<RequestOutcome, Refusal> {
    mailbox.request(MailboxRequest::PutDeviceList(account.list())).await
}

#[tokio::test]
async fn device_lists_only_go_forwards() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (mut bob, mut mailbox) = account(&at, "bob").await;
    let old = bob.clone();
    bob.list_version = 2;
    bob.devices.push((2, SigningKey::from_bytes(&random())));
    assert_eq!(put_list(&mut mailbox, &bob).await, Ok(RequestOutcome::Done));
    assert_eq!(put_list(&mut mailbox, &bob).await, Ok(RequestOutcome::Done), "the same bytes again");
    assert_eq!(put_list(&mut mailbox, &old).await, Err(Refusal::never(ErrorCode::OldDeviceList)));
    let mut fork = bob.clone();
    fork.devices[1].1 = SigningKey::from_bytes(&random());
    assert_eq!(put_list(&mut mailbox, &fork).await, Err(Refusal::never(ErrorCode::OldDeviceList)));
    let mut forged = bob.clone();
    forged.list_version = 3;
    forged.key = SigningKey::from_bytes(&random());
    assert_eq!(put_list(&mut mailbox, &forged).await, Err(Refusal::never(ErrorCode::InvalidSignature)));
    assert_eq!(at.ask(&GetDevices { account: bob.id }).await.unwrap().device_list, bob.list());
    let mut second = Mailbox::open(&at, &bob, 2).await;
    assert!(second.drain().await.is_empty());

    // A sender with the old list learns the new one and sends to both.
    let mut sender = Submitter::open(&at).await;
    let stale = sender.one(envelope(bob.device(1), bob.capability(), 1, "old list")).await;
    assert_eq!(stale, SubmitResult::StaleDevices(bob.list()));
    assert_eq!(sender.one(envelope(bob.device(2), bob.capability(), 2, "both")).await, SubmitResult::Accepted);
    assert_eq!(text(&second.push().await), "both");
    let phantom = sender.one(envelope(bob.device(3), bob.capability(), 2, "no such device")).await;
    assert_eq!(phantom, SubmitResult::StaleDevices(bob.list()));
    // Who may not submit does not learn the list either.
    let stranger = sender.one(envelope(bob.device(1), None, 1, "x")).await;
    assert_eq!(stranger, refused(ErrorCode::CapabilityRefused));
}

#[tokio::test]
async fn a_removed_device_is_cut_off_and_its_numbers_stay_used() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (mut bob, mut mailbox) = account(&at, "bob").await;
    let second_key = SigningKey::from_bytes(&random());
    bob.list_version = 2;
    bob.devices.push((2, second_key.clone()));
    put_list(&mut mailbox, &bob).await.unwrap();
    let mut second = Mailbox::open(&at, &bob, 2).await;
    let mut sender = Submitter::open(&at).await;
    for _ in 0..3 {
        sender.one(envelope(bob.device(2), bob.capability(), 2, "for the second")).await;
    }
    assert_eq!(second.push().await.seq, 1);

    bob.list_version = 3;
    let mut kept = bob.clone();
    kept.devices.truncate(1);
    kept.highest = Some(2);
    put_list(&mut mailbox, &kept).await.unwrap();
    loop {
        match second.next().await {
            Some(MailboxServerFrame::Error(refusal)) => {
                assert_eq!(refusal.code, ErrorCode::AuthenticationFailed);
                break;
            }
            Some(MailboxServerFrame::Push(_) | MailboxServerFrame::CaughtUp) => {}
            other => panic!("{other:?}"),
        }
    }
    let refused = Mailbox::try_open(&at, &bob, 2).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::AuthenticationFailed);
    assert_eq!(count(&relay.data(), "SELECT (SELECT count(*) FROM mailbox) + (SELECT count(*) FROM body)"), 0);

    // The number comes back, with the key it had and with another one; or is forgotten first: a number serves one device.
    bob.list_version = 4;
    assert_eq!(put_list(&mut mailbox, &bob).await, Err(Refusal::never(ErrorCode::OldDeviceList)));
    bob.devices[1].1 = SigningKey::from_bytes(&random());
    assert_eq!(put_list(&mut mailbox, &bob).await, Err(Refusal::never(ErrorCode::OldDeviceList)));
    kept.list_version = 4;
    kept.highest = Some(1);
    assert_eq!(put_list(&mut mailbox, &kept).await, Err(Refusal::never(ErrorCode::OldDeviceList)));
    // Another device gets another number, an empty mailbox, and no number of an envelope again.
    bob.devices[1].0 = 3;
    put_list(&mut mailbox, &bob).await.unwrap();
    let mut third = Mailbox::open(&at, &bob, 3).await;
    assert_eq!(third.acked, 0);
    assert!(third.drain().await.is_empty());
    sender.one(envelope(bob.device(3), bob.capability(), 4, "hello")).await;
    assert_eq!(third.push().await.seq, 4);

    // Another key in the place of a device that is there: refused, and the device goes on.
    bob.list_version = 5;
    let mut swapped = bob.clone();
    swapped.devices[1].1 = SigningKey::from_bytes(&random());
    assert_eq!(put_list(&mut mailbox, &swapped).await, Err(Refusal::never(ErrorCode::OldDeviceList)));
    sender.one(envelope(bob.device(3), bob.capability(), 4, "still here")).await;
    assert_eq!(text(&third.push().await), "still here");
}

#[tokio::test]
async fn asking_for_names_is_slowed_down() {
    let relay = TestRelay::with(|config| {
        config.rates.resolve = subrosa_relay::Rate { burst: 2, per_minute: 1 };
    })
    .await;
    let question = Resolve { handle: "nobody".parse().unwrap() };
    for _ in 0..2 {
        assert_eq!(relay.at().ask(&question).await.unwrap_err().code, ErrorCode::NotFound);
    }
    let refusal = relay.at().ask(&question).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert!((1..=60).contains(&refusal.retry_after_s));
}

#[tokio::test]
async fn a_removed_account_leaves_nothing_but_its_handle() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (bob, mut mailbox) = account(&at, "bob").await;
    let (carol, mut carols) = account(&at, "carol").await;
    mailbox.put_token(subrosa_wire::CapabilityHash(random())).await;
    let mut sender = Submitter::open(&at).await;
    for person in [&bob, &carol] {
        let submit = envelope(person.device(1), person.capability(), 1, "waits");
        assert_eq!(sender.one(submit).await, SubmitResult::Accepted);
    }

    assert_eq!(
        mailbox.request(MailboxRequest::RemoveAccount).await,
        Ok(RequestOutcome::Done),
        "the answer comes first"
    );
    let ended = loop {
        match mailbox.next().await {
            Some(MailboxServerFrame::Error(refusal)) => break refusal.code,
            Some(_) => {}
            None => panic!("it ended without a reason"),
        }
    };
    assert_eq!(ended, ErrorCode::AuthenticationFailed);
    let nothing =
        "SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM device) + (SELECT count(*) FROM mailbox)
        + (SELECT count(*) FROM body) + 10 * (SELECT count(*) FROM contact_token)";
    assert_eq!(count(&relay.data(), nothing), 4, "carol's account, device and envelope, and no more");

    assert_eq!(
        Mailbox::try_open(&at, &bob, 1).await.err().map(|refusal| refusal.code),
        Some(ErrorCode::AuthenticationFailed)
    );
    assert_eq!(
        at.ask(&GetDevices { account: bob.id }).await.err().map(|refusal| refusal.code),
        Some(ErrorCode::NotFound)
    );
    assert_ne!(sender.one(envelope(bob.device(1), bob.capability(), 1, "late")).await, SubmitResult::Accepted);
    assert_eq!(Account::new("bob").register(&at).await.err().map(|refusal| refusal.code), Some(ErrorCode::HandleTaken));
    assert_eq!(text(&carols.push().await), "waits");
}
