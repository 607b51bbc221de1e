use super::{Bench, Person, SOURCE, accepted};
use crate::{backend::Mailbox as _, clock::now_ms};

/// Numbers rise in the order in which rows become visible: once a row was read, no row appears below it. So a reader that goes on behind the
/// last number misses nothing.
pub(crate) async fn no_row_appears_below_one_that_was_read<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    let (writers, each) = (8, 40);
    let writing = async {
        let all = (0..writers).map(|_| async {
            for _ in 0..each {
                accepted(&bench, vec![alice.envelope(1)]).await;
            }
        });
        futures_util::future::join_all(all).await;
    };
    let reading = async {
        let (mut seen, mut last) = (0, 0);
        while seen < writers * each {
            for row in bench.store().read(alice.device(1), last, 64).await.unwrap().rows {
                assert!(row.seq > last);
                last = row.seq;
                seen += 1;
            }
            tokio::task::yield_now().await;
        }
        last
    };
    let ((), last) = tokio::join!(writing, reading);
    let all = alice.waiting(&bench, 1).await;
    assert_eq!((all.len(), all.last().unwrap().seq), (writers * each, last));
}

/// A number is never given twice: not after everything was acknowledged, not after a restart.
pub(crate) async fn a_number_is_never_given_twice<B: Bench>() {
    let mut bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    let mut last = 0;
    for _ in 0..3 {
        accepted(&bench, vec![alice.envelope(1), alice.envelope(1)]).await;
        let rows = alice.waiting(&bench, 1).await;
        assert!(rows.len() == 2 && rows[0].seq > last);
        last = rows[1].seq;
        bench.store().ack(SOURCE, alice.device(1), last, 2).await.unwrap();
        let before = bench.store().state(alice.device(1)).await.unwrap();
        bench = bench.killed().await;
        let state = bench.store().state(alice.device(1)).await.unwrap();
        assert_eq!((state.acked, state.epoch), (last, before.epoch), "the same life");
        assert!(alice.waiting(&bench, 1).await.is_empty());
    }
}

/// An acknowledgement is durable, goes forwards only, may come again, and is worth no more than what was given.
pub(crate) async fn what_is_acknowledged_is_gone_and_nothing_else<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    accepted(&bench, (0..4).map(|_| alice.envelope(1)).collect()).await;
    let rows = alice.waiting(&bench, 1).await;
    let (store, device) = (bench.store(), alice.device(1));
    for upto in [rows[1].seq, rows[1].seq, rows[0].seq] {
        store.ack(SOURCE, device, upto, 2).await.unwrap();
        let left: Vec<_> = alice.waiting(&bench, 1).await.iter().map(|row| row.seq).collect();
        assert_eq!(left, [rows[2].seq, rows[3].seq]);
    }
    store.ack(SOURCE, device, u64::MAX, 2).await.unwrap();
    assert_eq!(store.state(device).await.unwrap().acked, rows[3].seq);
    accepted(&bench, vec![alice.envelope(1)]).await;
    assert_eq!(alice.waiting(&bench, 1).await.len(), 1);
    // Of a device that is nobody's.
    store.ack(SOURCE, alice.device(9), 5, 1).await.unwrap();
}

/// Pages follow each other without a gap, and the last says that it is.
pub(crate) async fn pages_cover_a_mailbox<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    accepted(&bench, (0..10).map(|_| alice.envelope(1)).collect()).await;
    let (mut after, mut count) = (0, 0);
    loop {
        let page = bench.store().read(alice.device(1), after, 4).await.unwrap();
        assert!(page.rows.len() <= 4 && page.rows.iter().all(|row| row.seq > after));
        count += page.rows.len();
        after = page.rows.last().map_or(after, |row| row.seq);
        if !page.more {
            break;
        }
    }
    assert_eq!(count, 10);
}

/// What has expired is not read, and is deleted when it is looked for; the rest stays.
pub(crate) async fn what_has_expired_is_neither_read_nor_kept<B: Bench>() {
    let bench = B::new().await;
    let alice = Person::registered(&bench, 1).await;
    let mut short = alice.envelope(1);
    short.expiry_s = 3_600;
    accepted(&bench, vec![short, alice.envelope(1)]).await;
    bench.store().expire(now_ms()).await.unwrap();
    assert_eq!(alice.waiting(&bench, 1).await.len(), 2);
    bench.store().expire(now_ms() + 3_601_000).await.unwrap();
    assert_eq!(alice.waiting(&bench, 1).await.len(), 1);
}
