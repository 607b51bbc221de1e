//! Behaviour of the crate through its public API.

use crate::*;

#[test]
fn smoke() {
    let account = AccountKeyPair::generate().unwrap();
    let recovery = RecoveryKey::generate().unwrap();
    assert_eq!(
        RecoveryKey::from_words(&recovery.words())
            .unwrap()
            .commitment(),
        recovery.commitment()
    );
    let record = AccountRecord::new(account.public(), recovery.commitment());
    let alice = IdentityKeyPair::generate().unwrap();
    let bob = IdentityKeyPair::generate().unwrap();
    let alice_cert = DeviceCertificate::issue(&account, &record.id(), 1, &alice.public(), 1)
        .verify(&record)
        .unwrap();
    let bob_cert = DeviceCertificate::issue(&account, &record.id(), 2, &bob.public(), 1)
        .verify(&record)
        .unwrap();
    let spk = SignedPrekeyPair::generate(7, &bob).unwrap();
    let otk = OneTimePrekeyPair::generate(8).unwrap();
    let kem = KemPrekeyPair::generate(9, &bob, KemUse::OneTime).unwrap();
    let bundle = PrekeyBundle::verify(
        &bob_cert,
        &spk.public_bytes(),
        Some(&otk.public_bytes()),
        &kem.public_bytes(),
        KemUse::OneTime,
    )
    .unwrap();
    let a = Session::initiate(&alice, &alice_cert.address(), &bundle).unwrap();
    let (a, c) = a
        .encrypt(b"hello")
        .unwrap()
        .commit(|_| Ok::<_, ()>(()))
        .unwrap();
    let keys = ResponderPrekeys {
        signed: &spk,
        one_time: Some(&otk),
        kem: &kem,
    };
    let (b, p) = Session::accept(&bob, &bob_cert.address(), &alice_cert, &keys, &c.message)
        .unwrap()
        .commit(|_| Ok::<_, ()>(()))
        .unwrap();
    assert_eq!(p.as_bytes(), b"hello");
    let (_, c) = b
        .encrypt(b"hi")
        .unwrap()
        .commit(|_| Ok::<_, ()>(()))
        .unwrap();
    let (a, p) = a
        .decrypt(c.kind, &c.message)
        .unwrap()
        .commit(|_| Ok::<_, ()>(()))
        .unwrap();
    assert_eq!(p.as_bytes(), b"hi");
    assert!(!a.is_unanswered());
    let content = SealedContent::session(record.id(), *alice_cert.certificate(), c.message);
    let env = seal(
        &[SealTarget {
            address: bob_cert.address(),
            identity: bob_cert.identity(),
        }],
        &content,
    )
    .unwrap();
    assert!(open(&bob, &bob_cert.address(), &env.heads[0], &env.body).unwrap() == content);
}
