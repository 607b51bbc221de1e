//! Questions and answers over HTTPS: register, resolve, devices, prekeys; and the two upgrades.

use std::{net::IpAddr, sync::Arc, time::Instant};

use axum::{
    Extension, Router as Routes,
    body::Body,
    extract::{State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use subrosa_wire::{
    DeviceAddress, ErrorCode, WireError,
    http::{
        CONTENT_TYPE, Devices, GetDevices, HttpCall, HttpMessage, Prekeys, Register, Registered, Resolve, Resolved,
        TakePrekeys,
    },
    limits::{MAX_HTTP_BYTES, MAX_MAILBOX_FRAME_BYTES, MAX_SUBMIT_FRAME_BYTES},
    submit::Refusal,
};

use crate::{
    backend::{Registration, Store, StoreError},
    clock::now_ms,
    identity::{AccountRecord, DeviceList, verify_registration},
    limits::Limiter,
    router::Router,
    server::{Peer, Shared},
    session,
    socket::bounded,
    submit,
};

type App<B, R> = State<Arc<Shared<B, R>>>;

/// Everything a relay answers.
pub(crate) fn routes<B: Store, R: Router>(shared: Arc<Shared<B, R>>) -> Routes {
    Routes::new()
        .route("/v1/mailbox", get(mailbox_socket::<B, R>))
        .route("/v1/submit", get(submit_socket::<B, R>))
        .route(Register::PATH, post(register::<B, R>))
        .route(Resolve::PATH, post(resolve::<B, R>))
        .route(GetDevices::PATH, post(devices::<B, R>))
        .route(TakePrekeys::PATH, post(prekeys::<B, R>))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(shared)
}

async fn mailbox_socket<B: Store, R: Router>(
    State(shared): App<B, R>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    bounded(upgrade, MAX_MAILBOX_FRAME_BYTES).on_upgrade(move |socket| {
        let tracker = shared.tracker.clone();
        tracker.track_future(async move {
            session::serve(shared, socket).await;
            drop(peer);
        })
    })
}

async fn submit_socket<B: Store, R: Router>(
    State(shared): App<B, R>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    bounded(upgrade, MAX_SUBMIT_FRAME_BYTES).on_upgrade(move |socket| {
        let tracker = shared.tracker.clone();
        tracker.track_future(async move {
            submit::serve(shared, socket).await;
            drop(peer);
        })
    })
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
async fn question<B, R, C: HttpCall>(
    shared: &Shared<B, R>,
    limiter: &Limiter,
    peer: &Peer,
    headers: &HeaderMap,
    body: Body,
) -> Result<C, Refused> {
    let address = client_address(shared.config.behind_proxy, peer, headers);
    limiter
        .take(address, Instant::now())
        .map_err(|retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s })?;
    let reading = axum::body::to_bytes(body, MAX_HTTP_BYTES);
    let bytes: Bytes = tokio::time::timeout(shared.config.handshake_timeout, reading)
        .await
        .map_err(|_| ErrorCode::Malformed)?
        .map_err(|_| ErrorCode::TooLarge)?;
    Ok(C::decode(bytes)?)
}

/// The address a limit counts: the one the proxy saw, if there is a proxy; only its own entry, the last, is believed.
fn client_address(behind_proxy: bool, peer: &Peer, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    if behind_proxy { forwarded().unwrap_or(peer.address) } else { peer.address }
}

async fn register<B: Store, R: Router>(
    State(shared): App<B, R>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Registered>, Refused> {
    let wanted: Register = question(&shared, &shared.register_rate, &peer, &headers, body).await?;
    if !shared.is_me(&wanted.authority, wanted.pin.as_ref()) {
        return Err(ErrorCode::WrongRelay.into());
    }
    let invalid = |_| ErrorCode::InvalidSignature;
    let record = AccountRecord::parse(&wanted.account_record).map_err(invalid)?;
    let list = DeviceList::parse(&wanted.device_list, &record).map_err(invalid)?;
    verify_registration(
        &list,
        &wanted.device_list,
        &wanted.authority,
        wanted.pin.as_ref(),
        &wanted.handle,
        &wanted.proof,
    )
    .map_err(invalid)?;
    let registration =
        Registration { record: wanted.account_record, handle: wanted.handle, list_bytes: wanted.device_list, list };
    shared.store.register(registration).await?;
    Ok(Answer(Registered { server_time_ms: now_ms() }))
}

async fn resolve<B: Store, R: Router>(
    State(shared): App<B, R>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Resolved>, Refused> {
    let asked: Resolve = question(&shared, &shared.resolve_rate, &peer, &headers, body).await?;
    let account = shared.store.resolve(asked.handle).await?.ok_or(ErrorCode::NotFound)?;
    Ok(Answer(Resolved { account }))
}

async fn devices<B: Store, R: Router>(
    State(shared): App<B, R>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Devices>, Refused> {
    let asked: GetDevices = question(&shared, &shared.devices_rate, &peer, &headers, body).await?;
    Ok(Answer(shared.store.devices(asked.account).await?.ok_or(ErrorCode::NotFound)?))
}

async fn prekeys<B: Store, R: Router>(
    State(shared): App<B, R>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Prekeys>, Refused> {
    let asked: TakePrekeys = question(&shared, &shared.prekeys_rate, &peer, &headers, body).await?;
    let device: DeviceAddress = asked.device;
    let taken = shared.store.take_prekeys(device, asked.capability).await?;
    if let Some(count) = taken.low {
        shared.router.prekeys_low(device, count).await;
    }
    Ok(Answer(taken.prekeys))
}
