//! What comes of many doing something: receipts of all for what one says, and everybody writing.

use anyhow::Result;
use subrosa_client_core::limits::RECEIPT_COALESCE;
use subrosa_relay::{Rate, RateLimits};
use subrosa_wire::limits::MAX_MAILBOX_ROWS;

use super::{
    Group,
    limits::{Use, uses},
    operations::{Operation, cost},
    sizes::{self, Encrypted},
};

/// Decided, not built yet: receipts are gathered so long in a group for each of its members …
const WINDOW_STEP_MS: usize = RECEIPT_COALESCE.as_millis() as usize;
/// … and at most so long. Each window is longer or shorter by up to a half, which leaves the mean.
const MAX_WINDOW_MS: usize = 30_000;

/// Milliseconds for which a reader gathers receipts.
#[must_use]
pub fn window_ms(members: usize) -> usize {
    (WINDOW_STEP_MS * members).min(MAX_WINDOW_MS)
}

/// To whom receipts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    /// As soon as something is delivered, and as soon as it is read, to each device of the author.
    AtOnce,
    /// One in each window, to each device of the author.
    Gathered,
    /// The same of each device of a reader, as engines tell receipts today.
    OfEachDevice,
    /// One in each window, to the device that wrote.
    ToWriter,
}

/// Envelopes a minute of receipts for one author who says `per_minute` messages, which all others read at once.
#[must_use]
pub fn receipts(group: Group, per_minute: usize, how: Receipts) -> usize {
    let readers = group.members - 1;
    let gathered = readers * per_minute.min((60_000usize).div_ceil(window_ms(group.members)));
    match how {
        Receipts::AtOnce => 2 * per_minute * readers * group.devices,
        Receipts::Gathered => gathered * group.devices,
        Receipts::OfEachDevice => gathered * group.devices * group.devices,
        Receipts::ToWriter => gathered,
    }
}

/// Envelopes a minute that a relay takes for it, messages included.
#[must_use]
pub fn relay(group: Group, per_minute: usize, how: Receipts) -> usize {
    per_minute * group.all() + receipts(group, per_minute, how)
}

/// Bytes of the body with the receipts of one window.
///
/// # Errors
/// They fit none.
pub fn receipt_body(group: Group, per_minute: usize) -> Result<usize> {
    let messages = (per_minute * window_ms(group.members)).div_ceil(60_000).max(1);
    Encrypted::Session.body(sizes::receipt(messages))
}

/// What a minute of receipts uses of the lasting rates of account and capability.
#[must_use]
pub fn sustained(envelopes: usize) -> [Use; 2] {
    let RateLimits { account, capability, .. } = RateLimits::default();
    let lasting =
        |limit, rate: Rate| Use { limit, used: envelopes, allowed: rate.per_minute as usize, per_minute: None };
    [lasting("envelopes for one account", account), lasting("envelopes with one capability", capability)]
}

/// Messages of one author until a device of theirs that is away holds no more, each with a receipt of every reader.
#[must_use]
pub fn until_full(group: Group) -> usize {
    MAX_MAILBOX_ROWS / group.members
}

/// Everybody does the same, each with one device, from one address: the dearest case for its limits. What is large in one frame or question is
/// checked where somebody is alone.
///
/// # Errors
/// See [`cost`].
pub fn everybody(operation: Operation, group: Group) -> Result<Vec<Use>> {
    let one = cost(operation, group)?;
    let times = group.members;
    let together = |alone: Use| {
        let used = match alone.limit {
            "envelopes that wait for a device" => one.device,
            "bytes that wait for a device" => one.device_bytes,
            "envelopes from one address" => one.address(),
            "envelopes for one account" | "envelopes with one capability" => one.account,
            "devices asked for by one address" => one.bundles(),
            "HTTP requests of one address" => one.connections(),
            _ => return None,
        };
        Some(Use { used: used * times, ..alone })
    };
    Ok(uses(&one)?.into_iter().filter_map(together).collect())
}
