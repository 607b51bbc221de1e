//! Unlucky moments between two engines, each of which once lost something or told a person something wrong.

use crate::support::{Person, TestRelay};
use subrosa_client_core::api::{ContactState, MessageStatus};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_who_has_not_heard_the_answer_can_go_on_writing() {
    let (first, mut second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;

    let link = alice.link().await;
    // From now on alice's answer cannot reach bob; what bob writes reaches alice.
    bob.join(&link).await;
    second.stop().await;
    alice.contact_state("bob", ContactState::Ok).await;
    // What alice's engine had to tell her relay about the used link it has told by now: requests go in order.
    alice.link().await;
    let early = bob.send("alice", "are you there?").await;
    bob.wait(&early, MessageStatus::Sent).await;
    alice.message("are you there?").await;
    second.restart().await;
    bob.wait(&early, MessageStatus::Delivered).await;
}
