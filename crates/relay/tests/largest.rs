//! The largest submission that the protocol allows, over a real socket: the limits of its parts and of a frame agree.

use crate::support::*;
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use subrosa_wire::{
    Capability, ContactToken, TokenBinding,
    limits::{
        HEAD_BYTES, LARGEST_SUBMIT_BYTES, MAX_DEVICES, MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MAX_SUBMIT_ITEMS,
        MAX_TOKEN_SUBMITS,
    },
    submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem, SubmitResult},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_submission_is_stored_and_answered_item_by_item() {
    let relay = TestRelay::start().await;
    // Device numbers and list version as long as they get.
    let mut bob = Account::new("bob");
    bob.list_version = u32::MAX;
    let first = u32::MAX - u32::try_from(MAX_DEVICES).unwrap();
    bob.devices = (1..=5).map(|number| (first + number, SigningKey::from_bytes(&random()))).collect();
    bob.register(&relay.at()).await.unwrap();
    let mut mailbox = Mailbox::open(&relay.at(), &bob, u32::MAX).await;
    // A token serves 64 envelopes; every item has the longest capability.
    let mut tokens = Vec::new();
    for _ in 0..MAX_SUBMIT_ITEMS / MAX_TOKEN_SUBMITS as usize {
        let token = ContactToken::new(random());
        mailbox.put_token(token.hash()).await;
        tokens.push(Capability::ContactToken { token, binding: TokenBinding::new(random()) });
    }
    // 62 of 4,096, one of 8,192 and one of 65,536 are 64 bodies of exactly 327,680 bytes.
    let sizes = std::iter::repeat_n(4096, 62).chain([8192, 65_536]);
    let bodies: Vec<_> = sizes.map(|size| Bytes::from(vec![7; size])).collect();
    assert_eq!((bodies.len(), bodies.iter().map(Bytes::len).sum()), (MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES));
    let items: Vec<_> = (0..MAX_SUBMIT_ITEMS)
        .map(|at| SubmitItem {
            device: bob.device(bob.devices[at % MAX_DEVICES].0),
            capability: Some(tokens[at / MAX_TOKEN_SUBMITS as usize].clone()),
            class: EnvelopeClass::Durable,
            expiry_s: u32::MAX,
            head: random::<HEAD_BYTES>(),
            body_ref: at % MAX_SUBMIT_BODIES,
            list_version: u32::MAX,
        })
        .collect();
    let submit = Submit { bodies, items };
    let bytes = SubmitClientFrame::Submit { id: u64::MAX, submit: submit.clone() }.encode();
    // Below the bound by the lengths of bodies of 4,096 (two bytes, not three), and by what 0 leaves out: each class, and the
    // reference to the first body.
    let room = MAX_SUBMIT_BODIES + 2 * MAX_SUBMIT_ITEMS + 2 * MAX_SUBMIT_ITEMS.div_ceil(MAX_SUBMIT_BODIES);
    assert!((LARGEST_SUBMIT_BYTES - room..=LARGEST_SUBMIT_BYTES).contains(&bytes.len()), "{}", bytes.len());

    let mut sender = Submitter::open(&relay.at()).await;
    let results = sender.submit(submit).await.unwrap();
    assert_eq!(results, vec![SubmitResult::Accepted; MAX_SUBMIT_ITEMS]);
    assert_eq!(count(&relay.data(), "SELECT count(*) FROM mailbox"), i64::try_from(MAX_SUBMIT_ITEMS).unwrap());
    relay.stop().await;
}
