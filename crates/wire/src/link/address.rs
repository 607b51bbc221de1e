//! What the address of a relay says about the way to it.

use url::Url;

/// `host:port` of a relay URL, lower case, the port always written: what signatures cover.
#[must_use]
pub fn authority(relay: &Url) -> Option<String> {
    let host = relay.host_str()?;
    let port = relay.port_or_known_default()?;
    Some(format!("{}:{port}", host.to_ascii_lowercase()))
}

/// Whether a URL points at this machine by name or loopback address.
#[must_use]
pub fn is_loopback(relay: &Url) -> bool {
    match relay.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether a URL names an address of a private or local network by number: reached from that network only.
#[must_use]
pub fn is_private(relay: &Url) -> bool {
    /// RFC 6598: between a provider and its customers.
    const fn is_shared(ip: std::net::Ipv4Addr) -> bool {
        let [first, second, ..] = ip.octets();
        first == 100 && second & 0xC0 == 64
    }
    const fn is_private_v4(ip: std::net::Ipv4Addr) -> bool {
        ip.is_private() || ip.is_link_local() || ip.is_unspecified() || ip.is_broadcast() || is_shared(ip)
    }
    match relay.host() {
        Some(url::Host::Ipv4(ip)) => is_private_v4(ip),
        Some(url::Host::Ipv6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_loopback() || is_private_v4(ip),
            None => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
        },
        Some(url::Host::Domain(_)) | None => false,
    }
}

/// Whether a URL names an onion service, which only Tor reaches, and Tor encrypts.
#[must_use]
pub fn is_onion(relay: &Url) -> bool {
    matches!(relay.host(), Some(url::Host::Domain(name)) if name.to_ascii_lowercase().ends_with(".onion"))
}

/// Whether `http` to this relay is no plaintext that others read: this machine, and onion services.
#[must_use]
pub fn may_be_plaintext(relay: &Url) -> bool {
    is_loopback(relay) || is_onion(relay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_known_in_every_spelling() {
        for url in [
            "https://10.1.2.3/",
            "https://192.168.0.9:8440/",
            "https://172.16.0.1/",
            "https://169.254.169.254/",
            "https://100.64.0.1/",
            "https://0/",
            "https://0x0a.1/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::]/",
        ] {
            assert!(is_private(&Url::parse(url).unwrap()), "{url}");
        }
        for url in
            ["https://relay.example.org/", "https://192.0.2.1/", "https://100.128.0.1/", "https://[2001:db8::1]/"]
        {
            assert!(!is_private(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
