//! Secrets are wiped: observed, not believed. The kernel's view of this process
//! (`/proc/self/mem`) shows what stands at an address after its owner was dropped, without unsafe
//! code. A control shows that an ordinary value would still be there.
//!
//! What this cannot show: copies that a move or a register spill left on the stack
//! (`docs/review.md` says so).

use std::fs::File;
use std::os::unix::fs::FileExt;

use zeroize::Zeroizing;

use crate::chain_key::ChainKey;
use crate::curve25519::Curve25519KeyPair;
use crate::device::IdentityKeyPair;
use crate::ed25519::Ed25519KeyPair;
use crate::kdf::AeadKey;
use crate::kem::KemKeyPair;
use crate::message_key::MessageKey;
use crate::prekeys::{KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, ResponderPrekeys, SignedPrekeyPair};
use crate::recovery::RecoveryKey;
use crate::root_key::RootKey;
use crate::sender_key::{MemberChain, SendingChain};
use crate::session::SerializedSession;
use crate::session::{Plaintext, Session};

/// Distinct bytes, so that any eight of them are recognised.
fn secret<const N: usize>() -> [u8; N] {
    std::array::from_fn(|n| (n as u8).wrapping_mul(37).wrapping_add(101))
}

/// Whether any eight bytes in a row of `secret` stand in memory at `address`; reads into `buffer`.
fn in_memory(memory: &File, address: usize, buffer: &mut [u8], secret: &[u8]) -> bool {
    memory.read_exact_at(buffer, address as u64).unwrap();
    secret.windows(8).any(|part| buffer.windows(8).any(|found| found == part))
}

/// Drops `owner`, of which `bytes` is where it keeps `secret`; true if nothing of that is left.
fn wiped_at<T>(owner: T, bytes: impl FnOnce(&T) -> (usize, usize), secret: &[u8]) -> bool {
    let memory = File::open("/proc/self/mem").unwrap();
    let (address, len) = bytes(&owner);
    // Made before the drop: made after it, the buffer could be given the very memory to look at.
    let mut buffer = vec![0; len];
    assert!(in_memory(&memory, address, &mut buffer, secret), "the secret was not where it was looked for");
    buffer.fill(0);
    drop(owner);
    !in_memory(&memory, address, &mut buffer, secret)
}

/// The same for a value that holds its secret in itself.
fn wiped<T>(value: T, secret: &[u8]) -> bool {
    wiped_at(Box::new(value), |owner| (&raw const **owner as usize, size_of::<T>()), secret)
}

fn range(bytes: &[u8]) -> (usize, usize) {
    (bytes.as_ptr() as usize, bytes.len())
}

#[test]
fn an_ordinary_value_would_still_be_there() {
    assert!(!wiped(secret::<64>(), &secret::<64>()));
    assert!(wiped(Zeroizing::new(secret::<64>()), &secret::<64>()));
}

#[test]
fn keys_are_wiped_when_dropped() {
    let key = secret::<32>();
    assert!(wiped(Ed25519KeyPair::from_seed(&key), &key));
    assert!(wiped(IdentityKeyPair::from_seed(&key), &key));
    assert!(wiped(Curve25519KeyPair::from_secret(&key), &key));
    assert!(wiped_at(RootKey::new(&key), |owner| range(owner.as_bytes()), &key));
    assert!(wiped_at(ChainKey::new(&key), |owner| range(owner.as_bytes()), &key));
    assert!(wiped_at(MessageKey::new(&key), |owner| range(owner.as_bytes()), &key));
    assert!(wiped(AeadKey::new(Zeroizing::new(secret())), &secret::<44>()));
    assert!(wiped(KemKeyPair::from_seed(&secret()), &secret::<64>()));
    // The key that was expanded from the seed.
    let pair = KemKeyPair::from_seed(&secret());
    let expanded = pair.expanded().to_vec();
    assert!(wiped_at(pair, |owner| range(owner.expanded()), &expanded));
    let peer = IdentityKeyPair::from_seed(&[9; 32]);
    let address = crate::address::PartyAddress { account: [1; 32], device: 1 };
    let account = crate::account::AccountKeyPair::from_seed(&[3; 32]);
    let record = crate::account::AccountRecord::new(account.public(), [5; 32]);
    let issued = crate::certificate::DeviceCertificate::issue(&account, &record.id(), 1, &peer.public(), 1);
    let peer = issued.verify(&record).unwrap();
    let own = IdentityKeyPair::from_seed(&key);
    let pair = crate::pair_key::SendingPairKey::new(&own, &address, &peer).unwrap();
    let bytes = *pair.as_bytes();
    assert!(wiped_at(pair, |owner| range(owner.as_bytes()), &bytes));
    let pair = crate::pair_key::ReceivingPairKey::new(&own, &address, &peer).unwrap();
    let bytes = *pair.as_bytes();
    assert!(wiped_at(pair, |owner| range(owner.as_bytes()), &bytes));
    let link = crate::link_keys::LinkKeys::derive(&secret(), &[1; 32]);
    let bytes = *link.proof_key();
    assert!(wiped(link, &bytes));
    // The X25519 image of an identity, which is derived.
    let identity = IdentityKeyPair::from_seed(&key);
    let image = identity.agreement().secret();
    assert!(wiped(identity, &*image));
    let recovery = RecoveryKey::from_words(&format!("{}art", "abandon ".repeat(23))).unwrap();
    let words = recovery.words();
    assert!(wiped_at(words, |owner| range(owner.as_bytes()), "abandon abandon".as_bytes()));
}

#[test]
fn prekeys_are_wiped_when_dropped() {
    let identity = IdentityKeyPair::generate().unwrap();
    let stored = |rest: &[&[u8]]| [&[1, 0, 0, 0, 1][..], &rest.concat()].concat();
    let (key, seed) = (secret::<32>(), secret::<64>());
    assert!(wiped(SignedPrekeyPair::from_secret_bytes(&stored(&[&key, &[0; 64]])).unwrap(), &key));
    assert!(wiped(OneTimePrekeyPair::from_secret_bytes(&stored(&[&key])).unwrap(), &key));
    assert!(wiped(KemPrekeyPair::from_secret_bytes(&stored(&[&[2], &seed, &[0; 64]])).unwrap(), &seed));
    let pair = SignedPrekeyPair::generate(1, &identity).unwrap();
    let bytes = pair.to_secret_bytes();
    let secret = bytes.to_vec();
    assert!(wiped_at(bytes, |owner| range(&owner[..]), &secret[5..37]));
}

#[test]
fn sessions_and_texts_are_wiped_when_dropped() {
    let identities = [[1; 32], [2; 32]].map(|seed| IdentityKeyPair::from_seed(&seed));
    let accounts = [[3; 32], [4; 32]].map(|seed| crate::account::AccountKeyPair::from_seed(&seed));
    let certificates: Vec<_> = identities
        .iter()
        .zip(&accounts)
        .map(|(identity, account)| {
            let record = crate::account::AccountRecord::new(account.public(), [5; 32]);
            let issued = crate::certificate::DeviceCertificate::issue(account, &record.id(), 1, &identity.public(), 1);
            issued.verify(&record).unwrap()
        })
        .collect();
    let signed = SignedPrekeyPair::generate(1, &identities[1]).unwrap();
    let kem = KemPrekeyPair::generate(1, &identities[1], crate::kem::KemUse::LastResort).unwrap();
    let bundle = PrekeyBundle::verify(
        &certificates[1],
        &signed.public_bytes(),
        None,
        &kem.public_bytes(),
        crate::kem::KemUse::LastResort,
    )
    .unwrap();
    let first = Session::initiate(&identities[0], &certificates[0].address(), &bundle).unwrap();
    let text = secret::<100>();
    let (session, message) = first.encrypt(&text).unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    // States share the keys they have in common.
    drop(first);

    let root = *session.ratchet.root.as_bytes();
    let serialized: SerializedSession = session.serialize();
    assert!(wiped_at(serialized, |owner| range(owner.as_bytes()), &root));
    // The session's own root key, which nobody else holds.
    let address = range(session.ratchet.root.as_bytes());
    assert!(wiped_at(session, |_| address, &root));

    let prekeys = ResponderPrekeys { signed: &signed, one_time: None, kem: &kem };
    let accepted =
        Session::accept(&identities[1], &certificates[1].address(), &certificates[0], &prekeys, &message.message);
    let (_, plaintext): (_, Plaintext) = accepted.unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    assert!(wiped_at(plaintext, |owner| range(owner.as_bytes()), &text));
}

#[test]
fn chains_of_groups_are_wiped_when_dropped() {
    let identity = IdentityKeyPair::from_seed(&[1; 32]).public();
    let address = crate::address::PartyAddress { account: [2; 32], device: 1 };
    let sender = crate::sender_key::GroupSender { group: [3; 32], address, identity };
    let stored = [&[1, 0, 0, 0, 1, 0, 0, 0, 0][..], &secret::<32>(), &[9; 32]].concat();
    let first = SendingChain::deserialize(&stored).unwrap();
    let handover = first.handover();
    let (chain, _) = first.encrypt(&sender, b"skipped").unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    let (_, message) = chain.encrypt(&sender, b"read").unwrap().commit(|_| Ok::<_, ()>(())).unwrap();
    let reading = MemberChain::new(&handover);
    let (member, _) = reading.decrypt(&sender, &message.message).unwrap().commit(|_| Ok::<_, ()>(())).unwrap();

    assert!(wiped_at(handover.encode(), |owner| range(&owner[..]), &secret::<32>()));
    assert!(wiped_at(first.serialize(), |owner| range(owner.as_bytes()), &secret::<32>()));
    assert!(wiped_at(chain.serialize(), |owner| range(owner.as_bytes()), &[9; 32]));
    let skipped = *member.skipped[0].1.as_bytes();
    assert!(wiped_at(member.serialize(), |owner| range(owner.as_bytes()), &skipped));
    // States share the keys they have in common: the owners of each go one after the other.
    let address = range(member.skipped[0].1.as_bytes());
    assert!(wiped_at(member, |_| address, &skipped));
    drop((first, reading));
    let address = range(handover.key.as_bytes());
    assert!(wiped_at(handover, |_| address, &secret::<32>()));
    let key = *chain.key.as_bytes();
    let address = range(chain.key.as_bytes());
    assert!(wiped_at(chain, |_| address, &key));
}

/// `NoDebug::<_>::check` is ambiguous, and does not compile, for a type that has `Debug`.
trait NoDebug<A> {
    fn check() {}
}
struct HasDebug;
impl<T: ?Sized> NoDebug<()> for T {}
impl<T: ?Sized + core::fmt::Debug> NoDebug<HasDebug> for T {}

/// Secret types inside the crate have no `Debug` at all; the public ones have a redacted one
/// (`tests/behaviour/secrets.rs`).
#[test]
fn inner_secrets_cannot_be_printed() {
    <Ed25519KeyPair as NoDebug<_>>::check();
    <KemKeyPair as NoDebug<_>>::check();
    <RootKey as NoDebug<_>>::check();
    <ChainKey as NoDebug<_>>::check();
    <MessageKey as NoDebug<_>>::check();
    <AeadKey as NoDebug<_>>::check();
    <crate::double_ratchet::DoubleRatchet as NoDebug<_>>::check();
    <crate::skipped_keys::SkippedKeys as NoDebug<_>>::check();
    <crate::kem::Encapsulated as NoDebug<_>>::check();
    <crate::pqxdh::Agreed as NoDebug<_>>::check();
}
