//! The network layer and the real relay: the whole way, a restart, a second process.

use std::{path::Path, sync::Mutex};

use subrosa_crypto::{
    AccountKeyPair, AccountRecord, DeviceCertificate, DeviceList, IdentityKeyPair, PartyAddress, RelayMarks,
};
use subrosa_relay::{Config, Relay};
use subrosa_wire::{
    AccountId, Capability, DeliveryKey, Handle,
    http::{GetDevices, Register, Resolve},
    limits::MAX_SHOWN_MARKS,
    mailbox::{LoginMarks, MailboxRequest, RequestOutcome, TokenUses},
    submit::SubmitResult,
};
use tokio::sync::oneshot;

use super::*;
use crate::net::{Http, Login, NetError, Submitter};

/// A relay in this process, at the same address after a restart.
struct RealRelay {
    endpoint: RelayEndpoint,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RealRelay {
    async fn start(data: &Path, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let relay = Relay::open(Config::new(data.to_owned()), listener).await.unwrap();
        let endpoint = relay.url().parse().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            relay
                .serve(async move {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
        });
        Self { endpoint, stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        soon(self.task).await.unwrap();
    }
}

pub(super) struct Person {
    account: [u8; 32],
    identity: IdentityKeyPair,
    /// As a store would keep them, without ever confirming one.
    marks: Mutex<Vec<[u8; 16]>>,
}

impl Person {
    fn new(account: [u8; 32], identity: IdentityKeyPair) -> Self {
        Self { account, identity, marks: Mutex::default() }
    }

    /// What a copy of the directory would be.
    fn copy(&self) -> Arc<Self> {
        let marks = Mutex::new(self.marks.lock().unwrap().clone());
        Arc::new(Self { account: self.account, identity: IdentityKeyPair::from_seed(&self.identity.seed()), marks })
    }
}

impl MailboxSigner for Person {
    fn device(&self) -> DeviceAddress {
        DeviceAddress { account: AccountId(self.account), device: 1 }
    }

    fn may_log_in(&self) -> bool {
        true
    }

    fn marks(&self) -> BoxFuture<'_, Result<LoginMarks, NetError>> {
        let mut marks = self.marks.lock().unwrap();
        let shown = marks[marks.len().saturating_sub(MAX_SHOWN_MARKS)..].to_vec();
        let mut mark = [0; 16];
        subrosa_ambient::fill(&mut mark).unwrap();
        marks.push(mark);
        Box::pin(async move { Ok(LoginMarks { mark, shown, take_over: false }) })
    }

    fn sign(&self, login: &Login<'_>) -> [u8; 64] {
        let address = PartyAddress { account: self.account, device: 1 };
        let marks = RelayMarks { shown: &login.marks.shown, new: &login.marks.mark, take_over: false };
        self.identity.sign_relay_auth(login.authority, login.pin, login.exporter, login.nonce, &address, &marks)
    }
}

/// Registers somebody new.
pub(super) async fn register(http: &Http, relay: &RelayEndpoint, name: &str) -> Arc<Person> {
    let key = AccountKeyPair::generate().unwrap();
    let record = AccountRecord::new(key.public(), [5; 32]);
    let account = record.id();
    let identity = IdentityKeyPair::generate().unwrap();
    let certificate = DeviceCertificate::issue(&key, &account, 1, &identity.public(), 1);
    let list = DeviceList::issue(&key, &record, 1, 1_700_000_000_000, 1, vec![certificate]).unwrap();
    let handle: Handle = name.parse().unwrap();
    let proof = identity.sign_registration(relay.authority(), None, name, &account, &list.hash());
    let call = Register {
        account_record: record.encode(),
        handle: handle.clone(),
        device_list: list.encode().into(),
        authority: relay.authority().to_owned(),
        pin: None,
        proof,
        registration_token: None,
    };
    soon(http.call(relay, &call)).await.unwrap();
    let resolved = soon(http.call(relay, &Resolve { handle })).await.unwrap();
    assert_eq!(resolved.account, AccountId(account));
    let devices = soon(http.call(relay, &GetDevices { account: resolved.account })).await.unwrap();
    assert_eq!(devices.device_list, list.encode());
    Arc::new(Person::new(account, identity))
}

/// Opens the mailbox and gives the relay a delivery key.
async fn log_in(relay: &RelayEndpoint, person: &Arc<Person>) -> (Engine, Capability) {
    let mut engine = Engine::with(relay, person.clone(), timing(), 64);
    engine.ready().await;
    let key = DeliveryKey::new([8; 16]);
    let op = MailboxRequest::SetDeliveryKeys { current: key.hash(), previous: None, previous_valid_s: 0 };
    assert_eq!(soon(engine.handle.request(op)).await, Ok(RequestOutcome::Done));
    (engine, Capability::DeliveryKey(key))
}

/// One envelope with a body nobody else sends.
fn letter(to: &Person, capability: &Capability, number: u8) -> Submit {
    let mut submit = submission(1);
    submit.bodies = vec![vec![number; 512].into()];
    submit.items[0].device = to.device();
    submit.items[0].capability = Some(capability.clone());
    submit
}

/// Reads envelopes until the one with this number, which must be the next not seen.
async fn receive(engine: &mut Engine, numbers: std::ops::RangeInclusive<u8>) -> Seq {
    let mut expected = *numbers.start();
    let mut last = 0;
    while expected <= *numbers.end() {
        for push in engine.pushed().await {
            assert_eq!(push.body[0], expected);
            expected += 1;
            last = push.seq;
        }
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitted_pushed_acknowledged_and_not_pushed_again() {
    let dir = tempfile::tempdir().unwrap();
    let relay = RealRelay::start(&dir.path().join("relay"), "127.0.0.1:0").await;
    let http = Http::new(Network::direct());
    let bob = register(&http, &relay.endpoint, "bob").await;
    let (mut engine, capability) = log_in(&relay.endpoint, &bob).await;
    let submitter = Submitter::new(Network::direct());
    for number in 1..=20 {
        let results = soon(submitter.submit(&relay.endpoint, &letter(&bob, &capability, number))).await;
        assert_eq!(results, Ok(vec![SubmitResult::Accepted]));
    }
    let last = receive(&mut engine, 1..=20).await;
    engine.handle.ack(last);
    soon(engine.handle.shutdown()).await;
    let mut engine = Engine::with(&relay.endpoint, bob.clone(), timing(), 64);
    assert_eq!(engine.ready().await, last, "the last acknowledgement got out before the goodbye");
    assert!(matches!(engine.next().await, MailboxEvent::CaughtUp));
    drop(engine);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_relay_is_found_again_and_everything_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("relay");
    let relay = RealRelay::start(&data, "127.0.0.1:0").await;
    let endpoint = relay.endpoint.clone();
    let http = Http::new(Network::direct());
    let bob = register(&http, &endpoint, "bob").await;
    let (mut engine, capability) = log_in(&endpoint, &bob).await;
    let submitter = Submitter::with_timing(Network::direct(), timing());
    soon(submitter.submit(&endpoint, &letter(&bob, &capability, 1))).await.unwrap();
    let first = receive(&mut engine, 1..=1).await;
    // Not acknowledged: it comes again after the restart.
    relay.stop().await;
    let (error, _) = engine.offline().await;
    assert!(error.is_transient(), "{error:?}");
    let down = soon(submitter.submit(&endpoint, &letter(&bob, &capability, 2))).await.unwrap_err();
    assert!(down.is_transient(), "{down:?}");

    let relay = RealRelay::start(&data, endpoint.authority()).await;
    engine.ready().await;
    assert_eq!(receive(&mut engine, 1..=1).await, first);
    let op =
        MailboxRequest::PutContactToken { token: DeliveryKey::new([1; 16]).hash(), expiry_s: 60, uses: TokenUses::ONE };
    assert_eq!(soon(engine.handle.request(op)).await, Ok(RequestOutcome::Done));
    // The relay's GoAway may still hold the submitter back for a moment: it says so, and that it will pass.
    let second = letter(&bob, &capability, 2);
    loop {
        match soon(submitter.submit(&endpoint, &second)).await {
            Ok(results) => break assert_eq!(results, [SubmitResult::Accepted]),
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(receive(&mut engine, 2..=2).await > first);
    soon(engine.handle.shutdown()).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_that_logged_in_last_goes_on_and_the_other_one_stands_still() {
    let dir = tempfile::tempdir().unwrap();
    let relay = RealRelay::start(&dir.path().join("relay"), "127.0.0.1:0").await;
    let http = Http::new(Network::direct());
    let bob = register(&http, &relay.endpoint, "bob").await;
    let (mut first, _) = log_in(&relay.endpoint, &bob).await;
    let (second, _) = log_in(&relay.endpoint, &bob.copy()).await;
    // Displaced, it asks once more, and is told why.
    while !matches!(first.next().await, MailboxEvent::OtherCopy) {}
    soon(first.handle.shutdown()).await;
    soon(second.handle.shutdown()).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_does_not_get_into_a_mailbox() {
    let dir = tempfile::tempdir().unwrap();
    let relay = RealRelay::start(&dir.path().join("relay"), "127.0.0.1:0").await;
    let http = Http::new(Network::direct());
    let bob = register(&http, &relay.endpoint, "bob").await;
    let stranger = Person::new(bob.account, IdentityKeyPair::generate().unwrap());
    let mut engine = Engine::with(&relay.endpoint, Arc::new(stranger), timing(), 64);
    let (error, retry_in) = engine.offline().await;
    assert!(matches!(error, NetError::Refused(_)), "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(retry_in, timing().refused_retry);
    drop(engine);
    relay.stop().await;
}
