//! What a group costs, before engines have any: envelopes, bytes, questions, signatures and time of each operation, and every limit
//! of `docs/protocol.md` that it meets. Nothing is measured here: sizes come from the encoders of the project, and from planned layouts
//! of what only an engine will have. `docs/groups.md` is made of it (`harness/tests/groups.rs`).

pub mod limits;
pub mod load;
pub mod operations;
pub mod people;
pub mod sizes;

use anyhow::Result;
use bytes::Bytes;
use subrosa_relay::SUBMIT_UNIT_BYTES;
use subrosa_wire::{
    AccountId, Capability, DeviceAddress, MemberKey,
    http::{HttpMessage as _, PrekeyBundles, Prekeys, Take, TakePrekeys},
    limits::{HEAD_BYTES, MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MIN_BODY_BYTES},
    mailbox::{KEM_PREKEY_BYTES, SIGNED_PREKEY_BYTES},
    submit::{EnvelopeClass, Submit, SubmitClientFrame, SubmitItem},
};

/// A day in 2026: a number of six bytes until the year 2109.
const CLOCK_MS: u64 = 1_764_000_000_000;

/// The version of a device list that was renewed every two weeks for more than ten years.
const LIST_VERSION: u32 = 300;

/// A group in which everybody has as many devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Accounts, the one that does something included.
    pub members: usize,
    /// Devices of each.
    pub devices: usize,
}

impl Group {
    /// Devices of all.
    #[must_use]
    pub fn all(self) -> usize {
        self.members * self.devices
    }

    /// Devices of everybody else.
    #[must_use]
    pub fn others(self) -> usize {
        (self.members - 1) * self.devices
    }

    /// The group without one member.
    #[must_use]
    pub fn without_one(self) -> Self {
        Self { members: self.members - 1, ..self }
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} × {}", self.members, self.devices)
    }
}

/// The numbers in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As they are after years.
    Usual,
    /// As large as they can be.
    Largest,
}

/// What goes to a relay in one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Bytes of each.
    pub bodies: Vec<usize>,
    /// Receiving devices. With several bodies one for each.
    pub items: usize,
}

impl Submission {
    /// One body for all.
    #[must_use]
    pub fn shared(body: usize, items: usize) -> Self {
        Self { bodies: vec![body], items }
    }

    /// A body for each device, in as many submissions as it takes.
    #[must_use]
    pub fn pairwise(body: usize, devices: usize) -> Vec<Self> {
        let most = MAX_SUBMIT_BODIES.min(MAX_SUBMIT_BODY_BYTES / body);
        (0..devices)
            .step_by(most)
            .map(|first| {
                let items = most.min(devices - first);
                Self { bodies: vec![body; items], items }
            })
            .collect()
    }

    /// Bytes of bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.bodies.iter().sum()
    }

    /// What it costs the address that it comes from, in envelopes.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.items + self.body_bytes() / SUBMIT_UNIT_BYTES
    }

    /// Bytes of the frame.
    #[must_use]
    pub fn frame(&self, numbers: Numbers) -> usize {
        let bodies = self.bodies.iter().map(|body| Bytes::from(vec![1; *body])).collect();
        let item = |number| SubmitItem {
            device: DeviceAddress {
                account: AccountId([1; 32]),
                device: if numbers == Numbers::Usual { 1 } else { u32::MAX },
            },
            capability: Some(Capability::MemberKey(MemberKey::new([1; 16]))),
            class: EnvelopeClass::Durable,
            expiry_s: if numbers == Numbers::Usual { 0 } else { u32::MAX },
            head: [1; HEAD_BYTES],
            body_ref: if self.bodies.len() == 1 { 0 } else { number },
            list_version: if numbers == Numbers::Usual { LIST_VERSION } else { u32::MAX },
        };
        let items = (0..self.items).map(item).collect();
        let id = if numbers == Numbers::Usual { 1_000 } else { u64::MAX };
        SubmitClientFrame::Submit { id, submit: Submit { bodies, items } }.encode().len()
    }
}

/// Bytes of an item in a frame.
#[must_use]
pub fn item_bytes(numbers: Numbers) -> usize {
    let of = |items| Submission::shared(MIN_BODY_BYTES, items).frame(numbers);
    // The lengths of both frames have as many bytes.
    of(1_001) - of(1_000)
}

/// Bytes of a question for the prekeys of so many devices with the member key, and of its answer, which is without one-time keys.
///
/// # Errors
/// One question does not ask for so many.
pub fn prekey_question(devices: usize) -> Result<(usize, usize)> {
    let take = Take {
        device: DeviceAddress { account: AccountId([1; 32]), device: u32::MAX },
        capability: Some(Capability::MemberKey(MemberKey::new([1; 16]))),
    };
    let prekeys = Prekeys {
        signed_prekey: vec![1; SIGNED_PREKEY_BYTES].into(),
        one_time_ec: None,
        kem: vec![1; KEM_PREKEY_BYTES].into(),
        kem_last_resort: true,
    };
    let question = TakePrekeys::new(vec![take; devices])?.encode().len();
    Ok((question, PrekeyBundles(vec![Ok(prekeys); devices]).encode().len()))
}
