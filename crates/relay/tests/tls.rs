//! TLS at the relay: its own key, certificate files that change, and a man in the middle.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::*;
use ed25519_dalek::Signer as _;
use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
    version::{TLS12, TLS13},
};
use sha2::{Digest as _, Sha256};
use subrosa_relay::{Config, Relay, RelayError, Tls};
use subrosa_wire::{
    ErrorCode,
    http::{CONTENT_TYPE, HttpCall as _, HttpMessage as _, Register},
    labels,
    mailbox::{LoginMarks, MailboxClientFrame, MailboxServerFrame},
    submit::Refusal,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// Takes any certificate, checks that the other side has its key, and remembers the key's hash.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<[u8; 32]>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        *self.0.lock().unwrap() = Some(Sha256::digest(key).into());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client_config(seen: Arc<Seen>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(seen)
        .with_no_client_auth()
}

/// A connection and the hash of the key that was shown.
async fn dial_with(
    authority: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<(TlsStream<TcpStream>, [u8; 32])> {
    let seen = Arc::new(Seen::default());
    let mut config = client_config(Arc::clone(&seen), versions);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(authority).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
    let hash = seen.0.lock().unwrap().unwrap();
    Ok((stream, hash))
}

async fn dial(authority: &str) -> (TlsStream<TcpStream>, [u8; 32]) {
    dial_with(authority, &[&TLS13, &TLS12]).await.unwrap()
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn mailbox_socket(authority: &str) -> Socket {
    let (stream, _) = dial(authority).await;
    soon(client_async(format!("wss://{authority}/v1/mailbox"), stream)).await.unwrap().0
}

async fn say(socket: &mut Socket, frame: &MailboxClientFrame) {
    soon(socket.send(Message::Binary(frame.encode()))).await.unwrap();
}

async fn hear(socket: &mut Socket) -> MailboxServerFrame {
    loop {
        if let Message::Binary(bytes) = soon(socket.next()).await.unwrap().unwrap() {
            return MailboxServerFrame::decode(bytes).unwrap();
        }
    }
}

/// What an answer is for: the socket's nonce, and the connection as its client sees it.
#[derive(Clone, Copy)]
struct Login {
    nonce: [u8; 32],
    exporter: Option<[u8; 32]>,
}

/// Says hello; what comes back, on a connection that the relay ends itself.
async fn challenge(socket: &mut Socket) -> Login {
    say(socket, &MailboxClientFrame::Hello(vec![1])).await;
    match hear(socket).await {
        MailboxServerFrame::Challenge { nonce, tls_bound: true, .. } => {
            let (_, tls) = socket.get_ref().get_ref();
            let exporter = tls.export_keying_material([0; 32], labels::RELAY_AUTH_EXPORTER, None).unwrap();
            Login { nonce, exporter: Some(exporter) }
        }
        other => panic!("{other:?}"),
    }
}

async fn refusal(socket: &mut Socket) -> ErrorCode {
    match hear(socket).await {
        MailboxServerFrame::Error(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn name(message: &mut Vec<u8>, authority: &str, pin: Option<&[u8; 32]>) {
    push_text(message, authority);
    match pin {
        None => message.push(0),
        Some(pin) => {
            message.push(1);
            message.extend_from_slice(pin);
        }
    }
}

/// The answer to a challenge, signed for this relay.
fn auth(account: &Account, authority: &str, pin: Option<[u8; 32]>, login: &Login) -> MailboxClientFrame {
    let device = account.device(1);
    let mut message = labels::RELAY_AUTH.to_vec();
    name(&mut message, authority, pin.as_ref());
    match &login.exporter {
        None => message.push(0),
        Some(exporter) => {
            message.push(1);
            message.extend_from_slice(exporter);
        }
    }
    message.extend_from_slice(&login.nonce);
    message.extend_from_slice(&device.to_bytes());
    let marks = LoginMarks { take_over: true, ..LoginMarks::default() };
    message.extend_from_slice(&marks.signed_bytes());
    let signature = account.devices[0].1.sign(&message).to_bytes();
    MailboxClientFrame::Auth { device, authority: authority.to_owned(), pin, marks, signature }
}

/// A registration, signed for this relay.
fn registration(account: &Account, authority: &str, pin: Option<[u8; 32]>) -> Register {
    let list = account.list();
    let mut message = labels::REGISTRATION.to_vec();
    name(&mut message, authority, pin.as_ref());
    push_text(&mut message, account.handle.as_str());
    message.extend_from_slice(&account.id.0);
    message.extend_from_slice(&Sha256::digest(&list));
    let proof = account.devices[0].1.sign(&message).to_bytes();
    Register { pin, proof, authority: authority.to_owned(), ..account.registration(authority) }
}

/// Asks over TLS, whoever answers.
async fn register(authority: &str, call: &Register) -> Result<(), ErrorCode> {
    let _ = ring::default_provider().install_default();
    let config = client_config(Arc::default(), &[&TLS13]);
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(config).build().unwrap();
    let url = format!("https://{authority}{}", Register::PATH);
    let sending = client.post(url).header("content-type", CONTENT_TYPE).body(call.encode()).send();
    let response = soon(sending).await.unwrap();
    if response.status().is_success() {
        return Ok(());
    }
    Err(Refusal::decode(soon(response.bytes()).await.unwrap()).unwrap().code)
}

async fn relay_with_own_key() -> (TestRelay, [u8; 32]) {
    let relay = TestRelay::with(|config| config.tls = Tls::SelfSigned).await;
    let (_, pin) = dial(&relay.authority).await;
    (relay, pin)
}

#[tokio::test]
async fn a_relay_keeps_its_key_for_ever_and_for_itself() {
    let (relay, pin) = relay_with_own_key().await;
    assert!(relay.url.starts_with("https://127.0.0.1:"));
    let file = relay.data().join("tls-key.pem");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let dir = relay.stop().await;
    let again = TestRelay::on(dir, |config| config.tls = Tls::SelfSigned).await;
    assert_eq!(dial(&again.authority).await.1, pin);
    let (_, other) = relay_with_own_key().await;
    assert_ne!(other, pin);
    let dir = again.stop().await;
    std::fs::write(
        dir.path().join("data/tls-key.pem"),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { tls: Tls::SelfSigned, ..Config::new(dir.path().join("data")) };
    let Err(error) = Relay::open(config, listener).await else {
        panic!("a damaged key must not be replaced in silence")
    };
    assert!(error.to_string().contains("restore the file from a backup"), "{error}");
}

#[tokio::test]
async fn both_versions_of_tls_carry_a_session_and_plaintext_does_not() {
    let (relay, pin) = relay_with_own_key().await;
    let at = relay.authority.clone();
    let bob = Account::new("bob");
    register(&at, &registration(&bob, &at, Some(pin))).await.unwrap();
    for version in [&TLS12, &TLS13] {
        let (stream, hash) = dial_with(&at, &[version]).await.unwrap();
        assert_eq!(hash, pin);
        let (mut socket, _) = soon(client_async(format!("wss://{at}/v1/mailbox"), stream)).await.unwrap();
        let login = challenge(&mut socket).await;
        say(&mut socket, &auth(&bob, &at, Some(pin), &login)).await;
        assert!(matches!(hear(&mut socket).await, MailboxServerFrame::Ready { .. }));
    }
    let mut plain = TcpStream::connect(&at).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(plain.read_to_end(&mut answer)).await;
    assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn who_pins_the_key_means_this_relay_by_any_name_and_nobody_else() {
    let (relay, pin) = relay_with_own_key().await;
    let at = &relay.authority;
    let bob = Account::new("bob");
    // However it is reached: by another address of the machine, a name, a forwarded port.
    register(at, &registration(&bob, "relay.example.org:8440", Some(pin))).await.unwrap();
    let eve = Account::new("eve");
    assert_eq!(register(at, &registration(&eve, at, Some([9; 32]))).await, Err(ErrorCode::WrongRelay));
    assert_eq!(register(at, &registration(&eve, "relay.example.org:8440", None)).await, Err(ErrorCode::WrongRelay));
    let mut socket = mailbox_socket(at).await;
    let login = challenge(&mut socket).await;
    say(&mut socket, &auth(&bob, at, Some([9; 32]), &login)).await;
    assert!(
        matches!(hear(&mut socket).await, MailboxServerFrame::Error(refusal) if refusal.code == ErrorCode::WrongRelay)
    );
}

/// Ends the victim's TLS with a key of its own and passes everything on to the relay.
async fn man_in_the_middle(relay: String) -> (String, JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, relay) = (acceptor.clone(), relay.clone());
            tokio::spawn(async move {
                let mut victim = acceptor.accept(stream).await.unwrap();
                let (mut relay, _) = dial(&relay).await;
                let _ = tokio::io::copy_bidirectional(&mut victim, &mut relay).await;
            });
        }
    });
    (authority, task)
}

#[tokio::test]
async fn a_man_in_the_middle_cannot_use_what_was_signed_for_him() {
    let (relay, pin) = relay_with_own_key().await;
    let (middle, task) = man_in_the_middle(relay.authority.clone()).await;
    let (_, his_pin) = dial(&middle).await;
    assert_ne!(his_pin, pin);

    // Registration: the victim was given his address and his pin, or his address alone.
    let bob = Account::new("bob");
    for signed_for in [Some(his_pin), None] {
        let call = registration(&bob, &middle, signed_for);
        assert_eq!(register(&middle, &call).await, Err(ErrorCode::WrongRelay), "passed on as it is");
        let dressed = Register { authority: relay.authority.clone(), pin: Some(pin), ..call };
        assert_eq!(register(&middle, &dressed).await, Err(ErrorCode::InvalidSignature), "with the relay's names");
    }
    register(&relay.authority, &registration(&bob, &relay.authority, Some(pin))).await.unwrap();

    // Login: the relay's own fresh nonce reaches the victim, who signs it for the man in the middle.
    for signed_for in [Some(his_pin), None] {
        let mut socket = mailbox_socket(&middle).await;
        let login = challenge(&mut socket).await;
        say(&mut socket, &auth(&bob, &middle, signed_for, &login)).await;
        let refused = hear(&mut socket).await;
        assert!(
            matches!(refused, MailboxServerFrame::Error(refusal) if refusal.code == ErrorCode::WrongRelay),
            "{refused:?}"
        );

        let mut socket = mailbox_socket(&middle).await;
        let login = challenge(&mut socket).await;
        let MailboxClientFrame::Auth { device, marks, signature, .. } = auth(&bob, &middle, signed_for, &login) else {
            panic!()
        };
        let dressed =
            MailboxClientFrame::Auth { device, marks, signature, authority: relay.authority.clone(), pin: Some(pin) };
        say(&mut socket, &dressed).await;
        let refused = hear(&mut socket).await;
        assert!(
            matches!(refused, MailboxServerFrame::Error(refusal) if refusal.code == ErrorCode::AuthenticationFailed),
            "{refused:?}"
        );
    }

    // Not even with the right names in the signature: the connection that the victim signed for is his, not the relay's.
    let mut socket = mailbox_socket(&middle).await;
    let login = challenge(&mut socket).await;
    say(&mut socket, &auth(&bob, &relay.authority, Some(pin), &login)).await;
    assert_eq!(refusal(&mut socket).await, ErrorCode::AuthenticationFailed);
    // Nor does it help him to tell the victim that this relay binds nothing.
    let mut socket = mailbox_socket(&middle).await;
    let unbound = Login { exporter: None, ..challenge(&mut socket).await };
    say(&mut socket, &auth(&bob, &relay.authority, Some(pin), &unbound)).await;
    assert_eq!(refusal(&mut socket).await, ErrorCode::AuthenticationFailed);
    // The same answer on a connection of one's own opens the mailbox.
    let mut socket = mailbox_socket(&relay.authority).await;
    let login = challenge(&mut socket).await;
    say(&mut socket, &auth(&bob, &relay.authority, Some(pin), &login)).await;
    assert!(matches!(hear(&mut socket).await, MailboxServerFrame::Ready { .. }));
    task.abort();
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_a_login_is_not_bound() {
    let relay = TestRelay::with(|config| {
        config.tls = Tls::SelfSigned;
        config.behind_proxy = true;
    })
    .await;
    let mut socket = mailbox_socket(&relay.authority).await;
    say(&mut socket, &MailboxClientFrame::Hello(vec![1])).await;
    assert!(matches!(hear(&mut socket).await, MailboxServerFrame::Challenge { tls_bound: false, .. }));
}

/// A ClientHello of TLS 1.2 for an ECDSA certificate, with or without the extended master secret (RFC 7627).
fn old_hello(extended_master_secret: bool) -> Vec<u8> {
    let mut extensions = vec![
        0, 10, 0, 4, 0, 2, 0, 23, // groups: P-256
        0, 11, 0, 2, 1, 0, // points: uncompressed
        0, 13, 0, 4, 0, 2, 4, 3, // signatures: ECDSA with P-256 and SHA-256
    ];
    if extended_master_secret {
        extensions.extend([0, 23, 0, 0]);
    }
    let mut body = vec![3, 3];
    body.extend(random::<32>());
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0]); // no session; ECDHE-ECDSA-AES128-GCM-SHA256; no compression
    body.push(u8::try_from(extensions.len()).unwrap());
    body.extend(extensions);
    let len = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, len + 4, 1, 0, 0, len][..], &body].concat()
}

#[tokio::test]
async fn tls_1_2_without_extended_master_secret_is_refused() {
    // Types of a TLS record.
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    let (relay, _) = relay_with_own_key().await;
    for (extended, first) in [(true, HANDSHAKE), (false, ALERT)] {
        let mut stream = TcpStream::connect(&relay.authority).await.unwrap();
        stream.write_all(&old_hello(extended)).await.unwrap();
        assert_eq!(soon(stream.read_u8()).await.unwrap(), first, "extended master secret: {extended}");
    }
}

#[tokio::test]
async fn a_connection_that_never_finishes_its_handshake_is_closed() {
    let relay = TestRelay::with(|config| {
        config.tls = Tls::SelfSigned;
        config.handshake_timeout = Duration::from_millis(100);
    })
    .await;
    for first in [&b""[..], &[0x16, 3, 1, 2, 0, 1]] {
        let mut silent = TcpStream::connect(&relay.authority).await.unwrap();
        silent.write_all(first).await.unwrap();
        assert!(matches!(soon(silent.read(&mut [0; 64])).await, Ok(0) | Err(_)));
    }
}

/// Writes a new certificate and its key; the key's hash.
fn write_certificate(dir: &Path, host: &str) -> [u8; 32] {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([host.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    let parsed = ParsedCertificate::try_from(certificate.der()).unwrap();
    Sha256::digest(parsed.subject_public_key_info()).into()
}

fn files(dir: &Path) -> Tls {
    Tls::Files { certificate: dir.join("cert.pem"), key: dir.join("key.pem") }
}

/// Dials until this key is shown.
async fn shows(authority: &str, key: [u8; 32]) {
    soon(async {
        while dial(authority).await.1 != key {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn newer_files_are_shown_to_new_connections_and_old_ones_go_on() {
    let place = tempfile::tempdir().unwrap();
    let first = write_certificate(place.path(), "127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let config = Config {
        tls: files(place.path()),
        // Looked at by the clock in the second half.
        tls_check_interval: Duration::from_millis(50),
        ..Config::new(place.path().join("data"))
    };
    let relay = Relay::open(config, listener).await.unwrap();
    assert_eq!(relay.pin(), None, "a link must not name a key that will be renewed");
    let reloader = relay.reloader().unwrap();
    let task = tokio::spawn(relay.serve(std::future::pending()));
    assert_eq!(dial(&at).await.1, first);
    let bob = Account::new("bob");
    register(&at, &registration(&bob, &at, None)).await.unwrap();
    let mut standing = mailbox_socket(&at).await;
    let login = challenge(&mut standing).await;
    say(&mut standing, &auth(&bob, &at, None, &login)).await;
    assert!(matches!(hear(&mut standing).await, MailboxServerFrame::Ready { .. }));

    // What cannot be used changes nothing: half a pair, then garbage.
    let second = write_certificate(place.path(), "127.0.0.1");
    shows(&at, second).await;
    std::fs::write(place.path().join("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    reloader.notify_one();
    std::fs::write(place.path().join("cert.pem"), "garbage").unwrap();
    reloader.notify_one();
    for _ in 0..20 {
        assert_eq!(dial(&at).await.1, second);
    }
    let third = write_certificate(place.path(), "127.0.0.1");
    shows(&at, third).await;

    say(&mut standing, &MailboxClientFrame::Ping).await;
    loop {
        match hear(&mut standing).await {
            MailboxServerFrame::Pong => break,
            MailboxServerFrame::CaughtUp | MailboxServerFrame::PrekeysLow(_) => {}
            other => panic!("{other:?}"),
        }
    }
    task.abort();
}

#[tokio::test]
async fn files_that_help_nobody_are_refused_at_the_start() {
    let place = tempfile::tempdir().unwrap();
    let start = async |tls: Tls, url: Option<&str>| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public_url = url.map(|url| url.parse().unwrap());
        let config = Config { tls, public_url, ..Config::new(place.path().join("data")) };
        Relay::open(config, listener).await.map(|_| ()).map_err(|error: RelayError| error.to_string())
    };
    let error = start(files(place.path()), None).await.unwrap_err();
    assert!(error.contains("cert.pem") && error.contains("No such file"), "{error}");
    write_certificate(place.path(), "relay.example.org");
    assert_eq!(start(files(place.path()), Some("https://relay.example.org/")).await, Ok(()));
    let error = start(files(place.path()), Some("https://other.example.org/")).await.unwrap_err();
    assert!(error.contains("not for other.example.org"), "{error}");
    let key = std::fs::read(place.path().join("key.pem")).unwrap();
    std::fs::write(place.path().join("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = start(files(place.path()), None).await.unwrap_err();
    assert!(error.contains("key.pem") && error.contains("not the key of"), "{error}");
    std::fs::write(place.path().join("cert.pem"), &key).unwrap();
    let error = start(files(place.path()), None).await.unwrap_err();
    assert!(error.contains("no certificate"), "{error}");
    let error = start(Tls::SelfSigned, Some("http://127.0.0.1:1/")).await.unwrap_err();
    assert!(error.contains("https://"), "{error}");
}
