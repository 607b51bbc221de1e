//! Why something did not get through. Texts are ours (or the operating system's), never the relay's.

use std::{error::Error, io, time::Duration};

use rustls::CertificateError;
use subrosa_wire::{ErrorCode, WireError, submit::Refusal};
use tokio_tungstenite::tungstenite;

use super::{
    RelayEndpoint,
    tls::{OtherKey, UnknownKey, own_cause},
};
use crate::limits::RETRY_MAX;

/// A failed call or connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// No relay address.
    #[error("this is no relay address: {cause}")]
    Address {
        /// What is wrong with it.
        cause: &'static str,
    },
    /// No connection: name not found, refused, TLS failed, …
    #[error("cannot reach the relay {relay}: {cause}")]
    Unreachable {
        /// The relay's URL.
        relay: String,
        /// Which of them.
        cause: String,
    },
    /// It shows a key for which no known authority vouches, and no pin was given.
    #[error("cannot reach the relay {relay}: {UNKNOWN_KEY}")]
    UnknownKey {
        /// The relay's URL.
        relay: String,
        /// SHA-256 of the key.
        pin: [u8; 32],
    },
    /// It did not answer in time.
    #[error("the relay {relay} did not answer: {what} took longer than {} s", after.as_secs())]
    Timeout {
        /// The relay's URL.
        relay: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// It said no; the code says why.
    #[error("the relay refused: {}", .0.code)]
    Refused(Refusal),
    /// It sent what is not of this protocol: broken, hostile, or no relay at all.
    #[error("the answer of {relay} is not of Subrosa's protocol: {cause}")]
    Protocol {
        /// The relay's URL.
        relay: String,
        /// What was wrong.
        cause: String,
    },
    /// The connection ended (or was not there) before the answer came.
    #[error("not connected to the relay")]
    Closed,
    /// The relay and this program have no protocol version in common.
    #[error("the relay speaks another version of the protocol: update subrosa, or ask the relay's host to update")]
    NewerRelay,
}

impl NetError {
    /// Whether the same call may succeed later by itself. `Protocol` counts: what answered may be a
    /// captive network or a half-started relay, and a message must not be given up for that.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::UnknownKey { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::Closed => true,
            Self::Refused(refusal) => {
                refusal.retry_after_s > 0 || matches!(refusal.code, ErrorCode::RateLimited | ErrorCode::Unavailable)
            }
            Self::Address { .. } | Self::NewerRelay => false,
        }
    }

    /// When the relay asked to be left alone for a while: how long, at most [`RETRY_MAX`], so that no
    /// relay can silence a client for ever.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) if refusal.retry_after_s > 0 => {
                Some(Duration::from_secs(refusal.retry_after_s.into()).min(RETRY_MAX))
            }
            _ => None,
        }
    }

    pub(super) fn protocol(relay: &RelayEndpoint, cause: impl Into<String>) -> Self {
        Self::Protocol { relay: relay.to_string(), cause: cause.into() }
    }

    pub(super) fn unreachable(relay: &RelayEndpoint, cause: impl Into<String>) -> Self {
        Self::Unreachable { relay: relay.to_string(), cause: cause.into() }
    }

    pub(super) fn timeout(relay: &RelayEndpoint, what: &'static str, after: Duration) -> Self {
        Self::Timeout { relay: relay.to_string(), what, after }
    }

    pub(super) fn wire(relay: &RelayEndpoint, error: &WireError) -> Self {
        Self::protocol(relay, error.to_string())
    }

    /// A relay that goes away for a while, in the words of a refusal.
    pub(super) fn going_away(retry_after: Duration) -> Self {
        Self::away(retry_after, ErrorCode::Unavailable)
    }

    /// A relay that is to be left alone for a while.
    pub(super) fn away(retry_after: Duration, code: ErrorCode) -> Self {
        let seconds = retry_after.as_millis().div_ceil(1_000);
        Self::Refused(Refusal { code, retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX).max(1) })
    }

    /// What a relay refuses while a connection is being made.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        match refusal.code {
            ErrorCode::UnsupportedVersion => Self::NewerRelay,
            _ => Self::Refused(refusal),
        }
    }

    /// A failure before the WebSocket stood.
    pub(super) fn connecting(relay: &RelayEndpoint, error: &tungstenite::Error) -> Self {
        use tungstenite::{Error as E, error::ProtocolError};
        match error {
            E::Http(response) => {
                let wait = response.headers().get("retry-after").map(|value| value.as_bytes());
                Self::http_status(relay, response.status().as_u16(), wait)
            }
            E::Protocol(ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake)
            | E::ConnectionClosed
            | E::AlreadyClosed => Self::unreachable(relay, "it closed the connection at once"),
            E::Io(_) | E::Tls(_) => Self::no_connection(relay, error),
            _ => Self::protocol(relay, "no relay answers at this address"),
        }
    }

    /// No connection, or no TLS.
    pub(super) fn no_connection(relay: &RelayEndpoint, error: &(dyn Error + 'static)) -> Self {
        let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        match tls.and_then(own_cause::<UnknownKey>) {
            Some(UnknownKey(pin)) => Self::UnknownKey { relay: relay.to_string(), pin: *pin },
            None => Self::unreachable(relay, cause_of(error)),
        }
    }

    /// A failure of a standing WebSocket.
    pub(super) fn broken(relay: &RelayEndpoint, error: &tungstenite::Error) -> Self {
        use tungstenite::{Error as E, error::ProtocolError};
        match error {
            E::ConnectionClosed
            | E::AlreadyClosed
            | E::Io(_)
            | E::Tls(_)
            | E::WriteBufferFull(_)
            | E::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Closed,
            E::Capacity(_) => Self::protocol(relay, "a frame exceeds the limit"),
            _ => Self::protocol(relay, "not a WebSocket frame"),
        }
    }

    /// An HTTP status without a refusal of ours in the body, as a refused upgrade and a proxy answer.
    pub(super) fn http_status(relay: &RelayEndpoint, status: u16, retry_after: Option<&[u8]>) -> Self {
        // Only whole seconds: a date would need a clock that both agree on.
        let seconds = retry_after.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
        let refused = |code| Self::Refused(Refusal { code, retry_after_s: seconds.unwrap_or(0) });
        match status {
            429 => refused(ErrorCode::RateLimited),
            503 if seconds.is_some() => refused(ErrorCode::Unavailable),
            502..=504 => Self::unreachable(relay, format!("the server in front of it says {status}")),
            _ => Self::protocol(relay, format!("no relay answers at this address (HTTP status {status})")),
        }
    }
}

/// An error and what caused it, outermost first.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // `source()` of an io::Error skips the error it carries.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(carried) => Some(carried),
            None => error.source(),
        }
    })
}

/// The deepest known cause of a failed connection, in our words.
pub(super) fn cause_of(error: &(dyn Error + 'static)) -> String {
    let mut text = "the connection failed".to_owned();
    for cause in causes(error) {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return tls_cause(tls).to_owned();
        }
        if cause.to_string().contains("dns error") {
            return DNS.to_owned();
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            text = io_cause(io);
        }
    }
    text
}

/// The same words with and without the key itself.
const UNKNOWN_KEY: &str = "its TLS certificate is not signed by a known authority";

/// One text for both ways a name can fail to resolve.
pub(super) const DNS: &str = "its host name was not found (is the address right, is this computer online?)";

/// A failed connection in our words; unknown kinds keep the operating system's.
pub(super) fn io_cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused (is the relay running?)".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => {
            "it closed the connection".to_owned()
        }
        io::ErrorKind::TimedOut => "no answer from its computer".to_owned(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "there is no way to its network (is this computer online?)".to_owned()
        }
        kind => match error.raw_os_error() {
            Some(_) => error.to_string(),
            None => kind.to_string(),
        },
    }
}

/// A failed TLS handshake in our words: the texts of certificates are the other side's.
fn tls_cause(error: &rustls::Error) -> &'static str {
    use CertificateError as C;
    if own_cause::<OtherKey>(error).is_some() {
        return "it shows another key than the pinned one: somebody is in between, or its host made a new key \
                (then ask the host for a new link)";
    }
    match error {
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its TLS certificate has expired by the clock of this computer (is the clock right?)"
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its TLS certificate is not valid yet by the clock of this computer (is the clock right?)"
        }
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => UNKNOWN_KEY,
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "its TLS certificate is for another name"
        }
        rustls::Error::InvalidCertificate(C::Revoked) => "its TLS certificate was revoked",
        rustls::Error::InvalidCertificate(_) => "its TLS certificate is not valid",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        _ => "TLS failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> RelayEndpoint {
        "https://relay.example.org".parse().unwrap()
    }

    #[test]
    fn certificates_that_are_not_valid_now_name_the_clock() {
        for kind in [CertificateError::Expired, CertificateError::NotValidYet] {
            let tls = rustls::Error::InvalidCertificate(kind);
            let error = tungstenite::Error::Io(io::Error::new(io::ErrorKind::InvalidData, tls));
            let NetError::Unreachable { relay, cause } = NetError::connecting(&relay(), &error) else {
                panic!("a TLS failure is an unreachable relay");
            };
            assert_eq!(relay, "https://relay.example.org");
            assert!(cause.contains("clock"), "{cause}");
        }
    }

    #[test]
    fn an_unknown_issuer_is_told_from_a_refused_connection() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let tls = cause_of(&tungstenite::Error::Io(io::Error::new(io::ErrorKind::InvalidData, tls)));
        let refused = cause_of(&tungstenite::Error::Io(io::ErrorKind::ConnectionRefused.into()));
        assert!(tls.contains("known authority"), "{tls}");
        assert!(refused.contains("refused"), "{refused}");
    }

    #[test]
    fn what_may_pass_by_itself_is_transient() {
        let refused = |code, retry_after_s| NetError::Refused(Refusal { code, retry_after_s });
        assert!(NetError::Closed.is_transient());
        assert!(NetError::unreachable(&relay(), "x").is_transient());
        assert!(refused(ErrorCode::Unavailable, 0).is_transient());
        assert!(refused(ErrorCode::QuotaExceeded, 5).is_transient());
        assert!(!refused(ErrorCode::QuotaExceeded, 0).is_transient());
        assert!(!refused(ErrorCode::AuthenticationFailed, 0).is_transient());
        assert!(!NetError::NewerRelay.is_transient());
    }

    #[test]
    fn no_relay_silences_a_client_for_longer_than_the_longest_wait() {
        let error = NetError::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s: u32::MAX });
        assert_eq!(error.retry_after(), Some(RETRY_MAX));
        assert_eq!(NetError::going_away(Duration::from_millis(1_200)).retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(NetError::going_away(Duration::ZERO).retry_after(), Some(Duration::from_secs(1)));
        assert_eq!(NetError::Closed.retry_after(), None);
    }
}
