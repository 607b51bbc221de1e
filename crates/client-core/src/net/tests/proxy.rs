//! Through a SOCKS5 proxy written here, which notes what it was asked.

use std::{path::Path, sync::Mutex};

use subrosa_relay::{Config, Relay};
use subrosa_wire::http::GetDevices;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::net::{Http, NetError, Submitter};

/// What a client asked of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    /// User name and password, if it gave any.
    credentials: Option<(String, String)>,
    /// Host (a name stays one) and port.
    target: (String, u16),
    /// The host came as a name, to be resolved here.
    by_name: bool,
}

/// The proxy's rules.
#[derive(Clone, Copy)]
struct Rules {
    /// Whether it knows user names at all (`ssh -D` does not).
    takes_credentials: bool,
    /// Says this instead of connecting.
    refuses_with: Option<u8>,
}

struct Socks {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Socks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Socks {
    /// Connects every name to `relay`, as a proxy elsewhere would resolve names that this machine cannot.
    async fn start(relay: std::net::SocketAddr, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    // A client that hangs up in the middle is its own affair.
                    let _ = serve(stream, relay, rules, &notes).await;
                });
            }
        });
        Self { port, asked, task }
    }

    fn network(&self) -> Network {
        Network::direct().through(format!("socks5h://127.0.0.1:{}", self.port).parse().unwrap())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let len = stream.read_u8().await?;
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// RFC 1928 and 1929.
async fn serve(
    mut client: TcpStream,
    relay: std::net::SocketAddr,
    rules: Rules,
    notes: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    assert_eq!(client.read_u8().await?, 5);
    let count = client.read_u8().await?;
    let mut methods = vec![0; usize::from(count)];
    client.read_exact(&mut methods).await?;
    let credentials = if rules.takes_credentials && methods.contains(&2) {
        client.write_all(&[5, 2]).await?;
        assert_eq!(client.read_u8().await?, 1);
        let pair = (text(&mut client).await?, text(&mut client).await?);
        client.write_all(&[1, 0]).await?;
        Some(pair)
    } else if methods.contains(&0) {
        client.write_all(&[5, 0]).await?;
        None
    } else {
        return client.write_all(&[5, 0xff]).await;
    };
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    assert_eq!(head[..3], [5, 1, 0]);
    let (host, by_name) = match head[3] {
        1 => (std::net::Ipv4Addr::from(client.read_u32().await?).to_string(), false),
        3 => (text(&mut client).await?, true),
        other => panic!("address type {other}"),
    };
    let target = (host, client.read_u16().await?);
    notes.lock().unwrap().push(Asked { credentials, target, by_name });
    if let Some(code) = rules.refuses_with {
        return client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    }
    let mut relay = TcpStream::connect(relay).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut client, &mut relay).await?;
    Ok(())
}

const TOR: Rules = Rules { takes_credentials: true, refuses_with: None };

/// A plaintext relay that is an onion service: only a proxy knows the way.
const ONION: &str = "http://abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion";

struct Hidden {
    address: std::net::SocketAddr,
    _stop: oneshot::Sender<()>,
}

async fn relay(data: &Path) -> Hidden {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config { public_url: Some(ONION.parse().unwrap()), ..Config::new(data.to_owned()) };
    let relay = Relay::open(config, listener).await.unwrap();
    assert_eq!(relay.url(), ONION);
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(relay.serve(async move {
        let _ = stopped.await;
    }));
    Hidden { address, _stop: stop }
}

fn question() -> GetDevices {
    GetDevices { account: AccountId([1; 32]) }
}

fn is_not_found(error: &NetError) -> bool {
    matches!(error, NetError::Refused(refusal) if refusal.code == subrosa_wire::ErrorCode::NotFound)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_goes_through_the_proxy_by_name_and_on_its_own_circuit() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = relay(&dir.path().join("relay")).await;
    let socks = Socks::start(hidden.address, TOR).await;
    let onion: RelayEndpoint = ONION.parse().unwrap();
    let network = socks.network();

    assert!(is_not_found(&soon(Http::new(network.clone()).call(&onion, &question())).await.unwrap_err()));
    assert!(soon(Submitter::new(network.clone()).submit(&onion, &submission(1))).await.is_ok());
    let (sender, events) = mpsc::channel(64);
    let handle = connect_with(network, onion.clone(), Arc::new(NoSigner), sender, timing());
    let mut engine = Engine { handle, events };
    let (error, _) = engine.offline().await;
    assert!(matches!(error, NetError::Refused(_)), "it got as far as the login: {error:?}");

    let asked = socks.asked();
    let host = onion.authority().trim_end_matches(":80");
    assert!(asked.iter().all(|one| one.by_name && one.target == (host.to_owned(), 80)), "{asked:?}");
    let mut circuits: Vec<_> = asked.iter().map(|one| one.credentials.clone().unwrap()).collect();
    circuits.sort();
    circuits.dedup();
    assert_eq!(circuits.len(), 3, "mailbox, submissions and questions share no circuit: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_only_the_proxy_knows_is_never_asked_here() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = relay(&dir.path().join("relay")).await;
    let socks = Socks::start(hidden.address, TOR).await;
    // RFC 6761: no name server knows it; TLS then fails against the plaintext relay, which proves who was reached.
    let nowhere: RelayEndpoint = "https://relay.invalid:7".parse().unwrap();
    let error = soon(Http::new(socks.network()).call(&nowhere, &question())).await.unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("TLS")), "{error:?}");
    let error = soon(Submitter::new(socks.network()).submit(&nowhere, &submission(1))).await.unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("TLS")), "{error:?}");
    let asked = socks.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|one| one.by_name && one.target == ("relay.invalid".to_owned(), 7)), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_fails_is_no_reason_to_go_straight() {
    let direct = Fake::tcp(|_, stream| async move { drop(stream) }).await;
    let far: RelayEndpoint = direct.endpoint.clone();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = dead.local_addr().unwrap().port();
    drop(dead);
    let gone = Network::direct().through(format!("socks5h://127.0.0.1:{port}").parse().unwrap());
    let address = "127.0.0.1:1".parse().unwrap();
    let refusing = Socks::start(address, Rules { refuses_with: Some(4), ..TOR }).await;
    for network in [gone, refusing.network()] {
        let answers = [
            soon(Http::new(network.clone()).call(&far, &question())).await.unwrap_err(),
            soon(Submitter::new(network.clone()).submit(&far, &submission(1))).await.unwrap_err(),
        ];
        for error in answers {
            assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("proxy")), "{error:?}");
        }
    }
    assert_eq!(direct.connections(), 0);
    assert_eq!(refusing.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_without_user_names_serves_too() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = relay(&dir.path().join("relay")).await;
    let socks = Socks::start(hidden.address, Rules { takes_credentials: false, refuses_with: None }).await;
    let onion: RelayEndpoint = ONION.parse().unwrap();
    let http = Http::new(socks.network());
    for _ in 0..2 {
        assert!(is_not_found(&soon(http.call(&onion, &question())).await.unwrap_err()));
    }
    assert!(soon(Submitter::new(socks.network()).submit(&onion, &submission(1))).await.is_ok());
    assert!(socks.asked().iter().all(|one| one.credentials.is_none()));
    // Who gave a name wants it used.
    let named = format!("socks5h://ann:secret@127.0.0.1:{}", socks.port).parse().unwrap();
    let error = soon(Http::new(Network::direct().through(named)).call(&onion, &question())).await.unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if !cause.contains("secret")), "{error:?}");
}

#[tokio::test]
async fn ways_that_would_show_too_much_are_refused_before_anything_is_sent() {
    let onion: RelayEndpoint = ONION.parse().unwrap();
    let straight = soon(Http::new(Network::direct()).call(&onion, &question())).await.unwrap_err();
    assert!(matches!(&straight, NetError::Unreachable { cause, .. } if cause.contains("--proxy")), "{straight:?}");
    let near: RelayEndpoint = "http://127.0.0.1:9".parse().unwrap();
    let elsewhere = Network::direct().through("socks5h://proxy.invalid:1080".parse().unwrap());
    let error = soon(Submitter::new(elsewhere).submit(&near, &submission(1))).await.unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { cause, .. } if cause.contains("not encrypted")), "{error:?}");
}
