//! Does what the state asks for, through the engine, and brings the outcomes back as messages.
//!
//! Nothing here is waited for by the interface. Texts are sent one after the other, in the order in which they were written;
//! everything else runs side by side.

use std::{sync::Arc, time::Duration};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{
        ChatDraftParams, ChatSetParams, ChatsParams, Connection, EventsParams, HistoryParams, InfoParams, InviteParams,
        JoinParams, NoParams, OutboxCancelParams, OutboxListParams, OutboxRetryParams, ReadParams, RenameParams,
        SearchParams, SendParams, StatusWatchParams, VerifyParams, WhoParams,
    },
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
    door::{Door, Opening},
    message::{Deed, Effect, Msg, Opened, Page},
    opener::Opener,
};

/// Texts that wait for the engine to take them. It takes one in about a millisecond: more are pasted, not typed.
const SEND_QUEUE: usize = 256;

/// Hits asked for at once: a few screens.
const HITS: u32 = 50;

/// How long leaving waits for the engine to take what was sent last.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

struct Text {
    chat: String,
    id: String,
    body: String,
    reply_to: Option<String>,
}

/// What is done in the order in which it was asked for.
enum Job {
    Send(Text),
    Keep { chat: String, text: String },
}

/// The engine, once the account is open.
type Engine = Arc<dyn Client>;

/// The way to the engine.
pub(crate) struct Worker {
    door: Arc<dyn Door>,
    engine: watch::Sender<Option<Engine>>,
    news: mpsc::Sender<Msg>,
    texts: mpsc::Sender<Job>,
    sending: JoinHandle<()>,
    following: Vec<JoinHandle<()>>,
    opener: Opener,
}

impl Worker {
    /// Follows the engine's events as soon as the account is open.
    pub(crate) fn start(door: Arc<dyn Door>, news: mpsc::Sender<Msg>) -> Self {
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
            let (opened, news, door) = (opened(engine.subscribe()), news.clone(), Arc::clone(&door));
            async move {
                if opened.await.is_some() {
                    follow_place(&*door, news).await;
                }
            }
        };
        let following = vec![tokio::spawn(events), tokio::spawn(connection), tokio::spawn(place)];
        Self { door, engine, news, texts, sending, following, opener: Opener::new() }
    }

    /// Begins to do it. Effects on the terminal are not for here.
    pub(crate) fn perform(&self, effect: Effect) {
        if let Effect::Send { chat, id, body, reply_to } = effect {
            return self.send(Text { chat, id, body, reply_to });
        }
        if let Effect::Draft { chat, text } = effect {
            // A full queue: it is kept after the next change.
            let _ = self.texts.try_send(Job::Keep { chat, text });
            return;
        }
        if let Effect::OpenLink(address) = effect {
            return self.opener.open(&address, self.news.clone());
        }
        let news = self.news.clone();
        let (door, engine) = (Arc::clone(&self.door), self.engine.clone());
        tokio::spawn(async move {
            panic_point("asking");
            let msg = match effect {
                Effect::Look => Some(Msg::Looked(door.look().await)),
                Effect::Make(new) => {
                    let told = news.clone();
                    let words = Box::new(move |words| {
                        let lost = |_| ApiError::new(ErrorKind::Failed, "the recovery words could not be shown");
                        told.try_send(Msg::Words(words)).map_err(lost)
                    });
                    Some(Msg::Made(door.create(new, words).await))
                }
                Effect::Unlock(passphrase) => Some(Msg::Unlocked(door.unlock(passphrase).await)),
                Effect::OpenAccount { account, passphrase } => {
                    let account = Some(account).filter(|account| !account.is_empty());
                    Some(Msg::Opened(door.open(account, passphrase).await.map(|opening| match opening {
                        Opening::Asks => Opened::Asks,
                        Opening::Open { client, opens_with } => {
                            engine.send_replace(Some(client));
                            Opened::Open { opens_with }
                        }
                    })))
                }
                effect => {
                    let client = engine.borrow().clone();
                    match client {
                        Some(client) => outcome(&*client, effect).await,
                        None => None,
                    }
                }
            };
            if let Some(msg) = msg {
                // The interface may have ended meanwhile.
                let _ = news.send(msg).await;
            }
        });
    }

    fn send(&self, text: Text) {
        if let Err(mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) =
            self.texts.try_send(Job::Send(text))
            && let Job::Send(text) = job
        {
            let answer = Err(ApiError::new(ErrorKind::Failed, "too much at once: this was not sent"));
            let news = self.news.clone();
            tokio::spawn(async move {
                let _ = news.send(Msg::Sent { chat: text.chat, id: text.id, answer }).await;
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
async fn follow_place(door: &dyn Door, news: mpsc::Sender<Msg>) {
    let Some(mut place) = door.engine_at().await else { return };
    loop {
        let at = place.borrow_and_update().clone();
        let asks = matches!(at, EngineAt::Lost(_)) && door.asks();
        if news.send(Msg::EngineAt { at, asks }).await.is_err() || place.changed().await.is_err() {
            return;
        }
    }
}

async fn send_all(client: Arc<dyn Client>, mut queue: mpsc::Receiver<Job>, news: mpsc::Sender<Msg>) {
    while let Some(job) = queue.recv().await {
        let Text { chat, id, body, reply_to } = match job {
            Job::Send(text) => text,
            Job::Keep { chat, text } => {
                if let Err(error) = client.chat_draft(ChatDraftParams { chat, text }).await {
                    let _ = news.try_send(Msg::NotKept(error));
                }
                continue;
            }
        };
        let answer = client
            .send(SendParams { to: chat.clone(), body, id: Some(id.clone()), reply_to, ..SendParams::default() })
            .await;
        // While leaving nobody listens any more, and what is queued is sent all the same.
        let _ = news.try_send(Msg::Sent { chat, id, answer });
    }
}

async fn follow_events(client: Arc<dyn Client>, news: mpsc::Sender<Msg>) {
    let ended = async {
        let mut cursor = client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?.cursor;
        // Nobody listens any more when a message is not taken.
        let gone = |_| ApiError::new(ErrorKind::EngineGone, "the interface has ended");
        news.send(Msg::Begun).await.map_err(gone)?;
        news.send(Msg::Account(client.account(NoParams {}).await)).await.map_err(gone)?;
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

async fn outcome(client: &dyn Client, effect: Effect) -> Option<Msg> {
    Some(match effect {
        Effect::LoadChats => Msg::Chats(client.chats(ChatsParams { archived: true, ..ChatsParams::default() }).await),
        Effect::LoadStatus => Msg::Status(client.status(NoParams {}).await),
        Effect::LoadPage { chat, page } => {
            let mut params = HistoryParams { chat: chat.clone(), ..HistoryParams::default() };
            let (limit, place) = match &page {
                Page::Newest { limit } => (limit, None),
                Page::Oldest { limit } => {
                    params.oldest = true;
                    (limit, None)
                }
                Page::Before { id, limit } => (limit, Some((&mut params.before, id))),
                Page::After { id, limit } => (limit, Some((&mut params.after, id))),
                Page::Around { id, limit } => (limit, Some((&mut params.around, id))),
            };
            if let Some((place, id)) = place {
                *place = Some(id.clone());
            }
            params.limit = Some(*limit);
            let answer = client.history(params).await;
            Msg::Page { chat, page, answer }
        }
        Effect::Search(search) => {
            let params = SearchParams {
                query: search.words.clone(),
                chat: search.chat.clone(),
                limit: Some(HITS),
                before: search.before.clone(),
            };
            Msg::Found { answer: client.search(params).await, search }
        }
        Effect::Read { chat, id } => {
            let answer = client.read(ReadParams { what: id }).await;
            Msg::Read { chat, answer }
        }
        Effect::SetChat { chat, muted_until_ms, pinned, archived } => {
            let params = ChatSetParams { chat, muted_until_ms, pinned, archived };
            Msg::ChatSet(Box::new(client.chat_set(params).await))
        }
        Effect::Rename { chat, name } => {
            let answer = client.contact_rename(RenameParams { who: chat, name }).await;
            Msg::ContactSet { deed: Deed::Renamed, answer }
        }
        Effect::Block { chat } => {
            Msg::ContactSet { deed: Deed::Blocked, answer: client.contact_block(WhoParams { who: chat }).await }
        }
        Effect::Unblock { chat } => {
            Msg::ContactSet { deed: Deed::Unblocked, answer: client.contact_unblock(WhoParams { who: chat }).await }
        }
        Effect::Remove { chat } => {
            let answer = client.contact_remove(WhoParams { who: chat.clone() }).await;
            Msg::Removed { chat, answer }
        }
        Effect::LoadOutbox => Msg::Waiting(client.outbox_list(OutboxListParams::default()).await),
        Effect::Retry { id } => {
            let answer = client.outbox_retry(OutboxRetryParams { id: Some(id) }).await;
            Msg::Outbox { taken_back: false, answer }
        }
        Effect::TakeBack { id } => {
            Msg::Outbox { taken_back: true, answer: client.outbox_cancel(OutboxCancelParams { id }).await }
        }
        Effect::Invite => Msg::Invited(client.invite(InviteParams::default()).await),
        Effect::Join { link } => Msg::Joined(client.join(JoinParams { link }).await),
        Effect::Accept { chat } => Msg::Accepted(client.contact_accept(WhoParams { who: chat }).await),
        Effect::LoadContact { chat } => Msg::Contact { answer: client.contact_show(WhoParams { who: chat }).await },
        Effect::LoadIdentity { chat } => {
            Msg::Identity { compared: false, answer: client.verify(VerifyParams { who: chat, number: None }).await }
        }
        Effect::Compare { chat, number } => {
            let params = VerifyParams { who: chat, number: Some(number) };
            Msg::Identity { compared: true, answer: client.verify(params).await }
        }
        Effect::LoadReceipts { id } => Msg::Receipts(client.info(InfoParams { id }).await),
        Effect::Look
        | Effect::Make(_)
        | Effect::OpenAccount { .. }
        | Effect::Unlock(_)
        | Effect::Send { .. }
        | Effect::Draft { .. }
        | Effect::Copy(_)
        | Effect::OpenLink(_)
        | Effect::Title(_)
        | Effect::Notify { .. }
        | Effect::Suspend
        | Effect::Redraw
        | Effect::Quit => return None,
    })
}
