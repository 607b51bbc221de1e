//! How often things may be done: BURST/PER-MINUTE, both whole numbers.

use super::{setting::Setting, values::rate};

macro_rules! rates {
    ($($key:literal, $field:ident: $help:literal, $reason:literal;)*) => {
        /// A setting for each rate. By client address if nothing else is said; behind a proxy, the one that it names.
        pub(crate) const RATES: &[Setting] = &[$(Setting {
            key: $key,
            value: "BURST/PER-MINUTE",
            help: $help,
            reason: $reason,
            set: |settings, text| {
                settings.config.rates.$field = rate(text)?;
                Ok(())
            },
            show: |settings| {
                let rate = settings.config.rates.$field;
                format!("{}/{}", rate.burst, rate.per_minute)
            },
        },)*];
    };
}

rates! {
    "rate-connect", connect: "New connections of an address",
        "20 a second are enough for an office that comes back after a restart, and for a script without engine.";
    "rate-requests", requests: "HTTP requests of an address, upgrades among them",
        "Each may prove one signature.";
    "rate-register", register: "Registrations of an address",
        "An office that begins together. Each costs signatures, and a row for ever.";
    "rate-resolve", resolve: "Handles looked up by an address",
        "Slow, because walking through names is how handles would be harvested.";
    "rate-devices", devices: "Device lists asked by an address",
        "Asked at each new contact and each newer list.";
    "rate-prekeys", prekeys: "Prekey bundles asked by an address",
        "Asked once for each new session: the largest group at once. One-time keys have shares of their own, whatever this is.";
    "rate-submit", submit: "Envelopes of an address (4 KiB of bodies count like one)",
        "25 messages to the largest group at once, then a thousand a second of a relay that stores ten thousand.";
    "rate-wrong-capabilities", wrong_capabilities: "Envelopes of an address refused for a wrong capability",
        "Honest clients meet a handful in a year.";
    "rate-account", account: "Envelopes stored for one account, whoever sends",
        "A whole mailbox at once, then what a busy group writes.";
    "rate-capability", capability: "Envelopes stored with one capability",
        "Less than the account's, so that a flooding contact leaves room for new ones.";
    "rate-own-requests", own_requests: "Requests of one account's devices: prekeys, lists, links",
        "Each is a synced write.";
    "rate-connection-kib", connection_kib: "KiB read from one connection; faster senders wait",
        "4 MiB a second: a slow core decodes that beside its other work.";
    "rate-address-kib", address_kib: "KiB read from all connections of an address; not behind a proxy",
        "Eight connections at their fastest.";
}
