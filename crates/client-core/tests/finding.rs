//! Replies, notes, search, pages of history, settings of chats, keys, and the outbox as a person sees it.

use crate::support::{Person, TestRelay, pair};
use subrosa_client_core::{
    Client, ErrorKind,
    api::{
        ChatDraftParams, ChatKind, ChatSetParams, Event, HistoryParams, InfoParams, Message, MessageStatus, NoParams,
        OutboxCancelParams, OutboxListParams, OutboxRetryParams, SearchParams, SendParams,
    },
    limits::MUTED_FOR_EVER_MS,
};

fn text(to: &str, body: &str) -> SendParams {
    SendParams { to: to.into(), body: body.into(), ..SendParams::default() }
}

async fn found(person: &Person, query: &str) -> Vec<Message> {
    person.engine.search(SearchParams { query: query.into(), ..SearchParams::default() }).await.unwrap().hits
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_shows_what_it_answers_where_that_is_known() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let question = alice.send("bob", &"lunch? ".repeat(60)).await;
    bob.message(&"lunch? ".repeat(60)).await;
    bob.engine.send(SendParams { reply_to: Some(question.id[..8].into()), ..text("alice", "yes") }).await.unwrap();
    let reply = alice.message("yes").await.reply_to.unwrap();
    assert_eq!((reply.id, reply.from.unwrap().name), (question.id.clone(), "alice".into()));
    assert_eq!(reply.quote.unwrap().chars().count(), 200);
    assert_eq!(bob.history("alice").await[1].reply_to.as_ref().unwrap().id, question.id, "on both sides");

    // Unknown here: only the id is shown. A message of another chat is not shown either.
    let note = alice.send("me", "secret").await;
    for id in ["ab".repeat(16), note.id] {
        let params = SendParams { reply_to: Some(id.clone()), ..text("alice", &format!("about {id}")) };
        bob.engine.send(params).await.unwrap();
        let reply = alice.message(&format!("about {id}")).await.reply_to.unwrap();
        assert_eq!((reply.id, reply.from, reply.quote), (id, None, None));
    }
    let wrong = bob.engine.send(SendParams { reply_to: Some("xyz".into()), ..text("alice", "no") }).await;
    assert_eq!(wrong.unwrap_err().code, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_to_self_are_kept_read_and_leave_for_no_relay() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    relay.stop().await;
    let id = alice.id().await;
    for (name, body) in [("me", "milk"), ("alice", "bread"), (id.as_str(), "eggs")] {
        assert_eq!(alice.send(name, body).await.status, MessageStatus::Read);
    }
    assert_eq!(alice.bodies("me").await, ["milk", "bread", "eggs"]);
    let chats = alice.engine.chats(Default::default()).await.unwrap().chats;
    assert_eq!((chats.len(), chats[0].kind, chats[0].name.as_str()), (1, ChatKind::Notes, "Note to self"));
    assert_eq!((chats[0].unread, chats[0].last.as_ref().unwrap().body.as_str()), (0, "eggs"));
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().outbox, 0);
    let info = alice.engine.info(InfoParams { id: alice.history("me").await[0].id.clone() }).await.unwrap();
    assert_eq!((info.status, info.total), (MessageStatus::Read, 0));
    assert_eq!(bodies(&found(&alice, "bread").await), ["bread"]);
    alice.read("me").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_takes_any_query_as_plain_words_newest_first() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    for body in
        ["the quick brown fox", "Quick Brot in München", "NEAR the AND gate", "明日は東京タワーへ行く", "well done 🎉"]
    {
        alice.send("me", body).await;
    }
    let sent = bob.send("alice", "quick question").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
    for (query, expected) in [
        ("quick", &["quick question", "Quick Brot in München", "the quick brown fox"][..]),
        ("QUICK bro", &["Quick Brot in München", "the quick brown fox"]),
        ("bro quick", &["quick question"][..0]),
        ("munch", &["Quick Brot in München"]),
        ("near AND", &["NEAR the AND gate"]),
        ("東京", &["明日は東京タワーへ行く"]),
        ("タワ", &["明日は東京タワーへ行く"]),
        ("京東", &[][..0]),
        ("🎉", &["well done 🎉"]),
        ("\"quick\" OR fox*", &[][..0]),
        ("body:quick", &[][..0]),
        ("a\0the quick", &[][..0]),
    ] {
        assert_eq!(bodies(&found(&alice, query).await), expected, "{query:?}");
    }
    for empty in ["", "\"\"", "\0*()", &"x".repeat(1_025)] {
        let error = alice.engine.search(SearchParams { query: empty.into(), ..SearchParams::default() }).await;
        assert_eq!(error.unwrap_err().code, ErrorKind::Usage, "{empty:?}");
    }
    let only = SearchParams { query: "quick".into(), chat: Some("me".into()), limit: Some(1), before: None };
    let first = alice.engine.search(only.clone()).await.unwrap();
    assert_eq!(bodies(&first.hits), ["Quick Brot in München"]);
    assert_eq!(first.hits[0].chat_name.as_deref(), Some("Note to self"));
    assert!(first.hits[0].snippet.iter().any(|part| part.hit && part.text == "Quick"));
    let second = alice.engine.search(SearchParams { before: first.next, ..only }).await.unwrap();
    assert_eq!(bodies(&second.hits), ["the quick brown fox"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_goes_on_in_both_directions_from_any_message() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(alice.send("me", &n.to_string()).await.id);
    }
    let page = async |before: Option<usize>, after: Option<usize>, around: Option<usize>, limit: u32| {
        let id = |at: Option<usize>| at.map(|at| ids[at].clone());
        let params = HistoryParams {
            chat: "me".into(),
            limit: Some(limit),
            before: id(before),
            after: id(after),
            around: id(around),
            ..HistoryParams::default()
        };
        let page = alice.engine.history(params).await.unwrap();
        let bodies = page.messages.iter().map(|message| message.body.as_str()).collect::<String>();
        (bodies, page.more_before, page.more_after)
    };
    assert_eq!(page(None, None, None, 3).await, ("789".into(), true, false));
    assert_eq!(page(None, None, None, 10).await, ("0123456789".into(), false, false));
    assert_eq!(page(Some(7), None, None, 3).await, ("456".into(), true, true));
    assert_eq!(page(Some(2), None, None, 3).await, ("01".into(), false, true));
    assert_eq!(page(None, Some(6), None, 2).await, ("78".into(), true, true));
    assert_eq!(page(None, Some(7), None, 2).await, ("89".into(), true, false));
    assert_eq!(page(None, None, Some(5), 5).await, ("34567".into(), true, true));
    assert_eq!(page(None, None, Some(0), 4).await, ("01".into(), false, true));
    assert_eq!(page(None, None, Some(9), 1).await, ("9".into(), true, false));
    let oldest =
        |limit| HistoryParams { chat: "me".into(), oldest: true, limit: Some(limit), ..HistoryParams::default() };
    let begin = alice.engine.history(oldest(3)).await.unwrap();
    assert_eq!((bodies(&begin.messages), begin.more_before, begin.more_after), (vec!["0", "1", "2"], false, true));
    let whole = alice.engine.history(oldest(10)).await.unwrap();
    assert_eq!((whole.messages.len(), whole.more_before, whole.more_after), (10, false, false));
    for wrong in [
        HistoryParams { before: Some(ids[1].clone()), after: Some(ids[2].clone()), ..oldest(1) },
        HistoryParams { oldest: false, before: Some(ids[1].clone()), after: Some(ids[2].clone()), ..oldest(1) },
        HistoryParams { around: Some(ids[1].clone()), ..oldest(1) },
    ] {
        assert_eq!(alice.engine.history(wrong).await.unwrap_err().code, ErrorKind::Usage);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_are_muted_pinned_archived_and_keep_drafts() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    let carol = Person::new(&relay, "carol").await;
    pair(&alice, &bob).await;
    pair(&alice, &carol).await;
    let first = bob.send("alice", "one").await;
    bob.wait(&first, MessageStatus::Delivered).await;
    let sent = carol.send("alice", "two").await;
    carol.wait(&sent, MessageStatus::Delivered).await;
    let names = async || -> Vec<String> {
        let chats = alice.engine.chats(Default::default()).await.unwrap().chats;
        chats.into_iter().map(|chat| chat.name).collect()
    };
    assert_eq!(names().await, ["carol", "bob"]);
    let set = |params: ChatSetParams| alice.engine.chat_set(params);
    let bobs = |params: ChatSetParams| set(ChatSetParams { chat: "bob".into(), ..params });
    let chat = bobs(ChatSetParams { pinned: Some(true), ..Default::default() }).await.unwrap();
    assert_eq!((chat.pinned, chat.unread, chat.first_unread.as_deref()), (true, 1, Some(first.id.as_str())));
    assert_eq!(names().await, ["bob", "carol"]);
    bobs(ChatSetParams { muted_until_ms: Some(MUTED_FOR_EVER_MS), archived: Some(true), ..Default::default() })
        .await
        .unwrap();
    assert_eq!(names().await, ["carol"]);
    // Muted: it stays away. Not muted: it comes back.
    let sent = bob.send("alice", "three").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(names().await, ["carol"]);
    let chat = bobs(ChatSetParams { muted_until_ms: Some(0), ..Default::default() }).await.unwrap();
    assert_eq!((chat.muted_until_ms, chat.archived, chat.unread), (None, true, 2));
    let sent = bob.send("alice", "four").await;
    bob.wait(&sent, MessageStatus::Delivered).await;
    assert_eq!(names().await, ["bob", "carol"]);

    let draft = |text: &str| alice.engine.chat_draft(ChatDraftParams { chat: "bob".into(), text: text.into() });
    assert_eq!(draft("dear bob").await.unwrap().count, 1);
    assert_eq!(draft("dear bob").await.unwrap().count, 0, "nothing new");
    let chats = alice.engine.chats(Default::default()).await.unwrap().chats;
    assert_eq!(chats[0].draft.as_deref(), Some("dear bob"));
    // Reading is an event without draft and last message.
    alice.read("bob").await;
    let event = alice
        .event(|event| match event {
            Event::Chat(event) if event.chat.name == "bob" && event.chat.unread == 0 => Some(event.chat.clone()),
            _ => None,
        })
        .await;
    assert_eq!((event.first_unread, event.draft, event.last), (None, None, None));
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().unread, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_sends_once_and_belongs_to_one_text() {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let with_key =
        |to: &str, body: &str| alice.engine.send(SendParams { key: Some("backup-24".into()), ..text(to, body) });
    let first = with_key("bob", "done").await.unwrap();
    let again = with_key("bob", "done").await.unwrap();
    assert_eq!((&first.id, first.ts_ms), (&again.id, again.ts_ms));
    assert_ne!(with_key("me", "done").await.unwrap().id, first.id, "each chat has its own");
    let other = with_key("bob", "failed").await.unwrap_err();
    assert_eq!(other.code, ErrorKind::Usage);
    assert!(other.message.contains("backup-24"), "{other:?}");
    for wrong in ["".to_owned(), "k".repeat(257)] {
        let refused = alice.engine.send(SendParams { key: Some(wrong), ..text("bob", "x") }).await;
        assert_eq!(refused.unwrap_err().code, ErrorKind::Usage);
    }
    alice.wait(&first, MessageStatus::Delivered).await;
    let end = alice.send("bob", "end").await;
    alice.wait(&end, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["done", "end"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_listed_tried_again_and_taken_back() {
    let mut relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let bob = Person::new(&relay, "bob").await;
    pair(&alice, &bob).await;
    let gone = alice.send("bob", "gone").await;
    alice.wait(&gone, MessageStatus::Delivered).await;
    relay.stop().await;
    let stays = alice.send("bob", "stays").await;
    let back = alice.send("bob", "taken back").await;

    let list = alice.engine.outbox_list(OutboxListParams::default()).await.unwrap();
    assert_eq!((list.total, list.entries.len()), (2, 2));
    assert_eq!((&list.entries[0].id, list.entries[0].name.as_str()), (&stays.id, "bob"));
    let cancel = |id: &str| alice.engine.outbox_cancel(OutboxCancelParams { id: id.into() });
    assert_eq!(cancel(&gone.id).await.unwrap_err().code, ErrorKind::Failed);
    // While a try is under way nobody knows; it ends soon, for there is no relay.
    let count = loop {
        match cancel(&back.id).await {
            Ok(done) => break done.count,
            Err(error) => assert!(error.message.contains("on its way"), "{error:?}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(count, 1);
    assert_eq!(cancel(&back.id).await.unwrap().count, 0, "again: nothing more");
    assert_eq!(alice.engine.status(NoParams {}).await.unwrap().outbox, 1);

    relay.restart().await;
    assert_eq!(alice.engine.outbox_retry(OutboxRetryParams::default()).await.unwrap().count, 1);
    alice.wait(&stays, MessageStatus::Delivered).await;
    let last = alice.send("bob", "last").await;
    alice.wait(&last, MessageStatus::Delivered).await;
    assert_eq!(bob.bodies("alice").await, ["gone", "stays", "last"]);
    let history = alice.history("bob").await;
    assert_eq!(history[2].status, Some(MessageStatus::Failed));
}
