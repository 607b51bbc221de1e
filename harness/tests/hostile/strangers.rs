//! F1: what somebody gets whom nobody accepted.

use subrosa_client_core::{
    Client,
    api::{ContactState, NoParams, TimeoutParams, WhoParams},
};
use subrosa_harness::hostile::{Actor, Content, Seen, with_key};

use crate::{
    stage::{Known, Stage, cursor, shown},
    support::{PATIENCE_MS, Person},
};

/// First contents that were answered once, or might be.
fn first_words() -> Vec<(&'static str, Content)> {
    vec![
        ("an empty retry request", Content::retry_request(&[])),
        ("a retry request for an invented id", Content::retry_request(&[[7; 16]])),
        ("a hello", Content::hello()),
        ("a receipt", Content::receipt(0, &[4; 32], &[vec![7; 16]])),
        ("nothing", Content::new()),
        ("a text", Content::text("hello?")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_first_words_get_no_answer_no_key_and_no_call() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mark = stage.middle.mark();
    let host = stage.host(1).await;
    let mut strangers = Vec::new();
    for (number, (what, content)) in first_words().into_iter().enumerate() {
        let (mut actor, mut mailbox) = stage.registered(&format!("stranger{number}")).await;
        host.knows(&actor);
        stage.at.start_session(&mut actor, &friend.target).await.unwrap();
        let content = content.introduced(actor.introduction(&host.url()));
        let envelope = actor.write(&friend.target, &content).unwrap();
        mailbox.by_the_lane(envelope.submit(None)).await.unwrap();
        // And once more what is no first word any more.
        let again = actor.write(&friend.target, &Content::retry_request(&[envelope.id()])).unwrap();
        stage.submit(&again, &friend.key).await;
        strangers.push((what, actor, mailbox));
    }
    stage.settle(&ana, &mut friend).await;
    for (what, actor, _) in &strangers {
        let account = actor.record.id();
        assert!(stage.middle.envelopes_for(mark, &account).is_empty(), "{what} was answered");
        assert_eq!(stage.asked_about(mark, &account), Vec::<String>::new(), "{what} made the engine ask");
    }
    assert_eq!(host.since(0), [], "the host that a stranger named was called");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_no_relay_registered_are_not_listened_to() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let host = stage.host(2).await;
    let since = cursor(&ana).await;
    let mut strangers = Vec::new();
    for number in 0..30 {
        let mut actor = Actor::new(&format!("nobody{number}")).unwrap();
        host.knows(&actor);
        stage.at.start_session(&mut actor, &friend.target).await.unwrap();
        let content = Content::text("buy").introduced(actor.introduction(&host.url()));
        // With the key that a contact handed on.
        stage.deliver(&actor.write(&friend.target, &content).unwrap(), &friend.key).await;
        strangers.push(actor);
    }
    stage.settle(&ana, &mut friend).await;
    for actor in &strangers {
        assert_eq!(shown(&ana, since, &actor.id()).await, [], "a request that came by no lane");
    }
    assert_eq!(host.since(0), []);
}

/// As many as an engine keeps.
const MANY: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_invented_accounts_shut_nobody_out() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    // One bundle serves them all: strangers get the last-resort key.
    let bundle = stage.at.prekeys(&friend.target, None).await.unwrap().unwrap();
    let device = friend.target.device().unwrap();
    let mut socket = stage.at.open_submission().await.unwrap();
    for number in 0..MANY {
        let mut actor = Actor::new(&format!("nobody{number}")).unwrap();
        actor.start(&device, &bundle).unwrap();
        let content = Content::text("buy").introduced(actor.introduction(&stage.middle.url()));
        let envelope = actor.write(&friend.target, &content).unwrap();
        let results = socket.submit(envelope.submit(with_key(&friend.key))).await.unwrap();
        assert!(results[0].accepted.is_some());
    }
    stage.settle(&ana, &mut friend).await;
    let (mut real, mut mailbox) = stage.registered("dora").await;
    stage.at.start_session(&mut real, &friend.target).await.unwrap();
    let content = Content::text("it is me").introduced(real.introduction(&stage.middle.url()));
    let envelope = real.write(&friend.target, &content).unwrap();
    mailbox.by_the_lane(envelope.submit(None)).await.unwrap();
    ana.contact_state("dora", ContactState::Request).await;
}

/// Section 11, no. 5.
const CAPABILITY_REFUSED: u32 = 5;

async fn key_is_dead(stage: &Stage, ana: &Person, known: &mut Known) {
    // What the relay was told last counts: nothing else is to be waited for.
    let flushed = ana.engine.flush(TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
    assert!(flushed.done);
    let envelope = known.actor.write(&known.target, &Content::text("again")).unwrap();
    let refused = stage.submit(&envelope, &known.key).await.refused.expect("refused");
    assert_eq!(refused.code, CAPABILITY_REFUSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_that_somebody_had_is_dead_after_removal_and_block() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut removed = stage.contact(&ana, "rita").await;
    ana.engine.contact_remove(WhoParams { who: removed.actor.id() }).await.unwrap();
    key_is_dead(&stage, &ana, &mut removed).await;

    let mut blocked = stage.contact(&ana, "bea").await;
    ana.engine.contact_block(WhoParams { who: blocked.actor.id() }).await.unwrap();
    key_is_dead(&stage, &ana, &mut blocked).await;
    assert!(ana.engine.contact_list(NoParams {}).await.unwrap().contacts.len() <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_we_asked_and_then_removed_keeps_no_key() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let (mut asked, _mailbox) = stage.registered("dora").await;
    let mark = stage.middle.mark();
    ana.ask("dora", "do you know me?").await;
    let request = stage.middle.envelope_for(mark, &asked.address()).await.unwrap();
    let target = stage.at.find("ana").await.unwrap();
    let opened = asked.read(&request.head, &request.body, &target).unwrap();
    let key: [u8; 16] = opened.content.introduction.unwrap().delivery_key.as_slice().try_into().unwrap();
    ana.engine.contact_remove(WhoParams { who: asked.id() }).await.unwrap();
    ana.engine.flush(TimeoutParams { timeout_ms: PATIENCE_MS }).await.unwrap();
    let envelope = asked.write(&target, &Content::text("who are you?")).unwrap();
    let refused = stage.submit(&envelope, &key).await.refused.expect("the key is dead");
    assert_eq!(refused.code, CAPABILITY_REFUSED);
    assert!(stage.middle.since(mark).iter().any(|seen| matches!(seen, Seen::Submitted { lane: true, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declining_says_nothing_and_gives_nothing() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mark = stage.middle.mark();
    let host = stage.host(3).await;
    let (mut actor, mut mailbox) = stage.registered("dora").await;
    host.knows(&actor);
    stage.at.start_session(&mut actor, &friend.target).await.unwrap();
    let content = Content::text("may I?").introduced(actor.introduction(&host.url()));
    let envelope = actor.write(&friend.target, &content).unwrap();
    mailbox.by_the_lane(envelope.submit(None)).await.unwrap();
    ana.contact_state("dora", ContactState::Request).await;
    ana.engine.contact_remove(WhoParams { who: actor.id() }).await.unwrap();
    let again = actor.write(&friend.target, &Content::retry_request(&[envelope.id()])).unwrap();
    stage.submit(&again, &friend.key).await;
    stage.settle(&ana, &mut friend).await;
    assert!(stage.middle.envelopes_for(mark, &actor.record.id()).is_empty());
    assert_eq!(stage.asked_about(mark, &actor.record.id()), Vec::<String>::new());
    assert_eq!(host.since(0), []);
}
