//! The token that stands for the account's owner where a connection does not tell its user: HTTP.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    api::{ApiError, ErrorKind},
    files::storage_error,
    home::Home,
};

/// 256 bits: no guessing, however fast the loopback is.
const TOKEN_BYTES: usize = 32;

/// Shorter ones, written by hand, could be guessed.
const MIN_TOKEN_CHARS: usize = 32;

/// A token file is one short line; more is not a token.
const MAX_FILE_BYTES: u64 = 512;

/// The token of an account's HTTP port.
pub struct HttpToken(Zeroizing<String>);

impl std::fmt::Debug for HttpToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpToken(..)")
    }
}

impl HttpToken {
    /// The token in the account's directory; made there (0600) the first time.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; [`ErrorKind::Usage`] for a file that others can read or that holds no token.
    pub fn load_or_create(home: &Home) -> Result<Self, ApiError> {
        let path = home.http_token();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::create(home),
            Err(error) => return Err(storage_error("read", &path, &error)),
        };
        let failed = |error: std::io::Error| storage_error("read", &path, &error);
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(ApiError::new(ErrorKind::Usage, format!("{} can be read by other users", path.display()))
                .hint(format!("remove it, so that a new one is made: rm {}", path.display())));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        let token = text.trim();
        if token.len() < MIN_TOKEN_CHARS || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("{} holds no token of {MIN_TOKEN_CHARS} or more characters", path.display()),
            )
            .hint("remove it, so that a new one is made"));
        }
        Ok(Self(Zeroizing::new(token.to_owned())))
    }

    fn create(home: &Home) -> Result<Self, ApiError> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        subrosa_ambient::fill(&mut *bytes).map_err(|error| {
            ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}"))
        })?;
        let token = Zeroizing::new(hex::encode(*bytes));
        let line = Zeroizing::new(format!("{}\n", token.as_str()));
        home.write_private(&home.http_token(), line.as_bytes())?;
        Ok(Self(token))
    }

    /// Whether this is the token. How long that takes says nothing about where they differ.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_private_and_never_shown() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        let made = HttpToken::load_or_create(&home).unwrap();
        let path = home.http_token();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(made.is(text.trim()) && HttpToken::load_or_create(&home).unwrap().is(text.trim()));
        assert!(!made.is("") && !made.is(&text[1..]) && !made.is(&text.replace(text.trim(), &"0".repeat(64))));
        assert!(!format!("{made:?}").contains(text.trim()));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(HttpToken::load_or_create(&home).unwrap_err().message.contains("other users"));
        home.write_private(&path, b"short\n").unwrap();
        assert_eq!(HttpToken::load_or_create(&home).unwrap_err().code, ErrorKind::Usage);
    }
}
