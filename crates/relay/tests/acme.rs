//! A certificate from a real ACME server: pebble, Let's Encrypt's own for tests (Debian package `pebble`).
//! Without that program on the machine there is nothing to test against, and the test says so.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Stdio, sync::Arc, time::Duration};

use crate::support::soon;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use subrosa_relay::{AcmeSettings, Config, Relay, Tls};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use tokio_rustls::TlsConnector;

/// The name that is proven; pebble finds it on this machine.
const DOMAIN: &str = "localhost";

/// Two orders with pebble's own pauses, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pebble, and the certificate by which its own server is known.
struct Authority {
    _process: Child,
    directory: String,
    management: String,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks names at `port`, gives certificates for `validity_s`. `None`: pebble is not installed.
fn start(dir: &Path, port: u16, validity_s: u32) -> Option<Authority> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    std::fs::write(dir.join("root.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    let (api, management) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let config = serde_json::json!({"pebble": {
        "listenAddress": api,
        "managementListenAddress": management,
        "certificate": dir.join("root.pem"),
        "privateKey": dir.join("key.pem"),
        "httpPort": 1,
        "tlsPort": port,
        "certificateValidityPeriod": validity_s,
    }});
    std::fs::write(dir.join("pebble.json"), config.to_string()).unwrap();
    let process = Command::new("pebble")
        .arg("-config")
        .arg(dir.join("pebble.json"))
        .env("PEBBLE_VA_NOSLEEP", "1")
        // It refuses every twentieth good nonce on purpose; enough of them in a row would fail an order.
        .env("PEBBLE_WFE_NONCEREJECT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match process {
        Ok(process) => Some(Authority { _process: process, directory: format!("https://{api}/dir"), management }),
        Err(_) => {
            println!("pebble is not installed (Debian package `pebble`): nothing is tested here");
            None
        }
    }
}

fn client(roots: &[CertificateDer<'static>]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth()
}

/// The certificate that the relay shows, once it has one that `config` believes.
async fn shown(relay: &str, config: &ClientConfig) -> CertificateDer<'static> {
    let connector = TlsConnector::from(Arc::new(config.clone()));
    let dialling = async {
        loop {
            let stream = TcpStream::connect(relay).await.unwrap();
            if let Ok(stream) = connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await {
                return stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dialling).await.expect("no certificate in time")
}

#[tokio::test]
async fn a_certificate_is_ordered_proven_shown_kept_and_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let Some(authority) = start(dir.path(), at.port(), 12) else { return };
    let api = authority.directory.trim_start_matches("https://").trim_end_matches("/dir").to_owned();
    soon(async {
        while TcpStream::connect(&api).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // Whom the certificates come from: asked from pebble's own page.
    let pebble_root = CertificateDer::from_pem_file(dir.path().join("root.pem")).unwrap();
    let _ = ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(client(std::slice::from_ref(&pebble_root)))
        .build()
        .unwrap();
    let issuer = soon(http.get(format!("https://{}/roots/0", authority.management)).send()).await.unwrap();
    let issuer = CertificateDer::from_pem_slice(&soon(issuer.bytes()).await.unwrap()).unwrap();
    let believer = client(&[issuer]);

    let config = Config {
        tls: Tls::Acme(DOMAIN.to_owned()),
        acme: AcmeSettings {
            contact: Some("host@example.org".to_owned()),
            directory: authority.directory.parse().unwrap(),
            root: Some(dir.path().join("root.pem")),
        },
        ..Config::new(dir.path().join("data"))
    };
    let relay = Relay::open(config, listener).await.unwrap();
    assert_eq!(relay.url(), format!("https://{DOMAIN}:{}", at.port()));
    assert_eq!(relay.pin(), None);
    let task = tokio::spawn(relay.serve(std::future::pending()));
    let at = at.to_string();
    let first = shown(&at, &believer).await;
    // It lives for 12 s and is renewed after 8.
    tokio::time::timeout(PATIENCE, async {
        while shown(&at, &believer).await == first {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("it was not renewed");
    let kept: Vec<_> = std::fs::read_dir(dir.path().join("data/acme")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(kept.len(), 2, "account and certificate: {kept:?}");
    for file in kept {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    task.abort();
}
