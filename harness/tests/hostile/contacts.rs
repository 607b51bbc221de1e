//! What a contact can do, or somebody in a contact's name.

use subrosa_client_core::api::ContactState;
use subrosa_harness::hostile::Content;

use crate::stage::{Stage, cursor, shown};

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
