//! F2, F3, F10, F12: what a contact can do, or somebody in a contact's name.

use subrosa_client_core::{
    Client,
    api::{ContactState, MessageStatus, TimeoutParams},
};
use subrosa_harness::hostile::{Content, Middle, frames::Push};

use crate::{
    stage::{Stage, cursor, shown, victim_address},
    support::{PATIENCE_MS, pair},
};

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
