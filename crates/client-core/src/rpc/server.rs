//! Answers JSON-RPC calls for the process that runs the engine.

use std::{io, os::unix::fs::PermissionsExt as _, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    ACCEPT_PAUSE, ANSWER_QUEUE, HALF_CLOSED_LINGER, MAX_CONNECTIONS, MAX_IN_FLIGHT, MAX_REQUEST_BYTES, SocketPath,
    WRITE_TIMEOUT, code,
    line::{Line, next_line},
};
use crate::{
    api::{ApiError, ErrorKind},
    client::{Client, METHODS, dispatch},
    home::{Home, storage_error},
    lock::EngineLock,
};

/// Binds the account's socket (0600) in place of one that a dead owner left. Only the lock's holder may: hence the reference.
///
/// # Errors
/// [`ErrorKind::Storage`].
pub fn bind(home: &Home, _lock: &EngineLock) -> Result<UnixListener, ApiError> {
    let shown = home.engine_socket();
    let failed = |error: io::Error| storage_error("listen on", &shown, &error);
    let socket = SocketPath::of(home).map_err(failed)?;
    match std::fs::remove_file(&socket.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&socket.path).map_err(failed)?;
    std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves `client` to every process of this user until `shutdown`. Calls that then are open are given up: their callers
/// see the connection close and may call again elsewhere.
pub async fn serve(client: Arc<dyn Client>, listener: UnixListener, shutdown: CancellationToken) {
    let Some(owner) = own_user() else {
        debug!("the socket is closed: the user of this process is not known");
        return;
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped at the end, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { return };
        let stream = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: others have to close theirs first.
                    debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == owner => {
                connections.spawn(serve_connection(Arc::clone(&client), stream, place));
            }
            _ => debug!("a connection of another user was closed"),
        }
    }
}

/// The user this process acts as: the two ends of an own socket pair belong to it.
fn own_user() -> Option<u32> {
    let pair = UnixStream::pair().ok()?;
    pair.0.peer_cred().ok().map(|own| own.uid())
}

async fn serve_connection(client: Arc<dyn Client>, stream: UnixStream, _place: OwnedSemaphorePermit) {
    let (reader, writer) = stream.into_split();
    let (answers, queue) = mpsc::channel(ANSWER_QUEUE);
    let read = read_calls(client, reader, answers);
    let write = write_answers(writer, queue);
    tokio::pin!(read, write);
    // Whoever ends first: the reader ends when everything asked is answered, then the writer still has to put it out; the
    // writer ends early when nobody reads, then nothing more need be done.
    tokio::select! {
        () = &mut read => write.await,
        () = &mut write => {}
    }
}

async fn read_calls(client: Arc<dyn Client>, reader: OwnedReadHalf, answers: mpsc::Sender<Value>) {
    let mut reader = BufReader::new(reader);
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut calls = JoinSet::new();
    loop {
        while calls.try_join_next().is_some() {}
        let line = match next_line(&mut reader, MAX_REQUEST_BYTES).await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(_) => return,
        };
        let call = match line {
            Line::TooLong => Err(error(Value::Null, code::INVALID_REQUEST, "the request is too long")),
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(line) => parse(&line),
        };
        match call {
            Ok(call) => {
                let Ok(place) = Arc::clone(&in_flight).acquire_owned().await else { return };
                let client = Arc::clone(&client);
                let answers = answers.clone();
                calls.spawn(async move {
                    if let Some(answer) = answer(&*client, call).await {
                        // An error means that the writer is gone, and so is the client.
                        let _ = answers.send(answer).await;
                    }
                    drop(place);
                });
            }
            Err(refusal) => {
                if answers.send(refusal).await.is_err() {
                    return;
                }
            }
        }
    }
    let rest = async { while calls.join_next().await.is_some() {} };
    let _ = timeout(HALF_CLOSED_LINGER, rest).await;
}

async fn write_answers(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Value>) {
    while let Some(answer) = queue.recv().await {
        let mut line = answer.to_string();
        line.push('\n');
        match timeout(WRITE_TIMEOUT, writer.write_all(line.as_bytes())).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

/// A call as it stands in a line.
#[derive(Deserialize)]
struct Request {
    jsonrpc: String,
    method: String,
    #[serde(default)]
    params: Option<Value>,
}

struct Call {
    /// Absent: a notification, which is not answered.
    id: Option<Value>,
    method: String,
    params: Value,
}

fn parse(line: &[u8]) -> Result<Call, Value> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|reason| error(Value::Null, code::PARSE, &format!("not JSON: {reason}")))?;
    if value.is_array() {
        return Err(error(Value::Null, code::INVALID_REQUEST, "batches are not taken: write one request a line"));
    }
    let id = value.get("id").cloned();
    if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
        return Err(error(Value::Null, code::INVALID_REQUEST, "the id is neither string nor number"));
    }
    let shown = id.clone().unwrap_or(Value::Null);
    let request: Request = serde_json::from_value(value)
        .map_err(|reason| error(shown.clone(), code::INVALID_REQUEST, &format!("not a request: {reason}")))?;
    if request.jsonrpc != "2.0" {
        return Err(error(shown, code::INVALID_REQUEST, "\"jsonrpc\" is not \"2.0\""));
    }
    let params = request.params.unwrap_or_else(|| json!({}));
    Ok(Call { id, method: request.method, params })
}

async fn answer(client: &dyn Client, call: Call) -> Option<Value> {
    let known = METHODS.contains(&call.method.as_str());
    let result = dispatch(client, &call.method, call.params).await;
    let id = call.id?;
    Some(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(failure) => {
            let code = match failure.code {
                ErrorKind::Usage if !known => code::METHOD_NOT_FOUND,
                ErrorKind::Usage => code::INVALID_PARAMS,
                _ => code::API,
            };
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": failure.message, "data": failure}})
        }
    })
}

fn error(id: Value, code: i64, message: &str) -> Value {
    let data = ApiError::new(ErrorKind::Usage, message);
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})
}
