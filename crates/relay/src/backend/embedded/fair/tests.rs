use super::{queue::QUANTUM, *};
use std::collections::BTreeMap;

use proptest::prelude::*;

const PLENTY: Bounds = Bounds { entries: 1 << 20, bytes: 1 << 30 };

type Numbers = Queue<u8, u32>;

fn entry(value: u32, weight: usize, bytes: usize) -> Entry<u32> {
    Entry { value, cost: Cost { weight, bytes }, since: subrosa_ambient::instant() }
}

fn taken(queue: &mut Numbers, weight: usize) -> Vec<u32> {
    let taken = queue.take(weight, BESIDE_FRESH);
    queue.admit_all();
    taken.into_iter().map(|entry| entry.value).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Send {
        source: u8,
        weight: usize,
        bytes: usize,
    },
    Take {
        weight: usize,
    },
    /// Somebody in line gives up.
    Leave {
        nth: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u8, 0..40_usize, 0..300_usize)
            .prop_map(|(source, weight, bytes)| Step::Send { source, weight, bytes }),
        2 => (1..60_usize).prop_map(|weight| Step::Take { weight }),
        1 => (0..10_usize).prop_map(|nth| Step::Leave { nth }),
    ]
}

proptest! {
    #[test]
    fn everything_comes_once_in_the_order_of_its_source_and_within_the_bounds(
        steps in prop::collection::vec(step(), 1..200)
    ) {
        let bounds = Bounds { entries: 16, bytes: 1_000 };
        let mut queue = Numbers::new(bounds);
        // By number: source and weight.
        let mut sent: BTreeMap<u32, (u8, usize)> = BTreeMap::new();
        let mut in_line = Vec::new();
        let mut last: BTreeMap<u8, u32> = BTreeMap::new();
        let mut number = 0;
        let mut check = |queue: &mut Numbers, sent: &mut BTreeMap<u32, (u8, usize)>, most: usize| {
            let values = taken(queue, most);
            let mut weight = 0;
            for value in &values {
                let (source, own) = sent.remove(value).expect("something that was sent, for the first time");
                weight += own;
                prop_assert!(last.insert(source, *value).is_none_or(|before| before < *value), "order");
            }
            prop_assert!(weight <= most || values.len() == 1, "a batch of {weight} instead of {most}");
            Ok(values.len())
        };
        for step in steps {
            match step {
                Step::Send { source, weight, bytes } => {
                    number += 1;
                    sent.insert(number, (source, weight));
                    if let Some((ticket, admitted)) = queue.enter(source, entry(number, weight, bytes)) {
                        in_line.push((number, source, ticket, admitted));
                    }
                }
                Step::Take { weight } => {
                    let had = queue.held.entries;
                    let got = check(&mut queue, &mut sent, weight)?;
                    prop_assert_eq!(got == 0, had == 0, "something is taken as long as there is something");
                }
                Step::Leave { nth } if nth < in_line.len() => {
                    let (number, source, ticket, mut admitted) = in_line.remove(nth);
                    queue.leave(source, ticket);
                    if admitted.try_recv().is_err() {
                        sent.remove(&number);
                    }
                }
                Step::Leave { .. } => {}
            }
            prop_assert!(queue.held.entries <= bounds.entries + queue.sources.len());
            prop_assert!(queue.held.bytes <= bounds.bytes + 300 * queue.sources.len());
            let held: usize = queue.sources.values().map(|source| source.entries.len()).sum();
            prop_assert_eq!(held, queue.held.entries);
            let waiting: usize = queue.sources.values().map(|source| source.waiting.len()).sum();
            prop_assert_eq!(waiting, queue.waiting);
        }
        while check(&mut queue, &mut sent, 50)? > 0 {}
        prop_assert!(sent.is_empty(), "left: {:?}", sent);
        prop_assert!(queue.sources.is_empty() && queue.fresh.is_empty() && queue.rotation.is_empty());
        prop_assert_eq!((queue.held.entries, queue.held.bytes, queue.waiting), (0, 0, 0));
    }

    /// However much others have queued, who sends a little is in the next batch, and in the one after it again.
    #[test]
    fn who_sends_a_little_is_in_the_next_batch(floods in 1..30_u8, weight in 1..8_usize, each in 1..9_usize) {
        let mut queue = Numbers::new(PLENTY);
        for number in 0..u32::from(floods) * 200 {
            queue.enter((number % u32::from(floods)) as u8, entry(number, each, 0));
        }
        // They are new only once.
        while !queue.fresh.is_empty() {
            taken(&mut queue, 256);
        }
        for message in 1_000_000..1_000_003 {
            queue.enter(u8::MAX, entry(message, weight, 0));
            prop_assert!(taken(&mut queue, 256).contains(&message));
        }
    }

    /// Any number of those who send a little leaves turns to who has more.
    #[test]
    fn who_has_more_is_not_kept_waiting_for_ever(others in 20..100_u32) {
        let mut queue = Numbers::new(PLENTY);
        for number in 0..1_000 {
            queue.enter(u8::MAX, entry(number, 1, 0));
        }
        taken(&mut queue, 64);
        let mut got = 0;
        for round in 1..others {
            for other in 0..others {
                queue.enter(other as u8, entry(1_000 * round + other, 8, 0));
            }
            got += taken(&mut queue, 64).iter().filter(|number| **number < 1_000).count();
        }
        prop_assert!(got >= 2 * QUANTUM, "{got}");
    }

    /// Those who always have something queued get the same, but for one turn and the largest entry.
    #[test]
    fn the_busy_share_alike(weights in prop::collection::vec(1..30_usize, 2..12)) {
        let mut queue = Numbers::new(PLENTY);
        for (source, weight) in weights.iter().enumerate() {
            for _ in 0..3_000 / weight {
                queue.enter(source as u8, entry(source as u32, *weight, 0));
            }
        }
        let mut got = vec![0; weights.len()];
        for _ in 0..2_000 * weights.len() / 256 {
            for source in taken(&mut queue, 256) {
                got[source as usize] += weights[source as usize];
            }
        }
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        prop_assert!(most - least <= 2 * (QUANTUM + 30), "{got:?}");
    }
}

#[test]
fn one_source_gets_half_of_the_queue_and_there_is_room_for_another() {
    let mut queue = Numbers::new(Bounds { entries: 100, bytes: 1 << 20 });
    let queued =
        |queue: &mut Numbers, source| (0..200).filter(|_| queue.enter(source, entry(0, 1, 1)).is_none()).count();
    assert_eq!(queued(&mut queue, 1), 50);
    assert_eq!(queued(&mut queue, 2), 25);
    // Bytes count as well.
    let mut queue = Numbers::new(Bounds { entries: 1 << 20, bytes: 1_000 });
    assert_eq!((0..9).filter(|_| queue.enter(1, entry(0, 1, 100)).is_none()).count(), 5);
    assert!(queue.enter(2, entry(0, 1, 2_000)).is_none(), "one entry of each source always fits");
    assert!(queue.enter(3, entry(0, 1, 0)).is_none());
}

#[tokio::test]
async fn who_waits_for_room_gets_it_in_order_and_may_give_up() {
    let (sender, receiver) = channel::<u8, u32>(Bounds { entries: 2, bytes: 1_000 });
    sender.send(1, Cost::rows(1), 1).await.unwrap();
    let sends = |value| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(1, Cost::rows(1), value).await })
    };
    let in_line = |count| {
        let channel = Arc::clone(&receiver.0);
        async move {
            while lock(&channel.queue).waiting != count {
                tokio::task::yield_now().await;
            }
        }
    };
    let second = sends(2);
    in_line(1).await;
    let third = sends(3);
    in_line(2).await;
    second.abort();
    in_line(1).await;
    let take = || receiver.take(1, 1).unwrap().into_iter().map(|entry| entry.value).collect::<Vec<_>>();
    assert_eq!(take(), [1]);
    assert_eq!(third.await.unwrap(), Ok(()));
    let fourth = sends(4);
    in_line(1).await;
    assert_eq!(take(), [3]);
    assert_eq!(fourth.await.unwrap(), Ok(()));
    // Without a consumer nobody waits.
    let fifth = sends(5);
    in_line(1).await;
    drop(receiver);
    assert_eq!(fifth.await.unwrap(), Err(Closed));
    assert_eq!(sender.send(2, Cost::rows(1), 6).await, Err(Closed));
}

#[tokio::test]
async fn who_is_alone_gets_larger_batches() {
    let (sender, receiver) = channel::<u8, u32>(PLENTY);
    let send = async |source, count| {
        for _ in 0..count {
            sender.send(source, Cost::rows(1), 0).await.unwrap();
        }
    };
    send(1, 200).await;
    assert_eq!(receiver.take(10, 100).unwrap().len(), 100);
    send(2, 1).await;
    assert_eq!(receiver.take(10, 100).unwrap().len(), 10);
}

#[test]
fn who_sends_a_little_waits_for_little_of_others() {
    let mut queue = Numbers::new(PLENTY);
    (0..1_000).for_each(|number| assert!(queue.enter(1, entry(number, 1, 0)).is_none()));
    taken(&mut queue, 64);
    queue.enter(2, entry(1_000_000, 3, 0));
    let batch = taken(&mut queue, 256);
    assert_eq!((batch[0], batch.len()), (1_000_000, 1 + BESIDE_FRESH));
    assert_eq!(taken(&mut queue, 256).len(), 256, "and then it is their turn again");
}

#[tokio::test]
async fn the_consumer_ends_when_the_senders_have_and_everything_was_taken() {
    let (sender, receiver) = channel::<u8, u32>(PLENTY);
    let other = sender.clone();
    let consumer =
        std::thread::spawn(move || std::iter::from_fn(|| receiver.take(1, 1)).map(|taken| taken.len()).sum::<usize>());
    for (source, sender) in [(1, &sender), (2, &other)] {
        sender.send(source, Cost::rows(1), 7).await.unwrap();
    }
    drop(sender);
    other.send(1, Cost::rows(1), 7).await.unwrap();
    drop(other);
    assert_eq!(subrosa_tasks::beside(|| consumer.join().unwrap()).await.unwrap(), 3);
}
