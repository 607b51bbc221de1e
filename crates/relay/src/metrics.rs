//! What a relay counts, for Prometheus. No label names a person, a device or an address, and every label has a fixed
//! set of values.

use std::sync::Arc;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use subrosa_wire::ErrorCode;

use crate::{
    backend::{Totals, embedded::CommitMetrics},
    clock::now_ms,
    policy::submission::ItemOutcome,
};

type Label = [(&'static str, &'static str); 1];

/// Counters and gauges of one relay.
pub(crate) struct Metrics {
    registry: Registry,
    connections: Gauge,
    sessions: Gauge,
    accepted: Family<Label, Counter>,
    pub(crate) delivered: Counter,
    pub(crate) acknowledged: Counter,
    refused: Family<Label, Counter>,
    pub(crate) commits: CommitMetrics,
    accounts: Gauge,
    devices: Gauge,
    waiting: Gauge,
    waiting_bytes: Gauge,
    deepest: Gauge,
    oldest_s: Gauge,
    ready: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("subrosa_relay"),
            connections: Gauge::default(),
            sessions: Gauge::default(),
            accepted: Family::default(),
            delivered: Counter::default(),
            acknowledged: Counter::default(),
            refused: Family::default(),
            commits: CommitMetrics::default(),
            accounts: Gauge::default(),
            devices: Gauge::default(),
            waiting: Gauge::default(),
            waiting_bytes: Gauge::default(),
            deepest: Gauge::default(),
            oldest_s: Gauge::default(),
            ready: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register("connections", "TCP connections being served", self.connections.clone());
        registry.register("sessions", "Devices whose mailbox is connected", self.sessions.clone());
        registry.register("envelopes_accepted", "Envelopes accepted, by what became of them", self.accepted.clone());
        registry.register("envelopes_delivered", "Envelopes pushed to devices", self.delivered.clone());
        registry.register("envelopes_acknowledged", "Envelopes acknowledged by devices", self.acknowledged.clone());
        registry.register("refusals", "Requests and envelopes refused, by reason", self.refused.clone());
        registry.register("commit_seconds", "Duration of a commit with its fsync", self.commits.seconds.clone());
        registry.register(
            "queue_seconds",
            "How long a change waited for its commit to begin",
            self.commits.queued.clone(),
        );
        registry.register("changes", "Changes committed; many share one commit", self.commits.changes.clone());
        registry.register("accounts", "Registered accounts", self.accounts.clone());
        registry.register("devices", "Devices of all accounts", self.devices.clone());
        registry.register("mailbox_envelopes", "Envelopes waiting", self.waiting.clone());
        registry.register("mailbox_bytes", "Bytes of envelopes waiting", self.waiting_bytes.clone());
        registry.register("mailbox_deepest", "Envelopes waiting in the fullest mailbox", self.deepest.clone());
        registry.register("mailbox_oldest_seconds", "Age of the oldest waiting envelope", self.oldest_s.clone());
        registry.register("ready", "1 when new work is taken, as /readyz says", self.ready.clone());
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(self: &Arc<Self>) -> Connected {
        self.connections.inc();
        Connected(Arc::clone(self))
    }

    /// Counts what became of an envelope.
    pub(crate) fn outcome(&self, outcome: &ItemOutcome) {
        let accepted = |what| {
            self.accepted.get_or_create(&[("as", what)]).inc();
        };
        let refused = |why| {
            self.refused.get_or_create(&[("reason", why)]).inc();
        };
        match outcome {
            ItemOutcome::Stored => accepted("stored"),
            ItemOutcome::Repeat => accepted("repeat"),
            ItemOutcome::HandOn(_) => accepted("ephemeral"),
            ItemOutcome::StaleDevices(_) => refused("stale_devices"),
            ItemOutcome::Full => refused("mailbox_full"),
            ItemOutcome::Refused(refusal) => self.refusal(refusal.code),
        }
    }

    /// Everything, in OpenMetrics. Without `totals`, which a store that does not answer does not say, its last figures stay; `ready`
    /// says then that something is wrong. `None`: it cannot be written.
    pub(crate) fn text(&self, sessions: usize, is_ready: bool, totals: Option<Totals>) -> Option<String> {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.sessions, u64::try_from(sessions).unwrap_or(u64::MAX));
        set(&self.ready, u64::from(is_ready));
        if let Some(totals) = totals {
            set(&self.accounts, totals.accounts);
            set(&self.devices, totals.devices);
            set(&self.waiting, totals.waiting);
            set(&self.waiting_bytes, totals.waiting_bytes);
            set(&self.deepest, totals.deepest);
            set(&self.oldest_s, totals.oldest_ms.map_or(0, |oldest| now_ms().saturating_sub(oldest) / 1_000));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).ok().map(|()| text)
    }

    /// Counts a refusal.
    pub(crate) fn refusal(&self, code: ErrorCode) {
        self.refused.get_or_create(&[("reason", reason(code))]).inc();
    }
}

/// See [`Metrics::connection`].
pub(crate) struct Connected(Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

const fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "malformed",
        ErrorCode::UnsupportedVersion => "unsupported_version",
        ErrorCode::AuthenticationFailed => "authentication_failed",
        ErrorCode::OtherCopy => "other_copy",
        ErrorCode::WrongRelay => "wrong_relay",
        ErrorCode::CapabilityRefused => "capability_refused",
        ErrorCode::TokenUsed => "token_used",
        ErrorCode::HandleTaken => "handle_taken",
        ErrorCode::HandleInvalid => "handle_invalid",
        ErrorCode::AccountExists => "account_exists",
        ErrorCode::NotFound => "not_found",
        ErrorCode::InvalidSignature => "invalid_signature",
        ErrorCode::OldDeviceList => "old_device_list",
        ErrorCode::RateLimited => "rate_limited",
        ErrorCode::QuotaExceeded => "quota_exceeded",
        ErrorCode::RequestPending => "request_pending",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::RegistrationClosed => "registration_closed",
        ErrorCode::AccountDisabled => "account_disabled",
        ErrorCode::RegistrationTokenNeeded => "registration_token_needed",
        ErrorCode::RegistrationTokenRefused => "registration_token_refused",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dashboard shows what exists, and all that exists.
    #[test]
    fn the_dashboard_names_the_metrics_that_exist() {
        let metrics = Metrics::default();
        metrics.refusal(ErrorCode::NotFound);
        metrics.outcome(&ItemOutcome::Repeat);
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/grafana/subrosa-relay.json");
        let dashboard = std::fs::read_to_string(path).unwrap();
        let _: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut shown: Vec<&str> =
            dashboard.split(|c| !is_name(c)).filter(|word| word.starts_with("subrosa_relay_")).collect();
        shown.sort_unstable();
        shown.dedup();
        for name in &shown {
            assert!(
                text.lines().any(|line| line.starts_with(name)),
                "the dashboard shows {name}, which does not exist"
            );
        }
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(shown.iter().any(|word| word.starts_with(name)), "the dashboard does not show {name}");
        }
    }
}
