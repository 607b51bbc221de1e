//! Account records, recovery words, certificates, and what a device signs for the relay.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use subrosa_crypto::*;

use crate::parties::Party;

#[test]
fn an_account_id_is_the_hash_of_key_and_recovery_commitment() {
    let party = Party::new();
    let bytes = party.record.encode();
    assert_eq!(bytes.len(), 65);
    assert_eq!(bytes[0], 1);
    let mut hasher = Sha256::new();
    hasher.update(b"Subrosa account id v1");
    hasher.update(&bytes[1..]);
    assert_eq!(party.record.id(), <[u8; 32]>::from(hasher.finalize()));
    assert_eq!(AccountRecord::decode(&bytes).unwrap(), party.record);
}

#[test]
fn key_pairs_come_back_from_their_seeds() {
    let account = AccountKeyPair::generate().unwrap();
    assert_eq!(AccountKeyPair::from_seed(&account.seed()).public(), account.public());
    let identity = IdentityKeyPair::generate().unwrap();
    assert_eq!(IdentityKeyPair::from_seed(&identity.seed()).public(), identity.public());
}

#[test]
fn recovery_words_are_24_and_give_the_key_back() {
    let key = RecoveryKey::generate().unwrap();
    let words = key.words();
    assert_eq!(words.split(' ').count(), 24);
    let untidy = format!("  {}\n", words.to_uppercase().replace(' ', "\t "));
    for text in [words.as_str(), untidy.as_str()] {
        assert_eq!(RecoveryKey::from_words(text).unwrap().commitment(), key.commitment());
    }
}

#[test]
fn recovery_words_follow_bip39() {
    // BIP-39's own vector for 32 zero bytes.
    let words = format!("{}art", "abandon ".repeat(23));
    let key = RecoveryKey::from_words(&words).unwrap();
    assert_eq!(key.words().as_str(), words);
    let public = IdentityKeyPair::from_seed(&[0; 32]).public();
    assert_eq!(key.commitment(), <[u8; 32]>::from(Sha256::digest(public.as_bytes())));
}

#[test]
fn wrong_recovery_words_say_what_is_wrong() {
    let abandon = "abandon ".repeat(23);
    assert_eq!(RecoveryKey::from_words(&abandon).unwrap_err(), RecoveryWordsError::WordCount);
    assert_eq!(RecoveryKey::from_words(&"abandon ".repeat(100_000)).unwrap_err(), RecoveryWordsError::WordCount);
    assert_eq!(RecoveryKey::from_words(&format!("{abandon}abandon")).unwrap_err(), RecoveryWordsError::Checksum);
    let misspelt = format!("{}art", abandon.replacen("abandon abandon", "abandon abandn", 1));
    assert_eq!(RecoveryKey::from_words(&misspelt).unwrap_err(), RecoveryWordsError::UnknownWord(2));
}

#[test]
fn small_order_and_non_canonical_identity_keys_are_refused() {
    let identity = [0x01].into_iter().chain([0; 31]).collect::<Vec<_>>();
    let order_two = [0xec].into_iter().chain([0xff; 30]).chain([0x7f]).collect::<Vec<_>>();
    let order_four = vec![0; 32];
    let order_eight = hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap();
    for bytes in [identity.clone(), order_two, order_four, order_eight] {
        let bytes = bytes.try_into().unwrap();
        assert_eq!(IdentityKey::from_bytes(&bytes).unwrap_err(), KeyError::SmallOrder);
        assert_eq!(AccountKey::from_bytes(&bytes).unwrap_err(), KeyError::SmallOrder);
    }
    // y = 1 with the sign bit of x = 0 set, y = p, and y = 2^255 - 1.
    let mut negative_zero = identity;
    negative_zero[31] = 0x80;
    let p = [0xed].into_iter().chain([0xff; 30]).chain([0x7f]).collect::<Vec<_>>();
    let mut max = [0xff; 32];
    max[31] = 0x7f;
    for bytes in [negative_zero, p, max.to_vec()] {
        assert_eq!(IdentityKey::from_bytes(&bytes.try_into().unwrap()).unwrap_err(), KeyError::NotCanonical);
    }
}

#[test]
fn a_certificate_holds_for_its_account_only() {
    let (alice, mallory) = (Party::new(), Party::new());
    let certificate = alice.certificate.certificate();
    assert_eq!(DeviceCertificate::decode(&certificate.encode()).unwrap(), *certificate);
    assert_eq!(certificate.verify(&mallory.record).unwrap_err(), CertificateError::BadSignature);
    // The same account key with another recovery commitment is another account.
    let sibling = AccountRecord::new(alice.account.public(), [7; 32]);
    assert_eq!(certificate.verify(&sibling).unwrap_err(), CertificateError::BadSignature);
    // Signed by another key for alice's account.
    let forged = DeviceCertificate::issue(&mallory.account, &alice.record.id(), 1, &mallory.identity.public(), 1);
    assert!(forged.verify(&alice.record).is_err());
}

#[test]
fn every_field_of_a_certificate_is_signed() {
    let alice = Party::new();
    let bytes = alice.certificate.certificate().encode();
    for position in 0..bytes.len() {
        let mut altered = bytes;
        altered[position] ^= 1;
        if let Ok(certificate) = DeviceCertificate::decode(&altered) {
            assert!(certificate.verify(&alice.record).is_err(), "{position}");
        }
    }
}

#[test]
fn relay_signatures_cover_every_field() {
    let party = Party::new();
    let key = VerifyingKey::from_bytes(party.identity.public().as_bytes()).unwrap();
    let nonce = [9; 32];
    let address = party.address();

    let shown = [[1; 16], [2; 16]];
    let marks = RelayMarks { shown: &shown, new: &[3; 16], take_over: true };
    for (exporter, bytes) in [(None, vec![0]), (Some(&[7; 32]), [&[1][..], &[7; 32]].concat())] {
        let signature = party.identity.sign_relay_auth("127.0.0.1:8443", None, exporter, &nonce, &address, &marks);
        let mut message = b"Subrosa relay auth v1".to_vec();
        message.extend_from_slice(&[0, 14]);
        message.extend_from_slice(b"127.0.0.1:8443");
        message.push(0);
        message.extend_from_slice(&bytes);
        message.extend_from_slice(&nonce);
        message.extend_from_slice(&address.account);
        message.extend_from_slice(&[0, 0, 0, 1]);
        message.extend_from_slice(&[&[1, 2][..], &[1; 16], &[2; 16], &[3; 16]].concat());
        key.verify_strict(&message, &Signature::from_bytes(&signature)).unwrap();
    }

    let signature =
        party.identity.sign_registration("relay.example:443", Some(&[3; 32]), "alice", &address.account, &[4; 32]);
    let mut message = b"Subrosa registration v1".to_vec();
    message.extend_from_slice(&[0, 17]);
    message.extend_from_slice(b"relay.example:443");
    message.push(1);
    message.extend_from_slice(&[3; 32]);
    message.extend_from_slice(&[0, 5]);
    message.extend_from_slice(b"alice");
    message.extend_from_slice(&address.account);
    message.extend_from_slice(&[4; 32]);
    key.verify_strict(&message, &Signature::from_bytes(&signature)).unwrap();
}
