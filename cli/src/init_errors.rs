//! What goes wrong when an account is made, in the words of both ways to make one.

use subrosa_client_core::{ApiError, ErrorKind, account::RegistrationToken, clean::clean_line, net::NetError};
use url::Url;

/// A registration token as it was typed.
pub(crate) fn registration_token_text(text: &str) -> Result<RegistrationToken, ApiError> {
    RegistrationToken::from_text(text).map_err(|_| {
        ApiError::new(ErrorKind::Usage, "this is no registration token")
            .hint("it has 32 digits of 0-9 a-f; the relay's host makes it")
    })
}

/// Trust in a key that nobody vouches for is a person's decision: they see the key and the command that accepts it.
pub(crate) fn no_answer(error: &NetError, relay: &Url, name: &str) -> ApiError {
    let NetError::UnknownKey { pin, .. } = error else { return error.to_api() };
    let relay = relay.as_str().trim_end_matches('/');
    let pin = hex::encode(pin);
    ApiError::new(
        ErrorKind::RelayUnreachable,
        format!("no known authority vouches for {relay}; its key (SHA-256) is {pin}"),
    )
    .hint(format!(
        "compare that with what the relay's host tells you (never skip this). Only if it is the same: \
         subrosa init --relay {relay} --pin {pin} --name {}",
        clean_line(name)
    ))
}
