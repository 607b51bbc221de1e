//! How long messages are kept on this device: for ever, or until they are so old. A chat has a time of its own, or follows that of
//! all chats (the setting `keep`).

use std::{fmt, time::Duration};

use crate::{
    limits::{DAY_MS, MIN_KEEP, millis},
    times::duration,
};

/// How long messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// For ever: `off`.
    ForEver,
    /// So many milliseconds: `90d`, `1y`.
    For(u64),
}

impl Keep {
    /// As the store has it: 0 is for ever.
    pub(crate) const fn ms(self) -> u64 {
        match self {
            Self::ForEver => 0,
            Self::For(ms) => ms,
        }
    }

    /// See [`Keep::ms`].
    pub(crate) const fn from_ms(ms: u64) -> Self {
        if ms == 0 { Self::ForEver } else { Self::For(ms) }
    }

    /// Whether nothing goes by this that would stay by the other.
    pub(crate) const fn is_at_least(self, other: Self) -> bool {
        match (self, other) {
            (Self::ForEver, _) => true,
            (Self::For(_), Self::ForEver) => false,
            (Self::For(ours), Self::For(theirs)) => ours >= theirs,
        }
    }
}

/// As people write it, in the largest unit that it is whole in.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::For(ms) = *self else { return f.write_str("off") };
        let units =
            [(365 * DAY_MS, "y"), (7 * DAY_MS, "w"), (DAY_MS, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let (unit_ms, unit) = units.into_iter().find(|(unit_ms, _)| ms % unit_ms == 0).unwrap_or((1, "ms"));
        write!(f, "{}{unit}", ms / unit_ms)
    }
}

/// A time for all chats: `90d`, `1y`, `off`.
///
/// # Errors
/// What is wrong with the text.
pub fn for_all(text: &str) -> Result<Keep, String> {
    let text = text.trim().to_ascii_lowercase();
    if text == "off" {
        return Ok(Keep::ForEver);
    }
    let time = duration(&text).map_err(|error| format!("{error}, and not off"))?;
    if time < MIN_KEEP {
        return Err(match time {
            Duration::ZERO => "it would keep nothing; for ever is off".to_owned(),
            _ => format!("{text:?} is too short: messages are kept for a day (1d) or longer"),
        });
    }
    Ok(Keep::For(millis(time)))
}

/// A time for one chat: as [`for_all`], or `default` (`None`), with which it follows that of all.
///
/// # Errors
/// What is wrong with the text.
pub fn for_chat(text: &str) -> Result<Option<Keep>, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "default" => Ok(None),
        text => for_all(text)
            .map(Some)
            .map_err(|error| if error.ends_with("not off") { format!("{error} or default") } else { error }),
    }
}

/// How long the messages of a chat are kept that has a time of its own, in words: the same in every interface.
#[must_use]
pub fn words(keep: &str) -> String {
    if keep == "off" { "kept for ever".to_owned() } else { format!("kept for {keep}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for (text, days, written) in [
            ("1d", 1, "1d"),
            ("24h", 1, "1d"),
            ("90d", 90, "90d"),
            ("8w", 56, "8w"),
            ("14d", 14, "2w"),
            (" 1Y ", 365, "1y"),
        ] {
            let keep = for_all(text).unwrap();
            assert_eq!((keep, keep.to_string().as_str()), (Keep::For(days * DAY_MS), written), "{text}");
            assert_eq!(for_all(&keep.to_string()), Ok(keep));
        }
        assert_eq!(for_all("36h").unwrap().to_string(), "36h");
        assert_eq!((for_all("off"), for_chat("off")), (Ok(Keep::ForEver), Ok(Some(Keep::ForEver))));
        assert_eq!(for_chat("default"), Ok(None));
        for text in ["0", "1s", "23h", "-1", "9999999y", "", "never", "1.5y"] {
            assert!(for_all(text).is_err() && for_chat(text).is_err(), "{text}");
        }
        assert!(for_all("default").is_err());
        assert!(for_chat("1s").unwrap_err().contains("a day (1d) or longer"));
        assert!(for_chat("-1").unwrap_err().ends_with("not off or default"));
    }

    #[test]
    fn for_ever_is_the_longest() {
        let (day, year) = (Keep::For(DAY_MS), Keep::For(365 * DAY_MS));
        assert!(Keep::ForEver.is_at_least(year) && year.is_at_least(day) && day.is_at_least(day));
        assert!(!year.is_at_least(Keep::ForEver) && !day.is_at_least(year));
        assert!([Keep::ForEver, day].into_iter().all(|keep| Keep::from_ms(keep.ms()) == keep));
    }
}
