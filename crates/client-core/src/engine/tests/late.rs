//! Messages that claim another place or time than they came at.

use subrosa_wire::DeviceAddress;

use super::{support::Person, support::TestRelay, support::pair};

use crate::{
    Client as _,
    api::{Chat, ChatsParams, Message, MessageStatus},
    content::{Body, Content, Text},
    engine::core::{ids::random_id, now_ms},
    limits::{CLOCK_FOLLOWS, MAX_CLOCK_AHEAD, millis},
    store::{self, deliveries::ALL_DEVICES},
};

impl Person {
    /// Sends a text with a clock, and a time so long ago, of the sender's choice.
    async fn claims(&self, to: &Self, body: &'static str, clock: u64, ago_ms: u64) {
        let account = to.account().await;
        self.inside(move |core| {
            core.change(|change| {
                let conversation = change.own.chat_with(&account);
                let text = Text { text: body.to_owned(), ..Text::default() };
                let content = Content {
                    version: 1,
                    random: random_id()?.to_vec(),
                    clock,
                    sent_ms: now_ms() - ago_ms,
                    conversation: conversation.0.to_vec(),
                    shown: true,
                    body: Some(Body::Text(text)),
                    ..Content::default()
                };
                let to = DeviceAddress { account, device: ALL_DEVICES };
                change.put_content(&conversation, None, &content, &[to], false)
            })
            .unwrap();
        })
        .await;
    }

    async fn chat(&self, name: &str) -> Chat {
        let chats = self.engine.chats(ChatsParams::default()).await.unwrap().chats;
        chats.into_iter().find(|chat| chat.name == name).unwrap()
    }

    /// What is here has been here for a minute.
    async fn a_minute_passes(&self) {
        self.inside(|core| core.db.execute("UPDATE message SET arrived_ms = arrived_ms - 60000", []).unwrap()).await;
    }

    /// The clock of the newest message with somebody.
    async fn clock_with(&self, other: &Self) -> u64 {
        let account = other.account().await;
        self.inside(move |core| {
            store::messages::highest_clock(&core.db, &core.own.chat_with(&account), u64::MAX >> 1).unwrap()
        })
        .await
    }
}

async fn two_people() -> (TestRelay, Person, Person) {
    let relay = TestRelay::start().await;
    let alice = Person::new(&relay, "alice").await;
    let mallory = Person::new(&relay, "mallory").await;
    pair(&alice, &mallory).await;
    (relay, alice, mallory)
}

fn plain(message: &Message) -> bool {
    !message.late && !message.ahead && message.arrived_ms.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_put_in_above_our_answer_is_marked_stays_unread_and_is_found() {
    let (_relay, alice, mallory) = two_people().await;
    let asked = mallory.send("alice", "Shall we meet on Saturday?").await;
    assert!(plain(&alice.message("Shall we meet on Saturday?").await));
    alice.read("mallory").await;
    let answer = alice.send("mallory", "Yes, agreed.").await;
    alice.wait(&answer, MessageStatus::Delivered).await;

    let before = now_ms();
    let clock = alice.clock_with(&mallory).await;
    mallory.claims(&alice, "Do you take over the debt of 10,000?", clock - 1, 0).await;
    let debt = alice.message("Do you take over the debt of 10,000?").await;
    assert!(debt.late && debt.arrived_ms.is_some_and(|ms| ms >= before), "{debt:?}");
    let history = alice.history("mallory").await;
    let place = |id: &str| history.iter().position(|message| message.id == id).unwrap();
    assert!(place(&debt.id) < place(&answer.id), "it stands where its author put it …");
    assert!(history[place(&debt.id)].late, "… and says so in the history, too");
    assert!(plain(&history[place(&asked.id)]) && plain(&history[place(&answer.id)]));

    let chat = alice.chat("mallory").await;
    assert_eq!((chat.unread, chat.first_unread.as_deref()), (1, Some(debt.id.as_str())));
    mallory.send("alice", "Good.").await;
    let good = alice.message("Good.").await;
    assert!(plain(&good));
    alice.read(&good.id).await;
    let chat = alice.chat("mallory").await;
    assert_eq!((chat.unread, chat.first_unread.as_deref()), (1, Some(debt.id.as_str())), "nobody has seen it");
    alice.read(&debt.id).await;
    assert_eq!(alice.chat("mallory").await.unread, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_above_something_that_could_be_read_for_half_a_minute_is_marked() {
    let (_relay, alice, mallory) = two_people().await;
    let clock = now_ms() + 10;
    mallory.claims(&alice, "third", clock, 0).await;
    alice.message("third").await;
    mallory.claims(&alice, "second", clock - 1, 0).await;
    assert!(plain(&alice.message("second").await), "in the wrong order, but nobody has read the other yet");
    alice.a_minute_passes().await;
    mallory.claims(&alice, "first", clock - 2, 0).await;
    assert!(alice.message("first").await.late);
    assert_eq!(alice.bodies("mallory").await, ["first", "second", "third"]);
    alice.read("mallory").await;
    assert_eq!(alice.chat("mallory").await.unread, 0, "the whole chat is the whole chat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_claims_to_be_older_than_it_is_shows_when_it_came() {
    let (_relay, alice, mallory) = two_people().await;
    let before = now_ms();
    let clock = now_ms();
    mallory.claims(&alice, "a clock that is a little off", clock + 1, 200_000).await;
    assert!(plain(&alice.message("a clock that is a little off").await));
    mallory.claims(&alice, "I told you two hours ago", clock + 2, 7_200_000).await;
    let told = alice.message("I told you two hours ago").await;
    assert!(!told.late && told.arrived_ms.is_some_and(|ms| ms >= before), "{told:?}");
    assert!(told.ts_ms < before, "what it claims is shown beside it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heap_in_the_wrong_order_is_marked_without_looking_at_all_of_it() {
    let (_relay, alice, mallory) = two_people().await;
    let clock = now_ms() + 100;
    for n in 0..66 {
        mallory.claims(&alice, if n == 65 { "the last" } else { "a heap" }, clock - n, 0).await;
    }
    assert!(alice.message("the last").await.late);
    let late = alice.history("mallory").await.iter().filter(|message| message.late).count();
    assert!((2..66).contains(&late), "those above 64 others: {late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_says_so_and_makes_nobody_elses_message_late() {
    let (_relay, alice, mallory) = two_people().await;
    let hour = 3_600_000;
    mallory.claims(&alice, "from the future", now_ms() + hour, 0).await;
    let future = alice.message("from the future").await;
    assert!(future.ahead && !future.late && future.arrived_ms.is_some(), "{future:?}");
    alice.a_minute_passes().await;
    // It stands above what has been here for a minute, and nobody is told that it came later.
    mallory.claims(&alice, "from now", now_ms(), 0).await;
    let now = alice.message("from now").await;
    assert!(plain(&now), "{now:?}");
    assert_eq!(alice.bodies("mallory").await, ["from now", "from the future"]);
    // Whoever answers stands below what they saw: an hour ahead is followed …
    let answer = alice.send("mallory", "an answer").await;
    alice.wait(&answer, MessageStatus::Delivered).await;
    assert_eq!(alice.bodies("mallory").await.last().unwrap(), "an answer");
    // … two days are not.
    mallory.claims(&alice, "from the day after tomorrow", now_ms() + 2 * millis(CLOCK_FOLLOWS), 0).await;
    assert!(alice.message("from the day after tomorrow").await.ahead);
    let above = alice.send("mallory", "still today").await;
    alice.wait(&above, MessageStatus::Delivered).await;
    assert_eq!(alice.bodies("mallory").await.last().unwrap(), "from the day after tomorrow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_claims_to_be_from_the_week_after_next_is_thrown_away() {
    let (_relay, alice, mallory) = two_people().await;
    mallory.claims(&alice, "never", now_ms() + millis(MAX_CLOCK_AHEAD) + 60_000, 0).await;
    mallory.claims(&alice, "within the week", now_ms() + millis(MAX_CLOCK_AHEAD) - 60_000, 0).await;
    assert!(alice.message("within the week").await.ahead);
    assert_eq!(alice.bodies("mallory").await, ["within the week"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_end_with_one_order_whoever_received_what_first() {
    let (mut relay, alice, mallory) = two_people().await;
    let hello = alice.send("mallory", "hello").await;
    alice.wait(&hello, MessageStatus::Delivered).await;
    // Both write while nothing gets through, alice with a clock that is four minutes ahead.
    relay.stop().await;
    alice.inside(|core| core.clock_off_ms = Some(240_000)).await;
    for n in 0..3 {
        alice.send("mallory", &format!("alice {n}")).await;
        mallory.send("alice", &format!("mallory {n}")).await;
    }
    relay.restart().await;
    for n in 0..3 {
        alice.message(&format!("mallory {n}")).await;
        mallory.message(&format!("alice {n}")).await;
    }
    let order = alice.bodies("mallory").await;
    assert_eq!(order, mallory.bodies("alice").await);
    assert_eq!(order.len(), 7);
    assert_eq!(order[1..4], ["mallory 0", "mallory 1", "mallory 2"], "sorted as claimed: {order:?}");
}
