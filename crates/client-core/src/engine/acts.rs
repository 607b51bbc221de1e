//! Acts that are more than a function of the core: they wait for something, ask a relay, or wake a connection.
//!
//! Each is a row `act` of the method table ([`crate::client`]) and has its name; what only the store is needed for is a row
//! `core` and a function of [`Core`].

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    api::{
        AccountInfo, ApiError, BackupMade, BackupParams, Checkup, Connection, Contact, Done, ErrorKind, EventPage,
        EventsParams, Invite, InviteParams, InviteRevokeParams, JoinParams, MessageStatus, NoParams, OutboxRetryParams,
        ReceiveCommitParams, ReceiveParams, ReceiveReleaseParams, Received, SendParams, Sent, Status,
        StatusWatchParams, TimeoutParams, WaitParams, Waited,
    },
    backup, caller,
    engine::{
        Engine,
        core::{
            Core,
            ids::{parse_id, random_id},
            now_ms,
        },
        read::checkup,
        send::intents::{self, Outgoing, SendId},
    },
    limits::MAX_WAIT,
    receipts, store,
};

pub(in crate::engine) async fn account(engine: &Engine, _params: NoParams) -> Result<AccountInfo, ApiError> {
    let proxy = engine.inner.proxy.clone();
    engine.inner.core.run(move |core| Ok(AccountInfo { proxy, ..core.account_info() })).await
}

pub(in crate::engine) async fn account_keep(engine: &Engine, _params: NoParams) -> Result<Done, ApiError> {
    let done = engine.inner.core.once(Core::keep_this_copy).await?;
    engine.inner.core.run(|core| core.look_for_other_copy()).await?;
    engine.inner.signals.outbox.notify_one();
    engine.inner.signals.receipts.notify_one();
    if done.count > 0 {
        engine.inner.handle.reconnect_now();
    }
    Ok(done)
}

pub(in crate::engine) async fn status(engine: &Engine, _params: NoParams) -> Result<Status, ApiError> {
    let link = engine.inner.link.borrow().clone();
    engine.inner.core.run(move |core| core.status(link.connection, link.error.map(|error| error.message))).await
}

pub(in crate::engine) async fn status_watch(engine: &Engine, params: StatusWatchParams) -> Result<Status, ApiError> {
    let deadline = Instant::now() + Duration::from_millis(params.wait_ms).min(MAX_WAIT);
    let mut link = engine.inner.link.clone();
    while link.borrow_and_update().connection == params.relay {
        match timeout_at(deadline, link.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
            Err(_) => break,
        }
    }
    status(engine, NoParams {}).await
}

pub(in crate::engine) async fn invite(engine: &Engine, params: InviteParams) -> Result<Invite, ApiError> {
    engine.make_link(params).await
}

pub(in crate::engine) async fn invite_revoke(engine: &Engine, params: InviteRevokeParams) -> Result<Done, ApiError> {
    engine.revoke_link(params.id).await
}

pub(in crate::engine) async fn join(engine: &Engine, params: JoinParams) -> Result<Contact, ApiError> {
    engine.use_link(params).await
}

pub(in crate::engine) async fn send(engine: &Engine, params: SendParams) -> Result<Sent, ApiError> {
    intents::check_text(&params.body)?;
    let id = match (params.id, params.key) {
        (Some(_), Some(_)) => {
            return Err(ApiError::new(ErrorKind::Usage, "an id and a key exclude each other").hint("give one"));
        }
        (Some(id), None) => SendId::Given(parse_id(&id)?.0),
        (None, Some(key)) => {
            intents::check_key(&key)?;
            SendId::Key(key)
        }
        (None, None) => SendId::Given(random_id()?),
    };
    let conversation = engine.receiver(params.to, params.request).await?;
    let sent = engine
        .inner
        .core
        .run(move |core| {
            let reply_to = params.reply_to.map(|id| core.reply_target(&id)).transpose()?;
            let text = Outgoing { body: params.body, forwarded: params.forwarded, reply_to, id };
            core.send(&conversation, &text)
        })
        .await?;
    subrosa_crash_point::crash_point(subrosa_crash_point::CrashPoint::AfterIntent);
    engine.hurry();
    Ok(sent)
}

pub(in crate::engine) async fn wait(engine: &Engine, params: WaitParams) -> Result<Sent, ApiError> {
    if !matches!(params.status, MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read) {
        return Err(ApiError::new(ErrorKind::Usage, "wait for sent, delivered or read"));
    }
    let core = &engine.inner.core;
    let changed = engine.inner.signals.events.subscribe();
    let id = params.id.clone();
    let look = move |core: &mut Core| {
        let sent = core.waited(&id)?;
        let over = matches!(sent.status, MessageStatus::Failed | MessageStatus::Expired);
        Ok((over || receipts::reached(sent.status, params.status)).then_some(sent))
    };
    match engine.wait_for(params.timeout_ms, changed, look).await? {
        Some(sent) => Ok(sent),
        None => core.run(move |core| core.waited(&params.id)).await,
    }
}

pub(in crate::engine) async fn drain(engine: &Engine, params: TimeoutParams) -> Result<Waited, ApiError> {
    let deadline = Instant::now() + Duration::from_millis(params.timeout_ms).min(MAX_WAIT);
    let mut link = engine.inner.link.clone();
    let mut progress = engine.inner.signals.progress.subscribe();
    let before = link.borrow().failures;
    let first = link.borrow().connection;
    if matches!(first, Connection::Offline) {
        engine.inner.handle.reconnect_now();
    }
    loop {
        let state = link.borrow_and_update().clone();
        progress.mark_unchanged();
        if state.caught_up {
            // What was just asked for again may come in a moment.
            let Some(until_ms) = engine.inner.core.run(Core::restores_until).await? else {
                return Ok(Waited { done: true, error: None });
            };
            let until = Instant::now() + Duration::from_millis(until_ms.saturating_sub(now_ms()));
            tokio::select! {
                biased;
                changed = timeout_at(deadline.min(until), progress.changed()) => match changed {
                    Err(_) if Instant::now() >= deadline => return Ok(Waited { done: true, error: None }),
                    _ => continue,
                },
                _ = link.changed() => continue,
            }
        }
        // One that was just chosen is about to connect.
        let stands_still = engine.inner.signals.other_copy.load(Ordering::SeqCst);
        let ended =
            (state.connection == Connection::Displaced && stands_still) || state.connection == Connection::Removed;
        if ended || state.failures > before {
            return Ok(Waited { done: false, error: state.error.map(|error| error.message) });
        }
        match timeout_at(deadline, link.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ApiError::new(ErrorKind::EngineGone, "the engine has stopped")),
            Err(_) => {
                return Ok(Waited { done: false, error: state.error.map(|error| error.message) });
            }
        }
    }
}

pub(in crate::engine) async fn flush(engine: &Engine, params: TimeoutParams) -> Result<Waited, ApiError> {
    let core = &engine.inner.core;
    core.run(Core::gather_receipts).await?;
    let changed = engine.inner.signals.progress.subscribe();
    let link = engine.inner.link.clone();
    let look = move |core: &mut Core| {
        // Requests to the own relay (prekeys, links) can go only while it is reached; then they are part of it.
        let online = link.borrow().connection == Connection::Online;
        let waits = online && store::tasks::count(&core.db)? > 0;
        Ok((!waits && core.is_idle()?).then_some(()))
    };
    let done = engine.wait_for(params.timeout_ms, changed, look).await?.is_some();
    Ok(Waited { done, error: None })
}

pub(in crate::engine) async fn events(engine: &Engine, params: EventsParams) -> Result<EventPage, ApiError> {
    if params.since.is_none() {
        // An interface has just been opened.
        engine.hurry();
    }
    let core = &engine.inner.core;
    let changed = engine.inner.signals.events.subscribe();
    let first = core.run(move |core| core.events(&params)).await?;
    if !first.events.is_empty() || params.wait_ms == 0 {
        return Ok(first);
    }
    let params = EventsParams { since: Some(first.cursor), ..params };
    let look = move |core: &mut Core| {
        let page = core.events(&params)?;
        Ok((!page.events.is_empty()).then_some(page))
    };
    Ok(engine.wait_for(params.wait_ms, changed, look).await?.unwrap_or(first))
}

pub(in crate::engine) fn receive(
    engine: &Engine,
    params: ReceiveParams,
) -> impl Future<Output = Result<Received, ApiError>> + Send {
    // Asked here: the future may be carried out elsewhere.
    let caller = caller::current();
    engine.receive_held(params, caller)
}

pub(in crate::engine) async fn receive_commit(engine: &Engine, params: ReceiveCommitParams) -> Result<Done, ApiError> {
    engine.commit_held(params).await
}

pub(in crate::engine) async fn receive_release(
    engine: &Engine,
    params: ReceiveReleaseParams,
) -> Result<Done, ApiError> {
    engine.release_held(&params)
}

pub(in crate::engine) async fn outbox_retry(engine: &Engine, params: OutboxRetryParams) -> Result<Done, ApiError> {
    if engine.inner.link.borrow().connection == Connection::Offline {
        engine.inner.handle.reconnect_now();
    }
    engine.inner.core.once(move |core| core.outbox_retry(params.id.as_deref())).await
}

pub(in crate::engine) async fn backup(engine: &Engine, params: BackupParams) -> Result<BackupMade, ApiError> {
    let account = engine.inner.core.run(|core| Ok(core.account_info())).await?;
    let source = backup::BackupSource {
        store: engine.inner.store.clone(),
        key: Arc::clone(&engine.inner.key),
        account,
        now_ms: now_ms(),
    };
    // Whoever gives up waiting ends it, and so does the engine's end.
    let stop = engine.inner.stop.child_token();
    let _ends = stop.clone().drop_guard();
    engine
        .inner
        .tracker
        .spawn_blocking(move || backup::make(&source, &params, &stop))
        .await
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the backup failed: {error}")))?
}

pub(in crate::engine) async fn doctor(engine: &Engine, _params: NoParams) -> Result<Checkup, ApiError> {
    let (path, key) = (engine.inner.store.clone(), Arc::clone(&engine.inner.key));
    let kept = engine.inner.core.run(|core| core.kept()).await?;
    let reading = engine.inner.tracker.spawn_blocking(move || {
        vec![checkup::store_check(&path, &key), checkup::space_check(&path, &key, &kept, now_ms())]
    });
    let mut checks =
        reading.await.map_err(|error| ApiError::new(ErrorKind::Failed, format!("the check failed: {error}")))?;
    let link = engine.inner.link.borrow().clone();
    checks.extend(engine.inner.core.run(move |core| core.checkup(&link)).await?);
    Ok(Checkup { checks })
}
