//! What becomes of a submission: the order of the checks, and what each of them says.
//!
//! The facts about all items are fetched first; then all items are judged at once, without a look at anything else; then what was
//! decided is done. Items of one submission see each other: what an earlier one takes, a later one does not find.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use subrosa_wire::{
    AccountId, Capability, CapabilityHash, DeviceAddress, EnvelopeId, ErrorCode,
    limits::{HEAD_BYTES, IDLE_DAYS, MAX_EXPIRY, MAX_PENDING_REQUESTS, MAX_TOKEN_SUBMITS},
    mailbox::Way,
    submit::{EnvelopeClass, Refusal, Submit},
};

use super::{
    Moment,
    facts::{Account, Device, Token},
    limiter::Left,
    limits::{IDLE_RETRY_S, MAX_STALE_LIST_BYTES, REQUESTS_FULL_RETRY_S, SUBMIT_UNIT_BYTES, UNAVAILABLE},
    permission::{Permission, way_in},
};

/// One envelope to be stored.
#[derive(Debug, Clone)]
pub(crate) struct IntakeItem {
    /// Where it goes.
    pub(crate) device: DeviceAddress,
    /// Hash over device, head and body.
    pub(crate) id: EnvelopeId,
    /// What allows it.
    pub(crate) permission: Permission,
    /// Durable or ephemeral.
    pub(crate) class: EnvelopeClass,
    /// When it expires, milliseconds since 1970.
    pub(crate) expires_ms: u64,
    /// The wrapped body key.
    pub(crate) head: [u8; HEAD_BYTES],
    /// Index of its body.
    pub(crate) body: usize,
    /// The receiver's list version as the sender knows it.
    pub(crate) list_version: u32,
}

/// Envelopes that are stored in one durable transaction.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Sealed bodies.
    pub(crate) bodies: Vec<Bytes>,
    /// At least one; every body index is valid.
    pub(crate) items: Vec<IntakeItem>,
    /// What the rates of the receiving accounts and of the capabilities let through, when the submission came.
    pub(crate) rates: Rates,
}

/// How many more envelopes the rates let through. Who is not named has no limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    /// For each receiving account, whoever sends.
    pub(crate) accounts: HashMap<AccountId, Left>,
    /// With each capability.
    pub(crate) capabilities: HashMap<CapabilityHash, Left>,
}

impl Batch {
    /// Hashes what has to be hashed, so that the store only compares. `permission` decides from an item's capability what allows it.
    pub(crate) fn new(submit: Submit, now_ms: u64, permission: impl Fn(Option<&Capability>) -> Permission) -> Self {
        let max_expiry_s = MAX_EXPIRY.as_secs();
        let items = submit
            .items
            .iter()
            .map(|item| {
                let expiry_s = match item.expiry_s {
                    0 => max_expiry_s,
                    wanted => u64::from(wanted).min(max_expiry_s),
                };
                let body: &[u8] = submit.bodies.get(item.body_ref).map_or(&[], |body| body);
                IntakeItem {
                    device: item.device,
                    id: EnvelopeId::of(&item.device, &item.head, body),
                    permission: permission(item.capability.as_ref()),
                    class: item.class,
                    expires_ms: now_ms.saturating_add(expiry_s * 1_000),
                    head: item.head,
                    body: item.body_ref,
                    list_version: item.list_version,
                }
            })
            .collect();
        Self { bodies: submit.bodies, items, rates: Rates::default() }
    }

    /// Bytes of an item's body.
    #[must_use]
    pub(crate) fn size(&self, item: &IntakeItem) -> u64 {
        self.bodies.get(item.body).map_or(0, Bytes::len) as u64
    }
}

/// What may wait for one device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quotas {
    /// Envelopes.
    pub(crate) rows: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// What a back end knows about the items of a submission.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubmissionFacts {
    /// Accounts that exist.
    pub(crate) accounts: HashMap<AccountId, Account>,
    /// Devices that are on a list.
    pub(crate) devices: HashMap<DeviceAddress, Device>,
    /// Contact tokens that are open.
    pub(crate) tokens: HashMap<(AccountId, CapabilityHash), Token>,
    /// Envelopes that wait already.
    pub(crate) known: HashSet<(DeviceAddress, EnvelopeId)>,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// To be stored, behind all that its device has; its token, if it has one, is used once more and bound.
    Store(Way),
    /// Waiting already.
    Repeat,
    /// Ephemeral and permitted: never stored.
    HandOn(Way),
    /// The sender's device list is old: it is given the newest.
    Stale,
    /// The mailbox is full.
    Full,
    /// Not permitted.
    Refused(Refusal),
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ItemOutcome {
    /// Durable. Its place in the mailbox is the mailbox's business: a log knows none yet.
    Stored,
    /// Already waiting. Recognising a repeat is for a back end to do or leave: the receiver does it too.
    Repeat,
    /// Ephemeral and permitted, in this way: to be handed to the device's session, if there is one.
    HandOn(Way),
    /// The receiver's list is newer, or the device is not on it.
    StaleDevices(Bytes),
    /// The mailbox is full.
    Full,
    /// Not permitted.
    Refused(Refusal),
}

impl ItemOutcome {
    /// Whether it counts for the rates of its receiver and its capability: it was permitted, whatever came of it then.
    #[must_use]
    pub(crate) const fn is_counted(&self) -> bool {
        match self {
            Self::Stored | Self::HandOn(_) | Self::Full => true,
            Self::Refused(refusal) => matches!(refusal.code, ErrorCode::DeviceIdle | ErrorCode::QuotaExceeded),
            Self::Repeat | Self::StaleDevices(_) => false,
        }
    }

    /// Whether it counts against the address that showed it.
    #[must_use]
    pub(crate) const fn is_wrong_capability(&self) -> bool {
        matches!(self, Self::Refused(Refusal { code: ErrorCode::CapabilityRefused | ErrorCode::TokenUsed, .. }))
    }
}

/// The receiver of a request: one account's devices, no capability, nothing ephemeral.
///
/// # Errors
/// It is something else.
pub(crate) fn judge_request(submit: &Submit) -> Result<AccountId, Refusal> {
    let malformed = Refusal::never(ErrorCode::Malformed);
    let receiver = submit.items.first().ok_or(malformed)?.device.account;
    let fits = submit.items.iter().all(|item| {
        item.device.account == receiver && item.capability.is_none() && item.class == EnvelopeClass::Durable
    });
    if fits { Ok(receiver) } else { Err(malformed) }
}

/// What a submission costs the address that it comes from: an envelope for each item, and large bodies more.
pub(crate) fn cost(submit: &Submit) -> u32 {
    let bytes: usize = submit.bodies.iter().map(Bytes::len).sum();
    u32::try_from(submit.items.len() + bytes / SUBMIT_UNIT_BYTES).unwrap_or(u32::MAX)
}

/// Judges all items of a submission. The same facts, submission and moment give the same verdicts.
#[must_use]
pub(crate) fn judge(facts: SubmissionFacts, batch: &Batch, quotas: Quotas, now: Moment) -> Vec<Verdict> {
    let mut judging = Judging { facts, rates: batch.rates.clone(), quotas, now, full: HashSet::new(), list_bytes: 0 };
    batch.items.iter().map(|item| judging.item(item, batch.size(item))).collect()
}

struct Judging {
    facts: SubmissionFacts,
    rates: Rates,
    quotas: Quotas,
    now: Moment,
    /// Devices that had no room for an item of this submission: what follows for them must not overtake it.
    full: HashSet<DeviceAddress>,
    /// Bytes of device lists in the answer so far.
    list_bytes: u32,
}

impl Judging {
    fn item(&mut self, item: &IntakeItem, size: u64) -> Verdict {
        self.check(item, size).unwrap_or_else(Verdict::Refused)
    }

    fn check(&mut self, item: &IntakeItem, size: u64) -> Result<Verdict, Refusal> {
        // Before the permission: a retry succeeds although its capability has changed meanwhile.
        if self.facts.known.contains(&(item.device, item.id)) {
            return Ok(Verdict::Repeat);
        }
        let account = self.facts.accounts.get(&item.device.account);
        let shown = item.permission.token();
        let token = shown.and_then(|(token, _)| self.facts.tokens.get(&(item.device.account, token)));
        let way = way_in(&item.permission, account, token, self.now)?;
        if let (Some(token), Some((_, binding))) = (token, shown) {
            match token.joiners.get(&binding) {
                Some(submits) if *submits >= MAX_TOKEN_SUBMITS => {
                    return Err(Refusal::never(ErrorCode::QuotaExceeded));
                }
                // What is never stored binds nothing, so it cannot be the first use.
                None if item.class == EnvelopeClass::Ephemeral => {
                    return Err(Refusal::never(ErrorCode::CapabilityRefused));
                }
                _ => {}
            }
        }
        let Some(account) = account else { return Err(Refusal::never(ErrorCode::CapabilityRefused)) };
        if account.disabled {
            // Told only to those who may write to it.
            return Err(Refusal::never(ErrorCode::AccountDisabled));
        }
        let device = self.facts.devices.get(&item.device).filter(|_| item.list_version >= account.list_version);
        let Some(device) = device.copied() else {
            let list_bytes = account.list_bytes;
            return self.stale(list_bytes);
        };
        self.meter(item)?;
        if self.now.day.saturating_sub(device.seen_day) >= IDLE_DAYS {
            return Err(Refusal { code: ErrorCode::DeviceIdle, retry_after_s: IDLE_RETRY_S });
        }
        if item.class == EnvelopeClass::Ephemeral {
            return Ok(Verdict::HandOn(way));
        }
        let room =
            device.waiting_rows < self.quotas.rows && device.waiting_bytes.saturating_add(size) <= self.quotas.bytes;
        if !room || self.full.contains(&item.device) {
            self.full.insert(item.device);
            return Ok(Verdict::Full);
        }
        if way == Way::RequestLane && device.waiting_requests as usize >= MAX_PENDING_REQUESTS {
            return Err(Refusal { code: ErrorCode::QuotaExceeded, retry_after_s: REQUESTS_FULL_RETRY_S });
        }
        self.stored(item, size, way);
        Ok(Verdict::Store(way))
    }

    /// What later items find.
    fn stored(&mut self, item: &IntakeItem, size: u64, way: Way) {
        self.facts.known.insert((item.device, item.id));
        if let Some(device) = self.facts.devices.get_mut(&item.device) {
            device.waiting_rows += 1;
            device.waiting_bytes = device.waiting_bytes.saturating_add(size);
            device.waiting_requests += u32::from(way == Way::RequestLane);
        }
        if let Permission::ContactToken(hash, binding) = &item.permission
            && let Some(token) = self.facts.tokens.get_mut(&(item.device.account, *hash))
        {
            let submits = token.joiners.entry(*binding).or_insert_with(|| {
                token.joined += 1;
                token.joined_today += 1;
                0
            });
            *submits += 1;
        }
    }

    fn stale(&mut self, list_bytes: u32) -> Result<Verdict, Refusal> {
        self.list_bytes = self.list_bytes.saturating_add(list_bytes);
        if self.list_bytes as usize > MAX_STALE_LIST_BYTES {
            // The reply is as large as it may get: the sender asks again for the rest.
            return Err(UNAVAILABLE);
        }
        Ok(Verdict::Stale)
    }

    /// Counts a permitted envelope.
    fn meter(&mut self, item: &IntakeItem) -> Result<(), Refusal> {
        let limited = |retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s };
        if let Some(left) = self.rates.accounts.get_mut(&item.device.account) {
            left.take().map_err(limited)?;
        }
        let counted = item.permission.counted();
        if let Some(left) = counted.and_then(|hash| self.rates.capabilities.get_mut(&hash)) {
            left.take().map_err(limited)?;
        }
        Ok(())
    }
}
