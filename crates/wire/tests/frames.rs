//! Every frame round-trips, and no bytes make a decoder panic or accept what the protocol forbids.

use bytes::Bytes;
use proptest::prelude::*;
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, ContactToken, DeliveryKey, DeviceAddress, ErrorCode, MailboxEpoch,
    MemberKey, TokenBinding,
    http::{Devices, GetDevices, HttpMessage, PrekeyBundles, Prekeys, Register, Resolve, Resolved, Take, TakePrekeys},
    limits::{
        BODY_SIZES, HEAD_BYTES, LARGEST_SUBMIT_BYTES, MAX_BUNDLES, MAX_BUNDLES_BYTES, MAX_HTTP_BYTES,
        MAX_MAILBOX_FRAME_BYTES, MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MAX_SUBMIT_FRAME_BYTES, MAX_SUBMIT_ITEMS,
    },
    mailbox::{
        LoginMarks, MailboxClientFrame, MailboxRequest, MailboxServerFrame, PrekeyCount, PrekeyUpload, Push,
        RequestOutcome, TokenUses, Way,
    },
    submit::{EnvelopeClass, Limits, Refusal, Submit, SubmitClientFrame, SubmitItem, SubmitResult, SubmitServerFrame},
};

fn device(number: u32) -> DeviceAddress {
    DeviceAddress { account: AccountId([4; 32]), device: number }
}

fn submit() -> Submit {
    let item = |number, capability, class| SubmitItem {
        device: device(number),
        capability,
        class,
        expiry_s: 60,
        head: [8; HEAD_BYTES],
        body_ref: 0,
        list_version: 3,
    };
    Submit {
        bodies: vec![Bytes::from(vec![1; BODY_SIZES[0]])],
        items: vec![
            item(1, Some(Capability::DeliveryKey(DeliveryKey::new([1; 16]))), EnvelopeClass::Durable),
            item(
                2,
                Some(Capability::ContactToken {
                    token: ContactToken::new([2; 16]),
                    binding: TokenBinding::new([3; 16]),
                }),
                EnvelopeClass::Ephemeral,
            ),
            item(3, None, EnvelopeClass::Durable),
        ],
    }
}

/// As many items and bodies as there may be, with the largest fields.
fn largest(capability: Option<Capability>) -> Submit {
    // 62 of 4,096, one of 8,192 and one of 65,536 are 64 bodies of exactly 327,680 bytes.
    let sizes = std::iter::repeat_n(4096, 62).chain([8192, 65_536]);
    let bodies: Vec<_> = sizes.map(|size| Bytes::from(vec![7; size])).collect();
    assert_eq!((bodies.len(), bodies.iter().map(Bytes::len).sum()), (MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES));
    let item = SubmitItem {
        device: device(u32::MAX),
        capability,
        class: EnvelopeClass::Ephemeral,
        expiry_s: u32::MAX,
        head: [8; HEAD_BYTES],
        body_ref: MAX_SUBMIT_BODIES - 1,
        list_version: u32::MAX,
    };
    Submit { bodies, items: vec![item; MAX_SUBMIT_ITEMS] }
}

#[test]
fn the_limits_are_those_of_the_largest_submission() {
    let token = Capability::ContactToken { token: ContactToken::new([2; 16]), binding: TokenBinding::new([3; 16]) };
    let frame = SubmitClientFrame::Submit { id: u64::MAX, submit: largest(Some(token)) };
    let bytes = frame.encode();
    // The bound allows each body the longest length, which these do not need.
    assert!(
        (LARGEST_SUBMIT_BYTES - MAX_SUBMIT_BODIES..=LARGEST_SUBMIT_BYTES).contains(&bytes.len()),
        "{}",
        bytes.len()
    );
    assert_eq!(SubmitClientFrame::decode(bytes).unwrap(), frame);
    let op = MailboxRequest::SubmitRequest(largest(None));
    let frame = MailboxClientFrame::Request { id: u64::MAX, op };
    let bytes = frame.encode();
    assert!((MAX_MAILBOX_FRAME_BYTES - 65_536..=MAX_MAILBOX_FRAME_BYTES).contains(&bytes.len()), "{}", bytes.len());
    assert_eq!(MailboxClientFrame::decode(bytes).unwrap(), frame);
}

fn limits() -> Limits {
    Limits { max_unacked: 256, max_body_bytes: 65_536, max_submit_items: 1280, max_expiry_s: 9 }
}

#[test]
fn mailbox_frames_round_trip() {
    let upload = PrekeyUpload {
        signed_prekey: Some(Bytes::from(vec![1; 100])),
        last_resort_kem: None,
        one_time_ec: vec![Bytes::from(vec![2; 36])],
        one_time_kem: vec![Bytes::from(vec![3; 1636])],
        replace_one_time: true,
    };
    let hash = CapabilityHash([7; 32]);
    let requests = [
        MailboxRequest::PutPrekeys(upload),
        MailboxRequest::PutDeviceList(Bytes::from_static(b"list")),
        MailboxRequest::SetDeliveryKeys { current: hash, previous: Some(hash), previous_valid_s: 5 },
        MailboxRequest::SetDeliveryKeys { current: hash, previous: None, previous_valid_s: 0 },
        MailboxRequest::SetMemberKeys { current: hash, previous: Some(hash), previous_valid_s: 5 },
        MailboxRequest::PutContactToken { token: hash, expiry_s: 5, uses: TokenUses::ONE },
        MailboxRequest::PutContactToken { token: hash, expiry_s: 5, uses: TokenUses { most: 256, per_day: 9 } },
        MailboxRequest::RemoveContactToken(hash),
        MailboxRequest::SubmitRequest(submit()),
        MailboxRequest::RemoveAccount,
    ];
    let mut frames: Vec<_> = requests.into_iter().map(|op| MailboxClientFrame::Request { id: 9, op }).collect();
    frames.extend([
        MailboxClientFrame::Hello(vec![1, 2]),
        MailboxClientFrame::Auth {
            device: device(1),
            authority: "localhost:1".into(),
            pin: Some([1; 32]),
            marks: LoginMarks { mark: [3; 16], shown: vec![[4; 16], [5; 16]], take_over: true },
            signature: [2; 64],
        },
        MailboxClientFrame::Ack(u64::MAX),
        MailboxClientFrame::Ping,
    ]);
    for frame in frames {
        assert_eq!(MailboxClientFrame::decode(frame.encode()).unwrap(), frame);
    }

    let push = |way| {
        let (head, body) = (Bytes::from(vec![1; HEAD_BYTES]), Bytes::from(vec![1; 512]));
        MailboxServerFrame::Push(Push { seq: 5, class: EnvelopeClass::Durable, head, body, received_ms: 7, way })
    };
    let refusal = Refusal { code: ErrorCode::RateLimited, retry_after_s: 4 };
    for frame in [
        MailboxServerFrame::Challenge { version: 1, nonce: [3; 32], tls_bound: false },
        MailboxServerFrame::Challenge { version: 1, nonce: [3; 32], tls_bound: true },
        MailboxServerFrame::Ready {
            epoch: MailboxEpoch([1; 16]),
            acked: 2,
            server_time_ms: 3,
            limits: limits(),
            prekeys: PrekeyCount { one_time_ec: 1, one_time_kem: 2 },
            away_days: 50,
        },
        push(Way::RequestLane),
        push(Way::ContactToken),
        push(Way::DeliveryKey),
        push(Way::MemberKey),
        push(Way::Unknown(0)),
        push(Way::Unknown(u32::MAX)),
        MailboxServerFrame::CaughtUp,
        MailboxServerFrame::Displaced,
        MailboxServerFrame::GoAway { retry_after_ms: 1 },
        MailboxServerFrame::Error(refusal),
        MailboxServerFrame::Response { id: 1, result: Ok(RequestOutcome::Done) },
        MailboxServerFrame::Response { id: 1, result: Ok(RequestOutcome::Submit(vec![SubmitResult::Accepted])) },
        MailboxServerFrame::Response { id: 1, result: Err(refusal) },
        MailboxServerFrame::Pong,
        MailboxServerFrame::PrekeysLow(PrekeyCount::default()),
    ] {
        assert_eq!(MailboxServerFrame::decode(frame.encode()).unwrap(), frame);
    }
}

#[test]
fn submit_frames_round_trip() {
    for frame in [
        SubmitClientFrame::Hello(vec![1]),
        SubmitClientFrame::Submit { id: 3, submit: submit() },
        SubmitClientFrame::Ping,
    ] {
        assert_eq!(SubmitClientFrame::decode(frame.encode()).unwrap(), frame);
    }
    let results = vec![
        SubmitResult::Accepted,
        SubmitResult::StaleDevices(Bytes::from_static(b"list")),
        SubmitResult::Full { retry_after_s: 60 },
        SubmitResult::Refused { code: ErrorCode::CapabilityRefused, retry_after_s: 0 },
    ];
    for frame in [
        SubmitServerFrame::Welcome { version: 1, server_time_ms: 5, limits: limits() },
        SubmitServerFrame::Reply { id: 3, result: Ok(results) },
        SubmitServerFrame::Reply { id: 3, result: Err(Refusal::never(ErrorCode::Malformed)) },
        SubmitServerFrame::Error(Refusal::never(ErrorCode::Malformed)),
        SubmitServerFrame::GoAway { retry_after_ms: 4 },
        SubmitServerFrame::Pong,
    ] {
        assert_eq!(SubmitServerFrame::decode(frame.encode()).unwrap(), frame);
    }
    assert_eq!(Submit::decode(&submit().encode()).unwrap(), submit());
}

#[test]
fn http_messages_round_trip() {
    fn check<M: HttpMessage + PartialEq + std::fmt::Debug>(message: &M) {
        assert_eq!(&M::decode(message.encode().into()).unwrap(), message);
    }
    check(&Register {
        account_record: [1; 65],
        handle: "alice".parse().unwrap(),
        device_list: Bytes::from_static(b"list"),
        authority: "localhost:80".into(),
        pin: None,
        proof: [2; 64],
        registration_token: None,
    });
    check(&Resolve { handle: "bob".parse().unwrap() });
    check(&Resolved { account: AccountId([1; 32]) });
    check(&GetDevices { account: AccountId([1; 32]) });
    check(&Devices { account_record: [1; 65], device_list: Bytes::from_static(b"x") });
    check(&TakePrekeys::one(device(2), None));
    let member = Some(Capability::MemberKey(MemberKey::new([3; 16])));
    let take = |device| Take { device, capability: member.clone() };
    let most = vec![take(device(2)); MAX_BUNDLES];
    check(&TakePrekeys::new(most.clone()).unwrap());
    assert!(TakePrekeys::new(Vec::new()).is_err() && TakePrekeys::new([most, vec![take(device(2))]].concat()).is_err());
    let prekeys = Prekeys {
        signed_prekey: Bytes::from(vec![1; 100]),
        one_time_ec: None,
        kem: Bytes::from(vec![1; 1636]),
        kem_last_resort: true,
    };
    let refusal = Refusal { code: ErrorCode::NotFound, retry_after_s: 0 };
    check(&PrekeyBundles(vec![Ok(prekeys.clone()), Err(refusal), Ok(prekeys.clone())]));
    // The largest answer fits, with its longest numbers.
    let full = Prekeys { one_time_ec: Some(Bytes::from(vec![2; 36])), kem_last_resort: true, ..prekeys };
    let largest = PrekeyBundles(vec![Ok(full.clone()); MAX_BUNDLES]);
    check(&largest);
    assert!(largest.encode().len() <= MAX_BUNDLES_BYTES - MAX_HTTP_BYTES);
    assert!(PrekeyBundles::decode(PrekeyBundles(vec![Ok(full); MAX_BUNDLES + 1]).encode().into()).is_err());
    check(&Refusal::never(ErrorCode::NotFound));
}

#[test]
fn a_submission_that_breaks_a_rule_is_refused() {
    let refused = |change: fn(&mut Submit)| {
        let mut submit = submit();
        change(&mut submit);
        Submit::decode(&submit.encode()).is_err()
    };
    assert!(refused(|s| s.items.clear()));
    assert!(refused(|s| s.bodies.clear()));
    assert!(refused(|s| s.items[0].body_ref = 1));
    assert!(refused(|s| s.items[0].device.device = 0));
    assert!(refused(|s| s.bodies[0] = Bytes::from(vec![0; 513])));
    assert!(refused(|s| s.bodies = vec![Bytes::from(vec![0; 512]); 65]));
    assert!(refused(|s| s.bodies = vec![Bytes::from(vec![0; 65_536]); 6]));
    assert!(refused(|s| s.items = vec![s.items[0].clone(); 1281]));
    assert!(!refused(|_| {}));
}

#[test]
fn oversized_frames_are_refused_before_they_are_parsed() {
    assert!(MailboxClientFrame::decode(Bytes::from(vec![0; MAX_MAILBOX_FRAME_BYTES + 1])).is_err());
    assert!(SubmitClientFrame::decode(Bytes::from(vec![0; MAX_SUBMIT_FRAME_BYTES + 1])).is_err());
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let bytes = Bytes::from(bytes);
        let _ = MailboxClientFrame::decode(bytes.clone());
        let _ = MailboxServerFrame::decode(bytes.clone());
        let _ = SubmitClientFrame::decode(bytes.clone());
        let _ = SubmitServerFrame::decode(bytes.clone());
        let _ = Register::decode(bytes.clone());
        let _ = TakePrekeys::decode(bytes.clone());
        let _ = PrekeyBundles::decode(bytes);
    }

    #[test]
    fn a_flipped_bit_never_panics(at in 0usize..4000, bit in 0u8..8) {
        let mut bytes = SubmitClientFrame::Submit { id: 3, submit: submit() }.encode().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = SubmitClientFrame::decode(bytes.into());
    }
}
