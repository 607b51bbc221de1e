//! Where an account is to live: read from what a person pastes into `init`.

use subrosa_wire::{
    ContactLink, LinkError, RegistrationToken, RelayLink,
    link::{is_link, pin_from_text},
};
use url::Url;

use crate::{
    api::{ApiError, ErrorKind},
    clean::clean_line,
};

/// A relay, and how it is known and entered.
#[derive(Debug, Clone)]
pub struct RelayAccess {
    /// Its address.
    pub url: Url,
    /// SHA-256 of its key, if nobody else vouches for it.
    pub pin: Option<[u8; 32]>,
    /// For a relay with closed registration.
    pub registration: Option<RegistrationToken>,
}

impl RelayAccess {
    /// From a URL, a relay link, or a contact link (whose relay then is ours, too), and a pin given apart.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`].
    pub fn read(text: &str, pin: Option<&str>) -> Result<Self, ApiError> {
        let usage = |message: String, hint: &str| ApiError::new(ErrorKind::Usage, message).hint(hint);
        let wrong = |why: &str| {
            usage(
                format!("{:?} is not a relay's address: {why}", clean_line(text)),
                "for example: --relay https://relay.example.org, or the whole link that the relay's host gave you",
            )
        };
        let bad_link = |error: LinkError| wrong(&error.to_string());
        let mut place = if is_link(text) && !ContactLink::is_meant_by(text) {
            let RelayLink { relay, pin, registration } = text.parse().map_err(bad_link)?;
            Self { url: relay, pin, registration }
        } else if is_link(text) {
            let link: ContactLink = text.parse().map_err(bad_link)?;
            Self { url: link.relay, pin: link.pin, registration: link.registration }
        } else {
            let url = Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(wrong("it begins with https:// (or http:// on this machine)"));
            }
            Self { url, pin: None, registration: None }
        };
        let Some(text) = pin else { return Ok(place) };
        let Some(pin) = pin_from_text(text) else {
            return Err(usage(
                "--pin is the SHA-256 of the relay's key: 64 hexadecimal digits".to_owned(),
                "copy it from the relay's host, or use the whole relay link",
            ));
        };
        if place.pin.is_some_and(|linked| linked != pin) {
            return Err(usage(
                "--pin and the link name different keys".to_owned(),
                "ask the relay's host for a new link",
            ));
        }
        if place.url.scheme() == "http" {
            return Err(usage(
                "--pin needs https://: without TLS the relay shows no key".to_owned(),
                "leave --pin away",
            ));
        }
        place.pin = Some(pin);
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_names_a_relay_is_read() {
        let link = RelayLink {
            relay: Url::parse("https://192.0.2.7:8440/").unwrap(),
            pin: Some([7; 32]),
            registration: Some(RegistrationToken::new([8; 16])),
        };
        let place = RelayAccess::read(&format!(" {link}\n"), None).unwrap();
        assert_eq!((place.url, place.pin), (link.relay.clone(), link.pin));
        assert!(place.registration.is_some());
        let place = RelayAccess::read("https://192.0.2.7:8440", Some(&"07".repeat(32))).unwrap();
        assert_eq!((place.url, place.pin), (link.relay.clone(), link.pin));
        assert!(RelayAccess::read(&link.to_string(), Some(&"07".repeat(32))).is_ok());
    }

    #[test]
    fn mistakes_are_told_before_anything_is_made() {
        let link =
            RelayLink { relay: Url::parse("https://192.0.2.7/").unwrap(), pin: Some([7; 32]), registration: None };
        for (text, pin, why) in [
            ("relay.example.org", None, "not a relay's address"),
            ("ftp://relay.example.org", None, "https://"),
            ("https://relay.example.org/i#AgIA", None, "damaged"),
            ("subrosa-relay://relay.example.org:443/#AQ", None, "older version"),
            ("https://relay.example.org/i", None, "cut"),
            ("https://relay.example.org", Some("abc"), "64 hexadecimal"),
            ("http://127.0.0.1:8440", Some(&*"07".repeat(32)), "needs https"),
            (&*link.to_string(), Some(&*"08".repeat(32)), "different keys"),
        ] {
            let error = RelayAccess::read(text, pin).unwrap_err();
            assert!(error.message.contains(why), "{text}: {}", error.message);
        }
    }
}
