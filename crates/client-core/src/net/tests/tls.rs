//! The client's side of TLS: pins, authorities, and a real relay with a key of its own.

use std::path::Path;

use subrosa_relay::{Config, Relay, Tls};
use subrosa_wire::http::GetDevices;
use tokio::sync::oneshot;

use super::*;
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
