//! Question and answer over HTTPS (docs/protocol.md, "Questions over HTTPS"): register, resolve, devices, prekeys.
//!
//! Questions about two accounts never share a connection: it would join whom one asker asks about.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, RETRY_AFTER},
    redirect::Policy,
};
use subrosa_wire::{
    AccountId, Capability, DeviceAddress,
    http::{CONTENT_TYPE, HttpCall, HttpMessage, PrekeyBundles, Prekeys, Take, TakePrekeys},
    limits::MAX_HTTP_BYTES,
    submit::Refusal,
};

use super::{
    NetError, Network, RelayEndpoint,
    error::causes,
    proxy::{Circuit, Credentials},
    tls,
};

/// TCP and TLS.
const HTTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole question with its answer: at most 150 KB both ways and one disk sync.
const HTTP_TIMEOUT: Duration = Duration::from_secs(20);

/// Unused connections are kept this long: a joiner asks two or three things in a row, then nothing for days.
const HTTP_IDLE: Duration = Duration::from_secs(20);

/// Unused connections kept for each account asked about.
const HTTP_IDLE_CONNECTIONS: usize = 1;

/// Accounts whose connection settings are kept. Beyond it all are made anew: that costs a handshake.
const MAX_CLIENTS: usize = 32;

/// What shares connections: questions about one account (or about none) of one relay.
type Subject = (RelayEndpoint, Option<AccountId>);

/// The HTTPS client of an engine.
#[derive(Debug, Clone)]
pub struct Http {
    network: Network,
    /// One for each subject: its pin, its connections and its circuit through a proxy are its own.
    clients: Arc<Mutex<HashMap<Subject, Client>>>,
    connect: Duration,
    whole: Duration,
}

impl Http {
    /// Makes the client; nothing is connected yet.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self::with_timeouts(network, HTTP_CONNECT_TIMEOUT, HTTP_TIMEOUT)
    }

    pub(super) fn with_timeouts(network: Network, connect: Duration, whole: Duration) -> Self {
        Self { network, clients: Arc::default(), connect, whole }
    }

    /// The client for a subject.
    fn client(&self, subject: &Subject) -> Result<Client, NetError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(subject) {
            return Ok(client.clone());
        }
        let (relay, account) = subject;
        let credentials = self.network.proxy().map(|proxy| proxy.credentials(relay, Circuit::Questions(*account)));
        let client = self.build(relay, credentials.as_ref())?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(subject.clone(), client.clone());
        Ok(client)
    }

    fn build(&self, relay: &RelayEndpoint, credentials: Option<&Credentials>) -> Result<Client, NetError> {
        let failed = |what: &str| NetError::unreachable(relay, format!("{what} cannot be set up on this computer"));
        let tls = tls::config(&self.network, relay).map_err(|_| failed("TLS"))?;
        let builder = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .http1_only()
            // A relay never sends anybody elsewhere, and the sockets would not follow.
            .redirect(Policy::none())
            // The sockets do not use the environment's proxies, so neither do the questions.
            .no_proxy()
            .referer(false)
            .connect_timeout(self.connect)
            .timeout(self.whole)
            .pool_idle_timeout(HTTP_IDLE)
            .pool_max_idle_per_host(HTTP_IDLE_CONNECTIONS);
        let builder = match self.network.proxy() {
            Some(proxy) => {
                let url = proxy.url_with(credentials).ok_or_else(|| failed("the proxy"))?;
                builder.proxy(reqwest::Proxy::all(url).map_err(|_| failed("the proxy"))?)
            }
            None => builder,
        };
        builder.build().map_err(|_| failed("the HTTPS client"))
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`NetError::Refused`] with the relay's code, or why there is no answer.
    pub async fn call<C: HttpCall>(&self, relay: &RelayEndpoint, call: &C) -> Result<C::Answer, NetError> {
        self.network.check(relay)?;
        #[cfg(feature = "simulation")]
        if self.network.simulated.is_some() {
            let answer = super::simulated::post(&self.network, relay, C::PATH, call.encode());
            let response = tokio::time::timeout(self.whole, answer)
                .await
                .map_err(|_| NetError::timeout(relay, "an answer", self.whole))??;
            return self.understand::<C>(relay, response).await;
        }
        let subject = (relay.clone(), call.about());
        let mut client = self.client(&subject)?;
        let url = format!("{}{}", relay, C::PATH);
        let ask =
            |client: &Client| client.post(&url).header(CONTENT_TYPE_HEADER, CONTENT_TYPE).body(call.encode()).send();
        let mut sent = ask(&client).await;
        if sent.as_ref().is_err_and(|error| self.wants_no_credentials(error)) {
            client = self.without_credentials(&subject)?;
            sent = ask(&client).await;
        }
        self.understand::<C>(relay, sent.map_err(|error| self.failure(relay, &error))?).await
    }

    /// Asks for prekeys of devices, at most [`subrosa_wire::limits::MAX_BUNDLES`], with one capability for all. One result for each, in order.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn prekeys(
        &self,
        relay: &RelayEndpoint,
        devices: &[DeviceAddress],
        capability: Option<&Capability>,
    ) -> Result<Vec<Result<Prekeys, Refusal>>, NetError> {
        let take = |device: &DeviceAddress| Take { device: *device, capability: capability.cloned() };
        let call = TakePrekeys::new(devices.iter().map(take).collect());
        let call = call.map_err(|error| NetError::wire(relay, &error))?;
        let PrekeyBundles(results) = self.call(relay, &call).await?;
        if results.len() == devices.len() {
            Ok(results)
        } else {
            Err(NetError::protocol(relay, "an answer has another number of bundles than the question"))
        }
    }

    /// Reads an answer.
    async fn understand<C: HttpCall>(&self, relay: &RelayEndpoint, response: Response) -> Result<C::Answer, NetError> {
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).map(|value| value.as_bytes().to_owned());
        let ours = response
            .headers()
            .get(CONTENT_TYPE_HEADER)
            .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()));
        if !ours {
            return Err(NetError::http_status(relay, status.as_u16(), wait.as_deref()));
        }
        let most = C::Answer::MAX_BYTES.max(MAX_HTTP_BYTES);
        let body = self.bounded_body(relay, response, most).await?;
        if status == StatusCode::OK {
            return C::Answer::decode(body).map_err(|error| NetError::wire(relay, &error));
        }
        match Refusal::decode(body) {
            Ok(refusal) => Err(NetError::refused(refusal)),
            Err(_) => Err(NetError::http_status(relay, status.as_u16(), wait.as_deref())),
        }
    }

    /// Knocks: whether something answers there whose certificate is in order, before anything is made or asked.
    ///
    /// # Errors
    /// As [`Http::call`], without the relay's codes.
    pub async fn probe(&self, relay: &RelayEndpoint) -> Result<(), NetError> {
        self.network.check(relay)?;
        let url = format!("{relay}/healthz");
        let subject = (relay.clone(), None);
        let mut sent = self.client(&subject)?.get(&url).send().await;
        if sent.as_ref().is_err_and(|error| self.wants_no_credentials(error)) {
            sent = self.without_credentials(&subject)?.get(&url).send().await;
        }
        sent.map(|_| ()).map_err(|error| self.failure(relay, &error))
    }

    /// A proxy without user names (`ssh -D`) refuses ours, which only separate circuits.
    fn wants_no_credentials(&self, error: &reqwest::Error) -> bool {
        self.network.proxy().is_some_and(|proxy| !proxy.has_own_credentials())
            // The library says it only in words.
            && causes(error).any(|cause| {
                let text = cause.to_string();
                text.contains("user/pass authentication") || text.contains("implements authentication incorrectly")
            })
    }

    fn without_credentials(&self, subject: &Subject) -> Result<Client, NetError> {
        let client = self.build(&subject.0, None)?;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.clone(), client.clone());
        Ok(client)
    }

    /// Reads an answer of at most so many bytes, whatever its header claims.
    async fn bounded_body(
        &self,
        relay: &RelayEndpoint,
        mut response: Response,
        most: usize,
    ) -> Result<Bytes, NetError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(relay, &error))? {
            if body.len() + chunk.len() > most {
                return Err(NetError::protocol(relay, "an answer exceeds the limit"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// A failed exchange in our words.
    fn failure(&self, relay: &RelayEndpoint, error: &reqwest::Error) -> NetError {
        if error.is_timeout() {
            let (what, after) =
                if error.is_connect() { ("the connection", HTTP_CONNECT_TIMEOUT) } else { ("an answer", HTTP_TIMEOUT) };
            return NetError::timeout(relay, what, after);
        }
        if error.is_connect() {
            return match (NetError::no_connection(relay, error), self.network.proxy()) {
                (NetError::Unreachable { .. }, Some(proxy))
                    if !causes(error).any(|cause| cause.is::<rustls::Error>()) =>
                {
                    // The texts are the library's and the system's, not the proxy's.
                    let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
                    NetError::unreachable(relay, format!("there is no way through the proxy {proxy}: {cause}"))
                }
                (other, _) => other,
            };
        }
        // The library says only in words that what came back was no HTTP.
        let not_http = causes(error).any(|cause| cause.to_string().contains("invalid HTTP"));
        if !not_http && (error.is_request() || error.is_body()) {
            return NetError::unreachable(relay, "the connection ended before the answer");
        }
        NetError::protocol(relay, "not an HTTP answer")
    }
}
