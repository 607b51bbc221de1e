//! Relays that break the protocol: each way has its error, and the task comes back for more.

use std::time::Duration;

use subrosa_wire::{
    ErrorCode,
    mailbox::{MailboxClientFrame, MailboxRequest, MailboxServerFrame, RequestOutcome},
    submit::{Refusal, SubmitResult},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::net::NetError;

/// Connects, expects an error that `fits`, and that the task tries again.
async fn fails(relay: &Fake, timing: Timing, fits: impl Fn(&NetError) -> bool) {
    let mut engine = Engine::start(&relay.endpoint, timing);
    let (error, _) = engine.offline().await;
    assert!(fits(&error), "{error:?}");
    let (again, _) = engine.offline().await;
    assert!(fits(&again), "{again:?}");
    assert!(relay.connections() >= 2);
    soon(engine.handle.shutdown()).await;
}

fn is_protocol(error: &NetError) -> bool {
    matches!(error, NetError::Protocol { .. })
}

/// What a relay sends after the upgrade instead of the challenge.
async fn instead_of_the_challenge(bytes: Bytes) -> Fake {
    Fake::websocket(move |_, mut socket| {
        let bytes = bytes.clone();
        async move {
            take_mailbox(&mut socket).await;
            put(&mut socket, bytes).await;
            hold(socket).await;
        }
    })
    .await
}

/// What a relay sends to a client that has just logged in.
async fn after_ready(bytes: Bytes) -> Fake {
    Fake::websocket(move |_, mut socket| {
        let bytes = bytes.clone();
        async move {
            greet(&mut socket).await;
            put(&mut socket, bytes).await;
            hold(socket).await;
        }
    })
    .await
}

#[tokio::test]
async fn garbage_and_frames_out_of_order_in_the_handshake() {
    let wrong = [
        Bytes::from_static(b"\xff\xff\xff garbage"),
        Bytes::new(),
        ready(0).encode(),
        MailboxServerFrame::CaughtUp.encode(),
        MailboxServerFrame::Push(push(1, 512)).encode(),
        vec![0; 10 * 1024 * 1024].into(),
    ];
    for bytes in wrong {
        fails(&instead_of_the_challenge(bytes).await, timing(), is_protocol).await;
    }
}

#[tokio::test]
async fn garbage_and_frames_out_of_order_in_a_session() {
    let wrong = [
        Bytes::from_static(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        challenge().encode(),
        ready(0).encode(),
        MailboxServerFrame::Response { id: 1, result: Ok(RequestOutcome::Done) }.encode(),
        MailboxServerFrame::Push(push(1, 65_537)).encode(),
        vec![0; 10 * 1024 * 1024].into(),
    ];
    for bytes in wrong {
        fails(&after_ready(bytes).await, timing(), is_protocol).await;
    }
}

#[tokio::test]
async fn a_text_is_no_frame() {
    let relay = Fake::websocket(|_, mut socket| async move {
        let _ = socket.send(Message::Text("hello".into())).await;
        hold(socket).await;
    })
    .await;
    fails(&relay, timing(), is_protocol).await;
}

#[tokio::test]
async fn a_relay_that_hangs_up_in_the_middle() {
    let at_once = Fake::tcp(|_, stream| async move { drop(stream) }).await;
    fails(&at_once, timing(), |error| matches!(error, NetError::Unreachable { .. })).await;
    let upgraded = Fake::websocket(|_, socket| async move { drop(socket) }).await;
    fails(&upgraded, timing(), |error| *error == NetError::Closed).await;
    let logged_in = Fake::websocket(|_, mut socket| async move { greet(&mut socket).await }).await;
    fails(&logged_in, timing(), |error| *error == NetError::Closed).await;
}

#[tokio::test]
async fn something_else_than_a_relay() {
    let answer = |text: &'static str| {
        Fake::tcp(move |_, mut stream| async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(text.as_bytes()).await;
        })
    };
    let website = answer("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello").await;
    fails(&website, timing(), is_protocol).await;
    let proxy = answer("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    fails(&proxy, timing(), |error| matches!(error, NetError::Unreachable { .. })).await;
    let mail_server = answer("220 mail.example.org ESMTP\r\n").await;
    fails(&mail_server, timing(), is_protocol).await;
}

#[tokio::test]
async fn a_relay_that_says_nothing() {
    let short = Duration::from_millis(50);
    let no_upgrade =
        Fake::tcp(|_, mut stream| async move { while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {} });
    let waits = Timing { connect: short, ..timing() };
    fails(&no_upgrade.await, waits, |error| matches!(error, NetError::Timeout { what: "the connection", .. })).await;
    let no_challenge = Fake::websocket(|_, socket| hold(socket)).await;
    let waits = Timing { handshake: short, ..timing() };
    fails(&no_challenge, waits, |error| matches!(error, NetError::Timeout { what: "logging in", .. })).await;
    let silent = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        hold(socket).await;
    })
    .await;
    let waits = Timing { silence: short, ..timing() };
    fails(&silent, waits, |error| matches!(error, NetError::Timeout { what: "a sign of life", .. })).await;
}

#[tokio::test]
async fn a_relay_that_answers_pings_is_not_silent() {
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        for _ in 0..8 {
            assert_eq!(MailboxClientFrame::decode(take(&mut socket).await.unwrap()), Ok(MailboxClientFrame::Ping));
            put(&mut socket, MailboxServerFrame::Pong.encode()).await;
        }
        put(&mut socket, MailboxServerFrame::CaughtUp.encode()).await;
        hold(socket).await;
    })
    .await;
    let waits = Timing { ping: Duration::from_millis(50), silence: Duration::from_millis(300), ..timing() };
    let mut engine = Engine::start(&relay.endpoint, waits);
    engine.ready().await;
    assert!(matches!(engine.next().await, MailboxEvent::CaughtUp));
}

#[tokio::test]
async fn no_common_version() {
    let chosen = MailboxServerFrame::Challenge { version: 9, nonce: [0; 32], tls_bound: false };
    let refused = MailboxServerFrame::Error(Refusal::never(ErrorCode::UnsupportedVersion));
    for frame in [chosen, refused] {
        let relay = instead_of_the_challenge(frame.encode()).await;
        let mut engine = Engine::start(&relay.endpoint, timing());
        assert_eq!(engine.offline().await, (NetError::NewerRelay, timing().refused_retry));
    }
}

#[tokio::test]
async fn a_refused_login_is_tried_again_only_after_long_or_when_asked() {
    let refusal = Refusal::never(ErrorCode::AuthenticationFailed);
    let relay = Fake::websocket(move |_, mut socket| async move {
        take_mailbox(&mut socket).await;
        put(&mut socket, challenge().encode()).await;
        take_mailbox(&mut socket).await;
        put(&mut socket, MailboxServerFrame::Error(refusal).encode()).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    let expected = (NetError::Refused(refusal), timing().refused_retry);
    assert_eq!(engine.offline().await, expected);
    assert_eq!(relay.connections(), 1);
    engine.handle.reconnect_now();
    assert_eq!(engine.offline().await, expected);
    assert_eq!(relay.connections(), 2);
}

#[tokio::test]
async fn a_refusal_with_a_hint_is_obeyed_but_not_beyond_the_longest_wait() {
    let refusal = Refusal { code: ErrorCode::RateLimited, retry_after_s: 100_000 };
    let relay = instead_of_the_challenge(MailboxServerFrame::Error(refusal).encode()).await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    let (error, retry_in) = engine.offline().await;
    assert_eq!(error, NetError::Refused(refusal));
    assert!((timing().retry_max..=timing().retry_max * 2).contains(&retry_in), "{retry_in:?}");
}

#[tokio::test]
async fn an_answer_given_twice_ends_the_session() {
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        let Some(MailboxClientFrame::Request { id, .. }) = take_mailbox(&mut socket).await else { return };
        let answer = MailboxServerFrame::Response { id, result: Ok(RequestOutcome::Done) };
        put(&mut socket, answer.encode()).await;
        put(&mut socket, answer.encode()).await;
        hold(socket).await;
    })
    .await;
    let mut engine = Engine::start(&relay.endpoint, timing());
    engine.ready().await;
    let op = MailboxRequest::PutDeviceList(Bytes::from_static(b"list"));
    assert_eq!(soon(engine.handle.request(op)).await, Ok(RequestOutcome::Done));
    assert!(is_protocol(&engine.offline().await.0));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_request() {
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        let Some(MailboxClientFrame::Request { id, .. }) = take_mailbox(&mut socket).await else { return };
        let result = Ok(RequestOutcome::Submit(vec![SubmitResult::Accepted; 2]));
        put(&mut socket, MailboxServerFrame::Response { id, result }.encode()).await;
        hold(socket).await;
    })
    .await;
    for op in [MailboxRequest::SubmitRequest(submission(3)), MailboxRequest::PutDeviceList(Bytes::new())] {
        let mut engine = Engine::start(&relay.endpoint, timing());
        engine.ready().await;
        let error = soon(engine.handle.request(op)).await.unwrap_err();
        assert!(is_protocol(&error), "{error:?}");
        assert!(is_protocol(&engine.offline().await.0));
    }
}

#[tokio::test]
async fn a_request_that_is_not_answered_times_out_and_the_session_with_it() {
    let relay = Fake::websocket(|_, mut socket| async move {
        greet(&mut socket).await;
        // Pings are answered, requests are not.
        while take_mailbox(&mut socket).await.is_some() {}
    })
    .await;
    let waits = Timing { call: Duration::from_millis(80), ping: Duration::from_millis(20), ..timing() };
    let mut engine = Engine::start(&relay.endpoint, waits);
    engine.ready().await;
    let error = soon(engine.handle.request(MailboxRequest::PutDeviceList(Bytes::new()))).await.unwrap_err();
    assert!(matches!(error, NetError::Timeout { what: "a request", .. }), "{error:?}");
    assert!(matches!(engine.offline().await.0, NetError::Timeout { what: "a request", .. }));
    engine.ready().await;
}

#[tokio::test]
async fn an_unreachable_relay_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut engine = Engine::start(&url.parse().unwrap(), timing());
    let (error, _) = engine.offline().await;
    let NetError::Unreachable { relay, cause } = &error else { panic!("{error:?}") };
    assert_eq!(*relay, url);
    assert!(cause.contains("refused"), "{cause}");
    assert!(error.to_string().contains(&url));
}

#[tokio::test]
async fn a_plaintext_server_behind_https_is_told_apart() {
    let relay = Fake::tcp(|_, mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let endpoint: RelayEndpoint = relay.endpoint.to_string().replace("http://", "https://").parse().unwrap();
    let mut engine = Engine::start(&endpoint, timing());
    let (error, _) = engine.offline().await;
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("TLS")), "{error:?}");
}
