//! Messages that are older than they are to be kept: which they are, whose clock counts, and what is left of them.

use std::path::Path;

use subrosa_wire::{DeviceAddress, MessageId};

use super::{DAY_MS, removed::holds, removed::pages, support::Person, support::TestRelay, support::pair, support::who};
use crate::{
    Client as _,
    api::{
        ChatSetParams, ChatsParams, ErrorKind, Event, EventsParams, KeepAgreeParams, KeepShowParams, MessageStatus,
        NoParams, ReceiveParams, SearchParams, SendParams, Sent,
    },
    config::ConfigFile,
    content::RetryRequest,
    engine::core::ids::parse_id,
    home::Home,
    limits::{MAX_DELETED_AT_ONCE, SPARE_PAGES},
    store::{self, PAGE_BYTES, events::Happened},
};

impl Person {
    /// A message is so much older, by the clocks of this device and of its relay.
    async fn ages(&self, id: &str, days: u64) {
        let id = parse_id(id).unwrap();
        self.inside(move |core| {
            let sql = "UPDATE message SET arrived_ms = arrived_ms - ?2, shown_ms = shown_ms - ?2 WHERE id = ?1";
            core.db.execute(sql, store::params![id.0, store::to_sql(days * DAY_MS)]).unwrap()
        })
        .await;
    }

    async fn keep(&self, chat: &str, keep: &str, agreed: bool) -> Result<crate::api::Chat, crate::ApiError> {
        let params = ChatSetParams { chat: chat.into(), keep: Some(keep.into()), agreed, ..ChatSetParams::default() };
        self.engine.chat_set(params).await
    }

    async fn would_go(&self, chat: Option<&str>, keep: Option<&str>) -> u64 {
        let params = KeepShowParams { chat: chat.map(Into::into), keep: keep.map(Into::into) };
        self.engine.keep_show(params).await.unwrap().goes
    }

    /// All that is to go now goes.
    async fn tidied(&self) {
        self.inside(|core| {
            while core.forget_messages().unwrap() {}
            while core.give_back().unwrap() {}
        })
        .await;
    }

    /// The settings of this person's engine.
    async fn settings(&self) -> ConfigFile {
        let file = ConfigFile::at(self.dir.path().join("config.toml"));
        let set = file.clone();
        self.inside(move |core| core.home = core.home.clone().with_settings(set)).await;
        file
    }

    async fn delivered(&self, to: &str, body: &str) -> Sent {
        let sent = self.send(to, body).await;
        self.wait(&sent, MessageStatus::Delivered).await
    }

    async fn only_chat(&self) -> crate::api::Chat {
        self.engine.chats(ChatsParams::default()).await.unwrap().chats.remove(0)
    }

    async fn hits(&self, word: &str) -> usize {
        self.engine.search(SearchParams { query: word.into(), ..SearchParams::default() }).await.unwrap().hits.len()
    }
}

/// Two contacts whose relay has told its time.
async fn two() -> (TestRelay, Person, Person) {
    let relay = TestRelay::start().await;
    let (alice, bob) = (Person::new(&relay, "alice").await, Person::new(&relay, "bob").await);
    pair(&alice, &bob).await;
    (relay, alice, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_gone_with_all_that_was_known_of_it() {
    let (_relay, alice, bob) = two().await;
    bob.delivered("alice", "xwvquarkhers old").await;
    let theirs = alice.message("xwvquarkhers old").await;
    let ours = alice.delivered("bob", "xwvquarkmine old").await;
    let reply = SendParams {
        to: "bob".into(),
        body: "a young answer".into(),
        reply_to: Some(theirs.id.clone()),
        ..SendParams::default()
    };
    let reply = alice.engine.send(reply).await.unwrap();
    alice.wait(&reply, MessageStatus::Delivered).await;
    alice.settled().await;
    assert_eq!(alice.only_chat().await.unread, 1);
    for id in [&theirs.id, &ours.id] {
        alice.ages(id, 91).await;
    }
    let there = pages(alice.dir.path());
    assert!(holds(&there, "xwvquarkhers") && holds(&there, "xwvquarkmine"));

    // Not without a yes; then at once.
    assert_eq!(alice.would_go(Some("bob"), Some("90d")).await, 2);
    let refused = alice.keep("bob", "90d", false).await.unwrap_err();
    assert!(refused.code == ErrorKind::Usage && refused.message.ends_with("older: 2"), "{refused:?}");
    alice.tidied().await;
    assert_eq!(alice.bodies("bob").await.len(), 3);
    assert_eq!(alice.keep("bob", "90d", true).await.unwrap().keep.as_deref(), Some("90d"));
    let told = alice
        .event(|event| match event {
            Event::Chat(event) if event.deleted => Some(event.clone()),
            _ => None,
        })
        .await;
    assert_eq!((told.chat.name.as_str(), told.chat.keep.as_deref()), ("bob", Some("90d")));

    alice.tidied().await;
    let left = alice.history("bob").await;
    assert_eq!(left.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["a young answer"]);
    let quoted = left[0].reply_to.clone().unwrap();
    assert!(quoted.id == theirs.id && quoted.quote.is_none() && quoted.from.is_none(), "{quoted:?}");
    assert_eq!((alice.hits("old").await, alice.hits("answer").await, alice.only_chat().await.unread), (0, 1, 0));
    let left = pages(alice.dir.path());
    assert!(holds(&left, "a young answer") && !holds(&left, "xwvquarkhers") && !holds(&left, "xwvquarkmine"));
    assert_eq!(alice.count("SELECT count(*) FROM recipient").await, 1);

    // Whoever begins to listen now hears of what is there.
    let events = alice.engine.events(EventsParams { since: Some(0), max: None, wait_ms: 0 }).await.unwrap();
    let told = serde_json::to_string(&events.events).unwrap();
    assert!(told.contains(&reply.id) && !told.contains(&ours.id) && !told.contains("xwvquark"), "{told}");
    let other = ReceiveParams { consumer: Some("other".into()), ..ReceiveParams::default() };
    assert!(alice.engine.receive(other).await.unwrap().messages.is_empty());
    assert_eq!(bob.bodies("alice").await.len(), 3, "only on this device");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_wrote_is_as_old_as_it_is_here_whatever_its_author_says() {
    let (_relay, alice, bob) = two().await;
    for body in ["claims to be old", "claims to be new"] {
        bob.delivered("alice", body).await;
    }
    alice
        .inside(|core| {
            let sql = "UPDATE message SET shown_ms = shown_ms - ?1, clock = clock - ?1 WHERE body = 'claims to be old'";
            core.db.execute(sql, [store::to_sql(4_000 * DAY_MS)]).unwrap();
            let sql = "UPDATE message SET arrived_ms = arrived_ms - ?1 WHERE body = 'claims to be new'";
            core.db.execute(sql, [store::to_sql(40 * DAY_MS)]).unwrap();
        })
        .await;
    alice.keep("bob", "30d", true).await.unwrap();
    alice.tidied().await;
    assert_eq!(alice.bodies("bob").await, ["claims to be old"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumped_ahead_deletes_nothing() {
    let (_relay, alice, bob) = two().await;
    alice.delivered("bob", "young").await;
    alice.keep("bob", "30d", true).await.unwrap();
    alice
        .inside(|core| {
            // As seen from a clock that is forty days ahead.
            let sql = "UPDATE message SET shown_ms = shown_ms - ?1";
            core.db.execute(sql, [store::to_sql(40 * DAY_MS)]).unwrap();
            core.clock_off_ms = Some(-store::to_sql(40 * DAY_MS));
        })
        .await;
    alice.tidied().await;
    alice.inside(|core| core.clock_off_ms = None).await;
    alice.tidied().await;
    assert_eq!(alice.bodies("bob").await, ["young"], "nor is anything deleted before the relay has told its time");
    alice.inside(|core| core.clock_off_ms = Some(0)).await;
    alice.tidied().await;
    assert!(alice.bodies("bob").await.is_empty());
    drop(bob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_to_be_sent_stays_until_it_has_left() {
    let (first, mut second) = (TestRelay::start().await, TestRelay::start().await);
    let (alice, bob) = (Person::new(&first, "alice").await, Person::new(&second, "bob").await);
    pair(&alice, &bob).await;
    alice.settled().await;
    second.stop().await;
    let waits = alice.send("bob", "waits").await;
    alice.ages(&waits.id, 40).await;
    alice.keep("bob", "30d", false).await.unwrap();
    alice.tidied().await;
    assert_eq!(alice.bodies("bob").await, ["waits"]);
    second.restart().await;
    bob.message("waits").await;
    alice.settled().await;
    alice.tidied().await;
    assert!(alice.bodies("bob").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_not_sent_again_and_that_it_was_sent_stays_known() {
    let (_relay, alice, bob) = two().await;
    let old = alice.delivered("bob", "xwvquarklog").await;
    let young = alice.delivered("bob", "young").await;
    alice.settled().await;
    alice.ages(&old.id, 40).await;
    alice.keep("bob", "30d", true).await.unwrap();
    alice.tidied().await;
    assert!(!holds(&pages(alice.dir.path()), "xwvquarklog"));
    let device = DeviceAddress { account: bob.account().await, device: 1 };
    let old = parse_id(&old.id).unwrap();
    let young = parse_id(&young.id).unwrap();
    let answers = alice
        .inside(move |core| {
            let sent = |id: MessageId| -> (i64, Vec<u8>) {
                let sql = "SELECT outbox.id, delivery.envelope FROM outbox JOIN delivery ON delivery.outbox = outbox.id
                           WHERE outbox.message = ?1 AND state = 1 AND account = ?2";
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                core.db.query_row(sql, store::params![id.0, device.account.0], row).unwrap()
            };
            let (gone, there) = (sent(old), sent(young));
            let contents = [gone.0, there.0];
            // Beside what answers that there is none.
            let waiting = move |core: &super::Core| -> i64 {
                let sql = "SELECT count(*) FROM delivery WHERE state = 0 AND outbox IN (?1, ?2)";
                core.db.query_row(sql, contents, |row| row.get(0)).unwrap()
            };
            assert!(store::outbox::get(&core.db, gone.0).unwrap().is_none());
            assert!(store::outbox::get(&core.db, there.0).unwrap().is_some());
            // Nothing leaves meanwhile.
            core.busy.insert(super::lane(core, &device.account));
            let mut ask = |envelope: Vec<u8>, later: u64| {
                let request = RetryRequest { envelope_ids: vec![envelope] };
                core.change(|change| {
                    change.now_ms += later;
                    change.send_again(&device, &request)
                })
                .unwrap();
                waiting(core)
            };
            [ask(gone.1, 0), ask(there.1, DAY_MS)]
        })
        .await;
    assert_eq!(answers, [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_has_its_own_time_and_the_others_that_of_the_setting_once_the_person_agreed() {
    let (relay, alice, bob) = two().await;
    let carol = Person::new(&relay, "carol").await;
    pair(&alice, &carol).await;
    let settings = alice.settings().await;
    for name in ["bob", "carol", "me"] {
        for days in [400, 40, 4] {
            let sent = alice.send(name, &format!("{days} days")).await;
            if name != "me" {
                alice.wait(&sent, MessageStatus::Delivered).await;
            }
            alice.ages(&sent.id, days).await;
        }
    }
    let left =
        async || [alice.bodies("bob").await.len(), alice.bodies("carol").await.len(), alice.bodies("me").await.len()];
    alice.settled().await;
    alice.keep("carol", "off", false).await.unwrap();
    // A file that somebody wrote deletes nothing before they say so; they are told once.
    settings.change("keep", Some("1y")).unwrap();
    alice.tidied().await;
    alice.tidied().await;
    assert_eq!(left().await, [3, 3, 3]);
    let notice = alice.notice("keep").await.text;
    assert!(notice.contains("older ones here: 2") && notice.ends_with("subrosa config set keep 1y"), "{notice}");
    assert_eq!(alice.count("SELECT count(*) FROM event WHERE code = 'keep'").await, 1);
    let checks = alice.engine.doctor(NoParams {}).await.unwrap().checks;
    let space = checks.iter().find(|check| check.name == "space").unwrap();
    assert_eq!(space.fix.as_deref(), Some("subrosa config set keep 1y"), "{space:?}");

    assert_eq!((alice.would_go(None, None).await, alice.would_go(Some("carol"), None).await), (2, 0));
    alice.engine.keep_agree(KeepAgreeParams { keep: "1y".into() }).await.unwrap();
    alice.tidied().await;
    assert_eq!(left().await, [2, 3, 2]);
    let chats = alice.engine.chats(ChatsParams::default()).await.unwrap().chats;
    assert_eq!(chats.iter().filter_map(|chat| chat.keep.as_deref()).collect::<Vec<_>>(), ["off"]);

    // Another time of its own; then that of all others.
    alice.keep("bob", "30d", true).await.unwrap();
    alice.tidied().await;
    assert_eq!(left().await, [1, 3, 2]);
    let refused = alice.keep("carol", "default", false).await.unwrap_err();
    assert!(refused.message.ends_with("older: 1"), "{refused:?}");
    assert_eq!(alice.keep("carol", "default", true).await.unwrap().keep, None);
    alice.tidied().await;
    assert_eq!(left().await, [1, 2, 2]);

    // Longer needs no word; a shorter one again does.
    settings.change("keep", None).unwrap();
    alice.tidied().await;
    settings.change("keep", Some("30d")).unwrap();
    alice.tidied().await;
    assert_eq!(left().await, [1, 2, 2]);
    for text in ["0", "1s", "-1", "9999999y", "soon"] {
        let refused = alice.keep("bob", text, true).await.unwrap_err();
        assert_eq!(refused.code, ErrorKind::Usage, "{text}: {refused:?}");
    }
    drop((bob, carol));
}

/// What a long talk leaves in the store, without the time it takes: incoming messages that are so old.
async fn fill(person: &Person, with: &Person, numbers: std::ops::Range<u32>, days: u64) {
    let account = with.account().await;
    person
        .inside(move |core| {
            core.db.execute_batch("BEGIN").unwrap();
            let conversation = core.own.chat_with(&account);
            for number in numbers {
                let mut id = [7; 16];
                id[..4].copy_from_slice(&number.to_be_bytes());
                let ms = super::now_ms() - days * DAY_MS;
                let message = store::messages::MessageRow {
                    id: MessageId(id),
                    conversation,
                    sender: account,
                    outgoing: false,
                    clock: ms + u64::from(number),
                    shown_ms: ms,
                    body: format!("{} word{} more{number}", "so many words ".repeat(10), number % 971),
                    forwarded: false,
                    reply_to: None,
                    raw: None,
                    status: None,
                    error: None,
                    unread: true,
                    arrived_ms: Some(ms),
                    late: store::messages::Late::No,
                };
                store::messages::insert(&core.db, &message).unwrap();
                let event = Happened::Message { conversation, message: message.id, incoming: true };
                store::events::append(&core.db, &event).unwrap();
            }
            core.db.execute_batch("COMMIT").unwrap();
            core.empty_log();
        })
        .await;
}

fn bytes(home: &Path) -> u64 {
    std::fs::metadata(Home::at(home).store()).unwrap().len()
}

/// More than this stays of what is deleted: free pages, and half-empty ones of the index until its parts are merged.
fn left_of(grown: u64) -> u64 {
    SPARE_PAGES * PAGE_BYTES as u64 + grown / 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_smaller_after_somebody_with_much_to_say_was_removed() {
    let (_relay, alice, bob) = two().await;
    alice.inside(super::Core::empty_log).await;
    let before = bytes(alice.dir.path());
    fill(&alice, &bob, 0..8_000, 10).await;
    let full = bytes(alice.dir.path());
    alice.engine.contact_remove(who("bob")).await.unwrap();
    alice.tidied().await;
    let after = bytes(alice.dir.path());
    println!("{before} bytes, full {full}, after the removal {after}");
    let left = left_of(full - before);
    assert!(full > before + 2 * left && after <= before + left, "{before} {full} {after}");
    assert_eq!(alice.inside(|core| store::check(&core.db).unwrap()).await, None);
    let checks = alice.engine.doctor(NoParams {}).await.unwrap().checks;
    assert!(checks.iter().any(|check| check.name == "space" && check.ok && check.fix.is_none()), "{checks:?}");
}

/// Measures, too: `MESSAGES=100000 cargo test -p subrosa-client-core --lib many_old -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_old_messages_go_in_portions_and_the_counter_of_unread_ones_follows() {
    let count: u32 = std::env::var("MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let (_relay, alice, bob) = two().await;
    alice.inside(super::Core::empty_log).await;
    let before = bytes(alice.dir.path());
    fill(&alice, &bob, 0..count / 2, 400).await;
    fill(&alice, &bob, count / 2..count, 10).await;
    let full = bytes(alice.dir.path());
    // Not by the task of the engine, so that each portion can be seen.
    let (times, given) = alice
        .inside(|core| {
            let chat: Vec<u8> = core.db.query_row("SELECT id FROM conversation", [], |row| row.get(0)).unwrap();
            let chat = crate::conversation::ConversationId(chat.try_into().unwrap());
            store::retention::set(&core.db, &chat, Some(crate::keep::Keep::For(365 * DAY_MS))).unwrap();
            let time = |core: &mut super::Core, portion: fn(&mut super::Core) -> Result<bool, crate::ApiError>| {
                let mut times = Vec::new();
                loop {
                    let began = subrosa_ambient::instant();
                    if !portion(core).unwrap() {
                        times.sort();
                        return times;
                    }
                    times.push(began.elapsed());
                }
            };
            (time(core, super::Core::forget_messages), time(core, super::Core::give_back))
        })
        .await;
    let after = bytes(alice.dir.path());
    println!("{before} bytes, with {count} messages {full}, without half of them {after}");
    println!(
        "deleted: {} portions, median {:?}, worst {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    println!("given back: {} portions, worst {:?}", given.len(), given.last());
    assert_eq!(times.len(), usize::try_from((count / 2).div_ceil(MAX_DELETED_AT_ONCE)).unwrap());
    assert_eq!(alice.only_chat().await.unread, u64::from(count - count / 2));
    let told = alice.count("SELECT count(*) FROM event WHERE kind = 8").await;
    assert_eq!(told, 2, "with the first portion and after the last");
    assert_eq!(alice.count("SELECT count(*) FROM message").await, i64::from(count - count / 2));
    assert_eq!(alice.count("SELECT count(*) FROM event WHERE kind = 1").await, i64::from(count - count / 2));
    assert_eq!(alice.inside(|core| store::check(&core.db).unwrap()).await, None);
}
