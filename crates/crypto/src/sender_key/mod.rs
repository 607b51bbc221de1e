//! Messages of a group by sender keys (`docs/protocol.md`, "Groups: messages").
//!
//! Each device of a member has a chain of its own in each group, made by [`SendingChain::new`] and handed to
//! every other device over the sessions of pairs ([`SenderKeyHandover`]). A message is encrypted once for all
//! of them and signed with a key that was made for this chain alone: members share the chain's keys, so only
//! the signature tells who of them wrote. The key is no identity, and it was vouched for in deniable sessions
//! only, so content stays deniable.

mod handover;
mod member_chain;
mod message;
mod sender;
mod sending_chain;
mod serialized;

use core::time::Duration;

pub use handover::{HandoverError, SenderKeyHandover};
pub use member_chain::{GroupDecryptError, MAX_CHAIN_SKIPPED, MemberChain};
pub use message::GroupMessage;
pub use sender::GroupSender;
pub use sending_chain::{GroupEncryptError, SendingChain};
pub use serialized::SerializedChain;

use crate::double_ratchet::MAX_JUMP;

/// Messages after which a chain is replaced. A chain only runs forward: who steals its key reads what follows
/// in it, so this bounds what that is. Not more than [`MAX_JUMP`], so that the last message can be read by
/// whoever missed all others.
pub const MAX_CHAIN_MESSAGES: u32 = 1000;
const _: () = assert!(MAX_CHAIN_MESSAGES <= MAX_JUMP);

/// Age at which a chain is replaced: the same bound for a quiet group. A week, as for prekeys; a shorter one
/// would hand over more than it protects. The clock is the caller's.
pub const MAX_CHAIN_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
