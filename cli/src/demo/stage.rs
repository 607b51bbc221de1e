//! What a demo plays on: a relay, and two accounts that know each other by a contact link.

use std::sync::Arc;

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    account::{self, InitParams},
    api::{ContactState, Event, EventsParams, InviteParams, JoinParams, NoParams},
    home::Home,
    keys::Passphrase,
    lock::LOCK_TIMEOUT,
    net::Network,
    open::{OpenOptions, Opened, open},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use super::directory::Directory;

/// The peer's handle.
pub(super) const ROBIN: &str = "robin";

/// The person's handle.
pub(super) const YOU: &str = "you";

/// One person of the demo.
pub(super) struct Player {
    pub(super) client: Arc<dyn Client>,
    /// Account id.
    pub(super) id: String,
    /// Handle.
    pub(super) name: &'static str,
    opened: Opened,
}

/// Relay and players.
pub(super) struct Stage {
    pub(super) you: Player,
    pub(super) robin: Player,
    /// Further people, for the interface; see [`super::people`].
    pub(super) others: Vec<Player>,
    /// The relay's address.
    pub(super) relay: Url,
    relay_stop: CancellationToken,
    relay_task: JoinHandle<Result<(), subrosa_relay::RelayError>>,
    directory: Directory,
}

impl Stage {
    /// Starts everything and makes the two players contacts; `others` are there, too, and know nobody yet.
    pub(super) async fn set_up(others: &[&'static str]) -> Result<Self, ApiError> {
        let failed =
            |what: &str, error: std::io::Error| ApiError::new(ErrorKind::Storage, format!("cannot {what}: {error}"));
        let directory = Directory::create().map_err(|error| failed("make a temporary directory", error))?;
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed("listen on 127.0.0.1", error))?;
        let address = listener.local_addr().map_err(|error| failed("listen on 127.0.0.1", error))?;
        let relay = Url::parse(&format!("http://{address}"))
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the relay's address: {error}")))?;

        let relay_stop = CancellationToken::new();
        let config = subrosa_relay::Config::new(directory.path().join("relay"));
        let stopped = relay_stop.clone().cancelled_owned();
        let relay_task = tokio::spawn(subrosa_relay::run(config, listener, stopped));

        let others = others.iter().map(|name| player(&directory, &relay, name));
        let (you, robin, others) = tokio::try_join!(
            player(&directory, &relay, YOU),
            player(&directory, &relay, ROBIN),
            futures_util::future::try_join_all(others)
        )?;
        let stage = Self { you, robin, others, relay, relay_stop, relay_task, directory };
        stage.introduce(&stage.robin).await?;
        Ok(stage)
    }

    /// You invite, they join: as two people would, without comparing numbers.
    pub(super) async fn introduce(&self, other: &Player) -> Result<(), ApiError> {
        let before = self.you.client.events(EventsParams { since: None, max: Some(1), wait_ms: 0 }).await?;
        let mut cursor = before.cursor;
        let invite = self.you.client.invite(InviteParams::default()).await?;
        other.client.join(JoinParams { link: invite.link }).await?;
        loop {
            let contacts = self.you.client.contact_list(NoParams {}).await?.contacts;
            if contacts.iter().any(|contact| contact.id == other.id && contact.state == ContactState::Ok) {
                return Ok(());
            }
            let page = self.you.client.events(EventsParams { since: Some(cursor), max: None, wait_ms: 10_000 }).await?;
            cursor = page.cursor;
            if page.events.is_empty() {
                return Err(ApiError::new(ErrorKind::Timeout, "the introduction did not arrive"));
            }
            if let Some(Event::Notice(notice)) = page.events.first() {
                tracing::debug!(code = %notice.code, "notice during the introduction");
            }
        }
    }

    /// Stops everything in order and removes the directory.
    pub(super) async fn clear_away(self) -> Result<(), ApiError> {
        let everybody = [self.you, self.robin].into_iter().chain(self.others);
        futures_util::future::join_all(everybody.map(|player| player.opened.close())).await;
        self.relay_stop.cancel();
        match self.relay_task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(ApiError::new(ErrorKind::Failed, format!("the relay failed: {error}"))),
            Err(error) => return Err(ApiError::new(ErrorKind::Failed, format!("the relay failed: {error}"))),
        }
        let path = self.directory.path().to_owned();
        self.directory
            .remove()
            .map_err(|error| ApiError::new(ErrorKind::Storage, format!("{} was not removed: {error}", path.display())))
    }
}

async fn player(directory: &Directory, relay: &Url, name: &'static str) -> Result<Player, ApiError> {
    let home = Home::at(directory.path().join(name));
    let passphrase = Passphrase::typed(new_secret()?)?;
    let params = InitParams {
        relay: relay.clone(),
        pin: None,
        handle: name.to_owned(),
        registration: None,
        network: Network::direct(),
    };
    // Nobody will recover an account that lives for a minute.
    let info = account::init(&home, params, &passphrase, |_recovery_words| Ok(())).await?;
    let options = OpenOptions {
        kind: "demo".to_owned(),
        serve: false,
        lock_timeout: LOCK_TIMEOUT,
        passphrase: Arc::new(move || Ok((&passphrase).into())),
        // The relay is in this process.
        network: Network::direct(),
    };
    let opened = open(&home, options).await?;
    Ok(Player { client: opened.client(), id: info.id, name, opened })
}

fn new_secret() -> Result<Zeroizing<String>, ApiError> {
    let mut bytes = Zeroizing::new([0; 32]);
    subrosa_ambient::fill(&mut bytes[..])
        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("the system gives no random numbers: {error}")))?;
    Ok(Zeroizing::new(hex::encode(&bytes[..])))
}
