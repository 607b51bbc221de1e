//! The interface's way into the accounts of this machine: the same rules as the verbs (`init`, what opens an account, who runs
//! the engine), without a question on the plain terminal.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use subrosa_client_core::{
    ApiError, ErrorKind,
    account::{self, InitParams},
    accounts::{Accounts, Current},
    api::LocalAccount,
    home::Home,
    keys::{self, KeySource, Passphrase, StoreSecret},
    net::Network,
    open::{EngineAt, OpenOptions, Opened, PassphraseSource, Patience, open_to_stay},
    relay_access::RelayAccess,
};
use subrosa_tui::account_service::{
    AccountService, Found, Keep, Known, NewAccount, Opening, Room, Secret as Typed, TakeWords,
};
use tokio::sync::{Mutex, Notify, watch};

use crate::{
    Context,
    account::{accounts, network},
    errors::Failure,
    init_errors::{no_answer, registration_token_text},
    secret::Secret,
};

/// How often an account that cannot be opened again is looked after: another process may run it by then, and a person waits. Only
/// while the interface says so.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What a key file is called when nobody names another place.
const KEY_FILE: &str = "subrosa.key";

/// The accounts of a home, for the interface.
pub(crate) struct LocalAccounts {
    accounts: Accounts,
    /// The account that flags or the environment name.
    wanted: Option<String>,
    /// Whether anything may be asked.
    no_input: bool,
    lock_timeout: Duration,
    network: Network,
    keys: Arc<Keys>,
    opened: Mutex<Option<Opened>>,
    /// What is to be said once the terminal is the shell's again.
    note: StdMutex<Option<String>>,
}

/// What opens the account: asked for whenever its engine is to run here.
struct Keys {
    secret: Secret,
    home: StdMutex<Option<Home>>,
    /// A passphrase that was typed; used once.
    typed: StdMutex<Option<Passphrase>>,
    /// A passphrase is needed, and nobody has typed one.
    asks: AtomicBool,
    /// Why a command or the keyring gave nothing. It is not asked again before the person wants it: a command may open a window.
    failed: StdMutex<Option<ApiError>>,
    again: Notify,
}

impl Keys {
    fn get(&self, home: &Home) -> Result<StoreSecret, ApiError> {
        self.asks.store(false, Ordering::SeqCst);
        if let Some(error) = lock(&self.failed).clone() {
            return Err(error);
        }
        let asked = || match lock(&self.typed).take() {
            Some(passphrase) => Ok(passphrase),
            None => {
                self.asks.store(true, Ordering::SeqCst);
                Err(ApiError::new(ErrorKind::BadPassphrase, "the passphrase is needed"))
            }
        };
        self.secret.get_from(home, asked).inspect_err(|error| {
            let source = self.secret.source_of(home);
            if matches!(source, KeySource::PassphraseCommand { .. } | KeySource::Keyring { .. }) {
                *lock(&self.failed) = Some(error.clone());
            }
        })
    }

    fn try_again(&self) {
        *lock(&self.failed) = None;
        self.again.notify_waiters();
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn passphrase(typed: &Typed) -> Result<Passphrase, ApiError> {
    Passphrase::typed(typed.text())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("it ended before its time: {error}")))?
}

impl LocalAccounts {
    /// As flags, environment and settings say.
    pub(crate) fn new(ctx: &Context) -> Result<Self, Failure> {
        Ok(Self {
            accounts: accounts(ctx)?,
            wanted: ctx.global.account.clone(),
            no_input: ctx.global.no_input,
            lock_timeout: ctx.lock_timeout()?,
            network: network(ctx)?,
            keys: Arc::new(Keys {
                secret: Secret::new(&ctx.global, &ctx.out)?,
                home: StdMutex::default(),
                typed: StdMutex::default(),
                asks: AtomicBool::new(false),
                failed: StdMutex::default(),
                again: Notify::new(),
            }),
            opened: Mutex::new(None),
            note: StdMutex::default(),
        })
    }

    /// What changed for commands outside the interface, if anything did; once.
    pub(crate) fn take_note(&self) -> Option<String> {
        lock(&self.note).take()
    }

    fn room(&self) -> Room {
        let beside = self.accounts.settings().path().with_file_name(KEY_FILE);
        Room {
            opens_with: self.keys.secret.chosen().map(|source| source.to_string()),
            key_file: beside.display().to_string(),
        }
    }

    fn found(&self) -> Result<Found, ApiError> {
        match self.accounts.select(self.wanted.as_deref()) {
            Ok(home) => Ok(Found::One(known(self.accounts.view_of(&home)?))),
            Err(error) if self.no_input => Err(error),
            Err(error) if matches!(error.code, ErrorKind::NoAccount | ErrorKind::Usage) => {
                let all = self.accounts.list()?;
                match &self.wanted {
                    // The first account may be given a name.
                    Some(name) if all.is_empty() => self.accounts.place_for(name).map(|_| Found::Nothing(self.room())),
                    Some(_) => Err(error),
                    None if all.is_empty() => Ok(Found::Nothing(self.room())),
                    None => Ok(Found::Several(all.into_iter().map(known).collect(), self.room())),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn make(&self, new: NewAccount, words: TakeWords) -> Result<(), ApiError> {
        let name = self.wanted.clone().unwrap_or_else(|| new.handle.clone());
        let home = self.accounts.place_for(&name)?;
        let mut place = RelayAccess::read(&new.relay, None)?;
        if let Some(token) = &new.token {
            place.registration = Some(registration_token_text(token)?);
        }
        let answer = account::knock(place.url.clone(), place.pin, &self.network).await;
        answer.map_err(|error| no_answer(&error, &place.url, &new.handle))?;
        let keys = Arc::clone(&self.keys);
        let secret = blocking(move || match new.keep {
            Keep::AsChosen => keys.secret.make(&name, false),
            Keep::Passphrase(typed) => Ok((&passphrase(&typed)?).into()),
            Keep::Keyring => keys.secret.make(&name, true),
            Keep::KeyFile(path) => {
                let path = std::path::absolute(expanded(&path)).map_err(|error| {
                    ApiError::new(ErrorKind::Usage, format!("{path:?} is no place for a file: {error}"))
                })?;
                KeySource::KeyFile { path }
                    .open_or_make(|| Err(ApiError::new(ErrorKind::Failed, "a key file asks nobody")))
            }
        })
        .await?;
        let RelayAccess { url: relay, pin, registration } = place;
        let params = InitParams { relay, pin, handle: new.handle, registration, network: self.network.clone() };
        account::init(&home, params, &secret, |text| words(Typed::new(zeroize::Zeroizing::new(text.to_owned()))))
            .await?;
        if let Current::Instead { gone, now } = self.accounts.settle_current(&home)? {
            *lock(&self.note) = Some(format!(
                "The chosen account, {gone}, was not here any more: commands that name no account use {now} now."
            ));
        }
        *lock(&self.keys.home) = Some(home);
        Ok(())
    }

    async fn come_in(&self, wanted: Option<String>, typed: Option<Typed>) -> Result<Opening, ApiError> {
        let chosen = lock(&self.keys.home).clone();
        let home = match chosen {
            Some(home) => home,
            None => self.accounts.select(wanted.as_deref().or(self.wanted.as_deref()))?,
        };
        *lock(&self.keys.typed) = typed.as_ref().map(passphrase).transpose()?;
        self.keys.try_again();
        let (keys, of) = (Arc::clone(&self.keys), home.clone());
        let source: PassphraseSource = Arc::new(move || keys.get(&of));
        let keys = Arc::clone(&self.keys);
        let patience: Patience = Arc::new(move || {
            let keys = Arc::clone(&keys);
            Box::pin(async move {
                tokio::select! {
                    () = keys.again.notified() => {}
                    () = tokio::time::sleep(TRY_AGAIN) => {}
                }
            })
        });
        let options = OpenOptions {
            kind: "tui".to_owned(),
            serve: true,
            lock_timeout: self.lock_timeout,
            passphrase: source,
            network: self.network.clone(),
        };
        let result = open_to_stay(&home, options, patience).await;
        // Where another process runs the engine it was not used.
        *lock(&self.keys.typed) = None;
        match result {
            Ok(opened) => {
                let client = opened.client();
                let source = keys::remembered(&home);
                *lock(&self.keys.home) = Some(home);
                *self.opened.lock().await = Some(opened);
                let opens_with = (source != KeySource::Ask).then(|| source.to_string());
                Ok(Opening::Open { client, opens_with })
            }
            Err(_) if typed.is_none() && self.keys.asks.load(Ordering::SeqCst) && !self.no_input => Ok(Opening::Asks),
            Err(error) if self.keys.asks.load(Ordering::SeqCst) => {
                Err(error.hint("--no-input forbids to ask; name a file that holds it: --passphrase-file FILE"))
            }
            Err(error) => Err(error),
        }
    }

    async fn check(&self, typed: Option<Typed>) -> Result<(), ApiError> {
        if let Some(typed) = typed {
            let Some(home) = lock(&self.keys.home).clone() else {
                return Err(ApiError::new(ErrorKind::NoAccount, "no account is open"));
            };
            let right = passphrase(&typed)?;
            let checked = right.clone();
            blocking(move || keys::unlock(&home, &checked).map(drop)).await?;
            let engine = self.opened.lock().await.as_ref().map(|opened| opened.engine_at().borrow().clone());
            // Otherwise somebody has the account, and nothing is to be opened.
            if matches!(engine, Some(EngineAt::Lost(_))) {
                *lock(&self.keys.typed) = Some(right);
            }
        }
        self.keys.try_again();
        Ok(())
    }
}

impl AccountService for LocalAccounts {
    fn look(&self) -> BoxFuture<'_, Result<Found, ApiError>> {
        Box::pin(async { self.found() })
    }

    fn create(&self, new: NewAccount, words: TakeWords) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(self.make(new, words))
    }

    fn open(&self, account: Option<String>, passphrase: Option<Typed>) -> BoxFuture<'_, Result<Opening, ApiError>> {
        Box::pin(self.come_in(account, passphrase))
    }

    fn unlock(&self, passphrase: Option<Typed>) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(self.check(passphrase))
    }

    fn engine_at(&self) -> BoxFuture<'_, Option<watch::Receiver<EngineAt>>> {
        Box::pin(async { self.opened.lock().await.as_ref().map(Opened::engine_at) })
    }

    fn asks(&self) -> bool {
        self.keys.asks.load(Ordering::SeqCst)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let opened = self.opened.lock().await.take();
            if let Some(opened) = opened {
                opened.close().await;
            }
        })
    }
}

fn known(account: LocalAccount) -> Known {
    Known {
        account: account.account,
        handle: account.name,
        relay: account.relay,
        engine: account.engine.map(|owner| format!("subrosa {}", owner.kind)),
    }
}

/// A path as a person types it: no shell has looked at its `~`.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}
