//! Questions and answers over HTTPS: register, resolve, devices, prekeys; and the two upgrades.

pub(crate) mod accept;
pub(crate) mod metrics_page;
mod prekeys;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Router as Routes,
    body::Body,
    extract::{State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use subrosa_wire::{
    ErrorCode, WireError,
    http::{
        CONTENT_TYPE, Devices, GetDevices, HttpCall, HttpMessage, PrekeyBundles, Register, Registered, Resolve,
        Resolved, TakePrekeys,
    },
    limits::{MAX_HTTP_BYTES, MAX_MAILBOX_FRAME_BYTES, MAX_SUBMIT_FRAME_BYTES},
    submit::Refusal,
};

use crate::{
    backend::{Directory as _, Source, StoreError},
    clock::now_ms,
    ledger::{Ledger as _, Limit},
    metrics::Metrics,
    parts::Parts,
    peer::Peer,
    policy::{
        addresses::{Entry, Guest},
        found,
        identity::{AccountRecord, DeviceList, Invalid, verify_registration},
        limits::{REFUSED_RETRY_S, UNAVAILABLE},
        registration::{Admission, Registration},
        resolved,
    },
    shared::Shared,
    sockets::{session, socket::bounded, submit},
};

type App<P> = State<Arc<Shared<P>>>;

/// Everything a relay answers.
pub(crate) fn routes<P: Parts>(shared: Arc<Shared<P>>) -> Routes {
    Routes::new()
        .route("/v1/mailbox", get(mailbox_socket::<P>))
        .route("/v1/submit", get(submit_socket::<P>))
        .route(Register::PATH, post(register::<P>))
        .route(Resolve::PATH, post(resolve::<P>))
        .route(GetDevices::PATH, post(devices::<P>))
        .route(TakePrekeys::PATH, post(take_prekeys::<P>))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz::<P>))
        .layer(axum::middleware::map_response_with_state(Arc::clone(&shared.metrics), count_refusal))
        .with_state(shared)
}

async fn mailbox_socket<P: Parts>(
    State(shared): App<P>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let guest = shared.guest(&peer)?;
    Ok(bounded(upgrade, MAX_MAILBOX_FRAME_BYTES).on_upgrade(move |socket| {
        let tracker = shared.tracker.clone();
        tracker.track_future(async move {
            session::serve(shared, socket, &peer).await;
            drop((peer, guest));
        })
    }))
}

async fn submit_socket<P: Parts>(
    State(shared): App<P>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let guest = shared.guest(&peer)?;
    Ok(bounded(upgrade, MAX_SUBMIT_FRAME_BYTES).on_upgrade(move |socket| {
        let tracker = shared.tracker.clone();
        tracker.track_future(async move {
            submit::serve(shared, socket, &peer).await;
            drop((peer, guest));
        })
    }))
}

impl<P: Parts> Shared<P> {
    /// A socket's place among those of its address, where the connection itself came from a proxy.
    fn guest(&self, peer: &Peer) -> Result<Option<Guest>, Refused> {
        if !self.config.behind_proxy {
            return Ok(None);
        }
        match self.addresses.enter(peer.address, subrosa_ambient::instant()) {
            Entry::Welcome(guest) => Ok(Some(guest)),
            Entry::Refused(_, retry_after_s) => Err(limited(retry_after_s).into()),
            Entry::Dropped => Err(limited(REFUSED_RETRY_S).into()),
        }
    }

    /// Counts a request before anything is done for it, and names the client it comes from.
    ///
    /// # Errors
    /// The answer, when the client asks too often or should not be connected at all. The connection ends with it.
    pub(crate) async fn admit<T: Send>(
        &self,
        mut peer: Peer,
        mut request: Request<T>,
    ) -> Result<Request<T>, Box<Response>> {
        peer.memory.finished();
        peer.address = client_address(self.config.behind_proxy, peer.address, request.headers());
        let admitted = match peer.refused {
            Some(retry_after_s) => Err(retry_after_s),
            None => self.ledger.take(Limit::Requests(peer.address), 1).await,
        };
        match admitted {
            Ok(()) => {
                request.extensions_mut().insert(peer);
                Ok(request)
            }
            Err(retry_after_s) => {
                self.metrics.refusal(ErrorCode::RateLimited);
                let mut response = Refused(limited(retry_after_s)).into_response();
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                Err(Box::new(response))
            }
        }
    }
}

const fn limited(retry_after_s: u32) -> Refusal {
    Refusal { code: ErrorCode::RateLimited, retry_after_s }
}

/// Whether new work is taken here: for a load balancer. Why not is the host's business: `subrosa-relay status`.
async fn readyz<P: Parts>(State(shared): App<P>) -> Response {
    match shared.not_ready().await {
        None => "ready\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

/// Counts what was refused; the code travels beside the response.
async fn count_refusal(State(metrics): State<Arc<Metrics>>, response: Response) -> Response {
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        metrics.refusal(*code);
    }
    response
}

/// A refusal as an HTTP answer.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self(Refusal::never(code))
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(error.refusal())
    }
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self::from(match error {
            WireError::Handle => ErrorCode::HandleInvalid,
            _ => ErrorCode::Malformed,
        })
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], self.0.encode()).into_response();
        response.extensions_mut().insert(self.0.code);
        if self.0.retry_after_s > 0 {
            response.headers_mut().insert(header::RETRY_AFTER, self.0.retry_after_s.into());
        }
        response
    }
}

/// An answer as an HTTP answer.
struct Answer<M>(M);

impl<M: HttpMessage> IntoResponse for Answer<M> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], self.0.encode()).into_response()
    }
}

/// Counts the call against its address, then reads a body that is neither too long nor too slow.
async fn question<P: Parts, C: HttpCall>(shared: &Shared<P>, limit: Limit, body: Body) -> Result<C, Refused> {
    shared.ledger.take(limit, 1).await.map_err(limited)?;
    let reading = axum::body::to_bytes(body, MAX_HTTP_BYTES);
    let bytes: Bytes = tokio::time::timeout(shared.config.handshake_timeout, reading)
        .await
        .map_err(|_| ErrorCode::Malformed)?
        .map_err(|_| ErrorCode::TooLarge)?;
    Ok(C::decode(bytes)?)
}

/// The address a limit counts: the one the proxy saw, if there is a proxy; only its own entry, the last, is believed.
fn client_address(behind_proxy: bool, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    if behind_proxy { forwarded().unwrap_or(peer) } else { peer }
}

async fn register<P: Parts>(
    State(shared): App<P>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Answer<Registered>, Refused> {
    let wanted: Register = question(&shared, Limit::Register(peer.address), body).await?;
    if !shared.is_me(&wanted.authority, wanted.pin.as_ref()) {
        return Err(ErrorCode::WrongRelay.into());
    }
    let admission = shared.registration.admission(wanted.registration_token.as_ref());
    let turn = Arc::clone(&shared.checks).acquire_owned().await.map_err(|_| UNAVAILABLE)?;
    // Up to eight signatures: not on a thread that serves the others.
    let checking = subrosa_tasks::beside(move || {
        let checked = check(wanted, admission);
        drop(turn);
        checked
    });
    let registration = checking.await.map_err(|_| UNAVAILABLE)?.map_err(|_| ErrorCode::InvalidSignature)?;
    shared.store.register(Source::of(peer.address), registration).await?;
    Ok(Answer(Registered { server_time_ms: now_ms() }))
}

/// Verifies every signature of a registration.
fn check(wanted: Register, admission: Admission) -> Result<Registration, Invalid> {
    let record = AccountRecord::parse(&wanted.account_record)?;
    let list = DeviceList::parse(&wanted.device_list, &record)?;
    let Register { authority, pin, handle, proof, .. } = &wanted;
    verify_registration(&list, &wanted.device_list, authority, pin.as_ref(), handle, proof)?;
    let Register { account_record: record, handle, device_list: list_bytes, .. } = wanted;
    Ok(Registration { record, handle, list_bytes, list, admission })
}

async fn resolve<P: Parts>(
    State(shared): App<P>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Answer<Resolved>, Refused> {
    let asked: Resolve = question(&shared, Limit::Resolve(peer.address), body).await?;
    let account = resolved(shared.store.resolve(asked.handle).await?)?;
    Ok(Answer(Resolved { account }))
}

async fn devices<P: Parts>(
    State(shared): App<P>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Answer<Devices>, Refused> {
    let asked: GetDevices = question(&shared, Limit::Devices(peer.address), body).await?;
    Ok(Answer(found(shared.store.devices(asked.account).await?)?))
}

async fn take_prekeys<P: Parts>(
    State(shared): App<P>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Answer<PrekeyBundles>, Refused> {
    let asked: TakePrekeys = question(&shared, Limit::Prekeys(peer.address), body).await?;
    // One was counted before the question was read.
    let more = u32::try_from(asked.takes().len()).unwrap_or(u32::MAX).saturating_sub(1);
    shared.ledger.take(Limit::Prekeys(peer.address), more).await.map_err(limited)?;
    Ok(Answer(prekeys::take(&shared, Source::of(peer.address), &asked).await?))
}
