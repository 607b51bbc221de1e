//! One client's stream of lines, whatever carries it: a socket or standard input and output.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::DropGuard;

use super::{
    ANSWER_QUEUE, ENDED, EVENT, HALF_CLOSED_LINGER, MAX_IN_FLIGHT, MAX_REQUEST_BYTES, PING, SUBSCRIBE, UNSUBSCRIBE,
    WRITE_TIMEOUT,
    line::{Line, next_line},
    protocol::{Call, Incoming, answer, answer_batch, code, notification, outcome, parse, refusal},
};
use crate::{
    api::{ApiError, Done, ErrorKind, Event, EventsParams, NoParams, SubscribeParams, Subscribed, SubscriptionEnded},
    caller::{self, Caller},
    clean::json_line,
    client::Client,
};

/// One `events` call of a subscription waits so long for the next event; then it is made again.
const FOLLOW_WAIT: Duration = Duration::from_secs(3600);

/// Serves one client until it goes or takes nothing any more. What is held for `caller`'s connection ends with it.
pub async fn serve_stream(
    client: Arc<dyn Client>,
    reader: impl AsyncRead + Unpin + Send,
    writer: impl AsyncWrite + Unpin + Send,
    caller: Caller,
) {
    let (answers, queue) = mpsc::channel(ANSWER_QUEUE);
    let ends = caller.guard();
    let read = Reader { client, caller, ends, answers, calls: JoinSet::new(), subscription: None }.run(reader);
    let write = write_answers(writer, queue);
    tokio::pin!(read, write);
    // Whoever ends first: the reader ends when everything asked is answered, then the writer still has to put it out; the
    // writer ends early when nobody reads, then nothing more need be done.
    tokio::select! {
        biased;
        // What was asked is read only as far as there is room for its answers, so neither keeps the other waiting.
        () = &mut write => {}
        () = &mut read => write.await,
    }
}

struct Reader {
    client: Arc<dyn Client>,
    caller: Caller,
    /// Ends the connection when it is dropped, however the reading ends.
    ends: Option<DropGuard>,
    answers: mpsc::Sender<Value>,
    calls: JoinSet<()>,
    subscription: Option<AbortHandle>,
}

impl Reader {
    async fn run(mut self, reader: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(reader);
        let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        loop {
            while self.calls.try_join_next().is_some() {}
            let incoming = match next_line(&mut reader, MAX_REQUEST_BYTES).await {
                Ok(Some(Line::Whole(line))) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(Some(Line::Whole(line))) => parse(&line),
                Ok(Some(Line::TooLong)) => Incoming::Refused(refusal(
                    Value::Null,
                    code::INVALID_REQUEST,
                    &format!("the request is longer than {MAX_REQUEST_BYTES} bytes"),
                )),
                Ok(None) => break,
                Err(_) => return,
            };
            let work: Vec<Result<Call, Value>>;
            let is_batch = matches!(incoming, Incoming::Batch(_));
            match incoming {
                Incoming::Refused(refusal) => {
                    if self.answers.send(refusal).await.is_err() {
                        return;
                    }
                    continue;
                }
                Incoming::One(call) => match call.method.as_str() {
                    SUBSCRIBE | UNSUBSCRIBE | PING => {
                        if !self.at_once(call).await {
                            return;
                        }
                        continue;
                    }
                    _ => work = vec![Ok(call)],
                },
                Incoming::Batch(calls) => work = calls,
            }
            let Ok(place) = Arc::clone(&in_flight).acquire_owned().await else { return };
            let client = Arc::clone(&self.client);
            let answers = self.answers.clone();
            self.calls.spawn(caller::within(self.caller.clone(), async move {
                let answer = if is_batch {
                    answer_batch(&*client, work).await
                } else {
                    match work.into_iter().next() {
                        Some(Ok(call)) => answer(&*client, call).await,
                        _ => None,
                    }
                };
                if let Some(answer) = answer {
                    // An error means that the writer is gone, and so is the client.
                    let _ = answers.send(answer).await;
                }
                drop(place);
            }));
        }
        // Who cannot ask any more cannot commit either: also while answers to what is open are still waited for.
        drop(self.ends.take());
        // Nobody can end a subscription any more, and it would never end by itself.
        if let Some(subscription) = self.subscription.take() {
            subscription.abort();
        }
        let rest = async { while self.calls.join_next().await.is_some() {} };
        let _ = timeout(HALF_CLOSED_LINGER, rest).await;
    }

    /// What belongs to the connection itself is done before the next line is read; `false`: the client is gone.
    async fn at_once(&mut self, call: Call) -> bool {
        let Call { id, method, params } = call;
        let mut follow = None;
        let result = match method.as_str() {
            SUBSCRIBE => self.subscribe(params, &mut follow).await,
            UNSUBSCRIBE => parameters::<NoParams>(UNSUBSCRIBE, params).map(|_| {
                let ended = self.subscription.take().inspect(AbortHandle::abort);
                json!(Done { id: None, count: u64::from(ended.is_some()) })
            }),
            _ => Ok(json!({})),
        };
        if let Some(id) = id
            && self.answers.send(outcome(id, result)).await.is_err()
        {
            return false;
        }
        // After the answer: the first event must not overtake it.
        if let Some((cursor, wanted)) = follow {
            let (client, answers) = (Arc::clone(&self.client), self.answers.clone());
            self.subscription = Some(self.calls.spawn(follow_events(client, cursor, wanted, answers)));
        }
        true
    }

    async fn subscribe(
        &mut self,
        params: Value,
        follow: &mut Option<(u64, SubscribeParams)>,
    ) -> Result<Value, ApiError> {
        let wanted: SubscribeParams = parameters(SUBSCRIBE, params)?;
        // Also proves that a given cursor is one of this account.
        let look = EventsParams { since: wanted.since, max: Some(1), wait_ms: 0 };
        let page = self.client.events(look).await?;
        let cursor = wanted.since.unwrap_or(page.cursor);
        if let Some(before) = self.subscription.take() {
            before.abort();
        }
        *follow = Some((cursor, wanted));
        Ok(json!(Subscribed { cursor }))
    }
}

fn parameters<T: DeserializeOwned>(method: &str, params: Value) -> Result<T, ApiError> {
    serde_json::from_value(params)
        .map_err(|error| ApiError::new(ErrorKind::Usage, format!("parameters of {method}: {error}")))
}

async fn follow_events(
    client: Arc<dyn Client>,
    mut cursor: u64,
    wanted: SubscribeParams,
    answers: mpsc::Sender<Value>,
) {
    loop {
        let wait_ms = u64::try_from(FOLLOW_WAIT.as_millis()).unwrap_or(u64::MAX);
        let page = match client.events(EventsParams { since: Some(cursor), max: None, wait_ms }).await {
            Ok(page) => page,
            Err(error) => {
                let _ = answers.send(notification(ENDED, &SubscriptionEnded { cursor, error })).await;
                return;
            }
        };
        let fits = |event: &&Event| wanted.types.is_empty() || wanted.types.contains(&event.kind());
        for event in page.events.iter().filter(fits) {
            if answers.send(notification(EVENT, &event.line())).await.is_err() {
                return;
            }
        }
        cursor = page.cursor;
    }
}

async fn write_answers(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Value>) {
    while let Some(answer) = queue.recv().await {
        // What others said stands in the answer, and whoever looks at the stream may have a terminal.
        let Ok(mut line) = json_line(&answer) else { return };
        line.push('\n');
        let write = async {
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await
        };
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}
