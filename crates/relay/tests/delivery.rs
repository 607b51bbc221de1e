//! From a submission to an empty mailbox: order, window, repeats, restart, displacement, fullness.

use crate::support::*;
use subrosa_wire::{
    ErrorCode,
    limits::{HEAD_BYTES, MAX_UNACKED},
    mailbox::{MailboxRequest, MailboxServerFrame, RequestOutcome},
    submit::{EnvelopeClass, Submit, SubmitItem, SubmitResult},
};

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

#[tokio::test]
async fn envelopes_come_in_the_order_of_acceptance() {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob").await;
    mailbox.hang_up().await;
    let mut sender = Submitter::open(&relay.at()).await;
    for n in 0..50 {
        sender.begin(envelope(bob.device(1), bob.capability(), 1, &n.to_string())).await;
    }
    for n in 0..50 {
        assert_eq!(sender.reply().await, (n + 1, Ok(vec![SubmitResult::Accepted])));
    }
    let pushes = Mailbox::open(&relay.at(), &bob, 1).await.drain().await;
    let texts: Vec<_> = pushes.iter().map(text).collect();
    assert_eq!(texts, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(pushes.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

#[tokio::test]
async fn at_most_256_envelopes_are_unacknowledged() {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob").await;
    mailbox.hang_up().await;
    let mut sender = Submitter::open(&relay.at()).await;
    let waiting = MAX_UNACKED + 44;
    for batch in (0..waiting).collect::<Vec<_>>().chunks(60) {
        let bodies = batch.iter().map(|n| body(&n.to_string())).collect();
        let items = (0..batch.len())
            .map(|n| {
                let mut item = item(bob.device(1), bob.capability(), 1);
                item.body_ref = n;
                item
            })
            .collect();
        let results = sender.submit(Submit { bodies, items }).await.unwrap();
        assert!(results.iter().all(|result| *result == SubmitResult::Accepted));
    }
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    for _ in 0..MAX_UNACKED {
        mailbox.push().await;
    }
    // The socket answers, but pushes nothing more: its frames are in order.
    assert_eq!(
        mailbox.request(MailboxRequest::RemoveContactToken(bob.delivery_key.hash())).await,
        Ok(RequestOutcome::Done)
    );
    send(&mut mailbox.socket, &subrosa_wire::mailbox::MailboxClientFrame::Ping).await;
    assert_eq!(mailbox.next().await, Some(MailboxServerFrame::Pong));
    // What was not pushed here cannot be acknowledged here.
    mailbox.ack(u64::MAX).await;
    let rest = mailbox.drain().await;
    assert_eq!(rest.len(), 44);
    assert_eq!(rest.last().unwrap().seq, waiting as u64);
    mailbox.hang_up().await;
    assert_eq!(Mailbox::open(&relay.at(), &bob, 1).await.acked, MAX_UNACKED as u64);
}

#[tokio::test]
async fn a_repeat_is_accepted_and_stored_once_also_after_a_restart() {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob").await;
    mailbox.hang_up().await;
    let submit = envelope(bob.device(1), bob.capability(), 1, "once");
    let mut sender = Submitter::open(&relay.at()).await;
    for _ in 0..3 {
        assert_eq!(sender.one(submit.clone()).await, SubmitResult::Accepted);
    }
    // Twice in one submission is no other case.
    let mut twice = submit.clone();
    twice.items.push(submit.items[0].clone());
    assert_eq!(sender.submit(twice).await.unwrap(), [SubmitResult::Accepted, SubmitResult::Accepted]);
    let relay = TestRelay::on(relay.stop().await, |_| {}).await;
    let mut sender = Submitter::open(&relay.at()).await;
    assert_eq!(sender.one(submit.clone()).await, SubmitResult::Accepted);
    // A repeat needs no capability any more: the delivery key may have changed since.
    let mut late = submit;
    late.items[0].capability = None;
    assert_eq!(sender.one(late).await, SubmitResult::Accepted);
    assert_eq!(Mailbox::open(&relay.at(), &bob, 1).await.drain().await.len(), 1);
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM body"), 1);
}

#[tokio::test]
async fn a_number_is_never_used_twice() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    for expected in 1..=3 {
        sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await;
        let push = mailbox.push().await;
        assert_eq!(push.seq, expected);
        mailbox.ack(push.seq).await;
    }
    let epoch = mailbox.epoch;
    mailbox.hang_up().await;
    let relay = TestRelay::on(relay.stop().await, |_| {}).await;
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), 0);
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!((mailbox.epoch, mailbox.acked), (epoch, 3));
    let mut sender = Submitter::open(&relay.at()).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await;
    assert_eq!(mailbox.push().await.seq, 4);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    for word in ["one", "two"] {
        sender.one(envelope(bob.device(1), bob.capability(), 1, word)).await;
    }
    let first = mailbox.push().await;
    let second = mailbox.push().await;
    mailbox.ack(first.seq).await;
    mailbox.ack(0).await;
    mailbox.hang_up().await;
    let mut again = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(again.acked, first.seq);
    assert_eq!(again.push().await, second);
}

#[tokio::test]
async fn the_last_of_many_acknowledgements_is_saved_also_when_the_client_hangs_up_at_once() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    for n in 0..50 {
        sender.one(envelope(bob.device(1), bob.capability(), 1, &n.to_string())).await;
        mailbox.push().await;
    }
    for seq in 1..=50 {
        mailbox.ack(seq).await;
    }
    mailbox.hang_up().await;
    assert_eq!(Mailbox::open(&relay.at(), &bob, 1).await.acked, 50);
}

#[tokio::test]
async fn one_body_for_many_devices_lives_until_the_last_has_it() {
    let relay = TestRelay::start().await;
    let (bob, mut bobs) = account(&relay.at(), "bob").await;
    let (carol, mut carols) = account(&relay.at(), "carol").await;
    let mut sender = Submitter::open(&relay.at()).await;
    let items = vec![item(bob.device(1), bob.capability(), 1), item(carol.device(1), carol.capability(), 1)];
    let results = sender.submit(Submit { bodies: vec![body("both")], items }).await.unwrap();
    assert_eq!(results, [SubmitResult::Accepted, SubmitResult::Accepted]);
    let push = bobs.push().await;
    assert_eq!(carols.push().await.body, push.body);
    bobs.ack(push.seq).await;
    bobs.hang_up().await;
    assert_eq!(count(&relay.data(), "SELECT refs FROM body"), 1);
    carols.ack(1).await;
    carols.hang_up().await;
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM body"), 0);
}

#[tokio::test]
async fn a_newer_connection_displaces_the_older() {
    let relay = TestRelay::start().await;
    let (bob, mut older) = account(&relay.at(), "bob").await;
    older.drain().await;
    let mut newer = Mailbox::open(&relay.at(), &bob, 1).await;
    assert_eq!(older.next().await, Some(MailboxServerFrame::Displaced));
    assert_eq!(close_code(&mut older.socket).await, Some(4409));
    let mut sender = Submitter::open(&relay.at()).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "hello")).await;
    assert_eq!(text(&newer.push().await), "hello");
}

#[tokio::test]
async fn a_full_mailbox_refuses_and_trims_nothing() {
    let relay = TestRelay::with(|config| config.max_mailbox_rows = 3).await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let (carol, _carols) = account(&relay.at(), "carol").await;
    let mut sender = Submitter::open(&relay.at()).await;
    for n in 0..3 {
        let result = sender.one(envelope(bob.device(1), bob.capability(), 1, &n.to_string())).await;
        assert_eq!(result, SubmitResult::Accepted);
    }
    // The other receiver of the same submission is not held up.
    let items = vec![item(bob.device(1), bob.capability(), 1), item(carol.device(1), carol.capability(), 1)];
    let results = sender.submit(Submit { bodies: vec![body("more")], items }).await.unwrap();
    assert!(matches!(results[0], SubmitResult::Full { retry_after_s: 1.. }));
    assert_eq!(results[1], SubmitResult::Accepted);
    for n in 0..3 {
        assert_eq!(text(&mailbox.push().await), n.to_string());
    }
    mailbox.ack(1).await;
    mailbox.hang_up().await;
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "fits again")).await;
    assert_eq!(result, SubmitResult::Accepted);
}

#[tokio::test]
async fn what_comes_after_an_item_without_room_does_not_overtake_it() {
    let relay = TestRelay::with(|config| config.max_mailbox_bytes = 1_200).await;
    let (bob, _mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    let large = SubmitItem { body_ref: 0, ..item(bob.device(1), bob.capability(), 1) };
    let small = SubmitItem { body_ref: 1, head: [9; HEAD_BYTES], ..large.clone() };
    let bodies = vec![vec![1; 2304].into(), body("small")];
    let results = sender.submit(Submit { bodies, items: vec![large, small.clone()] }).await.unwrap();
    assert!(results.iter().all(|result| matches!(result, SubmitResult::Full { .. })), "{results:?}");
    // Alone it has room.
    let small = SubmitItem { body_ref: 0, ..small };
    let results = sender.submit(Submit { bodies: vec![body("small")], items: vec![small] }).await.unwrap();
    assert_eq!(results, [SubmitResult::Accepted]);
}

#[tokio::test]
async fn bytes_fill_a_mailbox_too() {
    let relay = TestRelay::with(|config| config.max_mailbox_bytes = 1_200).await;
    let (bob, _mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    for _ in 0..2 {
        let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await;
        assert_eq!(result, SubmitResult::Accepted);
    }
    let result = sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await;
    assert!(matches!(result, SubmitResult::Full { .. }));
}

#[tokio::test]
async fn ephemeral_envelopes_reach_who_is_there_and_are_never_stored() {
    let relay = TestRelay::start().await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    let mut sender = Submitter::open(&relay.at()).await;
    let typing = |capability| {
        let mut submit = envelope(bob.device(1), capability, 1, "typing");
        submit.items[0].class = EnvelopeClass::Ephemeral;
        submit
    };
    assert_eq!(sender.one(typing(bob.capability())).await, SubmitResult::Accepted);
    let push = mailbox.push().await;
    assert_eq!((push.seq, push.class, text(&push).as_str()), (0, EnvelopeClass::Ephemeral, "typing"));
    assert_eq!(sender.one(typing(None)).await, refused(ErrorCode::CapabilityRefused));
    mailbox.hang_up().await;
    assert_eq!(sender.one(typing(bob.capability())).await, SubmitResult::Accepted);
    assert_eq!(count(&relay.data(), "SELECT (SELECT count(*) FROM mailbox) + (SELECT count(*) FROM body)"), 0);
    assert!(Mailbox::open(&relay.at(), &bob, 1).await.drain().await.is_empty());
}

#[tokio::test]
async fn what_has_expired_is_not_pushed_and_is_deleted_at_the_next_start() {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob").await;
    mailbox.hang_up().await;
    let mut sender = Submitter::open(&relay.at()).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "short")).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "long")).await;
    drop(sender);
    let dir = relay.stop().await;
    let db = rusqlite::Connection::open(dir.path().join("data/relay.db")).unwrap();
    db.execute("UPDATE mailbox SET expires_ms = 1 WHERE seq = 1", []).unwrap();
    drop(db);
    let relay = TestRelay::on(dir, |_| {}).await;
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    let pushes = mailbox.drain().await;
    assert_eq!(pushes.iter().map(text).collect::<Vec<_>>(), ["long"]);
    soon(async {
        while count(&relay.data(), "SELECT count(*) FROM mailbox") > 1 {
            // A turn through the writer's queue, where the deletion waits too.
            mailbox.request(MailboxRequest::RemoveContactToken(bob.delivery_key.hash())).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_wake_costs_no_more_than_a_resync() {
    let relay = TestRelay::with(|config| config.resync_interval = std::time::Duration::from_millis(50)).await;
    let (bob, mut mailbox) = account(&relay.at(), "bob").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&relay.at()).await;
    sender.one(envelope(bob.device(1), bob.capability(), 1, "seed")).await;
    let push = mailbox.push().await;
    // A row that nobody announces.
    let db = rusqlite::Connection::open(relay.data().join("relay.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    let head: [u8; HEAD_BYTES] = random();
    let id = subrosa_wire::EnvelopeId::of(&bob.device(1), &head, &body("seed"));
    db.execute_batch("BEGIN IMMEDIATE; UPDATE body SET refs = 2; UPDATE device SET last_seq = 2").unwrap();
    db.execute(
        "INSERT INTO mailbox SELECT device, 2, ?1, ?2, body, size, received_ms, expires_ms, way FROM mailbox",
        rusqlite::params![id.0, head],
    )
    .unwrap();
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(mailbox.push().await.seq, push.seq + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_at_once_are_all_answered() {
    let relay = TestRelay::start().await;
    let (bob, mailbox) = account(&relay.at(), "bob").await;
    mailbox.hang_up().await;
    let mut senders = Vec::new();
    for sender in 0..16 {
        let (at, bob) = (relay.at(), bob.clone());
        senders.push(tokio::spawn(async move {
            let mut socket = Submitter::open(&at).await;
            for n in 0..25 {
                socket.begin(envelope(bob.device(1), bob.capability(), 1, &format!("{sender}.{n}"))).await;
            }
            for n in 0..25 {
                assert_eq!(socket.reply().await, (n + 1, Ok(vec![SubmitResult::Accepted])));
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    let mut next = [0; 16];
    for _ in 0..400 {
        let push = mailbox.push().await;
        mailbox.ack(push.seq).await;
        let text = text(&push);
        let (sender, n) = text.split_once('.').unwrap();
        let sender: usize = sender.parse().unwrap();
        // Each sender's own order holds among the others'.
        assert_eq!(n.parse::<usize>().unwrap(), next[sender]);
        next[sender] += 1;
    }
    assert_eq!(next, [25; 16]);
}
