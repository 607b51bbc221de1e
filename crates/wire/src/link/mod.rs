//! Links: what they have in common, and contact links. Whoever opens a contact link trusts without comparing numbers.
//!
//! `https://RELAY/i#BASE64URL`; `http://` for a plaintext relay (loopback and onion services only); also read as
//! `subrosa://RELAY/i#BASE64URL`. Everything secret stands behind `#`, which browsers do not send. The part behind it is
//! version u8=2 ‖ kind u8 ‖ flags u8 ‖ the fields of the kind ‖ [pin (32)] ‖ [registration token (16)] ‖ checksum (4).
//! Kind 1 is a contact link: account id (32) ‖ list version u32 ‖ link secret (16) ‖ handle length u8 ‖ handle. Kind 2 is a relay
//! link ([`RelayLink`]).
//! Flags: 1 = plaintext relay, 2 = pin present, 4 = registration token present.
//! The checksum is the start of SHA-256 over the relay's `host:port` and all bytes before it: it tells a
//! mistyped or cut link from a wrong one; it is no authentication.

mod address;
mod relay;

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{AccountId, Handle, LinkSecret, RegistrationToken, limits::MAX_AUTHORITY_BYTES};

pub use address::{authority, is_loopback, is_onion, is_private, may_be_plaintext};
pub use relay::{RelayLink, pin_from_text};

const VERSION: u8 = 2;
/// The version before this one, in links with `subrosa://` and `subrosa-relay://` of their own.
const OLD_VERSION: u8 = 1;
const PLAINTEXT: u8 = 1;
const PIN: u8 = 2;
const REGISTRATION: u8 = 4;
const CHECKSUM_BYTES: usize = 4;
/// Version, kind and flags.
const HEAD_BYTES: usize = 3;
/// The path of every link: where a relay can show a page that says what to do with it.
const PATH: &str = "i";
/// The scheme of relay links before version 2.
const OLD_RELAY_SCHEME: &str = "subrosa-relay://";

/// What messengers and people put around a link.
const WRAPPING: &[char] =
    &['<', '>', '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}'];

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
    /// One use. No relay sees it: token and proof are made of it.
    pub secret: LinkSecret,
    /// For a relay with closed registration.
    pub registration: Option<RegistrationToken>,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// A person's: [`ContactLink`].
    Contact,
    /// A relay's: [`RelayLink`].
    Relay,
}

impl LinkKind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Contact => 1,
            Self::Relay => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Contact),
            2 => Some(Self::Relay),
            _ => None,
        }
    }

    /// What a text claims to be a link for, however damaged; `None` if that cannot be told.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        match Shape::of(text) {
            Ok(Shape { payload, .. }) => match *payload.first_chunk::<2>()? {
                [VERSION, kind] => Self::from_byte(kind),
                _ => None,
            },
            Err(_) if unwrapped(text).starts_with(OLD_RELAY_SCHEME) => Some(Self::Relay),
            Err(LinkError::Old) => Some(Self::Contact),
            Err(_) => None,
        }
    }
}

/// Whether a text claims to be a link of either kind, however damaged; an address of a relay is none.
#[must_use]
pub fn is_link(text: &str) -> bool {
    !matches!(Shape::of(text), Err(LinkError::Scheme))
}

/// Why a text is no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Another address, or none.
    #[error("a link looks like https://RELAY/i#\u{2026}")]
    Scheme,
    /// The part behind `#` is missing.
    #[error("the link was cut at its #, some messengers do that: have it sent again as plain text, and copy it whole")]
    Cut,
    /// The relay part is no `host:port`, or its scheme is not the one the link was made with.
    #[error("the relay address in the link is not valid")]
    Relay,
    /// Cut or mistyped.
    #[error("the link is damaged or incomplete: copy it again, whole")]
    Damaged,
    /// From an older program.
    #[error("the link was made by an older version of Subrosa: ask for a new one")]
    Old,
    /// From a newer program.
    #[error("the link was made by a newer version of Subrosa: update to use it")]
    Version,
    /// A relay's, where a person's is wanted.
    #[error("this is the link of a relay, not of a person")]
    IsRelay,
    /// A person's, where a relay's is wanted.
    #[error("this is the link of a person, not of a relay")]
    IsContact,
    /// Plaintext to another machine.
    #[error("the link asks for an unencrypted connection to another machine")]
    Plaintext,
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
    kind: LinkKind,
    relay: &Url,
    fields: &[u8],
    pin: Option<&[u8; 32]>,
    registration: Option<&RegistrationToken>,
) -> fmt::Result {
    let authority = authority(relay).ok_or(fmt::Error)?;
    let scheme = relay.scheme();
    let mut payload = vec![VERSION, kind.to_byte(), if scheme == "http" { PLAINTEXT } else { 0 }];
    payload.extend_from_slice(fields);
    if let Some(pin) = pin {
        payload[2] |= PIN;
        payload.extend_from_slice(pin);
    }
    if let Some(token) = registration {
        payload[2] |= REGISTRATION;
        payload.extend_from_slice(token.as_bytes());
    }
    payload.extend_from_slice(&checksum(&authority, &payload));
    // The port of the scheme goes without saying.
    let shown = match relay.port() {
        Some(_) => authority.as_str(),
        None => authority.rsplit_once(':').ok_or(fmt::Error)?.0,
    };
    write!(f, "{scheme}://{shown}/{PATH}#{}", URL_SAFE_NO_PAD.encode(payload))
}

/// A text without what was put around it.
fn unwrapped(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || WRAPPING.contains(&char))
}

/// A text that looks like a link, taken apart; nothing of it is checked.
struct Shape<'a> {
    /// Whether the scheme says plaintext; `None`: a scheme that says nothing.
    plaintext: Option<bool>,
    authority: &'a str,
    payload: Vec<u8>,
}

impl<'a> Shape<'a> {
    fn of(text: &'a str) -> Result<Self, LinkError> {
        let text = unwrapped(text);
        let (scheme, rest) = text.split_once("://").ok_or(LinkError::Scheme)?;
        let plaintext = match scheme.to_ascii_lowercase().as_str() {
            "https" => Some(false),
            "http" => Some(true),
            "subrosa" => None,
            "subrosa-relay" => return Err(LinkError::Old),
            _ => return Err(LinkError::Scheme),
        };
        let (authority, rest) = rest.split_once('/').ok_or(LinkError::Scheme)?;
        // As links were written before version 2.
        if plaintext.is_none() && rest.starts_with('#') {
            return Err(LinkError::Old);
        }
        let (path, payload) = rest.split_once('#').unwrap_or((rest, ""));
        if path != PATH {
            return Err(LinkError::Scheme);
        }
        if payload.is_empty() {
            return Err(LinkError::Cut);
        }
        if text.len() > MAX_LINK_CHARS {
            return Err(LinkError::Damaged);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| LinkError::Damaged)?;
        Ok(Self { plaintext, authority, payload })
    }
}

/// A link whose version, kind and checksum are right. The fields of its kind are read from [`Parts::fields`], then come the rest.
pub(crate) struct Parts {
    /// `host:port`.
    authority: String,
    flags: u8,
    payload: Vec<u8>,
}

impl Parts {
    /// Takes a text apart.
    pub(crate) fn of(text: &str, wanted: LinkKind) -> Result<Self, LinkError> {
        let Shape { plaintext, authority, mut payload } = Shape::of(text)?;
        let [version, kind, flags] = take::<HEAD_BYTES>(&mut payload.as_slice())?;
        let kind = match version {
            VERSION => LinkKind::from_byte(kind).ok_or(LinkError::Version)?,
            OLD_VERSION => return Err(LinkError::Old),
            _ => return Err(LinkError::Version),
        };
        if flags & !(PLAINTEXT | PIN | REGISTRATION) != 0 {
            return Err(LinkError::Version);
        }
        match kind {
            _ if kind == wanted => {}
            LinkKind::Contact => return Err(LinkError::IsContact),
            LinkKind::Relay => return Err(LinkError::IsRelay),
        }
        let is_plain = flags & PLAINTEXT != 0;
        // A port may go without saying, but for an IPv6 address its colons are no port.
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let authority = match (has_port, is_plain) {
            (true, _) => authority.to_owned(),
            (false, true) => format!("{authority}:80"),
            (false, false) => format!("{authority}:443"),
        };
        let covered = payload.len().checked_sub(CHECKSUM_BYTES).filter(|end| *end >= HEAD_BYTES);
        let covered = covered.ok_or(LinkError::Damaged)?;
        if checksum(&authority, &payload[..covered]) != payload[covered..] {
            return Err(LinkError::Damaged);
        }
        if plaintext.is_some_and(|said| said != is_plain) {
            return Err(LinkError::Relay);
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
        if authority(&relay).as_deref() != Some(self.authority.as_str()) || !relay.username().is_empty() {
            return Err(LinkError::Relay);
        }
        if scheme == "http" && !may_be_plaintext(&relay) {
            return Err(LinkError::Plaintext);
        }
        Ok(RelayLink { relay, pin, registration })
    }
}

impl ContactLink {
    /// Whether a text claims to be one.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        LinkKind::of(text) == Some(LinkKind::Contact)
    }
}

impl fmt::Display for ContactLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handle = self.handle.as_str().as_bytes();
        let handle_len = u8::try_from(handle.len()).map_err(|_| fmt::Error)?;
        let list_version = self.list_version.to_be_bytes();
        let fields = [&self.account.0, &list_version[..], self.secret.as_bytes(), &[handle_len], handle].concat();
        write(f, LinkKind::Contact, &self.relay, &fields, self.pin.as_ref(), self.registration.as_ref())
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
        let parts = Parts::of(text, LinkKind::Contact)?;
        let mut bytes = parts.fields();
        let account = AccountId(take(&mut bytes)?);
        let list_version = u32::from_be_bytes(take(&mut bytes)?);
        let secret = LinkSecret::new(take(&mut bytes)?);
        let [handle_len] = take(&mut bytes)?;
        let (handle, rest) = bytes.split_at_checked(usize::from(handle_len)).ok_or(LinkError::Damaged)?;
        let handle = str::from_utf8(handle).ok().and_then(|handle| handle.parse().ok()).ok_or(LinkError::Damaged)?;
        let RelayLink { relay, pin, registration } = parts.rest(rest)?;
        Ok(Self { relay, pin, account, handle, list_version, secret, registration })
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
            secret: LinkSecret::new([9; 16]),
            registration: None,
        }
    }

    #[test]
    fn links_round_trip() {
        for relay in [
            "http://127.0.0.1:8443/",
            "https://relay.example.org/",
            "http://[::1]:9/",
            "http://[::1]/",
            "https://[2001:db8::1]/",
        ] {
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
        for other in
            ["https://example.org", "https://example.org/", "https://example.org/x#AQ", "mailto:bob@example.org", ""]
        {
            assert_eq!(other.parse::<ContactLink>(), Err(LinkError::Scheme), "{other}");
            assert!(!is_link(other), "{other}");
        }
        let mut plain = link("http://192.0.2.1:80/");
        assert_eq!(plain.to_string().parse::<ContactLink>(), Err(LinkError::Plaintext));
        plain.relay = Url::parse("https://192.0.2.1/").unwrap();
        assert!(plain.to_string().parse::<ContactLink>().is_ok());
    }

    #[test]
    fn the_port_of_the_scheme_is_left_out_and_read_both_ways() {
        for (relay, begins, spelled) in [
            ("https://relay.example.org/", "https://relay.example.org/i#", "https://relay.example.org:443/i#"),
            ("http://localhost/", "http://localhost/i#", "http://localhost:80/i#"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]/i#", "https://[2001:db8::1]:443/i#"),
            ("https://192.0.2.7:8440/", "https://192.0.2.7:8440/i#", "https://192.0.2.7:8440/i#"),
        ] {
            let link = link(relay);
            let text = link.to_string();
            let payload = text.strip_prefix(begins).unwrap_or_else(|| panic!("{text}"));
            for scheme in ["subrosa://", "Subrosa://"] {
                let (_, rest) = text.split_once("://").unwrap();
                assert_eq!(format!("{scheme}{rest}").parse::<ContactLink>().as_ref(), Ok(&link));
            }
            assert_eq!(format!("{spelled}{payload}").parse::<ContactLink>().as_ref(), Ok(&link));
        }
        // The port of the other scheme is another relay.
        let text = link("https://relay.example.org/").to_string().replace("org/", "org:80/");
        assert_eq!(text.parse::<ContactLink>(), Err(LinkError::Damaged));
    }

    #[test]
    fn what_messengers_put_around_a_link_is_forgiven() {
        let link = link("https://relay.example.org/");
        for (before, behind) in [
            ("<", ">"),
            (" \n", "\r\n"),
            ("\u{201c}", "\u{201d}"),
            ("\u{ab}\u{a0}", "\u{a0}\u{bb}"),
            ("'", "'"),
            ("`", "`"),
        ] {
            assert_eq!(format!("{before}{link}{behind}").parse::<ContactLink>().as_ref(), Ok(&link));
        }
        let text = link.to_string();
        let cut = &text[..text.find('#').unwrap()];
        for cut in [cut.to_owned(), format!("{cut}#"), format!("<{cut}>")] {
            assert_eq!(cut.parse::<ContactLink>(), Err(LinkError::Cut), "{cut}");
            assert!(is_link(&cut));
        }
    }

    #[test]
    fn the_scheme_says_what_the_link_says() {
        let plain = link("http://127.0.0.1:8443/").to_string();
        assert_eq!(plain.replace("http://", "https://").parse::<ContactLink>(), Err(LinkError::Relay));
        let secure = link("https://relay.example.org:8443/").to_string();
        assert_eq!(secure.replace("https://", "http://").parse::<ContactLink>(), Err(LinkError::Relay));
    }

    #[test]
    fn links_of_other_kinds_and_times_are_told_apart() {
        let contact = link("https://relay.example.org/").to_string();
        let relay =
            RelayLink { relay: Url::parse("https://relay.example.org/").unwrap(), pin: None, registration: None };
        let relay = relay.to_string();
        assert_eq!(relay.parse::<ContactLink>(), Err(LinkError::IsRelay));
        assert_eq!(contact.parse::<RelayLink>(), Err(LinkError::IsContact));
        assert!(ContactLink::is_meant_by(&contact) && !RelayLink::is_meant_by(&contact));
        assert!(RelayLink::is_meant_by(&relay) && !ContactLink::is_meant_by(&relay));
        for (old, kind) in [
            ("subrosa://relay.example.org:443/#AQAA", LinkKind::Contact),
            ("subrosa-relay://192.0.2.7:8440/#AQIx", LinkKind::Relay),
        ] {
            assert_eq!(old.parse::<ContactLink>(), Err(LinkError::Old));
            assert_eq!(old.parse::<RelayLink>(), Err(LinkError::Old));
            assert_eq!(LinkKind::of(old), Some(kind));
        }
        assert_eq!("https://relay.example.org/i#AQAA".parse::<ContactLink>(), Err(LinkError::Old));
        assert_eq!("https://relay.example.org/i#AwEA".parse::<ContactLink>(), Err(LinkError::Version));
        assert_eq!("https://relay.example.org/i#AgkA".parse::<ContactLink>(), Err(LinkError::Version), "kind 9");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = text.parse::<ContactLink>();
            for begins in ["https://", "https://relay.example/i#", "subrosa://", "http://[::1"] {
                let _ = format!("{begins}{text}").parse::<ContactLink>();
                let _ = LinkKind::of(&format!("{begins}{text}"));
            }
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
