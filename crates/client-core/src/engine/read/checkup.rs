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
    keys::StoreKey,
    limits::{CLOCK_TOLERANCE_MS, MAX_QUARANTINED},
    store::{
        self,
        restores::{self, AskState, Stage},
    },
};

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

    /// Everything but the store's own check.
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
                        "{came} messages that this copy lacked came again; no answer yet from {} (for {} messages that could not be read)",
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
