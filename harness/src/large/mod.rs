//! A large account and what the interface does with it.

mod bench;
mod fill;
mod terminal;
pub mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use subrosa_client_core::{
    api::{MessageStatus, SendParams, Sent, WaitParams},
    bulk::Filler,
    home::Home,
    keys::Passphrase,
};
use subrosa_wire::AccountId;

pub use self::{
    bench::{Figures, echo, measure},
    fill::Size,
};
use crate::{
    account::Account,
    keeper::{Keeper, Program, Surroundings},
    measure::surroundings,
};

/// The handle of the large account.
pub const OWNER: &str = "owner";
/// The handle of who writes while the interface is open.
pub const PEER: &str = "peer";

/// What says that a folder is one of ours, and what is in it.
const MANIFEST: &str = "large.json";

/// What is in the folder of a large account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// How large it is.
    pub size: Size,
    /// Where its relay listens.
    pub port: u16,
    /// Account of [`OWNER`].
    pub owner: String,
    /// Account of [`PEER`], with whom the largest chat is.
    pub peer: String,
}

impl Manifest {
    /// Reads the one of a folder.
    ///
    /// # Errors
    /// There is none.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read(&path)
            .with_context(|| format!("{} is not there: large-account makes such a folder", path.display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }
}

/// The random key that opens the large account without the time that a passphrase takes.
#[must_use]
pub fn key_file(folder: &Path) -> PathBuf {
    folder.join("owner.key")
}

/// The relay of a large account.
#[must_use]
pub fn relay(folder: &Path, port: u16) -> Program {
    Program::Relay { data: folder.join("relay"), port, arguments: Vec::new() }
}

/// Makes a large account, the one of somebody who writes to it, and their relay, in a new folder.
///
/// # Errors
/// The folder exists; something does not start; the disk is full.
pub async fn make(
    folder: &Path,
    size: Size,
    end_ms: u64,
    told: impl FnMut(usize) + Send + 'static,
) -> Result<Manifest> {
    size.check()?;
    ensure!(!folder.exists(), "{} exists", folder.display());
    std::fs::create_dir_all(folder)?;
    // Absolute: the programs run elsewhere.
    let folder = &folder.canonicalize()?;
    let around = surroundings(folder)?;
    let keeper = Keeper::start("relay", relay(folder, 0), &around, &[]);
    keeper.serving().await?;
    let url = keeper.url();
    let port = url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok()).context("a port")?;
    let owner = Account::init(&around.programs, folder, OWNER, &url, &[]).await?;
    let peer = Account::init(&around.programs, folder, PEER, &url, &[]).await?;
    befriend(&owner, &peer, &around).await?;
    keeper.stop().await;

    let home = Home::at(owner.data());
    let secret = Passphrase::from_file(&owner.passphrase)?.passphrase;
    let other = AccountId(hex::decode(&peer.id)?.try_into().ok().context("an account id")?);
    tokio::task::spawn_blocking(move || -> Result<()> {
        let mut filler = Filler::open(&home, &secret)?;
        fill::fill(&mut filler, other, size, end_ms, told)?;
        Ok(filler.finish()?)
    })
    .await??;
    owner.run(["account", "passphrase", "--new-key-file", &key_file(folder).to_string_lossy()]).await?;
    let manifest = Manifest { size, port, owner: owner.id, peer: peer.id };
    std::fs::write(folder.join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    Ok(manifest)
}

/// Both write once: from then on they have a session.
async fn befriend(owner: &Account, peer: &Account, around: &Surroundings) -> Result<()> {
    let mut engines = Vec::new();
    for account in [owner, peer] {
        let keeper = Keeper::start(&account.name, Program::Engine(account.clone()), around, &[]);
        keeper.serving().await?;
        engines.push(keeper);
    }
    owner.befriend(peer).await?;
    for (from, to) in [(owner, peer), (peer, owner)] {
        let mut rpc = from.rpc().await?;
        let send = SendParams { to: to.id.clone(), body: "hello".to_owned(), ..SendParams::default() };
        let sent: Sent = rpc.call("send", &send, PATIENCE).await?;
        let wait = WaitParams { id: sent.id, status: MessageStatus::Delivered, timeout_ms: 30_000 };
        rpc.call::<_, Sent>("wait", &wait, PATIENCE).await?;
    }
    for engine in engines {
        engine.stop().await;
    }
    Ok(())
}

/// No single call takes longer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
