//! What a removed contact leaves behind: nothing that anybody could read, not even in pages that are free or in the log.

use std::{fs, path::Path};

use aes_gcm::aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt as _, KeyInit as _},
};

use subrosa_wire::{DeviceAddress, MessageId, mailbox::Way};

use super::{support::Person, support::TestRelay, support::pair, support::passphrase, support::who};
use crate::{
    Client as _,
    api::{ChatDraftParams, EventsParams, MessageStatus, ReceiveParams, RenameParams, SendParams},
    home::Home,
    keys,
    store::{
        PAGE_BYTES,
        restores::{self, LastLine},
    },
};

/// SQLCipher's end of a page: 16 bytes of IV, 64 of HMAC.
const RESERVED: usize = 80;

/// A page as it was before it was encrypted. `skipped`: the salt at the beginning of the first one.
fn decrypted(key: &Aes256, page: &[u8], skipped: usize) -> Vec<u8> {
    let (data, end) = page.split_at(PAGE_BYTES - RESERVED);
    let mut before: [u8; 16] = end[..16].try_into().unwrap();
    let mut plain = Vec::with_capacity(PAGE_BYTES);
    for cipher in data[skipped..].as_chunks::<16>().0 {
        let mut block = Block::from(*cipher);
        key.decrypt_block(&mut block);
        plain.extend(block.iter().zip(before).map(|(byte, before)| byte ^ before));
        before = *cipher;
    }
    plain
}

/// Everything in the store and its log, page by page.
pub(super) fn pages(home: &Path) -> Vec<u8> {
    const LOG_HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let home = Home::at(home);
    let key = keys::unlock(&home, &passphrase()).unwrap();
    let key = Aes256::new(key.as_bytes().into());
    let store = fs::read(home.store()).unwrap();
    let mut plain = Vec::new();
    for (number, page) in store.chunks_exact(PAGE_BYTES).enumerate() {
        plain.extend(decrypted(&key, page, if number == 0 { 16 } else { 0 }));
    }
    let log = fs::read(home.store().with_extension("db-wal")).unwrap_or_default();
    for frame in log.get(LOG_HEADER..).unwrap_or_default().chunks_exact(FRAME_HEADER + PAGE_BYTES) {
        let first = frame[..4] == 1u32.to_be_bytes();
        plain.extend(decrypted(&key, &frame[FRAME_HEADER..], if first { 16 } else { 0 }));
    }
    plain
}

pub(super) fn holds(pages: &[u8], needle: &str) -> bool {
    pages.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// A part of each thing that is to be gone, in words that nothing else has.
const NEEDLES: [&str; 8] = [
    "xwvquarkhers",
    "xwvquarkmine",
    "xwvquarkdraft",
    "Xwvquarkname",
    "xwvquarkhandle",
    "xwvquarkreply",
    "xwvquarkqueued",
    "xwvquarkheld",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_removed_conversation_stays_in_the_store() {
    let (first, mut second) = (TestRelay::start().await, TestRelay::start().await);
    let alice = Person::new(&first, "alice").await;
    let bob = Person::new(&second, "xwvquarkhandle").await;
    let carol = Person::new(&first, "carol").await;
    pair(&alice, &bob).await;
    pair(&alice, &carol).await;
    bob.send("alice", "zxwvquarkhers is what bob wrote").await;
    let theirs = alice.message("zxwvquarkhers is what bob wrote").await;
    let ours = alice.send("xwvquarkhandle", "zxwvquarkmine is what alice wrote").await;
    alice.wait(&ours, MessageStatus::Delivered).await;
    let reply = SendParams {
        to: "xwvquarkhandle".into(),
        body: "zxwvquarkreply".into(),
        reply_to: Some(theirs.id.clone()),
        ..SendParams::default()
    };
    let reply = alice.engine.send(reply).await.unwrap();
    alice.wait(&reply, MessageStatus::Delivered).await;
    let rename = RenameParams { who: "xwvquarkhandle".into(), name: "Xwvquarkname".into() };
    alice.engine.contact_rename(rename).await.unwrap();
    let draft = ChatDraftParams { chat: "Xwvquarkname".into(), text: "zxwvquarkdraft".into() };
    alice.engine.chat_draft(draft).await.unwrap();
    second.stop().await;
    alice.send("Xwvquarkname", "zxwvquarkqueued").await;
    let stays = carol.send("alice", "carol stays").await;
    carol.wait(&stays, MessageStatus::Delivered).await;
    // A line that waits for those before it.
    let account = bob.account().await;
    alice
        .inside(move |core| {
            let conversation = core.own.chat_with(&account);
            let line = LastLine { conversation, message: MessageId([5; 16]), clock: 1 };
            let device = DeviceAddress { account, device: 1 };
            restores::put_held(&core.db, &device, &line, b"zxwvquarkheld", 1, Way::DeliveryKey).unwrap();
        })
        .await;
    let there = pages(alice.dir.path());
    assert!(NEEDLES.iter().all(|needle| holds(&there, needle)), "a search that finds nothing shows nothing");

    alice.engine.contact_remove(who("Xwvquarkname")).await.unwrap();
    let left = pages(alice.dir.path());
    assert!(holds(&left, "carol stays"), "the search still finds what is there");
    let left: Vec<_> = NEEDLES.iter().filter(|needle| holds(&left, needle)).collect();
    assert!(left.is_empty(), "{left:?}");

    // Nor does anybody hear of it who begins to listen now.
    let events = alice.engine.events(EventsParams { since: Some(0), max: None, wait_ms: 0 }).await.unwrap();
    let told = serde_json::to_string(&events.events).unwrap();
    assert!(told.contains("carol stays") && !NEEDLES.iter().any(|needle| told.contains(needle)), "{told}");
    let other = ReceiveParams { consumer: Some("other".into()), ..ReceiveParams::default() };
    let received = alice.engine.receive(other).await.unwrap();
    assert_eq!(received.messages.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["carol stays"]);
}
