//! A SOCKS5 proxy (Tor) between this computer and every relay.
//!
//! Names are resolved by the proxy, never here. Each purpose, each relay and each account that is written to or asked about
//! has its own user name and password, by which Tor keeps them on separate circuits (`IsolateSOCKSAuth`, on by default):
//! who sees the anonymous submissions come out cannot join them to the mailbox, nor to each other, by the exit's address.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};
use subrosa_wire::AccountId;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{NetError, RelayEndpoint, error::io_cause};
use crate::api::{ApiError, ErrorKind};

/// The port of SOCKS (IANA); Tor's is 9050 and is written.
const DEFAULT_PORT: u16 = 1080;

/// Longest user name and longest password of SOCKS5 (RFC 1929): their length is one byte.
const MAX_CREDENTIAL_BYTES: usize = 255;

/// What a connection is for: no two share a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Circuit {
    /// The own mailbox, where we say who we are.
    Mailbox,
    /// Anonymous submissions to an account.
    Submit(AccountId),
    /// Questions over HTTPS about an account, or about none.
    Questions(Option<AccountId>),
}

/// Where a SOCKS5 proxy is.
pub struct Proxy {
    host: Host,
    port: u16,
    /// Given by the person: then every connection has these, and circuits are the proxy's business.
    credentials: Option<Credentials>,
    /// From which the credentials of each circuit are made. New in each process: nothing joins today's to tomorrow's.
    secret: Zeroizing<[u8; 32]>,
}

/// User name and password.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl Proxy {
    /// Whether it runs on this computer.
    pub(super) fn is_here(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        }
    }

    /// The credentials for a purpose at a relay.
    pub(super) fn credentials(&self, relay: &RelayEndpoint, circuit: Circuit) -> Credentials {
        if let Some(given) = &self.credentials {
            return given.clone();
        }
        let (purpose, account) = match circuit {
            Circuit::Mailbox => ("mailbox", None),
            Circuit::Submit(account) => ("submit", Some(account)),
            Circuit::Questions(account) => ("questions", account),
        };
        let digest = Sha256::new()
            .chain_update(&self.secret[..])
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(relay.authority())
            .chain_update([0])
            .chain_update(account.map(|account| account.0).unwrap_or_default())
            .finalize();
        Credentials { user: hex::encode(&digest[..16]), password: Zeroizing::new(hex::encode(&digest[16..])) }
    }

    /// `socks5h://…` for a library that dials by itself.
    pub(super) fn url_with(&self, credentials: Option<&Credentials>) -> Option<Url> {
        let mut url = Url::parse(&format!("socks5h://{}:{}", self.host, self.port)).ok()?;
        if let Some(Credentials { user, password }) = credentials {
            url.set_username(user).ok()?;
            url.set_password(Some(password)).ok()?;
        }
        Some(url)
    }

    /// Whether the person gave a user name: then the proxy is asked with it or not at all.
    pub(super) fn has_own_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// A connection through the proxy. The relay's name goes to the proxy as it is.
    pub(super) async fn connect(&self, relay: &RelayEndpoint, circuit: Circuit) -> Result<TcpStream, NetError> {
        let dialled = match &self.host {
            Host::Domain(name) => TcpStream::connect((name.as_str(), self.port)).await,
            Host::Ipv4(ip) => TcpStream::connect((*ip, self.port)).await,
            Host::Ipv6(ip) => TcpStream::connect((*ip, self.port)).await,
        };
        let socket = dialled.map_err(|error| {
            let cause = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => "connection refused (is it running?)".to_owned(),
                _ => io_cause(&error),
            };
            NetError::unreachable(relay, format!("the proxy {self} is not reached: {cause}"))
        })?;
        let Credentials { user, password } = self.credentials(relay, circuit);
        let target = relay.host_and_port();
        let stream = Socks5Stream::connect_with_password_and_socket(socket, target, &user, &password)
            .await
            .map_err(|error| NetError::unreachable(relay, format!("the proxy {self} says: {}", socks_cause(&error))))?;
        Ok(stream.into_inner())
    }
}

/// What a proxy answered, in our words.
fn socks_cause(error: &tokio_socks::Error) -> String {
    use tokio_socks::Error as E;
    match error {
        E::PasswordAuthFailure(_) => "user name or password are wrong".to_owned(),
        E::NoAcceptableAuthMethods => "it wants a user name and password: socks5h://user:password@host:port".to_owned(),
        E::ConnectionNotAllowedByRuleset => "it does not allow this address".to_owned(),
        E::NetworkUnreachable => "there is no way to the relay's network".to_owned(),
        E::HostUnreachable | E::TtlExpired => "the relay's host is not found or not reached".to_owned(),
        E::ConnectionRefused => "the relay refuses the connection (is it running?)".to_owned(),
        E::GeneralSocksServerFailure => "it could not connect (is it online?)".to_owned(),
        E::Io(error) => io_cause(error),
        _ => "what it answers is not SOCKS5".to_owned(),
    }
}

/// Without credentials: they are nobody's business.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socks5h://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl FromStr for Proxy {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        // The text may hold a password: errors do not repeat it.
        let wrong = |why: &str| {
            ApiError::new(ErrorKind::Usage, format!("the proxy's address is not usable: {why}"))
                .hint("for example, for Tor: --proxy socks5h://127.0.0.1:9050")
        };
        let url = Url::parse(text.trim()).map_err(|_| wrong("it is socks5h://[user:password@]host:port"))?;
        match url.scheme() {
            "socks5h" => {}
            "socks5" => {
                return Err(wrong(
                    "socks5:// resolves names on this computer, where others see them; write socks5h://, then the proxy does",
                ));
            }
            _ => return Err(wrong("only socks5h:// is spoken")),
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("nothing comes after host and port"));
        }
        let host = Host::parse(host).map_err(|_| wrong("its host is no name and no address"))?;
        let credentials = if url.username().is_empty() && url.password().is_none() {
            None
        } else {
            let (user, password) =
                (percent_decoded(url.username()), percent_decoded(url.password().unwrap_or_default()));
            let (Some(user), Some(password)) = (user, password.map(Zeroizing::new)) else {
                return Err(wrong("user name and password are UTF-8, and a % begins two hexadecimal digits"));
            };
            if ![user.len(), password.len()].iter().all(|len| (1..=MAX_CREDENTIAL_BYTES).contains(len)) {
                return Err(wrong("user name and password both have 1 to 255 bytes"));
            }
            Some(Credentials { user, password })
        };
        let mut secret = Zeroizing::new([0; 32]);
        subrosa_ambient::fill(&mut secret[..])
            .map_err(|_| ApiError::new(ErrorKind::Failed, "the operating system gives no random numbers"))?;
        Ok(Self { host, port: url.port().unwrap_or(DEFAULT_PORT), credentials, secret })
    }
}

/// A part of a URL as it was meant.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut value = [0];
            hex::decode_to_slice(digits, &mut value).ok()?;
            decoded.extend(value);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_their_secret() {
        for (text, shown) in [
            ("socks5h://127.0.0.1:9050", "socks5h://127.0.0.1:9050"),
            (" socks5h://[::1]:9050/ ", "socks5h://[::1]:9050"),
            ("socks5h://proxy.example.org", "socks5h://proxy.example.org:1080"),
            ("socks5h://ann:s%40cret@10.0.0.1:1", "socks5h://10.0.0.1:1"),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert!(!format!("{proxy:?}").contains("cret"));
        }
        let proxy: Proxy = "socks5h://ann:s%40cret@10.0.0.1:1".parse().unwrap();
        let relay = "https://relay.example.org".parse().unwrap();
        assert_eq!(*proxy.credentials(&relay, Circuit::Submit(AccountId([1; 32]))).password, "s@cret");
    }

    #[test]
    fn what_would_leak_or_cannot_work_is_refused() {
        for (text, why) in [
            ("socks5://127.0.0.1:9050", "socks5h"),
            ("http://127.0.0.1:8118", "only socks5h"),
            ("socks5h://", "host"),
            ("127.0.0.1:9050", "socks5h"),
            ("socks5h://127.0.0.1:9050/path", "nothing comes after"),
            ("socks5h://ann@127.0.0.1:9050", "1 to 255"),
            ("", "socks5h"),
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert!(error.message.contains(why), "{text}: {}", error.message);
        }
        let error = "socks5://ann:hunter2@127.0.0.1".parse::<Proxy>().unwrap_err();
        assert!(!error.message.contains("hunter2"));
    }

    #[test]
    fn every_purpose_relay_and_account_has_its_own_circuit() {
        let one: RelayEndpoint = "https://one.example".parse().unwrap();
        let two: RelayEndpoint = "https://two.example".parse().unwrap();
        let users = |proxy: &Proxy| {
            let accounts = [AccountId([1; 32]), AccountId([2; 32])];
            let mut users: Vec<_> = [Circuit::Mailbox, Circuit::Questions(None)]
                .into_iter()
                .chain(accounts.map(Circuit::Submit))
                .chain(accounts.map(|account| Circuit::Questions(Some(account))))
                .flat_map(|circuit| [&one, &two].map(|relay| proxy.credentials(relay, circuit).user))
                .collect();
            users.sort();
            users.dedup();
            users
        };
        let proxy: Proxy = "socks5h://127.0.0.1:9050".parse().unwrap();
        assert_eq!(users(&proxy).len(), 12);
        assert_eq!(users(&proxy), users(&proxy), "a socket that is opened again keeps its circuit");
        let again: Proxy = "socks5h://127.0.0.1:9050".parse().unwrap();
        assert!(users(&proxy).iter().all(|user| !users(&again).contains(user)), "another process, other circuits");
        let given: Proxy = "socks5h://ann:x@127.0.0.1:9050".parse().unwrap();
        assert_eq!(users(&given), ["ann"]);
    }
}
