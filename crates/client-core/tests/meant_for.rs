//! A text goes to whom it was meant for: who is no contact is never written to by a slip, and nobody takes a name from another.

use crate::support::{Person, TestRelay, pair};
use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{
        ContactState, MessageStatus, NoParams, ReceiversParams, RenameParams, SendParams, Sent, VerifyParams, WhoParams,
    },
};

async fn send(from: &Person, to: &str, request: bool) -> Result<Sent, ApiError> {
    from.engine.send(SendParams { to: to.into(), body: "hello".into(), request, ..SendParams::default() }).await
}

async fn names(of: &Person) -> Vec<String> {
    let contacts = of.engine.contact_list(NoParams {}).await.unwrap().contacts;
    contacts.into_iter().map(|contact| contact.name).collect()
}

async fn rename(of: &Person, who: &str, name: &str) -> Result<String, ApiError> {
    let renamed = of.engine.contact_rename(RenameParams { who: who.into(), name: name.into() }).await;
    renamed.map(|contact| contact.name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_word_never_reaches_a_stranger_who_has_it_as_a_handle() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let frank = Person::new(&relay, "frank").await;
    pair(&alice, &bob).await;

    let refused = send(&alice, "frank", false).await.unwrap_err();
    assert_eq!(refused.code, ErrorKind::NotFound);
    assert!(refused.message.contains("frank") && refused.message.contains("nothing was sent to anybody"), "{refused}");
    assert!(refused.hint.unwrap().contains("subrosa request frank -m TEXT"));
    let all = ReceiversParams { to: ["bob", "me", "frank"].map(str::to_owned).to_vec() };
    let refused = alice.engine.receivers(all).await.unwrap_err();
    assert!(refused.message.contains("\"frank\"") && !refused.message.contains("bob"), "{refused}");
    assert_eq!(names(&alice).await, ["bob"], "asking makes no contact");
    let both = ReceiversParams { to: vec!["bob".into(), "me".into()] };
    let known = alice.engine.receivers(both).await.unwrap().receivers;
    assert_eq!((known[0].id.clone(), known[1].id.clone()), (bob.id().await, alice.id().await));

    // Said to be a request it goes, once; and then they are somebody we asked.
    let asked = send(&alice, "frank", true).await.unwrap();
    alice.wait(&asked, MessageStatus::Sent).await;
    frank.contact_state("alice", ContactState::Request).await;
    send(&alice, "frank", false).await.unwrap();
    let unasked = send(&frank, "alice", false).await.unwrap_err();
    assert!(unasked.hint.unwrap().contains("contact accept"));
    for own in ["alice", "me"] {
        assert_eq!(send(&alice, own, true).await.unwrap_err().code, ErrorKind::Usage, "nobody asks themselves");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_a_handle_never_reaches_a_contact_who_is_only_named_so() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let _frank = Person::new(&relay, "frank").await;
    pair(&alice, &bob).await;
    rename(&alice, "bob", "frank").await.unwrap();
    let refused = send(&alice, "frank", true).await.unwrap_err();
    assert_eq!(refused.code, ErrorKind::Usage);
    assert!(refused.message.contains("handle bob") && refused.message.contains("nothing was sent"), "{refused}");
    send(&alice, "frank", false).await.unwrap();
    bob.message("hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handle_of_a_renamed_contact_is_not_free_for_somebody_else() {
    let (one, two) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&one, "alice").await;
    let bob = Person::new(&one, "bob").await;
    let other = Person::new(&two, "bob").await;
    let carol = Person::new(&one, "carol").await;
    pair(&alice, &bob).await;
    pair(&alice, &carol).await;
    assert_eq!(rename(&alice, "bob", "Robert").await.unwrap(), "Robert");
    for taken in ["bob", "BOB", "Robert", "alice", "Al\u{200b}ice", "me", &bob.id().await[..8]] {
        assert_eq!(rename(&alice, "carol", taken).await.unwrap_err().code, ErrorKind::Usage, "{taken}");
    }
    send(&alice, "bob", false).await.unwrap();
    bob.message("hello").await;

    other.join(&alice.link().await).await;
    let notice = alice.notice("look_alike").await;
    let theirs = other.id().await;
    let name = format!("bob~{}", &theirs[..8]);
    let chat = alice.contact(&theirs).await.chat;
    assert_eq!(notice.chat.as_deref(), Some(chat.as_str()));
    assert!(notice.text.contains(&name) && notice.text.contains("looks like Robert (handle bob)"), "{}", notice.text);
    alice.contact_state(&name, ContactState::Ok).await;

    // The handle alone decides nothing any more; each name does.
    let refused = send(&alice, "Bob", false).await.unwrap_err();
    assert_eq!((refused.code, refused.code.exit_code()), (ErrorKind::Usage, 2));
    for part in ["Robert (handle bob, id ", &bob.id().await[..12], &name, &theirs[..12], "nothing was sent to anybody"]
    {
        assert!(refused.message.contains(part), "{part}: {refused}");
    }
    let refused = alice.engine.contact_show(WhoParams { who: "bob".into() }).await.unwrap_err();
    assert_eq!(refused.code, ErrorKind::Usage);
    let sent = send(&alice, "robert", false).await.unwrap();
    assert_eq!(sent.chat, alice.contact(&bob.id().await).await.chat);
    assert_eq!(send(&alice, &name, false).await.unwrap().chat, chat);
    assert_eq!(send(&alice, &theirs[..8], false).await.unwrap().chat, chat);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_like_a_contact_is_marked_until_the_person_decides() {
    let (one, two) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&one, "alice").await;
    let bill = Person::new(&one, "bill").await;
    let alike = Person::new(&two, "bi1l").await;
    let own = Person::new(&two, "a1ice").await;
    pair(&alice, &bill).await;
    let link = alice.link().await;
    for (person, like) in [(&alike, "bill"), (&own, "yourself")] {
        // Their side: nobody known looks like alice, except to somebody who is nearly called so.
        person.join(if like == "bill" { link.clone() } else { alice.link().await }.as_str()).await;
        let id = person.id().await;
        let name = format!("{}~{}", person.name, &id[..8]);
        let contact = alice.contact_state(&name, ContactState::Ok).await;
        assert_eq!((contact.handle.as_str(), contact.looks_like.as_deref()), (person.name.as_str(), Some(like)));
    }
    assert_eq!(alice.contact("bill").await.looks_like, None, "who was there first is not marked");
    rename(&alice, "bi1l", "William the second").await.unwrap();
    assert_eq!(alice.contact("William the second").await.looks_like, None);
    let number = own.engine.verify(VerifyParams { who: alice.id().await, number: None }).await.unwrap().safety_number;
    let who = own.id().await;
    alice.engine.verify(VerifyParams { who: who.clone(), number: Some(number) }).await.unwrap();
    let verified = alice.contact(&who).await;
    assert!(verified.looks_like.is_none() == verified.verified, "{verified:?}");
}
