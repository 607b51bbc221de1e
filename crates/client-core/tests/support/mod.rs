//! Real relays on port 0 and real engines in temporary directories.

use std::{net::SocketAddr, path::Path, sync::Arc};

use subrosa_client_core::{
    Client, DeviceRequest, Engine,
    account::{InitParams, init, init_linked},
    api::{
        Contact, ContactState, EngineOwner, Event, EventsParams, HistoryParams, InviteParams, JoinParams, Message,
        MessageStatus, NoParams, Notice, ReadParams, SendParams, Sent, TimeoutParams, WaitParams, WhoParams,
    },
    home::Home,
    keys::{self, Passphrase},
    net::Network,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use zeroize::Zeroizing;

/// Longer than anything here takes; a test that reaches it has failed.
pub const PATIENCE_MS: u64 = 20_000;

/// Changes a relay's settings before it starts.
type Configure = Arc<dyn Fn(&mut subrosa_relay::Config) + Send + Sync>;

/// A real relay in this process.
pub struct TestRelay {
    pub dir: Arc<TempDir>,
    pub address: SocketAddr,
    configure: Configure,
    public: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl TestRelay {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// With other settings, such as the address of what stands in front of it.
    pub async fn start_with(configure: impl Fn(&mut subrosa_relay::Config) + Send + Sync + 'static) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::serve(dir, "127.0.0.1:0".parse().unwrap(), Arc::new(configure)).await
    }

    async fn serve(dir: Arc<TempDir>, address: SocketAddr, configure: Configure) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut config = subrosa_relay::Config::new(dir.path());
        // Some tests play a relay that lies, by editing its database.
        config.refuse_damage = false;
        configure(&mut config);
        let public = config.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            subrosa_relay::run(config, listener, shutdown).await.unwrap();
        });
        Self { dir, address, configure, public, stop: Some(stop), task: Some(task) }
    }

    /// How people reach it.
    pub fn url(&self) -> String {
        self.public.clone().unwrap_or_else(|| format!("http://{}", self.address))
    }

    pub async fn stop(&mut self) {
        self.stop.take();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }

    /// Stops and starts again on the same port and data.
    pub async fn restart(&mut self) {
        self.stop().await;
        *self = Self::serve(Arc::clone(&self.dir), self.address, Arc::clone(&self.configure)).await;
    }
}

pub fn passphrase() -> Passphrase {
    Passphrase::typed(Zeroizing::new("correct horse".to_owned())).unwrap()
}

/// An account's directory and its engine.
pub struct Person {
    pub dir: TempDir,
    pub name: String,
    pub engine: Engine,
}

pub async fn start(home: &Path) -> Engine {
    let home = Home::at(home);
    let key = keys::unlock(&home, &passphrase()).unwrap();
    let owner = EngineOwner { pid: std::process::id(), kind: "test".into() };
    Engine::start(&home, key, owner, Network::direct()).await.unwrap()
}

pub fn who(name: &str) -> WhoParams {
    WhoParams { who: name.to_owned() }
}

impl Person {
    pub async fn new(relay: &TestRelay, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let params = InitParams {
            relay: relay.url().parse().unwrap(),
            pin: None,
            handle: name.to_owned(),
            registration: None,
            network: Network::direct(),
        };
        init(&Home::at(dir.path()), params, &passphrase(), |words| {
            assert_eq!(words.split(' ').count(), 24);
            Ok(())
        })
        .await
        .unwrap();
        let engine = start(dir.path()).await;
        Self { dir, name: name.to_owned(), engine }
    }

    /// A further installation of this person, with the next number.
    pub async fn add_device(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let request = DeviceRequest::new().unwrap();
        let provision = self.engine.authorize_device(request.identity_key()).await.unwrap();
        let info = init_linked(&Home::at(dir.path()), request, &provision, &passphrase()).unwrap();
        assert_eq!(info.id, self.id().await);
        let engine = start(dir.path()).await;
        Self { dir, name: self.name.clone(), engine }
    }

    pub async fn restart(&mut self) {
        self.engine.shutdown().await;
        self.engine = start(self.dir.path()).await;
    }

    /// Everything that this person's engine has to say is at the relays.
    pub async fn settled(&self) {
        let flushed = self.engine.flush(TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
        assert!(flushed.done, "{}", self.name);
    }

    pub async fn id(&self) -> String {
        self.engine.account(NoParams {}).await.unwrap().id
    }

    pub async fn link(&self) -> String {
        self.engine.invite(InviteParams::default()).await.unwrap().link
    }

    pub async fn join(&self, link: &str) -> Contact {
        self.engine.join(JoinParams { link: link.to_owned() }).await.unwrap()
    }

    pub async fn send(&self, to: &str, body: &str) -> Sent {
        self.engine
            .send(SendParams { to: to.to_owned(), body: body.to_owned(), ..SendParams::default() })
            .await
            .unwrap()
    }

    /// Writes to somebody at the own relay who is no contact.
    pub async fn ask(&self, handle: &str, body: &str) -> Sent {
        let params = SendParams { to: handle.into(), body: body.into(), request: true, ..SendParams::default() };
        self.engine.send(params).await.unwrap()
    }

    pub async fn wait(&self, sent: &Sent, status: MessageStatus) -> Sent {
        let params = WaitParams { id: sent.id.clone(), status, timeout_ms: PATIENCE_MS };
        let sent = self.engine.wait(params).await.unwrap();
        assert_eq!(sent.status, status, "{sent:?}");
        sent
    }

    pub async fn history(&self, chat: &str) -> Vec<Message> {
        let params = HistoryParams { chat: chat.to_owned(), limit: Some(1_000), ..HistoryParams::default() };
        self.engine.history(params).await.unwrap().messages
    }

    pub async fn bodies(&self, chat: &str) -> Vec<String> {
        self.history(chat).await.into_iter().map(|message| message.body).collect()
    }

    pub async fn read(&self, what: &str) {
        self.engine.read(ReadParams { what: what.to_owned() }).await.unwrap();
    }

    pub async fn contact(&self, who: &str) -> Contact {
        self.engine.contact_show(WhoParams { who: who.to_owned() }).await.unwrap()
    }

    /// Goes through the events from the beginning until one fits.
    pub async fn event<T>(&self, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        let mut since = 0;
        loop {
            let params = EventsParams { since: Some(since), max: None, wait_ms: PATIENCE_MS };
            let page = self.engine.events(params).await.unwrap();
            assert!(!page.events.is_empty(), "{} waited in vain", self.name);
            if let Some(found) = page.events.iter().find_map(&mut fits) {
                return found;
            }
            since = page.cursor;
        }
    }

    /// Waits for a message from somebody else with this text.
    pub async fn message(&self, body: &str) -> Message {
        self.event(|event| match event {
            Event::Message(message) if message.body == body => Some(message.clone()),
            _ => None,
        })
        .await
    }

    pub async fn notice(&self, code: &str) -> Notice {
        self.event(|event| match event {
            Event::Notice(notice) if notice.code == code => Some(notice.clone()),
            _ => None,
        })
        .await
    }

    /// Somebody is forgotten: nothing but the account's id is told of them.
    pub async fn removed(&self, id: &str) {
        self.event(|event| match event {
            Event::Contact(event) if event.contact.id == id && event.contact.state == ContactState::Removed => Some(()),
            _ => None,
        })
        .await;
    }

    pub async fn contact_state(&self, name: &str, state: ContactState) -> Contact {
        self.event(|event| match event {
            Event::Contact(event) if event.contact.name == name && event.contact.state == state => {
                Some(event.contact.clone())
            }
            _ => None,
        })
        .await
    }
}

/// A copy of an account's directory, as `cp -r` makes it.
pub fn copied(from: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// Two people who are contacts by a link that the first one made.
pub async fn pair(first: &Person, second: &Person) {
    second.join(&first.link().await).await;
    first.contact_state(&second.name, ContactState::Ok).await;
    second.contact_state(&first.name, ContactState::Ok).await;
}
