//! The rules of sharing and taking over an account, with engines that only count.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::{api::SendParams, client::RemoteCall, keys::Passphrase, lock::LOCK_TIMEOUT};

/// An engine that answers `account` and `send`, and counts what happened to it.
#[derive(Default)]
struct Twin {
    sent: AtomicUsize,
    flushed: AtomicUsize,
    stopped: AtomicUsize,
    started: AtomicUsize,
    proxy: Option<String>,
}

impl RemoteCall for Arc<Twin> {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, ApiError> {
        match method {
            "account" => Ok(json!({
                "id": "", "name": "alice", "relay": "", "fingerprint": "", "data_dir": "", "device": 1,
                "proxy": self.proxy
            })),
            "send" => {
                self.sent.fetch_add(1, Ordering::SeqCst);
                Ok(json!({"id": params["id"], "chat": "", "status": "queued", "ts_ms": 0, "results": []}))
            }
            "flush" => {
                self.flushed.fetch_add(1, Ordering::SeqCst);
                Ok(json!({"done": true}))
            }
            "events" => std::future::pending().await,
            _ => Err(ApiError::new(ErrorKind::Failed, method)),
        }
    }
}

fn start(twin: &Arc<Twin>) -> Start {
    let twin = Arc::clone(twin);
    Arc::new(move |_home, _key, _owner| {
        let twin = Arc::clone(&twin);
        twin.started.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let client: Arc<dyn Client> = Arc::new(Remote(Arc::clone(&twin)));
            let stop: Stop = Box::pin(async move {
                twin.stopped.fetch_add(1, Ordering::SeqCst);
            });
            Ok((client, stop))
        })
    })
}

fn options(kind: &str, passphrase: &'static str) -> OpenOptions {
    OpenOptions {
        kind: kind.to_owned(),
        serve: kind == "listen",
        lock_timeout: Duration::from_millis(100),
        passphrase: Arc::new(move || Ok(typed(passphrase))),
        network: Network::direct(),
    }
}

fn typed(passphrase: &str) -> StoreSecret {
    (&Passphrase::typed(Zeroizing::new(passphrase.to_owned())).unwrap()).into()
}

fn account() -> (tempfile::TempDir, Home) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::at(place.path());
    keys::create(&home, &Passphrase::typed(Zeroizing::new("right".to_owned())).unwrap()).unwrap();
    home.write_private(&home.account_file(), b"{}").unwrap();
    (place, home)
}

fn message() -> SendParams {
    SendParams { to: "bob".to_owned(), body: "hi".to_owned(), id: Some("00".repeat(16)), ..SendParams::default() }
}

async fn refused(home: &Home, options: OpenOptions) -> ApiError {
    match open_with(home, options, start(&Arc::default()), None).await {
        Ok(_) => panic!("was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_first_runs_the_engine_and_the_second_uses_it_without_a_passphrase() {
    let (_place, home) = account();
    let (first, second) = (Arc::new(Twin::default()), Arc::new(Twin::default()));
    let owner = open_with(&home, options("listen", "right"), start(&first), None).await.unwrap();
    let thin = open_with(&home, options("send", "not asked"), start(&second), None).await.unwrap();
    assert!(owner.runs_engine().await && !thin.runs_engine().await);
    thin.client().send(message()).await.unwrap();
    assert_eq!((first.sent.load(Ordering::SeqCst), second.started.load(Ordering::SeqCst)), (1, 0));
    thin.close().await;
    assert_eq!(first.stopped.load(Ordering::SeqCst), 0, "a client does not stop the engine");
    owner.close().await;
    assert_eq!((first.flushed.load(Ordering::SeqCst), first.stopped.load(Ordering::SeqCst)), (1, 1));
    assert!(!home.engine_socket().exists());
}

const TOR: &str = "socks5h://127.0.0.1:9050";

fn through_tor(kind: &str) -> OpenOptions {
    OpenOptions { network: Network::direct().through(TOR.parse().unwrap()), ..options(kind, "right") }
}

#[tokio::test]
async fn who_asks_for_a_proxy_is_not_served_by_an_engine_without_it() {
    let (_place, home) = account();
    let direct = open_with(&home, options("listen", "right"), start(&Arc::default()), None).await.unwrap();
    let error = refused(&home, through_tor("send")).await;
    assert!(error.message.contains("`subrosa listen`") && error.message.contains("without a proxy"), "{error:?}");
    direct.close().await;
    let proxied = Arc::new(Twin { proxy: Some(TOR.to_owned()), ..Twin::default() });
    let owner = open_with(&home, through_tor("listen"), start(&proxied), None).await.unwrap();
    assert!(open_with(&home, through_tor("send"), start(&Arc::default()), None).await.is_ok());
    owner.close().await;
}

#[tokio::test]
async fn the_work_of_an_engine_with_a_proxy_is_not_carried_on_without_it() {
    let (_place, home) = account();
    let proxied = Arc::new(Twin { proxy: Some(TOR.to_owned()), ..Twin::default() });
    let second = Arc::new(Twin::default());
    let owner = open_with(&home, through_tor("listen"), start(&proxied), None).await.unwrap();
    let thin = open_with(&home, options("send", "right"), start(&second), None).await.unwrap();
    thin.client().send(message()).await.unwrap();
    owner.close().await;
    let error = thin.client().send(message()).await.unwrap_err();
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(TOR)), "{error:?}");
    assert_eq!(second.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_takes_over_when_the_owner_goes_even_in_the_middle_of_a_call() {
    let (_place, home) = account();
    let (first, second) = (Arc::new(Twin::default()), Arc::new(Twin::default()));
    let owner = open_with(&home, options("listen", "right"), start(&first), None).await.unwrap();
    let thin = open_with(&home, options("send", "right"), start(&second), None).await.unwrap();
    let client = thin.client();
    let waits = client.events(crate::api::EventsParams { since: Some(1), max: None, wait_ms: 0 });
    tokio::select! {
        biased;
        _ = waits => panic!("the twin never answers"),
        () = async { owner.close().await; thin.client().send(message()).await.unwrap(); } => {}
    }
    assert!(thin.runs_engine().await);
    assert_eq!(second.sent.load(Ordering::SeqCst), 1);
    assert_eq!(second.started.load(Ordering::SeqCst), 1, "two calls, one engine");
    thin.close().await;
    assert_eq!(second.stopped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_interface_that_stays_waits_for_what_opens_the_account_and_then_goes_on() {
    let (_place, home) = account();
    let (first, second) = (Arc::new(Twin::default()), Arc::new(Twin::default()));
    let owner = open_with(&home, options("listen", "right"), start(&first), None).await.unwrap();
    let (try_again, _) = watch::channel(());
    let given = Arc::new(StdMutex::new("nothing"));
    let knows = Arc::clone(&given);
    let asks = OpenOptions {
        passphrase: Arc::new(move || {
            let known = *knows.lock().unwrap();
            (known == "right").then(|| typed(known)).ok_or(ApiError::new(ErrorKind::BadPassphrase, "asks"))
        }),
        ..options("tui", "")
    };
    let waits = try_again.clone();
    let patience: Patience = Arc::new(move || {
        let mut again = waits.subscribe();
        Box::pin(async move { drop(again.changed().await) })
    });
    let thin = open_with(&home, asks, start(&second), Some(patience)).await.unwrap();
    let mut at = thin.engine_at();
    assert_eq!(*at.borrow_and_update(), EngineAt::Elsewhere);
    owner.close().await;
    let client = thin.client();
    let sending = tokio::spawn(async move { client.send(message()).await });
    at.wait_for(|at| matches!(at, EngineAt::Lost(error) if error.message == "asks")).await.unwrap();
    // Nobody holds the account while a person is asked: others may have it.
    assert!(matches!(EngineLock::attempt(&home, "daemon").unwrap(), LockAttempt::Held(_)));
    *given.lock().unwrap() = "right";
    while try_again.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    try_again.send(()).unwrap();
    sending.await.unwrap().unwrap();
    assert_eq!(*at.borrow(), EngineAt::Here);
    assert_eq!((first.sent.load(Ordering::SeqCst), second.sent.load(Ordering::SeqCst)), (0, 1));
    let client = thin.client();
    thin.close().await;
    assert_eq!(client.send(message()).await.unwrap_err().code, ErrorKind::EngineGone, "closed is closed");
}

#[tokio::test]
async fn an_owner_that_does_not_serve_is_named() {
    let (_place, home) = account();
    let LockAttempt::Held(lock) = EngineLock::attempt(&home, "receive").unwrap() else { panic!("it was free") };
    let error = refused(&home, options("send", "right")).await;
    assert_eq!(error.code, ErrorKind::AccountBusy);
    assert!(error.message.contains("`subrosa receive`"), "{error}");
    assert!(error.message.contains(&std::process::id().to_string()), "{error}");

    // One that accepts connections and says nothing is no better.
    let _silent = rpc::bind(&home, &lock).unwrap();
    let error = refused(&home, options("send", "right")).await;
    assert_eq!(error.code, ErrorKind::AccountBusy);
    assert!(error.message.contains("does not answer"), "{error}");
}

#[test]
fn patience_begins_anew_with_each_owner() {
    let owner = |pid| EngineOwner { pid, kind: "send".to_owned() };
    let start = subrosa_ambient::instant();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut turn = Turn::default();
    turn.look(None, at(0));
    assert_eq!(turn.since, Some(at(0)));
    turn.look(Some(&owner(1)), at(1));
    turn.look(Some(&owner(1)), at(2));
    turn.look(None, at(3));
    assert_eq!(turn.since, Some(at(1)), "the same one, also while its file is being written");
    turn.look(Some(&owner(2)), at(4));
    assert_eq!(turn.since, Some(at(4)));
}

#[tokio::test]
async fn a_lock_that_is_given_back_in_time_is_taken() {
    let (_place, home) = account();
    let twin = Arc::new(Twin::default());
    let holder = open_with(&home, options("receive", "right"), start(&twin), None).await.unwrap();
    let (next, ()) = tokio::join!(
        open_with(&home, OpenOptions { lock_timeout: LOCK_TIMEOUT, ..options("send", "right") }, start(&twin), None),
        holder.close()
    );
    assert!(next.unwrap().runs_engine().await);
}

#[tokio::test]
async fn a_wrong_passphrase_starts_nothing_and_gives_the_lock_back() {
    let (_place, home) = account();
    assert_eq!(refused(&home, options("send", "wrong")).await.code, ErrorKind::BadPassphrase);
    let twin = Arc::new(Twin::default());
    assert!(open_with(&home, options("send", "right"), start(&twin), None).await.is_ok());
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(refused(&Home::at(empty.path()), options("send", "right")).await.code, ErrorKind::NoAccount);
}
