//! Requests and frames without end, or of kinds that nobody needs: each ends, and others do not notice.

use std::time::Duration;

use crate::support::*;
use subrosa_wire::{
    ErrorCode,
    limits::MAX_SUBMIT_FRAME_BYTES,
    mailbox::{MailboxClientFrame, MailboxServerFrame},
    submit::{SubmitClientFrame, SubmitServerFrame},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Writes `head`, then `more` until the relay has had enough; gives the first line of its answer.
async fn pour(stream: &mut TcpStream, head: &[u8], more: &[u8]) -> String {
    stream.write_all(head).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let pouring = async { while writing.write_all(more).await.is_ok() {} };
    let answer = async {
        let mut bytes = [0; 4096];
        match reading.read(&mut bytes).await {
            Ok(count) => String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned(),
            Err(_) => String::new(),
        }
    };
    // Either may end first: an answer, or a reset that overtakes it.
    soon(async {
        tokio::select! {
            () = pouring => String::new(),
            line = answer => line,
        }
    })
    .await
}

#[tokio::test]
async fn requests_without_end_are_ended() {
    let bystanders = Bystanders::new(|_| {}).await;
    let at = bystanders.relay.at();
    let post = "POST /v1/devices HTTP/1.1\r\nHost: x\r\n";
    for (head, more) in [
        ("GET /healthz HTTP/1.1\r\nX-Long: ".to_owned(), "x".repeat(8_192)),
        ("GET /healthz HTTP/1.1\r\n".to_owned(), "X-Many: y\r\n".repeat(500)),
        ("GET /".to_owned(), "x".repeat(8_192)),
        (format!("{post}Content-Length: 9999999999999\r\n\r\n"), "x".repeat(8_192)),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n"), format!("1000\r\n{}\r\n", "x".repeat(4_096))),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n"), format!("1;{}", "y".repeat(4_096))),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "X-Trailer: y\r\n".repeat(500)),
    ] {
        let line = pour(&mut raw(&at).await, head.as_bytes(), more.as_bytes()).await;
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{head:?}: {line}");
    }
    bystanders.go_on().await;
}

#[tokio::test]
async fn what_is_no_request_of_ours_is_refused() {
    let bystanders = Bystanders::new(|_| {}).await;
    let at = bystanders.relay.at();
    let upgrade = |headers: &str| {
        format!("GET /v1/submit HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{headers}\r\n")
    };
    for request in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned(),
        "GET /v1/submit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        "POST /v1/submit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        upgrade("Connection: close\r\n"),
        upgrade("Sec-WebSocket-Version: 13\r\nConnection: close\r\n"),
        upgrade("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nConnection: close\r\n"),
        "GET /v1/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        "GET http://elsewhere/v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        "POST /v1/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        "POST /v1/devices HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let mut stream = raw(&at).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        let is_refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 505");
        assert!(is_refused, "{request:?}: {}", String::from_utf8_lossy(&answer));
    }
    bystanders.go_on().await;
}

/// A socket of `/v1/submit` after its hello.
async fn welcomed(at: &At) -> Socket {
    Submitter::open(at).await.socket
}

async fn error_code(socket: &mut Socket) -> ErrorCode {
    match SubmitServerFrame::decode(next_bytes(socket).await.expect("the socket ended without a word")).unwrap() {
        SubmitServerFrame::Error(refusal) => {
            assert!(refusal.code != ErrorCode::RateLimited || refusal.retry_after_s > 0);
            refusal.code
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fragments_are_joined_and_bounded() {
    let bystanders = Bystanders::new(|_| {}).await;
    let at = bystanders.relay.at();
    // In three pieces, with a control frame between them: one message.
    let ping = SubmitClientFrame::Ping.encode();
    let mut socket = welcomed(&at).await;
    let (first, last) = ping.split_at(1);
    let pieces = [ws_frame(0x02, first), ws_frame(0x89, b"?"), ws_frame(0x00, &[]), ws_frame(0x80, last)].concat();
    stream(&mut socket).write_all(&pieces).await.unwrap();
    assert_eq!(SubmitServerFrame::decode(next_bytes(&mut socket).await.unwrap()).unwrap(), SubmitServerFrame::Pong);
    // Pieces that are too large only together.
    let piece = vec![0; 60_000];
    let mut pieces = ws_frame(0x02, &piece);
    for _ in 0..MAX_SUBMIT_FRAME_BYTES / piece.len() {
        pieces.extend(ws_frame(0x00, &piece));
    }
    stream(&mut socket).write_all(&pieces).await.unwrap();
    assert_eq!(error_code(&mut socket).await, ErrorCode::TooLarge);
    bystanders.go_on().await;
}

#[tokio::test]
async fn frames_of_other_kinds_end_the_socket() {
    let bystanders = Bystanders::new(|_| {}).await;
    let at = bystanders.relay.at();
    let ping = SubmitClientFrame::Ping.encode();
    let unmasked = vec![0x82, ping.len() as u8].into_iter().chain(ping.iter().copied()).collect::<Vec<_>>();
    for (what, bytes) in [
        ("compressed", ws_frame(0xc2, &ping)),
        ("reserved bit", ws_frame(0xa2, &ping)),
        ("unknown opcode", ws_frame(0x83, &ping)),
        ("unknown control", ws_frame(0x8b, b"")),
        ("not masked", unmasked),
        ("a piece of nothing", ws_frame(0x80, &ping)),
        ("a long control frame", ws_frame(0x89, &[0; 126])),
        ("a control frame in pieces", ws_frame(0x09, b"x")),
    ] {
        let mut socket = welcomed(&at).await;
        stream(&mut socket).write_all(&bytes).await.unwrap();
        assert_eq!(error_code(&mut socket).await, ErrorCode::Malformed, "{what}");
    }
    bystanders.go_on().await;
}

#[tokio::test]
async fn pieces_without_end_count_as_silence() {
    let bystanders = Bystanders::new(|config| config.silence_timeout = Duration::from_millis(500)).await;
    let at = bystanders.relay.at();
    let mut socket = welcomed(&at).await;
    let stream = stream(&mut socket);
    stream.write_all(&ws_frame(0x02, &[])).await.unwrap();
    let nothing = ws_frame(0x00, &[]).repeat(1_000);
    soon(async { while stream.write_all(&nothing).await.is_ok() {} }).await;
    let mut sender = Submitter::open(&at).await;
    sender.send(&SubmitClientFrame::Ping).await;
    assert_eq!(sender.next().await, Some(SubmitServerFrame::Pong));
}

#[tokio::test]
async fn a_flood_of_frames_that_do_nothing_ends_the_socket() {
    let bystanders = Bystanders::new(|_| {}).await;
    let at = bystanders.relay.at();
    for (name, frame) in [("acks", MailboxClientFrame::Ack(7)), ("pings", MailboxClientFrame::Ping)] {
        let (_, mut flooding) = account(&at, name).await;
        let flood = ws_frame(0x82, &frame.encode()).repeat(400);
        stream(&mut flooding.socket).write_all(&flood).await.unwrap();
        let refusal = loop {
            match flooding.next().await.expect("ended without a word") {
                MailboxServerFrame::Error(refusal) => break refusal,
                MailboxServerFrame::Pong | MailboxServerFrame::CaughtUp => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        assert!(refusal.retry_after_s > 0);
        assert_eq!(close_code(&mut flooding.socket).await, Some(1008));
    }
    // Control frames of WebSocket itself, before and after the hello.
    for mut socket in [connect(&at, "/v1/submit").await, welcomed(&at).await] {
        let flood = ws_frame(0x8a, b"").repeat(400);
        stream(&mut socket).write_all(&flood).await.unwrap();
        assert_eq!(error_code(&mut socket).await, ErrorCode::RateLimited);
    }
    bystanders.go_on().await;
}
