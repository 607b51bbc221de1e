//! The search: every kind of content, in each class, in every state that a contact can be in. What leaves the engine, what its
//! relay is asked, which hosts are called and what the person sees is one table in `docs/threat-model.md`, which this test makes
//! and compares. `SUBROSA_UPDATE=1` writes it anew.
//!
//! The relay in the middle delivers: it needs no capability, and says of an envelope that it came by whichever way.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    path::Path,
};

use prost::Message as _;
use subrosa_client_core::{
    Client,
    api::{ContactState, Event, EventsParams, WhoParams},
};
use subrosa_harness::hostile::{
    Actor, ContactSync, Content, Envelope, Ids, KeySync, Middle, RestoreAnswer, Seen, Target, Text, Transcript,
    chat_id,
    frames::{BY_KEY, BY_LANE, BY_MEMBER, DURABLE, EPHEMERAL, Push},
    now_ms,
    questions::Prekeys,
};

use crate::{
    stage::{Known, Stage, cursor, victim_address},
    support::{PATIENCE_MS, Person},
};

/// What is known of what was said before: ids that a content can name.
struct Said {
    /// A message of the victim, to them or else to somebody else.
    message: Vec<u8>,
    /// Its envelope.
    envelope: [u8; 16],
    /// Where it stands.
    conversation: [u8; 32],
    /// A message of somebody else, unread.
    unread: Vec<u8>,
    /// Where that stands.
    elsewhere: [u8; 32],
}

/// A kind of content: its name, its field in `Content`, and one that would do the most harm.
struct Kind {
    name: &'static str,
    field: Option<u32>,
    make: fn(&Actor, &Said) -> Content,
}

/// A type of body that no client knows.
const UNKNOWN: u32 = 99;

const KINDS: &[Kind] = &[
    Kind { name: "text", field: Some(16), make: |_, _| Content::text("attack") },
    Kind {
        name: "receipt: delivered",
        field: Some(17),
        make: |_, said| Content::receipt(0, &said.conversation, std::slice::from_ref(&said.message)),
    },
    Kind {
        name: "receipt: read",
        field: Some(17),
        make: |_, said| Content::receipt(1, &said.conversation, std::slice::from_ref(&said.message)),
    },
    Kind { name: "hello", field: Some(18), make: |_, _| Content::hello() },
    Kind {
        name: "transcript",
        field: Some(19),
        make: |_, said| {
            let conversation = said.elsewhere.to_vec();
            let line = Content { conversation: conversation.clone(), ..Content::text("I never wrote this") };
            let transcript = Transcript { conversation, content: line.encode_to_vec() };
            Content { transcript: Some(transcript), ..Content::new() }
        },
    },
    Kind {
        name: "contact sync",
        field: Some(20),
        make: |actor, _| {
            let sync = ContactSync {
                account_record: actor.record.encode().to_vec(),
                device_list: actor.list.encode(),
                handle: actor.handle.clone(),
                relay: "http://127.0.0.1:1/".to_owned(),
                delivery_key: actor.delivery_key.to_vec(),
                state: 3,
                verified: true,
                answered: true,
                decided_ms: now_ms() + 1_000,
                ..ContactSync::default()
            };
            Content { contact_sync: Some(sync), ..Content::new() }
        },
    },
    Kind {
        name: "read sync",
        field: Some(21),
        make: |_, said| Content { read_sync: Some(Ids { ids: vec![said.unread.clone()] }), ..Content::new() },
    },
    Kind { name: "retry request: empty", field: Some(22), make: |_, _| Content::retry_request(&[]) },
    Kind {
        name: "retry request: invented id",
        field: Some(22),
        make: |_, _| Content::retry_request(&[rand::random()]),
    },
    Kind { name: "retry request: true id", field: Some(22), make: |_, said| Content::retry_request(&[said.envelope]) },
    Kind {
        name: "key sync",
        field: Some(23),
        make: |_, _| {
            let key = rand::random::<[u8; 16]>().to_vec();
            let changed_ms = now_ms() + 1_000;
            let sync =
                KeySync { delivery_key: key.clone(), changed_ms, member_key: key, member_changed_ms: changed_ms };
            Content { key_sync: Some(sync), ..Content::new() }
        },
    },
    Kind { name: "restore request", field: Some(24), make: |_, _| Content::restore_request() },
    Kind {
        name: "restore answer",
        field: Some(25),
        make: |_, said| {
            let answer = RestoreAnswer {
                id: rand::random::<[u8; 16]>().to_vec(),
                conversation: said.conversation.to_vec(),
                parts: 1,
                gone: vec![said.message.clone()],
                ..RestoreAnswer::default()
            };
            Content { restore_answer: Some(answer), ..Content::new() }
        },
    },
    Kind {
        name: "retry answer",
        field: Some(26),
        make: |_, said| Content { retry_answer: Some(Ids { ids: vec![said.envelope.to_vec()] }), ..Content::new() },
    },
    Kind {
        name: "body of an unknown type",
        field: Some(UNKNOWN),
        make: |_, _| {
            let unknown = Some(Text { text: "from a later version".to_owned(), ..Text::default() });
            Content { unknown, shown: true, ..Content::new() }
        },
    },
    Kind {
        name: "silent body of an unknown type",
        field: Some(UNKNOWN),
        make: |_, _| {
            let unknown = Some(Text { text: "a reaction, perhaps".to_owned(), ..Text::default() });
            Content { unknown, ..Content::new() }
        },
    },
    Kind { name: "no body", field: None, make: |_, _| Content::new() },
];

/// What a contact is to the victim when the content comes, and the way that the relay says it came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Request,
    Declined,
    Asked,
    Contact,
    Blocked,
    Removed,
}

const COLUMNS: &[(&str, State, u32)] = &[
    ("unknown, by the lane", State::Unknown, BY_LANE),
    ("unknown, with the key", State::Unknown, BY_KEY),
    ("unknown, with the member key", State::Unknown, BY_MEMBER),
    ("request, by the lane", State::Request, BY_LANE),
    ("request, with the key", State::Request, BY_KEY),
    ("declined, by the lane", State::Declined, BY_LANE),
    ("asked by us", State::Asked, BY_KEY),
    ("contact", State::Contact, BY_KEY),
    ("contact, with the member key", State::Contact, BY_MEMBER),
    ("blocked, by the lane", State::Blocked, BY_LANE),
    ("blocked, with the key", State::Blocked, BY_KEY),
    ("removed, with the key", State::Removed, BY_KEY),
];

/// How the label of a row says its class.
const EPHEMERALLY: &str = ", ephemeral";

/// One content of one sender who does nothing else.
struct Cell {
    kind: &'static Kind,
    introduced: bool,
    class: u32,
    column: usize,
    actor: Actor,
    host: Option<Middle>,
    said: Option<Said>,
}

impl Cell {
    fn state(&self) -> State {
        COLUMNS[self.column].1
    }

    fn asks_first(&self) -> bool {
        !matches!(self.state(), State::Unknown | State::Asked)
    }

    fn needs_history(&self) -> bool {
        matches!(self.kind.field, Some(17 | 22))
    }
}

/// Everything the cells share.
struct Search {
    stage: Stage,
    ana: Person,
    friend: Known,
    target: Target,
    bundle: Prekeys,
    /// The last event that was looked at, and the state of everybody up to there.
    cursor: u64,
    states: HashMap<String, ContactState>,
}

impl Search {
    fn push(envelope: &Envelope, class: u32, way: u32) -> Push {
        Push { class, way, ..Middle::ephemeral(envelope) }
    }

    async fn wait_for_push(&self, mark: usize, envelope: &Envelope) {
        let pushed = |seen: &Seen| matches!(seen, Seen::Pushed { head, .. } if *head == envelope.head).then_some(());
        self.stage.middle.wait(mark, pushed).await.unwrap();
    }

    fn write(&self, actor: &mut Actor, content: &Content) -> Envelope {
        let device = self.target.device().unwrap();
        if !actor.has_session(&device.address()) {
            actor.start(&device, &self.bundle).unwrap();
        }
        actor.write(&self.target, content).unwrap()
    }

    /// They ask for contact.
    fn ask(&self, actor: &mut Actor) {
        let content = Content::text("may I?").introduced(actor.introduction(&self.stage.middle.url()));
        let envelope = self.write(actor, &content);
        self.stage.middle.inject(&envelope.to, Self::push(&envelope, DURABLE, BY_LANE)).unwrap();
    }

    /// Waits until their request lies there.
    async fn requested(&mut self, actor: &Actor) {
        while self.states.get(&actor.id()) != Some(&ContactState::Request) {
            let params = EventsParams { since: Some(self.cursor), max: None, wait_ms: PATIENCE_MS };
            let page = self.ana.engine.events(params).await.unwrap();
            assert!(!page.events.is_empty(), "no request of {}", actor.handle);
            self.cursor = page.cursor;
            for event in page.events {
                if let Event::Contact(event) = event {
                    self.states.insert(event.contact.id, event.contact.state);
                }
            }
        }
    }

    /// They are a contact, and have read all that was sent to them.
    async fn accepted(&self, cell: &mut Cell) {
        let mark = self.stage.middle.mark();
        self.ana.engine.contact_accept(WhoParams { who: cell.actor.id() }).await.unwrap();
        let hello = self.stage.middle.envelope_for(mark, &cell.actor.address()).await.unwrap();
        cell.actor.read(&hello.head, &hello.body, &self.target).unwrap();
        if cell.needs_history() {
            cell.said = Some(self.tell(&mut cell.actor).await);
        }
    }

    /// The victim writes to them.
    async fn tell(&self, actor: &mut Actor) -> Said {
        let mut mark = self.stage.middle.mark();
        let sent = self.ana.send(&actor.id(), "read this").await;
        let message = hex::decode(&sent.id).unwrap();
        let own = actor.address();
        loop {
            let envelope = self.stage.next_envelope(&mut mark, &own).await;
            let Ok(opened) = actor.read(&envelope.head, &envelope.body, &self.target) else { continue };
            let (author, own) = (self.target.record.id(), actor.record.id());
            if opened.content.id(&author, &own) == message {
                let conversation = chat_id(&author, &own);
                return Said { envelope: envelope.id(), message, conversation, unread: Vec::new(), elsewhere: [0; 32] };
            }
        }
    }

    /// Brings the sender of a cell, who asked for contact where that comes first, into its state.
    async fn prepare(&mut self, cell: &mut Cell) {
        let who = WhoParams { who: cell.actor.id() };
        if cell.asks_first() {
            self.requested(&cell.actor).await;
        }
        match cell.state() {
            State::Unknown | State::Request => {}
            State::Declined => {
                self.ana.engine.contact_remove(who).await.unwrap();
            }
            State::Asked => {
                let mark = self.stage.middle.mark();
                let sent = self.ana.ask(&cell.actor.handle, "do you know me?").await;
                let request = self.stage.middle.envelope_for(mark, &cell.actor.address()).await.unwrap();
                cell.actor.read(&request.head, &request.body, &self.target).unwrap();
                let message = hex::decode(&sent.id).unwrap();
                let conversation = chat_id(&self.target.record.id(), &cell.actor.record.id());
                cell.said = Some(Said {
                    envelope: request.id(),
                    message,
                    conversation,
                    unread: Vec::new(),
                    elsewhere: [0; 32],
                });
            }
            State::Contact => self.accepted(cell).await,
            State::Blocked => {
                self.accepted(cell).await;
                self.ana.engine.contact_block(who).await.unwrap();
            }
            State::Removed => {
                self.accepted(cell).await;
                self.ana.engine.contact_remove(who).await.unwrap();
            }
        }
    }
}

fn cells() -> Vec<(usize, &'static Kind, bool, u32)> {
    let mut cells = Vec::new();
    for class in [DURABLE, EPHEMERAL] {
        for kind in KINDS {
            for introduced in [false, true] {
                cells.extend((0..COLUMNS.len()).map(|column| (column, kind, introduced, class)));
            }
        }
    }
    cells
}

/// All events of the person since a cursor, by the chat that they are about, each in a word.
async fn seen_by_account(ana: &Person, since: u64) -> BTreeMap<String, Vec<&'static str>> {
    let mut seen: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    let mut cursor = since;
    loop {
        let params = EventsParams { since: Some(cursor), max: None, wait_ms: 0 };
        let page = ana.engine.events(params).await.unwrap();
        if page.events.is_empty() {
            return seen;
        }
        cursor = page.cursor;
        for event in page.events {
            let (account, word) = match event {
                Event::Message(message) if message.unknown => (message.chat, "“update to read this”"),
                Event::Message(message) => (message.chat, "message"),
                Event::Receipt(receipt) => (receipt.chat, "tick"),
                Event::Contact(event) => match event.contact.state {
                    ContactState::Request => (event.contact.chat, "request"),
                    ContactState::Ok => (event.contact.chat, "contact"),
                    _ => (event.contact.chat, "another state"),
                },
                Event::Notice(notice) => (notice.chat.unwrap_or_default(), "notice"),
                Event::State(_) | Event::Chat(_) => continue,
            };
            let words = seen.entry(account).or_default();
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_content_in_every_class_and_state_does_what_the_threat_model_says() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let friend = stage.contact(&ana, "carol").await;
    let target = friend.target.clone();
    let bundle = stage.at.prekeys(&target, None).await.unwrap().unwrap();
    let mut search = Search { stage, ana, friend, target, bundle, cursor: 0, states: HashMap::new() };

    let mut all = Vec::new();
    for (number, (column, kind, introduced, class)) in cells().into_iter().enumerate() {
        let actor = Actor::new(&format!("sender{number}")).unwrap();
        search.stage.middle.knows(&actor);
        let host = if introduced {
            let host = search.stage.host(u16::try_from(number).unwrap()).await;
            host.knows(&actor);
            Some(host)
        } else {
            None
        };
        all.push(Cell { kind, introduced, class, column, actor, host, said: None });
    }
    for cell in all.iter_mut().filter(|cell| cell.asks_first()) {
        search.ask(&mut cell.actor);
    }
    // Blocking and removing replace the key, which all contacts are told: those first, one after the other.
    let last = |cell: &Cell| matches!(cell.state(), State::Contact | State::Asked);
    for late in [false, true] {
        for cell in all.iter_mut().filter(|cell| last(cell) == late) {
            search.prepare(cell).await;
        }
    }
    let said = search.tell_friend().await;
    search.stage.settle(&search.ana, &mut search.friend).await;

    // The attack: all at once.
    let (mark, since) = (search.stage.middle.mark(), cursor(&search.ana).await);
    let mut end = None;
    for cell in &mut all {
        let own = cell.said.as_ref().unwrap_or(&said);
        let named = Said {
            message: own.message.clone(),
            conversation: own.conversation,
            envelope: own.envelope,
            unread: said.unread.clone(),
            elsewhere: said.elsewhere,
        };
        let mut content = (cell.kind.make)(&cell.actor, &named);
        if let Some(host) = &cell.host {
            content = content.introduced(cell.actor.introduction(&host.url()));
        }
        let envelope = search.write(&mut cell.actor, &content);
        let push = Search::push(&envelope, cell.class, COLUMNS[cell.column].2);
        search.stage.middle.inject(&victim_address(&search.target), push).unwrap();
        end = Some(envelope);
    }
    search.wait_for_push(mark, &end.unwrap()).await;
    search.stage.settle(&search.ana, &mut search.friend).await;

    let person = seen_by_account(&search.ana, since).await;
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for cell in &mut all {
        let outcome = search.outcome(mark, cell, person.get(&search.chat_with(&cell.actor)).map_or(&[], Vec::as_slice));
        if cell.column == 0 {
            let class = if cell.class == DURABLE { "" } else { EPHEMERALLY };
            let introduced = if cell.introduced { ", introduced" } else { "" };
            rows.push((format!("{}{introduced}{class}", cell.kind.name), Vec::new()));
        }
        rules(cell, &outcome);
        rows.last_mut().unwrap().1.push(outcome.to_string());
    }
    let nothing_else = search
        .stage
        .middle
        .since(mark)
        .into_iter()
        .filter(|seen| matches!(seen, Seen::Requested(request) if request.put_prekeys.is_none()))
        .collect::<Vec<_>>();
    assert_eq!(nothing_else, [], "a stranger's content changed what the relay is told");
    let unread = person.get(&search.chat_with(&search.friend.actor)).cloned().unwrap_or_default();
    assert!(unread.iter().all(|word| *word == "message"), "of somebody else: {unread:?}");
    compare(&table(&rows));
}

/// What was seen of one cell, from outside.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    left: Vec<String>,
    asked: Vec<String>,
    called: bool,
    person: Vec<&'static str>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if !self.left.is_empty() {
            parts.push(format!("**{}**", self.left.join(", ")));
        }
        if !self.asked.is_empty() {
            parts.push(format!("asks {}", self.asked.join(", ")));
        }
        if self.called {
            parts.push("calls".to_owned());
        }
        if !self.person.is_empty() {
            parts.push(self.person.join(", "));
        }
        if parts.is_empty() { f.write_str("–") } else { f.write_str(&parts.join("; ")) }
    }
}

impl Search {
    /// What the victim's interfaces call its chat with somebody.
    fn chat_with(&self, actor: &Actor) -> String {
        hex::encode(chat_id(&self.target.record.id(), &actor.record.id()))
    }

    async fn tell_friend(&mut self) -> Said {
        let mark = self.stage.middle.mark();
        let sent = self.ana.send(&self.friend.actor.id(), "for carol").await;
        let message = hex::decode(&sent.id).unwrap();
        let envelope = self.stage.middle.envelope_for(mark, &self.friend.actor.address()).await.unwrap().id();
        // It brings the key that was made after the last block.
        let (ana, friend) = (self.target.record.id(), self.friend.actor.record.id());
        self.friend.read_until(&self.stage, |content| content.id(&ana, &friend) == message).await;
        let unread = Content::text("not read yet");
        self.friend.write(&self.stage, &unread).await;
        let conversation = chat_id(&ana, &friend);
        let unread = self.friend.actor.id_of(&unread, &self.friend.target);
        Said { message, envelope, conversation, unread, elsewhere: conversation }
    }

    fn outcome(&self, mark: usize, cell: &mut Cell, person: &[&'static str]) -> Outcome {
        let account = cell.actor.record.id();
        let mut envelopes = self.stage.middle.envelopes_for(mark, &account);
        let mut asked = self.stage.asked_about(mark, &account);
        let mut called = false;
        if let Some(host) = &cell.host {
            envelopes.extend(host.envelopes_for(0, &account));
            asked.extend(host.since(0).into_iter().filter_map(|seen| match seen {
                Seen::Question { path, .. } => Some(path),
                _ => None,
            }));
            called = !host.since(0).is_empty();
        }
        let mut left = Vec::new();
        for envelope in envelopes {
            let kind = match cell.actor.read(&envelope.head, &envelope.body, &self.target) {
                Ok(opened) if opened.content.introduction.is_some() => format!("{} with key", opened.content.kind()),
                Ok(opened) => opened.content.kind().to_owned(),
                Err(error) => format!("unreadable ({error})"),
            };
            left.push(kind);
        }
        left.sort();
        left.dedup();
        asked.sort();
        asked.dedup();
        let asked = asked.into_iter().map(|path| if path == "devices" { "list".into() } else { path }).collect();
        Outcome { left, asked, called, person: person.to_vec() }
    }
}

/// What holds whatever the table says.
fn rules(cell: &Cell, outcome: &Outcome) {
    let at = || {
        let (column, _, _) = COLUMNS[cell.column];
        format!("{} (introduced: {}, class {}) from {column}", cell.kind.name, cell.introduced, cell.class)
    };
    let known = matches!(cell.state(), State::Contact | State::Asked);
    let silent = outcome.left.is_empty() && outcome.asked.is_empty() && !outcome.called;
    assert!(known || silent, "{}: {outcome:?}", at());
    if cell.class == EPHEMERAL || cell.state() == State::Blocked {
        assert_eq!(*outcome, Outcome::default(), "{}", at());
    }
    // For our own devices only, or not asked by us.
    if matches!(cell.kind.field, Some(19..=21 | 23)) {
        assert!(outcome.left.iter().all(|kind| kind.starts_with("hello")), "{}: {outcome:?}", at());
        assert!(!outcome.person.contains(&"message"), "{}: {outcome:?}", at());
    }
    let by_the_lane = COLUMNS[cell.column].2 == BY_LANE;
    let may_ask = known || (by_the_lane && cell.introduced);
    if !may_ask && cell.state() != State::Request {
        assert!(outcome.person.is_empty(), "{}: {outcome:?}", at());
    }
}

/// The table; rows whose cells are the same are one.
fn table(rows: &[(String, Vec<String>)]) -> String {
    let mut table = String::from("| content |");
    for (column, _, _) in COLUMNS {
        write!(table, " {column} |").unwrap();
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(COLUMNS.len()));
    table.push('\n');
    let ephemeral = |label: &str| label.ends_with(EPHEMERALLY);
    let mut done: Vec<&Vec<String>> = Vec::new();
    for (_, cells) in rows {
        if done.contains(&cells) {
            continue;
        }
        done.push(cells);
        let mut labels: Vec<_> =
            rows.iter().filter(|(_, other)| other == cells).map(|(label, _)| label.as_str()).collect();
        if rows.iter().filter(|(label, _)| ephemeral(label)).all(|(_, other)| other == cells) {
            labels.retain(|label| !ephemeral(label));
            labels.push("every content, ephemeral");
        }
        writeln!(table, "| {} | {} |", labels.join("; "), cells.join(" | ")).unwrap();
    }
    table
}

const BEGIN: &str = "<!-- contents × classes × states: made by harness/tests/hostile/search.rs -->\n";
const END: &str = "<!-- end of the table that is made -->\n";

fn compare(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/threat-model.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (old, after) = rest.split_once(END).expect("and an end of it");
    if std::env::var_os("SUBROSA_UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        old.trim(),
        table.trim(),
        "docs/threat-model.md says something else; SUBROSA_UPDATE=1 writes what is true"
    );
}

#[test]
fn no_kind_of_content_is_without_a_row() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/client-core/proto/subrosa/content/v1/content.proto");
    let schema = fs::read_to_string(path).unwrap();
    let (_, body) = schema.split_once("oneof body {").unwrap();
    let (body, _) = body.split_once('}').unwrap();
    let number = |line: &str| line.split_once('=').and_then(|(_, rest)| rest.split(';').next()?.trim().parse().ok());
    let mut fields: Vec<u32> = body.lines().filter_map(number).collect();
    fields.sort_unstable();
    let mut tried: Vec<u32> = KINDS.iter().filter_map(|kind| kind.field).filter(|field| *field != UNKNOWN).collect();
    tried.sort_unstable();
    tried.dedup();
    assert!(fields.len() >= 8, "the schema was not read: {fields:?}");
    assert_eq!(fields, tried, "a new kind of content needs a line in KINDS, and so a row in docs/threat-model.md");
}
