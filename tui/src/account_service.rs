//! The way into an account: what the interface needs before, and behind, a [`Client`]. The program implements it over the
//! accounts of this machine; [`OpenAccount`] is for an account that is open already.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use subrosa_client_core::{ApiError, Client, ErrorKind, open::EngineAt};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// Text that must not be seen: wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it.
    #[must_use]
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for what it opens.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        self.0.clone()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An account of this machine, as far as it is known without opening it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its local name.
    pub account: String,
    /// Its handle.
    pub handle: String,
    /// Its relay's address.
    pub relay: String,
    /// The process that runs its engine.
    pub engine: Option<String>,
}

/// Where there is room for an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// What is to open it, if flags or the environment say so.
    pub opens_with: Option<String>,
    /// A good place for a key file.
    pub key_file: String,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No account (of the wanted name).
    Nothing(Room),
    /// The account that is meant.
    One(Known),
    /// Several, and none is meant.
    Several(Vec<Known>, Room),
}

/// What is to open a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// What flags or the environment say.
    AsChosen,
    /// A typed passphrase.
    Passphrase(Secret),
    /// A random key in the system's keyring.
    Keyring,
    /// A random key in a file; made if it is not there.
    KeyFile(String),
}

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// A relay's address, a relay link, or a contact link.
    pub relay: String,
    /// A registration token, if the link has none.
    pub token: Option<String>,
    /// The handle.
    pub handle: String,
    /// What opens it.
    pub keep: Keep,
}

/// What opening came to.
pub enum Opening {
    /// It is open.
    Open {
        /// The engine.
        client: Arc<dyn Client>,
        /// What opens it, if that is no passphrase that a person types: nothing to lock the screen with then.
        opens_with: Option<String>,
    },
    /// A passphrase is needed.
    Asks,
}

/// Takes the recovery words. An error: nobody has seen them, and no account is made.
pub type TakeWords = Box<dyn FnOnce(Secret) -> Result<(), ApiError> + Send>;

/// The way into an account. Everything may take long and runs beside the interface.
pub trait AccountService: Send + Sync {
    /// What is there.
    fn look(&self) -> BoxFuture<'_, Result<Found, ApiError>>;

    /// Makes an account; `words` gets the recovery words before the relay knows of it. The account is then the one that
    /// [`AccountService::open`] means.
    fn create(&self, new: NewAccount, words: TakeWords) -> BoxFuture<'_, Result<(), ApiError>>;

    /// Opens an account: this one, else the one that is meant.
    fn open(&self, account: Option<String>, passphrase: Option<Secret>) -> BoxFuture<'_, Result<Opening, ApiError>>;

    /// Whether this passphrase opens the account; if nobody runs it any more, it is then taken over with it. Without a passphrase:
    /// tries at once what is tried again now and then.
    fn unlock(&self, passphrase: Option<Secret>) -> BoxFuture<'_, Result<(), ApiError>>;

    /// Where the engine of the opened account is.
    fn engine_at(&self) -> BoxFuture<'_, Option<watch::Receiver<EngineAt>>>;

    /// Whether the engine is [`EngineAt::Lost`] because a passphrase is needed.
    fn asks(&self) -> bool;

    /// Leaves the account.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// An account that is open already and stays so, for the demo.
pub struct OpenAccount(pub Arc<dyn Client>);

impl AccountService for OpenAccount {
    fn look(&self) -> BoxFuture<'_, Result<Found, ApiError>> {
        Box::pin(async { Ok(Found::One(Known::default())) })
    }

    fn create(&self, _new: NewAccount, _words: TakeWords) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(async { Err(ApiError::new(ErrorKind::Failed, "there is an account already")) })
    }

    fn open(&self, _account: Option<String>, _passphrase: Option<Secret>) -> BoxFuture<'_, Result<Opening, ApiError>> {
        Box::pin(async {
            let opens_with = Some("nothing: it is a demo, and gone when you leave".to_owned());
            Ok(Opening::Open { client: Arc::clone(&self.0), opens_with })
        })
    }

    fn unlock(&self, _passphrase: Option<Secret>) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }

    fn engine_at(&self) -> BoxFuture<'_, Option<watch::Receiver<EngineAt>>> {
        Box::pin(async { None })
    }

    fn asks(&self) -> bool {
        false
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
