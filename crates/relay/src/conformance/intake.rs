use subrosa_wire::{
    ErrorCode,
    limits::{MAX_DEVICES, MAX_SUBMIT_ITEMS},
    submit::EnvelopeClass,
};

use super::{Bench, Person, SOURCE, accepted, batch, submit};
use crate::{
    backend::{Intake as _, Mailbox as _},
    policy::submission::ItemOutcome,
};

/// What is answered with `Ok` is there after the process was killed, all of it.
pub(crate) async fn what_is_accepted_is_durable_as_a_whole<B: Bench>() {
    let bench = B::new().await;
    let people = [Person::registered(&bench, 3).await, Person::registered(&bench, 2).await];
    let all = || people.iter().flat_map(|person| person.list.devices.iter().map(move |device| (person, device.number)));
    accepted(&bench, all().map(|(person, number)| person.envelope(number)).collect()).await;
    let bench = bench.killed().await;
    for (person, number) in all() {
        assert_eq!(person.waiting(&bench, number).await.len(), 1);
    }
    bench.store().probe().await.unwrap();
}

/// Every item has an outcome of its own, under its envelope's id; one that is stale, full or refused holds nobody up.
pub(crate) async fn items_are_answered_singly_and_hold_nobody_up<B: Bench>() {
    let bench = B::new().await;
    let (alice, ben) = (Person::registered(&bench, 2).await, Person::registered(&bench, 1).await);
    let nobody = Person::new(1);
    let mut stale = alice.envelope(1);
    stale.list_version = 0;
    let mut wrong = ben.envelope(1);
    wrong.capability = alice.envelope(1).capability;
    let mut ephemeral = alice.envelope(2);
    ephemeral.class = EnvelopeClass::Ephemeral;
    let items =
        vec![stale, wrong, nobody.envelope(1), alice.envelope(9), ephemeral, alice.envelope(1), ben.envelope(1)];
    let wanted = batch(items.clone());
    let outcomes = submit(&bench, items).await.unwrap();
    let ids: Vec<_> = outcomes.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, wanted.items.iter().map(|item| item.id).collect::<Vec<_>>());
    let refused = |outcome: &ItemOutcome| match outcome {
        ItemOutcome::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    };
    let outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes[0], ItemOutcome::StaleDevices(super::list_bytes(&alice.list)));
    assert_eq!(
        (refused(&outcomes[1]), refused(&outcomes[2])),
        (ErrorCode::CapabilityRefused, ErrorCode::CapabilityRefused)
    );
    assert!(matches!(outcomes[3], ItemOutcome::StaleDevices(_)));
    assert!(matches!(outcomes[4], ItemOutcome::HandOn(_)));
    assert_eq!(outcomes[5..], [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(alice.waiting(&bench, 1).await.len(), 1);
    assert!(alice.waiting(&bench, 2).await.is_empty(), "what is ephemeral is never stored");
}

/// A group of 256 with five devices each, of which some have no room, an old list or another key, is one submission.
pub(crate) async fn the_largest_group_is_one_submission<B: Bench>() {
    let bench = B::new().await;
    let devices = u32::try_from(MAX_DEVICES).unwrap();
    let mut items = Vec::with_capacity(MAX_SUBMIT_ITEMS);
    let mut people = Vec::new();
    for n in 0..256u32 {
        let person = Person::registered(&bench, devices).await;
        for number in 1..=devices {
            let mut item = person.envelope(number);
            match n % 8 {
                0 => item.list_version = 0,
                1 => item.capability = None,
                _ => {}
            }
            items.push(item);
        }
        people.push(person);
    }
    let outcomes = submit(&bench, items).await.unwrap();
    assert_eq!(outcomes.len(), MAX_SUBMIT_ITEMS);
    for (n, (_, outcome)) in outcomes.iter().enumerate() {
        match (n / MAX_DEVICES) % 8 {
            0 => assert!(matches!(outcome, ItemOutcome::StaleDevices(_)), "{n}: {outcome:?}"),
            1 => assert!(matches!(outcome, ItemOutcome::Refused(_)), "{n}: {outcome:?}"),
            _ => assert_eq!(*outcome, ItemOutcome::Stored, "{n}"),
        }
    }
    let bench = bench.killed().await;
    for (n, person) in people.iter().enumerate().step_by(7) {
        let expected = usize::from(n % 8 > 1);
        assert_eq!(person.waiting(&bench, devices).await.len(), expected, "{n}");
    }
}

/// The same envelope again is accepted. It waits once where repeats are recognised; where they are not, every copy has the same bytes, so that
/// the receiver drops it.
pub(crate) async fn a_repeat_is_accepted<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    let item = alice.envelope(1);
    accepted(&bench, vec![item.clone()]).await;
    let bench = bench.killed().await;
    let outcomes = submit(&bench, vec![item]).await.unwrap();
    let rows = alice.waiting(&bench, 1).await;
    if B::RECOGNISES_REPEATS {
        assert_eq!((&outcomes[0].1, rows.len()), (&ItemOutcome::Repeat, 1));
    } else {
        assert!(matches!(outcomes[0].1, ItemOutcome::Repeat | ItemOutcome::Stored));
        assert!(rows.iter().all(|row| row.head == rows[0].head && row.body == rows[0].body));
    }
}

/// Submissions of one source are stored in the order in which they were queued, also when nobody waits for the one before.
pub(crate) async fn submissions_of_one_source_keep_their_order<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    let items: Vec<_> = (0..50).map(|_| alice.envelope(1)).collect();
    let mut queued = Vec::new();
    for item in &items {
        queued.push(bench.store().submit(SOURCE, batch(vec![item.clone()])).await.unwrap());
    }
    for accepted in queued {
        accepted.outcome().await.unwrap();
    }
    let rows = bench.store().read(alice.device(1), 0, 100).await.unwrap().rows;
    let heads: Vec<&[u8]> = rows.iter().map(|row| &row.head[..]).collect();
    assert_eq!(heads, items.iter().map(|item| &item.head[..]).collect::<Vec<_>>());
}
