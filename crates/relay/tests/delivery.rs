//! From a submission to an empty mailbox: order, window, repeats, restart, displacement, fullness.
// Test code may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use subrosa_wire::{
    ErrorCode,
    limits::MAX_UNACKED,
    mailbox::{MailboxRequest, MailboxServerFrame, RequestOutcome},
    submit::{EnvelopeClass, Submit, SubmitResult},
};
use support::*;

#[tokio::test]
async fn an_envelope_is_accepted_pushed_acknowledged_and_gone() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    assert!(mailbox.drain().await.is_empty());
    let mut sender = Submitter::open(&relay.at()).await;
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "hello")).await, SubmitResult::Accepted);
    let push = mailbox.push().await;
    assert_eq!((push.seq, text(&push).as_str(), push.class), (1, "hello", EnvelopeClass::Durable));
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM body"), 1);
    mailbox.ack(push.seq).await;
    mailbox.hang_up().await;
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), 0);
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM body"), 0);
    assert_eq!(count(&relay.data(), "SELECT waiting_rows + waiting_bytes FROM device"), 0);
    let mut again = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(again.acked, 1);
    assert!(again.drain().await.is_empty());
    relay.stop().await;
}
