//! Network errors in the words that interfaces show.

use subrosa_wire::ErrorCode;

use crate::{
    api::{ApiError, ErrorKind},
    net::NetError,
};

impl NetError {
    /// Kind (and so the exit code), cause and fix.
    #[must_use]
    pub fn to_api(&self) -> ApiError {
        let (kind, hint) = match self {
            Self::Address { .. } => (ErrorKind::Usage, "give the relay's URL, e.g. https://relay.example.org"),
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Closed => (
                ErrorKind::RelayUnreachable,
                "check the address and your connection; what is queued is sent when the relay is reached",
            ),
            Self::UnknownKey { .. } => (
                ErrorKind::RelayUnreachable,
                "if it is a relay of somebody you know, ask them for its link: the link names its key",
            ),
            Self::Protocol { .. } => (
                ErrorKind::RelayUnreachable,
                "is this address a Subrosa relay? a captive network can also answer in its place",
            ),
            Self::NewerRelay => (ErrorKind::Failed, "update subrosa, or ask the relay's host to update"),
            Self::Refused(refusal) => match refusal.code {
                ErrorCode::RateLimited | ErrorCode::QuotaExceeded => (ErrorKind::RateLimited, "try again later"),
                ErrorCode::Unavailable => (ErrorKind::RelayUnreachable, "the relay is busy or full: try again later"),
                ErrorCode::NotFound => (ErrorKind::NotFound, "check the name"),
                ErrorCode::HandleTaken => (ErrorKind::Refused, "choose another handle (--name)"),
                ErrorCode::HandleInvalid => {
                    (ErrorKind::Usage, "a name has 3 to 32 of a-z 0-9 . _ - and begins and ends with a letter or digit")
                }
                ErrorCode::WrongRelay => {
                    (ErrorKind::Refused, "the relay knows itself by another address: use the one its host gave you")
                }
                ErrorCode::AuthenticationFailed => (
                    ErrorKind::Refused,
                    "this device is not on the account's list there any more, or somebody stands between here and the relay: a program or network that looks into TLS, or worse; try another network, and ask the relay's host",
                ),
                ErrorCode::RegistrationClosed => {
                    (ErrorKind::Refused, "ask the relay's host for an invitation, or choose another relay")
                }
                ErrorCode::RegistrationTokenNeeded => (
                    ErrorKind::Refused,
                    "ask the relay's host for a relay link or a registration token, and give that (--relay, --registration-token)",
                ),
                ErrorCode::RegistrationTokenRefused => {
                    (ErrorKind::Refused, "ask the relay's host for a new registration token")
                }
                ErrorCode::AccountDisabled => {
                    (ErrorKind::Refused, "nothing is sent or received until the relay's host enables it: ask them")
                }
                ErrorCode::CapabilityRefused | ErrorCode::TokenUsed => {
                    (ErrorKind::LinkUsed, "ask for a new contact link: each works once")
                }
                _ => (ErrorKind::Refused, "this relay does not accept what was asked"),
            },
        };
        let error = ApiError::new(kind, self.to_string());
        match self.retry_after() {
            Some(wait) => error.hint(format!("try again in {} s", wait.as_secs().max(1))),
            None => error.hint(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_wire::submit::Refusal;

    #[test]
    fn a_refusal_for_a_while_says_for_how_long_and_exits_with_7() {
        let error = NetError::Refused(Refusal { code: ErrorCode::RateLimited, retry_after_s: 12 }).to_api();
        assert_eq!((error.code, error.code.exit_code()), (ErrorKind::RateLimited, 7));
        assert_eq!(error.hint.as_deref(), Some("try again in 12 s"));
        let error = NetError::Refused(Refusal::never(ErrorCode::QuotaExceeded)).to_api();
        assert_eq!(error.hint.as_deref(), Some("try again later"));
    }
}
