//! Under which names and addresses clients know a relay.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use subrosa_wire::link;
use url::Url;

use crate::config::{Config, RelayError, Tls};

/// An address that is nobody's (RFC 5737 and 3849), to ask the routing table which of this machine's addresses faces others.
const ELSEWHERE_V4: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
const ELSEWHERE_V6: (Ipv6Addr, u16) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9);

/// How clients reach a relay, and what their signatures may call it.
pub(crate) struct Names {
    /// For people and links.
    pub(crate) url: String,
    /// `host:port`.
    pub(crate) authorities: Vec<String>,
}

impl Names {
    /// From the settings and the listener.
    ///
    /// # Errors
    /// No name that clients could use.
    pub(crate) fn find(config: &Config, listener: SocketAddr, has_tls: bool) -> Result<Self, RelayError> {
        let is_exposed = !listener.ip().is_loopback();
        if let Some(url) = &config.public_url {
            let fits = url.scheme() == "https" || (url.scheme() == "http" && !has_tls && link::may_be_plaintext(url));
            let is_bare =
                url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            let authority = link::authority(url).filter(|_| fits && is_bare);
            let authority = authority.ok_or_else(|| RelayError::PublicUrl(url.clone()))?;
            if let (Tls::Acme(domain), Some(host)) = (&config.tls, url.host_str())
                && !host.eq_ignore_ascii_case(domain)
            {
                return Err(RelayError::DomainDiffers { domain: domain.clone(), host: host.to_owned() });
            }
            return Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), authorities: vec![authority] });
        }
        if let Tls::Acme(domain) = &config.tls {
            let url = Url::parse(&format!("https://{domain}:{}", listener.port())).ok();
            let url = url.filter(|url| url.path() == "/" && url.username().is_empty());
            let named = url.as_ref().and_then(|url| Some((url.as_str().trim_end_matches('/'), link::authority(url)?)));
            let (url, authority) = named.ok_or_else(|| RelayError::Domain(domain.clone()))?;
            return Ok(Self { url: url.to_owned(), authorities: vec![authority] });
        }
        if !has_tls && is_exposed {
            return Err(RelayError::ProxyWithoutName(listener));
        }
        if is_exposed && matches!(config.tls, Tls::Files { .. }) {
            return Err(RelayError::CertificateWithoutName);
        }
        let scheme = if has_tls { "https" } else { "http" };
        let reached = facing_others(listener);
        let url = format!("{scheme}://{reached}");
        let authorities = if is_exposed {
            // With the key's pin in the signature any name will do; this one serves who has none.
            vec![Url::parse(&url).ok().and_then(|url| link::authority(&url)).unwrap_or_default()]
        } else {
            let port = listener.port();
            ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")).to_vec()
        };
        Ok(Self { url, authorities })
    }
}

/// For a listener on all addresses: the one by which this machine reaches others. Nothing is sent to find it.
fn facing_others(listener: SocketAddr) -> SocketAddr {
    if !listener.ip().is_unspecified() {
        return listener;
    }
    let ask = |from: SocketAddr, to: SocketAddr| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let found = ask((Ipv4Addr::UNSPECIFIED, 0).into(), ELSEWHERE_V4.into())
        .or_else(|| ask((Ipv6Addr::UNSPECIFIED, 0).into(), ELSEWHERE_V6.into()));
    found.map_or(listener, |ip| SocketAddr::new(ip, listener.port()))
}
