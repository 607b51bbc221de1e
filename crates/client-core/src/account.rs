//! Making an account, and making another device of one.

use std::time::Duration;

use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, RandomnessError, RecoveryKey,
};
use subrosa_wire::{
    AccountId, DeliveryKey, DeviceAddress, ErrorCode, Handle,
    http::{Register, Resolve},
    submit::Refusal,
};
pub use subrosa_wire::{ContactLink, LinkError, RegistrationToken, link::is_link};
use url::Url;

use crate::{
    accounts::Facts,
    api::{AccountInfo, ApiError, EngineOwner, ErrorKind},
    content::ContactSync,
    engine::{DeviceRequest, Engine, Provision, account_view, now_ms},
    home::Home,
    keys::{self, StoreKey, StoreSecret},
    lock::{EngineLock, LockAttempt},
    net::{Http, NetError, Network, RelayEndpoint},
    store::{self, account::Own},
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
/// never seen again. If anything fails, nothing is left behind.
///
/// # Errors
/// An account exists here, the handle is not valid or taken, the relay is not reached or refuses, `recovery` fails.
pub async fn init(
    home: &Home,
    params: InitParams,
    secret: impl Into<StoreSecret>,
    recovery: impl FnOnce(&str) -> Result<(), ApiError>,
) -> Result<AccountInfo, ApiError> {
    let handle = handle(&params.handle)?;
    let relay = RelayEndpoint::new(params.relay, params.pin).map_err(|error| error.to_api())?;
    let _lock = claim(home)?;
    let secret = secret.into();

    let undo = UndoFiles(home);
    let made = async {
        let (key, own) = match half_made(home, &secret, handle.as_str(), &relay) {
            Some(made) => made,
            None => {
                refuse_taken(&params.network, &relay, &handle).await?;
                make(home, &secret, &handle, &relay, recovery)?
            }
        };
        register(&params.network, &relay, &own, handle, params.registration).await?;
        Ok::<_, ApiError>((publish(home, &own)?, key))
    };
    let (info, key) = made.await?;
    std::mem::forget(undo);
    introduce(home, key, params.network).await;
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
    home: &Home,
    secret: &StoreSecret,
    handle: &Handle,
    relay: &RelayEndpoint,
    recovery: impl FnOnce(&str) -> Result<(), ApiError>,
) -> Result<(StoreKey, Own), ApiError> {
    remove_leftovers(home);
    let account_key = AccountKeyPair::generate().map_err(no_randomness)?;
    let recovery_key = RecoveryKey::generate().map_err(no_randomness)?;
    let record = AccountRecord::new(account_key.public(), recovery_key.commitment());
    let identity = IdentityKeyPair::generate().map_err(no_randomness)?;
    let certificate = DeviceCertificate::issue(&account_key, &record.id(), 1, &identity.public(), 1);
    let list = DeviceList::issue(&account_key, &record, 1, now_ms(), 1, vec![certificate])
        .map_err(|error| ApiError::new(ErrorKind::Failed, error.to_string()))?;
    let mut delivery_key = [0; 16];
    getrandom::fill(&mut delivery_key).map_err(|_| no_randomness(RandomnessError))?;
    let own = Own {
        address: DeviceAddress { account: AccountId(record.id()), device: 1 },
        record,
        account_key: Some(account_key),
        identity,
        handle: handle.as_str().to_owned(),
        relay: relay.url().clone(),
        pin: relay.pin().copied(),
        list,
        delivery_key: DeliveryKey::new(delivery_key),
    };
    let key = keys::create(home, secret)?;
    // Before the store: what is found half made later has surely handed its words out.
    recovery(&recovery_key.words())?;
    make_store(home, &key, &own, &[])?;
    Ok((key, own))
}

/// What an `init` that was killed left behind, if it was for this handle at this relay and opens with this passphrase:
/// the relay may know that account already. Its recovery words were handed out before it was registered.
fn half_made(home: &Home, secret: &StoreSecret, handle: &str, relay: &RelayEndpoint) -> Option<(StoreKey, Own)> {
    let key = keys::unwrap_key(home, secret).ok()?;
    let own = store::account::load(&store::open(&home.store(), key.as_bytes(), false).ok()?).ok()?;
    let same = own.handle == handle && own.relay == *relay.url() && own.pin.as_ref() == relay.pin();
    same.then_some((key, own))
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
    let _lock = claim(home)?;
    let own = request.become_device(provision)?;
    let undo = UndoFiles(home);
    let key = keys::create(home, secret)?;
    make_store(home, &key, &own, &provision.contacts)?;
    let info = publish(home, &own)?;
    std::mem::forget(undo);
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

/// The directory is ours to fill.
pub(crate) fn claim(home: &Home) -> Result<EngineLock, ApiError> {
    if home.has_account() {
        return Err(ApiError::new(ErrorKind::Usage, format!("{} holds an account already", home.path().display()))
            .hint("choose another directory with --home, or SUBROSA_HOME"));
    }
    home.create()?;
    match EngineLock::attempt(home, "init")? {
        LockAttempt::Held(lock) => Ok(lock),
        LockAttempt::Taken(_) => {
            Err(ApiError::new(ErrorKind::AccountBusy, "another process is making an account here"))
        }
    }
}

/// Until `account.json` stands, an account is not there: what lies around is removed.
pub(crate) struct UndoFiles<'a>(pub(crate) &'a Home);

impl Drop for UndoFiles<'_> {
    fn drop(&mut self) {
        remove_leftovers(self.0);
    }
}

fn remove_leftovers(home: &Home) {
    let store = home.store();
    let beside = |suffix: &str| {
        let mut name = store.clone().into_os_string();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    for file in [home.store_key(), beside("-wal"), beside("-shm"), store.clone()] {
        // What is not there need not be removed.
        let _ = std::fs::remove_file(file);
    }
}

fn make_store(home: &Home, key: &StoreKey, own: &Own, contacts: &[ContactSync]) -> Result<(), ApiError> {
    // Made here, readable by its owner only: SQLite would follow the umask, and gives its log and index the mode it finds.
    home.write_private(&home.store(), b"")?;
    let mut db = store::open(&home.store(), key.as_bytes(), true)?;
    let transaction = db.transaction().map_err(store::StoreError::from)?;
    store::account::create(&transaction, own, now_ms())?;
    transaction.commit().map_err(store::StoreError::from)?;
    crate::engine::first_state(home, db, contacts)
}

async fn register(
    network: &Network,
    relay: &RelayEndpoint,
    own: &Own,
    handle: Handle,
    registration_token: Option<RegistrationToken>,
) -> Result<(), ApiError> {
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
            Err(error) => return Err(error.to_api()),
        }
    }
}

/// Writes `account.json`: from now on the account is there.
pub(crate) fn publish(home: &Home, own: &Own) -> Result<AccountInfo, ApiError> {
    let info = account_view(own, &home.path().display().to_string());
    let file =
        Facts { v: 1, id: info.id.clone(), name: info.name.clone(), relay: info.relay.clone(), device: info.device };
    let mut json =
        serde_json::to_vec_pretty(&file).map_err(|error| ApiError::new(ErrorKind::Failed, error.to_string()))?;
    json.push(b'\n');
    home.write_private(&home.account_file(), &json)?;
    Ok(info)
}
