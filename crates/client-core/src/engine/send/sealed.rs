//! Sealing many contents away from the store: taken with the ratchets as they are, run anywhere, worth something only where the
//! ratchets have not gone on when it is stored (`sealing.rs`).

use subrosa_crypto::{
    AccountRecord, DeviceCertificate, MessageKind, SealedContent, SendingPairKey, SerializedSession, Session,
    VerifiedCertificate, seal,
};
use subrosa_wire::{DeviceAddress, limits::HEAD_BYTES};

use crate::{
    api::{ApiError, ErrorKind},
    engine::core::address,
    store::account::Own,
};

/// Contents to be sealed for one device, in their order.
pub(in crate::engine) struct SealFor {
    pub(in crate::engine) device: VerifiedCertificate,
    /// As it was when it was taken.
    pub(in crate::engine) session: Session,
    pub(in crate::engine) pair_key: SendingPairKey,
    /// Delivery, content, and whether it holds our introduction.
    pub(in crate::engine) contents: Vec<(i64, Vec<u8>, bool)>,
}

/// What is sealed together, away from the store.
pub(crate) struct Sealing {
    pub(in crate::engine) own: SealAs,
    pub(in crate::engine) jobs: Vec<SealFor>,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealing for {} devices", self.jobs.len())
    }
}

/// Who seals.
pub(in crate::engine) struct SealAs {
    account: [u8; 32],
    record: AccountRecord,
    certificate: DeviceCertificate,
}

/// What came of one [`SealFor`].
pub(in crate::engine) struct SealedFor {
    pub(in crate::engine) device: DeviceAddress,
    pub(in crate::engine) session: [u8; 32],
    pub(in crate::engine) before: SerializedSession,
    pub(in crate::engine) after: SerializedSession,
    /// Delivery, head, body, and whether it holds our introduction.
    pub(in crate::engine) envelopes: Vec<(i64, [u8; HEAD_BYTES], Vec<u8>, bool)>,
}

/// Sealed, and not yet in the store: nothing of it may leave.
pub(crate) struct Sealed(pub(in crate::engine) Vec<SealedFor>);

impl Sealing {
    /// Encrypts and seals everything. The states it comes to are worth nothing before they are stored.
    pub(crate) fn run(self) -> Result<Sealed, ApiError> {
        let Self { own, jobs } = self;
        Ok(Sealed(jobs.into_iter().map(|job| job.run(&own)).collect::<Result<_, _>>()?))
    }

    /// How many.
    pub(in crate::engine) fn envelopes(&self) -> usize {
        self.jobs.iter().map(|job| job.contents.len()).sum()
    }
}

impl SealFor {
    fn run(self, own: &SealAs) -> Result<SealedFor, ApiError> {
        let (id, before) = (self.session.id(), self.session.serialize());
        let mut session = self.session;
        let mut envelopes = Vec::with_capacity(self.contents.len());
        for (delivery, content, introduces) in self.contents {
            let step = session.encrypt(&content).map_err(|error| crypto_error(&error))?;
            // Nothing of it leaves before the last state is in the store.
            let (next, ciphertext) = step.commit(|_| Ok::<_, ApiError>(()))?;
            session = next;
            let sealed = match ciphertext.kind {
                MessageKind::Setup => SealedContent::setup(own.record, own.certificate, ciphertext.message),
                MessageKind::Session => SealedContent::session(own.account, own.certificate, ciphertext.message),
                MessageKind::Group => SealedContent::group(own.account, own.certificate, ciphertext.message),
            };
            let envelope = seal(&[&self.pair_key], &sealed).map_err(|error| crypto_error(&error))?;
            let head = envelope.heads.first();
            let head = *head.ok_or_else(|| ApiError::new(ErrorKind::Failed, "the seal made no head"))?;
            envelopes.push((delivery, head, envelope.body, introduces));
        }
        let device = address(&self.device.address());
        Ok(SealedFor { device, session: id, before, after: session.serialize(), envelopes })
    }
}

pub(in crate::engine) fn crypto_error(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Failed, error.to_string())
}

impl SealAs {
    /// This device, if it is still one of the account's.
    pub(in crate::engine) fn new(own: &Own) -> Result<Self, ApiError> {
        let listed = own.list.device(own.address.device).ok_or_else(|| {
            ApiError::new(ErrorKind::Failed, "this device is not on the account's device list any more")
                .hint("it was removed from the account: link it again")
        })?;
        Ok(Self { account: own.address.account.0, record: own.record, certificate: *listed.certificate() })
    }
}
