//! Secrets: never in `Debug`, wiped on drop also inside the dependencies.

use subrosa_crypto::*;
use zeroize::ZeroizeOnDrop;

use crate::parties::{Party, conversation};

#[test]
fn debug_shows_no_secret() {
    let (alice, bob) = (Party::new(), Party::new());
    let (a, b) = conversation(&alice, &bob);
    let step = a.encrypt(b"text").unwrap();
    let (message, plaintext) = {
        let (_, message) = crate::parties::committed(a.encrypt(b"text").unwrap());
        let (_, plaintext) = crate::parties::committed(b.decrypt(message.kind, &message.message).unwrap());
        (message, plaintext)
    };
    let content = SealedContent::session(alice.record.id(), *alice.certificate.certificate(), message.message);
    let sealed = seal(&[&alice.key_to(&bob)], &content).unwrap();
    let opened = open(&bob.identity, &bob.address(), &sealed.heads[0], &sealed.body).unwrap();
    let chain = SendingChain::new(std::num::NonZeroU32::MIN).unwrap();
    for (text, name) in [
        (format!("{:?}", alice.account), "AccountKeyPair"),
        (format!("{:?}", alice.identity), "IdentityKeyPair"),
        (format!("{:?}", RecoveryKey::generate().unwrap()), "RecoveryKey"),
        (format!("{:?}", Curve25519KeyPair::generate().unwrap()), "Curve25519KeyPair"),
        (format!("{:?}", alice.signed), "SignedPrekeyPair"),
        (format!("{:?}", alice.one_time), "OneTimePrekeyPair"),
        (format!("{:?}", alice.kem), "KemPrekeyPair"),
        (format!("{:?}", alice.bundle()), "PrekeyBundle"),
        (format!("{a:?}"), "Session"),
        (format!("{:?}", a.serialize()), "SerializedSession"),
        (format!("{step:?}"), "Step"),
        (format!("{plaintext:?}"), "Plaintext"),
        (format!("{content:?}"), "SealedContent"),
        (format!("{:?}", alice.key_to(&bob)), "SendingPairKey"),
        (format!("{:?}", alice.key_from(&bob)), "ReceivingPairKey"),
        (format!("{opened:?}"), "OpenedSeal"),
        (format!("{chain:?}"), "SendingChain"),
        (format!("{:?}", chain.serialize()), "SerializedChain"),
        (format!("{:?}", chain.handover()), "SenderKeyHandover"),
        (format!("{:?}", MemberChain::new(&chain.handover())), "MemberChain"),
        (format!("{:?}", LinkKeys::derive(&[1; 16], &[2; 32])), "LinkKeys"),
    ] {
        assert_eq!(text, format!("{name} {{ .. }}"));
    }
}

/// A feature of a dependency that was switched off would leave keys in memory: then this does
/// not compile.
#[test]
fn dependencies_wipe_their_keys() {
    fn wiped_on_drop<T: ZeroizeOnDrop>() {}
    wiped_on_drop::<ed25519_dalek::SigningKey>();
    wiped_on_drop::<x25519_dalek::StaticSecret>();
    wiped_on_drop::<x25519_dalek::SharedSecret>();
    wiped_on_drop::<aes_gcm::Aes256Gcm>();
    wiped_on_drop::<aes_gcm::aes::Aes256>();
    wiped_on_drop::<sha2::Sha256>();
    wiped_on_drop::<sha2::Sha512>();
    wiped_on_drop::<bip39::Mnemonic>();
}
