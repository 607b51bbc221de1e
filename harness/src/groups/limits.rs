//! Every limit that an operation meets (`docs/protocol.md`, sections 10 and 12), from the constants that clients and relays use.

use anyhow::Result;
use subrosa_relay::{MAX_IN_FLIGHT_SUBMITS, Rate, RateLimits};
use subrosa_wire::limits::{
    MAX_BODY_BYTES, MAX_BUNDLES, MAX_BUNDLES_BYTES, MAX_HTTP_BYTES, MAX_MAILBOX_BYTES, MAX_MAILBOX_ROWS,
    MAX_SUBMIT_BODIES, MAX_SUBMIT_BODY_BYTES, MAX_SUBMIT_FRAME_BYTES, MAX_SUBMIT_ITEMS,
};

use super::{
    Numbers, Submission, item_bytes,
    operations::{Cost, frames},
    prekey_question,
};

/// With the longest capability; `docs/protocol.md` computes the limit of a frame with it.
const MAX_ITEM_BYTES: usize = 167;

/// How much of a limit is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// What the page calls the limit.
    pub limit: &'static str,
    /// So much of it …
    pub used: usize,
    /// … of so much, at once.
    pub allowed: usize,
    /// What comes back in a minute, if waiting helps.
    pub per_minute: Option<usize>,
}

impl Use {
    /// Whether it fits at once.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.used <= self.allowed
    }

    /// Seconds that have to be waited, if waiting helps.
    #[must_use]
    pub fn wait_s(&self) -> usize {
        let missing = self.used.saturating_sub(self.allowed);
        self.per_minute.map_or(0, |per_minute| (missing * 60).div_ceil(per_minute))
    }

    /// How often in a row without waiting, if it is used at all.
    #[must_use]
    pub fn in_a_row(&self) -> Option<usize> {
        self.per_minute.and_then(|_| self.allowed.checked_div(self.used))
    }
}

fn bound(limit: &'static str, used: usize, allowed: usize) -> Use {
    Use { limit, used, allowed, per_minute: None }
}

fn rate(limit: &'static str, used: usize, rate: Rate) -> Use {
    Use { limit, used, allowed: rate.burst as usize, per_minute: Some(rate.per_minute as usize) }
}

/// What an operation uses of each limit, with a relay's defaults, and as if all that it sends came from one address.
///
/// # Errors
/// A question asks for more than it may.
pub fn uses(cost: &Cost) -> Result<Vec<Use>> {
    let largest = |of: fn(&Submission) -> usize| cost.submissions.iter().map(of).max().unwrap_or(0);
    let mut questions = Vec::new();
    for devices in &cost.questions {
        questions.push(prekey_question(*devices)?);
    }
    let question = questions.iter().map(|(question, _)| *question).max().unwrap_or(0);
    let answer = questions.iter().map(|(_, answer)| *answer).max().unwrap_or(0);
    let rates = RateLimits::default();
    Ok(vec![
        bound("items of a submission", largest(|one| one.items), MAX_SUBMIT_ITEMS),
        bound("bodies of a submission", largest(|one| one.bodies.len()), MAX_SUBMIT_BODIES),
        bound("bytes of a body", largest(|one| one.bodies.iter().copied().max().unwrap_or(0)), MAX_BODY_BYTES),
        bound("bytes of the bodies of a submission", largest(Submission::body_bytes), MAX_SUBMIT_BODY_BYTES),
        bound("bytes of an item", item_bytes(Numbers::Largest), MAX_ITEM_BYTES),
        bound("bytes of a frame", largest(|one| one.frame(Numbers::Largest)), MAX_SUBMIT_FRAME_BYTES),
        bound("submissions of one sender unanswered", cost.own().len(), MAX_IN_FLIGHT_SUBMITS),
        bound("devices in one question", cost.questions.iter().copied().max().unwrap_or(0), MAX_BUNDLES),
        bound("bytes of a question", question, MAX_HTTP_BYTES),
        bound("bytes of its answer", answer, MAX_BUNDLES_BYTES),
        bound("envelopes that wait for a device", cost.device, MAX_MAILBOX_ROWS),
        bound("bytes that wait for a device", cost.device_bytes, MAX_MAILBOX_BYTES),
        rate("envelopes from one address", cost.address(), rates.submit),
        rate("envelopes for one account", cost.account, rates.account),
        rate("envelopes with one capability", cost.account, rates.capability),
        rate("devices asked for by one address", cost.bundles(), rates.prekeys),
        rate("HTTP requests of one address", cost.connections(), rates.requests),
        rate("connections of one address", cost.connections(), rates.connect),
        rate("KiB on one connection", frames(cost.own()).div_ceil(1024), rates.connection_kib),
        rate("KiB from one address", cost.bytes().div_ceil(1024), rates.address_kib),
        rate("device lists asked for", 0, rates.devices),
        rate("requests on the own socket", 0, rates.own_requests),
    ])
}
