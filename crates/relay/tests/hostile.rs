//! Sockets that say too much, nonsense, or nothing: each ends, and others do not notice.

use std::time::Duration;

use crate::support::*;
use futures_util::SinkExt;
use subrosa_wire::{
    CapabilityHash, ErrorCode,
    limits::{MAX_MAILBOX_FRAME_BYTES, MAX_SUBMIT_FRAME_BYTES},
    mailbox::{MailboxClientFrame, MailboxRequest, MailboxServerFrame},
    submit::{SubmitClientFrame, SubmitServerFrame},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

async fn shake_hands(at: &At, path: &str) -> Socket {
    let mut socket = connect(at, path).await;
    if path == "/v1/submit" {
        soon(socket.send(Message::Binary(SubmitClientFrame::Hello(vec![1]).encode()))).await.unwrap();
    } else {
        send(&mut socket, &MailboxClientFrame::Hello(vec![1])).await;
    }
    next_bytes(&mut socket).await.unwrap();
    socket
}

fn code(path: &str, bytes: bytes::Bytes) -> ErrorCode {
    if path == "/v1/submit" {
        match SubmitServerFrame::decode(bytes).unwrap() {
            SubmitServerFrame::Error(refusal) => refusal.code,
            other => panic!("{other:?}"),
        }
    } else {
        match MailboxServerFrame::decode(bytes).unwrap() {
            MailboxServerFrame::Error(refusal) => refusal.code,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn frames_above_the_limit_end_the_socket() {
    let bystanders = Bystanders::new(|_| {}).await;
    for path in ["/v1/mailbox", "/v1/submit"] {
        for authenticated in [false, true] {
            let at = bystanders.relay.at();
            let mut socket = if authenticated { shake_hands(&at, path).await } else { connect(&at, path).await };
            // The relay may have hung up before all ten megabytes are written.
            let _ = soon(socket.send(Message::Binary(vec![0; 10 << 20].into()))).await;
            // If the reset did not overtake it, the reason is there to read.
            if let Some(bytes) = next_bytes(&mut socket).await {
                assert_eq!(code(path, bytes), ErrorCode::TooLarge);
            }
        }
    }
    bystanders.go_on().await;
}

#[tokio::test]
async fn a_frame_just_above_the_limit_is_told_why() {
    let bystanders = Bystanders::new(|_| {}).await;
    for (path, limit) in [("/v1/mailbox", MAX_MAILBOX_FRAME_BYTES), ("/v1/submit", MAX_SUBMIT_FRAME_BYTES)] {
        let mut socket = shake_hands(&bystanders.relay.at(), path).await;
        // Only the header of the frame: nothing is left unread that could reset the connection.
        let tokio_tungstenite::MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("TLS") };
        let mut header = vec![0x82, 0xff];
        header.extend_from_slice(&(limit as u64 + 1).to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        stream.write_all(&header).await.unwrap();
        let bytes = next_bytes(&mut socket).await.unwrap();
        assert_eq!(code(path, bytes), ErrorCode::TooLarge);
        assert_eq!(close_code(&mut socket).await, Some(1009));
    }
    bystanders.go_on().await;
}

#[tokio::test]
async fn garbage_text_and_misplaced_frames_end_the_socket() {
    let bystanders = Bystanders::new(|_| {}).await;
    let at = bystanders.relay.at();
    for path in ["/v1/mailbox", "/v1/submit"] {
        // Good on a mailbox after its handshake, wrong everywhere here.
        let op = MailboxRequest::RemoveContactToken(CapabilityHash([7; 32]));
        let misplaced = MailboxClientFrame::Request { id: 1, op }.encode();
        for (message, close) in [
            (Message::Binary(vec![0xff; 200].into()), 1002),
            (Message::Binary(vec![].into()), 1002),
            (Message::Binary(misplaced), 1002),
            (Message::Text("hello".into()), 1003),
        ] {
            for mut socket in [connect(&at, path).await, shake_hands(&at, path).await] {
                soon(socket.send(message.clone())).await.unwrap();
                let bytes = next_bytes(&mut socket).await.unwrap();
                assert_eq!(code(path, bytes), ErrorCode::Malformed, "{path} {message:?}");
                assert_eq!(close_code(&mut socket).await, Some(close));
            }
        }
    }
    // Also inside a running session.
    let (carol, mut mailbox) = account(&at, "carol").await;
    mailbox.drain().await;
    send(&mut mailbox.socket, &carol.auth(1, &at.authority, &[0; 32])).await;
    assert!(
        matches!(mailbox.next().await, Some(MailboxServerFrame::Error(refusal)) if refusal.code == ErrorCode::Malformed)
    );
    bystanders.go_on().await;
}

#[tokio::test]
async fn broken_websocket_frames_end_the_socket() {
    let bystanders = Bystanders::new(|_| {}).await;
    let mut socket = shake_hands(&bystanders.relay.at(), "/v1/submit").await;
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("TLS") };
    // Reserved bits and an unknown opcode.
    stream.write_all(&[0xff, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(code("/v1/submit", next_bytes(&mut socket).await.unwrap()), ErrorCode::Malformed);
    bystanders.go_on().await;
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let bystanders = Bystanders::new(|config| config.handshake_timeout = Duration::from_millis(200)).await;
    let at = bystanders.relay.at();
    // Not even a request.
    let mut silent = tokio::net::TcpStream::connect(&at.authority).await.unwrap();
    // Half a request.
    let mut half = tokio::net::TcpStream::connect(&at.authority).await.unwrap();
    half.write_all(b"GET /v1/mailbox HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    // A body that does not come.
    let mut slow = tokio::net::TcpStream::connect(&at.authority).await.unwrap();
    slow.write_all(b"POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    // Sockets without a hello, and with no answer to the challenge.
    let mut mute = [connect(&at, "/v1/mailbox").await, connect(&at, "/v1/submit").await];
    let mut unproven = shake_hands(&at, "/v1/mailbox").await;
    for stream in [&mut silent, &mut half, &mut slow] {
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{rest:?}");
    }
    for socket in &mut mute {
        assert_eq!(close_code(socket).await, Some(1008));
    }
    assert_eq!(close_code(&mut unproven).await, Some(1008));
    bystanders.go_on().await;
}

#[tokio::test]
async fn sessions_that_fall_silent_are_closed() {
    let relay = TestRelay::with(|config| config.silence_timeout = Duration::from_millis(300)).await;
    let (_bob, mut mailbox) = account(&relay.at(), "bob").await;
    mailbox.drain().await;
    let mut sender = Submitter::open(&relay.at()).await;
    assert_eq!(close_code(&mut mailbox.socket).await, Some(1008));
    assert_eq!(close_code(&mut sender.socket).await, Some(1008));
}

#[tokio::test]
async fn at_the_connection_limit_others_wait_and_are_served_when_one_leaves() {
    let relay = TestRelay::with(|config| config.max_connections = 2).await;
    let first = connect(&relay.at(), "/v1/submit").await;
    let second = connect(&relay.at(), "/v1/submit").await;
    let at = relay.at();
    let third = tokio::spawn(async move { Submitter::open(&at).await });
    drop(first);
    soon(third).await.unwrap();
    drop(second);
}

#[tokio::test]
async fn oversized_and_malformed_questions_are_refused() {
    let relay = TestRelay::start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, body, status) in [
        ("/v1/register", vec![0; 17 * 1024], 413),
        ("/v1/register", vec![0xff; 64], 400),
        ("/v1/devices", vec![], 400),
        ("/v1/resolve", vec![10, 3, b'A', b'/', b'b'], 400),
        ("/v1/nothing", vec![], 404),
    ] {
        let response = soon(client.post(format!("{}{path}", relay.url)).body(body).send()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    let health = soon(client.get(format!("{}/healthz", relay.url)).send()).await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
}
