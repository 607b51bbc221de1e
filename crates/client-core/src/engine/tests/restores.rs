//! A copy that was put back asks for what it lacks, and shows each line once and in its author's order.

use subrosa_wire::DeviceAddress;
use tempfile::TempDir;

use super::support::{Person, TestRelay, copied, pair, start, who};
use crate::{
    Client as _,
    api::{Event, EventsParams, HistoryParams, MessageStatus, MissingState, NoParams},
    content::{Body, RestoreRequest},
    engine::core::now_ms,
    limits::{DAY_MS, HOLD_LINES, MAX_QUARANTINED, MAX_RESENDS, millis},
    store::{self, restores},
};

/// Lines of others in the order in which an interface is told of them.
async fn told(person: &Person) -> Vec<(String, String)> {
    let (mut since, mut lines) = (0, Vec::new());
    loop {
        let page = person.engine.events(EventsParams { since: Some(since), max: None, wait_ms: 0 }).await.unwrap();
        if page.events.is_empty() {
            return lines;
        }
        for event in page.events {
            if let Event::Message(message) = event {
                lines.push((message.from.name.clone(), message.body.clone()));
            }
        }
        since = page.cursor;
    }
}

/// What somebody says is told in its order, and each once.
fn in_order(lines: &[(String, String)], who: &str, expected: &[String]) {
    let told: Vec<&String> = lines.iter().filter(|(from, _)| from == who).map(|(_, body)| body).collect();
    assert_eq!(told, expected.iter().collect::<Vec<_>>(), "of {who}");
}

/// Lines of two people who talk, so that ratchets turn on both sides.
async fn talk(one: &Person, other: &Person, lines: std::ops::Range<u32>, said: &mut Vec<String>) {
    for line in lines {
        let text = format!("{} {line}", one.name);
        let sent = one.send(&other.name, &text).await;
        said.push(text);
        if line % 4 == 0 {
            one.wait(&sent, MessageStatus::Delivered).await;
            let answer = other.send(&one.name, &format!("yes, {line}")).await;
            other.wait(&answer, MessageStatus::Delivered).await;
        }
    }
}

/// An older copy of Vera's directory that finds out that another one was used, and is chosen.
async fn chosen(dir: TempDir) -> Person {
    let copy = Person { engine: start(dir.path()).await, dir, name: "vera".into() };
    copy.notice("other_copy").await;
    assert_eq!(copy.engine.account_keep(NoParams {}).await.unwrap().count, 1);
    copy
}

struct Lost {
    _relay: TestRelay,
    friends: Vec<(Person, Vec<String>)>,
    copy: Person,
}

/// Somebody's directory is an older copy: friends wrote `unseen` lines that only the lost one got, and `waiting` that nobody did.
async fn lost(friends: &[&str], unseen: u32, waiting: u32) -> Lost {
    let relay = TestRelay::start().await;
    let mut vera = Person::new(&relay, "vera").await;
    let mut all = Vec::new();
    for name in friends {
        let friend = Person::new(&relay, name).await;
        pair(&vera, &friend).await;
        let mut said = Vec::new();
        talk(&friend, &vera, 0..6, &mut said).await;
        all.push((friend, said));
    }
    for (friend, _) in &all {
        friend.settled().await;
    }
    for (friend, said) in &all {
        vera.message(said.last().unwrap()).await;
        friend.settled().await;
    }
    vera.settled().await;
    vera.engine.shutdown().await;
    let dir = copied(vera.dir.path());
    vera.engine = start(vera.dir.path()).await;
    for (friend, said) in &mut all {
        talk(friend, &vera, 6..6 + unseen, said).await;
        vera.message(said.last().unwrap()).await;
    }
    vera.settled().await;
    vera.engine.shutdown().await;
    for (friend, said) in &mut all {
        let mut last = None;
        for line in 100..100 + waiting {
            let text = format!("{} {line}", friend.name);
            last = Some(friend.send("vera", &text).await);
            said.push(text);
        }
        if let Some(last) = last {
            friend.wait(&last, MessageStatus::Sent).await;
        }
    }
    let engine = start(dir.path()).await;
    let copy = Person { dir, name: "vera".into(), engine };
    Lost { _relay: relay, friends: all, copy }
}

impl Lost {
    /// The copy is chosen, and everything that it lacked has come.
    async fn chosen(&self) {
        self.copy.notice("other_copy").await;
        assert_eq!(self.copy.engine.account_keep(NoParams {}).await.unwrap().count, 1);
        for (_, said) in &self.friends {
            self.copy.message(said.last().unwrap()).await;
        }
    }
}

/// They are contacts, and a message of anna's has arrived.
async fn greeted(vera: &Person, anna: &Person) {
    pair(vera, anna).await;
    let hello = anna.send("vera", "hello").await;
    anna.wait(&hello, MessageStatus::Delivered).await;
    vera.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_copy_lacks_comes_again_once_and_in_order() {
    let lost = lost(&["anna", "bert", "cleo"], 9, 30).await;
    lost.chosen().await;
    let lines = told(&lost.copy).await;
    for (friend, said) in &lost.friends {
        in_order(&lines, &friend.name, said);
        assert_eq!(lost.copy.bodies(&friend.name).await.iter().filter(|body| said.contains(body)).count(), said.len());
        let told = friend.notice("sent_again").await;
        assert!(told.text.contains("vera") && told.text.contains("go to it again"), "{}", told.text);
    }
    lost.copy.notice("restoring").await;
    lost.copy.notice("restore_done").await;
    // Everybody has answered: nothing is held or open any more.
    let left = lost.copy.count("SELECT (SELECT count(*) FROM held_line) + (SELECT count(*) FROM quarantine)").await;
    assert_eq!(left, 0);
    // Both sides go on.
    for (friend, _) in &lost.friends {
        let sent = friend.send("vera", "and on we go").await;
        friend.wait(&sent, MessageStatus::Delivered).await;
        let sent = lost.copy.send(&friend.name, "we do").await;
        lost.copy.wait(&sent, MessageStatus::Delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_only_the_lost_copy_received_come_before_those_that_wait() {
    // Nobody answers between: the waiting ones can be read in the session of the older copy, and would be shown first.
    let relay = TestRelay::start().await;
    let mut vera = Person::new(&relay, "vera").await;
    let anna = Person::new(&relay, "anna").await;
    pair(&vera, &anna).await;
    let first = anna.send("vera", "first").await;
    anna.wait(&first, MessageStatus::Delivered).await;
    vera.engine.shutdown().await;
    let dir = copied(vera.dir.path());
    vera.engine = start(vera.dir.path()).await;
    let seen = anna.send("vera", "only the lost one saw this").await;
    anna.wait(&seen, MessageStatus::Delivered).await;
    vera.engine.shutdown().await;
    let waiting = anna.send("vera", "this waits").await;
    anna.wait(&waiting, MessageStatus::Sent).await;

    let copy = chosen(dir).await;
    copy.message("this waits").await;
    in_order(&told(&copy).await, "anna", &["first".into(), "only the lost one saw this".into(), "this waits".into()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_away_when_a_copy_asks_answers_when_they_are_back_and_nobody_waits_for_them() {
    let mut lost = lost(&["anna", "bert"], 3, 5).await;
    let (anna, _) = &lost.friends[0];
    anna.engine.shutdown().await;
    lost.copy.notice("other_copy").await;
    lost.copy.engine.account_keep(NoParams {}).await.unwrap();
    lost.copy.message("bert 104").await;
    lost.friends[0].0.engine = start(lost.friends[0].0.dir.path()).await;
    lost.copy.message("anna 104").await;
    for (friend, said) in &lost.friends {
        in_order(&told(&lost.copy).await, &friend.name, said);
    }
}

/// Queues a content for a device as only a hostile client would.
async fn says(person: &Person, to: DeviceAddress, archive: bool, body: impl FnOnce() -> Body + Send + 'static) {
    person
        .inside(move |core| {
            core.change(|change| {
                if archive {
                    store::sessions::archive(change.db, &to)?;
                }
                change.queue_for(&to.account, to.device, body())
            })
            .unwrap();
        })
        .await;
    person.settled().await;
}

fn everything(id: u8) -> impl FnOnce() -> Body + Send + 'static {
    move || {
        Body::RestoreRequest(RestoreRequest {
            restore_id: vec![id; 16],
            last_lines: Vec::new(),
            lines_here: Vec::new(),
        })
    }
}

/// Deliveries that were put back into the queue or left it again.
const SENT_AGAIN: &str = "SELECT count(*) FROM delivery WHERE moves = 2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_request_in_an_old_session_is_junk_and_two_in_a_month_are_answered() {
    let relay = TestRelay::start().await;
    let anna = Person::new(&relay, "anna").await;
    let mallory = Person::new(&relay, "mallory").await;
    pair(&anna, &mallory).await;
    for text in ["one", "two", "three"] {
        let sent = anna.send("mallory", text).await;
        anna.wait(&sent, MessageStatus::Delivered).await;
        let sent = mallory.send("anna", text).await;
        mallory.wait(&sent, MessageStatus::Delivered).await;
    }
    let to = DeviceAddress { account: anna.account().await, device: 1 };
    says(&mallory, to, false, everything(1)).await;
    let sent = mallory.send("anna", "after the first").await;
    mallory.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(anna.count("SELECT count(*) FROM restore_answer").await, 0, "an old session is not enough");
    assert_eq!(anna.count(SENT_AGAIN).await, 0);

    for (id, answers) in [(1, 1), (1, 1), (2, 2), (3, 2), (4, 2)] {
        let before = anna.count("SELECT coalesce(sum(sent_ms), 0) FROM recipient").await;
        says(&mallory, to, true, everything(id)).await;
        let sent = mallory.send("anna", &format!("after {id}")).await;
        mallory.wait(&sent, MessageStatus::Delivered).await;
        assert_eq!(anna.count("SELECT count(*) FROM restore_answer").await, answers, "{id}");
        assert_eq!(anna.count("SELECT coalesce(sum(sent_ms), 0) FROM recipient").await, before, "no tick moves");
        anna.settled().await;
    }
    assert!(anna.count(SENT_AGAIN).await > 0);
    // What was sent again is nothing new at its receiver, and nothing is shown twice.
    assert_eq!(told(&mallory).await.len(), 3);
    let resent = anna.count("SELECT max(resent) FROM delivery").await;
    assert!(resent <= i64::from(MAX_RESENDS), "retries keep their own bound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_asked_for_and_lines_that_say_again_change_nothing() {
    let relay = TestRelay::start().await;
    let anna = Person::new(&relay, "anna").await;
    let mallory = Person::new(&relay, "mallory").await;
    pair(&anna, &mallory).await;
    let hello = mallory.send("anna", "hello").await;
    mallory.wait(&hello, MessageStatus::Delivered).await;
    let to = DeviceAddress { account: anna.account().await, device: 1 };
    says(&mallory, to, false, || {
        Body::RestoreAnswer(crate::content::RestoreAnswer {
            restore_id: vec![7; 16],
            conversation: vec![1; 32],
            answers_in_all: 1,
            lines_gone: vec![vec![1; 16]; 500],
            ..Default::default()
        })
    })
    .await;
    mallory.inside(|core| core.db.execute("UPDATE delivery SET moves = 2", []).unwrap()).await;
    let again = mallory.send("anna", "again?").await;
    mallory.wait(&again, MessageStatus::Delivered).await;
    anna.message("again?").await;
    for table in ["restore", "restore_gone", "held_line", "gap"] {
        let count = anna
            .inside(move |core| {
                core.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
            })
            .await;
        assert_eq!(count, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_somebody_who_does_not_answer_are_shown_after_a_moment() {
    let relay = TestRelay::start().await;
    let anna = Person::new(&relay, "anna").await;
    let bert = Person::new(&relay, "bert").await;
    pair(&anna, &bert).await;
    let hello = bert.send("anna", "hello").await;
    bert.wait(&hello, MessageStatus::Delivered).await;
    let peer = bert.account().await;
    let device = DeviceAddress { account: peer, device: 1 };
    // Anna has asked, and bert's answer is not on its way.
    anna.inside(move |core| {
        core.change(|change| {
            restores::begin(change.db, [3; 16], 0, change.now_ms)?;
            restores::set_asked(change.db)?;
            let row = restores::AskedRow {
                state: restores::AskState::Asked,
                asked_ms: change.now_ms,
                hold_until_ms: change.now_ms + millis(HOLD_LINES),
                ..restores::AskedRow::due(device)
            };
            Ok(restores::put(change.db, &row)?)
        })
        .unwrap();
    })
    .await;
    // One of them cannot be applied: it stops nothing behind it.
    anna.inside(|core| {
        core.db
            .execute_batch(
                "CREATE TRIGGER poison BEFORE INSERT ON message WHEN new.body = 'poison'
                 BEGIN SELECT RAISE(ABORT, 'this line fails'); END",
            )
            .unwrap();
    })
    .await;
    let mut progress = anna.engine.inner.signals.progress.subscribe();
    bert.send("anna", "poison").await;
    let sent = bert.send("anna", "are you there?").await;
    bert.wait(&sent, MessageStatus::Sent).await;
    while anna.count("SELECT count(*) FROM held_line").await < 2 {
        progress.changed().await.unwrap();
    }
    assert_eq!(anna.bodies("bert").await, ["hello"], "it waits for those before it");
    // Time is up.
    anna.inside(|core| {
        core.db.execute("UPDATE restore SET hold_until_ms = 1", []).unwrap();
        core.signals.held.notify_one();
    })
    .await;
    anna.message("are you there?").await;
    bert.wait(&sent, MessageStatus::Delivered).await;
    assert!(anna.notice("set_aside").await.text.contains("this line fails"));
    assert_eq!(anna.count("SELECT count(*) FROM kept_content").await, 1);
    // In a month the person is told that nobody answered.
    anna.inside(|core| {
        core.db.execute("UPDATE restore SET asked_ms = 1", []).unwrap();
        core.give_up_asking().unwrap();
    })
    .await;
    let told = anna.notice("restore_done").await;
    assert!(told.text.contains("bert: no answer for 30 days"), "{}", told.text);
    assert_eq!(anna.count("SELECT restore_state FROM account").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_processed_is_set_aside_and_stops_nothing_behind_it() {
    let relay = TestRelay::start().await;
    let mut vera = Person::new(&relay, "vera").await;
    let (anna, bert) = (Person::new(&relay, "anna").await, Person::new(&relay, "bert").await);
    pair(&vera, &anna).await;
    pair(&vera, &bert).await;
    vera.settled().await;
    vera.inside(|core| {
        core.db
            .execute_batch(
                "CREATE TRIGGER poison BEFORE INSERT ON message WHEN new.body = 'poison'
                 BEGIN SELECT RAISE(ABORT, 'this line fails'); END",
            )
            .unwrap();
    })
    .await;
    vera.engine.shutdown().await;
    // All in one batch.
    for (friend, text) in [(&anna, "before"), (&anna, "poison"), (&anna, "after"), (&bert, "of somebody else")] {
        let sent = friend.send("vera", text).await;
        friend.wait(&sent, MessageStatus::Sent).await;
    }
    vera.restart().await;
    vera.message("before").await;
    vera.message("after").await;
    vera.message("of somebody else").await;
    let told = vera.notice("set_aside").await;
    assert!(told.text.contains("this line fails"), "{}", told.text);
    let checks = vera.engine.doctor(NoParams {}).await.unwrap().checks;
    let check = checks.iter().find(|check| check.name == "unreadable").unwrap();
    assert!(check.message.contains("this line fails"), "{check:?}");
    // After a restart nothing of it comes back, and what was mended comes again: it was asked for.
    vera.engine.shutdown().await;
    vera.engine = start(vera.dir.path()).await;
    let sent = bert.send("vera", "on and on").await;
    bert.wait(&sent, MessageStatus::Delivered).await;
    vera.inside(|core| {
        core.db
            .execute_batch("DROP TRIGGER poison; UPDATE quarantine SET requested = 0; DELETE FROM retry_request")
            .unwrap();
        core.ask_all_again().unwrap();
    })
    .await;
    anna.inside(|core| core.db.execute("DELETE FROM retry_answer", []).unwrap()).await;
    vera.message("poison").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_does_not_read_back_is_lost_like_any_other() {
    let relay = TestRelay::start().await;
    let (vera, anna) = (Person::new(&relay, "vera").await, Person::new(&relay, "anna").await);
    greeted(&vera, &anna).await;
    vera.inside(|core| core.db.execute("UPDATE session SET state = x'00'", []).unwrap()).await;
    let sent = anna.send("vera", "still there?").await;
    anna.wait(&sent, MessageStatus::Delivered).await;
    let sent = vera.send("anna", "yes").await;
    vera.wait(&sent, MessageStatus::Delivered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_any_more_is_said_and_never_sent_empty() {
    let relay = TestRelay::start().await;
    let (vera, anna) = (Person::new(&relay, "vera").await, Person::new(&relay, "anna").await);
    greeted(&vera, &anna).await;
    anna.settled().await;
    vera.lose_sessions().await;
    // As after a retention: the text is gone before it is asked for.
    let mut sent = None;
    anna.inside(|core| {
        core.db
            .execute_batch(
                "CREATE TRIGGER forgets AFTER UPDATE OF state ON delivery WHEN new.state = 1
        BEGIN UPDATE outbox SET content = x'' WHERE id = new.outbox; END",
            )
            .unwrap()
    })
    .await;
    for text in ["one", "two"] {
        sent = Some(anna.send("vera", text).await);
    }
    anna.wait(&sent.unwrap(), MessageStatus::Sent).await;
    let told = vera.notice("not_kept").await;
    assert!(told.text.contains("not kept there any more"), "{}", told.text);
    assert_eq!(vera.bodies("anna").await, ["hello"]);
    anna.inside(|core| core.db.execute_batch("DROP TRIGGER forgets").unwrap()).await;
    let last = anna.send("vera", "and this?").await;
    anna.wait(&last, MessageStatus::Delivered).await;
    assert_eq!(vera.bodies("anna").await, ["hello", "and this?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_away_for_long_asks_its_peers_once_and_says_what_came() {
    let relay = TestRelay::start().await;
    let mut vera = Person::new(&relay, "vera").await;
    let anna = Person::new(&relay, "anna").await;
    greeted(&vera, &anna).await;
    anna.settled().await;
    // 31 days ago; what anna wrote since has expired at the relay.
    vera.inside(|core| {
        let days_ago = now_ms() - 31 * DAY_MS;
        core.db.execute("UPDATE account SET last_sync_ms = ?1", [store::to_sql(days_ago)]).unwrap();
    })
    .await;
    vera.engine.shutdown().await;
    for text in ["expired", "this too"] {
        let sent = anna.send("vera", text).await;
        anna.wait(&sent, MessageStatus::Sent).await;
    }
    let waiting = rusqlite::Connection::open(relay.dir.path().join("relay.db")).unwrap();
    waiting.execute("DELETE FROM mailbox", []).unwrap();
    drop(waiting);
    let sent = anna.send("vera", "newer").await;
    anna.wait(&sent, MessageStatus::Sent).await;
    vera.restart().await;
    let told = vera.notice("was_away").await;
    assert!(told.text.contains("31 days"), "{}", told.text);
    let done = vera.notice("restore_done").await;
    assert!(done.text.contains("anna: 2 messages that this copy lacked came again"), "{}", done.text);
    vera.message("newer").await;
    in_order(&self::told(&vera).await, "anna", &["hello", "expired", "this too", "newer"].map(String::from));
    let params = HistoryParams { chat: "anna".into(), ..HistoryParams::default() };
    let missing = vera.engine.history(params).await.unwrap().missing;
    assert_eq!(missing.len(), 1, "one line for the conversation");
    assert_eq!((missing[0].came, missing[0].gone, missing[0].state), (2, 0, MissingState::Answered));
    assert!(missing[0].to_ms - missing[0].from_ms > 30 * DAY_MS);
    // Not at each login.
    vera.restart().await;
    let sent = anna.send("vera", "again").await;
    anna.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(anna.count("SELECT count(*) FROM restore_answer").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_log_holds_any_more_is_named_on_both_sides() {
    let relay = TestRelay::start().await;
    let mut vera = Person::new(&relay, "vera").await;
    let anna = Person::new(&relay, "anna").await;
    pair(&vera, &anna).await;
    let first = anna.send("vera", "first").await;
    anna.wait(&first, MessageStatus::Delivered).await;
    vera.engine.shutdown().await;
    let dir = copied(vera.dir.path());
    vera.engine = start(vera.dir.path()).await;
    for text in ["long ago", "also long ago", "lately"] {
        let sent = anna.send("vera", text).await;
        anna.wait(&sent, MessageStatus::Delivered).await;
    }
    vera.engine.shutdown().await;
    anna.inside(|core| {
        let old = "(SELECT id FROM message WHERE body LIKE '%long ago')";
        let days = 40 * DAY_MS;
        core.db
            .execute_batch(&format!(
                "DELETE FROM outbox WHERE message IN {old}; UPDATE message SET shown_ms = shown_ms - {days} WHERE id IN {old}"
            ))
            .unwrap();
    })
    .await;
    let copy = chosen(dir).await;
    let done = copy.notice("restore_done").await;
    assert!(done.text.contains("1 message that this copy lacked came again"), "{}", done.text);
    assert!(done.text.contains("2 messages cannot come"), "{}", done.text);
    let told = anna.notice("sent_again").await;
    assert!(told.text.contains("1 message of yours goes to it again; 2 more cannot"), "{}", told.text);
    in_order(&self::told(&copy).await, "anna", &["first", "lately"].map(String::from));
    let params = HistoryParams { chat: "anna".into(), ..HistoryParams::default() };
    let missing = copy.engine.history(params).await.unwrap().missing;
    assert_eq!((missing.len(), missing[0].came, missing[0].gone), (1, 1, 2));
    assert_eq!(missing[0].words(), "1 message came again, 2 messages are gone for good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_after_a_moment_has_sent_again_all_that_was_asked_for() {
    const LINES: u32 = 100;
    let relay = TestRelay::start().await;
    let (anna, vera) = (Person::new(&relay, "anna").await, Person::new(&relay, "vera").await);
    pair(&anna, &vera).await;
    let mut last = None;
    for line in 0..LINES {
        last = Some(anna.send("vera", &format!("line {line}")).await);
    }
    anna.wait(&last.unwrap(), MessageStatus::Delivered).await;
    anna.settled().await;
    let to = DeviceAddress { account: anna.account().await, device: 1 };
    says(&vera, to, true, everything(1)).await;
    anna.notice("sent_again").await;
    anna.settled().await;
    let left = "SELECT count(*) FROM delivery WHERE moves = 2 AND state = 0";
    assert_eq!(anna.count(left).await, 0, "a pause between two batches is not the end");
    assert!(anna.count(SENT_AGAIN).await >= i64::from(LINES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_lost_copy_replaced_keeps_nobody_from_writing_to_the_one_that_goes_on() {
    let relay = TestRelay::start().await;
    let mut vera = Person::new(&relay, "vera").await;
    let (anna, mallory) = (Person::new(&relay, "anna").await, Person::new(&relay, "mallory").await);
    pair(&vera, &anna).await;
    pair(&vera, &mallory).await;
    vera.settled().await;
    vera.engine.shutdown().await;
    let dir = copied(vera.dir.path());
    vera.engine = start(vera.dir.path()).await;
    // Whoever is blocked costs the account its key: those of the copy are dead.
    vera.engine.contact_block(who("mallory")).await.unwrap();
    let told = vera.send("anna", "you get my new key with this").await;
    vera.wait(&told, MessageStatus::Delivered).await;
    let sent = anna.send("vera", "I have it").await;
    anna.wait(&sent, MessageStatus::Delivered).await;
    vera.settled().await;
    vera.engine.shutdown().await;

    let copy = chosen(dir).await;
    copy.message("I have it").await;
    // Who is met now gets a key that counts, and who had the last one gets it too.
    let carl = Person::new(&relay, "carl").await;
    pair(&copy, &carl).await;
    for friend in [&carl, &anna] {
        for text in ["one", "two"] {
            let sent = friend.send("vera", text).await;
            friend.wait(&sent, MessageStatus::Delivered).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quarantine_gives_up_the_oldest_and_says_so_once_a_day() {
    let relay = TestRelay::start().await;
    let (vera, anna) = (Person::new(&relay, "vera").await, Person::new(&relay, "anna").await);
    greeted(&vera, &anna).await;
    // Named in a request already: nothing is asked for them again.
    vera.inside(|core| {
        for number in 0..MAX_QUARANTINED {
            let id = [&number.to_be_bytes()[..], &[0; 8]].concat();
            core.db
                .execute(
                    "INSERT INTO quarantine (id, account, device, head, body, reason, seen_ms, requested)
                     VALUES (?1, x'00', 1, x'', x'', 'test', 1, 1)",
                    [id],
                )
                .unwrap();
        }
    })
    .await;
    vera.lose_sessions().await;
    for text in ["one", "two"] {
        let sent = anna.send("vera", text).await;
        anna.wait(&sent, MessageStatus::Sent).await;
    }
    let told = vera.notice("quarantine_full").await;
    assert!(told.text.contains("the oldest are given up"), "{}", told.text);
    vera.message("one").await;
    assert_eq!(vera.count("SELECT count(*) FROM quarantine").await, i64::try_from(MAX_QUARANTINED).unwrap());
    assert_eq!(vera.count("SELECT count(*) FROM event WHERE code = 'quarantine_full'").await, 1);
}
