//! Error codes of the protocol. A code never says more than the asker may know.

use std::fmt;

/// Why a relay refuses. Unknown numbers from a newer relay become [`ErrorCode::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The bytes are not a frame of this protocol, or a frame that does not belong here.
    Malformed,
    /// None of the offered protocol versions is spoken here.
    UnsupportedVersion,
    /// The signature over the challenge does not verify, or the device is not on the account's list.
    AuthenticationFailed,
    /// The client signed for another relay than this one.
    WrongRelay,
    /// The capability is not valid here: wrong, expired, or its account does not exist (the relay does not say which).
    CapabilityRefused,
    /// The contact token is bound to another joiner.
    TokenUsed,
    /// The handle is taken by another account.
    HandleTaken,
    /// The handle has characters or a length that the relay does not allow.
    HandleInvalid,
    /// The account already exists here with another handle or another list.
    AccountExists,
    /// No such handle or account.
    NotFound,
    /// A signature in a record, certificate or list does not verify, or its layout is wrong.
    InvalidSignature,
    /// The device list is older than the one the relay holds, or another one of the same version.
    OldDeviceList,
    /// Too much at once; `retry_after` says when to come back.
    RateLimited,
    /// A quota of stored things (tokens, prekeys, requests) is used up.
    QuotaExceeded,
    /// A request to this person is already waiting.
    RequestPending,
    /// The frame or body is larger than the limit.
    TooLarge,
    /// The relay cannot store anything now (disk full, shutting down); try later.
    Unavailable,
    /// This relay does not let strangers register.
    RegistrationClosed,
    /// The relay's host has disabled the account: it neither connects nor receives.
    AccountDisabled,
    /// This relay lets in who brings a registration token, and none was given.
    RegistrationTokenNeeded,
    /// The registration token is wrong, used up, expired or revoked (the relay does not say which).
    RegistrationTokenRefused,
    /// The device has not connected for [`IDLE_DAYS`](crate::limits::IDLE_DAYS): nothing is stored for it until it does.
    DeviceIdle,
    /// Another copy of the device has logged in since this one did.
    OtherCopy,
    /// A code this build does not know.
    Unknown(u32),
}

/// `(code, number, text)`: the one table that both directions and the texts come from.
const TABLE: [(ErrorCode, u32, &str); 23] = [
    (ErrorCode::Malformed, 1, "malformed frame"),
    (ErrorCode::UnsupportedVersion, 2, "no common protocol version"),
    (ErrorCode::AuthenticationFailed, 3, "authentication failed"),
    (ErrorCode::WrongRelay, 4, "signed for another relay"),
    (ErrorCode::CapabilityRefused, 5, "capability refused"),
    (ErrorCode::TokenUsed, 6, "contact token already used"),
    (ErrorCode::HandleTaken, 7, "handle taken"),
    (ErrorCode::HandleInvalid, 8, "handle not allowed"),
    (ErrorCode::AccountExists, 9, "account exists with other data"),
    (ErrorCode::NotFound, 10, "not found"),
    (ErrorCode::InvalidSignature, 11, "invalid signature or layout"),
    (ErrorCode::OldDeviceList, 12, "device list older than the known one"),
    (ErrorCode::RateLimited, 13, "rate limited"),
    (ErrorCode::QuotaExceeded, 14, "quota exceeded"),
    (ErrorCode::RequestPending, 15, "a request is already waiting"),
    (ErrorCode::TooLarge, 16, "too large"),
    (ErrorCode::Unavailable, 17, "relay cannot store now"),
    (ErrorCode::RegistrationClosed, 18, "registration is closed"),
    (ErrorCode::AccountDisabled, 19, "the relay's host has disabled the account"),
    (ErrorCode::RegistrationTokenNeeded, 20, "a registration token is needed"),
    (ErrorCode::RegistrationTokenRefused, 21, "the registration token is wrong, used or expired"),
    (ErrorCode::DeviceIdle, 22, "the device has not connected for a long time"),
    (ErrorCode::OtherCopy, 23, "another copy of the device has logged in since"),
];

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        if let Self::Unknown(number) = self {
            return number;
        }
        TABLE.iter().find(|(code, ..)| *code == self).map_or(0, |(_, number, _)| *number)
    }

    /// The code for a number from the wire.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        TABLE.iter().find(|(_, n, _)| *n == number).map_or(Self::Unknown(number), |(code, ..)| *code)
    }

    /// The HTTP status that carries this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::AuthenticationFailed | Self::WrongRelay => 401,
            Self::CapabilityRefused
            | Self::TokenUsed
            | Self::RegistrationClosed
            | Self::AccountDisabled
            | Self::RegistrationTokenNeeded
            | Self::RegistrationTokenRefused => 403,
            Self::NotFound => 404,
            Self::HandleTaken | Self::AccountExists | Self::OldDeviceList | Self::RequestPending | Self::OtherCopy => {
                409
            }
            Self::TooLarge => 413,
            Self::RateLimited | Self::QuotaExceeded => 429,
            Self::Unavailable => 503,
            _ => 400,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "unknown relay error {number}"),
            known => f.write_str(TABLE.iter().find(|(code, ..)| code == known).map_or("unknown", |(.., text)| text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_one_to_one() {
        for (code, number, _) in TABLE {
            assert_eq!(code.number(), number);
            assert_eq!(ErrorCode::from_number(number), code);
        }
        assert_eq!(ErrorCode::from_number(9_999), ErrorCode::Unknown(9_999));
        assert_eq!(ErrorCode::Unknown(9_999).number(), 9_999);
    }
}
