//! Calls an engine that runs in another process.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use super::{
    MAX_ANSWER_BYTES, MAX_IN_FLIGHT, SocketPath,
    line::{Line, next_line},
};
use crate::{
    api::{ApiError, ErrorKind},
    client::RemoteCall,
    home::Home,
};

/// A connection to the account's engine; `Remote<SocketCaller>` is a [`crate::Client`].
///
/// Calls run side by side. When the connection breaks, every open and every later call fails with
/// [`ErrorKind::EngineGone`].
#[derive(Debug)]
pub struct SocketCaller {
    requests: mpsc::Sender<String>,
    open_calls: Arc<OpenCalls>,
    next_id: AtomicU64,
    tasks: [AbortHandle; 2],
}

type Answer = Result<Value, ApiError>;

/// Calls that wait for an answer; `None` once the connection is gone.
#[derive(Debug)]
struct OpenCalls(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl SocketCaller {
    /// Connects to the engine that serves this account.
    ///
    /// # Errors
    /// Those of connecting: `NotFound` and `ConnectionRefused` mean that no engine serves the account now.
    pub async fn connect(home: &Home) -> io::Result<Self> {
        let socket = SocketPath::of(home)?;
        let stream = UnixStream::connect(&socket.path).await?;
        let (reader, writer) = stream.into_split();
        let (requests, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let open_calls = Arc::new(OpenCalls(Mutex::new(Some(HashMap::new()))));
        let reader = tokio::spawn(read_answers(reader, Arc::clone(&open_calls)));
        let writer = tokio::spawn(write_requests(writer, queue, Arc::clone(&open_calls)));
        Ok(Self {
            requests,
            open_calls,
            next_id: AtomicU64::new(1),
            tasks: [reader.abort_handle(), writer.abort_handle()],
        })
    }
}

impl Drop for SocketCaller {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl RemoteCall for SocketCaller {
    async fn call(&self, method: &'static str, params: Value) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Some(open) = self.open_calls.open(id) else { return Err(gone()) };
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut line = request.to_string();
        line.push('\n');
        self.requests.send(line).await.map_err(|_| gone())?;
        open.answer().await
    }
}

/// An open call; given up when dropped.
struct OpenCall<'a> {
    calls: &'a OpenCalls,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl OpenCall<'_> {
    async fn answer(mut self) -> Answer {
        (&mut self.answer).await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if let Some(calls) = self.calls.lock().as_mut() {
            calls.remove(&self.id);
        }
    }
}

impl OpenCalls {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
        // Nothing in here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, id: u64) -> Option<OpenCall<'_>> {
        let (sender, answer) = oneshot::channel();
        self.lock().as_mut()?.insert(id, sender);
        Some(OpenCall { calls: self, id, answer })
    }

    fn answer(&self, id: u64, answer: Answer) {
        let sender = self.lock().as_mut().and_then(|calls| calls.remove(&id));
        if let Some(sender) = sender {
            // Nobody may wait any more.
            let _ = sender.send(answer);
        }
    }

    /// The connection is gone: every sender is dropped, every caller sees it.
    fn close(&self) {
        self.lock().take();
    }
}

fn gone() -> ApiError {
    ApiError::new(ErrorKind::EngineGone, "the process that runs this account's engine went away")
        .hint("run the command again")
}

async fn read_answers(reader: OwnedReadHalf, open_calls: Arc<OpenCalls>) {
    let mut reader = BufReader::new(reader);
    while let Ok(Some(Line::Whole(line))) = next_line(&mut reader, MAX_ANSWER_BYTES).await {
        let Ok(Value::Object(mut message)) = serde_json::from_slice(&line) else { break };
        let Some(id) = message.get("id").and_then(Value::as_u64) else { continue };
        let answer = match message.remove("error") {
            Some(error) => Err(api_error(error)),
            None => Ok(message.remove("result").unwrap_or(Value::Null)),
        };
        open_calls.answer(id, answer);
    }
    open_calls.close();
}

/// The engine's own error, or what can be said of another one.
fn api_error(mut error: Value) -> ApiError {
    let data = error.get_mut("data").map(Value::take).unwrap_or_default();
    serde_json::from_value(data).unwrap_or_else(|_| {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("the engine answered with an error");
        ApiError::new(ErrorKind::Failed, message)
    })
}

async fn write_requests(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<String>, open_calls: Arc<OpenCalls>) {
    while let Some(line) = queue.recv().await {
        if writer.write_all(line.as_bytes()).await.is_err() {
            open_calls.close();
            return;
        }
    }
}
