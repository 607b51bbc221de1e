//! The four questions over HTTPS (`docs/protocol.md`, "Questions over HTTPS").

use anyhow::{Context, Result, bail};
use prost::Message;

use super::frames::{Capability, DeviceAddress, Refusal};

/// What both directions say their body is.
pub(super) const CONTENT_TYPE: &str = "application/x-protobuf";

/// `/v1/register`.
#[derive(Clone, PartialEq, Message)]
pub struct Register {
    /// 65 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub account_record: Vec<u8>,
    /// The handle.
    #[prost(string, tag = "2")]
    pub handle: String,
    /// The signed list.
    #[prost(bytes = "vec", tag = "3")]
    pub device_list: Vec<u8>,
    /// The relay as the client knows it.
    #[prost(string, tag = "4")]
    pub authority: String,
    /// Empty or 32 bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub pin: Vec<u8>,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub proof: Vec<u8>,
    /// Empty or 16 bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub registration_token: Vec<u8>,
}

/// The answer to `/v1/register`.
#[derive(Clone, PartialEq, Message)]
pub struct Registered {
    /// The relay's clock.
    #[prost(uint64, tag = "1")]
    pub server_time_ms: u64,
}

/// `/v1/resolve`.
#[derive(Clone, PartialEq, Message)]
pub struct Resolve {
    /// The handle.
    #[prost(string, tag = "1")]
    pub handle: String,
}

/// An account's id: the answer to `/v1/resolve`, and the question of `/v1/devices`.
#[derive(Clone, PartialEq, Message)]
pub struct AccountId {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub account: Vec<u8>,
}

/// The answer to `/v1/devices`.
#[derive(Clone, PartialEq, Message)]
pub struct Devices {
    /// 65 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub account_record: Vec<u8>,
    /// The signed list.
    #[prost(bytes = "vec", tag = "2")]
    pub device_list: Vec<u8>,
}

/// `/v1/prekeys`.
#[derive(Clone, PartialEq, Message)]
pub struct AskPrekeys {
    /// 1 to 64.
    #[prost(message, repeated, tag = "1")]
    pub takes: Vec<Take>,
}

impl AskPrekeys {
    /// The first account that is asked about.
    #[must_use]
    pub fn account(&self) -> Option<&[u8]> {
        self.takes.first()?.device.as_ref().map(|device| &device.account[..])
    }
}

/// Keys of one device.
#[derive(Clone, PartialEq, Message)]
pub struct Take {
    /// Whose.
    #[prost(message, optional, tag = "1")]
    pub device: Option<DeviceAddress>,
    /// For one-time keys.
    #[prost(message, optional, tag = "2")]
    pub capability: Option<Capability>,
}

/// The answer to `/v1/prekeys`.
#[derive(Clone, PartialEq, Message)]
pub struct Bundles {
    /// One for each, in order.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<Bundle>,
}

/// What came of one device.
#[derive(Clone, PartialEq, Message)]
pub struct Bundle {
    /// Its keys …
    #[prost(message, optional, tag = "1")]
    pub prekeys: Option<Prekeys>,
    /// … or why there are none.
    #[prost(message, optional, tag = "2")]
    pub refused: Option<Refusal>,
}

/// Keys of one device.
#[derive(Clone, PartialEq, Message)]
pub struct Prekeys {
    /// 100 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub signed_prekey: Vec<u8>,
    /// Empty or 36 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub one_time_ec: Vec<u8>,
    /// 1,636 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub kem: Vec<u8>,
    /// Whether `kem` is the last-resort key.
    #[prost(bool, tag = "4")]
    pub kem_last_resort: bool,
}

/// Asks a relay. `Err` of the inner result: refused, with the reason that it gave.
///
/// # Errors
/// The relay is not reached, or its answer is none of the protocol's.
pub async fn ask<A: Message + Default>(
    http: &reqwest::Client,
    authority: &str,
    path: &str,
    question: &impl Message,
) -> Result<Result<A, Refusal>> {
    let response = http
        .post(format!("http://{authority}{path}"))
        .header("content-type", CONTENT_TYPE)
        .body(question.encode_to_vec())
        .send()
        .await
        .with_context(|| format!("{path} at {authority}"))?;
    let fine = response.status().is_success();
    let bytes = response.bytes().await?;
    if fine {
        return Ok(Ok(A::decode(bytes)?));
    }
    match Refusal::decode(bytes) {
        Ok(refusal) if refusal.code != 0 => Ok(Err(refusal)),
        _ => bail!("{path}: neither an answer nor a refusal"),
    }
}
