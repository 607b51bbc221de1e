//! F4, F5 and others: what a relay in the middle can do.

use subrosa_client_core::{
    Client,
    api::{ContactState, MessageStatus, NoParams, WaitParams},
};
use subrosa_harness::hostile::{Actor, Content, Introduction, Seen, frames::Capability, questions::Devices, sha256};

use crate::{stage::Stage, support::PATIENCE_MS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withheld_device_list_stops_sending() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let mut known = stage.contact(&ana, "peter").await;
    let account = known.actor.record.id();
    // Peter has a second device now, list 9. The relay goes on serving list 1.
    let second = known.actor.device(2, 9).unwrap();
    let old = known.actor.devices();
    let both = vec![known.actor.certificate, second.certificate];
    known.actor.issue_list(9, both).unwrap();
    stage.middle.rule(|rules| {
        rules.answer = Some(Box::new(move |path, _, answer| {
            let served: Result<Devices, _> = prost::Message::decode(answer.as_slice());
            match served {
                Ok(devices) if path == "devices" && devices.account_record == old.account_record => {
                    prost::Message::encode_to_vec(&old)
                }
                _ => answer,
            }
        }));
    });
    known.write(&stage, &Content::text("I have a new telephone")).await;
    ana.message("I have a new telephone").await;
    stage.settle(&ana, &mut friend).await;
    let mark = stage.middle.mark();
    let sent = ana.send("peter", "for the new one only").await;
    let waiting = async {
        loop {
            let params = WaitParams { id: sent.id.clone(), status: MessageStatus::Sent, timeout_ms: 50 };
            let waiting = ana.engine.wait(params).await.unwrap();
            if waiting.status != MessageStatus::Queued || waiting.results[0].error.is_some() {
                return waiting;
            }
        }
    };
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(PATIENCE_MS), waiting).await.unwrap();
    assert_eq!(waiting.status, MessageStatus::Queued, "{waiting:?}");
    assert!(waiting.results[0].error.is_some(), "why it waits is said");
    assert!(stage.middle.envelopes_for(mark, &account).is_empty(), "it went to a device of the old list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_cannot_join_with_the_token_that_it_saw() {
    let stage = Stage::new().await;
    let ana = stage.person("ana").await;
    let ben = stage.person("ben").await;
    let mut friend = stage.contact(&ana, "carol").await;
    let link = ana.link().await;
    // What Ben shows to get in, the relay takes for itself; his envelope it withholds.
    let mark = stage.middle.mark();
    stage.middle.rule(|rules| rules.push = Some(Box::new(|_| Vec::new())));
    ben.join(&link).await;
    let shown = stage
        .middle
        .wait(mark, |seen| match seen {
            Seen::Submitted { capability: Some(Capability { contact_token, .. }), .. } => contact_token.clone(),
            _ => None,
        })
        .await
        .unwrap();
    let withheld = |seen: &Seen| matches!(seen, Seen::Withheld { .. }).then_some(());
    stage.middle.wait(mark, withheld).await.unwrap();
    stage.middle.rule(|rules| rules.push = None);
    let mut socket = stage.at.open_submission().await.unwrap();
    let mut relays = Vec::new();
    // The token alone, and with proofs that it can make up: the secret of the link it has not seen.
    let guesses = [Vec::new(), vec![0; 32], sha256(&shown.token).to_vec()];
    for (number, link_proof) in guesses.into_iter().enumerate() {
        let mut relay = Actor::new(&format!("ben{number}")).unwrap();
        stage.middle.knows(&relay);
        stage.at.start_session(&mut relay, &friend.target).await.unwrap();
        let introduction =
            Introduction { contact_token: shown.token.clone(), link_proof, ..relay.introduction(&stage.middle.url()) };
        let envelope = relay.write(&friend.target, &Content::hello().introduced(introduction)).unwrap();
        let capability = Some(Capability { contact_token: Some(shown.clone()), ..Capability::default() });
        let results = socket.submit(envelope.submit(capability)).await.unwrap();
        assert!(results[0].accepted.is_some(), "{results:?}");
        relays.push(relay);
    }
    stage.settle(&ana, &mut friend).await;
    let contacts = ana.engine.contact_list(NoParams {}).await.unwrap().contacts;
    for relay in &relays {
        let joined = contacts.iter().find(|contact| contact.id == relay.id());
        assert!(joined.is_none_or(|contact| contact.state != ContactState::Ok), "the relay joined: {joined:?}");
        assert!(stage.middle.envelopes_for(mark, &relay.record.id()).is_empty(), "and was answered");
    }
}
