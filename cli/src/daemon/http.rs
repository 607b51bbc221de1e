//! JSON-RPC over HTTP: `POST /rpc`, `GET /events` as server-sent events, `GET /health`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use futures_util::{StreamExt as _, stream};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{EventKind, EventsParams, Line, NoParams},
    caller::{self, Caller},
    clean::json_line,
    rpc::{MAX_REQUEST_BYTES, answer_message},
};
use subrosa_tasks::Acceptor;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::access::{Access, Refusal, refuse};
use crate::account::millis;

/// Connections at once: more programs of one person than this are a runaway script.
const MAX_CONNECTIONS: usize = 128;

/// Of these, how many may follow events: calls always find a place.
const MAX_STREAMS: usize = 64;

/// A connection that says nothing for so long is closed, also one that is kept alive between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// A request's body has to be there by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a request's head: a token, a host, a query; browsers send less than this too.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A stream without events says that it lives; also how soon it is noticed that nobody reads it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After this a reader of events comes back by itself.
const RETRY: Duration = Duration::from_secs(2);

/// An engine that has not answered by then is not healthy.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Server {
    client: Arc<dyn Client>,
    access: Arc<Access>,
    streams: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Serves until `shutdown`; open connections are cut then.
pub(super) async fn serve(
    client: Arc<dyn Client>,
    listener: TcpListener,
    access: Arc<Access>,
    shutdown: CancellationToken,
) {
    let server = Server { client, access, streams: Arc::new(Semaphore::new(MAX_STREAMS)), shutdown: shutdown.clone() };
    let routes = routes(server);
    let mut acceptor = Acceptor::new("the HTTP port", MAX_CONNECTIONS);
    let mut connections = JoinSet::new();
    loop {
        let ((stream, _), place) = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = acceptor.next(|| listener.accept()) => accepted,
        };
        connections.spawn(connection(routes.clone(), stream, place));
    }
}

async fn connection(routes: Router, stream: TcpStream, _place: OwnedSemaphorePermit) {
    // An event is a small packet that nothing follows.
    let _ = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(error) = serving.await {
        debug!(%error, "a connection ended");
    }
}

fn routes(server: Server) -> Router {
    let guarded = Router::new()
        .route("/rpc", post(call))
        .route("/events", get(events))
        .route_layer(from_fn_with_state(server.clone(), check_token));
    Router::new()
        .merge(guarded)
        .route("/health", get(health))
        .fallback(nothing_here)
        .layer(from_fn_with_state(server.clone(), check_host))
        .with_state(server)
}

async fn check_host(State(server): State<Server>, request: Request, next: Next) -> Response {
    let mut response = match server.access.check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refused(refusal),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn check_token(State(server): State<Server>, request: Request, next: Next) -> Response {
    match server.access.check_token(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let mut response = refused(refusal);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

async fn nothing_here() -> Response {
    refused(refuse(StatusCode::NOT_FOUND, "there is nothing at this address", "POST /rpc, GET /events, GET /health"))
}

async fn call(State(server): State<Server>, body: Body) -> Response {
    let body = match timeout(BODY_TIMEOUT, to_bytes(body, MAX_REQUEST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return refused(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the request is longer than {MAX_REQUEST_BYTES} bytes, or was cut off"),
                "send it in parts",
            ));
        }
        Err(_) => {
            return refused(refuse(StatusCode::REQUEST_TIMEOUT, "the request's body did not come", "send it at once"));
        }
    };
    // Nobody stays behind a request: what it holds ends by itself.
    match caller::within(Caller::Request, answer_message(&*server.client, &body)).await {
        Some(answer) => with_json(StatusCode::OK, &answer),
        // Only notifications: there is nothing to say.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn health(State(server): State<Server>) -> Response {
    match timeout(HEALTH_TIMEOUT, server.client.account(NoParams {})).await {
        Ok(Ok(_)) => with_json(StatusCode::OK, &json!({"status": "ok"})),
        // Not why: whoever asks without a token need not know.
        _ => with_json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "unavailable"})),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    since: Option<u64>,
    types: Option<String>,
}

async fn events(
    State(server): State<Server>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    match open_stream(server, query, &headers).await {
        Ok(response) => response,
        Err(refusal) => refused(refusal),
    }
}

async fn open_stream(
    server: Server,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let wrong = |message: String| {
        refuse(StatusCode::BAD_REQUEST, message, "for example: /events?since=812&types=message,receipt")
    };
    let Query(query) = query.map_err(|error| wrong(format!("the query is not understood: {}", error.body_text())))?;
    let since = match headers.get("last-event-id") {
        None => query.since,
        // A reader that comes back knows better than its address where it was.
        Some(id) => Some(
            id.to_str()
                .ok()
                .and_then(|id| id.parse().ok())
                .ok_or_else(|| wrong("Last-Event-ID is not a cursor".to_owned()))?,
        ),
    };
    let types = query
        .types
        .iter()
        .flat_map(|types| types.split(','))
        .map(|name| EventKind::named(name).ok_or_else(|| wrong(format!("no events are of the type {name:?}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let place = Arc::clone(&server.streams).try_acquire_owned().map_err(|_| {
        let message = format!("{MAX_STREAMS} programs follow events already");
        (StatusCode::SERVICE_UNAVAILABLE, ApiError::new(ErrorKind::RateLimited, message).hint("end one of them"))
    })?;
    let look = EventsParams { since, max: Some(1), wait_ms: 0 };
    let page = server.client.events(look).await.map_err(|error| (status_of(&error), error))?;
    let follower =
        Follower { server, types, cursor: since.unwrap_or(page.cursor), begun: false, ended: false, _place: place };
    let events = stream::unfold(follower, Follower::next).flat_map(stream::iter);
    Ok(Sse::new(events).into_response())
}

/// Where a stream of events is.
struct Follower {
    server: Server,
    types: Vec<EventKind>,
    cursor: u64,
    begun: bool,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    async fn next(mut self) -> Option<(Vec<Result<Event, axum::Error>>, Self)> {
        if self.ended {
            return None;
        }
        if !self.begun {
            self.begun = true;
            // An id without data is no event, but a reader that is cut off now comes back to this place.
            return Some((vec![Ok(Event::default().retry(RETRY).id(self.cursor.to_string()))], self));
        }
        let params = EventsParams { since: Some(self.cursor), max: None, wait_ms: millis(KEEP_ALIVE) };
        let shutdown = self.server.shutdown.clone();
        let page = tokio::select! {
            page = self.server.client.events(params) => page,
            () = shutdown.cancelled() => return None,
        };
        let said = match page {
            Ok(page) if page.events.is_empty() => vec![Ok(Event::default().comment("nothing new"))],
            Ok(page) => {
                self.cursor = page.cursor;
                let wanted =
                    page.events.iter().filter(|event| self.types.is_empty() || self.types.contains(&event.kind()));
                wanted
                    .map(|event| {
                        let id = event.cursor().unwrap_or(page.cursor).to_string();
                        Ok(Event::default().id(id).event(event.kind().name()).data(line(&event.line())?))
                    })
                    // Also past events that are not wanted.
                    .chain([Ok(Event::default().id(page.cursor.to_string()))])
                    .collect()
            }
            Err(error) => {
                self.ended = true;
                vec![line(&Line::new(error)).map(|data| Event::default().event("error").data(data))]
            }
        };
        Some((said, self))
    }
}

fn line(value: &impl Serialize) -> Result<String, axum::Error> {
    json_line(value).map_err(axum::Error::new)
}

fn status_of(error: &ApiError) -> StatusCode {
    match error.code {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::AccountBusy | ErrorKind::EngineGone => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn refused((status, error): Refusal) -> Response {
    with_json(status, &Line::new(error))
}

fn with_json(status: StatusCode, value: &impl Serialize) -> Response {
    match json_line(value) {
        Ok(json) => (status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
