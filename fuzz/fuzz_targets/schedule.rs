//! Two parties, and every byte of the input one step of a schedule: send, deliver in order, out of
//! order or twice, lose, damage, fail to store, start again from stored bytes, go back to a
//! snapshot. A message is read at most once by a state, and always as it was written.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use subrosa_crypto::*;

struct Party {
    identity: IdentityKeyPair,
    certificate: VerifiedCertificate,
    signed: SignedPrekeyPair,
    one_time: OneTimePrekeyPair,
    kem: KemPrekeyPair,
}

impl Party {
    fn new(seed: u8) -> Self {
        let account = AccountKeyPair::from_seed(&[seed; 32]);
        let record = AccountRecord::new(account.public(), [seed; 32]);
        let identity = IdentityKeyPair::from_seed(&[seed + 1; 32]);
        let issued = DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1);
        Self {
            certificate: issued.verify(&record).unwrap(),
            signed: SignedPrekeyPair::generate(1, &identity).unwrap(),
            one_time: OneTimePrekeyPair::generate(2).unwrap(),
            kem: KemPrekeyPair::generate(3, &identity, KemUse::OneTime).unwrap(),
            identity,
        }
    }
}

static PARTIES: LazyLock<[Party; 2]> = LazyLock::new(|| [Party::new(10), Party::new(20)]);

#[derive(Default)]
struct Side {
    session: Option<Session>,
    snapshot: Option<(Vec<u8>, HashSet<u32>)>,
    inbox: Vec<(Ciphertext, u32)>,
    read: HashSet<u32>,
}

fn committed<T>(step: Step<T>) -> (Session, T) {
    step.commit(|_| Ok::<_, ()>(())).unwrap()
}

/// Reads and moves on; a refusal leaves the state as it was.
fn read(to: usize, side: &mut Side, message: &Ciphertext) -> Option<Vec<u8>> {
    let (me, peer) = (&PARTIES[to], &PARTIES[1 - to]);
    let result = match &side.session {
        Some(session) => session.decrypt(message.kind, &message.message).ok(),
        None => {
            let prekeys = ResponderPrekeys { signed: &me.signed, one_time: Some(&me.one_time), kem: &me.kem };
            Session::accept(&me.identity, &me.certificate.address(), &peer.certificate, &prekeys, &message.message).ok()
        }
    };
    let (session, text) = committed(result?);
    side.session = Some(session);
    Some(text.as_bytes().to_vec())
}

fuzz_target!(|data: &[u8]| {
    let mut sides = [Side::default(), Side::default()];
    let bob = &PARTIES[1];
    let bundle = PrekeyBundle::verify(
        &bob.certificate,
        &bob.signed.public_bytes(),
        Some(&bob.one_time.public_bytes()),
        &bob.kem.public_bytes(),
        KemUse::OneTime,
    )
    .unwrap();
    let alice = &PARTIES[0];
    sides[0].session = Some(Session::initiate(&alice.identity, &alice.certificate.address(), &bundle).unwrap());
    let mut sent = 0u32;
    for byte in data.iter().take(200) {
        let at = usize::from(byte & 1);
        let pick = usize::from(byte >> 4);
        match (byte >> 1) & 7 {
            0 | 1 => {
                let Some(session) = &sides[at].session else { continue };
                let (next, message) = committed(session.encrypt(&sent.to_be_bytes()).unwrap());
                sides[at].session = Some(next);
                sides[1 - at].inbox.push((message, sent));
                sent += 1;
            }
            action @ 2..=4 => {
                let side = &mut sides[at];
                if side.inbox.is_empty() {
                    continue;
                }
                let index = if action == 2 { 0 } else { pick % side.inbox.len() };
                let (message, number) = side.inbox[index].clone();
                if let Some(text) = read(at, side, &message) {
                    assert_eq!(text, number.to_be_bytes());
                    assert!(side.read.insert(number), "read twice");
                }
                if action != 4 {
                    side.inbox.remove(index);
                }
            }
            5 => {
                let side = &mut sides[at];
                let Some((message, _)) = side.inbox.first() else { continue };
                let mut message = message.clone();
                let position = pick * message.message.len() / 16;
                message.message[position] ^= 1;
                assert_eq!(read(at, side, &message), None);
            }
            6 => {
                let side = &mut sides[at];
                if let Some(session) = &side.session {
                    let bytes = session.serialize().as_bytes().to_vec();
                    side.session = Some(Session::deserialize(&bytes).unwrap());
                    if pick > 7 {
                        side.snapshot = Some((bytes, side.read.clone()));
                    }
                }
            }
            _ => {
                // An older copy: what was read since may be read again, and nothing more.
                let side = &mut sides[at];
                if let Some((bytes, read)) = &side.snapshot {
                    side.session = Some(Session::deserialize(bytes).unwrap());
                    side.read = read.clone();
                }
            }
        }
    }
});
