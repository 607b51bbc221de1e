//! Both sockets from a client's side (`docs/protocol.md` sections 8 and 9), and a hostile client at a relay.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use subrosa_crypto::RelayMarks;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{
    actor::{Actor, Target, device_address},
    frames::{
        Auth, Capability, Challenge, Hello, ItemResult, MailboxClientFrame, MailboxServerFrame, OneBytes, Ready,
        Request, Response, SetDeliveryKeys, Submit, SubmitClientFrame, SubmitFrame, SubmitServerFrame, Token,
    },
    questions::{AccountId, AskPrekeys, Bundle, Bundles, Devices, Prekeys, Registered, Resolve, Take, ask},
    sha256,
};

/// An answer that takes longer will not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket to a relay.
type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Waits for a future no longer than is reasonable.
async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    timeout(PATIENCE, future).await.context("no answer in time")
}

/// The next binary message of a socket.
async fn next<T: prost::Message + Default>(socket: &mut Socket) -> Result<T> {
    loop {
        match soon(socket.next()).await?.context("the socket is closed")?? {
            Message::Binary(bytes) => return Ok(T::decode(bytes)?),
            Message::Close(frame) => bail!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// Sends one frame.
async fn send(socket: &mut Socket, frame: &impl prost::Message) -> Result<()> {
    soon(socket.send(Message::Binary(frame.encode_to_vec().into()))).await??;
    Ok(())
}

/// An HTTP client without TLS: everything here is on loopback.
///
/// # Errors
/// It cannot be built.
pub fn http() -> Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE).build()?)
}

/// A relay as a hostile client sees it.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Where it is reached: `host:port`.
    pub address: String,
    /// What it calls itself: what answers to challenges name.
    pub authority: String,
    http: reqwest::Client,
}

impl Relay {
    /// A relay on loopback.
    ///
    /// # Errors
    /// No HTTP client.
    pub fn new(address: &str, authority: &str) -> Result<Self> {
        Ok(Self { address: address.to_owned(), authority: authority.to_owned(), http: http()? })
    }

    /// `/v1/register`.
    ///
    /// # Errors
    /// The relay refuses or is not reached.
    pub async fn register(&self, actor: &Actor) -> Result<()> {
        let question = actor.registration(&self.authority);
        let answer: Result<Registered, _> = ask(&self.http, &self.address, "/v1/register", &question).await?;
        answer.map(|_| ()).map_err(|refusal| anyhow::anyhow!("registration refused: {refusal:?}"))
    }

    /// `/v1/resolve`, then `/v1/devices`.
    ///
    /// # Errors
    /// There is nobody, or the answers do not verify.
    pub async fn find(&self, handle: &str) -> Result<Target> {
        let question = Resolve { handle: handle.to_owned() };
        let found: Result<AccountId, _> = ask(&self.http, &self.address, "/v1/resolve", &question).await?;
        let found = found.map_err(|refusal| anyhow::anyhow!("{handle} not found: {refusal:?}"))?;
        let devices: Result<Devices, _> = ask(&self.http, &self.address, "/v1/devices", &found).await?;
        Target::read(&devices.map_err(|refusal| anyhow::anyhow!("no devices: {refusal:?}"))?)
    }

    /// `/v1/prekeys` of device 1. The inner error is the relay's refusal.
    ///
    /// # Errors
    /// The relay is not reached.
    pub async fn prekeys(
        &self,
        target: &Target,
        capability: Option<Capability>,
    ) -> Result<Result<Prekeys, super::frames::Refusal>> {
        let device = Some(device_address(&target.device()?.address()));
        let question = AskPrekeys { takes: vec![Take { device, capability }] };
        let answer: Result<Bundles, _> = ask(&self.http, &self.address, "/v1/prekeys", &question).await?;
        let mut results = match answer {
            Ok(bundles) => bundles.results,
            Err(refusal) => return Ok(Err(refusal)),
        };
        ensure!(results.len() == 1, "{} results for one device", results.len());
        match results.remove(0) {
            Bundle { prekeys: Some(prekeys), refused: None } => Ok(Ok(prekeys)),
            Bundle { prekeys: None, refused: Some(refusal) } => Ok(Err(refusal)),
            other => bail!("neither keys nor a refusal: {other:?}"),
        }
    }

    /// Starts a session with device 1 of somebody from the bundle that strangers get.
    ///
    /// # Errors
    /// There is no bundle, or it does not verify.
    pub async fn start_session(&self, actor: &mut Actor, target: &Target) -> Result<()> {
        let bundle = self.prekeys(target, None).await?;
        let bundle = bundle.map_err(|refusal| anyhow::anyhow!("no prekeys: {refusal:?}"))?;
        actor.start(&target.device()?, &bundle)
    }

    /// Opens the mailbox of an actor's device.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn open_mailbox(&self, actor: &Actor) -> Result<Mailbox> {
        let (mut socket, _) = soon(connect_async(format!("ws://{}/v1/mailbox", self.address))).await??;
        let hello = Some(Hello { versions: vec![1] });
        send(&mut socket, &MailboxClientFrame { hello, ..MailboxClientFrame::default() }).await?;
        let challenge: MailboxServerFrame = next(&mut socket).await?;
        let Challenge { nonce, tls_bound, .. } = challenge.challenge.context("no challenge")?;
        ensure!(!tls_bound, "bound to TLS where there is none");
        let nonce: [u8; 32] = nonce.as_slice().try_into()?;
        let address = actor.address();
        // An attacker has one copy of each of its devices, and remembers no mark.
        let marks = RelayMarks { shown: &[], new: &rand::random(), take_over: true };
        let auth = Auth {
            device: Some(device_address(&address)),
            authority: self.authority.clone(),
            pin: Vec::new(),
            signature: actor.identity.sign_relay_auth(&self.authority, None, None, &nonce, &address, &marks).to_vec(),
            mark: marks.new.to_vec(),
            shown: Vec::new(),
            take_over: true,
        };
        send(&mut socket, &MailboxClientFrame { auth: Some(auth), ..MailboxClientFrame::default() }).await?;
        let ready: MailboxServerFrame = next(&mut socket).await?;
        let ready = ready.ready.context("not ready")?;
        Ok(Mailbox { socket, ready, last_request: 0 })
    }

    /// Opens an anonymous socket.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn open_submission(&self) -> Result<Submission> {
        let (mut socket, _) = soon(connect_async(format!("ws://{}/v1/submit", self.address))).await??;
        let hello = Some(Hello { versions: vec![1] });
        send(&mut socket, &SubmitClientFrame { hello, ..SubmitClientFrame::default() }).await?;
        let welcome: SubmitServerFrame = next(&mut socket).await?;
        ensure!(welcome.welcome.is_some(), "no welcome: {welcome:?}");
        Ok(Submission { socket, last: 0 })
    }
}

/// A mailbox socket that is open.
pub struct Mailbox {
    socket: Socket,
    /// What the relay said first.
    pub ready: Ready,
    last_request: u64,
}

impl Mailbox {
    /// Makes a request.
    ///
    /// # Errors
    /// No response comes.
    pub async fn request(&mut self, request: Request) -> Result<Response> {
        self.last_request += 1;
        let id = self.last_request;
        let request = Some(Request { id, ..request });
        send(&mut self.socket, &MailboxClientFrame { request, ..MailboxClientFrame::default() }).await?;
        loop {
            let frame: MailboxServerFrame = next(&mut self.socket).await?;
            if let Some(response) = frame.response {
                ensure!(response.id == id, "a response to something else");
                return Ok(response);
            }
        }
    }

    /// Sends an envelope through the request lane.
    ///
    /// # Errors
    /// No response comes.
    pub async fn by_the_lane(&mut self, submit: Submit) -> Result<Response> {
        self.request(Request { submit_request: Some(submit), ..Request::default() }).await
    }

    /// Uploads an actor's prekeys and the hash of its delivery key.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn settle_in(&mut self, actor: &Actor) -> Result<()> {
        let put_prekeys = Some(actor.put_prekeys());
        let response = self.request(Request { put_prekeys, ..Request::default() }).await?;
        ensure!(response.done.is_some(), "prekeys: {response:?}");
        let keys = SetDeliveryKeys { current_hash: sha256(&actor.delivery_key).to_vec(), ..SetDeliveryKeys::default() };
        let response = self.request(Request { set_delivery_keys: Some(keys), ..Request::default() }).await?;
        ensure!(response.done.is_some(), "delivery key: {response:?}");
        Ok(())
    }

    /// Hands a new device list of the account in.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn put_list(&mut self, actor: &Actor) -> Result<()> {
        let put_device_list = Some(OneBytes { bytes: actor.list.encode(), expiry_s: 0 });
        let response = self.request(Request { put_device_list, ..Request::default() }).await?;
        ensure!(response.done.is_some(), "device list: {response:?}");
        Ok(())
    }
}

/// A submission socket that is open.
pub struct Submission {
    socket: Socket,
    last: u64,
}

impl Submission {
    /// Submits and waits for the results.
    ///
    /// # Errors
    /// The relay refuses the whole of it, or does not answer.
    pub async fn submit(&mut self, submit: Submit) -> Result<Vec<ItemResult>> {
        self.last += 1;
        let frame = SubmitFrame { id: self.last, submit: Some(submit) };
        send(&mut self.socket, &SubmitClientFrame { submit: Some(frame), ..SubmitClientFrame::default() }).await?;
        loop {
            let frame: SubmitServerFrame = next(&mut self.socket).await?;
            if let Some(reply) = frame.reply {
                ensure!(reply.error.is_none(), "refused as a whole: {reply:?}");
                return Ok(reply.results.context("a reply without results")?.results);
            }
            ensure!(frame.error.is_none(), "the socket ends: {frame:?}");
        }
    }
}

/// The capability of a contact.
#[must_use]
pub fn with_key(key: &[u8; 16]) -> Option<Capability> {
    Some(Capability { delivery_key: Some(key.to_vec()), ..Capability::default() })
}

/// The capability of somebody who opened a link.
#[must_use]
pub fn with_token(token: &[u8; 16], binding: &[u8; 16]) -> Option<Capability> {
    let contact_token = Some(Token { token: token.to_vec(), binding: binding.to_vec() });
    Some(Capability { contact_token, ..Capability::default() })
}
