//! Submissions: bodies, items, results, and the frames of `/v1/submit` (docs/protocol.md, "The submission socket").

use bytes::Bytes;
use prost::Message;

use crate::{
    Capability, DeviceAddress, ErrorCode, WireError,
    convert::{bounded, copy, exact},
    limits::{
        BODY_SIZES, HEAD_BYTES, MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MAX_SUBMIT_FRAME_BYTES, MAX_SUBMIT_ITEMS,
    },
    proto,
    version::check_offer,
};

/// Whether an envelope may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeClass {
    /// Stored until acknowledged or expired.
    Durable,
    /// Never stored; dropped when the receiver is away.
    Ephemeral,
}

impl EnvelopeClass {
    pub(crate) fn from_proto(value: i32) -> Result<Self, WireError> {
        match proto::EnvelopeClass::try_from(value) {
            Ok(proto::EnvelopeClass::Durable) => Ok(Self::Durable),
            Ok(proto::EnvelopeClass::Ephemeral) => Ok(Self::Ephemeral),
            Err(_) => Err(WireError::Range("class")),
        }
    }

    pub(crate) const fn to_proto(self) -> i32 {
        match self {
            Self::Durable => proto::EnvelopeClass::Durable as i32,
            Self::Ephemeral => proto::EnvelopeClass::Ephemeral as i32,
        }
    }
}

/// Envelopes that are stored in one durable transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// Sealed bodies, each of a size in [`BODY_SIZES`]; several items may share one.
    pub bodies: Vec<Bytes>,
    /// One for each receiving device and body. At least one.
    pub items: Vec<SubmitItem>,
}

/// One envelope of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmitItem {
    /// Where it goes.
    pub device: DeviceAddress,
    /// What allows it. `None` only in the request lane.
    pub capability: Option<Capability>,
    /// Durable or ephemeral.
    pub class: EnvelopeClass,
    /// Seconds until it expires undelivered; 0 = the relay's longest.
    pub expiry_s: u32,
    /// The wrapped body key and the sender's tag: opaque to the relay.
    pub head: [u8; HEAD_BYTES],
    /// Index into [`Submit::bodies`], checked by the decoder.
    pub body_ref: usize,
    /// The receiver's device-list version as the sender knows it.
    pub list_version: u32,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitResult {
    /// Durable (or, for an ephemeral one, handed on or dropped).
    Accepted,
    /// The receiver's device list is newer: seal again for it.
    StaleDevices(Bytes),
    /// The mailbox is full; nothing in it is ever trimmed.
    Full {
        /// Seconds until a retry makes sense.
        retry_after_s: u32,
    },
    /// Not accepted.
    Refused {
        /// Why.
        code: ErrorCode,
        /// Seconds until a retry makes sense; 0 = never by itself.
        retry_after_s: u32,
    },
}

/// Client to relay on `/v1/submit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitClientFrame {
    /// Offered versions; the first frame.
    Hello(Vec<u32>),
    /// A submission; `id` comes back in its reply.
    Submit {
        /// Chosen by the client.
        id: u64,
        /// What to store.
        submit: Submit,
    },
    /// Answered by `Pong`.
    Ping,
}

/// Relay to client on `/v1/submit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitServerFrame {
    /// The chosen version, the relay's time and limits.
    Welcome {
        /// Chosen protocol version.
        version: u32,
        /// The relay's clock, milliseconds since 1970.
        server_time_ms: u64,
        /// The relay's limits.
        limits: Limits,
    },
    /// One result for each item.
    Reply {
        /// The submission's id.
        id: u64,
        /// Per item, or why the whole was refused.
        result: Result<Vec<SubmitResult>, Refusal>,
    },
    /// The connection is over.
    Error(Refusal),
    /// The relay is going down; come back later.
    GoAway {
        /// Milliseconds to wait before connecting again.
        retry_after_ms: u32,
    },
    /// Answer to a ping.
    Pong,
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// Seconds until a retry makes sense; 0 = never by itself.
    pub retry_after_s: u32,
}

impl Refusal {
    /// A refusal that no waiting mends.
    #[must_use]
    pub const fn never(code: ErrorCode) -> Self {
        Self { code, retry_after_s: 0 }
    }
}

impl From<proto::Error> for Refusal {
    fn from(value: proto::Error) -> Self {
        Self { code: ErrorCode::from_number(value.code), retry_after_s: value.retry_after_s }
    }
}

impl From<Refusal> for proto::Error {
    fn from(value: Refusal) -> Self {
        Self { code: value.code.number(), retry_after_s: value.retry_after_s }
    }
}

/// What a relay allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Envelopes pushed and not yet acknowledged.
    pub max_unacked: u32,
    /// Bytes of one body.
    pub max_body_bytes: u32,
    /// Items of one submission.
    pub max_submit_items: u32,
    /// Longest expiry in seconds.
    pub max_expiry_s: u32,
}

impl From<proto::Limits> for Limits {
    fn from(value: proto::Limits) -> Self {
        Self {
            max_unacked: value.max_unacked,
            max_body_bytes: value.max_body_bytes,
            max_submit_items: value.max_submit_items,
            max_expiry_s: value.max_expiry_s,
        }
    }
}

impl From<Limits> for proto::Limits {
    fn from(value: Limits) -> Self {
        Self {
            max_unacked: value.max_unacked,
            max_body_bytes: value.max_body_bytes,
            max_submit_items: value.max_submit_items,
            max_expiry_s: value.max_expiry_s,
        }
    }
}

impl TryFrom<proto::Submit> for Submit {
    type Error = WireError;

    fn try_from(value: proto::Submit) -> Result<Self, WireError> {
        if value.bodies.is_empty() || value.items.is_empty() {
            return Err(WireError::Missing("bodies or items"));
        }
        if value.bodies.len() > MAX_SUBMIT_BODIES {
            return Err(WireError::TooMany { field: "bodies", limit: MAX_SUBMIT_BODIES });
        }
        if value.items.len() > MAX_SUBMIT_ITEMS {
            return Err(WireError::TooMany { field: "items", limit: MAX_SUBMIT_ITEMS });
        }
        if value.bodies.iter().any(|body| !BODY_SIZES.contains(&body.len())) {
            return Err(WireError::Range("body size"));
        }
        if value.bodies.iter().map(Bytes::len).sum::<usize>() > MAX_SUBMIT_BODY_BYTES {
            return Err(WireError::TooMany { field: "body bytes", limit: MAX_SUBMIT_BODY_BYTES });
        }
        let bodies = value.bodies.len();
        let items = value
            .items
            .into_iter()
            .map(|item| {
                let body_ref = item.body_ref as usize;
                if body_ref >= bodies {
                    return Err(WireError::Range("body_ref"));
                }
                Ok(SubmitItem {
                    device: item.device.try_into()?,
                    capability: item.capability.map(Capability::try_from).transpose()?,
                    class: EnvelopeClass::from_proto(item.class)?,
                    expiry_s: item.expiry_s,
                    head: exact("head", &item.head)?,
                    body_ref,
                    list_version: item.list_version,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { bodies: value.bodies, items })
    }
}

impl From<&Submit> for proto::Submit {
    fn from(value: &Submit) -> Self {
        Self {
            bodies: value.bodies.clone(),
            items: value
                .items
                .iter()
                .map(|item| proto::SubmitItem {
                    device: Some((&item.device).into()),
                    capability: item.capability.as_ref().map(Into::into),
                    class: item.class.to_proto(),
                    expiry_s: item.expiry_s,
                    head: copy(&item.head),
                    body_ref: u32::try_from(item.body_ref).unwrap_or(u32::MAX),
                    list_version: item.list_version,
                })
                .collect(),
        }
    }
}

impl TryFrom<proto::SubmitResult> for SubmitResult {
    type Error = WireError;

    fn try_from(value: proto::SubmitResult) -> Result<Self, WireError> {
        use proto::submit_result::Result as R;
        Ok(match value.result.ok_or(WireError::Missing("result"))? {
            R::Accepted(_) => Self::Accepted,
            R::StaleDevices(stale) => {
                Self::StaleDevices(bounded("device list", stale.device_list, crate::limits::MAX_HTTP_BYTES)?)
            }
            R::Full(full) => Self::Full { retry_after_s: full.retry_after_s },
            R::Refused(refused) => {
                Self::Refused { code: ErrorCode::from_number(refused.code), retry_after_s: refused.retry_after_s }
            }
        })
    }
}

impl From<&SubmitResult> for proto::SubmitResult {
    fn from(value: &SubmitResult) -> Self {
        use proto::submit_result::Result as R;
        let result = match value {
            SubmitResult::Accepted => R::Accepted(proto::Accepted {}),
            SubmitResult::StaleDevices(list) => R::StaleDevices(proto::StaleDevices { device_list: list.clone() }),
            SubmitResult::Full { retry_after_s } => R::Full(proto::Full { retry_after_s: *retry_after_s }),
            SubmitResult::Refused { code, retry_after_s } => {
                R::Refused(proto::Refused { code: code.number(), retry_after_s: *retry_after_s })
            }
        };
        Self { result: Some(result) }
    }
}

pub(crate) fn results_from_proto(value: proto::SubmitResults) -> Result<Vec<SubmitResult>, WireError> {
    if value.results.len() > MAX_SUBMIT_ITEMS {
        return Err(WireError::TooMany { field: "results", limit: MAX_SUBMIT_ITEMS });
    }
    value.results.into_iter().map(SubmitResult::try_from).collect()
}

pub(crate) fn results_to_proto(results: &[SubmitResult]) -> proto::SubmitResults {
    proto::SubmitResults { results: results.iter().map(Into::into).collect() }
}

impl Submit {
    /// The bytes a client keeps in its outbox and sends again unchanged.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        proto::Submit::from(self).encode_to_vec()
    }

    /// Reads [`Submit::encode`].
    ///
    /// # Errors
    /// Anything that the protocol does not allow.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_SUBMIT_FRAME_BYTES {
            return Err(WireError::TooMany { field: "submission bytes", limit: MAX_SUBMIT_FRAME_BYTES });
        }
        proto::Submit::decode(bytes).map_err(|_| WireError::Protobuf)?.try_into()
    }
}

impl SubmitClientFrame {
    /// Encodes for the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        use proto::submit_client_frame::Frame;
        let frame = match self {
            Self::Hello(versions) => Frame::Hello(proto::Hello { versions: versions.clone() }),
            Self::Submit { id, submit } => Frame::Submit(proto::SubmitCall { id: *id, submit: Some(submit.into()) }),
            Self::Ping => Frame::Ping(proto::Ping {}),
        };
        proto::SubmitClientFrame { frame: Some(frame) }.encode_to_vec().into()
    }

    /// Decodes and checks a frame.
    ///
    /// # Errors
    /// Anything that the protocol does not allow.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use proto::submit_client_frame::Frame;
        let frame = proto::SubmitClientFrame::decode(bounded("frame", bytes, MAX_SUBMIT_FRAME_BYTES)?)
            .map_err(|_| WireError::Protobuf)?;
        match frame.frame.ok_or(WireError::Missing("frame"))? {
            Frame::Hello(hello) => Ok(Self::Hello(check_offer(hello.versions)?)),
            Frame::Submit(call) => {
                Ok(Self::Submit { id: call.id, submit: call.submit.ok_or(WireError::Missing("submit"))?.try_into()? })
            }
            Frame::Ping(_) => Ok(Self::Ping),
        }
    }
}

impl SubmitServerFrame {
    /// Encodes for the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        use proto::submit_server_frame::Frame;
        let frame = match self {
            Self::Welcome { version, server_time_ms, limits } => Frame::Welcome(proto::Welcome {
                version: *version,
                server_time_ms: *server_time_ms,
                limits: Some((*limits).into()),
            }),
            Self::Reply { id, result } => Frame::Reply(proto::SubmitReply {
                id: *id,
                result: Some(match result {
                    Ok(results) => proto::submit_reply::Result::Results(results_to_proto(results)),
                    Err(refusal) => proto::submit_reply::Result::Error((*refusal).into()),
                }),
            }),
            Self::Error(refusal) => Frame::Error((*refusal).into()),
            Self::GoAway { retry_after_ms } => Frame::GoAway(proto::GoAway { retry_after_ms: *retry_after_ms }),
            Self::Pong => Frame::Pong(proto::Pong {}),
        };
        proto::SubmitServerFrame { frame: Some(frame) }.encode_to_vec().into()
    }

    /// Decodes and checks a frame.
    ///
    /// # Errors
    /// Anything that the protocol does not allow.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use proto::submit_server_frame::Frame;
        let frame = proto::SubmitServerFrame::decode(bounded("frame", bytes, MAX_SUBMIT_FRAME_BYTES)?)
            .map_err(|_| WireError::Protobuf)?;
        Ok(match frame.frame.ok_or(WireError::Missing("frame"))? {
            Frame::Welcome(welcome) => Self::Welcome {
                version: welcome.version,
                server_time_ms: welcome.server_time_ms,
                limits: welcome.limits.ok_or(WireError::Missing("limits"))?.into(),
            },
            Frame::Reply(reply) => Self::Reply {
                id: reply.id,
                result: match reply.result.ok_or(WireError::Missing("result"))? {
                    proto::submit_reply::Result::Results(results) => Ok(results_from_proto(results)?),
                    proto::submit_reply::Result::Error(error) => Err(error.into()),
                },
            },
            Frame::Error(error) => Self::Error(error.into()),
            Frame::GoAway(go) => Self::GoAway { retry_after_ms: go.retry_after_ms },
            Frame::Pong(_) => Self::Pong,
        })
    }
}
