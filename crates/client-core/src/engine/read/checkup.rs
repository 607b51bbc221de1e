//! `doctor` from the inside: what only the engine knows of the account's health. Changes nothing.

use std::path::Path;

use subrosa_wire::{
    limits::{LOW_ONE_TIME_EC, LOW_ONE_TIME_KEM},
    link::is_onion,
};

use crate::{
    api::{ApiError, Check, Connection, OutboxListParams},
    engine::core::{
        Core,
        copies::{KEEP, OTHER_COPY},
        link::LinkState,
    },
    keep::Keep,
    keys::StoreKey,
    limits::{CLOCK_TOLERANCE_MS, DAY_MS, LARGE_STORE_BYTES, MAX_QUARANTINED, MAX_REWRITTEN_BYTES, SPARE_PAGES},
    store::{
        self,
        restores::{self, AskState, Stage},
        retention,
        space::{self, Space},
    },
};

/// How much room the store takes and what bounds it, on a connection of its own.
pub(in crate::engine) fn space_check(path: &Path, key: &StoreKey, kept: &Kept, now_ms: u64) -> Check {
    let look = || -> Result<Check, store::StoreError> {
        let db = store::peek(path, key.as_bytes())?;
        let (messages, oldest_ms) = space::messages(&db)?;
        Ok(Filling { space: space::of(&db)?, messages, oldest_ms }.check(kept, now_ms))
    };
    look().unwrap_or_else(|error| {
        let ApiError { message, hint, .. } = error.into();
        Check::fail("space", message, hint.unwrap_or_else(|| store::GO_BACK.to_owned()))
    })
}

/// What bounds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Kept {
    /// The setting for all chats.
    setting: Keep,
    /// What of it counts for this account.
    agreed: Keep,
    /// Chats that have a time of their own.
    own: u64,
    /// Messages that are older than the setting and wait for the person's word.
    waiting: u64,
}

/// What fills the store.
struct Filling {
    space: Space,
    messages: u64,
    oldest_ms: Option<u64>,
}

impl Filling {
    fn check(&self, kept: &Kept, now_ms: u64) -> Check {
        const NAME: &str = "space";
        let Space { bytes, free_bytes, gives_back } = self.space;
        let mut text = format!(
            "the store takes {}: {} message{}",
            amount(bytes),
            self.messages,
            if self.messages == 1 { "" } else { "s" }
        );
        if let Some(oldest_ms) = self.oldest_ms {
            text += &format!(", the oldest {} days old", now_ms.saturating_sub(oldest_ms) / DAY_MS);
        }
        text += &match kept.agreed {
            Keep::ForEver => "; kept for ever".to_owned(),
            keep => format!("; kept for {keep}"),
        };
        match kept.own {
            0 => {}
            1 => text += " (one chat has a time of its own)",
            own => text += &format!(" ({own} chats have times of their own)"),
        }
        if free_bytes > SPARE_PAGES * store::PAGE_BYTES as u64 {
            let then = if gives_back { "will be given back" } else { "is used again, but not given back" };
            text += &format!("; {} is free and {then}", amount(free_bytes));
        }
        if kept.waiting > 0 {
            text += &format!(
                "; the settings keep messages for {}, and {} older ones stay until you agree",
                kept.setting, kept.waiting
            );
            return Check::warn(NAME, text, format!("subrosa config set keep {}", kept.setting));
        }
        if bytes > LARGE_STORE_BYTES {
            let fix = match kept.agreed {
                Keep::ForEver => "subrosa config set keep 1y, or for one chat: subrosa chat set CHAT --keep 90d",
                Keep::For(_) => "a shorter time: subrosa config set keep 90d, or subrosa chat set CHAT --keep 30d",
            };
            return Check::warn(NAME, text, fix);
        }
        if !gives_back && bytes <= MAX_REWRITTEN_BYTES {
            text += "; it could not be rewritten to give room back";
            return Check::warn(NAME, text, "free as much space on the disk (df -h), then end and start subrosa again");
        }
        Check::fine(NAME, text)
    }
}

/// Bytes as people count them.
fn amount(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1_000, "kB"));
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

/// Rows of the outbox that are looked at for a reason.
const OUTBOX_LOOK: u32 = 50;

/// Names that are listed before the rest is counted.
const NAMES_SHOWN: usize = 5;

fn shortened(names: &[String]) -> String {
    match names.len().checked_sub(NAMES_SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} others", names[..NAMES_SHOWN].join(", ")),
    }
}

/// Reads the whole store on a connection of its own.
pub(in crate::engine) fn store_check(path: &Path, key: &StoreKey) -> Check {
    let read = store::open(path, key.as_bytes(), false).and_then(|db| store::check(&db));
    match read {
        Ok(None) => Check::fine("store", "every page and index is whole"),
        Ok(Some(problem)) => Check::fail("store", format!("the store is damaged: {problem}"), store::GO_BACK),
        Err(error) => {
            let ApiError { message, hint, .. } = error.into();
            Check::fail("store", message, hint.unwrap_or_else(|| store::GO_BACK.to_owned()))
        }
    }
}

impl Core {
    /// What keeps the way to the relay from being read and taken over.
    fn protection(&self) -> String {
        let relay = &self.own.relay;
        match self.own.pin {
            Some(pin) => format!("TLS; the relay is known by its key, {}…", hex::encode(&pin[..8])),
            None if relay.scheme() == "https" => "TLS; an authority vouches for the relay's certificate".to_owned(),
            None if is_onion(relay) => "none on top of Tor, which encrypts to the onion service".to_owned(),
            None => "none: the relay is on this machine".to_owned(),
        }
    }

    /// What bounds the store.
    pub(in crate::engine) fn kept(&self) -> Result<Kept, ApiError> {
        let agreed = retention::agreed(&self.db)?;
        let setting = self.keep_setting().unwrap_or(Keep::ForEver);
        let waiting = if setting.is_at_least(agreed) { 0 } else { self.would_go(None, setting)? };
        Ok(Kept { setting, agreed, own: retention::own_times(&self.db)?, waiting })
    }

    /// Everything but the store's own checks.
    pub(in crate::engine) fn checkup(&self, link: &LinkState) -> Result<Vec<Check>, ApiError> {
        let relay = &self.own.relay;
        let online = link.connection == Connection::Online;
        let why = link.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        let hint = link.error.as_ref().and_then(|error| error.hint.clone());
        let mut checks = vec![match link.connection {
            Connection::Online => Check::fine("relay", format!("{relay} is reached and knows this device")),
            Connection::Displaced => Check::fail("relay", OTHER_COPY, KEEP),
            Connection::Removed => Check::fail("relay", why, hint.unwrap_or_default()),
            Connection::Connecting | Connection::Offline => Check::fail(
                "relay",
                format!("{relay} is not reached: {}", if why.is_empty() { "no answer yet" } else { &why }),
                hint.unwrap_or_else(|| "check the network, then: subrosa status".to_owned()),
            ),
        }];
        checks.push(Check::fine("tls", self.protection()));
        let (epoch, _) = store::account::mailbox_state(&self.db)?;
        checks.push(match (epoch, store::account::last_sync(&self.db)?) {
            (Some(epoch), Some(_)) => {
                Check::fine("mailbox", format!("fetched; life {} of the relay's store", hex::encode(&epoch.0[..4])))
            }
            _ => Check::warn("mailbox", "it was never fetched", "subrosa receive"),
        });
        checks.push(match self.clock_off_ms {
            None => Check::warn("clock", "not compared: the relay was not reached", "subrosa doctor, once it is"),
            Some(off) if off.abs() <= CLOCK_TOLERANCE_MS => Check::fine("clock", "agrees with the relay's"),
            Some(off) => Check::fail(
                "clock",
                format!("{} minutes off the relay's", off / 60_000),
                "set this machine's clock: timedatectl set-ntp true",
            ),
        });
        let tasks = store::tasks::count(&self.db)?;
        checks.push(match self.prekeys_left {
            Some(left)
                if left.one_time_ec as usize >= LOW_ONE_TIME_EC && left.one_time_kem as usize >= LOW_ONE_TIME_KEM =>
            {
                Check::fine(
                    "prekeys",
                    format!("the relay had {} and {} one-time keys", left.one_time_ec, left.one_time_kem),
                )
            }
            Some(left) if tasks == 0 || online => Check::fine(
                "prekeys",
                format!(
                    "the relay had {} and {} one-time keys; new ones are sent",
                    left.one_time_ec, left.one_time_kem
                ),
            ),
            Some(_) => Check::warn(
                "prekeys",
                "few are left, and new ones wait to be sent",
                "subrosa receive, once the relay is reached",
            ),
            None => Check::warn("prekeys", "not known: the relay was not reached", "subrosa doctor, once it is"),
        });
        checks.push(self.outbox_check()?);
        checks.extend(self.missing_check()?);
        Ok(checks)
    }

    /// What this copy lacks, what could not be read, what others lack.
    fn missing_check(&self) -> Result<Vec<Check>, ApiError> {
        let mut checks = Vec::new();
        let rows = restores::all(&self.db, None)?;
        match restores::current(&self.db)?.stage {
            Stage::None => {}
            Stage::Collecting => checks.push(Check::warn(
                "restore",
                "this copy lacks what came after it; everybody is asked once the mailbox is fetched",
                "subrosa receive",
            )),
            Stage::Asked => {
                let silent: Vec<_> = rows.iter().filter(|row| row.state == AskState::Asked).collect();
                let came: u64 = rows.iter().map(|row| row.came).sum();
                let mut names = Vec::new();
                for account in silent.iter().map(|row| row.device.account) {
                    let name = store::contacts::name(&self.db, &account)?
                        .unwrap_or_else(|| "another device of yours".to_owned());
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                checks.push(Check::warn(
                    "restore",
                    format!(
                        "{came} messages that this copy lacked came again; no answer yet from {} (for {} messages or receipts that could not be read)",
                        shortened(&names),
                        silent.iter().map(|row| row.unread).sum::<u64>()
                    ),
                    "nothing to do: they answer when they are connected",
                ));
            }
        }
        let (again, devices) = store::again::waiting(&self.db)?;
        if again > 0 {
            checks.push(Check::fine(
                "sent again",
                format!("{again} contents are on their way again to {devices} devices that lost them"),
            ));
        }
        let unread = store::retries::quarantined(&self.db)?;
        if unread > 0 {
            let message =
                format!("{unread} of at most {MAX_QUARANTINED} that came and could not be read wait to be sent again");
            let cause = store::retries::newest_reason(&self.db)?.map(|cause| format!(" (the last: {cause})"));
            checks.push(Check::warn(
                "unreadable",
                message + &cause.unwrap_or_default(),
                "nothing to do: their authors are asked, three times a day at most",
            ));
        }
        Ok(checks)
    }

    fn outbox_check(&self) -> Result<Check, ApiError> {
        let waiting = self.outbox_list(&OutboxListParams { limit: Some(OUTBOX_LOOK) })?;
        Ok(match (waiting.total, waiting.entries.iter().find(|entry| entry.error.is_some())) {
            (0, _) => Check::fine("outbox", "empty"),
            (total, None) => Check::fine("outbox", format!("{total} on their way")),
            (total, Some(stuck)) => Check::warn(
                "outbox",
                format!("{total} wait; to {}: {}", stuck.name, stuck.error.as_deref().unwrap_or_default()),
                "subrosa outbox list, then: subrosa outbox retry",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CheckLevel;

    const NOW_MS: u64 = 400 * DAY_MS;
    const FOR_EVER: Kept = Kept { setting: Keep::ForEver, agreed: Keep::ForEver, own: 0, waiting: 0 };
    const YEAR: Keep = Keep::For(365 * DAY_MS);

    fn filling(bytes: u64, free_bytes: u64, gives_back: bool) -> Filling {
        Filling { space: Space { bytes, free_bytes, gives_back }, messages: 40_000, oldest_ms: Some(88 * DAY_MS + 5) }
    }

    #[test]
    fn the_store_says_what_it_takes_and_what_bounds_it() {
        let small = filling(56_700_000, 4_096, true).check(&FOR_EVER, NOW_MS);
        assert_eq!((small.level, small.fix), (CheckLevel::Ok, None));
        assert_eq!(small.message, "the store takes 56.7 MB: 40000 messages, the oldest 311 days old; kept for ever");

        let empty = Filling { messages: 0, oldest_ms: None, ..filling(900_000, 0, true) };
        let bounded = Kept { setting: YEAR, agreed: YEAR, own: 2, waiting: 0 };
        let text = empty.check(&bounded, NOW_MS).message;
        assert_eq!(text, "the store takes 900.0 kB: 0 messages; kept for 1y (2 chats have times of their own)");
        let free = filling(56_700_000, 12_345_678, true).check(&bounded, NOW_MS).message;
        assert!(free.ends_with("times of their own); 12.3 MB is free and will be given back"), "{free}");
    }

    #[test]
    fn a_large_store_and_one_that_gives_nothing_back_are_told_of_with_what_to_do() {
        let large = filling(LARGE_STORE_BYTES + 1, 0, true);
        let check = large.check(&FOR_EVER, NOW_MS);
        assert_eq!((check.ok, check.level), (true, CheckLevel::Warn));
        assert!(
            check.message.starts_with("the store takes 1.0 GB") && check.fix.unwrap().contains("config set keep 1y")
        );
        let check = large.check(&Kept { setting: YEAR, agreed: YEAR, ..FOR_EVER }, NOW_MS);
        assert!(check.fix.unwrap().starts_with("a shorter time"));

        let waiting = Kept { setting: YEAR, waiting: 12, ..FOR_EVER };
        let check = filling(1_000_000, 0, true).check(&waiting, NOW_MS);
        assert_eq!((check.level, check.fix.as_deref()), (CheckLevel::Warn, Some("subrosa config set keep 1y")));
        assert!(check.message.ends_with("keep messages for 1y, and 12 older ones stay until you agree"), "{check:?}");

        let stuck = filling(56_700_000, 12_345_678, false).check(&FOR_EVER, NOW_MS);
        assert_eq!(stuck.level, CheckLevel::Warn);
        assert!(stuck.message.contains("12.3 MB is free and is used again, but not given back"), "{stuck:?}");
        assert!(stuck.fix.unwrap().starts_with("free as much space"));
    }
}
