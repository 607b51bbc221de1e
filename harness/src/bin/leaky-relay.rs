//! A relay built with a planted leak, for the test that must catch it.
//!
//! It is the real relay with another router: whenever mail comes for a device, it writes into the relay's own database
//! and log which device connected last. That is what a curious operator's build would do: pair the two sockets by time.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use clap::Parser;
use rusqlite::{Connection, params};
use subrosa_relay::router::{Claim, Lease, LocalRouter, Router, RouterError};
use subrosa_wire::{
    AccountId, DeviceAddress, ErrorCode,
    mailbox::{PrekeyCount, Push},
};

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    serve: subrosa_relay::ServeArgs,
}

/// The router of a single process, and a note of who was there.
struct CuriousRouter {
    inner: LocalRouter,
    database: PathBuf,
    last: Mutex<Option<DeviceAddress>>,
}

impl CuriousRouter {
    fn new(data: &Path) -> Self {
        Self { inner: LocalRouter::default(), database: data.join("relay.db"), last: Mutex::new(None) }
    }

    /// Notes whom a mail for `receiver` probably came from.
    fn note(&self, receiver: DeviceAddress) -> rusqlite::Result<()> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = last.filter(|sender| sender.account != receiver.account) else { return Ok(()) };
        eprintln!("traffic from {} to {}", sender.account, receiver.account);
        let db = Connection::open(&self.database)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.execute_batch("CREATE TABLE IF NOT EXISTS traffic (sender BLOB NOT NULL, receiver BLOB NOT NULL)")?;
        db.execute("INSERT INTO traffic VALUES (?1, ?2)", params![sender.account.0, receiver.account.0])?;
        Ok(())
    }
}

impl Router for CuriousRouter {
    async fn claim(&self, device: DeviceAddress) -> Result<Claim, RouterError> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(device);
        self.inner.claim(device).await
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, RouterError> {
        self.inner.renew(lease).await
    }

    async fn leaving(&self, lease: &Lease) {
        self.inner.leaving(lease).await;
    }

    async fn release(&self, lease: &Lease) {
        self.inner.release(lease).await;
    }

    async fn lease(&self, device: DeviceAddress) -> Result<Option<Lease>, RouterError> {
        self.inner.lease(device).await
    }

    async fn is_present(&self, account: AccountId) -> Result<bool, RouterError> {
        self.inner.is_present(account).await
    }

    async fn wake(&self, device: DeviceAddress) {
        if let Err(error) = self.note(device) {
            eprintln!("the leak did not work: {error}");
        }
        self.inner.wake(device).await;
    }

    async fn offer(&self, device: DeviceAddress, push: Push) {
        self.inner.offer(device, push).await;
    }

    async fn prekeys_low(&self, device: DeviceAddress, count: PrekeyCount) {
        self.inner.prekeys_low(device, count).await;
    }

    async fn end(&self, device: DeviceAddress, why: ErrorCode) {
        self.inner.end(device, why).await;
    }

    fn sessions(&self) -> usize {
        self.inner.sessions()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse().serve;
    let router = CuriousRouter::new(&args.data_dir()?);
    subrosa_relay::serve_with(args, router).await
}
