//! Questions and answers over HTTPS: register, resolve, devices, prekeys (docs/protocol.md, "Questions over HTTPS").

use bytes::Bytes;
use prost::Message;

use crate::{
    AccountId, Capability, DeviceAddress, Handle, RegistrationToken, WireError,
    convert::{bounded, copy, exact, optional},
    limits::{MAX_AUTHORITY_BYTES, MAX_HTTP_BYTES},
    mailbox::{KEM_PREKEY_BYTES, ONE_TIME_EC_BYTES, SIGNED_PREKEY_BYTES},
    proto,
    submit::Refusal,
};

/// The media type of every question and answer.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// Encoded account record: version, account key, recovery hash.
pub const ACCOUNT_RECORD_BYTES: usize = 65;

/// `POST /v1/register`. Repeating it with the same content succeeds again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// 65 bytes.
    pub account_record: [u8; ACCOUNT_RECORD_BYTES],
    /// The wanted alias.
    pub handle: Handle,
    /// Signed list with the first device.
    pub device_list: Bytes,
    /// The relay as the client knows it.
    pub authority: String,
    /// The pinned certificate key hash, if any.
    pub pin: Option<[u8; 32]>,
    /// Ed25519 by the first device's identity.
    pub proof: [u8; 64],
    /// For a relay with closed registration.
    pub registration_token: Option<RegistrationToken>,
}

/// Answer to [`Register`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// The relay's clock, milliseconds since 1970.
    pub server_time_ms: u64,
}

/// `POST /v1/resolve`: which account has this handle?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The alias.
    pub handle: Handle,
}

/// Answer to [`Resolve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The account.
    pub account: AccountId,
}

/// `POST /v1/devices`: the account's record and device list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetDevices {
    /// The account.
    pub account: AccountId,
}

/// Answer to [`GetDevices`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// 65 bytes; certifies the account id.
    pub account_record: [u8; ACCOUNT_RECORD_BYTES],
    /// The newest signed list.
    pub device_list: Bytes,
}

/// `POST /v1/prekeys`: keys to start a session with one device. One-time keys only against a capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakePrekeys {
    /// The device.
    pub device: DeviceAddress,
    /// Delivery key or contact token.
    pub capability: Option<Capability>,
}

/// Answer to [`TakePrekeys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prekeys {
    /// 100 bytes.
    pub signed_prekey: Bytes,
    /// 36 bytes, if one was left and the asker may have it.
    pub one_time_ec: Option<Bytes>,
    /// 1,636 bytes.
    pub kem: Bytes,
    /// Whether `kem` is the key that is served again and again.
    pub kem_last_resort: bool,
}

/// A question or an answer: encodes to, and is checked from, one protobuf message.
pub trait HttpMessage: Sized {
    /// Encodes.
    fn encode(&self) -> Vec<u8>;
    /// Decodes and checks.
    ///
    /// # Errors
    /// Anything that the protocol does not allow.
    fn decode(bytes: Bytes) -> Result<Self, WireError>;
}

/// A question: knows its path and its answer.
pub trait HttpCall: HttpMessage {
    /// Path below the relay's URL.
    const PATH: &'static str;
    /// What comes back.
    type Answer: HttpMessage;

    /// The account that is asked about: questions about two accounts should not share a connection.
    fn about(&self) -> Option<AccountId>;
}

fn parse<M: Message + Default>(bytes: Bytes) -> Result<M, WireError> {
    M::decode(bounded("message", bytes, MAX_HTTP_BYTES)?).map_err(|_| WireError::Protobuf)
}

impl HttpCall for Register {
    const PATH: &'static str = "/v1/register";
    type Answer = Registered;

    fn about(&self) -> Option<AccountId> {
        None
    }
}
impl HttpCall for Resolve {
    const PATH: &'static str = "/v1/resolve";
    type Answer = Resolved;

    fn about(&self) -> Option<AccountId> {
        None
    }
}
impl HttpCall for GetDevices {
    const PATH: &'static str = "/v1/devices";
    type Answer = Devices;

    fn about(&self) -> Option<AccountId> {
        Some(self.account)
    }
}
impl HttpCall for TakePrekeys {
    const PATH: &'static str = "/v1/prekeys";
    type Answer = Prekeys;

    fn about(&self) -> Option<AccountId> {
        Some(self.device.account)
    }
}

impl HttpMessage for Register {
    fn encode(&self) -> Vec<u8> {
        proto::Register {
            account_record: copy(&self.account_record),
            handle: self.handle.as_str().to_owned(),
            device_list: self.device_list.clone(),
            authority: self.authority.clone(),
            pin: self.pin.map(|pin| copy(&pin)).unwrap_or_default(),
            proof: copy(&self.proof),
            registration_token: self
                .registration_token
                .as_ref()
                .map(|token| copy(token.as_bytes()))
                .unwrap_or_default(),
        }
        .encode_to_vec()
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::Register = parse(bytes)?;
        if value.authority.is_empty() || value.authority.len() > MAX_AUTHORITY_BYTES {
            return Err(WireError::Range("authority"));
        }
        Ok(Self {
            account_record: exact("account record", &value.account_record)?,
            handle: value.handle.parse()?,
            device_list: value.device_list,
            authority: value.authority,
            pin: optional("pin", &value.pin)?,
            proof: exact("proof", &value.proof)?,
            registration_token: optional("registration token", &value.registration_token)?.map(RegistrationToken::new),
        })
    }
}

impl HttpMessage for Registered {
    fn encode(&self) -> Vec<u8> {
        proto::Registered { server_time_ms: self.server_time_ms }.encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::Registered = parse(bytes)?;
        Ok(Self { server_time_ms: value.server_time_ms })
    }
}

impl HttpMessage for Resolve {
    fn encode(&self) -> Vec<u8> {
        proto::Resolve { handle: self.handle.as_str().to_owned() }.encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::Resolve = parse(bytes)?;
        Ok(Self { handle: value.handle.parse()? })
    }
}

impl HttpMessage for Resolved {
    fn encode(&self) -> Vec<u8> {
        proto::Resolved { account: copy(&self.account.0) }.encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::Resolved = parse(bytes)?;
        Ok(Self { account: AccountId::from_slice(&value.account)? })
    }
}

impl HttpMessage for GetDevices {
    fn encode(&self) -> Vec<u8> {
        proto::GetDevices { account: copy(&self.account.0) }.encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::GetDevices = parse(bytes)?;
        Ok(Self { account: AccountId::from_slice(&value.account)? })
    }
}

impl HttpMessage for Devices {
    fn encode(&self) -> Vec<u8> {
        proto::Devices { account_record: copy(&self.account_record), device_list: self.device_list.clone() }
            .encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::Devices = parse(bytes)?;
        Ok(Self { account_record: exact("account record", &value.account_record)?, device_list: value.device_list })
    }
}

impl HttpMessage for TakePrekeys {
    fn encode(&self) -> Vec<u8> {
        proto::TakePrekeys { device: Some((&self.device).into()), capability: self.capability.as_ref().map(Into::into) }
            .encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::TakePrekeys = parse(bytes)?;
        Ok(Self {
            device: value.device.try_into()?,
            capability: value.capability.map(Capability::try_from).transpose()?,
        })
    }
}

impl HttpMessage for Prekeys {
    fn encode(&self) -> Vec<u8> {
        proto::Prekeys {
            signed_prekey: self.signed_prekey.clone(),
            one_time_ec: self.one_time_ec.clone().unwrap_or_default(),
            kem: self.kem.clone(),
            kem_last_resort: self.kem_last_resort,
        }
        .encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::Prekeys = parse(bytes)?;
        exact::<SIGNED_PREKEY_BYTES>("signed prekey", &value.signed_prekey)?;
        optional::<ONE_TIME_EC_BYTES>("one-time prekey", &value.one_time_ec)?;
        exact::<KEM_PREKEY_BYTES>("KEM prekey", &value.kem)?;
        Ok(Self {
            signed_prekey: value.signed_prekey,
            one_time_ec: Some(value.one_time_ec).filter(|key| !key.is_empty()),
            kem: value.kem,
            kem_last_resort: value.kem_last_resort,
        })
    }
}

impl HttpMessage for Refusal {
    fn encode(&self) -> Vec<u8> {
        proto::Error::from(*self).encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Ok(parse::<proto::Error>(bytes)?.into())
    }
}
