//! One of our contact links is shown by somebody: whether they have it, and whether it is used up by that.

use subrosa_crypto::LinkKeys;
use subrosa_wire::AccountId;

use crate::{api::ApiError, content::LinkShown, engine::core::Change, limits::CLOCK_TOLERANCE_MS, store};

/// What came of a link that somebody showed.
pub(super) enum LinkUse {
    /// They have it, and nobody had used it; says in words which one it was.
    Joined(String),
    /// No link of this device.
    Unknown,
    /// One of this device, but expired, revoked, used by somebody else, or seen by them only as a relay sees it.
    Refused,
}

impl Change<'_> {
    /// Uses up one of our links, for whoever proves to have it. The token alone proves nothing: our relay saw it.
    ///
    /// Expired is what was expired when the relay took it (up to clocks that differ): an engine that was off meanwhile
    /// must not drop a joiner whom the relay let in. The relay keeps the token until it expires: whoever used it may
    /// have more under way, made before they have our delivery key. It is bound to them, so nobody else gets in with it.
    pub(super) fn use_invite(
        &mut self,
        shown: &LinkShown,
        account: &AccountId,
        received_ms: u64,
    ) -> Result<LinkUse, ApiError> {
        let token = shown.token.as_bytes();
        let Some(invite) = store::invites::get(self.db, token)? else {
            // Of a link that was revoked nothing is left but that it was ours.
            let revoked = store::invites::is_known(self.db, token)?;
            return Ok(if revoked { LinkUse::Refused } else { LinkUse::Unknown });
        };
        let keys = LinkKeys::derive(invite.secret.as_bytes(), &self.own.address.account.0);
        if !keys.verifies(&account.0, &shown.proof) {
            return Ok(LinkUse::Refused);
        }
        let received_ms = self.received(received_ms);
        let last_ms = invite.expires_ms.saturating_add(CLOCK_TOLERANCE_MS.unsigned_abs());
        if invite.used || last_ms <= received_ms {
            return Ok(LinkUse::Refused);
        }
        store::invites::set_used(self.db, token, account)?;
        Ok(LinkUse::Joined(format!("joined with your link of {}", local_minute(invite.created_ms))))
    }
}

/// `2026-11-24 09:41`, in the time zone of this machine.
fn local_minute(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|time| time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}
