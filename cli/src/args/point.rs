//! Points in time as people write them.

use jiff::{Timestamp, civil, tz::TimeZone};

use super::duration;
use crate::output::time::now_ms;

/// A point in time as people write it: so long ago (`2h`), a local day or moment, or one with its zone.
pub(crate) fn point(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a time such as 2h, 3d, 2026-11-24 or 2026-11-24T09:30");
    if text.ends_with(|c: char| c.is_ascii_alphabetic() && c != 'Z') {
        let ago = duration(text).map_err(|_| wrong())?;
        return Ok(now_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
    }
    let timestamp = match text.parse::<Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => {
            let moment = text
                .parse::<civil::DateTime>()
                .or_else(|_| text.parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0)))
                .map_err(|_| wrong())?;
            moment.to_zoned(TimeZone::system()).map_err(|_| wrong())?.timestamp()
        }
    };
    u64::try_from(timestamp.as_millisecond()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_read_as_people_write_them() {
        assert_eq!(point("1970-01-02T00:00:00Z"), Ok(86_400_000));
        assert_eq!(point("1970-01-02T01:00:00.5+01:00"), Ok(86_400_500));
        let ago = point("2h").unwrap();
        assert!((now_ms() - ago).abs_diff(7_200_000) < 10_000);
        assert!(point("2026-11-24").unwrap() < point("2026-11-24T09:30").unwrap());
        for text in ["", "yesterday", "2026-13-01", "1969-01-01T00:00:00Z", "2x"] {
            assert!(point(text).is_err(), "{text}");
        }
    }
}
