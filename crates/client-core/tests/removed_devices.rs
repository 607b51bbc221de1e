//! A device that was removed from its account gets nothing, says nothing that counts, and is told so.

use crate::support::{PATIENCE_MS, Person, TestRelay, copied, pair, start};
use subrosa_client_core::{
    Client, DeviceRequest, ErrorKind, OwnDevice,
    api::{Connection, Event, EventsParams, MessageStatus, NoParams, SendParams},
};

const REMOVED: &str = "this device was removed from its account";

/// Waits until somebody's list of a contact's devices has this length.
async fn knows_devices(person: &Person, contact: &str, count: u32) {
    person
        .event(|event| match event {
            Event::Contact(event) if event.contact.name == contact && event.contact.devices == count => Some(()),
            _ => None,
        })
        .await;
}

async fn numbers(person: &Person) -> Vec<u32> {
    person.engine.devices().await.unwrap().iter().map(|device| device.number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_gets_nothing_more_and_says_so() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let mut phone = alice.add_device().await;
    let both = bob.send("alice", "for both").await;
    bob.wait(&both, MessageStatus::Delivered).await;
    phone.message("for both").await;
    knows_devices(&bob, "alice", 2).await;
    // One that was off while it was removed finds out when it is let in no more.
    phone.engine.shutdown().await;
    let before = copied(phone.dir.path());
    phone.restart().await;
    phone.settled().await;

    let devices = alice.engine.devices().await.unwrap();
    let first = OwnDevice { number: 1, since_list: 1, this: true };
    assert_eq!(devices, [first, OwnDevice { number: 2, since_list: 2, this: false }]);
    let refused = |error: subrosa_client_core::ApiError| (error.code, error.message);
    let (code, message) = refused(phone.engine.remove_device(1).await.unwrap_err());
    assert!(code == ErrorKind::Failed && message.contains("first device"), "{message}");
    let (code, message) = refused(alice.engine.remove_device(1).await.unwrap_err());
    assert!(code == ErrorKind::Usage && message.contains("cannot remove itself"), "{message}");
    assert_eq!(refused(alice.engine.remove_device(7).await.unwrap_err()).0, ErrorKind::NotFound);
    assert_eq!(numbers(&alice).await, [1, 2], "nothing was removed");

    alice.engine.remove_device(2).await.unwrap();
    assert_eq!(alice.engine.devices().await.unwrap(), [first]);
    assert!(phone.notice("device_removed").await.text.contains(REMOVED));
    let status = status_of(&phone, Connection::Removed).await;
    assert!(status.unwrap().contains(REMOVED));
    let send = SendParams { to: "bob".into(), body: "from the removed".into(), ..SendParams::default() };
    assert_eq!(refused(phone.engine.send(send).await.unwrap_err()).0, ErrorKind::Refused);

    // Bob learns it with the next word, and what he says goes to the first device only.
    let word = alice.send("bob", "one device now").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    knows_devices(&bob, "alice", 1).await;
    let one = bob.send("alice", "for the first only").await;
    bob.wait(&one, MessageStatus::Delivered).await;
    alice.message("for the first only").await;
    phone.restart().await;
    assert!(phone.engine.status(NoParams {}).await.unwrap().error.unwrap().contains(REMOVED), "it does not even ask");
    assert_eq!(phone.bodies("bob").await, ["for both"]);

    let returns = Person { engine: start(before.path()).await, dir: before, name: "alice".into() };
    returns.notice("device_removed").await;
    status_of(&returns, Connection::Removed).await;
    assert_eq!(returns.bodies("bob").await, ["for both"]);
}

/// Waits until the connection stands so; its error then.
async fn status_of(person: &Person, wanted: Connection) -> Option<String> {
    let mut status = person.engine.status(NoParams {}).await.unwrap();
    while status.relay != wanted {
        let params = subrosa_client_core::api::StatusWatchParams { relay: status.relay, wait_ms: PATIENCE_MS };
        let next = person.engine.status_watch(params).await.unwrap();
        assert_ne!(next.relay, status.relay, "{} waited in vain for {wanted:?}", person.name);
        status = next;
    }
    status.error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_device_had_still_to_send_is_not_shown() {
    let (mut first, mut second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "bob").await;
    pair(&alice, &bob).await;
    let mut phone = alice.add_device().await;
    let hello = phone.send("bob", "from the second device").await;
    phone.wait(&hello, MessageStatus::Delivered).await;
    knows_devices(&bob, "alice", 2).await;
    // It waits on the phone, which is then switched off.
    second.stop().await;
    let late = phone.send("bob", "send the money here").await;
    phone.engine.shutdown().await;
    second.restart().await;

    alice.engine.remove_device(2).await.unwrap();
    alice.settled().await;
    let word = alice.send("bob", "one device now").await;
    alice.wait(&word, MessageStatus::Delivered).await;
    knows_devices(&bob, "alice", 1).await;

    // The phone cannot find out while the account's relay is away, and bob's relay takes what it has.
    first.stop().await;
    phone.engine = start(phone.dir.path()).await;
    phone.wait(&late, MessageStatus::Sent).await;
    let after = alice.send("bob", "after it").await;
    alice.wait(&after, MessageStatus::Sent).await;
    bob.message("after it").await;
    let shown = bob.bodies("alice").await;
    assert_eq!(shown, ["from the second device", "one device now", "after it"]);
    first.restart().await;
    phone.notice("device_removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_never_used_again_and_a_full_account_takes_no_more() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let request = || DeviceRequest::new().unwrap().identity_key();
    let fifth = request();
    for key in [request(), request(), request(), fifth] {
        alice.engine.authorize_device(key).await.unwrap();
    }
    assert_eq!(numbers(&alice).await, [1, 2, 3, 4, 5]);
    let full = alice.engine.authorize_device(request()).await.err().unwrap();
    assert!(full.code == ErrorKind::Failed && full.message.contains("5 devices"), "{full:?}");
    alice.engine.remove_device(5).await.unwrap();
    alice.engine.remove_device(3).await.unwrap();
    alice.engine.authorize_device(request()).await.unwrap();
    assert_eq!(numbers(&alice).await, [1, 2, 4, 6]);
    let twice = request();
    alice.engine.authorize_device(twice).await.unwrap();
    assert_eq!(numbers(&alice).await, [1, 2, 4, 6, 7]);
    alice.engine.remove_device(6).await.unwrap();
    let again = alice.engine.authorize_device(twice).await.err().unwrap();
    assert!(again.code == ErrorKind::Usage && again.message.contains("device 7"), "{again:?}");
    // A key that was removed comes back as another device.
    alice.engine.authorize_device(fifth).await.unwrap();
    assert_eq!(numbers(&alice).await, [1, 2, 4, 7, 8]);
    assert_eq!(alice.engine.devices().await.unwrap()[4].since_list, 11);
    // The relay has agreed to each list.
    alice.settled().await;
    let params = EventsParams { since: Some(0), max: None, wait_ms: 0 };
    let events = alice.engine.events(params).await.unwrap().events;
    assert!(!events.iter().any(|event| matches!(event, Event::Notice(_))), "a request was refused: {events:?}");
}
