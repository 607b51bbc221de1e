//! A small client of the relay's protocol, made from public crates only: accounts and signatures
//! straight from `docs/protocol.md`, sockets from tokio-tungstenite, questions over reqwest.

use std::{net::IpAddr, path::Path, time::Duration};

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use subrosa_relay::{Config, Relay, RelayError};
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, DeliveryKey, DeviceAddress, ErrorCode, Handle, Seq,
    http::{CONTENT_TYPE, HttpCall, HttpMessage, Prekeys, Register, Registered, TakePrekeys},
    labels,
    mailbox::{
        LoginMarks, MailboxClientFrame, MailboxRequest, MailboxServerFrame, PrekeyUpload, Push, RequestOutcome,
        TokenUses,
    },
    submit::{EnvelopeClass, Refusal, Submit, SubmitClientFrame, SubmitItem, SubmitResult, SubmitServerFrame},
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// No answer takes this long unless something hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Fails instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("no answer in time")
}

/// A relay in this process.
pub struct TestRelay {
    pub dir: TempDir,
    pub url: String,
    pub authority: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), RelayError>>,
}

impl TestRelay {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change).await
    }

    pub async fn on(dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let mut config = Config::new(dir.path().join("data"));
        change(&mut config);
        let relay = Relay::open(config, listener).await.unwrap();
        let url = relay.url();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(relay.serve(async move {
            let _ = stopped.await;
        }));
        Self { dir, url, authority, stop: Some(stop), task }
    }

    /// Stops cleanly and gives the directory back.
    pub async fn stop(mut self) -> TempDir {
        drop(self.stop.take());
        soon(self.task).await.unwrap().unwrap();
        self.dir
    }

    /// Waits until it has ended by itself.
    pub async fn ended(self) {
        soon(self.task).await.unwrap().unwrap();
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub fn at(&self) -> At {
        At { url: self.url.clone(), authority: self.authority.clone() }
    }
}

/// Where a relay is: enough for every call.
#[derive(Debug, Clone)]
pub struct At {
    pub url: String,
    pub authority: String,
}

impl At {
    pub fn of(url: &str) -> Self {
        Self { url: url.to_owned(), authority: url.trim_start_matches("http://").to_owned() }
    }

    pub async fn ask<C: HttpCall>(&self, question: &C) -> Result<C::Answer, Refusal> {
        self.ask_as(None, question).await
    }

    /// The same from this address of the machine: all of 127.0.0.0/8 are.
    /// Asks for the keys of one device.
    pub async fn take(&self, question: &TakePrekeys) -> Result<Prekeys, Refusal> {
        self.ask(question).await?.one().expect("one result")
    }

    /// The same, from an address.
    pub async fn take_as(&self, from: IpAddr, question: &TakePrekeys) -> Result<Prekeys, Refusal> {
        self.ask_as(from, question).await?.one().expect("one result")
    }

    pub async fn ask_as<C: HttpCall>(
        &self,
        from: impl Into<Option<IpAddr>>,
        question: &C,
    ) -> Result<C::Answer, Refusal> {
        // reqwest wants one even for plain http; installing it again is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().local_address(from).build().unwrap();
        let sending = client
            .post(format!("{}{}", self.url, C::PATH))
            .header("content-type", CONTENT_TYPE)
            .body(question.encode())
            .send();
        let response = soon(sending).await.unwrap();
        let status = response.status().as_u16();
        let body = soon(response.bytes()).await.unwrap();
        if status == 200 {
            return Ok(C::Answer::decode(body).unwrap());
        }
        let refusal = Refusal::decode(body).unwrap();
        assert_eq!(refusal.code.http_status(), status);
        Err(refusal)
    }
}

/// A person with its keys.
#[derive(Clone)]
pub struct Account {
    pub key: SigningKey,
    pub record: [u8; 65],
    pub id: AccountId,
    pub handle: Handle,
    pub devices: Vec<(u32, SigningKey)>,
    pub list_version: u32,
    /// Highest device number ever used; `None`: that of the last device.
    pub highest: Option<u32>,
    pub delivery_key: DeliveryKey,
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    subrosa_ambient::fill(&mut bytes).unwrap();
    bytes
}

impl Account {
    pub fn new(handle: &str) -> Self {
        let key = SigningKey::from_bytes(&random());
        let mut record = [1; 65];
        record[1..33].copy_from_slice(key.verifying_key().as_bytes());
        record[33..].copy_from_slice(&random::<32>());
        let id = Sha256::new().chain_update(labels::ACCOUNT_ID).chain_update(&record[1..]).finalize();
        Self {
            key,
            record,
            id: AccountId(id.into()),
            handle: handle.parse().unwrap(),
            devices: vec![(1, SigningKey::from_bytes(&random()))],
            list_version: 1,
            highest: None,
            delivery_key: DeliveryKey::new(random()),
        }
    }

    pub fn device(&self, number: u32) -> DeviceAddress {
        DeviceAddress { account: self.id, device: number }
    }

    pub fn capability(&self) -> Option<Capability> {
        Some(Capability::DeliveryKey(self.delivery_key.clone()))
    }

    pub fn list(&self) -> Bytes {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.list_version.to_be_bytes());
        bytes.extend_from_slice(&1_700_000_000_000u64.to_be_bytes());
        let highest = self.highest.or(self.devices.last().map(|device| device.0)).unwrap();
        bytes.extend_from_slice(&highest.to_be_bytes());
        bytes.push(u8::try_from(self.devices.len()).unwrap());
        for (number, identity) in &self.devices {
            let mut fields = number.to_be_bytes().to_vec();
            fields.extend_from_slice(identity.verifying_key().as_bytes());
            fields.extend_from_slice(&1u32.to_be_bytes());
            let signature = self.key.sign(&[labels::DEVICE_CERTIFICATE, &self.id.0, &fields].concat());
            bytes.extend_from_slice(&fields);
            bytes.extend_from_slice(&signature.to_bytes());
        }
        let signature = self.key.sign(&[labels::DEVICE_LIST, &bytes].concat());
        bytes.extend_from_slice(&signature.to_bytes());
        bytes.into()
    }

    pub fn registration(&self, authority: &str) -> Register {
        let list = self.list();
        let mut message = labels::REGISTRATION.to_vec();
        push_text(&mut message, authority);
        message.push(0);
        push_text(&mut message, self.handle.as_str());
        message.extend_from_slice(&self.id.0);
        message.extend_from_slice(&Sha256::digest(&list));
        Register {
            account_record: self.record,
            handle: self.handle.clone(),
            device_list: list,
            authority: authority.to_owned(),
            pin: None,
            proof: self.devices[0].1.sign(&message).to_bytes(),
            registration_token: None,
        }
    }

    pub async fn register(&self, at: &At) -> Result<Registered, Refusal> {
        at.ask(&self.registration(&at.authority)).await
    }

    /// Whatever was here before: tests log in from many places.
    pub fn auth(&self, device: u32, authority: &str, nonce: &[u8; 32]) -> MailboxClientFrame {
        self.auth_with(device, authority, nonce, LoginMarks { take_over: true, ..LoginMarks::default() })
    }

    pub fn auth_with(&self, device: u32, authority: &str, nonce: &[u8; 32], marks: LoginMarks) -> MailboxClientFrame {
        let key = &self.devices.iter().find(|(number, _)| *number == device).unwrap().1;
        let address = self.device(device);
        let mut message = labels::RELAY_AUTH.to_vec();
        push_text(&mut message, authority);
        // No pin, and no TLS to be bound to.
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(nonce);
        message.extend_from_slice(&address.to_bytes());
        message.extend_from_slice(&marks.signed_bytes());
        let signature = key.sign(&message).to_bytes();
        MailboxClientFrame::Auth { device: address, authority: authority.to_owned(), pin: None, marks, signature }
    }

    /// Registers, opens the mailbox and hands the delivery key in.
    pub async fn settle(&self, at: &At) -> Mailbox {
        self.register(at).await.unwrap();
        let mut mailbox = Mailbox::open(at, self, 1).await;
        mailbox.set_delivery_key(&self.delivery_key).await;
        mailbox
    }
}

pub fn push_text(message: &mut Vec<u8>, text: &str) {
    message.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    message.extend_from_slice(text.as_bytes());
}

/// A registered account with a settled mailbox.
pub async fn account(at: &At, handle: &str) -> (Account, Mailbox) {
    let account = Account::new(handle);
    let mailbox = account.settle(at).await;
    (account, mailbox)
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn connect(at: &At, path: &str) -> Socket {
    let url = format!("{}{path}", at.url.replace("http://", "ws://"));
    soon(connect_async(url)).await.unwrap().0
}

/// The next binary message; `None` when the socket has ended.
pub async fn next_bytes(socket: &mut Socket) -> Option<Bytes> {
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Binary(bytes))) => return Some(bytes),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

/// Waits for the end of a socket and gives the close code, if one came.
pub async fn close_code(socket: &mut Socket) -> Option<u16> {
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

/// An authenticated socket.
pub struct Mailbox {
    pub socket: Socket,
    pub acked: Seq,
    pub epoch: subrosa_wire::MailboxEpoch,
    pub prekeys: subrosa_wire::mailbox::PrekeyCount,
    pub away_days: u32,
    next_id: u64,
    /// Frames that came while a response was awaited.
    early: std::collections::VecDeque<MailboxServerFrame>,
}

impl Mailbox {
    pub async fn try_open(at: &At, account: &Account, device: u32) -> Result<Self, Refusal> {
        Self::try_open_with(at, account, device, LoginMarks { take_over: true, ..LoginMarks::default() }).await
    }

    /// With these marks of logins.
    pub async fn try_open_with(at: &At, account: &Account, device: u32, marks: LoginMarks) -> Result<Self, Refusal> {
        let mut socket = connect(at, "/v1/mailbox").await;
        send(&mut socket, &MailboxClientFrame::Hello(vec![1])).await;
        let MailboxServerFrame::Challenge { nonce, tls_bound: false, .. } = frame(&mut socket).await.unwrap() else {
            panic!("no challenge")
        };
        send(&mut socket, &account.auth_with(device, &at.authority, &nonce, marks)).await;
        match frame(&mut socket).await.unwrap() {
            MailboxServerFrame::Ready { epoch, acked, prekeys, away_days, .. } => Ok(Self {
                socket,
                acked,
                epoch,
                prekeys,
                away_days,
                next_id: 1,
                early: std::collections::VecDeque::new(),
            }),
            MailboxServerFrame::Error(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub async fn open(at: &At, account: &Account, device: u32) -> Self {
        Self::try_open(at, account, device).await.unwrap()
    }

    pub async fn next(&mut self) -> Option<MailboxServerFrame> {
        match self.early.pop_front() {
            Some(frame) => Some(frame),
            None => frame(&mut self.socket).await,
        }
    }

    /// The next push; skips `CaughtUp` and `PrekeysLow`.
    pub async fn push(&mut self) -> Push {
        loop {
            match self.next().await.expect("the socket ended") {
                MailboxServerFrame::Push(push) => return push,
                MailboxServerFrame::CaughtUp | MailboxServerFrame::PrekeysLow(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// All pushes up to `CaughtUp`.
    pub async fn drain(&mut self) -> Vec<Push> {
        let mut pushes = Vec::new();
        loop {
            match self.next().await.expect("the socket ended") {
                MailboxServerFrame::Push(push) => pushes.push(push),
                MailboxServerFrame::CaughtUp => return pushes,
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn ack(&mut self, upto: Seq) {
        send(&mut self.socket, &MailboxClientFrame::Ack(upto)).await;
    }

    /// Hangs up and waits until the relay has too: what was acknowledged is saved then.
    pub async fn hang_up(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = soon(self.socket.next()).await {}
    }

    pub async fn request(&mut self, op: MailboxRequest) -> Result<RequestOutcome, Refusal> {
        let id = self.next_id;
        self.next_id += 1;
        send(&mut self.socket, &MailboxClientFrame::Request { id, op }).await;
        loop {
            match frame(&mut self.socket).await.expect("the socket ended") {
                MailboxServerFrame::Response { id: answered, result } => {
                    assert_eq!(answered, id);
                    return result;
                }
                other => self.early.push_back(other),
            }
        }
    }

    pub async fn set_delivery_key(&mut self, key: &DeliveryKey) {
        let op = MailboxRequest::SetDeliveryKeys { current: key.hash(), previous: None, previous_valid_s: 0 };
        assert_eq!(self.request(op).await, Ok(RequestOutcome::Done));
    }

    pub async fn put_token(&mut self, token: CapabilityHash) {
        let op = MailboxRequest::PutContactToken { token, expiry_s: 600, uses: TokenUses::ONE };
        assert_eq!(self.request(op).await, Ok(RequestOutcome::Done));
    }

    pub async fn put_prekeys(&mut self, upload: PrekeyUpload) -> Result<RequestOutcome, Refusal> {
        self.request(MailboxRequest::PutPrekeys(upload)).await
    }

    pub async fn ask_to_talk(&mut self, submit: Submit) -> Result<Vec<SubmitResult>, Refusal> {
        match self.request(MailboxRequest::SubmitRequest(submit)).await? {
            RequestOutcome::Submit(results) => Ok(results),
            RequestOutcome::Done => panic!("no results"),
        }
    }
}

pub async fn send(socket: &mut Socket, frame: &MailboxClientFrame) {
    soon(socket.send(Message::Binary(frame.encode()))).await.unwrap();
}

pub async fn frame(socket: &mut Socket) -> Option<MailboxServerFrame> {
    next_bytes(socket).await.map(|bytes| MailboxServerFrame::decode(bytes).unwrap())
}

/// An anonymous socket.
pub struct Submitter {
    pub socket: Socket,
    next_id: u64,
}

impl Submitter {
    pub async fn open(at: &At) -> Self {
        let mut submitter = Self { socket: connect(at, "/v1/submit").await, next_id: 1 };
        submitter.send(&SubmitClientFrame::Hello(vec![1])).await;
        assert!(matches!(submitter.next().await, Some(SubmitServerFrame::Welcome { version: 1, .. })));
        submitter
    }

    pub async fn send(&mut self, frame: &SubmitClientFrame) {
        soon(self.socket.send(Message::Binary(frame.encode()))).await.unwrap();
    }

    pub async fn next(&mut self) -> Option<SubmitServerFrame> {
        next_bytes(&mut self.socket).await.map(|bytes| SubmitServerFrame::decode(bytes).unwrap())
    }

    /// Sends without waiting for the reply.
    pub async fn begin(&mut self, submit: Submit) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&SubmitClientFrame::Submit { id, submit }).await;
        id
    }

    /// The next reply.
    pub async fn reply(&mut self) -> (u64, Result<Vec<SubmitResult>, Refusal>) {
        match self.next().await {
            Some(SubmitServerFrame::Reply { id, result }) => (id, result),
            other => panic!("{other:?}"),
        }
    }

    pub async fn submit(&mut self, submit: Submit) -> Result<Vec<SubmitResult>, Refusal> {
        let id = self.begin(submit).await;
        let (answered, result) = self.reply().await;
        assert_eq!(answered, id);
        result
    }

    /// Submits one item and gives its result.
    pub async fn one(&mut self, submit: Submit) -> SubmitResult {
        let results = self.submit(submit).await.unwrap();
        assert_eq!(results.len(), 1);
        results.into_iter().next().unwrap()
    }
}

/// An envelope for one device with a recognizable body.
pub fn envelope(to: DeviceAddress, capability: Option<Capability>, list_version: u32, text: &str) -> Submit {
    Submit { bodies: vec![body(text)], items: vec![item(to, capability, list_version)] }
}

pub fn item(to: DeviceAddress, capability: Option<Capability>, list_version: u32) -> SubmitItem {
    SubmitItem {
        device: to,
        capability,
        class: EnvelopeClass::Durable,
        expiry_s: 0,
        head: random(),
        body_ref: 0,
        list_version,
    }
}

/// 512 bytes that begin with `text`.
pub fn body(text: &str) -> Bytes {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(512, 0);
    bytes.into()
}

pub fn text(push: &Push) -> String {
    let end = push.body.iter().position(|byte| *byte == 0).unwrap_or(push.body.len());
    String::from_utf8(push.body[..end].to_vec()).unwrap()
}

pub fn refused(code: ErrorCode) -> SubmitResult {
    SubmitResult::Refused { code, retry_after_s: 0 }
}

/// Rows of the relay's database.
pub fn count(data: &Path, sql: &str) -> i64 {
    let db = rusqlite::Connection::open(data.join("relay.db")).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A plain connection to the relay.
pub async fn raw(at: &At) -> TcpStream {
    soon(TcpStream::connect(&at.authority)).await.unwrap()
}

/// Everything until the relay ends the connection, in whatever way.
pub async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = soon(stream.read(&mut chunk)).await {
        bytes.extend_from_slice(&chunk[..count]);
    }
    bytes
}

/// The connection below a socket.
pub fn stream(socket: &mut Socket) -> &mut TcpStream {
    match socket.get_mut() {
        MaybeTlsStream::Plain(stream) => stream,
        _ => panic!("TLS"),
    }
}

/// One WebSocket frame as a client sends it, masked with zeros. `first` is flags and opcode.
pub fn ws_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Two people who go on talking whatever happens beside them.
pub struct Bystanders {
    pub relay: TestRelay,
    pub bob: Account,
    pub mailbox: Mailbox,
    pub sender: Submitter,
}

impl Bystanders {
    pub async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let relay = TestRelay::with(change).await;
        let (bob, mailbox) = account(&relay.at(), "bob").await;
        let sender = Submitter::open(&relay.at()).await;
        Self { relay, bob, mailbox, sender }
    }

    /// One message from one to the other.
    pub async fn talk(&mut self, words: &str) {
        let submit = envelope(self.bob.device(1), self.bob.capability(), 1, words);
        assert_eq!(self.sender.one(submit).await, SubmitResult::Accepted);
        let push = self.mailbox.push().await;
        assert_eq!(text(&push), words);
        self.mailbox.ack(push.seq).await;
    }

    pub async fn go_on(mut self) {
        self.talk("still here").await;
        self.relay.stop().await;
    }
}
