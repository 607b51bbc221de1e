//! What somebody gets whom nobody accepted.

use subrosa_client_core::{
    Client,
    api::{ContactState, NoParams, TimeoutParams, WhoParams},
};
use subrosa_harness::hostile::{Content, Seen};

use crate::{
    stage::{Known, Stage},
    support::{PATIENCE_MS, Person},
};

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
