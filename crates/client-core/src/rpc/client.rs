//! Calls an engine that runs in another process.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, BufReader, ReadBuf},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot, watch},
    task::AbortHandle,
    time::sleep,
};

use super::{
    MAX_ANSWER_BYTES, MAX_IN_FLIGHT, PING, SocketPath,
    line::{Line, next_line},
};
use crate::{
    api::{ApiError, ErrorKind},
    clean::json_line,
    client::RemoteCall,
    home::Home,
};

/// Looks in a row without a sign of life after which an owner counts as stuck; each lasts a fifth of the caller's patience. Single
/// looks, not one long wait: who was stopped or suspended itself gives the other side time again.
const SILENT_LOOKS: u32 = 5;

/// An open call is looked after at least so often, however long it has waited: a listener wakes four times a minute.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// Calls at once on one connection. Fewer than the server takes, so that a ping always finds a place there.
const MAX_CALLS: usize = MAX_IN_FLIGHT - 16;

/// A connection to the account's engine; `Remote<SocketCaller>` is a [`crate::Client`].
///
/// Calls run side by side. When the connection breaks, every open and every later call fails with
/// [`ErrorKind::EngineGone`]; when the other side gives no sign of life while calls are open, with
/// [`ErrorKind::AccountBusy`].
#[derive(Debug)]
pub struct SocketCaller {
    requests: mpsc::Sender<String>,
    open_calls: Arc<OpenCalls>,
    next_id: AtomicU64,
    places: Semaphore,
    tasks: [AbortHandle; 3],
}

type Answer = Result<Value, ApiError>;

/// Calls that wait for an answer, and whether the other side lives.
#[derive(Debug)]
struct OpenCalls {
    /// `None` once the connection is gone.
    calls: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    /// When a call was opened last.
    newest: watch::Sender<Instant>,
    /// Counts what was read.
    heard: AtomicU64,
    /// The connection was given up because nothing was heard.
    silent: AtomicBool,
}

impl SocketCaller {
    /// Connects to the engine that serves this account.
    ///
    /// # Errors
    /// Those of connecting: `NotFound` and `ConnectionRefused` mean that no engine serves the account now.
    pub async fn connect(home: &Home) -> io::Result<Self> {
        Self::connect_patiently(home, crate::lock::LOCK_TIMEOUT).await
    }

    /// As [`SocketCaller::connect`]; a call is given up when the engine gives no sign of life for so long.
    ///
    /// # Errors
    /// Those of [`SocketCaller::connect`].
    pub async fn connect_patiently(home: &Home, patience: Duration) -> io::Result<Self> {
        let socket = SocketPath::of(home)?;
        let stream = UnixStream::connect(&socket.path).await?;
        let (reader, writer) = stream.into_split();
        let (requests, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let open_calls = Arc::new(OpenCalls {
            calls: Mutex::new(Some(HashMap::new())),
            newest: watch::Sender::new(subrosa_ambient::instant()),
            heard: AtomicU64::new(0),
            silent: AtomicBool::new(false),
        });
        let watcher = tokio::spawn(watch_over(Arc::clone(&open_calls), requests.clone(), patience / SILENT_LOOKS));
        let reader = tokio::spawn(read_answers(reader, Arc::clone(&open_calls)));
        let writer = tokio::spawn(write_requests(writer, queue, Arc::clone(&open_calls)));
        Ok(Self {
            requests,
            open_calls,
            next_id: AtomicU64::new(1),
            places: Semaphore::new(MAX_CALLS),
            tasks: [reader.abort_handle(), writer.abort_handle(), watcher.abort_handle()],
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
        let _place = self.places.acquire().await.map_err(|_| gone())?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Some(open) = self.open_calls.open(id) else { return Err(self.open_calls.why()) };
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut line = json_line(&request)
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("parameters of {method}: {error}")))?;
        line.push('\n');
        self.requests.send(line).await.map_err(|_| self.open_calls.why())?;
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
        (&mut self.answer).await.unwrap_or_else(|_| Err(self.calls.why()))
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
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, id: u64) -> Option<OpenCall<'_>> {
        let (sender, answer) = oneshot::channel();
        self.lock().as_mut()?.insert(id, sender);
        self.newest.send_replace(subrosa_ambient::instant());
        Some(OpenCall { calls: self, id, answer })
    }

    fn answer(&self, id: u64, answer: Answer) {
        let sender = self.lock().as_mut().and_then(|calls| calls.remove(&id));
        if let Some(sender) = sender {
            // Nobody may wait any more.
            let _ = sender.send(answer);
        }
    }

    fn any(&self) -> bool {
        self.lock().as_ref().is_some_and(|calls| !calls.is_empty())
    }

    /// Why calls fail now.
    fn why(&self) -> ApiError {
        if self.silent.load(Ordering::Acquire) {
            ApiError::new(ErrorKind::AccountBusy, "the process that runs this account's engine does not answer")
        } else {
            gone()
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

/// While calls are open: a side that is silent is asked for a sign of life, and given up if none comes.
async fn watch_over(open_calls: Arc<OpenCalls>, requests: mpsc::Sender<String>, look: Duration) {
    let mut newest = open_calls.newest.subscribe();
    let ping = format!("{}\n", json!({"jsonrpc": "2.0", "id": PING, "method": PING}));
    loop {
        while !open_calls.any() {
            if newest.changed().await.is_err() {
                return;
            }
        }
        let heard = open_calls.heard.load(Ordering::Acquire);
        let quiet = || open_calls.any() && open_calls.heard.load(Ordering::Acquire) == heard;
        // What has waited long already is looked after less often.
        let age = newest.borrow_and_update().elapsed();
        sleep((age / 4).clamp(look, LONGEST_LOOK.max(look))).await;
        if !quiet() {
            continue;
        }
        // A full queue is a sign of the same: nothing is taken.
        let _ = requests.try_send(ping.clone());
        let mut looks = 1;
        while looks < SILENT_LOOKS && quiet() {
            sleep(look).await;
            looks += 1;
        }
        if quiet() {
            open_calls.silent.store(true, Ordering::Release);
            open_calls.close();
            return;
        }
    }
}

/// Counts every piece that is read: also half an answer is a sign of life.
struct Heard {
    inner: OwnedReadHalf,
    open_calls: Arc<OpenCalls>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_ready() {
            self.open_calls.heard.fetch_add(1, Ordering::AcqRel);
        }
        read
    }
}

async fn read_answers(reader: OwnedReadHalf, open_calls: Arc<OpenCalls>) {
    let mut reader = BufReader::new(Heard { inner: reader, open_calls: Arc::clone(&open_calls) });
    while let Ok(Some(Line::Whole(line))) = next_line(&mut reader, MAX_ANSWER_BYTES).await {
        let Some(message) = parse_answer(&line) else { break };
        if let Some((id, answer)) = message {
            open_calls.answer(id, answer);
        }
    }
    open_calls.close();
}

/// Which call a line of the engine answers, and how; `Some(None)` is a message that answers none, `None` is not one at all.
pub(crate) fn parse_answer(line: &[u8]) -> Option<Option<(u64, Result<Value, ApiError>)>> {
    let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else { return None };
    let Some(id) = message.get("id").and_then(Value::as_u64) else { return Some(None) };
    let answer = match message.remove("error") {
        Some(error) => Err(api_error(error)),
        None => Ok(message.remove("result").unwrap_or(Value::Null)),
    };
    Some(Some((id, answer)))
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
