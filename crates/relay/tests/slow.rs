//! Peers that are slow, never finish, or stop reading: each costs itself, and others do not notice.

use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use subrosa_wire::{
    mailbox::MailboxClientFrame,
    submit::{Submit, SubmitResult},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

const SHORT: Duration = Duration::from_millis(400);
/// Between two bytes of somebody slow: many within [`SHORT`].
const DRIP: Duration = Duration::from_millis(20);

/// Sends `bytes` again and again, one by one, until the relay ends the connection.
async fn drip(stream: &mut TcpStream, bytes: &[u8]) {
    let dripping = async {
        let mut answer = [0; 256];
        for byte in bytes.iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            // Listening meanwhile: the end is noticed at once.
            if let Ok(Ok(0) | Err(_)) = timeout(DRIP, stream.read(&mut answer)).await {
                return;
            }
        }
    };
    soon(dripping).await;
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_keep_a_connection_open() {
    let bystanders = Bystanders::new(|config| {
        config.handshake_timeout = SHORT;
        config.silence_timeout = 2 * SHORT;
    })
    .await;
    let at = bystanders.relay.at();
    // A header that never ends.
    let mut headers = raw(&at).await;
    headers.write_all(b"GET /v1/mailbox HTTP/1.1\r\nHost: x\r\nX-Endless: ").await.unwrap();
    // Headers without end.
    let mut many = raw(&at).await;
    many.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    // A body that comes, at its own pace.
    let mut body = raw(&at).await;
    body.write_all(b"POST /v1/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n").await.unwrap();
    // Chunks without end.
    let mut chunks = raw(&at).await;
    chunks.write_all(b"POST /v1/devices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    // A WebSocket frame before the hello, and one in a running session.
    let mut hello = connect(&at, "/v1/submit").await;
    stream(&mut hello).write_all(&ws_frame(0x82, &[0; 60_000])[..8]).await.unwrap();
    let (_carol, mut mailbox) = account(&at, "carol").await;
    mailbox.drain().await;
    stream(&mut mailbox.socket).write_all(&ws_frame(0x82, &[0; 60_000])[..8]).await.unwrap();
    tokio::join!(
        drip(&mut headers, b"x"),
        drip(&mut many, b"X-A: b\r\n"),
        drip(&mut body, b"x"),
        drip(&mut chunks, b"1\r\nx\r\n"),
        drip(stream(&mut hello), &[0]),
        drip(stream(&mut mailbox.socket), &[0]),
    );
    // Their own sockets were silent for as long: they come back.
    let Bystanders { relay, bob, .. } = bystanders;
    let mut mailbox = Mailbox::open(&relay.at(), &bob, 1).await;
    let mut sender = Submitter::open(&relay.at()).await;
    assert_eq!(sender.one(envelope(bob.device(1), bob.capability(), 1, "x")).await, SubmitResult::Accepted);
    assert_eq!(text(&mailbox.push().await), "x");
}

/// A submission as large as they get.
fn large(to: &Account) -> Submit {
    Submit { bodies: vec![Bytes::from(vec![7; 65_536])], items: vec![item(to.device(1), to.capability(), 1)] }
}

#[tokio::test]
async fn a_reader_that_stops_reading_costs_itself_and_nobody_else() {
    let mut bystanders = Bystanders::new(|config| config.write_timeout = SHORT).await;
    let at = bystanders.relay.at();
    let (carol, mut stuck) = account(&at, "carol").await;
    stuck.drain().await;
    // More than all buffers between the relay and her hold. She reads none of it.
    let mut sender = Submitter::open(&at).await;
    const LARGE: u64 = 160;
    for n in 0..LARGE {
        assert_eq!(sender.one(large(&carol)).await, SubmitResult::Accepted, "{n}");
        if n % 16 == 0 {
            bystanders.talk("between").await;
        }
    }
    // Nothing of it is lost: she connects anew and reads all, in order.
    let mut reading = Mailbox::open(&at, &carol, 1).await;
    let mut expected = 1;
    while expected <= LARGE {
        let push = reading.push().await;
        assert_eq!(push.seq, expected);
        expected += 1;
        reading.ack(push.seq).await;
    }
    // Her first socket has ended: what was in its buffers, then nothing.
    let ended = async { while let Some(Ok(_)) = stuck.socket.next().await {} };
    soon(ended).await;
    bystanders.go_on().await;
}

#[tokio::test]
async fn a_reader_that_takes_no_bytes_is_cut_off_by_itself() {
    let mut bystanders = Bystanders::new(|config| config.write_timeout = SHORT).await;
    let at = bystanders.relay.at();
    let (carol, mut stuck) = account(&at, "carol").await;
    stuck.drain().await;
    let mut sender = Submitter::open(&at).await;
    for _ in 0..160 {
        assert_eq!(sender.one(large(&carol)).await, SubmitResult::Accepted);
    }
    bystanders.talk("meanwhile").await;
    // The relay ends the connection although she still sends signs of life: writing them fails in the end.
    let ping = MailboxClientFrame::Ping.encode();
    let pinging = async { while stuck.socket.send(Message::Binary(ping.clone())).await.is_ok() {} };
    soon(pinging).await;
    bystanders.go_on().await;
}

#[tokio::test]
async fn who_asks_without_reading_answers_is_cut_off() {
    let bystanders = Bystanders::new(|config| {
        config.write_timeout = SHORT;
        // Not the limit that is tried here.
        config.rates.requests = subrosa_relay::Rate { burst: 1_000_000, per_minute: 1 };
    })
    .await;
    let at = bystanders.relay.at();
    let mut greedy = raw(&at).await;
    // Small, so that it is soon full.
    rustix::net::sockopt::set_socket_recv_buffer_size(&greedy, 4_096).unwrap();
    let requests = b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let asking = async { while greedy.write_all(&requests).await.is_ok() {} };
    soon(asking).await;
    // Submissions whose replies nobody reads: each carries Bob's device list a hundred times.
    let mut mute = Submitter::open(&at).await;
    rustix::net::sockopt::set_socket_recv_buffer_size(&*stream(&mut mute.socket), 4_096).unwrap();
    let bob = bystanders.bob.clone();
    let asking = async {
        let mut id = 0;
        loop {
            id += 1;
            let mut submit = envelope(bob.device(1), bob.capability(), 0, "x");
            submit.items = vec![item(bob.device(1), bob.capability(), 0); 100];
            let frame = subrosa_wire::submit::SubmitClientFrame::Submit { id, submit }.encode();
            if mute.socket.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
    };
    soon(asking).await;
    bystanders.go_on().await;
}
