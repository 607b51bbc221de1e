//! Questions and answers over HTTPS: register, resolve, devices, prekeys (docs/protocol.md, "Questions over HTTPS").

use bytes::Bytes;
use prost::Message;

use crate::{
    AccountId, Capability, DeviceAddress, ErrorCode, Handle, RegistrationToken, WireError,
    convert::{bounded, copy, exact, optional},
    limits::{MAX_AUTHORITY_BYTES, MAX_BUNDLES, MAX_BUNDLES_BYTES, MAX_HTTP_BYTES},
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

/// `POST /v1/prekeys`: keys to start sessions with up to [`MAX_BUNDLES`] devices. One-time keys only against a delivery key or contact token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakePrekeys(Vec<Take>);

/// Keys of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The device.
    pub device: DeviceAddress,
    /// What lets the asker have more than everybody gets.
    pub capability: Option<Capability>,
}

impl TakePrekeys {
    /// Of these devices, in order.
    ///
    /// # Errors
    /// None, or more than [`MAX_BUNDLES`].
    pub fn new(takes: Vec<Take>) -> Result<Self, WireError> {
        match takes.len() {
            0 => Err(WireError::Missing("device")),
            1..=MAX_BUNDLES => Ok(Self(takes)),
            _ => Err(WireError::TooMany { field: "devices", limit: MAX_BUNDLES }),
        }
    }

    /// Of one device.
    #[must_use]
    pub fn one(device: DeviceAddress, capability: Option<Capability>) -> Self {
        Self(vec![Take { device, capability }])
    }

    /// What is asked for.
    #[must_use]
    pub fn takes(&self) -> &[Take] {
        &self.0
    }
}

/// Answer to [`TakePrekeys`]: one result for each device, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrekeyBundles(pub Vec<Result<Prekeys, Refusal>>);

impl PrekeyBundles {
    /// The result of a question about one device.
    #[must_use]
    pub fn one(mut self) -> Option<Result<Prekeys, Refusal>> {
        self.0.pop().filter(|_| self.0.is_empty())
    }
}

/// Keys of one device.
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
    /// The largest encoding.
    const MAX_BYTES: usize = MAX_HTTP_BYTES;

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
    type Answer = PrekeyBundles;

    fn about(&self) -> Option<AccountId> {
        self.0.first().map(|take| take.device.account)
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
        let take = |take: &Take| proto::Take {
            device: Some((&take.device).into()),
            capability: take.capability.as_ref().map(Into::into),
        };
        proto::TakePrekeys { takes: self.0.iter().map(take).collect() }.encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let value: proto::TakePrekeys = parse(bytes)?;
        let take = |take: proto::Take| {
            let capability = take.capability.map(Capability::try_from).transpose()?;
            Ok(Take { device: take.device.try_into()?, capability })
        };
        Self::new(value.takes.into_iter().map(take).collect::<Result<_, WireError>>()?)
    }
}

impl From<&Prekeys> for proto::Prekeys {
    fn from(value: &Prekeys) -> Self {
        Self {
            signed_prekey: value.signed_prekey.clone(),
            one_time_ec: value.one_time_ec.clone().unwrap_or_default(),
            kem: value.kem.clone(),
            kem_last_resort: value.kem_last_resort,
        }
    }
}

impl TryFrom<proto::Prekeys> for Prekeys {
    type Error = WireError;

    fn try_from(value: proto::Prekeys) -> Result<Self, WireError> {
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

impl HttpMessage for PrekeyBundles {
    const MAX_BYTES: usize = MAX_BUNDLES_BYTES;

    fn encode(&self) -> Vec<u8> {
        use proto::prekey_result::Result as Of;
        let results = self.0.iter().map(|result| proto::PrekeyResult {
            result: Some(match result {
                Ok(prekeys) => Of::Prekeys(prekeys.into()),
                Err(Refusal { code, retry_after_s }) => {
                    Of::Refused(proto::Refused { code: code.number(), retry_after_s: *retry_after_s })
                }
            }),
        });
        proto::PrekeyBundles { results: results.collect() }.encode_to_vec()
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use proto::prekey_result::Result as Of;
        let bytes = bounded("message", bytes, Self::MAX_BYTES)?;
        let value = proto::PrekeyBundles::decode(bytes).map_err(|_| WireError::Protobuf)?;
        if value.results.len() > MAX_BUNDLES {
            return Err(WireError::TooMany { field: "bundles", limit: MAX_BUNDLES });
        }
        let results = value.results.into_iter().map(|result| match result.result {
            Some(Of::Prekeys(prekeys)) => Ok(Ok(prekeys.try_into()?)),
            Some(Of::Refused(proto::Refused { code, retry_after_s })) => {
                Ok(Err(Refusal { code: ErrorCode::from_number(code), retry_after_s }))
            }
            None => Err(WireError::Missing("result")),
        });
        Ok(Self(results.collect::<Result<_, WireError>>()?))
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
