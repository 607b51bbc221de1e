//! The mailbox connection with a relay that keeps to the protocol: order, batches, back-pressure,
//! acknowledgements, displacement, endings.

use std::time::Duration;

use subrosa_wire::{
    ErrorCode,
    limits::MAX_MAILBOX_FRAME_BYTES,
    mailbox::{MailboxClientFrame, MailboxRequest, MailboxServerFrame, RequestOutcome},
    submit::Refusal,
};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::net::{NetError, waiting::MAX_PUSH_BATCH};

fn put_list() -> MailboxRequest {
    MailboxRequest::PutDeviceList(Bytes::from_static(b"list"))
}

/// A script's report to the test.
fn reports<T>() -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

#[tokio::test]
async fn envelopes_come_in_order_in_batches_and_before_caught_up() {
    const WAITING: u64 = 200;
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        for seq in 1..=WAITING {
            put(&mut socket, MailboxServerFrame::Push(push(seq, 512)).encode()).await;
        }
        put(&mut socket, MailboxServerFrame::CaughtUp.encode()).await;
        put(&mut socket, MailboxServerFrame::Push(push(WAITING + 1, 512)).encode()).await;
        hold(socket).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    assert!(matches!(engine.next().await, MailboxEvent::Connecting));
    assert_eq!(engine.ready().await, 0);
    let mut seqs = Vec::new();
    let mut batches = 0u64;
    loop {
        match engine.next().await {
            MailboxEvent::Pushed(batch) => {
                assert!((1..=MAX_PUSH_BATCH).contains(&batch.len()));
                seqs.extend(batch.iter().map(|push| push.seq));
                batches += 1;
            }
            MailboxEvent::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, (1..=WAITING).collect::<Vec<_>>());
    assert!(batches < WAITING, "what is there at once is handed on at once");
    assert_eq!(engine.pushed().await[0].seq, WAITING + 1);
}

#[tokio::test]
async fn a_batch_is_never_waited_for() {
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        put(&mut socket, MailboxServerFrame::Push(push(1, 512)).encode()).await;
        hold(socket).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    assert_eq!(engine.pushed().await.len(), 1);
}

#[tokio::test]
async fn an_engine_that_does_not_take_events_stops_the_reading_and_nothing_else() {
    let (blocked, mut is_blocked) = reports();
    let (frames, mut from_client) = reports();
    let relay = Fake::websocket(move |_, mut socket| {
        let (blocked, frames) = (blocked.clone(), frames.clone());
        async move {
            greet(&mut socket).await;
            // 64 KiB each, far more than any window: without back-pressure this never ends.
            let mut sent = 0u64;
            loop {
                sent += 1;
                let frame = Message::Binary(MailboxServerFrame::Push(push(sent, 65_536)).encode());
                match tokio::time::timeout(Duration::from_secs(2), socket.send(frame)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => break,
                }
                assert!(sent < 4_000, "256 MiB were read for an engine that takes nothing");
            }
            let _ = blocked.send(sent);
            while let Some(frame) = take_mailbox(&mut socket).await {
                let _ = frames.send(frame);
            }
        }
    })
    .await;
    // Room for one event: `Connecting`. `Ready` and all that follows must wait. No pings (the first comes by chance): the script
    // could not answer them through its full socket.
    let waits =
        Timing { silence: Duration::from_millis(1_500), ping: Duration::from_secs(30 * 24 * 3_600), ..timing() };
    let mut engine = Engine::with(&relay.endpoint, Arc::new(NoSigner), waits, 1);
    let sent = soon(is_blocked.recv()).await.unwrap();
    // Acknowledgements and requests still go out, and the relay's silence is not held against it.
    engine.handle.ack(17);
    let handle = engine.handle.clone();
    let request = tokio::spawn(async move { handle.request(put_list()).await });
    assert_eq!(soon(from_client.recv()).await, Some(MailboxClientFrame::Ack(17)));
    assert!(matches!(soon(from_client.recv()).await, Some(MailboxClientFrame::Request { .. })));
    // Everything is there when the engine comes back, in order; the last one may be cut off.
    let mut expected = 1;
    engine.ready().await;
    while expected < sent {
        for push in engine.pushed().await {
            assert_eq!(push.seq, expected);
            expected += 1;
        }
    }
    soon(engine.handle.shutdown()).await;
    assert_eq!(soon(request).await.unwrap(), Err(NetError::Closed));
}

#[tokio::test]
async fn acknowledgements_go_first_and_only_the_newest() {
    let (frames, mut from_client) = reports();
    let relay = Fake::websocket(move |_, mut socket| {
        let frames = frames.clone();
        async move {
            greet(&mut socket).await;
            for seq in 1..=9 {
                put(&mut socket, MailboxServerFrame::Push(push(seq, 512)).encode()).await;
            }
            while let Some(frame) = take_mailbox(&mut socket).await {
                if let MailboxClientFrame::Request { id, .. } = &frame {
                    let answer = MailboxServerFrame::Response { id: *id, result: Ok(RequestOutcome::Done) };
                    put(&mut socket, answer.encode()).await;
                }
                let _ = frames.send(frame);
            }
        }
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    while engine.pushed().await.last().unwrap().seq < 9 {}
    // One thread: the task sees all of these at once.
    for seq in 1..=9 {
        engine.handle.ack(seq);
    }
    assert_eq!(soon(engine.handle.request(put_list())).await, Ok(RequestOutcome::Done));
    assert_eq!(soon(from_client.recv()).await, Some(MailboxClientFrame::Ack(9)));
    assert!(matches!(soon(from_client.recv()).await, Some(MailboxClientFrame::Request { .. })));
}

#[tokio::test]
async fn an_acknowledgement_made_while_offline_goes_out_when_its_envelopes_come_again() {
    let (frames, mut from_client) = reports();
    let relay = Fake::websocket(move |count, mut socket| {
        let frames = frames.clone();
        async move {
            greet(&mut socket).await;
            put(&mut socket, MailboxServerFrame::Push(push(1, 512)).encode()).await;
            put(&mut socket, MailboxServerFrame::Push(push(2, 512)).encode()).await;
            if count == 0 {
                return;
            }
            while let Some(frame) = take_mailbox(&mut socket).await {
                let _ = frames.send(frame);
            }
        }
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    engine.offline().await;
    engine.handle.ack(2);
    let mut acked = 0;
    while acked < 2 {
        let Some(MailboxClientFrame::Ack(upto)) = soon(from_client.recv()).await else { panic!("no ack") };
        assert!(upto > acked && upto <= 2);
        acked = upto;
    }
}

#[tokio::test]
async fn shutdown_sends_the_last_acknowledgement_and_says_goodbye() {
    let (ends, mut ended) = reports();
    let relay = Fake::websocket(move |_, mut socket| {
        let ends = ends.clone();
        async move {
            greet(&mut socket).await;
            put(&mut socket, MailboxServerFrame::Push(push(1, 512)).encode()).await;
            assert_eq!(take_mailbox(&mut socket).await, Some(MailboxClientFrame::Ack(1)));
            let _ = ends.send(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
            hold(socket).await;
        }
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    engine.pushed().await;
    engine.handle.ack(1);
    soon(engine.handle.shutdown()).await;
    assert_eq!(soon(ended.recv()).await, Some(true));
    assert_eq!(soon(engine.handle.request(put_list())).await, Err(NetError::Closed));
    // A second time is harmless.
    soon(engine.handle.shutdown()).await;
}

#[tokio::test]
async fn a_displaced_device_asks_once_more_and_stays_away_when_another_copy_was_used() {
    let relay = Fake::websocket(|count, mut socket| async move {
        if count == 1 {
            take_mailbox(&mut socket).await;
            put(&mut socket, challenge().encode()).await;
            take_mailbox(&mut socket).await;
            let refusal = Refusal::never(ErrorCode::OtherCopy);
            put(&mut socket, MailboxServerFrame::Error(refusal).encode()).await;
        } else {
            greet(&mut socket).await;
        }
        if count == 0 {
            put(&mut socket, MailboxServerFrame::Push(push(1, 512)).encode()).await;
            put(&mut socket, MailboxServerFrame::Displaced.encode()).await;
        }
        hold(socket).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    // What was pushed before is not lost.
    assert_eq!(engine.pushed().await[0].seq, 1);
    assert!(matches!(engine.next().await, MailboxEvent::Displaced));
    assert!(matches!(engine.offline().await, (NetError::Closed, _)));
    while !matches!(engine.next().await, MailboxEvent::OtherCopy) {}
    // Ten times the longest wait between tries.
    assert!(tokio::time::timeout(timing().retry_max * 10, engine.events.recv()).await.is_err());
    assert_eq!(relay.connections(), 2);
    assert_eq!(soon(engine.handle.request(put_list())).await, Err(NetError::Closed));
    engine.handle.reconnect_now();
    engine.ready().await;
    assert_eq!(relay.connections(), 3);
}

#[tokio::test]
async fn requests_without_a_connection_fail_at_once() {
    let relay = Fake::tcp(|_, stream| async move { drop(stream) }).await;
    let waits = Timing { retry_first: Duration::from_secs(3_600), retry_max: Duration::from_secs(3_600), ..timing() };
    let mut engine = Engine::start(&relay.endpoint, waits);
    let (error, _) = engine.offline().await;
    for _ in 0..100 {
        assert_eq!(soon(engine.handle.request(put_list())).await, Err(error.clone()));
    }
    assert!(error.is_transient());
}

#[tokio::test]
async fn requests_in_flight_fail_when_the_socket_breaks_and_work_on_the_next() {
    let relay = Fake::websocket(|count, mut socket| async move {
        greet(&mut socket).await;
        while let Some(MailboxClientFrame::Request { id, .. }) = take_mailbox(&mut socket).await {
            if count == 0 {
                return;
            }
            let result = Err(Refusal::never(ErrorCode::QuotaExceeded));
            put(&mut socket, MailboxServerFrame::Response { id, result }.encode()).await;
        }
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    engine.ready().await;
    assert_eq!(soon(engine.handle.request(put_list())).await, Err(NetError::Closed));
    engine.ready().await;
    let refused = NetError::Refused(Refusal::never(ErrorCode::QuotaExceeded));
    assert_eq!(soon(engine.handle.request(put_list())).await, Err(refused));
}

#[tokio::test]
async fn a_request_larger_than_a_frame_is_refused_here() {
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        hold(socket).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    engine.ready().await;
    let op = MailboxRequest::PutDeviceList(vec![0; MAX_MAILBOX_FRAME_BYTES + 1].into());
    let refused = NetError::Refused(Refusal::never(ErrorCode::TooLarge));
    assert_eq!(soon(engine.handle.request(op)).await, Err(refused));
}

#[tokio::test]
async fn a_relay_that_goes_away_is_given_the_time_it_asks_for() {
    let relay = Fake::websocket(|count, mut socket| async move {
        greet(&mut socket).await;
        if count == 0 {
            put(&mut socket, MailboxServerFrame::GoAway { retry_after_ms: 30 }.encode()).await;
        }
        hold(socket).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    let (error, retry_in) = engine.offline().await;
    assert!(matches!(&error, NetError::Refused(refusal) if refusal.code == ErrorCode::Unavailable), "{error:?}");
    assert_eq!(retry_in, Duration::from_millis(30));
    engine.ready().await;
}

#[tokio::test]
async fn a_new_session_when_asked_brings_what_was_not_acknowledged_again() {
    let (frames, mut from_client) = reports();
    let relay = Fake::websocket(move |count, mut socket| {
        let frames = frames.clone();
        async move {
            let acked = u64::from(count > 0);
            greet_at(&mut socket, acked).await;
            for seq in acked + 1..=200 {
                put(&mut socket, MailboxServerFrame::Push(push(seq, 512)).encode()).await;
            }
            while let Some(frame) = take_mailbox(&mut socket).await {
                let _ = frames.send((count, frame));
            }
        }
    })
    .await;
    // Room for two events, so that some batches wait in the task.
    let mut engine = Engine::with(&relay.endpoint, Arc::new(NoSigner), timing(), 2);
    assert_eq!(engine.pushed().await[0].seq, 1);
    engine.handle.ack(1);
    assert_eq!(soon(from_client.recv()).await, Some((0, MailboxClientFrame::Ack(1))));
    // Say the batch with 2 could not be committed.
    engine.handle.reconnect_now();
    // No `Offline`: the old session's rest, then the new one, whole.
    loop {
        match engine.next().await {
            MailboxEvent::Connecting => break,
            MailboxEvent::Pushed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    engine.ready().await;
    let mut expected = 2;
    while expected <= 200 {
        for push in engine.pushed().await {
            assert_eq!(push.seq, expected);
            expected += 1;
        }
    }
    engine.handle.ack(200);
    assert_eq!(soon(from_client.recv()).await, Some((1, MailboxClientFrame::Ack(200))));
    assert_eq!(relay.connections(), 2);
}

#[tokio::test]
async fn the_task_ends_with_its_engine() {
    let (gone, is_gone) = oneshot::channel();
    let gone = std::sync::Mutex::new(Some(gone));
    let relay = Fake::websocket(move |_, mut socket| {
        let gone = gone.lock().unwrap().take();
        async move {
            greet(&mut socket).await;
            hold(socket).await;
            if let Some(gone) = gone {
                let _ = gone.send(());
            }
        }
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    engine.ready().await;
    let Engine { handle, events } = engine;
    drop(events);
    soon(is_gone).await.unwrap();
    assert_eq!(soon(handle.request(put_list())).await, Err(NetError::Closed));
    soon(handle.shutdown()).await;
}
