//! Safety numbers: what two people compare to know that nobody sits between them
//! (`docs/protocol.md`, "Safety number"). Layout and rounds are those of Signal's fingerprints.

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::account::AccountKey;

/// Rounds of SHA-512 a side: makes a search for a colliding key that much dearer.
const ROUNDS: usize = 5200;
/// First input of the hash.
const HASH_VERSION: [u8; 2] = [0, 0];
/// First byte of the QR code's content.
const QR_VERSION: u8 = 1;
/// Bytes of a QR code's content.
const QR_LEN: usize = 1 + 2 * 32;

/// The safety number of two accounts: the same value on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyNumber {
    digits: String,
    qr: [u8; QR_LEN],
}

/// The safety number of two accounts, each given by its id and account key. The order does not
/// matter. Costs about 3 ms.
#[must_use]
pub fn safety_number(a: (&[u8; 32], &AccountKey), b: (&[u8; 32], &AccountKey)) -> SafetyNumber {
    let mut sides = [fingerprint(a.0, a.1), fingerprint(b.0, b.1)];
    sides.sort_by_cached_key(|side| (digits(side), *side));
    let mut qr = [0; QR_LEN];
    qr[0] = QR_VERSION;
    qr[1..33].copy_from_slice(&sides[0][..32]);
    qr[33..].copy_from_slice(&sides[1][..32]);
    SafetyNumber { digits: format!("{}{}", digits(&sides[0]), digits(&sides[1])), qr }
}

/// SHA-512(0x0000 ‖ key ‖ id ‖ key), then 5,199 times SHA-512(hash ‖ key).
fn fingerprint(id: &[u8; 32], key: &AccountKey) -> [u8; 64] {
    let key = key.as_bytes();
    let mut hash =
        Sha512::new().chain_update(HASH_VERSION).chain_update(key).chain_update(id).chain_update(key).finalize();
    for _ in 1..ROUNDS {
        hash = Sha512::new().chain_update(hash).chain_update(key).finalize();
    }
    hash.into()
}

/// The first 30 bytes as six big-endian 5-byte numbers modulo 100,000.
fn digits(fingerprint: &[u8; 64]) -> String {
    fingerprint[..30]
        .chunks_exact(5)
        .map(|chunk| {
            let number = chunk.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        })
        .collect()
}

impl SafetyNumber {
    /// The 60 digits without spaces.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// The twelve groups of five digits, in order.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        (0..12).map(|group| &self.digits[group * 5..group * 5 + 5])
    }

    /// The content of the QR code: version u8 = 1 ‖ 32 bytes of each side, the lower one first.
    #[must_use]
    pub fn qr_bytes(&self) -> &[u8] {
        &self.qr
    }

    /// Compares with the content of a scanned QR code, in constant time.
    #[must_use]
    pub fn matches_qr(&self, scanned: &[u8]) -> bool {
        self.qr.as_slice().ct_eq(scanned).into()
    }

    /// Compares with typed or read digits (white space is ignored), in constant time.
    #[must_use]
    pub fn matches_digits(&self, typed: &str) -> bool {
        let typed: String = typed.split_whitespace().collect();
        self.digits.as_bytes().ct_eq(typed.as_bytes()).into()
    }
}
