//! Times for people: local, short, and pure (the clock and the zone are handed in).

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};

/// What time it is, and where.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    pub(crate) now_ms: u64,
    pub(crate) zone: TimeZone,
}

impl Clock {
    pub(crate) fn local(&self, ms: u64) -> Option<Zoned> {
        let timestamp = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        Some(timestamp.to_zoned(self.zone.clone()))
    }

    /// The local day of a moment.
    pub(crate) fn day(&self, ms: u64) -> Option<Date> {
        self.local(ms).map(|time| time.date())
    }

    /// `09:41`.
    pub(crate) fn minute(&self, ms: u64) -> String {
        self.local(ms).map_or_else(|| "?".to_owned(), |time| time.strftime("%H:%M").to_string())
    }

    /// For the list of chats: `09:41` today, `Mon` in the last week, `3 Nov` this year, else `2025`.
    pub(crate) fn brief(&self, ms: u64) -> String {
        let (Some(time), Some(today)) = (self.local(ms), self.day(self.now_ms)) else { return "?".to_owned() };
        match days_between(time.date(), today) {
            i32::MIN..=0 => time.strftime("%H:%M").to_string(),
            1 => "Yest.".to_owned(),
            2..=6 => time.strftime("%a").to_string(),
            _ if time.year() == today.year() => time.strftime("%-d %b").to_string(),
            _ => time.strftime("%Y").to_string(),
        }
    }

    /// For the line between days.
    pub(crate) fn day_title(&self, day: Date) -> String {
        let Some(today) = self.day(self.now_ms) else { return day.to_string() };
        match days_between(day, today) {
            0 => "Today".to_owned(),
            1 => "Yesterday".to_owned(),
            2..=6 => day.strftime("%A").to_string(),
            _ if day.year() == today.year() => day.strftime("%A, %-d %B").to_string(),
            _ => day.strftime("%-d %B %Y").to_string(),
        }
    }

    /// For cards: `2026-11-23 09:41:07`, with the day left out today.
    pub(crate) fn exact(&self, ms: u64) -> String {
        let Some(time) = self.local(ms) else { return "?".to_owned() };
        let form = if self.day(self.now_ms) == Some(time.date()) { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        time.strftime(form).to_string()
    }

    /// For what was or will be within days: `17:41` today, else `Mon 30 Nov 17:41`, with the year in another one.
    pub(crate) fn near(&self, ms: u64) -> String {
        let (Some(time), Some(today)) = (self.local(ms), self.day(self.now_ms)) else { return "?".to_owned() };
        let form = match time.date() {
            day if day == today => "%H:%M",
            day if day.year() == today.year() => "%a %-d %b %H:%M",
            _ => "%-d %b %Y %H:%M",
        };
        time.strftime(form).to_string()
    }

    /// When "today" ends: then what is on the screen is no longer right.
    pub(crate) fn next_midnight_ms(&self) -> Option<u64> {
        let tomorrow = self.day(self.now_ms)?.tomorrow().ok()?;
        let begin = tomorrow.to_zoned(self.zone.clone()).ok()?;
        u64::try_from(begin.timestamp().as_millisecond()).ok()
    }
}

fn days_between(day: Date, today: Date) -> i32 {
    day.until(today).map_or(i32::MAX, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_as_people_name_them() {
        // Tuesday, 24 November 2026, 12:00 UTC.
        let noon = 1_795_521_600_000;
        let clock = Clock { now_ms: noon, zone: TimeZone::UTC };
        let day = 24 * 3600 * 1_000;
        for (ago, brief, title) in [
            (0, "12:00", "Today"),
            (1, "Yest.", "Yesterday"),
            (3, "Sat", "Saturday"),
            (30, "25 Oct", "Sunday, 25 October"),
            (400, "2025", "20 October 2025"),
        ] {
            assert_eq!(clock.brief(noon - ago * day), brief);
            assert_eq!(clock.day_title(clock.day(noon - ago * day).unwrap()), title);
        }
        assert_eq!(clock.minute(noon + 60_000), "12:01");
        assert_eq!(clock.exact(noon), "12:00:00");
        assert_eq!(clock.next_midnight_ms(), Some(noon + day / 2));
        assert_eq!(clock.minute(u64::MAX), "?");
    }
}
