//! The short form of the attack (`docs/reliability.md` has the long one's figures): everything hostile at
//! once, while two people talk.

// A test says what it expects by unwrapping it.

use std::time::Duration;

use subrosa_harness::attack::{KINDS, MEMORY_BOUND_KIB, Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_goes_on_under_every_attack_at_once() {
    let root = tempfile::tempdir().unwrap();
    let plan = Plan { messages: 400, pace: Duration::from_millis(20), kinds: Vec::new(), hosts: 1, apart: false };
    // Fails if a message is refused, lost or out of order, or a newcomer is not served afterwards.
    let report = run(&plan, root.path()).await.unwrap();
    assert_eq!((report.quiet.count(), report.attacked.count()), (400, 400));
    assert!(report.after.most_kib <= MEMORY_BOUND_KIB, "{:?}", report.after);
    assert!(KINDS.iter().all(|kind| report.counts.contains_key(*kind)));
    let at_work: Vec<_> = report.counts.iter().filter(|(_, rounds)| **rounds > 0).map(|(kind, _)| kind).collect();
    assert!(at_work.len() >= KINDS.len() / 2, "most attackers got to a second round: {:?}", report.counts);
}
