//! The relay's one view of wall-clock time.

pub(crate) use subrosa_ambient::now_ms;

/// Milliseconds of a day.
pub(crate) const MS_PER_DAY: u64 = 24 * 3600 * 1000;

/// Days since 1970.
pub(crate) fn today() -> u32 {
    u32::try_from(now_ms() / MS_PER_DAY).unwrap_or(u32::MAX)
}

/// The date of a day since 1970, as 2026-11-24. By Howard Hinnant's `civil_from_days`.
pub(crate) fn date(day: u64) -> String {
    // A year has 365.2425 days, and an era of 400 years starts on a 1st of March.
    let shifted = day.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A moment in UTC, as 2026-11-24 16:22.
pub(crate) fn minute(ms: u64) -> String {
    let minutes = ms / 60_000;
    let of_day = minutes % (24 * 60);
    format!("{} {:02}:{:02}", date(minutes / (24 * 60)), of_day / 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (day, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_781, "2026-11-24"),
            (47_540, "2100-02-28"),
        ] {
            assert_eq!(date(day), text);
        }
        assert_eq!(minute(1_795_537_379_000), "2026-11-24 16:22");
    }
}
