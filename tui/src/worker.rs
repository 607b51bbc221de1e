//! Does what the state asks for, through the engine, and brings the outcomes back as messages.
//!
//! Nothing here is waited for by the interface. Texts are sent one after the other, in the order in which they were written;
//! everything else runs side by side.

use std::{sync::Arc, time::Duration};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{Connection, EventsParams, StatusWatchParams},
    limits::MAX_WAIT,
    open::EngineAt,
};
use subrosa_crash_point::panic_point;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    account_service::{AccountService, Opening},
    ask::{Answer, Call},
    message::{Effect, Msg, Opened},
    opener::Opener,
};

/// Texts that wait for the engine to take them. It takes one in about a millisecond: more are pasted, not typed.
const SEND_QUEUE: usize = 256;

/// How long leaving waits for the engine to take what was sent last.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// The engine, once the account is open.
type Engine = Arc<dyn Client>;

/// The way to the engine.
pub(crate) struct Worker {
    service: Arc<dyn AccountService>,
    engine: watch::Sender<Option<Engine>>,
    news: mpsc::Sender<Msg>,
    /// What is carried out in the order in which it was asked.
    texts: mpsc::Sender<Call>,
    sending: JoinHandle<()>,
    following: Vec<JoinHandle<()>>,
    opener: Opener,
}

impl Worker {
    /// Follows the engine's events as soon as the account is open.
    pub(crate) fn start(service: Arc<dyn AccountService>, news: mpsc::Sender<Msg>) -> Self {
        let (texts, queue) = mpsc::channel(SEND_QUEUE);
        let engine = watch::Sender::new(None);
        let sending = tokio::spawn({
            let (opened, news) = (opened(engine.subscribe()), news.clone());
            async move {
                if let Some(client) = opened.await {
                    send_all(client, queue, news).await;
                }
            }
        });
        let events = {
            let (opened, news) = (opened(engine.subscribe()), news.clone());
            async move {
                if let Some(client) = opened.await {
                    follow_events(client, news).await;
                }
            }
        };
        let connection = {
            let (opened, news) = (opened(engine.subscribe()), news.clone());
            async move {
                if let Some(client) = opened.await {
                    follow_connection(client, news).await;
                }
            }
        };
        let place = {
            let (opened, news, service) = (opened(engine.subscribe()), news.clone(), Arc::clone(&service));
            async move {
                if opened.await.is_some() {
                    follow_place(&*service, news).await;
                }
            }
        };
        let following = vec![tokio::spawn(events), tokio::spawn(connection), tokio::spawn(place)];
        Self { service, engine, news, texts, sending, following, opener: Opener::new() }
    }

    /// Begins to do it. Effects on the terminal are not for here.
    pub(crate) fn perform(&self, effect: Effect) {
        let effect = match effect {
            Effect::Ask(call) if call.in_order() => return self.queue(call),
            effect => effect,
        };
        if let Effect::OpenLink(address) = effect {
            return self.opener.open(&address, self.news.clone());
        }
        let news = self.news.clone();
        let (service, engine) = (Arc::clone(&self.service), self.engine.clone());
        tokio::spawn(async move {
            panic_point("asking");
            let msg = match effect {
                Effect::Look => Some(Msg::Looked(service.look().await)),
                Effect::Make(new) => {
                    let told = news.clone();
                    let words = Box::new(move |words| {
                        let lost = |_| ApiError::new(ErrorKind::Failed, "the recovery words could not be shown");
                        told.try_send(Msg::Words(words)).map_err(lost)
                    });
                    Some(Msg::Made(service.create(new, words).await))
                }
                Effect::Unlock(passphrase) => Some(Msg::Unlocked(service.unlock(passphrase).await)),
                Effect::OpenAccount { account, passphrase } => {
                    let account = Some(account).filter(|account| !account.is_empty());
                    Some(Msg::Opened(service.open(account, passphrase).await.map(|opening| match opening {
                        Opening::Asks => Opened::Asks,
                        Opening::Open { client, opens_with } => {
                            engine.send_replace(Some(client));
                            Opened::Open { opens_with }
                        }
                    })))
                }
                Effect::Ask(call) => {
                    let client = engine.borrow().clone();
                    match client {
                        Some(client) => Some(answered(call.carry(&*client).await)),
                        None => None,
                    }
                }
                // The terminal's, or done above.
                Effect::Copy(_)
                | Effect::OpenLink(_)
                | Effect::Title(_)
                | Effect::Notify { .. }
                | Effect::Suspend
                | Effect::Redraw
                | Effect::Quit => None,
            };
            if let Some(msg) = msg {
                // The interface may have ended meanwhile.
                let _ = news.send(msg).await;
            }
        });
    }

    fn queue(&self, call: Call) {
        let (Err(mpsc::error::TrySendError::Full(call)) | Err(mpsc::error::TrySendError::Closed(call))) =
            self.texts.try_send(call)
        else {
            return;
        };
        // A draft is kept after the next change.
        if let Call::Send(_) = call {
            let answer = call.refused(ApiError::new(ErrorKind::Failed, "too much at once: this was not sent"));
            let news = self.news.clone();
            tokio::spawn(async move {
                let _ = news.send(answered(answer)).await;
            });
        }
    }

    /// Ends, after the engine has taken what was sent last.
    pub(crate) async fn finish(self) {
        drop(self.texts);
        // What waits for an account that was never opened ends.
        drop(self.engine);
        for task in self.following {
            task.abort();
        }
        let _ = timeout(LEAVE_PATIENCE, self.sending).await;
    }
}

/// The engine, when the account is open; nothing if the interface ends before.
async fn opened(mut engine: watch::Receiver<Option<Engine>>) -> Option<Engine> {
    engine.wait_for(Option::is_some).await.ok()?.clone()
}

/// Tells when the engine goes and comes back.
async fn follow_place(service: &dyn AccountService, news: mpsc::Sender<Msg>) {
    let Some(mut place) = service.engine_at().await else { return };
    loop {
        let at = place.borrow_and_update().clone();
        let asks = matches!(at, EngineAt::Lost(_)) && service.asks();
        if news.send(Msg::EngineAt { at, asks }).await.is_err() || place.changed().await.is_err() {
            return;
        }
    }
}

fn answered(answer: Answer) -> Msg {
    Msg::Answered(Box::new(answer))
}

async fn send_all(client: Arc<dyn Client>, mut queue: mpsc::Receiver<Call>, news: mpsc::Sender<Msg>) {
    while let Some(call) = queue.recv().await {
        // While leaving nobody listens any more, and what is queued is sent all the same.
        let _ = news.try_send(answered(call.carry(&*client).await));
    }
}

async fn follow_events(client: Arc<dyn Client>, news: mpsc::Sender<Msg>) {
    let ended = async {
        let mut cursor = client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor;
        // Nobody listens any more when a message is not taken.
        let gone = |_| ApiError::new(ErrorKind::EngineGone, "the interface has ended");
        news.send(Msg::Begun).await.map_err(gone)?;
        loop {
            let params = EventsParams { since: Some(cursor), max: None, wait_ms: longest() };
            let page = client.events(params).await?;
            cursor = page.cursor;
            if !page.events.is_empty() {
                news.send(Msg::Events(page)).await.map_err(gone)?;
            }
        }
    };
    let Err::<std::convert::Infallible, ApiError>(error) = ended.await;
    let _ = news.send(Msg::EventsEnded(error)).await;
}

async fn follow_connection(client: Arc<dyn Client>, news: mpsc::Sender<Msg>) {
    let mut known = Connection::Connecting;
    // That the engine is gone is told by the events.
    while let Ok(status) = client.status_watch(StatusWatchParams { relay: known, wait_ms: longest() }).await {
        known = status.relay;
        if news.send(Msg::Connection(status)).await.is_err() {
            return;
        }
    }
}

/// Longest wait for something to happen: an idle interface does not wake up.
fn longest() -> u64 {
    u64::try_from(MAX_WAIT.as_millis()).unwrap_or(u64::MAX)
}
