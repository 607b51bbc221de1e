//! Anonymous submissions: one socket for many calls, and relays that break the protocol.

use std::time::Duration;

use subrosa_wire::{
    AccountId, ErrorCode,
    limits::MAX_SUBMIT_ITEMS,
    submit::{Refusal, SubmitClientFrame, SubmitResult, SubmitServerFrame},
};
use tokio::sync::mpsc;

use super::*;
use crate::net::{NetError, Submitter};

fn welcome() -> Bytes {
    SubmitServerFrame::Welcome { version: 1, server_time_ms: 0, limits: LIMITS }.encode()
}

fn accepted(id: u64, items: usize) -> Bytes {
    SubmitServerFrame::Reply { id, result: Ok(vec![SubmitResult::Accepted; items]) }.encode()
}

async fn welcomed(socket: &mut ServerSocket) {
    let hello = take(socket).await.map(SubmitClientFrame::decode);
    assert!(matches!(hello, Some(Ok(SubmitClientFrame::Hello(_)))));
    put(socket, welcome()).await;
}

/// The next submission's id and number of items.
async fn take_submit(socket: &mut ServerSocket) -> Option<(u64, usize)> {
    loop {
        match SubmitClientFrame::decode(take(socket).await?).unwrap() {
            SubmitClientFrame::Submit { id, submit } => return Some((id, submit.items.len())),
            SubmitClientFrame::Ping => put(socket, SubmitServerFrame::Pong.encode()).await,
            SubmitClientFrame::Hello(_) => panic!("a second hello"),
        }
    }
}

/// Accepts everything.
async fn accept_all(mut socket: ServerSocket) {
    welcomed(&mut socket).await;
    while let Some((id, items)) = take_submit(&mut socket).await {
        put(&mut socket, accepted(id, items)).await;
    }
}

/// Answers the first submission of each socket with these bytes.
async fn answering(bytes: impl Fn(u64) -> Bytes + Send + Sync + 'static) -> Fake {
    let bytes = Arc::new(bytes);
    Fake::websocket(move |_, mut socket| {
        let bytes = bytes.clone();
        async move {
            welcomed(&mut socket).await;
            if let Some((id, _)) = take_submit(&mut socket).await {
                put(&mut socket, bytes(id)).await;
            }
            hold(socket).await;
        }
    })
    .await
}

#[tokio::test]
async fn one_socket_carries_many_calls_and_tells_their_answers_apart() {
    const CALLS: usize = 40;
    // Answers in the opposite order, in groups of eight.
    let relay = Fake::websocket(|_, mut socket| async move {
        welcomed(&mut socket).await;
        loop {
            let mut group = Vec::new();
            while group.len() < 8 {
                let Some(call) = take_submit(&mut socket).await else { return };
                group.push(call);
            }
            for (id, items) in group.into_iter().rev() {
                put(&mut socket, accepted(id, items)).await;
            }
        }
    })
    .await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    let calls = (1..=CALLS).map(|items| {
        let (submitter, endpoint) = (submitter.clone(), relay.endpoint.clone());
        async move { (items, submitter.submit(&endpoint, &submission(items)).await) }
    });
    for (items, results) in soon(futures_util::future::join_all(calls)).await {
        assert_eq!(results, Ok(vec![SubmitResult::Accepted; items]));
    }
    assert_eq!(relay.connections(), 1);
}

/// One socket for all would tell the relay whom one anonymous sender writes to.
#[tokio::test]
async fn no_two_accounts_are_written_to_on_one_socket() {
    let relay = Fake::websocket(|_, socket| accept_all(socket)).await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    for account in [1, 2, 3, 1, 2, 3] {
        let mut submit = submission(2);
        for item in &mut submit.items {
            item.device.account = AccountId([account; 32]);
        }
        soon(submitter.submit(&relay.endpoint, &submit)).await.unwrap();
    }
    assert_eq!(relay.connections(), 3);
}

#[tokio::test]
async fn a_refusal_of_the_whole_is_handed_on_and_the_socket_stays() {
    let refusal = Refusal { code: ErrorCode::RateLimited, retry_after_s: 3 };
    let relay = Fake::websocket(move |_, mut socket| async move {
        welcomed(&mut socket).await;
        while let Some((id, _)) = take_submit(&mut socket).await {
            put(&mut socket, SubmitServerFrame::Reply { id, result: Err(refusal) }.encode()).await;
        }
    })
    .await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    for _ in 0..3 {
        let error = soon(submitter.submit(&relay.endpoint, &submission(1))).await.unwrap_err();
        assert_eq!(error, NetError::Refused(refusal));
        assert!(error.is_transient());
    }
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn answers_that_are_not_of_the_protocol_fail_the_call_and_the_next_gets_a_new_socket() {
    let wrong: [fn(u64) -> Bytes; 7] = [
        |_| Bytes::from_static(b"\xff\xff garbage"),
        |_| vec![0; 10 * 1024 * 1024].into(),
        |id| accepted(id + 1, 1),
        |id| accepted(id, 2),
        |id| accepted(id, 0),
        |_| welcome(),
        |_| Bytes::new(),
    ];
    for (number, answer) in wrong.into_iter().enumerate() {
        let relay = answering(answer).await;
        let submitter = Submitter::with_timing(Network::direct(), timing());
        for _ in 0..2 {
            let error = soon(submitter.submit(&relay.endpoint, &submission(1))).await.unwrap_err();
            assert!(matches!(error, NetError::Protocol { .. }), "{number}: {error:?}");
            assert!(error.is_transient());
        }
        assert_eq!(relay.connections(), 2);
    }
}

#[tokio::test]
async fn an_answer_given_twice_breaks_the_socket_but_not_the_next_call() {
    let relay = Fake::websocket(|count, mut socket| async move {
        welcomed(&mut socket).await;
        let Some((id, items)) = take_submit(&mut socket).await else { return };
        put(&mut socket, accepted(id, items)).await;
        if count == 0 {
            put(&mut socket, accepted(id, items)).await;
        }
        hold(socket).await;
    })
    .await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    assert!(soon(submitter.submit(&relay.endpoint, &submission(1))).await.is_ok());
    // The second call may still meet the old socket; then it fails like any broken one.
    let second = soon(submitter.submit(&relay.endpoint, &submission(1))).await;
    assert!(second.is_ok() || matches!(second, Err(NetError::Protocol { .. })), "{second:?}");
    if second.is_err() {
        assert!(soon(submitter.submit(&relay.endpoint, &submission(1))).await.is_ok());
    }
    assert_eq!(relay.connections(), 2);
}

#[tokio::test]
async fn the_handshake_fails_in_the_same_ways() {
    let instead = |bytes: Bytes| {
        Fake::websocket(move |_, mut socket| {
            let bytes = bytes.clone();
            async move {
                take(&mut socket).await;
                put(&mut socket, bytes).await;
                hold(socket).await;
            }
        })
    };
    let submit = |relay: Fake| async move {
        let waits = Timing { handshake: Duration::from_secs(2), ..timing() };
        soon(Submitter::with_timing(Network::direct(), waits).submit(&relay.endpoint, &submission(1)))
            .await
            .unwrap_err()
    };
    for bytes in [Bytes::from_static(b"\xff"), accepted(1, 1), SubmitServerFrame::Pong.encode()] {
        let error = submit(instead(bytes).await).await;
        assert!(matches!(error, NetError::Protocol { .. }), "{error:?}");
    }
    let other = SubmitServerFrame::Welcome { version: 2, server_time_ms: 0, limits: LIMITS };
    assert_eq!(submit(instead(other.encode()).await).await, NetError::NewerRelay);
    let refused = SubmitServerFrame::Error(Refusal::never(ErrorCode::UnsupportedVersion));
    assert_eq!(submit(instead(refused.encode()).await).await, NetError::NewerRelay);
    let silent = Fake::websocket(|_, socket| hold(socket)).await;
    assert!(matches!(submit(silent).await, NetError::Timeout { what: "the welcome", .. }));
    let at_once = Fake::tcp(|_, stream| async move { drop(stream) }).await;
    assert!(matches!(submit(at_once).await, NetError::Unreachable { .. }));
    let upgraded = Fake::websocket(|_, socket| async move { drop(socket) }).await;
    assert_eq!(submit(upgraded).await, NetError::Closed);
}

#[tokio::test]
async fn calls_in_flight_fail_with_the_socket_and_can_be_made_again() {
    let relay = Fake::websocket(|count, mut socket| async move {
        if count > 0 {
            return accept_all(socket).await;
        }
        welcomed(&mut socket).await;
        for _ in 0..5 {
            take_submit(&mut socket).await;
        }
    })
    .await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    let submit = submission(1);
    let calls = (0..5).map(|_| submitter.submit(&relay.endpoint, &submit));
    for result in soon(futures_util::future::join_all(calls)).await {
        assert_eq!(result, Err(NetError::Closed));
    }
    assert_eq!(soon(submitter.submit(&relay.endpoint, &submit)).await, Ok(vec![SubmitResult::Accepted]));
    assert_eq!(relay.connections(), 2);
}

#[tokio::test]
async fn a_relay_that_never_answers_a_call() {
    let relay = Fake::websocket(|_, mut socket| async move {
        welcomed(&mut socket).await;
        while take_submit(&mut socket).await.is_some() {}
    })
    .await;
    let waits = Timing { call: Duration::from_millis(100), ping: Duration::from_millis(20), ..timing() };
    let submitter = Submitter::with_timing(Network::direct(), waits);
    let error = soon(submitter.submit(&relay.endpoint, &submission(1))).await.unwrap_err();
    assert!(matches!(error, NetError::Timeout { what: "a submission", .. }), "{error:?}");
}

#[tokio::test]
async fn a_relay_that_goes_away_answers_first_and_is_left_alone_then() {
    let relay = Fake::websocket(|_, mut socket| async move {
        welcomed(&mut socket).await;
        let Some((first, items)) = take_submit(&mut socket).await else { return };
        let Some(_) = take_submit(&mut socket).await else { return };
        put(&mut socket, SubmitServerFrame::GoAway { retry_after_ms: 60_000 }.encode()).await;
        put(&mut socket, accepted(first, items)).await;
    })
    .await;
    let waits = Timing { retry_max: Duration::from_secs(30), ..timing() };
    let submitter = Submitter::with_timing(Network::direct(), waits);
    let (one, two) = (submission(1), submission(2));
    let (first, second) = soon(futures_util::future::join(
        submitter.submit(&relay.endpoint, &one),
        submitter.submit(&relay.endpoint, &two),
    ))
    .await;
    assert_eq!(first, Ok(vec![SubmitResult::Accepted]));
    let later = soon(submitter.submit(&relay.endpoint, &one)).await;
    for error in [second.unwrap_err(), later.unwrap_err()] {
        assert!(error.is_transient());
        let hint = error.retry_after().expect("a hint");
        // No longer than our own longest wait, whatever the relay asks for.
        assert!(hint <= Duration::from_secs(30) && hint > Duration::from_secs(20), "{hint:?}");
    }
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn an_unused_socket_is_closed_properly_and_opened_again_when_needed() {
    let (ends, mut ended) = mpsc::unbounded_channel();
    let relay = Fake::websocket(move |_, mut socket| {
        let ends = ends.clone();
        async move {
            welcomed(&mut socket).await;
            let Some((id, items)) = take_submit(&mut socket).await else { return };
            put(&mut socket, accepted(id, items)).await;
            let _ = ends.send(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
            hold(socket).await;
        }
    })
    .await;
    let submitter = Submitter::with_timing(Network::direct(), Timing { idle: Duration::from_millis(50), ..timing() });
    for connections in 1..=2 {
        assert!(soon(submitter.submit(&relay.endpoint, &submission(1))).await.is_ok());
        assert_eq!(soon(ended.recv()).await, Some(true));
        assert_eq!(relay.connections(), connections);
    }
}

#[tokio::test]
async fn sockets_end_with_the_submitter() {
    let (ends, mut ended) = mpsc::unbounded_channel();
    let relay = Fake::websocket(move |_, socket| {
        let ends = ends.clone();
        async move {
            accept_all(socket).await;
            let _ = ends.send(());
        }
    })
    .await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    assert!(soon(submitter.submit(&relay.endpoint, &submission(1))).await.is_ok());
    drop(submitter);
    soon(ended.recv()).await.unwrap();
}

#[tokio::test]
async fn more_relays_than_sockets_take_turns() {
    const RELAYS: usize = 72;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(Fake::websocket(|_, socket| accept_all(socket)).await);
    }
    for relay in relays.iter().chain(relays.first()) {
        assert!(soon(submitter.submit(&relay.endpoint, &submission(1))).await.is_ok());
    }
    assert_eq!(relays[0].connections(), 2);
    assert_eq!(relays[RELAYS - 1].connections(), 1);
}

#[tokio::test]
async fn submissions_that_no_relay_would_take_are_refused_here() {
    let relay = Fake::websocket(|_, socket| accept_all(socket)).await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    let refused = |code| Err(NetError::Refused(Refusal::never(code)));
    assert_eq!(soon(submitter.submit(&relay.endpoint, &submission(0))).await, refused(ErrorCode::Malformed));
    let many = submission(MAX_SUBMIT_ITEMS + 1);
    assert_eq!(soon(submitter.submit(&relay.endpoint, &many)).await, refused(ErrorCode::TooLarge));
    let mut large = submission(1);
    large.bodies = vec![vec![0; 65_536].into(); 9];
    assert_eq!(soon(submitter.submit(&relay.endpoint, &large)).await, refused(ErrorCode::TooLarge));
}

#[tokio::test]
async fn an_unreachable_relay_is_named_to_every_caller() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint: RelayEndpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let submitter = Submitter::with_timing(Network::direct(), timing());
    let submit = submission(1);
    let calls = (0..4).map(|_| submitter.submit(&endpoint, &submit));
    for result in soon(futures_util::future::join_all(calls)).await {
        let error = result.unwrap_err();
        assert!(matches!(&error, NetError::Unreachable { relay, .. } if *relay == endpoint.to_string()), "{error:?}");
    }
}

/// What a relay says to an upgrade of somebody who comes too often.
const TOO_OFTEN: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_relay_that_refuses_the_socket_for_a_while_is_left_alone_until_then() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let relay = Fake::tcp(|_, mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(TOO_OFTEN).await;
    })
    .await;
    let submitter =
        Submitter::with_timing(Network::direct(), Timing { retry_max: Duration::from_secs(60), ..timing() });
    let refused = async || soon(submitter.submit(&relay.endpoint, &submission(1))).await.unwrap_err();
    assert_eq!(refused().await, NetError::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s: 7 }));
    let again = refused().await;
    assert!(matches!(again, NetError::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s: 1..=7 })));
    assert_eq!(relay.connections(), 1, "nobody was asked again");
}

#[tokio::test]
async fn a_relay_that_ends_the_socket_for_a_while_is_left_alone_until_then() {
    let refusal = Refusal { code: ErrorCode::RateLimited, retry_after_s: 9 };
    let relay = answering(move |_| SubmitServerFrame::Error(refusal).encode()).await;
    let submitter =
        Submitter::with_timing(Network::direct(), Timing { retry_max: Duration::from_secs(60), ..timing() });
    for _ in 0..3 {
        let error = soon(submitter.submit(&relay.endpoint, &submission(1))).await.unwrap_err();
        assert!(matches!(error, NetError::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s: 1..=9 })));
    }
    assert_eq!(relay.connections(), 1);
}
