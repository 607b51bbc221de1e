//! Message keys of messages that did not arrive yet, for the last few chains of the peer.

use std::sync::Arc;

use crate::message_key::MessageKey;

/// Most skipped message keys of one session, over all its chains (Double Ratchet, revision 3,
/// section 8.4). When new ones come, the oldest go first; a message whose key went is refused
/// as [`crate::DecryptError::KeyGone`], never silently. At 68 bytes each that is 136 KB.
pub const MAX_SKIPPED: usize = 2000;

/// Chains of the peer that a session remembers, the current one included. A message from an
/// earlier chain cannot be read any more; keeping keys longer would only serve a thief.
pub const MAX_CHAINS: usize = 5;

/// What is known about one message of a chain that is not ahead.
pub(crate) enum Lookup {
    /// Its key was skipped and waits.
    Found(MessageKey),
    /// The chain is known, the key is not: received already, or dropped.
    Gone,
    /// No such chain is remembered.
    UnknownChain,
}

#[derive(Clone)]
pub(crate) struct SkippedChain {
    pub(crate) remote: [u8; 32],
    /// Ascending by number.
    pub(crate) keys: Vec<(u32, MessageKey)>,
}

/// The remembered chains, oldest first; the last one is the current chain. Chains are shared
/// between clones, so only a touched chain is ever copied.
#[derive(Clone, Default)]
pub(crate) struct SkippedKeys {
    pub(crate) chains: Vec<Arc<SkippedChain>>,
}

impl SkippedKeys {
    pub(crate) fn find(&self, remote: &[u8; 32], number: u32) -> Lookup {
        let Some(chain) = self.chains.iter().rev().find(|c| c.remote == *remote) else {
            return Lookup::UnknownChain;
        };
        match chain.keys.binary_search_by_key(&number, |(n, _)| *n) {
            Ok(index) => Lookup::Found(chain.keys[index].1.clone()),
            Err(_) => Lookup::Gone,
        }
    }

    /// Without one key.
    pub(crate) fn without(&self, remote: &[u8; 32], number: u32) -> Self {
        let mut next = self.clone();
        if let Some(chain) = next.chains.iter_mut().rev().find(|c| c.remote == *remote) {
            Arc::make_mut(chain).keys.retain(|(n, _)| *n != number);
        }
        next
    }

    /// Whether [`Self::add`] would change anything.
    pub(crate) fn would_change(&self, remote: &[u8; 32], keys: &[(u32, MessageKey)]) -> bool {
        !keys.is_empty() || self.chains.iter().rev().all(|c| c.remote != *remote)
    }

    /// Adds keys, higher than those already there, to the chain of `remote`, which becomes the
    /// newest if it was unknown; then drops what is over the limits, oldest first.
    pub(crate) fn add(&mut self, remote: &[u8; 32], keys: Vec<(u32, MessageKey)>) {
        match self.chains.iter_mut().rev().find(|c| c.remote == *remote) {
            Some(_) if keys.is_empty() => {}
            Some(chain) => Arc::make_mut(chain).keys.extend(keys),
            None => self.chains.push(Arc::new(SkippedChain { remote: *remote, keys })),
        }
        let surplus_chains = self.chains.len().saturating_sub(MAX_CHAINS);
        self.chains.drain(..surplus_chains);
        let mut surplus = self.len().saturating_sub(MAX_SKIPPED);
        for chain in &mut self.chains {
            let dropped = surplus.min(chain.keys.len());
            if dropped > 0 {
                Arc::make_mut(chain).keys.drain(..dropped);
                surplus -= dropped;
            }
        }
    }

    /// Keys over all chains.
    pub(crate) fn len(&self) -> usize {
        self.chains.iter().map(|chain| chain.keys.len()).sum()
    }
}
