use subrosa_wire::{ErrorCode, mailbox::PrekeyCount};

use super::{Bench, Person};
use crate::router::{Router as _, Status};

/// A later claim displaces the earlier, which can neither renew nor end it.
pub(crate) async fn a_device_has_one_session<B: Bench>() {
    let bench = B::new().await;
    let (router, device) = (bench.router(), Person::new(1).device(1));
    let first = router.claim(device).await.unwrap();
    assert_eq!(router.renew(&first.lease).await.unwrap().map(|lease| lease.epoch), Some(first.lease.epoch));
    let second = router.claim(device).await.unwrap();
    assert!(second.lease.epoch > first.lease.epoch && second.lease.connected_ms >= first.lease.connected_ms);
    assert!(first.inbox.news().await.displaced);
    assert_eq!(router.renew(&first.lease).await.unwrap(), None);
    router.release(&first.lease).await;
    assert_eq!(router.lease(device).await.unwrap().map(|lease| lease.epoch), Some(second.lease.epoch));
    assert_eq!(router.sessions(), 1);
    router.release(&second.lease).await;
    assert_eq!((router.lease(device).await.unwrap(), router.sessions()), (None, 0));
}

/// News that comes before somebody waits for it is there when they do.
pub(crate) async fn news_before_the_wait_is_not_lost<B: Bench>() {
    let bench = B::new().await;
    let (router, device) = (bench.router(), Person::new(1).device(1));
    // For nobody: lost, and that is all.
    router.wake(device).await;
    let claim = router.claim(device).await.unwrap();
    router.wake(device).await;
    router.prekeys_low(device, PrekeyCount { one_time_ec: 1, one_time_kem: 2 }).await;
    let news = claim.inbox.news().await;
    assert!(news.wake && news.prekeys_low.is_some());
    router.end(device, ErrorCode::AccountDisabled).await;
    assert_eq!(claim.inbox.news().await.ended, Some(ErrorCode::AccountDisabled));
}

/// An account is present while a device of it is served.
pub(crate) async fn who_is_served_is_present<B: Bench>() {
    let bench = B::new().await;
    let (router, alice) = (bench.router(), Person::new(2));
    let present = async || router.is_present(alice.id).await.unwrap();
    assert!(!present().await);
    let (phone, laptop) = (router.claim(alice.device(1)).await.unwrap(), router.claim(alice.device(2)).await.unwrap());
    assert!(present().await);
    router.leaving(&phone.lease).await;
    assert!(present().await, "by the other");
    router.leaving(&laptop.lease).await;
    assert!(!present().await, "what it acknowledged is still being stored, but nobody is there");
    assert_eq!(router.lease(laptop.lease.device).await.unwrap().map(|lease| lease.status), Some(Status::Leaving));
    for claim in [phone, laptop] {
        router.release(&claim.lease).await;
    }
    assert!(!present().await);
}
