//! What each operation sends, asks, signs and verifies. Everybody is on one relay.

use anyhow::Result;
use subrosa_wire::limits::MAX_BUNDLES;

use super::{
    Group, Numbers, Submission,
    sizes::{self, Encrypted, History},
};

/// Bytes of the text in every message here.
pub const TEXT_BYTES: usize = 100;

/// Signatures of a prekey bundle: the signed prekey's and the KEM prekey's. The certificate is the list's.
const BUNDLE_SIGNATURES: usize = 2;

/// Something that a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Makes the group with all its members, without a session with anybody.
    Create,
    /// Adds the last member, with whom there is no session; the others came one by one.
    AddOne,
    /// Removes one of the members.
    RemoveOne,
    /// Says something for the first time, without a session with anybody.
    FirstMessage,
    /// Says something.
    LaterMessage,
    /// Says something after another member added one.
    AfterAddition,
    /// Says something after one was removed, with a session with everybody.
    AfterRemoval,
    /// Says something that all others get and read at once.
    WithReceipts,
}

impl Operation {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::AddOne,
        Self::RemoveOne,
        Self::FirstMessage,
        Self::LaterMessage,
        Self::AfterAddition,
        Self::AfterRemoval,
        Self::WithReceipts,
    ];

    /// What the page calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::AddOne => "add one",
            Self::RemoveOne => "remove one",
            Self::FirstMessage => "first message",
            Self::LaterMessage => "later message",
            Self::AfterAddition => "message after an addition",
            Self::AfterRemoval => "message after a removal",
            Self::WithReceipts => "message with all its receipts",
        }
    }
}

/// What an operation comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// In order.
    pub submissions: Vec<Submission>,
    /// Questions for prekeys: of so many devices each.
    pub questions: Vec<usize>,
    /// Signatures that who does it makes.
    pub made: usize,
    /// Signatures that who does it verifies.
    pub verified: usize,
    /// Signatures that each receiving device verifies.
    pub verified_each: usize,
    /// Signatures that each device of somebody new verifies.
    pub verified_new: Option<usize>,
    /// Envelopes for the account that gets most of them.
    pub account: usize,
    /// Envelopes for the device that gets most of them.
    pub device: usize,
    /// Bytes of their bodies.
    pub device_bytes: usize,
    /// How many of the submissions, the last ones, come of others: each of another one.
    pub of_others: usize,
}

impl Cost {
    /// Envelopes of all submissions.
    #[must_use]
    pub fn envelopes(&self) -> usize {
        self.submissions.iter().map(|submission| submission.items).sum()
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        frames(&self.submissions)
    }

    /// Prekey bundles that are asked for.
    #[must_use]
    pub fn bundles(&self) -> usize {
        self.questions.iter().sum()
    }

    /// Submissions of who does it.
    #[must_use]
    pub fn own(&self) -> &[Submission] {
        &self.submissions[..self.submissions.len() - self.of_others]
    }

    /// Connections that are made for it: one for each question, and the socket that each sender submits on.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.questions.len() + 1 + self.of_others
    }

    /// What all submissions cost their address, in envelopes.
    #[must_use]
    pub fn address(&self) -> usize {
        self.submissions.iter().map(Submission::cost).sum()
    }
}

/// Questions for the prekeys of so many devices.
fn questions(devices: usize) -> Vec<usize> {
    (0..devices).step_by(MAX_BUNDLES).map(|first| MAX_BUNDLES.min(devices - first)).collect()
}

/// Computes an operation. The group is as it is afterwards, but for a removal: with the member that is removed.
///
/// # Errors
/// Something has no body that it fits.
pub fn cost(operation: Operation, group: Group) -> Result<Cost> {
    let Group { devices, .. } = group;
    let set_up = Encrypted::Setup.body(sizes::handover()?)?;
    let message = Encrypted::Group.body(sizes::text(TEXT_BYTES))?;
    // The sender's certificate with each envelope, and the signature of a group message.
    let (certificate, signature) = (1, 1);
    Ok(match operation {
        Operation::Create => {
            let changes = sizes::changes(group, History::AtOnce)?;
            let bodies = bodies(&sizes::parts(&changes, group.members))?;
            let mut submissions = Submission::pairwise(set_up, group.all());
            submissions.extend(bodies.iter().map(|body| Submission::shared(*body, group.all())));
            let device = 1 + bodies.len();
            Cost {
                submissions,
                questions: questions(group.others()),
                made: changes.len() + bodies.len(),
                verified: BUNDLE_SIGNATURES * group.others(),
                verified_each: device * certificate + bodies.len() * signature + changes.len() + lists(group),
                verified_new: None,
                account: device * devices,
                device,
                device_bytes: set_up + bodies.iter().sum::<usize>(),
                of_others: 0,
            }
        }
        Operation::AddOne => {
            let changes = sizes::changes(group, History::OneByOne)?;
            let bodies = bodies(&sizes::parts(&changes, group.members))?;
            let news = Encrypted::Group.body(sizes::news(sizes::add(1, devices)?, true))?;
            let mut submissions = Submission::pairwise(set_up, devices);
            submissions.push(Submission::shared(news, group.others()));
            submissions.extend(bodies.iter().map(|body| Submission::shared(*body, devices)));
            let device = 1 + bodies.len();
            Cost {
                submissions,
                questions: questions(devices),
                made: 1 + 1 + bodies.len(),
                verified: BUNDLE_SIGNATURES * devices,
                verified_each: certificate + signature + 1 + (1 + devices),
                verified_new: Some(device * certificate + bodies.len() * signature + changes.len() + lists(group)),
                account: device * devices,
                device,
                device_bytes: set_up + bodies.iter().sum::<usize>(),
                of_others: 0,
            }
        }
        Operation::RemoveOne => {
            let news = Encrypted::Group.body(sizes::news(sizes::remove(devices)?, false))?;
            let submissions =
                vec![Submission::shared(news, group.without_one().all()), Submission::shared(news, devices)];
            Cost {
                submissions,
                made: 1 + 2,
                verified_each: certificate + signature + 1,
                account: devices,
                device: 1,
                device_bytes: news,
                ..Cost::default()
            }
        }
        Operation::FirstMessage => {
            let mut submissions = Submission::pairwise(set_up, group.all());
            submissions.push(Submission::shared(message, group.all()));
            Cost {
                submissions,
                questions: questions(group.others()),
                made: 1,
                verified: BUNDLE_SIGNATURES * group.others(),
                verified_each: 2 * certificate + signature,
                account: 2 * devices,
                device: 2,
                device_bytes: set_up + message,
                ..Cost::default()
            }
        }
        Operation::LaterMessage => Cost {
            submissions: vec![Submission::shared(message, group.all())],
            made: 1,
            verified_each: certificate + signature,
            account: devices,
            device: 1,
            device_bytes: message,
            ..Cost::default()
        },
        Operation::AfterAddition => {
            let mut submissions = Submission::pairwise(set_up, devices);
            submissions.push(Submission::shared(message, group.all()));
            Cost {
                submissions,
                questions: questions(devices),
                made: 1,
                verified: BUNDLE_SIGNATURES * devices,
                verified_each: certificate + signature,
                verified_new: Some(2 * certificate + signature),
                account: 2 * devices,
                device: 2,
                device_bytes: set_up + message,
                of_others: 0,
            }
        }
        Operation::AfterRemoval => {
            let left = group.without_one();
            let handover = Encrypted::Session.body(sizes::handover()?)?;
            let mut submissions = Submission::pairwise(handover, left.all());
            submissions.push(Submission::shared(message, left.all()));
            Cost {
                submissions,
                made: 1,
                verified_each: 2 * certificate + signature,
                account: 2 * devices,
                device: 2,
                device_bytes: handover + message,
                ..Cost::default()
            }
        }
        Operation::WithReceipts => {
            let receipt = Encrypted::Session.body(sizes::receipt(1))?;
            let readers = group.members - 1;
            let mut submissions = vec![Submission::shared(message, group.all())];
            submissions.extend((0..readers).flat_map(|_| Submission::pairwise(receipt, devices)));
            Cost {
                submissions,
                made: 1,
                verified: readers * certificate,
                verified_each: certificate + signature,
                account: devices + readers * devices,
                device: 1 + readers,
                device_bytes: message + readers * receipt,
                of_others: readers,
                ..Cost::default()
            }
        }
    })
}

/// Bytes of the frames of these.
pub(super) fn frames(submissions: &[Submission]) -> usize {
    submissions.iter().map(|submission| submission.frame(Numbers::Usual)).sum()
}

/// The device lists of everybody else: each list's own signature and those of its certificates.
fn lists(group: Group) -> usize {
    (group.members - 1) * (1 + group.devices)
}

fn bodies(contents: &[usize]) -> Result<Vec<usize>> {
    contents.iter().map(|content| Encrypted::Group.body(*content)).collect()
}
