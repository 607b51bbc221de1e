//! Each operation beside vodozemac's, measured in the same run, sample for sample in turn.
//!
//! `cargo bench -p subrosa-crypto` prints one line for each operation: our time, vodozemac's for
//! the closest operation it has, and `N.N x`, how many times faster ours is. Times are CPU time
//! of the thread (other programs on the machine disturb less), the median of the samples.
// A benchmark is a test program: a failed unwrap is a failed run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroU32;

use rustix::time::{ClockId, clock_gettime};
use subrosa_crypto::*;
use vodozemac::ecies::{Ecies, InitialMessage};
use vodozemac::megolm::{self, GroupSession, InboundGroupSession};
use vodozemac::olm::{Account, OlmMessage, Session as Olm, SessionConfig};

/// Samples of each side of a line. Odd, so that there is a middle one.
const SAMPLES: usize = 41;
/// What is said: a chat message's length.
const TEXT: [u8; 100] = [0x61; 100];

/// CPU time of this thread in µs.
fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Time of one `run`, of `count` runs.
fn timed(count: usize, mut run: impl FnMut()) -> f64 {
    let start = now();
    for _ in 0..count {
        run();
    }
    (now() - start) / count as f64
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Takes samples of both in turn; returns the medians.
fn both(mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> (f64, f64) {
    ours();
    theirs();
    let (ours, theirs) = (0..SAMPLES).map(|_| (ours(), theirs())).unzip();
    (median(ours), median(theirs))
}

fn line(name: &str, (ours, theirs): (f64, f64), beside: &str) {
    println!("{name:<52} {ours:>9.1} µs {theirs:>9.1} µs {:>5.1} x   {beside}", theirs / ours);
}

fn line_alone(name: &str, ours: f64, note: &str) {
    println!("{name:<52} {ours:>9.1} µs {:>12} {:>7}   {note}", "-", "-");
}

struct Party {
    record: AccountRecord,
    account: AccountKeyPair,
    identity: IdentityKeyPair,
    certificate: DeviceCertificate,
    signed: SignedPrekeyPair,
    one_time: OneTimePrekeyPair,
    kem: KemPrekeyPair,
}

impl Party {
    fn new() -> Self {
        let account = AccountKeyPair::generate().unwrap();
        let record = AccountRecord::new(account.public(), [7; 32]);
        let identity = IdentityKeyPair::generate().unwrap();
        Self {
            certificate: DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1),
            signed: SignedPrekeyPair::generate(1, &identity).unwrap(),
            one_time: OneTimePrekeyPair::generate(2).unwrap(),
            kem: KemPrekeyPair::generate(3, &identity, KemUse::OneTime).unwrap(),
            record,
            account,
            identity,
        }
    }

    fn address(&self) -> PartyAddress {
        PartyAddress { account: self.record.id(), device: 1 }
    }

    fn verified(&self) -> VerifiedCertificate {
        self.certificate.verify(&self.record).unwrap()
    }
}

fn committed<T>(step: Step<T>) -> (Session, T) {
    // The state is serialized for the store, as in the client: that is part of our time.
    step.commit(|state| {
        black_box(state.as_bytes());
        Ok::<_, Infallible>(())
    })
    .unwrap()
}

/// The same for the state of a group's chain.
fn stored(state: &SerializedChain) -> Result<(), Infallible> {
    black_box(state.as_bytes());
    Ok(())
}

fn send(session: &mut Session) -> Ciphertext {
    let (next, message) = committed(session.encrypt(&TEXT).unwrap());
    *session = next;
    message
}

fn receive(session: &mut Session, message: &Ciphertext) {
    let (next, text) = committed(session.decrypt(message.kind, &message.message).unwrap());
    assert_eq!(text.as_bytes(), TEXT);
    *session = next;
}

/// The whole set-up from what a relay serves: both prekey signatures and the certificate are
/// verified by the initiator, the certificate by the responder; X3DH with four agreements,
/// ML-KEM-1024, the first ratchet step, and the first message encrypted and decrypted.
fn set_up(alice: &Party, bob: &Party, public: &[Vec<u8>; 3], certificates: &[[u8; 104]; 2]) -> (Session, Session) {
    let theirs = DeviceCertificate::decode(&certificates[1]).unwrap().verify(&bob.record).unwrap();
    let bundle = PrekeyBundle::verify(&theirs, &public[0], Some(&public[1]), &public[2], KemUse::OneTime).unwrap();
    let a = Session::initiate(&alice.identity, &alice.address(), &bundle).unwrap();
    let (a, first) = committed(a.encrypt(&TEXT).unwrap());
    SetupHeader::peek(&first.message).unwrap();
    let sender = DeviceCertificate::decode(&certificates[0]).unwrap().verify(&alice.record).unwrap();
    let prekeys = ResponderPrekeys { signed: &bob.signed, one_time: Some(&bob.one_time), kem: &bob.kem };
    let accepted = Session::accept(&bob.identity, &bob.address(), &sender, &prekeys, &first.message).unwrap();
    (a, committed(accepted).0)
}

fn served(bob: &Party) -> [Vec<u8>; 3] {
    [bob.signed.public_bytes().to_vec(), bob.one_time.public_bytes().to_vec(), bob.kem.public_bytes()]
}

fn ours(alice: &Party, bob: &Party) -> (Session, Session) {
    let certificates = [alice.certificate.encode(), bob.certificate.encode()];
    let (mut a, mut b) = set_up(alice, bob, &served(bob), &certificates);
    let answer = send(&mut b);
    receive(&mut a, &answer);
    (a, b)
}

fn olm_outbound(alice: &Account, bob: &Account) -> Olm {
    let one_time = *bob.one_time_keys().values().next().unwrap();
    alice.create_outbound_session(SessionConfig::default(), bob.curve25519_key(), one_time).unwrap()
}

fn olm_accounts() -> (Account, Account) {
    let (alice, mut bob) = (Account::new(), Account::new());
    bob.generate_one_time_keys(1);
    (alice, bob)
}

fn olm_set_up(alice: &Account, bob: &mut Account) -> (Olm, Olm) {
    let mut a = olm_outbound(alice, bob);
    let OlmMessage::PreKey(first) = a.encrypt(TEXT).unwrap() else {
        panic!("a new session starts with a prekey message")
    };
    let b = bob.create_inbound_session(SessionConfig::default(), alice.curve25519_key(), &first).unwrap();
    (a, b.session)
}

fn olm() -> (Olm, Olm) {
    let (alice, mut bob) = olm_accounts();
    let (mut a, mut b) = olm_set_up(&alice, &mut bob);
    let answer = b.encrypt(TEXT).unwrap();
    a.decrypt(&answer).unwrap();
    (a, b)
}

fn messages() {
    let (alice, bob) = (Party::new(), Party::new());
    let (mut a, mut b) = ours(&alice, &bob);
    let (mut olm_a, mut olm_b) = olm();
    let result = both(
        || {
            timed(100, || {
                let message = send(&mut a);
                receive(&mut b, &message);
            })
        },
        || {
            timed(20, || {
                let message = olm_a.encrypt(TEXT).unwrap();
                assert_eq!(olm_b.decrypt(&message).unwrap(), TEXT);
            })
        },
    );
    line("encrypt + decrypt, same chain", result, "Olm");

    let (mut a, mut b) = ours(&alice, &bob);
    let (mut olm_a, mut olm_b) = olm();
    let result = both(
        || {
            let each = timed(10, || {
                let message = send(&mut a);
                receive(&mut b, &message);
                let answer = send(&mut b);
                receive(&mut a, &answer);
            });
            each / 2.0
        },
        || {
            let each = timed(10, || {
                let message = olm_a.encrypt(TEXT).unwrap();
                olm_b.decrypt(&message).unwrap();
                let answer = olm_b.encrypt(TEXT).unwrap();
                olm_a.decrypt(&answer).unwrap();
            });
            each / 2.0
        },
    );
    line("encrypt + decrypt, ping-pong", result, "Olm");
}

fn group_messages() {
    let alice = Party::new();
    let sender = GroupSender::of([7; 32], &alice.verified());
    let mut chain = SendingChain::new(NonZeroU32::MIN).unwrap();
    let mut member = MemberChain::new(&chain.handover());
    let mut megolm = GroupSession::new(megolm::SessionConfig::default());
    let mut inbound = InboundGroupSession::new(&megolm.session_key(), megolm::SessionConfig::default());
    let result = both(
        || {
            timed(20, || {
                let step = chain.encrypt(&sender, &TEXT).unwrap();
                let (next, sent) = step.commit(stored).unwrap();
                chain = next;
                let step = member.decrypt(&sender, &sent.message).unwrap();
                let (next, text) = step.commit(stored).unwrap();
                member = next;
                assert_eq!(text.as_bytes(), TEXT);
            })
        },
        || {
            timed(20, || {
                let message = megolm.encrypt(TEXT);
                assert_eq!(inbound.decrypt(&message).unwrap().plaintext, TEXT);
            })
        },
    );
    line("group message, encrypt + decrypt", result, "Megolm");
}

fn set_ups() {
    let (alice, bob) = (Party::new(), Party::new());
    let public = served(&bob);
    let certificates = [alice.certificate.encode(), bob.certificate.encode()];
    let result = both(
        || {
            timed(5, || {
                black_box(set_up(&alice, &bob, &public, &certificates));
            })
        },
        || {
            let accounts: Vec<_> = (0..5).map(|_| olm_accounts()).collect();
            let mut accounts = accounts.into_iter();
            timed(5, || {
                let (alice, mut bob) = accounts.next().unwrap();
                black_box(olm_set_up(&alice, &mut bob));
            })
        },
    );
    line("set-up of both sides, ML-KEM, 4 signatures", result, "Olm: 3 agreements, no KEM, no signature");

    let list = DeviceList::issue(&bob.account, &bob.record, 1, 5, 1, vec![bob.certificate]).unwrap().encode();
    let alone = median(
        (0..SAMPLES)
            .map(|_| {
                timed(5, || {
                    DeviceList::decode(&list).unwrap().verify(&bob.record).unwrap();
                })
            })
            .collect(),
    );
    line_alone("device list of one device, 2 signatures", alone, "once a contact, when it changes");
}

fn seals(count: usize) {
    let alice = Party::new();
    let receivers: Vec<_> = (0..count).map(|_| Party::new()).collect();
    // Made once for a pair of devices and kept, as in the client.
    let keys: Vec<_> = receivers
        .iter()
        .map(|receiver| SendingPairKey::new(&alice.identity, &alice.address(), &receiver.verified()).unwrap())
        .collect();
    let pair_keys: Vec<_> = receivers
        .iter()
        .map(|receiver| ReceivingPairKey::new(&receiver.identity, &receiver.address(), &alice.verified()).unwrap())
        .collect();
    let targets: Vec<_> = keys.iter().collect();
    let content = SealedContent::session(alice.record.id(), alice.certificate, vec![1; MESSAGE_OVERHEAD + TEXT.len()]);
    let sealed = seal(&targets, &content).unwrap();
    // vodozemac's nearest: an ECIES channel and its first message, made for each receiver.
    let plain = vec![1; 512];
    let ecies: Vec<_> = (0..count).map(|_| Ecies::new()).collect();
    let ecies_keys: Vec<_> = ecies.iter().map(Ecies::public_key).collect();
    let result = both(
        || {
            timed(1, || {
                black_box(seal(&targets, &content).unwrap());
            })
        },
        || {
            timed(1, || {
                for key in &ecies_keys {
                    black_box(Ecies::new().establish_outbound_channel(*key, &plain).unwrap());
                }
            })
        },
    );
    line(&format!("seal for {count}"), result, "ECIES, one for each device");

    let result = both(
        || {
            timed(1, || {
                for ((receiver, head), pair_key) in receivers.iter().zip(&sealed.heads).zip(&pair_keys) {
                    let opened = open(&receiver.identity, &receiver.address(), head, &sealed.body).unwrap();
                    black_box(opened.verify(pair_key).unwrap());
                }
            })
        },
        || {
            let pairs: Vec<(Ecies, InitialMessage)> = (0..count)
                .map(|_| {
                    let receiver = Ecies::new();
                    let made = Ecies::new().establish_outbound_channel(receiver.public_key(), &plain).unwrap();
                    (receiver, made.message)
                })
                .collect();
            let start = now();
            for (receiver, message) in pairs {
                black_box(receiver.establish_inbound_channel(&message).unwrap());
            }
            now() - start
        },
    );
    line(&format!("open on {count}"), result, "ECIES");
}

fn pair_keys() {
    let (alice, bob) = (Party::new(), Party::new());
    let bobs = bob.verified();
    let samples = (0..SAMPLES).map(|_| {
        timed(5, || {
            black_box(SendingPairKey::new(&alice.identity, &alice.address(), &bobs).unwrap());
        })
    });
    line_alone("pair key, one agreement", median(samples.collect()), "once for two devices, then kept");
}

fn safety_numbers() {
    let (alice, bob) = (Party::new(), Party::new());
    let (ids, keys) = ([alice.record.id(), bob.record.id()], [alice.account.public(), bob.account.public()]);
    let alone = median(
        (0..SAMPLES)
            .map(|_| {
                timed(1, || {
                    black_box(safety_number((&ids[0], &keys[0]), (&ids[1], &keys[1])));
                })
            })
            .collect(),
    );
    line_alone("safety number, both sides, 2 x 5,200 SHA-512", alone, "vodozemac has none");
}

fn main() {
    println!("{:<52} {:>12} {:>12} {:>7}", "operation (100 bytes of text)", "subrosa", "vodozemac", "ratio");
    messages();
    group_messages();
    set_ups();
    for count in [1, 256] {
        seals(count);
    }
    pair_keys();
    safety_numbers();
}
