//! Devices that nobody has switched on for weeks: nothing is stored for them until they return, and others are not held up.

use crate::support::*;
use ed25519_dalek::SigningKey;
use subrosa_wire::{
    DeliveryKey, ErrorCode,
    limits::IDLE_DAYS,
    mailbox::{MailboxRequest, RequestOutcome},
    submit::SubmitResult,
};

/// As if the device had been connected so many days ago for the last time.
fn away_for(relay: &TestRelay, device: u32, days: u32) {
    let db = rusqlite::Connection::open(relay.data().join("relay.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    let changed = db.execute("UPDATE device SET seen_day = seen_day - ?2 WHERE number = ?1", [device, days]).unwrap();
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn an_idle_device_leaves_delivery_and_is_told_when_it_returns() {
    let relay = TestRelay::start().await;
    let at = relay.at();
    let (mut bob, mut first) = account(&at, "bob").await;
    bob.list_version = 2;
    bob.devices.push((2, SigningKey::from_bytes(&random())));
    assert_eq!(first.request(MailboxRequest::PutDeviceList(bob.list())).await, Ok(RequestOutcome::Done));
    first.hang_up().await;
    let mut sender = Submitter::open(&at).await;
    let both = || {
        let mut submit = envelope(bob.device(1), bob.capability(), 2, "x");
        submit.items.push(item(bob.device(2), bob.capability(), 2));
        submit
    };
    away_for(&relay, 1, IDLE_DAYS - 1);
    assert_eq!(sender.submit(both()).await.unwrap(), [SubmitResult::Accepted, SubmitResult::Accepted]);
    away_for(&relay, 1, 1);
    let results = sender.submit(both()).await.unwrap();
    assert!(matches!(results[0], SubmitResult::Refused { code: ErrorCode::DeviceIdle, retry_after_s: 1.. }));
    assert_eq!(results[1], SubmitResult::Accepted, "the other device is not held up");
    // Only those who may write to it are told.
    let guess = Some(subrosa_wire::Capability::DeliveryKey(DeliveryKey::new(random())));
    let guessed = sender.one(envelope(bob.device(1), guess, 2, "x")).await;
    assert_eq!(guessed, refused(ErrorCode::CapabilityRefused));

    let mut first = Mailbox::open(&at, &bob, 1).await;
    assert_eq!(first.away_days, IDLE_DAYS);
    assert_eq!(first.drain().await.len(), 1, "what came before still waits");
    assert_eq!(sender.submit(both()).await.unwrap(), [SubmitResult::Accepted, SubmitResult::Accepted]);
    assert_eq!(text(&first.push().await), "x");
    first.hang_up().await;
    assert_eq!(Mailbox::open(&at, &bob, 1).await.away_days, 0);
}
