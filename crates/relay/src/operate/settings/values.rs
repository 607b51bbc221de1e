//! Texts of values: numbers, sizes, times.

use std::time::Duration;

use crate::Rate;

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// true or false.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is not true or false".to_owned()),
    }
}

/// A rate: 600/60.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let read = || {
        let (burst, per_minute) = text.split_once('/')?;
        Some(Rate { burst: burst.trim().parse().ok()?, per_minute: per_minute.trim().parse().ok()? })
    };
    read().ok_or_else(|| "is not BURST/PER-MINUTE, for example 600/60".to_owned())
}

/// A whole number.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "is not a number, or too large".to_owned())
}

/// Bytes: 4096, 64KiB, 128MiB, 2GiB.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "is not a size: 4096, 64KiB, 128MiB or 2GiB".to_owned();
    let (digits, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(wrong)
}

pub(super) fn show_size(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// A time: 500ms, 30s, 5m, 12h, 30d.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a time: 500ms, 30s, 5m, 12h or 30d".to_owned();
    // Longer ones first: "ms" also ends with "s".
    let units = [("ms", 1u64), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (digits, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit))).ok_or_else(wrong)?;
    let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
    count.checked_mul(*unit).map(Duration::from_millis).ok_or_else(wrong)
}

pub(super) fn show_time(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        _ if ms == 0 || !ms.is_multiple_of(1_000) => format!("{ms}ms"),
        _ if !ms.is_multiple_of(60_000) => format!("{}s", ms / 1_000),
        _ if !ms.is_multiple_of(3_600_000) => format!("{}m", ms / 60_000),
        _ if !ms.is_multiple_of(86_400_000) => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// The value itself, or an empty text for none.
pub(super) fn show_option<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(String::new, ToString::to_string)
}

/// An empty text is none.
pub(super) fn optional<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_back() {
        for text in ["4096KiB", "1GiB", "127"] {
            assert_eq!(size(&show_size(size(text).unwrap())), size(text));
        }
        assert_eq!((show_size(128 << 20), show_size(0)), ("128MiB".to_owned(), "0".to_owned()));
        for text in ["500ms", "30s", "5m", "12h", "30d", "90s"] {
            assert_eq!(show_time(time(text).unwrap()), text);
        }
        for text in ["", "s", "5", "-1s", "99999999999999999d", "1.5h"] {
            assert!(time(text).is_err(), "{text}");
            assert!(text == "5" || size(text).is_err(), "{text}");
        }
        assert!(size("99999999999GiB").is_err());
    }
}
