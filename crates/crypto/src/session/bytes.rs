//! The stored form of a session (`docs/protocol.md`, "Double Ratchet"). It never leaves the client's
//! encrypted store.

use std::sync::Arc;

use zeroize::Zeroize;

use crate::address::PartyAddress;
use crate::chain_key::ChainKey;
use crate::curve25519::{Curve25519KeyPair, Curve25519PublicKey};
use crate::decoding::{DecodeError, Reader};
use crate::double_ratchet::{DoubleRatchet, Sending, SendingChain};
use crate::message_key::MessageKey;
use crate::pqxdh::ASSOCIATED_DATA_LEN;
use crate::receiving_chain::ReceivingChain;
use crate::redacted::redacted_debug;
use crate::root_key::RootKey;
use crate::session::{Fixed, Session};
use crate::setup_header::{SETUP_HEADER_LEN, SetupHeader};
use crate::skipped_keys::{MAX_CHAINS, MAX_SKIPPED, SkippedChain, SkippedKeys};

const VERSION: u8 = 1;

/// A session as bytes. The secrets in it are wiped when dropped.
pub struct SerializedSession {
    bytes: Vec<u8>,
    /// Where the secrets begin. What is before (names, associated data, set-up header) was on the
    /// wire or is public; wiping it too would take longer than encrypting a short message.
    secrets: usize,
}

impl Drop for SerializedSession {
    fn drop(&mut self) {
        self.bytes[self.secrets..].zeroize();
    }
}

redacted_debug!(SerializedSession);

impl SerializedSession {
    /// The bytes, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn of(session: &Session) -> Self {
        let Session { fixed, setup, ratchet } = session;
        // Never too small: growing would leave a copy of the secrets behind.
        let capacity = 512
            + ASSOCIATED_DATA_LEN
            + setup.as_ref().map_or(0, |setup| setup.len())
            + ratchet.skipped.chains.len() * 34
            + ratchet.skipped.len() * 36;
        let mut out = Vec::with_capacity(capacity);
        out.push(VERSION);
        out.push(u8::from(fixed.initiator));
        out.extend_from_slice(&fixed.id);
        out.extend_from_slice(&fixed.peer.to_bytes());
        out.extend_from_slice(&fixed.associated_data);
        out.push(u8::from(setup.is_some()));
        out.extend_from_slice(setup.as_deref().map(Vec::as_slice).unwrap_or_default());
        let secrets = out.len();
        out.extend_from_slice(ratchet.root.as_bytes());
        match &*ratchet.sending {
            Sending::Inactive { previous } => {
                out.push(0);
                out.extend_from_slice(&previous.to_be_bytes());
            }
            Sending::Active(chain) => {
                out.push(1);
                out.extend_from_slice(&*chain.ratchet.secret());
                out.extend_from_slice(chain.ratchet.public().as_bytes());
                out.extend_from_slice(chain.key.as_bytes());
                out.extend_from_slice(&chain.next.to_be_bytes());
                out.extend_from_slice(&chain.previous.to_be_bytes());
            }
        }
        match &ratchet.receiving {
            None => out.push(0),
            Some(chain) => {
                out.push(1);
                out.extend_from_slice(chain.remote.as_bytes());
                out.extend_from_slice(chain.key.as_bytes());
                out.extend_from_slice(&chain.next.to_be_bytes());
            }
        }
        // At most MAX_CHAINS and MAX_SKIPPED.
        out.push(ratchet.skipped.chains.len() as u8);
        for chain in &ratchet.skipped.chains {
            out.extend_from_slice(&chain.remote);
            out.extend_from_slice(&(chain.keys.len() as u16).to_be_bytes());
            for (number, key) in &chain.keys {
                out.extend_from_slice(&number.to_be_bytes());
                out.extend_from_slice(key.as_bytes());
            }
        }
        debug_assert!(out.len() <= capacity);
        Self { bytes: out, secrets }
    }
}

pub(crate) fn deserialize(bytes: &[u8]) -> Result<Session, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.version(VERSION)?;
    let initiator = flag(&mut reader, "role")?;
    let id = reader.array()?;
    let peer = PartyAddress { account: reader.array()?, device: reader.u32()? };
    let associated_data = reader.take(ASSOCIATED_DATA_LEN)?.to_vec();
    let setup = if flag(&mut reader, "set-up header")? {
        let setup = reader.take(SETUP_HEADER_LEN)?;
        SetupHeader::decode(setup)?;
        Some(Arc::new(setup.to_vec()))
    } else {
        None
    };
    let ratchet = DoubleRatchet {
        root: RootKey::new(reader.array_ref()?),
        sending: Arc::new(sending(&mut reader)?),
        receiving: receiving(&mut reader)?,
        skipped: Arc::new(skipped(&mut reader)?),
    };
    reader.finish()?;
    // A side without a receiving chain can only be an initiator that was not answered.
    if ratchet.receiving.is_none() && (!initiator || setup.is_none()) {
        return Err(DecodeError::BadField("receiving chain"));
    }
    Ok(Session { fixed: Arc::new(Fixed { id, initiator, peer, associated_data }), setup, ratchet })
}

fn flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::BadField(field)),
    }
}

fn sending(reader: &mut Reader<'_>) -> Result<Sending, DecodeError> {
    if flag(reader, "sending chain")? {
        let secret = reader.array_ref()?;
        let public = Curve25519PublicKey::trusted(reader.array()?);
        Ok(Sending::Active(SendingChain {
            ratchet: Arc::new(Curve25519KeyPair::from_parts(secret, public)),
            key: ChainKey::new(reader.array_ref()?),
            next: reader.u32()?,
            previous: reader.u32()?,
        }))
    } else {
        Ok(Sending::Inactive { previous: reader.u32()? })
    }
}

fn receiving(reader: &mut Reader<'_>) -> Result<Option<ReceivingChain>, DecodeError> {
    if !flag(reader, "receiving chain")? {
        return Ok(None);
    }
    Ok(Some(ReceivingChain {
        remote: Curve25519PublicKey::trusted(reader.array()?),
        key: ChainKey::new(reader.array_ref()?),
        next: reader.u32()?,
    }))
}

fn skipped(reader: &mut Reader<'_>) -> Result<SkippedKeys, DecodeError> {
    let chain_count = usize::from(reader.u8()?);
    if chain_count > MAX_CHAINS {
        return Err(DecodeError::BadField("remembered chains"));
    }
    let mut skipped = SkippedKeys::default();
    for _ in 0..chain_count {
        let remote = reader.array()?;
        let count = usize::from(u16::from_be_bytes(reader.array()?));
        if skipped.len() + count > MAX_SKIPPED {
            return Err(DecodeError::BadField("skipped keys"));
        }
        let mut keys: Vec<(u32, MessageKey)> = Vec::with_capacity(count);
        for _ in 0..count {
            let number = reader.u32()?;
            if keys.last().is_some_and(|(last, _)| *last >= number) {
                return Err(DecodeError::BadField("skipped keys"));
            }
            keys.push((number, MessageKey::new(reader.array_ref()?)));
        }
        skipped.chains.push(Arc::new(SkippedChain { remote, keys }));
    }
    Ok(skipped)
}
