//! A bare client of the relay: registers throw-away accounts, opens their mailboxes and submits, without an engine.
//!
//! The load measurement needs many devices and no stores. Signatures and seals are the project's own
//! cryptography, so that envelopes are as real as those of the engine.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, PartyAddress, RelayMarks,
    SealedContent, SendingPairKey, VerifiedCertificate, seal,
};
use subrosa_wire::{
    AccountId, Capability, DeliveryKey, DeviceAddress,
    http::{CONTENT_TYPE, HttpCall, HttpMessage, Register},
    limits::MAX_BODY_BYTES,
    mailbox::{LoginMarks, MailboxClientFrame, MailboxRequest, MailboxServerFrame},
    submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem, SubmitServerFrame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// A plausible ratchet message for a text of 100 bytes: its size decides the padding bucket.
const MESSAGE_BYTES: usize = 230;

/// A WebSocket to the relay.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A registered device with its keys.
pub struct Device {
    /// Where it gets its mail.
    pub address: DeviceAddress,
    identity: IdentityKeyPair,
    certificate: VerifiedCertificate,
    delivery_key: DeliveryKey,
}

/// Waits for a future no longer than is reasonable.
async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    timeout(PATIENCE, future).await.context("no answer from the relay in time")
}

impl Device {
    /// Registers a new account with one device at a relay on loopback.
    ///
    /// # Errors
    /// The relay refuses or does not answer.
    pub async fn register(authority: &str, handle: &str) -> Result<Self> {
        Self::register_from(Ipv4Addr::LOCALHOST, authority, handle).await
    }

    /// Registers from one of this machine's addresses: limits are by address.
    ///
    /// # Errors
    /// As [`Device::register`].
    pub async fn register_from(source: Ipv4Addr, authority: &str, handle: &str) -> Result<Self> {
        let (device, register) = Self::registration(authority, handle)?;
        ask(source, authority, &register).await?;
        Ok(device)
    }

    /// A new account with one device, and what registers it.
    ///
    /// # Errors
    /// No name, or the system gives no randomness.
    pub fn registration(authority: &str, handle: &str) -> Result<(Self, Register)> {
        let key = AccountKeyPair::generate()?;
        let record = AccountRecord::new(key.public(), rand::random());
        let identity = IdentityKeyPair::generate()?;
        let certificate = DeviceCertificate::issue(&key, &record.id(), 1, &identity.public(), 1);
        let list = DeviceList::issue(&key, &record, 1, 1_700_000_000_000, 1, vec![certificate])?;
        let register = Register {
            account_record: record.encode(),
            handle: handle.parse()?,
            device_list: list.encode().into(),
            authority: authority.to_owned(),
            pin: None,
            proof: identity.sign_registration(authority, None, handle, &record.id(), &list.hash()),
            registration_token: None,
        };
        let device = Self {
            address: DeviceAddress { account: AccountId(record.id()), device: 1 },
            identity,
            certificate: certificate.verify(&record)?,
            delivery_key: DeliveryKey::new(rand::random()),
        };
        Ok((device, register))
    }

    /// `count` submissions of the largest size for this device, of random bytes.
    #[must_use]
    pub fn bulk(&self, count: u64) -> Vec<Bytes> {
        (0..count)
            .map(|id| {
                let item = SubmitItem {
                    device: self.address,
                    capability: Some(Capability::DeliveryKey(self.delivery_key.clone())),
                    class: EnvelopeClass::Durable,
                    expiry_s: 0,
                    head: std::array::from_fn(|_| rand::random()),
                    body_ref: 0,
                    list_version: 1,
                };
                let submit = Submit { bodies: vec![vec![7; MAX_BODY_BYTES].into()], items: vec![item] };
                SubmitClientFrame::Submit { id, submit }.encode()
            })
            .collect()
    }

    fn party(&self) -> PartyAddress {
        PartyAddress { account: self.address.account.0, device: self.address.device }
    }

    /// Opens the device's mailbox and hands its delivery key in.
    ///
    /// # Errors
    /// The relay refuses or does not answer.
    pub async fn open_mailbox(&self, authority: &str) -> Result<Socket> {
        let mut socket = connect(authority, "/v1/mailbox").await?;
        send(&mut socket, MailboxClientFrame::Hello(vec![1]).encode()).await?;
        let MailboxServerFrame::Challenge { nonce, tls_bound: false, .. } = mailbox_frame(&mut socket).await? else {
            bail!("no challenge")
        };
        let marks = LoginMarks { mark: rand::random(), shown: Vec::new(), take_over: true };
        let signed = RelayMarks { shown: &[], new: &marks.mark, take_over: true };
        let auth = MailboxClientFrame::Auth {
            device: self.address,
            authority: authority.to_owned(),
            pin: None,
            signature: self.identity.sign_relay_auth(authority, None, None, &nonce, &self.party(), &signed),
            marks: marks.clone(),
        };
        send(&mut socket, auth.encode()).await?;
        let ready = mailbox_frame(&mut socket).await?;
        ensure!(matches!(ready, MailboxServerFrame::Ready { .. }), "not ready: {ready:?}");
        let op =
            MailboxRequest::SetDeliveryKeys { current: self.delivery_key.hash(), previous: None, previous_valid_s: 0 };
        send(&mut socket, MailboxClientFrame::Request { id: 1, op }.encode()).await?;
        loop {
            match mailbox_frame(&mut socket).await? {
                MailboxServerFrame::Response { result, .. } => {
                    result.map_err(|refusal| anyhow::anyhow!("delivery key refused: {}", refusal.code))?;
                    return Ok(socket);
                }
                MailboxServerFrame::Push(_) => bail!("a push in an empty mailbox"),
                _ => {}
            }
        }
    }

    /// Seals `count` messages of `sender` for this device, each a submission of its own, encoded with ids from 0.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn sealed_by(&self, sender: &Self, count: u64) -> Result<Vec<Bytes>> {
        let target = SendingPairKey::new(&sender.identity, &sender.party(), &self.certificate)?;
        (0..count)
            .map(|id| {
                let message: [u8; MESSAGE_BYTES] = rand::random();
                let certificate = *sender.certificate.certificate();
                let content = SealedContent::session(sender.address.account.0, certificate, message.to_vec());
                let sealed = seal(&[&target], &content)?;
                let head = *sealed.heads.first().context("a seal without head")?;
                let item = SubmitItem {
                    device: self.address,
                    capability: Some(Capability::DeliveryKey(self.delivery_key.clone())),
                    class: EnvelopeClass::Durable,
                    expiry_s: 0,
                    head,
                    body_ref: 0,
                    list_version: 1,
                };
                let submit = Submit { bodies: vec![sealed.body.into()], items: vec![item] };
                Ok(SubmitClientFrame::Submit { id, submit }.encode())
            })
            .collect()
    }
}

/// Asks one question over HTTP/1.1, one connection each.
/// Connects from one of this machine's addresses.
pub(crate) async fn connect_from(source: Ipv4Addr, authority: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    Ok(socket.connect(authority.parse()?).await?)
}

async fn ask<C: HttpCall>(source: Ipv4Addr, authority: &str, question: &C) -> Result<C::Answer> {
    let body = question.encode();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        C::PATH,
        body.len()
    );
    let exchange = async {
        let mut stream = connect_from(source, authority).await?;
        stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = soon(exchange).await??;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no HTTP answer")?;
    let (head, body) = answer.split_at(end + 4);
    ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(head));
    Ok(C::Answer::decode(Bytes::copy_from_slice(body))?)
}

/// Opens an anonymous submit socket.
///
/// # Errors
/// The relay does not answer.
pub async fn open_submit(authority: &str) -> Result<Socket> {
    let mut socket = connect(authority, "/v1/submit").await?;
    send(&mut socket, SubmitClientFrame::Hello(vec![1]).encode()).await?;
    let welcome = submit_frame(&mut socket).await?;
    ensure!(matches!(welcome, SubmitServerFrame::Welcome { .. }), "no welcome: {welcome:?}");
    Ok(socket)
}

async fn connect(authority: &str, path: &str) -> Result<Socket> {
    // Every frame goes out at once; the library's default buffers are larger than all frames here together.
    let config = WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(0);
    let connecting = connect_async_with_config(format!("ws://{authority}{path}"), Some(config), true);
    Ok(soon(connecting).await??.0)
}

/// Sends one frame.
///
/// # Errors
/// The connection is over.
pub async fn send(socket: &mut Socket, frame: Bytes) -> Result<()> {
    Ok(soon(socket.send(Message::Binary(frame))).await??)
}

async fn bytes(socket: &mut Socket) -> Result<Bytes> {
    loop {
        match soon(socket.next()).await? {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Close(_))) | None => bail!("the relay closed the connection"),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

/// The next frame of a mailbox socket.
///
/// # Errors
/// The connection is over, or the frame is none of the protocol.
pub async fn mailbox_frame(socket: &mut Socket) -> Result<MailboxServerFrame> {
    Ok(MailboxServerFrame::decode(bytes(socket).await?)?)
}

/// The next frame of a submit socket.
///
/// # Errors
/// The connection is over, or the frame is none of the protocol.
pub async fn submit_frame(socket: &mut Socket) -> Result<SubmitServerFrame> {
    Ok(SubmitServerFrame::decode(bytes(socket).await?)?)
}
