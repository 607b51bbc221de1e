//! A disk that takes no more: refused, nothing half done, reading goes on, and it recovers.

use std::process::Stdio;

use crate::support::*;
use bytes::Bytes;
use subrosa_wire::{
    ErrorCode,
    submit::{Refusal, Submit, SubmitResult},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// 16 KiB, so that few fill a small database.
fn large(to: &Account, n: u8) -> Submit {
    Submit { bodies: vec![Bytes::from(vec![n; 16 * 1024])], items: vec![item(to.device(1), to.capability(), 1)] }
}

/// Submits until the relay cannot store; gives how many it accepted.
async fn fill(sender: &mut Submitter, to: &Account) -> u8 {
    for n in 0..=u8::MAX {
        match sender.submit(large(to, n)).await {
            Ok(results) => assert_eq!(results, [SubmitResult::Accepted]),
            Err(Refusal { code: ErrorCode::Unavailable, retry_after_s: 1.. }) => return n,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
    panic!("never full")
}

#[tokio::test]
async fn a_full_database_refuses_and_recovers_when_mail_is_fetched() {
    let relay = TestRelay::with(|config| config.max_database_pages = Some(100)).await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    let accepted = fill(&mut sender, &bob).await;
    assert!(accepted > 5);
    assert_eq!(sender.submit(large(&bob, 0)).await.unwrap_err().code, ErrorCode::Unavailable);
    // All of a submission or nothing.
    let mut two = large(&bob, 0);
    two.bodies.push(body("small"));
    two.items.push(item(bob.device(1), bob.capability(), 1));
    two.items[1].body_ref = 1;
    two.items.reverse();
    assert_eq!(sender.submit(two).await.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), i64::from(accepted));
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM body"), i64::from(accepted));

    for n in 0..accepted {
        assert_eq!(mailbox.push().await.body[0], n);
    }
    mailbox.ack(accepted.into()).await;
    mailbox.hang_up().await;
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), 0);
    assert_eq!(sender.one(large(&bob, 0)).await, SubmitResult::Accepted);
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(mailbox.push().await.seq, u64::from(accepted) + 1, "what was refused used no number");
}

#[tokio::test]
async fn before_the_disk_is_full_only_what_makes_room_is_stored() {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob").await;
    mailbox.hang_up().await;
    assert_eq!(Submitter::open(&relay.at()).await.one(large(&bob, 7)).await, SubmitResult::Accepted);
    let relay = TestRelay::on(relay.stop().await, |config| config.min_free_bytes = u64::MAX).await;
    let mut sender = Submitter::open(&relay.at()).await;
    let refusal = sender.submit(large(&bob, 8)).await.unwrap_err();
    assert!(refusal.code == ErrorCode::Unavailable && refusal.retry_after_s > 0, "{refusal:?}");
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(mailbox.push().await.body[0], 7);
    mailbox.ack(1).await;
    mailbox.hang_up().await;
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), 0);
    let relay = TestRelay::on(relay.stop().await, |_| {}).await;
    assert_eq!(Submitter::open(&relay.at()).await.one(large(&bob, 8)).await, SubmitResult::Accepted);
}

/// The real binary that may not write any file beyond some blocks of 512 bytes.
async fn start(data: &std::path::Path, blocks: Option<u32>) -> (Child, At) {
    let limit = blocks.map_or_else(|| "unlimited".to_owned(), |blocks| blocks.to_string());
    let mut child = Command::new("sh")
        // With the signal ignored, writing beyond the limit is an error like that of a full disk.
        .args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &limit])
        .arg(env!("CARGO_BIN_EXE_subrosa-relay"))
        .args(["--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon(lines.next_line()).await.unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let at = At::of(value["url"].as_str().unwrap());
    (child, at)
}

#[tokio::test]
async fn a_disk_that_fails_in_the_middle_of_a_commit_loses_nothing_that_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, at) = start(dir.path(), Some(1_000)).await;
    let (bob, mut mailbox) = account(&at, "bob").await;
    let mut sender = Submitter::open(&at).await;
    let accepted = fill(&mut sender, &bob).await;
    assert!(accepted > 5);
    // It goes on reading.
    for n in 0..accepted {
        assert_eq!(mailbox.push().await.body[0], n);
    }
    soon(child.kill()).await.unwrap();
    let (_child, at) = start(dir.path(), None).await;
    let mut mailbox = Mailbox::open(&at, &bob, 1).await;
    let waiting = soon(mailbox.drain()).await;
    assert_eq!(waiting.iter().map(|push| push.body[0]).collect::<Vec<_>>(), (0..accepted).collect::<Vec<_>>());
    let mut sender = Submitter::open(&at).await;
    assert_eq!(sender.one(large(&bob, 0)).await, SubmitResult::Accepted);
}
