//! What the relay in the middle does with each question and frame.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{
    body::Bytes,
    extract::{
        ConnectInfo, Path, State as AxumState,
        ws::{Message as Ws, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, header::CONTENT_TYPE as CONTENT_TYPE_HEADER},
    response::{IntoResponse, Response as HttpResponse},
};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_tungstenite::{connect_async, tungstenite::Message as Upstream};

use crate::hostile::{
    frames::{
        Ack, EPHEMERAL, Empty, MailboxClientFrame, MailboxServerFrame, Refusal, Reply, Response, SubmitClientFrame,
        SubmitServerFrame, Welcome,
    },
    now_ms,
    questions::{AccountId, AskPrekeys, CONTENT_TYPE},
};

use super::{NOT_FOUND, Numbers, Seen, State, accepted, lock};

pub(super) async fn question(
    AxumState(state): AxumState<Arc<State>>,
    Path(path): Path<String>,
    ConnectInfo(_): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> HttpResponse {
    let account = match path.as_str() {
        "devices" => AccountId::decode(body.as_ref()).ok().map(|question| question.account),
        "prekeys" => AskPrekeys::decode(body.as_ref()).ok().and_then(|ask| ask.account().map(<[u8]>::to_vec)),
        _ => None,
    };
    state.note(Seen::Question { path: path.clone(), account, bytes: body.to_vec() });
    let (status, answer) = match state.own_answer(&path, &body) {
        Some(answer) => (StatusCode::OK, answer),
        None => match forward(&state, &path, body.clone()).await {
            Some(answer) => answer,
            None => (StatusCode::NOT_FOUND, Refusal { code: NOT_FOUND, retry_after_s: 0 }.encode_to_vec()),
        },
    };
    let answer = match &mut lock(&state.rules).answer {
        Some(rule) if status == StatusCode::OK => rule(&path, &body, answer),
        _ => answer,
    };
    (status, [(CONTENT_TYPE_HEADER, CONTENT_TYPE)], answer).into_response()
}

async fn forward(state: &State, path: &str, body: Bytes) -> Option<(StatusCode, Vec<u8>)> {
    let upstream = state.upstream.as_ref()?;
    let url = format!("http://{upstream}/v1/{path}");
    let response = state.http.post(url).header("content-type", CONTENT_TYPE).body(body).send().await.ok()?;
    let status = StatusCode::from_u16(response.status().as_u16()).ok()?;
    Some((status, response.bytes().await.ok()?.to_vec()))
}

pub(super) async fn mailbox(AxumState(state): AxumState<Arc<State>>, upgrade: WebSocketUpgrade) -> HttpResponse {
    state.note(Seen::Opened("mailbox"));
    upgrade.on_upgrade(move |socket| async move {
        // Whichever side ends first ends the other.
        let _ = carry_mailbox(&state, socket).await;
    })
}

async fn carry_mailbox(state: &State, socket: WebSocket) -> Result<()> {
    let upstream = state.upstream.as_ref().context("no relay behind this host")?;
    let (relay, _) = connect_async(format!("ws://{upstream}/v1/mailbox")).await?;
    let (mut to_relay, mut from_relay) = relay.split();
    let (mut to_engine, mut from_engine) = socket.split();
    let (inject, mut injected) = mpsc::unbounded_channel::<MailboxServerFrame>();
    let mut account = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = from_engine.next() => {
                let Ws::Binary(bytes) = frame.context("the engine is gone")?? else { continue };
                let frame = MailboxClientFrame::decode(bytes.clone())?;
                if let Some(device) = frame.auth.as_ref().and_then(|auth| auth.device.as_ref()) {
                    account.clone_from(&device.account);
                    lock(&state.mailboxes).insert(device.account.clone(), inject.clone());
                }
                if let Some(Ack { upto }) = frame.ack {
                    state.note(Seen::Acked(upto));
                    let relays = lock(&state.numbers).entry(account.clone()).or_default().ack(upto);
                    if let Some(upto) = relays {
                        let ack = MailboxClientFrame { ack: Some(Ack { upto }), ..MailboxClientFrame::default() };
                        to_relay.send(Upstream::Binary(ack.encode_to_vec().into())).await?;
                    }
                    continue;
                }
                let Some(request) = frame.request else {
                    to_relay.send(Upstream::Binary(bytes)).await?;
                    continue;
                };
                let id = request.id;
                match &request.submit_request {
                    Some(submit) if state.take(submit, true) => {
                        let response = Response { id, results: Some(accepted(submit)), ..Response::default() };
                        MailboxServerFrame { response: Some(response), ..MailboxServerFrame::default() }
                    }
                    submit => {
                        if submit.is_none() {
                            state.note(Seen::Requested(request));
                        }
                        to_relay.send(Upstream::Binary(bytes)).await?;
                        continue;
                    }
                }
            }
            frame = from_relay.next() => match frame.context("the relay is gone")?? {
                Upstream::Binary(bytes) => MailboxServerFrame::decode(bytes)?,
                _ => continue,
            },
            frame = injected.recv() => frame.context("nobody injects")?,
        };
        for mut frame in bend(state, frame) {
            number(state, &account, &mut frame);
            to_engine.send(Ws::Binary(frame.encode_to_vec().into())).await?;
            if let Some(push) = frame.push {
                state.note(Seen::Pushed { head: push.head, seq: push.seq });
            }
        }
    }
}

/// Puts the engine's numbers in the place of the relay's.
fn number(state: &State, account: &[u8], frame: &mut MailboxServerFrame) {
    let mut numbers = lock(&state.numbers);
    if let Some(ready) = &mut frame.ready {
        let first = Numbers { last: ready.acked, acked: ready.acked, ..Numbers::default() };
        ready.acked = numbers.entry(account.to_vec()).or_insert(first).acked;
    }
    if let Some(push) = frame.push.as_mut().filter(|push| push.class != EPHEMERAL) {
        push.seq = numbers.entry(account.to_vec()).or_default().push(push.seq);
    }
}

/// Applies the rules to a frame of the relay.
fn bend(state: &State, mut frame: MailboxServerFrame) -> Vec<MailboxServerFrame> {
    let mut rules = lock(&state.rules);
    if let (Some(ready), Some(rule)) = (frame.ready.take_if(|_| rules.ready.is_some()), &mut rules.ready) {
        frame.ready = Some(rule(ready));
    }
    match (&mut rules.push, frame.push.take()) {
        (Some(rule), Some(push)) => {
            let one = |push| MailboxServerFrame { push: Some(push), ..MailboxServerFrame::default() };
            let head = push.head.clone();
            let pushes: Vec<_> = rule(push).into_iter().map(one).collect();
            if pushes.is_empty() {
                state.note(Seen::Withheld { head });
            }
            pushes
        }
        (_, push) => vec![MailboxServerFrame { push, ..frame }],
    }
}

pub(super) async fn submission(AxumState(state): AxumState<Arc<State>>, upgrade: WebSocketUpgrade) -> HttpResponse {
    state.note(Seen::Opened("submit"));
    upgrade.on_upgrade(move |socket| async move {
        let _ = carry_submissions(&state, socket).await;
    })
}

async fn carry_submissions(state: &State, socket: WebSocket) -> Result<()> {
    let (mut to_engine, mut from_engine) = socket.split();
    let (mut to_relay, mut from_relay) = match &state.upstream {
        Some(upstream) => {
            let (to, from) = connect_async(format!("ws://{upstream}/v1/submit")).await?.0.split();
            (Some(to), Some(from))
        }
        None => (None, None),
    };
    loop {
        tokio::select! {
            frame = from_engine.next() => {
                let Ws::Binary(bytes) = frame.context("the engine is gone")?? else { continue };
                let frame = SubmitClientFrame::decode(bytes.clone())?;
                let own = match (&frame.submit, &to_relay) {
                    (Some(submission), _) => {
                        let submit = submission.submit.clone().unwrap_or_default();
                        let ours = state.take(&submit, false) || to_relay.is_none();
                        let reply =
                            Reply { id: submission.id, results: Some(accepted(&submit)), ..Reply::default() };
                        ours.then(|| SubmitServerFrame { reply: Some(reply), ..SubmitServerFrame::default() })
                    }
                    (None, None) if frame.hello.is_some() => {
                        let welcome = Welcome { version: 1, server_time_ms: now_ms(), limits: None };
                        Some(SubmitServerFrame { welcome: Some(welcome), ..SubmitServerFrame::default() })
                    }
                    (None, None) => Some(SubmitServerFrame { pong: Some(Empty {}), ..SubmitServerFrame::default() }),
                    (None, Some(_)) => None,
                };
                match (own, &mut to_relay) {
                    (Some(own), _) => to_engine.send(Ws::Binary(own.encode_to_vec().into())).await?,
                    (None, Some(to_relay)) => to_relay.send(Upstream::Binary(bytes)).await?,
                    (None, None) => {}
                }
            }
            frame = async {
                match &mut from_relay {
                    Some(from_relay) => from_relay.next().await,
                    None => std::future::pending().await,
                }
            } => {
                if let Upstream::Binary(bytes) = frame.context("the relay is gone")?? {
                    to_engine.send(Ws::Binary(bytes)).await?;
                }
            }
        }
    }
}
