//! Plain connections from chosen addresses, and just enough HTTP and WebSocket to misuse both.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};
use subrosa_wire::limits::MAX_MAILBOX_FRAME_BYTES;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::relay_client::connect_from;

/// Nobody waits longer for an answer while attacking.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects from `source`.
pub(super) async fn connect(source: Ipv4Addr, authority: &str) -> Result<TcpStream> {
    timeout(PATIENCE, connect_from(source, authority)).await?
}

/// Upgrades to a WebSocket.
pub(super) async fn upgrade(source: Ipv4Addr, authority: &str, path: &str) -> Result<TcpStream> {
    let mut stream = connect(source, authority).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let head = head(&mut stream).await?;
    ensure!(head.starts_with(b"HTTP/1.1 101"), "no upgrade");
    Ok(stream)
}

/// An answer's head. What comes behind it stays unread.
async fn head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(timeout(PATIENCE, stream.read_u8()).await??);
        ensure!(bytes.len() < 4096, "no head");
    }
    Ok(bytes)
}

/// Asks one question on a connection that is kept; the answer is status line and body.
pub(super) async fn ask(stream: &mut TcpStream, path: &str, body: &[u8]) -> Result<Vec<u8>> {
    let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[request.as_bytes(), body].concat()).await?;
    let head = String::from_utf8_lossy(&head(stream).await?).to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).context("no length")?;
    let mut answer = vec![0; length.trim().parse::<usize>()?.min(65_536)];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
    ensure!(!head.contains("connection: close"), "the connection ends");
    let status = head.lines().next().unwrap_or_default();
    Ok([status.as_bytes(), &answer].concat())
}

/// The payload of the next frame that the relay sends.
pub(super) async fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let read = async {
        let [_, short] = stream.read_u16().await?.to_be_bytes();
        let length = match short {
            126 => stream.read_u16().await?.into(),
            127 => stream.read_u64().await?,
            short => short.into(),
        };
        ensure!(length <= MAX_MAILBOX_FRAME_BYTES as u64, "a frame of {length} bytes");
        let mut payload = vec![0; usize::try_from(length)?];
        stream.read_exact(&mut payload).await?;
        Ok(payload)
    };
    timeout(PATIENCE, read).await?
}

/// One masked WebSocket frame; `first` is flags and opcode.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// The header of one.
pub(super) fn header(first: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => bytes.push(0x80 | short),
        (_, Ok(middle)) => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// Reads and drops until the other side ends the connection.
pub(super) async fn drain(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count) = stream.read(&mut bytes).await {
        if count == 0 {
            return;
        }
    }
}
