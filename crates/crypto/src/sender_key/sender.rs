//! Who writes in which group: what every group message is bound to.

use crate::address::{ADDRESS_LEN, PartyAddress};
use crate::certificate::VerifiedCertificate;
use crate::device::IdentityKey;
use crate::labels;

/// Bytes of the associated data.
pub(crate) const ASSOCIATED_DATA_LEN: usize = labels::GROUP_SENDER.len() + 32 + ADDRESS_LEN + 32 + 4;

/// One device of one member in one group. A message made for one of these is refused under any other, so it
/// cannot be moved to another group, member or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSender {
    /// The group's id (32 bytes).
    pub group: [u8; 32],
    /// The sending device: account and device number.
    pub address: PartyAddress,
    /// Its identity key.
    pub identity: IdentityKey,
}

impl GroupSender {
    /// The device of a verified certificate, in `group`.
    #[must_use]
    pub fn of(group: [u8; 32], certificate: &VerifiedCertificate) -> Self {
        Self { group, address: certificate.address(), identity: *certificate.identity() }
    }

    /// label ‖ group id (32) ‖ account id (32) ‖ device number u32 ‖ identity key (32) ‖ generation u32: all of
    /// fixed width.
    pub(crate) fn associated_data(&self, generation: u32) -> [u8; ASSOCIATED_DATA_LEN] {
        let mut bytes = [0; ASSOCIATED_DATA_LEN];
        let parts: [&[u8]; 5] = [
            labels::GROUP_SENDER,
            &self.group,
            &self.address.to_bytes(),
            self.identity.as_bytes(),
            &generation.to_be_bytes(),
        ];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (head, tail) = rest.split_at_mut(part.len());
            head.copy_from_slice(part);
            rest = tail;
        }
        bytes
    }
}
