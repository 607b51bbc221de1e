//! Frames of the authenticated socket `/v1/mailbox` (docs/protocol.md, "The mailbox socket").

use bytes::Bytes;
use prost::Message;

use crate::{
    CapabilityHash, DeviceAddress, MailboxEpoch, Seq, WireError,
    convert::{bounded, copy, exact, optional},
    limits::{MAX_AUTHORITY_BYTES, MAX_BODY_BYTES, MAX_HTTP_BYTES, MAX_MAILBOX_FRAME_BYTES, MAX_SHOWN_MARKS},
    proto,
    submit::{EnvelopeClass, Limits, Refusal, Submit, SubmitResult, results_from_proto, results_to_proto},
    version::check_offer,
};

pub use crate::prekeys::{KEM_PREKEY_BYTES, ONE_TIME_EC_BYTES, PrekeyCount, PrekeyUpload, SIGNED_PREKEY_BYTES};

/// Client to relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxClientFrame {
    /// Offered versions; the first frame.
    Hello(Vec<u32>),
    /// Answer to the challenge.
    Auth {
        /// Who claims to be here.
        device: DeviceAddress,
        /// The relay as the client knows it, `host:port`.
        authority: String,
        /// The pinned certificate key hash, if the client has one.
        pin: Option<[u8; 32]>,
        /// What tells two live copies of the device apart.
        marks: LoginMarks,
        /// Ed25519 over label, authority, pin, binding to the connection, nonce, device, marks.
        signature: [u8; 64],
    },
    /// Everything up to this `Seq` is committed here.
    Ack(Seq),
    /// A question or change; `id` comes back in the response.
    Request {
        /// Chosen by the client.
        id: u64,
        /// What is asked.
        op: MailboxRequest,
    },
    /// Answered by `Pong`.
    Ping,
}

/// What tells two live copies of a device apart: each login leaves a mark, and the next one shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoginMarks {
    /// New, random: what the next login shows.
    pub mark: [u8; 16],
    /// The mark of the last login that succeeded, and those of later ones whose end the device has not seen.
    pub shown: Vec<[u8; 16]>,
    /// A person chose this copy: it takes the place of whichever was here.
    pub take_over: bool,
}

impl LoginMarks {
    /// As the signature covers them: whether it takes over ‖ number shown ‖ those ‖ the new one.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.take_over), u8::try_from(self.shown.len()).unwrap_or(u8::MAX)];
        bytes.extend(self.shown.iter().flatten());
        bytes.extend(self.mark);
        bytes
    }
}

/// What a device may ask of its own mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxRequest {
    /// Adds or replaces prekeys.
    PutPrekeys(PrekeyUpload),
    /// A newer device list of this account.
    PutDeviceList(Bytes),
    /// The account's delivery key, and how long its predecessor lives.
    SetDeliveryKeys {
        /// SHA-256 of the key.
        current: CapabilityHash,
        /// SHA-256 of the one before.
        previous: Option<CapabilityHash>,
        /// Seconds it is still honoured.
        previous_valid_s: u32,
    },
    /// The account's member key, and how long its predecessor lives.
    SetMemberKeys {
        /// SHA-256 of the key.
        current: CapabilityHash,
        /// SHA-256 of the one before.
        previous: Option<CapabilityHash>,
        /// Seconds it is still honoured.
        previous_valid_s: u32,
    },
    /// A contact token for a link.
    PutContactToken {
        /// SHA-256 of the token.
        token: CapabilityHash,
        /// Seconds it lives; 0: as long as a token may.
        expiry_s: u32,
        /// How many may join with it.
        uses: TokenUses,
    },
    /// The token is used up or withdrawn.
    RemoveContactToken(CapabilityHash),
    /// The request lane: items without capability to somebody who does not know us.
    SubmitRequest(Submit),
    /// The account of the device that asks goes: devices, mailboxes, prekeys, capabilities. Its handle is not given to anybody else.
    RemoveAccount,
}

/// How many may join with a contact token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenUses {
    /// At most so many. The first use by each of them binds one.
    pub most: u32,
    /// Of these at most so many on one day of the relay's clock; 0: all.
    pub per_day: u32,
}

impl TokenUses {
    /// For one person, as a contact link.
    pub const ONE: Self = Self { most: 1, per_day: 0 };
}

/// Relay to client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxServerFrame {
    /// To be signed.
    Challenge {
        /// Chosen protocol version.
        version: u32,
        /// Random, one use.
        nonce: [u8; 32],
        /// The relay ends TLS itself and takes only an answer that covers the exporter of this very connection.
        tls_bound: bool,
    },
    /// The session is claimed; pushes follow.
    Ready {
        /// A new one means: count from 0 again.
        epoch: MailboxEpoch,
        /// Highest acknowledged `Seq`.
        acked: Seq,
        /// The relay's clock, milliseconds since 1970.
        server_time_ms: u64,
        /// The relay's limits.
        limits: Limits,
        /// Prekeys left.
        prekeys: PrekeyCount,
        /// Days since the device was last connected, if so many that nothing was stored for it any more; otherwise 0.
        away_days: u32,
    },
    /// One envelope.
    Push(Push),
    /// All that was waiting has been pushed. Said once a session, when the mailbox is first seen drained.
    CaughtUp,
    /// Another connection of this device took over.
    Displaced,
    /// The relay is going down; come back later.
    GoAway {
        /// Milliseconds to wait before connecting again.
        retry_after_ms: u32,
    },
    /// The connection is over.
    Error(Refusal),
    /// Answer to a request.
    Response {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: Result<RequestOutcome, Refusal>,
    },
    /// Answer to a ping.
    Pong,
    /// Time to refill.
    PrekeysLow(PrekeyCount),
}

/// What a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Done and durable.
    Done,
    /// The request lane's results, one for each item.
    Submit(Vec<SubmitResult>),
}

/// How an envelope came to a mailbox: what its sender showed to the relay. A client gives a stranger's lane less than a
/// holder of its delivery key, and nothing more to what it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The request lane: the sender showed the relay who it is, and no capability.
    RequestLane,
    /// With the contact token of a link.
    ContactToken,
    /// With the account's delivery key.
    DeliveryKey,
    /// With the account's member key.
    MemberKey,
    /// A newer relay says something that this program does not know, or (0) a relay says nothing. It is no reason to refuse
    /// the push: what is not acknowledged would block the window for ever.
    Unknown(u32),
}

impl Way {
    /// From the number on the wire.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::RequestLane,
            2 => Self::ContactToken,
            3 => Self::DeliveryKey,
            4 => Self::MemberKey,
            other => Self::Unknown(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::RequestLane => 1,
            Self::ContactToken => 2,
            Self::DeliveryKey => 3,
            Self::MemberKey => 4,
            Self::Unknown(number) => number,
        }
    }
}

/// An envelope on its way to the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Place in the mailbox; 0 for an ephemeral envelope, which is never acknowledged.
    pub seq: Seq,
    /// Durable or ephemeral.
    pub class: EnvelopeClass,
    /// Wrapped body key.
    pub head: Bytes,
    /// Sealed body.
    pub body: Bytes,
    /// When the relay committed it, milliseconds since 1970.
    pub received_ms: u64,
    /// How it came.
    pub way: Way,
}

fn marks(mark: &Bytes, shown: &[Bytes], take_over: bool) -> Result<LoginMarks, WireError> {
    if shown.len() > MAX_SHOWN_MARKS {
        return Err(WireError::TooMany { field: "shown marks", limit: MAX_SHOWN_MARKS });
    }
    let shown = shown.iter().map(|mark| exact("shown mark", mark)).collect::<Result<_, _>>()?;
    Ok(LoginMarks { mark: exact("mark", mark)?, shown, take_over })
}

impl TryFrom<proto::request::Op> for MailboxRequest {
    type Error = WireError;

    fn try_from(value: proto::request::Op) -> Result<Self, WireError> {
        use proto::request::Op;
        Ok(match value {
            Op::PutPrekeys(upload) => Self::PutPrekeys(upload.try_into()?),
            Op::PutDeviceList(put) => Self::PutDeviceList(bounded("device list", put.device_list, MAX_HTTP_BYTES)?),
            Op::SetDeliveryKeys(set) => Self::SetDeliveryKeys {
                current: CapabilityHash::from_slice(&set.current_hash)?,
                previous: optional("previous delivery key", &set.previous_hash)?.map(CapabilityHash),
                previous_valid_s: set.previous_valid_s,
            },
            Op::SetMemberKeys(set) => Self::SetMemberKeys {
                current: CapabilityHash::from_slice(&set.current_hash)?,
                previous: optional("previous member key", &set.previous_hash)?.map(CapabilityHash),
                previous_valid_s: set.previous_valid_s,
            },
            Op::PutContactToken(put) => {
                let token = CapabilityHash::from_slice(&put.token_hash)?;
                let uses = TokenUses { most: put.uses.max(1), per_day: put.per_day };
                Self::PutContactToken { token, expiry_s: put.expiry_s, uses }
            }
            Op::RemoveContactToken(remove) => Self::RemoveContactToken(CapabilityHash::from_slice(&remove.token_hash)?),
            Op::SubmitRequest(submit) => Self::SubmitRequest(submit.try_into()?),
            Op::RemoveAccount(_) => Self::RemoveAccount,
        })
    }
}

impl From<&MailboxRequest> for proto::request::Op {
    fn from(value: &MailboxRequest) -> Self {
        match value {
            MailboxRequest::PutPrekeys(upload) => Self::PutPrekeys(upload.into()),
            MailboxRequest::PutDeviceList(list) => {
                Self::PutDeviceList(proto::PutDeviceList { device_list: list.clone() })
            }
            MailboxRequest::SetDeliveryKeys { current, previous, previous_valid_s } => {
                Self::SetDeliveryKeys(proto::SetDeliveryKeys {
                    current_hash: copy(&current.0),
                    previous_hash: previous.map(|hash| copy(&hash.0)).unwrap_or_default(),
                    previous_valid_s: *previous_valid_s,
                })
            }
            MailboxRequest::SetMemberKeys { current, previous, previous_valid_s } => {
                Self::SetMemberKeys(proto::SetDeliveryKeys {
                    current_hash: copy(&current.0),
                    previous_hash: previous.map(|hash| copy(&hash.0)).unwrap_or_default(),
                    previous_valid_s: *previous_valid_s,
                })
            }
            MailboxRequest::PutContactToken { token, expiry_s, uses: TokenUses { most, per_day } } => {
                Self::PutContactToken(proto::PutContactToken {
                    token_hash: copy(&token.0),
                    expiry_s: *expiry_s,
                    // One is said by nothing.
                    uses: if *most > 1 { *most } else { 0 },
                    per_day: *per_day,
                })
            }
            MailboxRequest::RemoveContactToken(token) => {
                Self::RemoveContactToken(proto::RemoveContactToken { token_hash: copy(&token.0) })
            }
            MailboxRequest::SubmitRequest(submit) => Self::SubmitRequest(submit.into()),
            MailboxRequest::RemoveAccount => Self::RemoveAccount(proto::RemoveAccount {}),
        }
    }
}

impl MailboxClientFrame {
    /// Encodes for the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        use proto::mailbox_client_frame::Frame;
        let frame = match self {
            Self::Hello(versions) => Frame::Hello(proto::Hello { versions: versions.clone() }),
            Self::Auth { device, authority, pin, marks, signature } => Frame::Auth(proto::Auth {
                device: Some(device.into()),
                authority: authority.clone(),
                pin: pin.map(|pin| copy(&pin)).unwrap_or_default(),
                signature: copy(signature),
                mark: copy(&marks.mark),
                shown: marks.shown.iter().map(|mark| copy(mark)).collect(),
                take_over: marks.take_over,
            }),
            Self::Ack(upto) => Frame::Ack(proto::Ack { upto: *upto }),
            Self::Request { id, op } => Frame::Request(proto::Request { id: *id, op: Some(op.into()) }),
            Self::Ping => Frame::Ping(proto::Ping {}),
        };
        proto::MailboxClientFrame { frame: Some(frame) }.encode_to_vec().into()
    }

    /// Decodes and checks a frame.
    ///
    /// # Errors
    /// Anything that the protocol does not allow.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use proto::mailbox_client_frame::Frame;
        let frame = proto::MailboxClientFrame::decode(bounded("frame", bytes, MAX_MAILBOX_FRAME_BYTES)?)
            .map_err(|_| WireError::Protobuf)?;
        Ok(match frame.frame.ok_or(WireError::Missing("frame"))? {
            Frame::Hello(hello) => Self::Hello(check_offer(hello.versions)?),
            Frame::Auth(auth) => {
                if auth.authority.is_empty() || auth.authority.len() > MAX_AUTHORITY_BYTES {
                    return Err(WireError::Range("authority"));
                }
                Self::Auth {
                    device: auth.device.try_into()?,
                    authority: auth.authority,
                    pin: optional("pin", &auth.pin)?,
                    marks: marks(&auth.mark, &auth.shown, auth.take_over)?,
                    signature: exact("signature", &auth.signature)?,
                }
            }
            Frame::Ack(ack) => Self::Ack(ack.upto),
            Frame::Request(request) => {
                Self::Request { id: request.id, op: request.op.ok_or(WireError::Missing("op"))?.try_into()? }
            }
            Frame::Ping(_) => Self::Ping,
        })
    }
}

impl MailboxServerFrame {
    /// Encodes for the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        use proto::{mailbox_server_frame::Frame, response::Result as R};
        let frame = match self {
            Self::Challenge { version, nonce, tls_bound } => {
                Frame::Challenge(proto::Challenge { version: *version, nonce: copy(nonce), tls_bound: *tls_bound })
            }
            Self::Ready { epoch, acked, server_time_ms, limits, prekeys, away_days } => Frame::Ready(proto::Ready {
                mailbox_epoch: copy(&epoch.0),
                acked: *acked,
                server_time_ms: *server_time_ms,
                limits: Some((*limits).into()),
                prekeys: Some((*prekeys).into()),
                away_days: *away_days,
            }),
            Self::Push(push) => Frame::Push(proto::Push {
                seq: push.seq,
                class: push.class.to_proto(),
                head: push.head.clone(),
                body: push.body.clone(),
                received_ms: push.received_ms,
                way: push.way.number(),
            }),
            Self::CaughtUp => Frame::CaughtUp(proto::CaughtUp {}),
            Self::Displaced => Frame::Displaced(proto::Displaced {}),
            Self::GoAway { retry_after_ms } => Frame::GoAway(proto::GoAway { retry_after_ms: *retry_after_ms }),
            Self::Error(refusal) => Frame::Error((*refusal).into()),
            Self::Response { id, result } => Frame::Response(proto::Response {
                id: *id,
                result: Some(match result {
                    Ok(RequestOutcome::Done) => R::Done(proto::Done {}),
                    Ok(RequestOutcome::Submit(results)) => R::Submit(results_to_proto(results)),
                    Err(refusal) => R::Error((*refusal).into()),
                }),
            }),
            Self::Pong => Frame::Pong(proto::Pong {}),
            Self::PrekeysLow(count) => Frame::PrekeysLow((*count).into()),
        };
        proto::MailboxServerFrame { frame: Some(frame) }.encode_to_vec().into()
    }

    /// Decodes and checks a frame.
    ///
    /// # Errors
    /// Anything that the protocol does not allow.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use proto::{mailbox_server_frame::Frame, response::Result as R};
        let frame = proto::MailboxServerFrame::decode(bounded("frame", bytes, MAX_MAILBOX_FRAME_BYTES)?)
            .map_err(|_| WireError::Protobuf)?;
        Ok(match frame.frame.ok_or(WireError::Missing("frame"))? {
            Frame::Challenge(challenge) => Self::Challenge {
                version: challenge.version,
                nonce: exact("nonce", &challenge.nonce)?,
                tls_bound: challenge.tls_bound,
            },
            Frame::Ready(ready) => Self::Ready {
                epoch: MailboxEpoch::from_slice(&ready.mailbox_epoch)?,
                acked: ready.acked,
                server_time_ms: ready.server_time_ms,
                limits: ready.limits.ok_or(WireError::Missing("limits"))?.into(),
                prekeys: ready.prekeys.ok_or(WireError::Missing("prekeys"))?.into(),
                away_days: ready.away_days,
            },
            // Head and body are not held to our sizes here: what is not ours must still be
            // acknowledged as junk, or it would block the window for ever.
            Frame::Push(push) => Self::Push(Push {
                seq: push.seq,
                class: EnvelopeClass::from_proto(push.class)?,
                head: push.head,
                body: bounded("body", push.body, MAX_BODY_BYTES)?,
                received_ms: push.received_ms,
                way: Way::from_number(push.way),
            }),
            Frame::CaughtUp(_) => Self::CaughtUp,
            Frame::Displaced(_) => Self::Displaced,
            Frame::GoAway(go) => Self::GoAway { retry_after_ms: go.retry_after_ms },
            Frame::Error(error) => Self::Error(error.into()),
            Frame::Response(response) => Self::Response {
                id: response.id,
                result: match response.result.ok_or(WireError::Missing("result"))? {
                    R::Done(_) => Ok(RequestOutcome::Done),
                    R::Submit(results) => Ok(RequestOutcome::Submit(results_from_proto(results)?)),
                    R::Error(error) => Err(error.into()),
                },
            },
            Frame::Pong(_) => Self::Pong,
            Frame::PrekeysLow(count) => Self::PrekeysLow(count.into()),
        })
    }
}
