//! Relay links: all that `init` needs to know of a relay, in one paste.
//!
//! `subrosa-relay://HOST:PORT/#BASE64URL`. The part behind `#` is
//! version u8=1 ‖ flags u8 ‖ [pin (32)] ‖ [registration token (16)] ‖ checksum (4),
//! with flags and checksum as in a contact link ([`crate::link`]).

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use crate::{
    RegistrationToken,
    limits::MAX_AUTHORITY_BYTES,
    link::{
        CHECKSUM_BYTES, LinkError, PIN, PLAINTEXT, REGISTRATION, VERSION, authority, checksum, may_be_plaintext, take,
    },
};

const SCHEME: &str = "subrosa-relay://";

/// Longest text that is looked at: authority, payload in base64, and slack.
const MAX_LINK_CHARS: usize = MAX_AUTHORITY_BYTES + 256;

/// What a relay link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLink {
    /// The relay, `https`, or `http` where [`may_be_plaintext`] allows it.
    pub relay: Url,
    /// SHA-256 of a self-signed relay's key.
    pub pin: Option<[u8; 32]>,
    /// For a relay with closed registration; one use.
    pub registration: Option<RegistrationToken>,
}

impl RelayLink {
    /// Whether a text claims to be one.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.trim_start().starts_with(SCHEME)
    }
}

impl fmt::Display for RelayLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = authority(&self.relay).ok_or(fmt::Error)?;
        let mut payload = vec![VERSION, 0];
        if self.relay.scheme() == "http" {
            payload[1] |= PLAINTEXT;
        }
        if let Some(pin) = &self.pin {
            payload[1] |= PIN;
            payload.extend_from_slice(pin);
        }
        if let Some(token) = &self.registration {
            payload[1] |= REGISTRATION;
            payload.extend_from_slice(token.as_bytes());
        }
        payload.extend_from_slice(&checksum(&authority, &payload));
        write!(f, "{SCHEME}{authority}/#{}", URL_SAFE_NO_PAD.encode(payload))
    }
}

impl FromStr for RelayLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        let rest = text.strip_prefix(SCHEME).ok_or(LinkError::Scheme)?;
        if text.len() > MAX_LINK_CHARS {
            return Err(LinkError::Damaged);
        }
        let (authority_text, payload) = rest.split_once("/#").ok_or(LinkError::Damaged)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| LinkError::Damaged)?;
        let mut bytes = payload.as_slice();
        let [version, flags] = take::<2>(&mut bytes)?;
        if version != VERSION || flags & !(PLAINTEXT | PIN | REGISTRATION) != 0 {
            return Err(LinkError::Version);
        }
        let covered = payload.len().checked_sub(CHECKSUM_BYTES).ok_or(LinkError::Damaged)?;
        if checksum(authority_text, &payload[..covered]) != payload[covered..] {
            return Err(LinkError::Damaged);
        }
        let pin = if flags & PIN == 0 { None } else { Some(take(&mut bytes)?) };
        let registration =
            if flags & REGISTRATION == 0 { None } else { Some(RegistrationToken::new(take(&mut bytes)?)) };
        if bytes.len() != CHECKSUM_BYTES {
            return Err(LinkError::Damaged);
        }
        let scheme = if flags & PLAINTEXT == 0 { "https" } else { "http" };
        let relay = Url::parse(&format!("{scheme}://{authority_text}/")).map_err(|_| LinkError::Relay)?;
        // The text must be exactly the authority: no user, path, query or other spelling of the host.
        if authority(&relay).as_deref() != Some(authority_text) || !relay.username().is_empty() {
            return Err(LinkError::Relay);
        }
        if scheme == "http" && !may_be_plaintext(&relay) {
            return Err(LinkError::Plaintext);
        }
        Ok(Self { relay, pin, registration })
    }
}

/// A pin as people copy it: 64 hexadecimal digits, colons between them are allowed.
#[must_use]
pub fn pin_from_text(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.trim().chars().filter(|char| *char != ':').take(65).collect();
    let mut pin = [0; 32];
    hex::decode_to_slice(digits, &mut pin).ok()?;
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(relay: &str) -> RelayLink {
        RelayLink { relay: Url::parse(relay).unwrap(), pin: None, registration: None }
    }

    #[test]
    fn links_round_trip() {
        for relay in [
            "http://127.0.0.1:8443/",
            "https://relay.example.org/",
            "https://192.0.2.7:8440/",
            "http://[::1]:9/",
            "http://abcdefghijklmnop.onion/",
        ] {
            let mut link = link(relay);
            assert_eq!(link.to_string().parse::<RelayLink>().unwrap(), link);
            link.pin = Some([5; 32]);
            assert_eq!(link.to_string().parse::<RelayLink>().unwrap(), link);
            link.registration = Some(RegistrationToken::new([6; 16]));
            assert_eq!(link.to_string().parse::<RelayLink>().unwrap(), link);
            assert!(RelayLink::is_meant_by(&link.to_string()));
        }
    }

    #[test]
    fn the_bytes_are_these() {
        let mut link = link("https://relay.example.org/");
        link.pin = Some([0x11; 32]);
        link.registration = Some(RegistrationToken::new([0x22; 16]));
        let payload = [&[1, 6][..], &[0x11; 32], &[0x22; 16]].concat();
        let sum = checksum("relay.example.org:443", &payload);
        let text = URL_SAFE_NO_PAD.encode([payload, sum.to_vec()].concat());
        assert_eq!(link.to_string(), format!("subrosa-relay://relay.example.org:443/#{text}"));
    }

    #[test]
    fn a_cut_changed_or_foreign_link_is_told_apart() {
        let text = link("https://192.0.2.1:8440/").to_string();
        assert_eq!(text[..text.len() - 3].parse::<RelayLink>(), Err(LinkError::Damaged));
        assert_eq!(text.replace("8440", "8444").parse::<RelayLink>(), Err(LinkError::Damaged));
        assert_eq!("https://example.org".parse::<RelayLink>(), Err(LinkError::Scheme));
        assert_eq!(link("http://192.0.2.1:80/").to_string().parse::<RelayLink>(), Err(LinkError::Plaintext));
    }

    #[test]
    fn pins_are_read_as_people_copy_them() {
        let plain = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        assert_eq!(pin_from_text(&plain), Some([0xab; 32]));
        assert_eq!(pin_from_text(&format!(" {colons}\n")), Some([0xab; 32]));
        for wrong in ["", "ab", &"ab".repeat(33), &"zz".repeat(32)] {
            assert_eq!(pin_from_text(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = text.parse::<RelayLink>();
            let _ = format!("subrosa-relay://{text}").parse::<RelayLink>();
            let _ = pin_from_text(&text);
        }
    }
}
