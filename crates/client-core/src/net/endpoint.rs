//! Where a relay is: an origin (scheme, host, port) and perhaps a pinned certificate key.

use std::{fmt, str::FromStr};

use subrosa_wire::{
    limits::MAX_AUTHORITY_BYTES,
    link::{authority, is_onion, may_be_plaintext},
};
use url::Url;

use super::NetError;

/// A relay's address. Plaintext (`http`) goes to this machine and to onion services only, `https` everywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayEndpoint {
    /// Origin only: no user, path, query or fragment.
    url: Url,
    /// `host:port`, lower case; what signatures cover.
    authority: String,
    /// SHA-256 of a self-signed relay's key.
    pin: Option<[u8; 32]>,
}

impl RelayEndpoint {
    /// Takes the origin of `url`; path, query and fragment are dropped.
    ///
    /// # Errors
    /// [`NetError::Address`] for another scheme than `http` and `https`, `http` to another machine,
    /// a user name or password in the address, or a host name longer than the protocol allows.
    pub fn new(url: Url, pin: Option<[u8; 32]>) -> Result<Self, NetError> {
        let refuse = |cause| Err(NetError::Address { cause });
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("a relay address has no user name or password");
        }
        match url.scheme() {
            // A pin that nobody checks would be believed all the same.
            "http" if pin.is_some() => return refuse("a pinned key needs https://: without TLS no key is shown"),
            "https" => {}
            "http" if may_be_plaintext(&url) => {}
            "http" => return refuse("http:// reaches only a relay on this computer: use https://"),
            _ => return refuse("a relay address begins with https:// (or http:// on this computer)"),
        }
        let Some(authority) = authority(&url).filter(|name| name.len() <= MAX_AUTHORITY_BYTES) else {
            return refuse("a relay address is https://host or https://host:port");
        };
        let Ok(url) = Url::parse(&format!("{}://{authority}/", url.scheme())) else {
            return refuse("a relay address is https://host or https://host:port");
        };
        Ok(Self { url, authority, pin })
    }

    /// `host:port`, lower case, the port always written: what signatures cover.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The origin, with `/` as path.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// SHA-256 of a self-signed relay's key, if the relay is known by it.
    #[must_use]
    pub const fn pin(&self) -> Option<&[u8; 32]> {
        self.pin.as_ref()
    }

    /// Whether only Tor reaches it.
    pub(super) fn is_onion(&self) -> bool {
        is_onion(&self.url)
    }

    /// Host (an IPv6 address without brackets) and port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        let host = self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host, self.url.port_or_known_default().unwrap_or_default())
    }

    /// Whether bytes to this relay are encrypted on the way by TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address of a WebSocket endpoint of this relay.
    pub(super) fn websocket(&self, path: &str) -> String {
        let scheme = if self.is_tls() { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority)
    }
}

/// The origin without the closing slash; [`FromStr`] reads it back (a pin is kept apart).
impl fmt::Display for RelayEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for RelayEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayEndpoint({self}{})", if self.pin.is_some() { ", pinned" } else { "" })
    }
}

/// An endpoint without a pin.
impl FromStr for RelayEndpoint {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let url = Url::parse(text.trim()).map_err(|_| NetError::Address {
            cause: "a relay address is https://host or https://host:port (or http:// on this computer)",
        })?;
        Self::new(url, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reduced_to_their_origin_and_read_back() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:8443/some/path?x=1#y", "http://127.0.0.1:8443", "127.0.0.1:8443"),
            ("http://localhost", "http://localhost", "localhost:80"),
            ("http://[::1]:9", "http://[::1]:9", "[::1]:9"),
            (" https://Relay.Example.ORG ", "https://relay.example.org", "relay.example.org:443"),
            ("https://relay.example.org:8443/", "https://relay.example.org:8443", "relay.example.org:8443"),
            ("http://abcdef.onion", "http://abcdef.onion", "abcdef.onion:80"),
        ] {
            let endpoint: RelayEndpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.authority(), authority);
            assert_eq!(endpoint.to_string().parse::<RelayEndpoint>().unwrap(), endpoint);
        }
    }

    #[test]
    fn plaintext_to_other_machines_and_strange_addresses_are_refused() {
        for text in [
            "http://relay.example.org",
            "http://192.0.2.1:8443",
            "http://127.0.0.1.example.org",
            "http://onion",
            "http://abc.onion.example.org",
            "ftp://127.0.0.1",
            "wss://relay.example.org",
            "https://user@relay.example.org",
            "https://user:secret@relay.example.org",
            "file:///etc/passwd",
            "relay.example.org",
            "",
        ] {
            assert!(matches!(text.parse::<RelayEndpoint>(), Err(NetError::Address { .. })), "{text}");
        }
        let long = format!("https://{}.example", "a.".repeat(200));
        assert!(long.parse::<RelayEndpoint>().is_err());
    }

    #[test]
    fn a_pin_makes_another_endpoint() {
        let url = Url::parse("https://relay.example.org").unwrap();
        let plain = RelayEndpoint::new(url.clone(), None).unwrap();
        let pinned = RelayEndpoint::new(url, Some([7; 32])).unwrap();
        let plaintext = Url::parse("http://127.0.0.1:8440").unwrap();
        assert!(RelayEndpoint::new(plaintext, Some([7; 32])).is_err(), "a pin that nobody would check");
        assert_ne!(plain, pinned);
        assert_eq!(plain.to_string(), pinned.to_string());
        assert_eq!(pinned.pin(), Some(&[7; 32]));
    }

    #[test]
    fn sockets_of_an_endpoint() {
        let near: RelayEndpoint = "http://[::1]:9".parse().unwrap();
        assert_eq!(near.websocket("/v1/submit"), "ws://[::1]:9/v1/submit");
        let far: RelayEndpoint = "https://relay.example.org".parse().unwrap();
        assert_eq!(far.websocket("/v1/mailbox"), "wss://relay.example.org:443/v1/mailbox");
    }
}
