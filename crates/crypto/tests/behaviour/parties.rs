//! People with one device each, and the steps every test takes.

use std::convert::Infallible;

use subrosa_crypto::*;

/// A person with one device and its prekeys.
pub(crate) struct Party {
    pub(crate) account: AccountKeyPair,
    pub(crate) record: AccountRecord,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) certificate: VerifiedCertificate,
    pub(crate) signed: SignedPrekeyPair,
    pub(crate) one_time: OneTimePrekeyPair,
    pub(crate) kem: KemPrekeyPair,
}

impl Party {
    pub(crate) fn new() -> Self {
        let account = AccountKeyPair::generate().unwrap();
        let recovery = RecoveryKey::generate().unwrap();
        let record = AccountRecord::new(account.public(), recovery.commitment());
        let identity = IdentityKeyPair::generate().unwrap();
        let certificate =
            DeviceCertificate::issue(&account, &record.id(), 1, &identity.public(), 1).verify(&record).unwrap();
        Self {
            signed: SignedPrekeyPair::generate(11, &identity).unwrap(),
            one_time: OneTimePrekeyPair::generate(12).unwrap(),
            kem: KemPrekeyPair::generate(13, &identity, KemUse::OneTime).unwrap(),
            account,
            record,
            identity,
            certificate,
        }
    }

    pub(crate) fn address(&self) -> PartyAddress {
        self.certificate.address()
    }

    /// For sealing to somebody.
    pub(crate) fn key_to(&self, receiver: &Party) -> SendingPairKey {
        SendingPairKey::new(&self.identity, &self.address(), &receiver.certificate).unwrap()
    }

    /// For opening what somebody sealed.
    pub(crate) fn key_from(&self, sender: &Party) -> ReceivingPairKey {
        ReceivingPairKey::new(&self.identity, &self.address(), &sender.certificate).unwrap()
    }

    pub(crate) fn bundle(&self) -> PrekeyBundle {
        PrekeyBundle::verify(
            &self.certificate,
            &self.signed.public_bytes(),
            Some(&self.one_time.public_bytes()),
            &self.kem.public_bytes(),
            KemUse::OneTime,
        )
        .unwrap()
    }

    pub(crate) fn prekeys(&self) -> ResponderPrekeys<'_> {
        ResponderPrekeys { signed: &self.signed, one_time: Some(&self.one_time), kem: &self.kem }
    }

    pub(crate) fn initiate(&self, remote: &Party) -> Session {
        Session::initiate(&self.identity, &self.address(), &remote.bundle()).unwrap()
    }

    pub(crate) fn accept(&self, remote: &Party, message: &[u8]) -> Result<(Session, Plaintext), AcceptError> {
        Session::accept(&self.identity, &self.address(), &remote.certificate, &self.prekeys(), message).map(committed)
    }
}

/// Commits a step into a store that never fails.
pub(crate) fn committed<T>(step: Step<T>) -> (Session, T) {
    step.commit(|_| Ok::<_, Infallible>(())).unwrap()
}

/// Encrypts and moves the session on.
pub(crate) fn send(session: &mut Session, text: &[u8]) -> Ciphertext {
    let (next, ciphertext) = committed(session.encrypt(text).unwrap());
    *session = next;
    ciphertext
}

/// Decrypts and moves the session on; a refusal must leave it as it was.
pub(crate) fn receive(session: &mut Session, ciphertext: &Ciphertext) -> Result<Vec<u8>, DecryptError> {
    let before = session.serialize();
    match session.decrypt(ciphertext.kind, &ciphertext.message) {
        Ok(step) => {
            let (next, plaintext) = committed(step);
            *session = next;
            Ok(plaintext.as_bytes().to_vec())
        }
        Err(error) => {
            assert_eq!(session.serialize().as_bytes(), before.as_bytes());
            Err(error)
        }
    }
}

/// Two sessions that have each read one message of the other.
pub(crate) fn conversation(alice: &Party, bob: &Party) -> (Session, Session) {
    let mut a = alice.initiate(bob);
    let first = send(&mut a, b"first");
    let (mut b, text) = bob.accept(alice, &first.message).unwrap();
    assert_eq!(text.as_bytes(), b"first");
    let answer = send(&mut b, b"answer");
    assert_eq!(receive(&mut a, &answer).unwrap(), b"answer");
    (a, b)
}

/// A bundle as the relay gives it, held against the party's certificate.
pub(crate) fn verify_bundle(
    party: &Party,
    signed: &[u8],
    one_time: Option<&[u8]>,
    kem: &[u8],
    kem_use: KemUse,
) -> Result<PrekeyBundle, BundleError> {
    PrekeyBundle::verify(&party.certificate, signed, one_time, kem, kem_use)
}
