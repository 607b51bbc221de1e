//! The client's side of TLS: pins, authorities, and a real relay with a key of its own.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, ServerName},
};
use subrosa_relay::{Config, Relay, Tls};
use subrosa_wire::{ErrorCode, http::GetDevices};
use tokio::{io::copy_bidirectional, sync::oneshot};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::client_async;

use super::{real_relay::register, *};
use crate::net::{Http, NetError, Submitter};

/// A relay with TLS in this process.
struct TlsRelay {
    url: url::Url,
    pin: [u8; 32],
    _stop: oneshot::Sender<()>,
}

async fn relay(data: &Path) -> TlsRelay {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { tls: Tls::SelfSigned, ..Config::new(data.to_owned()) };
    let relay = Relay::open(config, listener).await.unwrap();
    let (url, pin) = (relay.url().parse().unwrap(), relay.pin().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(relay.serve(async move {
        let _ = stopped.await;
    }));
    TlsRelay { url, pin, _stop: stop }
}

fn question() -> GetDevices {
    GetDevices { account: AccountId([1; 32]) }
}

fn is_not_found(error: &NetError) -> bool {
    matches!(error, NetError::Refused(refusal) if refusal.code == subrosa_wire::ErrorCode::NotFound)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pinned_key_opens_all_three_ways_and_no_other_key_does() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(&dir.path().join("relay")).await;
    let right = RelayEndpoint::new(relay.url.clone(), Some(relay.pin)).unwrap();
    let http = Http::new(Network::direct());
    // Answered by the relay itself: TLS stood.
    assert!(is_not_found(&soon(http.call(&right, &question())).await.unwrap_err()));
    let submitted = soon(Submitter::new(Network::direct()).submit(&right, &submission(1))).await;
    assert!(submitted.is_ok(), "{submitted:?}");
    let mut engine = Engine::start(&right, timing());
    let (error, _) = engine.offline().await;
    assert!(matches!(error, NetError::Refused(_)), "nobody logs in without a signature: {error:?}");

    let wrong = RelayEndpoint::new(relay.url.clone(), Some([7; 32])).unwrap();
    let mut engine = Engine::start(&wrong, timing());
    let answers = [
        soon(http.call(&wrong, &question())).await.unwrap_err(),
        soon(Submitter::new(Network::direct()).submit(&wrong, &submission(1))).await.unwrap_err(),
        engine.offline().await.0,
    ];
    for error in answers {
        let NetError::Unreachable { cause, .. } = &error else { panic!("{error:?}") };
        assert!(cause.contains("another key than the pinned one"), "{cause}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_pin_the_key_is_told_and_nothing_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(&dir.path().join("relay")).await;
    let unpinned = RelayEndpoint::new(relay.url.clone(), None).unwrap();
    let mut engine = Engine::start(&unpinned, timing());
    let http = Http::new(Network::direct());
    let answers = [
        soon(http.call(&unpinned, &question())).await.unwrap_err(),
        soon(http.probe(&unpinned)).await.unwrap_err(),
        soon(Submitter::new(Network::direct()).submit(&unpinned, &submission(1))).await.unwrap_err(),
        engine.offline().await.0,
    ];
    for error in answers {
        let NetError::UnknownKey { pin, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*pin, relay.pin);
        assert!(error.to_string().contains("known authority"), "{error}");
    }
}

#[tokio::test]
async fn authorities_of_a_file_are_read_or_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let refused = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Network::direct().also_trusting(&file).unwrap_err().message
    };
    assert!(refused("").contains("no certificate"));
    assert!(refused("hello").contains("no certificate"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(refused(broken).contains("damaged"));
    let missing = Network::direct().also_trusting(Path::new("/nowhere/ca.pem")).unwrap_err();
    assert!(missing.message.contains("/nowhere/ca.pem"));
}

/// What stands at the address by which the relay is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Only the network.
    Nobody,
    /// Ends TLS with a certificate that a known authority gave it for the relay's name, and passes every byte on.
    PassesOn,
    /// The same, and tells the client that this relay binds no login to its connection.
    SaysUnbound,
}

/// An authority that the client trusts, and errs.
struct Authority {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    /// A certificate for `localhost`, for whoever asks.
    fn certify(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.certificate, &self.key).unwrap(), key)
    }
}

/// Passes a connection on to the relay, as one of [`Between`].
async fn pass_on(
    between: Between,
    mut victim: TcpStream,
    relay: std::net::SocketAddr,
    tls: (TlsAcceptor, TlsConnector),
) {
    let mut onward = TcpStream::connect(relay).await.unwrap();
    if between == Between::Nobody {
        let _ = copy_bidirectional(&mut victim, &mut onward).await;
        return;
    }
    let Ok(mut victim) = tls.0.accept(victim).await else { return };
    let mut onward = tls.1.connect(ServerName::try_from("localhost").unwrap(), onward).await.unwrap();
    if between == Between::PassesOn {
        let _ = copy_bidirectional(&mut victim, &mut onward).await;
        return;
    }
    let mut victim = accept_async(victim).await.unwrap();
    let (mut onward, _) = client_async("wss://localhost/v1/mailbox", onward).await.unwrap();
    loop {
        tokio::select! {
            Some(Ok(message)) = victim.next() => if onward.send(message).await.is_err() { return },
            Some(Ok(message)) = onward.next() => {
                let message = match message {
                    Message::Binary(bytes) => match MailboxServerFrame::decode(bytes.clone()).unwrap() {
                        MailboxServerFrame::Challenge { version, nonce, tls_bound } => {
                            assert!(tls_bound);
                            let lie = MailboxServerFrame::Challenge { version, nonce, tls_bound: false };
                            Message::Binary(lie.encode())
                        }
                        _ => Message::Binary(bytes),
                    },
                    other => other,
                };
                if victim.send(message).await.is_err() { return }
            }
            else => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_an_authority_should_not_have_given_logs_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.certificate.pem()).unwrap();
    let network = Network::direct().also_trusting(&ca).unwrap();

    // The relay's name leads to whoever stands between.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: url::Url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let endpoint = RelayEndpoint::new(url.clone(), None).unwrap();
    let (certificate, key) = authority.certify();
    let [certificate_file, key_file] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_address = behind.local_addr().unwrap();
    let config = Config {
        tls: Tls::Files { certificate: certificate_file, key: key_file },
        public_url: Some(url),
        // With a public name it would ask for a token.
        registration: Some(subrosa_relay::RegistrationMode::Open),
        ..Config::new(dir.path().join("relay"))
    };
    let relay = Relay::open(config, behind).await.unwrap();
    let (_stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(relay.serve(async move {
        let _ = stopped.await;
    }));

    let (his_certificate, his_key) = authority.certify();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![his_certificate.der().clone()],
            PrivateKeyDer::try_from(his_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let his = (
        TlsAcceptor::from(Arc::new(server)),
        TlsConnector::from(crate::net::tls::config(&network, &endpoint).unwrap()),
    );
    let (place, seen) = tokio::sync::watch::channel(Between::Nobody);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(*seen.borrow(), stream, relay_address, his.clone()));
        }
    });

    let bob = register(&Http::new(network.clone()), &endpoint, "bob").await;
    for between in [Between::Nobody, Between::PassesOn, Between::SaysUnbound] {
        place.send_replace(between);
        let mut engine = Engine::within(network.clone(), &endpoint, bob.clone(), timing(), 64);
        if between == Between::Nobody {
            engine.ready().await;
            continue;
        }
        let (error, _) = engine.offline().await;
        let NetError::Refused(refusal) = &error else { panic!("{between:?}: {error:?}") };
        assert_eq!(refusal.code, ErrorCode::AuthenticationFailed, "{between:?}");
        let told = error.to_api();
        assert!(told.hint.is_some_and(|hint| hint.contains("stands between here and the relay")), "{between:?}");
    }
    // He could answer what is not bound to a connection: a question over HTTPS.
    place.send_replace(Between::PassesOn);
    assert!(is_not_found(&soon(Http::new(network).call(&endpoint, &question())).await.unwrap_err()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_to_be_bound_to_tls_where_there_is_none_is_not_signed() {
    let fake = Fake::websocket(|_, mut socket| async move {
        assert!(matches!(take_mailbox(&mut socket).await, Some(MailboxClientFrame::Hello(_))));
        let bound = MailboxServerFrame::Challenge { version: VERSIONS[0], nonce: [3; 32], tls_bound: true };
        put(&mut socket, bound.encode()).await;
        assert!(take_mailbox(&mut socket).await.is_none(), "an answer");
    })
    .await;
    let mut engine = Engine::start(&fake.endpoint, timing());
    let (error, _) = engine.offline().await;
    let NetError::Protocol { cause, .. } = &error else { panic!("{error:?}") };
    assert!(cause.contains("TLS"), "{cause}");
}
