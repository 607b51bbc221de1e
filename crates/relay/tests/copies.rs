//! Two copies of one device, as the relay tells them apart: by what each login leaves and the next one shows.

use crate::support::*;
use sha2::{Digest as _, Sha256};
use subrosa_wire::{
    ErrorCode,
    mailbox::{LoginMarks, MailboxClientFrame, MailboxServerFrame},
    submit::Refusal,
};

fn marks(mark: u8, shown: &[u8]) -> LoginMarks {
    LoginMarks { mark: [mark; 16], shown: shown.iter().map(|mark| [*mark; 16]).collect(), take_over: false }
}

async fn log_in(relay: &TestRelay, account: &Account, marks: LoginMarks) -> Result<Mailbox, Refusal> {
    Mailbox::try_open_with(&relay.at(), account, 1, marks).await
}

/// A device that has never logged in.
async fn registered(relay: &TestRelay) -> Account {
    let account = Account::new("bob");
    account.register(&relay.at()).await.unwrap();
    account
}

fn assert_other_copy(login: Result<Mailbox, Refusal>) {
    assert_eq!(login.err().map(|refusal| refusal.code), Some(ErrorCode::OtherCopy));
}

fn kept(relay: &TestRelay) -> Vec<u8> {
    let db = rusqlite::Connection::open(relay.data().join("relay.db")).unwrap();
    db.query_row("SELECT login_mark FROM device", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_login_that_shows_no_known_mark_changes_nothing_and_ends_no_session() {
    let relay = TestRelay::start().await;
    let bob = registered(&relay).await;
    // The first one of a device shows nothing that could be known, whatever it shows.
    let mut mailbox = log_in(&relay, &bob, marks(1, &[9])).await.unwrap();
    mailbox.set_delivery_key(&bob.delivery_key).await;
    assert_eq!(kept(&relay), Sha256::digest([1; 16]).to_vec(), "its hash, not the mark");
    mailbox.drain().await;

    for stale in [marks(7, &[]), marks(7, &[2, 3]), marks(1, &[])] {
        assert_other_copy(log_in(&relay, &bob, stale).await);
    }
    assert_eq!(kept(&relay), Sha256::digest([1; 16]).to_vec());
    // The session of the one that goes on still stands.
    let mut sender = Submitter::open(&relay.at()).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "hello")).await;
    assert_eq!(text(&mailbox.push().await), "hello");

    // Known among others: this store's own next login, also when answers were lost. It takes the session over.
    let next = log_in(&relay, &bob, marks(4, &[3, 1, 2])).await.unwrap();
    assert_eq!(mailbox.next().await, Some(MailboxServerFrame::Displaced));
    assert_other_copy(log_in(&relay, &bob, marks(5, &[1])).await);

    // A person chose: whatever it shows. Then the other one is the stranger.
    let chosen = LoginMarks { take_over: true, ..marks(6, &[]) };
    let taken = log_in(&relay, &bob, chosen).await.unwrap();
    next.hang_up().await;
    assert_other_copy(log_in(&relay, &bob, marks(8, &[4])).await);
    taken.hang_up().await;
    assert!(log_in(&relay, &bob, marks(8, &[6])).await.is_ok());
}

#[tokio::test]
async fn a_mark_that_was_kept_outlives_the_relay_and_is_covered_by_the_signature() {
    let relay = TestRelay::start().await;
    let bob = registered(&relay).await;
    log_in(&relay, &bob, marks(1, &[])).await.unwrap().hang_up().await;
    let relay = TestRelay::on(relay.stop().await, |_| {}).await;
    assert_other_copy(log_in(&relay, &bob, marks(2, &[])).await);
    let changes: [fn(&mut LoginMarks); 3] =
        [|marks| marks.take_over = true, |marks| marks.shown = vec![[1; 16]], |marks| marks.mark = [3; 16]];
    for change in changes {
        let at = relay.at();
        let mut socket = connect(&at, "/v1/mailbox").await;
        send(&mut socket, &MailboxClientFrame::Hello(vec![1])).await;
        let Some(MailboxServerFrame::Challenge { nonce, .. }) = frame(&mut socket).await else {
            panic!("no challenge")
        };
        let mut auth = bob.auth_with(1, &at.authority, &nonce, marks(2, &[]));
        if let MailboxClientFrame::Auth { marks, .. } = &mut auth {
            change(marks);
        }
        send(&mut socket, &auth).await;
        let refused = frame(&mut socket).await.unwrap();
        assert!(
            matches!(refused, MailboxServerFrame::Error(refusal) if refusal.code == ErrorCode::AuthenticationFailed),
            "{refused:?}"
        );
    }
    assert_eq!(kept(&relay), Sha256::digest([1; 16]).to_vec());
}

#[tokio::test]
async fn a_relay_that_was_restored_from_a_backup_shuts_nobody_out() {
    let relay = TestRelay::start().await;
    let bob = registered(&relay).await;
    log_in(&relay, &bob, marks(1, &[])).await.unwrap().hang_up().await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup.db");
    subrosa_relay::backup(&relay.data(), &backup).unwrap();
    log_in(&relay, &bob, marks(2, &[1])).await.unwrap().hang_up().await;
    let dir = relay.stop().await;
    subrosa_relay::restore(&backup, &dir.path().join("data")).unwrap();
    let relay = TestRelay::on(dir, |_| {}).await;
    log_in(&relay, &bob, marks(3, &[2])).await.unwrap().hang_up().await;
    assert_other_copy(log_in(&relay, &bob, marks(4, &[1])).await);
}
