//! Who may come in over HTTP: whoever knows the token, and no web page.
//!
//! A page in a browser on this machine can make requests to loopback addresses. Without the token it learns nothing; that
//! the host is checked as well keeps a name that somebody points to 127.0.0.1 (DNS rebinding) from ever being same-origin
//! with us.

use axum::http::{HeaderMap, StatusCode, header};
use subrosa_client_core::{ApiError, ErrorKind, rpc::HttpToken};

/// What is refused, and with which status.
pub(super) type Refusal = (StatusCode, ApiError);

#[derive(Debug)]
pub(super) struct Access {
    token: HttpToken,
    /// Names besides `localhost` and addresses.
    names: Vec<String>,
}

impl Access {
    pub(super) fn new(token: HttpToken, names: Vec<String>) -> Self {
        Self { token, names }
    }

    /// Whether the request was meant for us and comes from no other page.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if headers.get_all(header::HOST).iter().count() != 1 || !self.is_ours(host) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "the request's Host is neither localhost nor an address",
                "use http://127.0.0.1:PORT; a further name is allowed with `subrosa daemon --http-host NAME`",
            ));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let own = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
        if own == Some(host) {
            return Ok(());
        }
        Err(refuse(
            StatusCode::FORBIDDEN,
            "requests from web pages of other origins are refused",
            "call from a program, not from a page",
        ))
    }

    /// Whether the request carries the token.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if token.is_some_and(|token| self.token.is(token)) {
            return Ok(());
        }
        Err(refuse(
            StatusCode::UNAUTHORIZED,
            if given.is_none() { "a token is needed" } else { "this is not the token" },
            "send `Authorization: Bearer TOKEN`; the token is in the file http.token of the account's directory",
        ))
    }

    fn is_ours(&self, host: &str) -> bool {
        // An address cannot be pointed elsewhere by whoever runs a name server.
        let name = match host.strip_prefix('[') {
            Some(rest) => {
                return rest.split_once(']').is_some_and(|(address, _)| address.parse::<std::net::Ipv6Addr>().is_ok());
            }
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.parse::<std::net::Ipv4Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

pub(super) fn refuse(status: StatusCode, message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    (status, ApiError::new(ErrorKind::Usage, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use subrosa_client_core::home::Home;

    use super::*;

    fn access() -> (Access, String) {
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        let token = HttpToken::load_or_create(&home).unwrap();
        let text = std::fs::read_to_string(home.http_token()).unwrap();
        (Access::new(token, vec!["box.example.org".to_owned()]), text.trim().to_owned())
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<header::HeaderName>().unwrap(), value.parse::<header::HeaderValue>().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_our_names_and_our_origin_are_served() {
        let (access, _) = access();
        for host in ["127.0.0.1:7583", "localhost:1", "LOCALHOST", "[::1]:7583", "192.0.2.7", "box.example.org:443"] {
            assert!(access.check_host(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:7583", "localhost.evil:1", "", "[evil]", "2130706433"] {
            assert!(access.check_host(&headers(&[("host", host)])).is_err(), "{host}");
        }
        assert!(access.check_host(&HeaderMap::new()).is_err());
        assert!(access.check_host(&headers(&[("host", "localhost"), ("host", "evil.example")])).is_err());
        let from = |origin: &str| access.check_host(&headers(&[("host", "localhost:7583"), ("origin", origin)]));
        assert!(from("http://localhost:7583").is_ok());
        for origin in ["http://evil.example", "null", "http://localhost:3000", "http://localhost", ""] {
            assert!(from(origin).is_err(), "{origin}");
        }
    }

    #[test]
    fn only_the_token_opens() {
        let (access, token) = access();
        let with = |value: &str| access.check_token(&headers(&[("authorization", value)]));
        assert!(with(&format!("Bearer {token}")).is_ok());
        assert!(with(&format!("bearer {token}")).is_ok());
        for wrong in ["Bearer", "Bearer ", &token, &format!("Basic {token}"), &format!("Bearer {}", &token[1..])] {
            let (status, error) = with(wrong).unwrap_err();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong}");
            assert!(!format!("{error:?}").contains(&token[1..]), "the token is nowhere shown");
        }
        assert!(access.check_token(&HeaderMap::new()).is_err());
    }
}
