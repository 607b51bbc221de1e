//! Question and answer over HTTPS (PROTOCOL.md 2): register, resolve, devices, prekeys.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, RETRY_AFTER},
    redirect::Policy,
};
use subrosa_wire::{
    http::{CONTENT_TYPE, HttpCall, HttpMessage},
    limits::MAX_HTTP_BYTES,
    submit::Refusal,
};

use super::{
    NetError, RelayEndpoint,
    error::{cause_of, causes},
    tls,
};

/// TCP and TLS.
const HTTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole question with its answer: at most 32 KiB both ways and one disk sync.
const HTTP_TIMEOUT: Duration = Duration::from_secs(20);

/// Unused connections are kept this long: a joiner asks two or three things in a row, then nothing for days.
const HTTP_IDLE: Duration = Duration::from_secs(20);

/// Unused connections kept for each relay.
const HTTP_IDLE_PER_RELAY: usize = 1;

/// The pooled HTTPS client of an engine.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
}

impl Http {
    /// Makes the client; nothing is connected yet.
    ///
    /// # Errors
    /// [`NetError::Unreachable`] when TLS cannot be set up on this computer.
    pub fn new() -> Result<Self, NetError> {
        Self::with_timeouts(HTTP_CONNECT_TIMEOUT, HTTP_TIMEOUT)
    }

    pub(super) fn with_timeouts(connect: Duration, whole: Duration) -> Result<Self, NetError> {
        let failed = |cause: &str| NetError::Unreachable { relay: "any".to_owned(), cause: cause.to_owned() };
        let tls = tls::config().map_err(|_| failed("TLS cannot be set up on this computer"))?;
        let client = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .http1_only()
            // A relay never sends anybody elsewhere, and the sockets would not follow.
            .redirect(Policy::none())
            // The sockets do not use the environment's proxies, so neither do the questions.
            .no_proxy()
            .referer(false)
            .connect_timeout(connect)
            .timeout(whole)
            .pool_idle_timeout(HTTP_IDLE)
            .pool_max_idle_per_host(HTTP_IDLE_PER_RELAY)
            .build()
            .map_err(|_| failed("the HTTPS client cannot be set up on this computer"))?;
        Ok(Self { client })
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`NetError::Refused`] with the relay's code, or why there is no answer.
    pub async fn call<C: HttpCall>(&self, relay: &RelayEndpoint, call: &C) -> Result<C::Answer, NetError> {
        tls::check_pin(relay)?;
        let url = format!("{}{}", relay, C::PATH);
        let sent = self.client.post(url).header(CONTENT_TYPE_HEADER, CONTENT_TYPE).body(call.encode()).send().await;
        let response = sent.map_err(|error| failure(relay, &error))?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).map(|value| value.as_bytes().to_owned());
        let ours = response
            .headers()
            .get(CONTENT_TYPE_HEADER)
            .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()));
        if !ours {
            return Err(NetError::http_status(relay, status.as_u16(), wait.as_deref()));
        }
        let body = bounded_body(relay, response).await?;
        if status == StatusCode::OK {
            return C::Answer::decode(body).map_err(|error| NetError::wire(relay, &error));
        }
        match Refusal::decode(body) {
            Ok(refusal) => Err(NetError::refused(refusal)),
            Err(_) => Err(NetError::http_status(relay, status.as_u16(), wait.as_deref())),
        }
    }
}

/// Reads an answer of at most [`MAX_HTTP_BYTES`], whatever its header claims.
async fn bounded_body(relay: &RelayEndpoint, mut response: Response) -> Result<Bytes, NetError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(relay, &error))? {
        if body.len() + chunk.len() > MAX_HTTP_BYTES {
            return Err(NetError::protocol(relay, "an answer exceeds the limit"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A failed exchange in our words.
fn failure(relay: &RelayEndpoint, error: &reqwest::Error) -> NetError {
    if error.is_timeout() {
        let (what, after) =
            if error.is_connect() { ("the connection", HTTP_CONNECT_TIMEOUT) } else { ("an answer", HTTP_TIMEOUT) };
        return NetError::timeout(relay, what, after);
    }
    if error.is_connect() {
        return NetError::unreachable(relay, cause_of(error));
    }
    // The library says only in words that what came back was no HTTP.
    let not_http = causes(error).any(|cause| cause.to_string().contains("invalid HTTP"));
    if !not_http && (error.is_request() || error.is_body()) {
        return NetError::unreachable(relay, "the connection ended before the answer");
    }
    NetError::protocol(relay, "not an HTTP answer")
}
