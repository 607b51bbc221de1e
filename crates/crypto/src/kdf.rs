//! HKDF-SHA-256, SHA-256 and AES-256-GCM in the one shape this protocol uses them.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of an AES-GCM tag. Always the full tag: short ones are a legacy of older protocols.
pub(crate) const TAG_LEN: usize = 16;

/// HKDF-SHA-256 (RFC 5869) with `N` bytes of output. `N` is at most a few hundred here, far
/// below HKDF's bound of 8,160, which `expand` would otherwise report.
pub(crate) fn hkdf<const N: usize>(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32) };
    let mut output = Zeroizing::new([0; N]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), ikm).expand_multi_info(info, output.as_mut());
    debug_assert!(expanded.is_ok(), "the length is bounded at compile time");
    output
}

/// SHA-256 over the concatenation of `parts`.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A single-use AES-256-GCM key with its nonce.
pub(crate) struct AeadKey {
    key_and_nonce: Zeroizing<[u8; 44]>,
}

/// The tag does not verify.
pub(crate) struct BadTag;

impl AeadKey {
    /// From key (32) ‖ nonce (12).
    pub(crate) fn new(key_and_nonce: Zeroizing<[u8; 44]>) -> Self {
        Self { key_and_nonce }
    }

    fn parts(&self) -> (Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>) {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&self.key_and_nonce[..32]);
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.key_and_nonce[32..]);
        let key: &Key<Aes256Gcm> = (&*key).into();
        (Aes256Gcm::new(key), nonce.into())
    }

    /// Encrypts `buffer[from..]` in place and appends the tag. `false` only beyond AES-GCM's
    /// 64 GiB, which no caller's limit allows.
    pub(crate) fn seal(self, aad: &[u8], buffer: &mut Vec<u8>, from: usize) -> bool {
        let (cipher, nonce) = self.parts();
        match cipher.encrypt_inout_detached(&nonce, aad, (&mut buffer[from..]).into()) {
            Ok(tag) => {
                buffer.extend_from_slice(&tag);
                true
            }
            Err(_) => false,
        }
    }

    /// Verifies and decrypts ciphertext ‖ tag.
    pub(crate) fn open(self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadTag> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(BadTag)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let (cipher, nonce) = self.parts();
        let tag: &Tag = tag.into();
        cipher.decrypt_inout_detached(&nonce, aad, plaintext.as_mut_slice().into(), tag).map_err(|_| BadTag)?;
        Ok(plaintext)
    }
}
