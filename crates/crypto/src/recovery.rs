//! The recovery key: shown once as 24 words, then forgotten (`docs/protocol.md`, "Identities"). Its
//! hash is part of the account id, so it can sign a successor of a stolen account key.

use bip39::{Language, Mnemonic};
use zeroize::{Zeroize, Zeroizing};

use crate::ed25519::Ed25519KeyPair;
use crate::kdf::sha256;
use crate::randomness::{Entropy, Os, RandomnessError};
use crate::redacted::redacted_debug;

/// Words that are not a recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryWordsError {
    /// Not exactly 24 words.
    #[error("a recovery key has 24 words")]
    WordCount,
    /// A word that is not in the list (its position, counted from 1).
    #[error("word {0} is not a recovery word; check its spelling")]
    UnknownWord(usize),
    /// All words exist, but the checksum in the last one does not fit.
    #[error("the words do not belong together; check their order and spelling")]
    Checksum,
}

/// An Ed25519 key pair made of 32 random bytes, which are its 24 BIP-39 words (English; the
/// entropy itself is the seed, BIP-39's PBKDF2 step is not used).
pub struct RecoveryKey {
    seed: Zeroizing<[u8; 32]>,
}

redacted_debug!(RecoveryKey);

impl RecoveryKey {
    /// A fresh recovery key.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomnessError> {
        Self::generate_from(&mut Os)
    }

    pub(crate) fn generate_from(entropy: &mut impl Entropy) -> Result<Self, RandomnessError> {
        Ok(Self { seed: Zeroizing::new(entropy.array()?) })
    }

    /// The 24 words, separated by single spaces.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        let mut words = Zeroizing::new(String::with_capacity(256));
        // 32 bytes are one of the lengths BIP-39 has, so this never fails.
        if let Ok(mut mnemonic) = Mnemonic::from_entropy_in(Language::English, &*self.seed) {
            for (position, word) in mnemonic.words().enumerate() {
                if position > 0 {
                    words.push(' ');
                }
                words.push_str(word);
            }
            mnemonic.zeroize();
        }
        words
    }

    /// From 24 words in any case, separated by any white space.
    ///
    /// # Errors
    /// [`RecoveryWordsError`] with the position of the first unknown word.
    pub fn from_words(words: &str) -> Result<Self, RecoveryWordsError> {
        // A longer text is no recovery key; it is not worth looking at.
        if words.split_whitespace().take(25).count() != 24 {
            return Err(RecoveryWordsError::WordCount);
        }
        let mut plain = Zeroizing::new(String::with_capacity(words.len() + 24));
        for word in words.split_whitespace() {
            plain.extend(word.chars().map(|c| c.to_ascii_lowercase()));
            plain.push(' ');
        }
        let mut mnemonic =
            Mnemonic::parse_in_normalized(Language::English, plain.trim_end()).map_err(|error| match error {
                bip39::Error::UnknownWord(index) => RecoveryWordsError::UnknownWord(index + 1),
                bip39::Error::BadWordCount(_) => RecoveryWordsError::WordCount,
                _ => RecoveryWordsError::Checksum,
            })?;
        let (mut entropy, len) = mnemonic.to_entropy_array();
        mnemonic.zeroize();
        let mut seed = Zeroizing::new([0; 32]);
        if len == 32 {
            seed.copy_from_slice(&entropy[..32]);
        }
        entropy.zeroize();
        if len != 32 {
            return Err(RecoveryWordsError::WordCount);
        }
        Ok(Self { seed })
    }

    /// SHA-256 of the recovery public key (Ed25519, 32 bytes): the part of the account record
    /// that commits to this key.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        sha256(&[Ed25519KeyPair::from_seed(&self.seed).public().as_bytes()])
    }
}
