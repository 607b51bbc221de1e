//! Who is in a group: a set of signed changes, and the one state that they make, whichever order they come in
//! (`docs/protocol.md`, "Groups: membership").
//!
//! The relay takes no part. Each change names the newest ones that its author knew, so the set is a graph that says what
//! everybody had seen; [`Membership`] holds it and gives the [`State`].

mod bytes;
mod change;
mod checkpoint;
mod graph;
mod layout;
mod node;
mod resolution;
mod rules;
mod set;
mod state;

pub use change::{ACCOUNT_ITSELF, Act, ChainEnd, Change, Ending, Newcomer, Settings, Signer};
pub use checkpoint::{Checkpoint, ListedMember, Summary};
pub use node::Verdict;
pub use rules::Refusal;
pub use set::{MAX_WAITING, MAX_WAITING_BYTES, Membership, MembershipError, Offered};
pub use state::{InviteLink, Member, State};

/// An account's id.
type AccountId = [u8; 32];
/// A change's id; that of the first one is the group's.
type ChangeId = [u8; 32];

/// Most members: one submission reaches 256 accounts with five devices each.
pub const MAX_MEMBERS: usize = 256;
/// Most changes that one names as the newest it knows. Who knows more names some; the next change names the others.
pub const MAX_HEADS: usize = 8;
/// Most accounts that one change names: with five devices each an add has 45 KB.
pub const MAX_TARGETS: usize = 64;
/// Most bytes of a change: one content carries at least one.
pub const MAX_CHANGE_LEN: usize = 60_000;
/// Most bytes of a group's name (UTF-8).
pub const MAX_NAME_LEN: usize = 200;
/// Most bytes of a group's description (UTF-8).
pub const MAX_DESCRIPTION_LEN: usize = 2_048;
/// Most open invite links: each is something to watch.
pub const MAX_LINKS: usize = 16;
/// Most changes of a group: one a day for each member for two months, or 40 a day for a year. The set stays below 20 MB
/// at a usual size, and is judged as a whole in less than a second.
pub const MAX_CHANGES: usize = 16_384;

/// Changes that take away, or end something, for which there is room beyond [`MAX_CHANGES`]: who fills a set can still be
/// removed.
pub const RESERVED_CHANGES: usize = 1_024;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod cast;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod situations;
#[cfg(test)]
mod story;
