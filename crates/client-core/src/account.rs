//! Making an account, and making another device of one.

use std::{path::PathBuf, time::Duration};

use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, RandomnessError, RecoveryKey,
};
use subrosa_wire::{
    AccountId, DeliveryKey, DeviceAddress, ErrorCode, Handle, MemberKey,
    http::{Register, Resolve},
    submit::Refusal,
};
pub use subrosa_wire::{ContactLink, LinkError, RegistrationToken, link::is_link};
use url::Url;

use crate::{
    accounts::Facts,
    api::{AccountInfo, ApiError, EngineOwner, ErrorKind},
    clean::clean_line,
    content::ContactSync,
    engine::{DeviceRequest, Engine, Provision, account_view, now_ms},
    home::Home,
    keys::{self, StoreKey, StoreSecret},
    lock::{EngineLock, LockAttempt},
    net::{Http, NetError, Network, RelayEndpoint},
    store::{self, account::Own, new::NewStore},
};

/// What `init` needs.
#[derive(Debug, Clone)]
pub struct InitParams {
    /// Where the account is to live.
    pub relay: Url,
    /// SHA-256 of the relay's key, when it is self-signed.
    pub pin: Option<[u8; 32]>,
    /// The wanted handle.
    pub handle: String,
    /// For a relay with closed registration.
    pub registration: Option<RegistrationToken>,
    /// The way to the relay.
    pub network: Network,
}

/// How often a registration whose answer was lost is repeated: repeating it is harmless.
const REGISTER_TRIES: u32 = 3;

/// `init` waits at most so long for the first upload.
const INTRODUCE_TIMEOUT: Duration = Duration::from_secs(10);

fn no_randomness(error: RandomnessError) -> ApiError {
    ApiError::new(ErrorKind::Failed, error.to_string())
}

/// Knocks at a relay before an account is made there.
///
/// # Errors
/// The address is not usable, nothing answers there, or its certificate is not to be trusted ([`NetError::UnknownKey`]
/// has the key's hash, so that a person can compare it and pin it).
pub async fn knock(relay: Url, pin: Option<[u8; 32]>, network: &Network) -> Result<(), NetError> {
    Http::new(network.clone()).probe(&RelayEndpoint::new(relay, pin)?).await
}

/// What every relay takes as a handle.
///
/// # Errors
/// [`ErrorKind::Usage`] with the rule.
pub fn check_handle(text: &str) -> Result<(), ApiError> {
    handle(text).map(drop)
}

fn handle(text: &str) -> Result<Handle, ApiError> {
    text.parse().map_err(|error: subrosa_wire::WireError| {
        ApiError::new(ErrorKind::Usage, format!("{text:?} is no valid name: {error}"))
    })
}

/// Makes an account and registers it. `recovery` gets the 24 recovery words before anything is final; they are
/// never seen again. If anything fails, what was made here is removed, unless the relay may know the account already: then it
/// stays, and the same `init` goes on with it ([`is_begun`]). What was there before is never changed.
///
/// # Errors
/// An account exists here, or parts of one; the handle is not valid or taken, the relay is not reached or refuses, `recovery` fails.
pub async fn init(
    home: &Home,
    params: InitParams,
    secret: impl Into<StoreSecret>,
    recovery: impl FnOnce(&str) -> Result<(), ApiError>,
) -> Result<AccountInfo, ApiError> {
    let handle = handle(&params.handle)?;
    let relay = RelayEndpoint::new(params.relay, params.pin).map_err(|error| error.to_api())?;
    let lock = claim(home, "init")?;
    let secret = secret.into();

    let mut made = Made::nothing(home);
    let (key, own) = match begun(home, &secret, handle.as_str(), &relay)? {
        Some(begun) => begun,
        None => {
            refuse_taken(&params.network, &relay, &handle).await?;
            make(&mut made, &secret, &handle, &relay, recovery)?
        }
    };
    // From here on the relay may know the account: its keys must not be lost, whatever ends this.
    let undo = made.keep();
    if let Err(error) = register(&params.network, &relay, &own, handle, params.registration).await {
        if error.refused {
            undo.remove();
            return Err(error.error);
        }
        let hint = error.error.hint.clone().map(|hint| format!("{hint}; ")).unwrap_or_default();
        return Err(error.error.hint(format!(
            "{hint}what was made here is kept, and so are its recovery words, as the relay may have registered it: run the same init \
             again, and it goes on"
        )));
    }
    let info = publish(home, &own)?;
    introduce(home, key, params.network).await;
    drop(lock);
    Ok(info)
}

/// A handle that is taken is told before anybody writes words down for nothing. The registration decides: what else is answered
/// here says nothing.
async fn refuse_taken(network: &Network, relay: &RelayEndpoint, handle: &Handle) -> Result<(), ApiError> {
    match Http::new(network.clone()).call(relay, &Resolve { handle: handle.clone() }).await {
        Ok(_) => Err(NetError::Refused(Refusal { code: ErrorCode::HandleTaken, retry_after_s: 0 }).to_api()),
        Err(_) => Ok(()),
    }
}

/// Makes keys and store, and hands the recovery words out.
fn make(
    made: &mut Made<'_>,
    secret: &StoreSecret,
    handle: &Handle,
    relay: &RelayEndpoint,
    recovery: impl FnOnce(&str) -> Result<(), ApiError>,
) -> Result<(StoreKey, Own), ApiError> {
    let account_key = AccountKeyPair::generate().map_err(no_randomness)?;
    let recovery_key = RecoveryKey::generate().map_err(no_randomness)?;
    let record = AccountRecord::new(account_key.public(), recovery_key.commitment());
    let identity = IdentityKeyPair::generate().map_err(no_randomness)?;
    let certificate = DeviceCertificate::issue(&account_key, &record.id(), 1, &identity.public(), 1);
    let list = DeviceList::issue(&account_key, &record, 1, now_ms(), 1, vec![certificate])
        .map_err(|error| ApiError::new(ErrorKind::Failed, error.to_string()))?;
    let key = || {
        let mut key = [0; 16];
        subrosa_ambient::fill(&mut key).map(|()| key).map_err(|_| no_randomness(RandomnessError))
    };
    let own = Own {
        address: DeviceAddress { account: AccountId(record.id()), device: 1 },
        record,
        account_key: Some(account_key),
        identity,
        handle: handle.as_str().to_owned(),
        relay: relay.url().clone(),
        pin: relay.pin().copied(),
        list,
        delivery_key: DeliveryKey::new(key()?),
        member_key: MemberKey::new(key()?),
    };
    let key = made.key(|home| keys::create(home, secret))?;
    // Before the store: what is found half made later has surely handed its words out.
    recovery(&recovery_key.words())?;
    make_store(made, &key, &own, &[])?;
    Ok((key, own))
}

/// Whether an `init` may have been interrupted here: there is a key and no account yet. What opens that key has to be asked for, not
/// made anew.
#[must_use]
pub fn is_begun(home: &Home) -> bool {
    !home.has_account() && std::fs::symlink_metadata(home.store_key()).is_ok()
}

/// What an `init` that was killed left behind, if it was for this handle at this relay and opens with this secret: the relay may
/// know that account already. Its recovery words were handed out before it was registered. `None`: nothing is in the way but
/// perhaps a key that the secret opens. Everything else is somebody's account, and stays as it is.
fn begun(
    home: &Home,
    secret: &StoreSecret,
    handle: &str,
    relay: &RelayEndpoint,
) -> Result<Option<(StoreKey, Own)>, ApiError> {
    let Some(lost) = home.lost() else { return Ok(None) };
    if !is_begun(home) {
        return Err(lost);
    }
    let but = |why: &str| ApiError { message: format!("{}, and {why}", lost.message), ..lost.clone() };
    let key = keys::unwrap_key(home, secret)
        .map_err(|error| ApiError { code: error.code, ..but(&format!("it does not open: {}", error.message)) })?;
    if only_key(home) {
        return Ok(None);
    }
    let db = store::peek(&home.store(), key.as_bytes()).map_err(|error| but(&ApiError::from(error).message))?;
    let own = store::account::load(&db).map_err(|error| but(&ApiError::from(error).message))?;
    if store::account::mailbox_state(&db)?.0.is_some() {
        return Err(but(&format!("{} was in use", clean_line(&own.handle))));
    }
    if own.handle != handle || own.relay != *relay.url() || own.pin.as_ref() != relay.pin() {
        let (found, at) = (clean_line(&own.handle), clean_line(own.relay.as_str()));
        return Err(but(&format!("an init for {found} at {at} was interrupted here")).hint(format!(
            "run that one again, and it goes on; for another account choose another local name: subrosa --account OTHER init …; to \
             make room here: {} --set-aside",
            home.repair_command()
        )));
    }
    Ok(Some((key, own)))
}

/// Nothing of an account but a key.
fn only_key(home: &Home) -> bool {
    home.remains() == [home.store_key()]
}

/// Refuses a directory that holds anything of an account but a key, which [`keys::create`] looks at itself.
pub(crate) fn refuse_remains(home: &Home) -> Result<(), ApiError> {
    match home.lost() {
        Some(lost) if !only_key(home) => Err(lost),
        _ => Ok(()),
    }
}

/// Gives the relay what others need to write to us (prekeys, delivery key), so that a new account is reachable at
/// once. If it does not work now, the next engine does it.
async fn introduce(home: &Home, key: StoreKey, network: Network) {
    let owner = EngineOwner { pid: std::process::id(), kind: "init".into() };
    match Engine::start(home, key, owner, network).await {
        Ok(engine) => {
            engine.settle(INTRODUCE_TIMEOUT).await;
            engine.shutdown().await;
        }
        Err(error) => tracing::warn!(%error, "the new account is not announced yet"),
    }
}

/// Makes the directory of another device from what the first device gave.
///
/// # Errors
/// An account exists here, the provision is another device's, or the store cannot be written.
pub fn init_linked(
    home: &Home,
    request: DeviceRequest,
    provision: &Provision,
    secret: impl Into<StoreSecret>,
) -> Result<AccountInfo, ApiError> {
    let _lock = claim(home, "init")?;
    refuse_remains(home)?;
    let own = request.become_device(provision)?;
    let mut made = Made::nothing(home);
    let key = made.key(|home| keys::create(home, secret))?;
    make_store(&mut made, &key, &own, &provision.contacts)?;
    let info = publish(home, &own)?;
    made.keep();
    Ok(info)
}

/// Removes an account at its relay: devices, mailboxes, prekeys, capabilities. The caller holds the account's lock, and removes
/// the directory afterwards ([`crate::accounts::Accounts::erase`]).
///
/// # Errors
/// The relay is not reached or refuses; nothing was changed then, unless its answer was lost.
pub async fn remove_at_relay(home: &Home, key: StoreKey, lock: &EngineLock, network: Network) -> Result<(), ApiError> {
    let engine = Engine::start(home, key, lock.owner().clone(), network).await?;
    let removed = engine.remove_at_relay().await;
    engine.shutdown().await;
    removed.map_err(|error| {
        let hint = error.hint.clone().map(|hint| format!("{hint}; ")).unwrap_or_default();
        error.hint(format!(
            "{hint}to remove only what is on this machine, also if the relay forgot the account: --local-only"
        ))
    })?;
    // Should the rest be interrupted, it goes on without asking the relay again.
    home.write_private(&home.removed_marker(), b"removed at the relay\n")
}

/// The directory is ours to fill, as far as no account is in it. Looked at again under the lock: two may come at once.
pub(crate) fn claim(home: &Home, kind: &str) -> Result<EngineLock, ApiError> {
    let free = || {
        if !home.has_account() {
            return Ok(());
        }
        Err(ApiError::new(ErrorKind::Usage, format!("{} holds an account already", home.path().display()))
            .hint("choose another local name with --account, or another directory with --home or SUBROSA_HOME"))
    };
    free()?;
    home.create()?;
    let lock = match EngineLock::attempt(home, kind)? {
        LockAttempt::Held(lock) => lock,
        LockAttempt::Taken(_) => {
            return Err(ApiError::new(
                ErrorKind::AccountBusy,
                format!("another process is making an account in {}", home.path().display()),
            )
            .hint("wait for it to end; if it fails, try again"));
        }
    };
    free()?;
    if home.remains().is_empty() {
        // Of an account that was removed here; the next one is not gone at its relay.
        let _ = std::fs::remove_file(home.removed_marker());
    }
    Ok(lock)
}

/// What this process has made in a directory. Dropped before the account is final, exactly that is removed again: what lay there
/// before may be all that is left of somebody's account.
pub(crate) struct Made<'a> {
    home: &'a Home,
    files: Vec<PathBuf>,
}

impl<'a> Made<'a> {
    pub(crate) const fn nothing(home: &'a Home) -> Self {
        Self { home, files: Vec::new() }
    }

    /// Makes the store's key, or finds one that opens.
    pub(crate) fn key(&mut self, make: impl FnOnce(&Home) -> Result<StoreKey, ApiError>) -> Result<StoreKey, ApiError> {
        let file = self.home.store_key();
        let found = std::fs::symlink_metadata(&file).is_ok();
        let key = make(self.home)?;
        if !found {
            self.files.push(file);
        }
        Ok(key)
    }

    /// Gives a finished store its name.
    pub(crate) fn store(&mut self, new: NewStore<'_>) -> Result<(), ApiError> {
        new.publish()?;
        self.files.push(self.home.store());
        Ok(())
    }

    /// It stays. What it gives can still remove it, if somebody finds that it is of no use.
    pub(crate) fn keep(mut self) -> Removable {
        Removable(std::mem::take(&mut self.files))
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        Removable(std::mem::take(&mut self.files)).remove();
    }
}

/// Files that may be removed.
pub(crate) struct Removable(Vec<PathBuf>);

impl Removable {
    fn remove(self) {
        for file in self.0 {
            // A store's log goes with it.
            for file in [crate::files::beside(&file, "-wal"), crate::files::beside(&file, "-shm"), file] {
                // What is not there need not be removed.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

fn make_store(made: &mut Made<'_>, key: &StoreKey, own: &Own, contacts: &[ContactSync]) -> Result<(), ApiError> {
    let home = made.home;
    let name = home.store();
    let new = NewStore::begin(&name)?;
    let mut db = store::open(new.path(), key.as_bytes(), true)?;
    let transaction = db.transaction().map_err(store::StoreError::from)?;
    store::account::create(&transaction, own, now_ms())?;
    transaction.commit().map_err(store::StoreError::from)?;
    crate::engine::first_state(home, db, contacts)?;
    made.store(new)
}

/// A registration that failed.
struct NotRegistered {
    error: ApiError,
    /// The relay surely does not know the account.
    refused: bool,
}

async fn register(
    network: &Network,
    relay: &RelayEndpoint,
    own: &Own,
    handle: Handle,
    registration_token: Option<RegistrationToken>,
) -> Result<(), NotRegistered> {
    let http = Http::new(network.clone());
    let call = Register {
        account_record: own.record.encode(),
        device_list: own.list.encode().into(),
        authority: relay.authority().to_owned(),
        pin: own.pin,
        proof: own.identity.sign_registration(
            relay.authority(),
            own.pin.as_ref(),
            handle.as_str(),
            &own.address.account.0,
            &own.list.hash(),
        ),
        handle,
        registration_token,
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match http.call(relay, &call).await {
            Ok(_) => return Ok(()),
            // The relay may have done it: only repeating tells.
            Err(NetError::Timeout { .. } | NetError::Closed) if tries < REGISTER_TRIES => {}
            Err(error) => {
                // A first try that was not answered may have been heard, and a relay that is too busy may have done it.
                let refused = match &error {
                    NetError::Refused(_) => !error.is_transient(),
                    NetError::Address { .. } | NetError::UnknownKey { .. } => tries == 1,
                    _ => false,
                };
                return Err(NotRegistered { error: error.to_api(), refused });
            }
        }
    }
}

/// Writes `account.json`: from now on the account is there.
pub(crate) fn publish(home: &Home, own: &Own) -> Result<AccountInfo, ApiError> {
    let info = account_view(own, &home.path().display().to_string());
    let mut json = serde_json::to_vec_pretty(&Facts::of(&info))
        .map_err(|error| ApiError::new(ErrorKind::Failed, error.to_string()))?;
    json.push(b'\n');
    home.write_private(&home.account_file(), &json)?;
    Ok(info)
}
