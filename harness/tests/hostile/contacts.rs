//! F2, F3, F10, F12: what a contact can do, or somebody in a contact's name.

use subrosa_client_core::{
    Client,
    api::{ContactState, Event, MessageStatus, TimeoutParams},
};
use subrosa_harness::hostile::{
    Content, Envelope, Middle, Seen, chat_id,
    frames::{DURABLE, Push},
};

use crate::{
    stage::{Stage, cursor, shown, status, victim_address},
    support::{PATIENCE_MS, Person, pair},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_requests_do_not_tell_whether_somebody_is_there() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut probe = stage.contact(&ana, "peter").await;
    let sent = ana.send("carol", "for carol").await;
    ana.wait(&sent, MessageStatus::Sent).await;
    let of_carol = stage.middle.envelopes_for(0, &friend.actor.record.id()).last().unwrap().id();
    let (mark, since) = (stage.middle.mark(), cursor(&ana).await);
    for ids in [vec![], vec![[9; 16]], vec![of_carol], vec![[1; 16]; 64]] {
        let content = Content::retry_request(&ids);
        probe.write(&stage, &content).await;
        let envelope = probe.actor.write(&probe.target, &content).unwrap();
        stage.middle.inject(&envelope.to, Middle::ephemeral(&envelope)).unwrap();
    }
    stage.settle(&ana, &mut friend).await;
    assert_eq!(stage.middle.envelopes_for(mark, &probe.actor.record.id()).len(), 0, "the probe was answered");
    assert_eq!(stage.asked_about(mark, &probe.actor.record.id()), Vec::<String>::new());
    assert_eq!(shown(&ana, since, &probe.actor.id()).await, []);
}

/// Repetitions: the store grew by 1 MiB in 4,200.
const MANY: usize = 2_000;
/// What two thousand requests may leave behind: the id of each envelope, so that a repeat is known, and no content.
const MAX_GROWTH: u64 = MANY as u64 * 128;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_retry_requests_fill_neither_store_nor_outbox() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut probe = stage.contact(&ana, "peter").await;
    let sent = ana.send("peter", "read this").await;
    ana.wait(&sent, MessageStatus::Sent).await;
    let account = probe.actor.record.id();
    let mark = stage.middle.mark();
    let true_id = stage.middle.envelopes_for(0, &account).last().unwrap().id();
    let before = store_bytes(&ana).await;
    for round in 0..MANY {
        let ids = if round % 2 == 0 { vec![true_id] } else { vec![] };
        let envelope = probe.actor.write(&probe.target, &Content::retry_request(&ids)).unwrap();
        stage.middle.inject(&envelope.to, durable(&envelope)).unwrap();
    }
    stage.settle(&ana, &mut friend).await;
    assert_eq!(status(&ana).await.outbox, 0);
    let answers = stage.middle.envelopes_for(mark, &account).len();
    assert!(answers <= 2, "{answers} answers to what may be asked twice");
    let after = store_bytes(&ana).await;
    assert!(after <= before + MAX_GROWTH, "{before} bytes became {after}");
}

/// An envelope that is stored, as a relay pushes it.
fn durable(envelope: &Envelope) -> Push {
    Push { class: DURABLE, ..Middle::ephemeral(envelope) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_claims_a_restore_again_and_again_gets_everything_twice_and_is_never_unseen() {
    const CLAIMS: usize = 40;
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut probe = stage.contact(&ana, "peter").await;
    for text in ["one", "two", "three"] {
        let sent = ana.send("peter", text).await;
        ana.wait(&sent, MessageStatus::Sent).await;
    }
    let secret = ana.send("carol", "for carol").await;
    ana.wait(&secret, MessageStatus::Sent).await;
    stage.settle(&ana, &mut friend).await;
    let (account, since) = (probe.actor.record.id(), cursor(&ana).await);
    let log = stage.middle.envelopes_for(0, &account).len();
    let mark = stage.middle.mark();
    let device = probe.target.device().unwrap();
    for _ in 0..CLAIMS {
        // Each in a session of its own, as one who lost everything would begin.
        let bundle = stage.at.prekeys(&probe.target, None).await.unwrap().unwrap();
        probe.actor.start(&device, &bundle).unwrap();
        let envelope = probe.actor.write(&probe.target, &Content::restore_request()).unwrap();
        stage.middle.inject(&envelope.to, durable(&envelope)).unwrap();
    }
    stage.settle(&ana, &mut friend).await;
    // Once more for each of two, an end each, one "too often"; and what was on its way while sessions began, twice more at most.
    let sent = stage.middle.envelopes_for(mark, &account).len();
    assert!(sent >= 2 * 3, "{sent}: two are answered");
    assert!(sent <= 3 * (2 * (log + 1) + 1), "{sent} envelopes to {CLAIMS} claims, of {log} in the log");
    assert_eq!(status(&ana).await.outbox, 0);
    let told = shown(&ana, since, &probe.actor.id()).await;
    assert_eq!(
        told.iter().filter(|event| matches!(event, Event::Notice(notice) if notice.code == "sent_again")).count(),
        2
    );
    // What was for somebody else is not among it.
    for envelope in stage.middle.envelopes_for(mark, &account) {
        let opened = probe.actor.read(&envelope.head, &envelope.body, &probe.target);
        let text = opened.ok().and_then(|opened| opened.content.text);
        assert!(text.is_none_or(|text| ["one", "two", "three"].contains(&text.text.as_str())));
    }
}

/// Size of the store's database, without its log.
async fn store_bytes(person: &Person) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(person.dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == "store.db" {
            bytes += entry.metadata().unwrap().len();
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ephemeral_is_no_message() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut probe = stage.contact(&ana, "peter").await;
    let (mark, since) = (stage.middle.mark(), cursor(&ana).await);
    for content in
        [Content::text("silent"), Content::hello(), Content::new(), Content::receipt(1, &[4; 32], &[vec![3; 16]])]
    {
        let envelope = probe.actor.write(&probe.target, &content).unwrap();
        stage.middle.inject(&envelope.to, Middle::ephemeral(&envelope)).unwrap();
    }
    stage.settle(&ana, &mut friend).await;
    assert_eq!(stage.middle.envelopes_for(mark, &probe.actor.record.id()).len(), 0);
    assert_eq!(shown(&ana, since, &probe.actor.id()).await, []);
}

/// More than healing asks for at once.
const JUNK: usize = 70;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_in_a_contacts_name_costs_no_session() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let ben = stage.person("ben").await;
    pair(&ana, &ben).await;
    let mut friend = stage.contact(&ana, "mallory").await;
    let sent = ben.send("ana", "hello").await;
    ben.wait(&sent, MessageStatus::Delivered).await;
    ana.engine.flush(TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
    let bens = stage.at.find("ben").await.unwrap();
    let certificate = *bens.device().unwrap().certificate();
    let mark = stage.middle.mark();
    for round in 0..JUNK {
        let envelope = friend.actor.junk_as(&friend.target, bens.record.id(), certificate).unwrap();
        if round % 2 == 0 {
            stage.deliver(&envelope, &friend.key).await;
        } else {
            // A relay needs no capability for it.
            let push = Push { class: 0, ..Middle::ephemeral(&envelope) };
            stage.middle.inject(&victim_address(&friend.target), push).unwrap();
        }
    }
    stage.settle(&ana, &mut friend).await;
    assert_eq!(stage.asked_about(mark, &bens.record.id()), Vec::<String>::new(), "Ben's keys were fetched");
    assert!(stage.middle.envelopes_for(mark, &bens.record.id()).is_empty(), "Ben was asked for what he never sent");
    let sent = ben.send("ana", "the same session").await;
    ben.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(stage.asked_about(mark, &bens.record.id()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_with_what_nobody_sees_in_it_is_junk() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "bob").await;
    let since = cursor(&ana).await;
    for (number, claimed) in
        ["bob\u{200b}", "bob ", "BOB", "b\u{43e}b", "bob\u{202e}", "", "bo"].into_iter().enumerate()
    {
        let (mut actor, mut mailbox) = stage.registered(&format!("mallory{number}")).await;
        stage.at.start_session(&mut actor, &friend.target).await.unwrap();
        actor.handle = claimed.to_owned();
        let content = Content::text("it is bob").introduced(actor.introduction(&stage.middle.url()));
        let envelope = actor.write(&friend.target, &content).unwrap();
        mailbox.by_the_lane(envelope.submit(None)).await.unwrap();
        stage.settle(&ana, &mut friend).await;
        assert_eq!(shown(&ana, since, &actor.id()).await, [], "{claimed:?} is no handle");
    }
}

/// Announcements of one contact.
const ANNOUNCED: u32 = 50;
/// Calls that they may cost: one when the first comes, and those of the receipts that wait for the list, each twice as late as the
/// one before: seven in a minute, longer than this takes.
const MAX_CALLS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_list_versions_do_not_make_an_engine_call_and_call() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut moving = stage.contact(&ana, "peter").await;
    let mut hosts = Vec::new();
    let mark = stage.middle.mark();
    for version in 2..=ANNOUNCED {
        let host = stage.host(1_000 + u16::try_from(version).unwrap()).await;
        let content = Content { list_version: version, list_hash: vec![5; 32], ..Content::text("I have a new device") };
        // Every second time with an introduction that names another host.
        let content =
            if version % 2 == 0 { content.introduced(moving.actor.introduction(&host.url())) } else { content };
        moving.write(&stage, &content).await;
        hosts.push(host);
    }
    stage.settle(&ana, &mut friend).await;
    let devices = |seen: &[Seen]| {
        seen.iter().filter(|seen| matches!(seen, Seen::Question { path, .. } if path == "devices")).count()
    };
    let asked = devices(&stage.middle.since(mark)) + hosts.iter().map(|host| devices(&host.since(0))).sum::<usize>();
    assert!(asked <= MAX_CALLS, "{asked} calls");
    let called = hosts.iter().filter(|host| !host.since(0).is_empty()).count();
    assert_eq!(called, 0, "hosts that were only named");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_says_nothing_any_more() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut known = stage.contact(&ana, "peter").await;
    // Device 2 comes and is known to Ana.
    let mut second = known.actor.device(2, 2).unwrap();
    let both = vec![known.actor.certificate, second.certificate];
    known.actor.issue_list(2, both).unwrap();
    second.list = known.actor.list.clone();
    known.mailbox.put_list(&known.actor).await.unwrap();
    stage.at.open_mailbox(&second).await.unwrap().settle_in(&second).await.unwrap();
    known.write(&stage, &Content::text("I have two devices")).await;
    ana.notice("new_device").await;
    stage.at.start_session(&mut second, &known.target).await.unwrap();
    stage.deliver(&second.write(&known.target, &Content::text("from the second")).unwrap(), &known.key).await;
    ana.message("from the second").await;
    // It is removed; Ana learns of it from the first.
    known.actor.issue_list(3, vec![known.actor.certificate]).unwrap();
    known.mailbox.put_list(&known.actor).await.unwrap();
    known.write(&stage, &Content::text("now one again")).await;
    ana.message("now one again").await;
    stage.settle(&ana, &mut friend).await;
    let devices = ana.contact("peter").await.devices;
    assert_eq!(devices, 1);
    // It still has the key, its session and its certificate.
    let (mark, since) = (stage.middle.mark(), cursor(&ana).await);
    for content in [Content::text("send the money here"), Content::retry_request(&[]), Content::hello()] {
        stage.deliver(&second.write(&known.target, &content).unwrap(), &known.key).await;
    }
    stage.at.start_session(&mut second, &known.target).await.unwrap();
    let content = Content::text("or here").introduced(second.introduction(&stage.middle.url()));
    stage.deliver(&second.write(&known.target, &content).unwrap(), &known.key).await;
    stage.settle(&ana, &mut friend).await;
    assert_eq!(shown(&ana, since, &known.actor.id()).await, []);
    assert!(stage.middle.envelopes_for(mark, &known.actor.record.id()).is_empty());
    assert_eq!(ana.contact("peter").await.state, ContactState::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_put_above_our_answer_says_that_it_came_later() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut known = stage.contact(&ana, "peter").await;
    let asked = Content::text("Shall we meet?");
    known.write(&stage, &asked).await;
    ana.message("Shall we meet?").await;
    let sent = ana.send("peter", "Yes, agreed.").await;
    ana.wait(&sent, MessageStatus::Sent).await;
    // With the clock and the time of the question before it.
    let debt =
        Content { clock: asked.clock, sent_ms: asked.sent_ms, ..Content::text("Do you take over the debt of 10,000?") };
    known.write(&stage, &debt).await;
    let shown = ana.message("Do you take over the debt of 10,000?").await;
    assert!(shown.late && shown.arrived_ms.is_some(), "{shown:?}");
    let bodies = ana.bodies("peter").await;
    assert_eq!(bodies.last().unwrap(), "Yes, agreed.", "it stands above the answer: {bodies:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_somebody_else_uses_suppresses_nobodys_message() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut eve = stage.contact(&ana, "eve").await;
    let mut carol = stage.contact(&ana, "carol").await;
    // Eve knows what Carol's message will be called, and is first.
    let theirs = Content::text("from carol");
    let first = Content { random: theirs.random.clone(), ..Content::text("from eve") };
    eve.write(&stage, &first).await;
    ana.message("from eve").await;
    carol.write(&stage, &theirs).await;
    let shown = ana.message("from carol").await;
    let id = carol.actor.id_of(&theirs, &carol.target);
    assert_eq!(hex::decode(&shown.id).unwrap(), id);
    carol.receipt_for(&stage, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_stands_only_in_the_chat_with_its_author() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut eve = stage.contact(&ana, "eve").await;
    let (mark, since) = (stage.middle.mark(), cursor(&ana).await);
    let (of_ana, of_carol) = (eve.target.record.id(), friend.actor.record.id());
    for conversation in [chat_id(&of_ana, &of_carol), chat_id(&of_ana, &of_ana), [7; 32]] {
        let elsewhere = Content { conversation: conversation.to_vec(), ..Content::text("Carol owes Eve money") };
        eve.write(&stage, &elsewhere).await;
    }
    stage.settle(&ana, &mut friend).await;
    assert_eq!(stage.middle.envelopes_for(mark, &eve.actor.record.id()).len(), 0, "no receipt");
    assert_eq!(shown(&ana, since, &eve.actor.id()).await, []);
    assert!(!ana.bodies("carol").await.iter().any(|body| body.contains("money")));
    assert!(!ana.bodies("me").await.iter().any(|body| body.contains("money")));
}
