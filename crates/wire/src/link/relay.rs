//! Relay links: all that `init` needs to know of a relay, in one paste.
//!
//! A link ([`crate::link`]) of kind 2, without fields of its own.

use std::{fmt, str::FromStr};

use url::Url;

use super::{LinkError, LinkKind, Parts, write};
use crate::RegistrationToken;

/// What a relay link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLink {
    /// The relay, `https`, or `http` where [`crate::link::may_be_plaintext`] allows it.
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
        LinkKind::of(text) == Some(LinkKind::Relay)
    }
}

impl fmt::Display for RelayLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, LinkKind::Relay, &self.relay, &[], self.pin.as_ref(), self.registration.as_ref())
    }
}

impl FromStr for RelayLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let parts = Parts::of(text, LinkKind::Relay)?;
        parts.rest(parts.fields())
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
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::super::checksum;
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
        let payload = [&[2, 2, 6][..], &[0x11; 32], &[0x22; 16]].concat();
        let sum = checksum("relay.example.org:443", &payload);
        let text = URL_SAFE_NO_PAD.encode([payload, sum.to_vec()].concat());
        assert_eq!(link.to_string(), format!("https://relay.example.org/i#{text}"));
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
            let _ = format!("https://relay.example/i#{text}").parse::<RelayLink>();
            let _ = pin_from_text(&text);
        }
    }
}
