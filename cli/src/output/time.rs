//! Times: local for people, milliseconds since 1970 everywhere else.

use jiff::{Timestamp, tz::TimeZone};

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn local(ms: u64) -> Option<jiff::Zoned> {
    Some(Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?.to_zoned(TimeZone::system()))
}

/// `09:41` today, `2026-11-23 09:41` on other days.
pub(crate) fn short(ms: u64) -> String {
    match (local(ms), local(now_ms())) {
        (Some(time), Some(now)) if time.date() == now.date() => time.strftime("%H:%M").to_string(),
        (Some(time), _) => time.strftime("%Y-%m-%d %H:%M").to_string(),
        (None, _) => "?".to_owned(),
    }
}

/// `2026-11-23 09:41:07`.
pub(crate) fn long(ms: u64) -> String {
    local(ms).map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `2026-11-23 09:41 +01:00`.
pub(crate) fn zoned(ms: u64) -> String {
    local(ms).map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M %:z").to_string())
}

/// `09:41:07.123`.
pub(crate) fn precise(ms: u64) -> String {
    local(ms).map_or_else(|| "?".to_owned(), |time| time.strftime("%H:%M:%S.%3f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_shown_as_unknown() {
        assert_eq!(short(u64::MAX), "?");
        assert_eq!(long(u64::MAX), "?");
    }
}
