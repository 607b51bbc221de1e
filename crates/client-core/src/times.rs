//! Lengths of time as people write them.

use std::time::Duration;

use crate::limits::DAY_MS;

/// Longest time that is understood: everything longer is a typing mistake.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// `500ms`, `20s`, `5m`, `1h`, `7d`, `4w`, `1y` (365 days), or seconds without a unit.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("{text:?} is not a time such as 500ms, 20s, 5m, 1h, 7d or 1y");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        "y" => 365 * DAY_MS,
        _ => return Err(wrong()),
    };
    let duration = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)?;
    if duration > MAX_DURATION { Err(format!("{text:?} is too long a time")) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("5", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("1y", 31_536_000_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "s", "-1s", "1.5h", "5 s", "99999999999999999999d", "18446744073709551615d", "100000d", "9999999y"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
