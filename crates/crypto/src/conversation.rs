//! Names that nobody chooses: of conversations, and of messages (`docs/protocol.md`, "Contents").
//!
//! Both are hashes, the same at every end. A message id certifies its author: whoever knows it can neither take it for a
//! message of their own nor keep its message from anybody by using it first.

use sha2::{Digest as _, Sha256};

use crate::labels;

/// The id of what two accounts say to each other; of one account twice: of its notes to itself.
#[must_use]
pub fn chat_id(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let (smaller, larger) = if one <= other { (one, other) } else { (other, one) };
    Sha256::new().chain_update(labels::CHAT_ID).chain_update(smaller).chain_update(larger).finalize().into()
}

/// The id of a content: of its conversation, its author's account and 16 bytes of the author's choice.
#[must_use]
pub fn message_id(conversation: &[u8; 32], author: &[u8; 32], random: &[u8; 16]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(labels::MESSAGE_ID)
        .chain_update(conversation)
        .chain_update(author)
        .chain_update(random)
        .finalize()
        .into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_name_their_conversation_alike_and_nobody_elses() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        assert_eq!(chat_id(&a, &b), chat_id(&b, &a));
        let names = [chat_id(&a, &b), chat_id(&a, &c), chat_id(&b, &c), chat_id(&a, &a), chat_id(&b, &b)];
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name));
        }
    }

    #[test]
    fn a_message_id_of_another_author_or_conversation_is_another_one() {
        let id = message_id(&[1; 32], &[2; 32], &[3; 16]);
        assert_ne!(id, message_id(&[1; 32], &[4; 32], &[3; 16]));
        assert_ne!(id, message_id(&[4; 32], &[2; 32], &[3; 16]));
        assert_ne!(id, message_id(&[1; 32], &[2; 32], &[4; 16]));
    }
}
