//! Where the attacks happen: a real relay, a middle in front of it that sees everything the engines do, real engines, actors.

use std::net::{IpAddr, Ipv4Addr};

use subrosa_client_core::{
    Client,
    api::{ContactState, Event, EventsParams, NoParams, Status, TimeoutParams, WhoParams},
};
use subrosa_crypto::PartyAddress;
use subrosa_harness::hostile::{
    Actor, Content, Envelope, Mailbox, Middle, Opened, Relay, Seen, Target, chat_id, frames::ItemResult, with_key,
};

use crate::support::{PATIENCE_MS, Person, TestRelay};

/// Several thousand of everything come from one address here.
const PLENTY: subrosa_relay::Rate = subrosa_relay::Rate { burst: 100_000, per_minute: 100_000 };

pub struct Stage {
    pub relay: TestRelay,
    /// What the engines believe to be the relay.
    pub middle: Middle,
    /// The real one, for the actors.
    pub at: Relay,
}

impl Stage {
    pub async fn new() -> Self {
        let listener = Middle::listen(IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let relay = TestRelay::start_with(move |config| {
            config.public_url = Some(url.parse().unwrap());
            let rates = &mut config.rates;
            for rate in [&mut rates.register, &mut rates.resolve, &mut rates.devices, &mut rates.prekeys] {
                *rate = PLENTY;
            }
        })
        .await;
        let upstream = relay.address.to_string();
        let middle = Middle::serve(listener, Some(upstream.clone())).unwrap();
        let at = Relay::new(&upstream, &middle.authority).unwrap();
        Self { relay, middle, at }
    }

    pub async fn person(&self, name: &str) -> Person {
        Person::new(&self.relay, name).await
    }

    /// A host of its own address, which nobody calls unless somebody names it.
    pub async fn host(&self, number: u16) -> Middle {
        let [high, low] = number.to_be_bytes();
        let listener = Middle::listen(IpAddr::V4(Ipv4Addr::new(127, 77, high, low))).await.unwrap();
        Middle::serve(listener, None).unwrap()
    }

    /// An actor that is registered, with prekeys and delivery key at the relay.
    pub async fn registered(&self, handle: &str) -> (Actor, Mailbox) {
        let actor = Actor::new(handle).unwrap();
        self.at.register(&actor).await.unwrap();
        let mut mailbox = self.at.open_mailbox(&actor).await.unwrap();
        mailbox.settle_in(&actor).await.unwrap();
        (actor, mailbox)
    }

    /// Submits with a delivery key.
    pub async fn submit(&self, envelope: &Envelope, key: &[u8; 16]) -> ItemResult {
        let mut socket = self.at.open_submission().await.unwrap();
        socket.submit(envelope.submit(with_key(key))).await.unwrap().remove(0)
    }

    /// Submits with a delivery key; the relay takes it.
    pub async fn deliver(&self, envelope: &Envelope, key: &[u8; 16]) {
        let result = self.submit(envelope, key).await;
        assert!(result.accepted.is_some(), "{result:?}");
    }

    /// Somebody new who asks for contact by the lane and is accepted.
    pub async fn contact(&self, victim: &Person, handle: &str) -> Known {
        let mark = self.middle.mark();
        let (mut actor, mut mailbox) = self.registered(handle).await;
        let target = self.at.find(&victim.name).await.unwrap();
        self.at.start_session(&mut actor, &target).await.unwrap();
        let hello = Content::text("may I?").introduced(actor.introduction(&self.middle.url()));
        let envelope = actor.write(&target, &hello).unwrap();
        let response = mailbox.by_the_lane(envelope.submit(None)).await.unwrap();
        assert!(response.results.unwrap().results[0].accepted.is_some());
        victim.contact_state(handle, ContactState::Request).await;
        victim.engine.contact_accept(WhoParams { who: actor.id() }).await.unwrap();
        let answer = self.middle.envelope_for(mark, &actor.address()).await.unwrap();
        let opened = actor.read(&answer.head, &answer.body, &target).unwrap();
        let key = opened.content.introduction.expect("the answer introduces").delivery_key;
        let key = key.as_slice().try_into().unwrap();
        // It was written before the answer, and is receipted now.
        let known_id = actor.id_of(&hello, &target);
        let mut known = Known { actor, mailbox, target, key, mark };
        let receipt = known.receipt_for(self, &known_id).await;
        assert!(receipt.setup || known.actor.is_answered(&victim_address(&known.target)));
        known
    }

    /// Waits until the engine has handled everything that was given to it so far, and everything that it wants to send because
    /// of it has left: `friend` writes after the attack, gets its receipt, and the outbox is empty.
    pub async fn settle(&self, victim: &Person, friend: &mut Known) {
        let text = Content::text("still there?");
        let envelope = friend.actor.write(&friend.target, &text).unwrap();
        self.deliver(&envelope, &friend.key).await;
        let id = friend.actor.id_of(&text, &friend.target);
        friend.receipt_for(self, &id).await;
        let flushed = victim.engine.flush(TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
        assert!(flushed.done, "{flushed:?}");
    }

    /// The next envelope for a device after `mark`, which moves behind it.
    pub async fn next_envelope(&self, mark: &mut usize, to: &PartyAddress) -> Envelope {
        let mut index = *mark;
        let fits = |seen: &Seen| {
            index += 1;
            match seen {
                Seen::Submitted { envelope, .. } if envelope.to == *to => Some(envelope.clone()),
                _ => None,
            }
        };
        let found = self.middle.wait(*mark, fits).await;
        *mark = index;
        found.unwrap_or_else(|error| panic!("nothing came for {to:?}: {error}"))
    }

    /// What the relay was asked about an account since a mark.
    pub fn asked_about(&self, mark: usize, account: &[u8; 32]) -> Vec<String> {
        self.middle.fitting(mark, |seen| match seen {
            Seen::Question { path, account: Some(asked), .. } if asked == account => Some(path.clone()),
            _ => None,
        })
    }
}

pub fn victim_address(target: &Target) -> PartyAddress {
    target.device().unwrap().address()
}

/// A contact of the victim.
pub struct Known {
    pub actor: Actor,
    /// Open, so that the device is connected.
    pub mailbox: Mailbox,
    pub target: Target,
    /// The victim's delivery key.
    pub key: [u8; 16],
    /// Up to here its envelopes were read.
    mark: usize,
}

impl Known {
    /// Reads on until a receipt for a message of ours.
    pub async fn receipt_for(&mut self, stage: &Stage, message_id: &[u8]) -> Opened {
        self.read_until(stage, |content| {
            let mut receipts = content.receipt.iter().flat_map(|receipt| &receipt.items);
            receipts.any(|item| item.message_id == message_id)
        })
        .await
    }

    /// Reads on until a content that fits. A newer delivery key is taken over.
    pub async fn read_until(&mut self, stage: &Stage, fits: impl Fn(&Content) -> bool) -> Opened {
        loop {
            let Ok(opened) = self.next(stage).await else { continue };
            if let Some(introduction) = &opened.content.introduction {
                self.key = introduction.delivery_key.as_slice().try_into().unwrap();
            }
            if fits(&opened.content) {
                return opened;
            }
        }
    }

    /// The next envelope that the victim sent to this device; one that was read before is an error.
    async fn next(&mut self, stage: &Stage) -> Result<Opened, ()> {
        let own = self.actor.address();
        let envelope = stage.next_envelope(&mut self.mark, &own).await;
        self.actor.read(&envelope.head, &envelope.body, &self.target).map_err(|_| ())
    }

    /// Writes to the victim with its delivery key.
    pub async fn write(&mut self, stage: &Stage, content: &Content) -> Envelope {
        let envelope = self.actor.write(&self.target, content).unwrap();
        stage.deliver(&envelope, &self.key).await;
        envelope
    }
}

/// What the victim's interfaces call its chat with an account.
pub async fn chat_with(victim: &Person, account: &str) -> String {
    let id = |text: &str| hex::decode(text).unwrap().try_into().unwrap();
    hex::encode(chat_id(&id(&victim.id().await), &id(account)))
}

/// Everything the person was shown since a cursor about one account.
pub async fn shown(victim: &Person, since: u64, account: &str) -> Vec<Event> {
    let chat = chat_with(victim, account).await;
    let mut cursor = since;
    let mut shown = Vec::new();
    loop {
        let params = EventsParams { since: Some(cursor), max: None, wait_ms: 0 };
        let page = victim.engine.events(params).await.unwrap();
        if page.events.is_empty() {
            return shown;
        }
        cursor = page.cursor;
        shown.extend(page.events.into_iter().filter(|event| match event {
            Event::Message(message) => message.chat == chat,
            Event::Receipt(receipt) => receipt.chat == chat,
            Event::State(state) => state.chat == chat,
            Event::Contact(event) => event.contact.id == account,
            Event::Chat(_) => false,
            Event::Notice(notice) => notice.chat.as_ref() == Some(&chat),
        }));
    }
}

/// Where the events stand.
pub async fn cursor(victim: &Person) -> u64 {
    let mut cursor = 0;
    loop {
        let params = EventsParams { since: Some(cursor), max: None, wait_ms: 0 };
        let page = victim.engine.events(params).await.unwrap();
        if page.events.is_empty() {
            return cursor;
        }
        cursor = page.cursor;
    }
}

pub async fn status(victim: &Person) -> Status {
    victim.engine.status(NoParams {}).await.unwrap()
}
