use subrosa_wire::{EnvelopeId, ErrorCode};

use super::{Bench, Person, hash};
use crate::{
    backend::Source,
    ledger::{Ledger as _, Limit},
    policy::permission::Permission,
};

/// What is taken or charged is less for everybody who asks later; what is only asked about is not.
pub(crate) async fn a_limit_is_one_limit<B: Bench>() {
    let bench = B::new().await;
    let (ledger, limit) = (bench.ledger(), Limit::Account(Person::new(1).id));
    let left = async || ledger.left(vec![limit]).await[0].tokens;
    let all = left().await;
    assert!(all > 10);
    ledger.take(limit, 0).await.unwrap();
    assert_eq!(left().await, all);
    ledger.take(limit, 4).await.unwrap();
    ledger.charge(vec![(limit, 2), (Limit::Capability(hash(1)), 1)]).await;
    assert!((all - 6..=all - 5).contains(&left().await), "it refills with time");
    // Beyond it: what happened is counted, and nothing more may.
    ledger.charge(vec![(limit, all + 5)]).await;
    assert_eq!(left().await, 0);
    assert!(ledger.take(limit, 1).await.unwrap_err() > 0);
    let other = Limit::Account(Person::new(1).id);
    assert_eq!(ledger.left(vec![other]).await[0].tokens, all, "others have their own");
}

/// A device's one-time keys are shared out, and who is beyond a share does not use up that of others.
pub(crate) async fn one_time_keys_are_shared_out<B: Bench>() {
    let bench = B::new().await;
    let device = Person::new(1).device(1);
    let asks = async |address: &str, permission| {
        let source = Source::of(address.parse().unwrap());
        let mut given = 0;
        for _ in 0..50 {
            given += u32::from(bench.ledger().share(source, device, permission).await);
        }
        given
    };
    let key = Permission::DeliveryKey(hash(1));
    let first = asks("192.0.2.1", key).await;
    assert!(first > 0 && first < 50);
    assert!(asks("192.0.2.2", key).await > 0, "another asker");
    assert!(asks("192.0.2.3", Permission::ContactToken(hash(2), hash(3))).await > 0, "another capability");
    assert_eq!(asks("192.0.2.4", Permission::Missing).await, 0);
}

/// A pair has one request until the receiver has it; one that was not stored does not count.
pub(crate) async fn a_pair_has_one_request<B: Bench>() {
    let bench = B::new().await;
    let (ledger, sender, receiver) = (bench.ledger(), Person::new(1).id, Person::new(1).id);
    let envelope = EnvelopeId([1; 16]);
    ledger.request(sender, receiver).await.unwrap();
    ledger.requested(sender, receiver, Vec::new()).await;
    ledger.request(sender, receiver).await.unwrap();
    ledger.requested(sender, receiver, vec![envelope]).await;
    assert_eq!(ledger.request(sender, receiver).await.unwrap_err().code, ErrorCode::RequestPending);
    ledger.answered(receiver, vec![EnvelopeId([2; 16])]).await;
    assert!(ledger.request(sender, receiver).await.is_err());
    ledger.forget_old().await;
    ledger.answered(receiver, vec![envelope]).await;
    ledger.request(sender, receiver).await.unwrap();
}
