//! Contact links: relay, account, one-use token. Whoever opens one trusts without comparing numbers.
//!
//! `subrosa://HOST:PORT/#BASE64URL`. The part behind `#` is
//! version u8=1 ‖ flags u8 ‖ account id (32) ‖ list version u32 ‖ contact token (16)
//! ‖ handle length u8 ‖ handle ‖ [pin (32)] ‖ [registration token (16)] ‖ checksum (4).
//! Flags: 1 = plaintext relay (loopback and onion services only), 2 = pin present, 4 = registration token present.
//! The checksum is the start of SHA-256 over authority and all bytes before it: it tells a
//! mistyped or cut link from a wrong one; it is no authentication.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{AccountId, ContactToken, Handle, RegistrationToken, limits::MAX_AUTHORITY_BYTES, relay_link::RelayLink};

const VERSION: u8 = 1;
const PLAINTEXT: u8 = 1;
const PIN: u8 = 2;
const REGISTRATION: u8 = 4;
const CHECKSUM_BYTES: usize = 4;
/// Version and flags.
const HEAD_BYTES: usize = 2;
const SCHEME: &str = "subrosa://";

/// Longest text that is looked at: authority, the longest payload in base64, and slack.
const MAX_LINK_CHARS: usize = MAX_AUTHORITY_BYTES + 512;

/// What a contact link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactLink {
    /// The inviter's relay, `http` on loopback or `https`.
    pub relay: Url,
    /// SHA-256 of a self-signed relay's key.
    pub pin: Option<[u8; 32]>,
    /// Who invites.
    pub account: AccountId,
    /// What the inviter is called at their relay: the name to begin with.
    pub handle: Handle,
    /// Version of the inviter's device list when the link was made: older ones are refused.
    pub list_version: u32,
    /// One use.
    pub token: ContactToken,
    /// For a relay with closed registration.
    pub registration: Option<RegistrationToken>,
}

/// Why a text is no contact link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Does not begin with `subrosa://`.
    #[error("a contact link begins with subrosa://")]
    Scheme,
    /// The relay part is no `host:port`.
    #[error("the relay address in the link is not valid")]
    Relay,
    /// Cut or mistyped.
    #[error("the link is damaged or incomplete: copy it again, whole")]
    Damaged,
    /// From a newer program.
    #[error("the link was made by a newer version of Subrosa: update to use it")]
    Version,
    /// Plaintext to another machine.
    #[error("the link asks for an unencrypted connection to another machine")]
    Plaintext,
}

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

pub(crate) fn checksum(authority: &str, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new().chain_update(authority.as_bytes()).chain_update(payload).finalize();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    sum
}

/// Writes a link: the fields of its kind, then pin and registration token, which every kind may have.
pub(crate) fn write(
    f: &mut fmt::Formatter<'_>,
    scheme: &str,
    relay: &Url,
    fields: &[u8],
    pin: Option<&[u8; 32]>,
    registration: Option<&RegistrationToken>,
) -> fmt::Result {
    let authority = authority(relay).ok_or(fmt::Error)?;
    let mut payload = vec![VERSION, 0];
    if relay.scheme() == "http" {
        payload[1] |= PLAINTEXT;
    }
    payload.extend_from_slice(fields);
    if let Some(pin) = pin {
        payload[1] |= PIN;
        payload.extend_from_slice(pin);
    }
    if let Some(token) = registration {
        payload[1] |= REGISTRATION;
        payload.extend_from_slice(token.as_bytes());
    }
    payload.extend_from_slice(&checksum(&authority, &payload));
    write!(f, "{scheme}{authority}/#{}", URL_SAFE_NO_PAD.encode(payload))
}

/// A link whose version and checksum are right. The fields of its kind are read from [`Parts::fields`], then come the rest.
pub(crate) struct Parts<'a> {
    authority: &'a str,
    flags: u8,
    payload: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Takes a text apart.
    pub(crate) fn of(text: &'a str, scheme: &str, max_chars: usize) -> Result<Self, LinkError> {
        let text = text.trim();
        let rest = text.strip_prefix(scheme).ok_or(LinkError::Scheme)?;
        if text.len() > max_chars {
            return Err(LinkError::Damaged);
        }
        let (authority, payload) = rest.split_once("/#").ok_or(LinkError::Damaged)?;
        let mut payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| LinkError::Damaged)?;
        let [version, flags] = take::<HEAD_BYTES>(&mut payload.as_slice())?;
        if version != VERSION || flags & !(PLAINTEXT | PIN | REGISTRATION) != 0 {
            return Err(LinkError::Version);
        }
        let covered = payload.len().checked_sub(CHECKSUM_BYTES).filter(|end| *end >= HEAD_BYTES);
        let covered = covered.ok_or(LinkError::Damaged)?;
        if checksum(authority, &payload[..covered]) != payload[covered..] {
            return Err(LinkError::Damaged);
        }
        payload.truncate(covered);
        Ok(Self { authority, flags, payload })
    }

    /// What stands between the flags and the checksum.
    pub(crate) fn fields(&self) -> &[u8] {
        self.payload.get(HEAD_BYTES..).unwrap_or_default()
    }

    /// Relay, pin and registration token, which are all that a relay link says, from what the fields of the kind left over.
    pub(crate) fn rest(&self, mut bytes: &[u8]) -> Result<RelayLink, LinkError> {
        let pin = if self.flags & PIN == 0 { None } else { Some(take(&mut bytes)?) };
        let registration =
            if self.flags & REGISTRATION == 0 { None } else { Some(RegistrationToken::new(take(&mut bytes)?)) };
        if !bytes.is_empty() {
            return Err(LinkError::Damaged);
        }
        let scheme = if self.flags & PLAINTEXT == 0 { "https" } else { "http" };
        let relay = Url::parse(&format!("{scheme}://{}/", self.authority)).map_err(|_| LinkError::Relay)?;
        // The text must be exactly the authority: no user, path, query or other spelling of the host.
        if authority(&relay).as_deref() != Some(self.authority) || !relay.username().is_empty() {
            return Err(LinkError::Relay);
        }
        if scheme == "http" && !may_be_plaintext(&relay) {
            return Err(LinkError::Plaintext);
        }
        Ok(RelayLink { relay, pin, registration })
    }
}

impl fmt::Display for ContactLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handle = self.handle.as_str().as_bytes();
        let handle_len = u8::try_from(handle.len()).map_err(|_| fmt::Error)?;
        let list_version = self.list_version.to_be_bytes();
        let fields = [&self.account.0, &list_version[..], self.token.as_bytes(), &[handle_len], handle].concat();
        write(f, SCHEME, &self.relay, &fields, self.pin.as_ref(), self.registration.as_ref())
    }
}

/// Takes the first `N` bytes off `rest`.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], LinkError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(LinkError::Damaged)?;
    *rest = tail;
    Ok(*head)
}

impl FromStr for ContactLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let parts = Parts::of(text, SCHEME, MAX_LINK_CHARS)?;
        let mut bytes = parts.fields();
        let account = AccountId(take(&mut bytes)?);
        let list_version = u32::from_be_bytes(take(&mut bytes)?);
        let token = ContactToken::new(take(&mut bytes)?);
        let [handle_len] = take(&mut bytes)?;
        let (handle, rest) = bytes.split_at_checked(usize::from(handle_len)).ok_or(LinkError::Damaged)?;
        let handle = str::from_utf8(handle).ok().and_then(|handle| handle.parse().ok()).ok_or(LinkError::Damaged)?;
        let RelayLink { relay, pin, registration } = parts.rest(rest)?;
        Ok(Self { relay, pin, account, handle, list_version, token, registration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(relay: &str) -> ContactLink {
        ContactLink {
            relay: Url::parse(relay).unwrap(),
            pin: None,
            account: AccountId([3; 32]),
            handle: "alice".parse().unwrap(),
            list_version: 7,
            token: ContactToken::new([9; 16]),
            registration: None,
        }
    }

    #[test]
    fn links_round_trip() {
        for relay in ["http://127.0.0.1:8443/", "https://relay.example.org/", "http://[::1]:9/"] {
            let mut link = link(relay);
            assert_eq!(link.to_string().parse::<ContactLink>().unwrap(), link);
            link.pin = Some([5; 32]);
            link.registration = Some(RegistrationToken::new([6; 16]));
            assert_eq!(link.to_string().parse::<ContactLink>().unwrap(), link);
        }
    }

    #[test]
    fn a_cut_changed_or_foreign_link_is_told_apart() {
        let text = link("http://127.0.0.1:8443/").to_string();
        assert_eq!(text[..text.len() - 3].parse::<ContactLink>(), Err(LinkError::Damaged));
        assert_eq!(text.replace("8443", "8444").parse::<ContactLink>(), Err(LinkError::Damaged));
        assert_eq!("https://example.org".parse::<ContactLink>(), Err(LinkError::Scheme));
        assert_eq!("".parse::<ContactLink>(), Err(LinkError::Scheme));
        let mut plain = link("http://192.0.2.1:80/");
        assert_eq!(plain.to_string().parse::<ContactLink>(), Err(LinkError::Plaintext));
        plain.relay = Url::parse("https://192.0.2.1/").unwrap();
        assert!(plain.to_string().parse::<ContactLink>().is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = text.parse::<ContactLink>();
            let _ = format!("subrosa://{text}").parse::<ContactLink>();
        }

        #[test]
        fn one_changed_character_is_noticed(at in 0usize..90, with in "[A-Za-z0-9_-]") {
            let text = link("http://127.0.0.1:8443/").to_string();
            let start = text.find('#').unwrap() + 1;
            let at = start + at % (text.len() - start);
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            if changed != text {
                prop_assert!(changed.parse::<ContactLink>().is_err());
            }
        }
    }
}
