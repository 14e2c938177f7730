//! Times for people, in the time zone of the venue.

use std::time::Duration;

use contract::Timestamp;
use jiff::ZonedDateTime;
use jiff::tz::TimeZone;

use crate::texts::fill;

/// The format of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `Saturday, 28 November 2026, 19:30`
    Full,
    /// `Sat 28 Nov 2026, 19:30`
    Short,
    /// `Saturday, 28 November 2026`
    Day,
    /// `Sat 28 Nov 2026`
    ShortDay,
    /// `19:30`
    Time,
    /// `2026-11-28`, for date fields
    IsoDay,
    /// `2026-11-28T19:30:00+05:30`, for programs
    Iso,
}

/// `at` in `time_zone` (an IANA name).
///
/// In an unknown time zone it is written in UTC, and the text names UTC.
pub fn when(at: Timestamp, time_zone: &str, form: Form) -> String {
    let (zoned, known) = zoned(at, time_zone);
    let pattern = match form {
        Form::Full => "%A, %-d %B %Y, %H:%M",
        Form::Short => "%a %-d %b %Y, %H:%M",
        Form::Day => "%A, %-d %B %Y",
        Form::ShortDay => "%a %-d %b %Y",
        Form::Time => "%H:%M",
        Form::IsoDay => "%Y-%m-%d",
        Form::Iso => "%Y-%m-%dT%H:%M:%S%:z",
    };
    let text = zoned.strftime(pattern).to_string();
    if known || matches!(form, Form::Day | Form::ShortDay | Form::IsoDay | Form::Iso) {
        text
    } else {
        format!("{text} UTC")
    }
}

/// The same in words of another language: `pattern` with `{weekday}`, `{day}`, `{month}` and
/// `{year}`, the names of the days from Monday, and those of the months.
pub(crate) fn when_in(
    at: Timestamp,
    time_zone: &str,
    form: Form,
    pattern: &str,
    weekdays: &[String],
    months: &[String],
) -> String {
    let (zoned, known) = zoned(at, time_zone);
    let time = zoned.strftime("%H:%M").to_string();
    let name = |names: &[String], number: i8| {
        let index = usize::try_from(number - 1).unwrap_or(0);
        names.get(index).cloned().unwrap_or_default()
    };
    let day = pattern
        .replace(
            "{weekday}",
            &name(weekdays, zoned.weekday().to_monday_one_offset()),
        )
        .replace("{day}", &zoned.day().to_string())
        .replace("{month}", &name(months, zoned.month()))
        .replace("{year}", &zoned.year().to_string());
    let text = match form {
        Form::Time => time,
        Form::Day | Form::ShortDay => return day,
        Form::Full | Form::Short => format!("{day}, {time}"),
        Form::IsoDay | Form::Iso => return when(at, time_zone, form),
    };
    if known { text } else { format!("{text} UTC") }
}

/// The abbreviation of `time_zone` at `at`, such as `IST`.
pub fn zone_name(at: Timestamp, time_zone: &str) -> String {
    zoned(at, time_zone).0.strftime("%Z").to_string()
}

fn zoned(at: Timestamp, time_zone: &str) -> (ZonedDateTime, bool) {
    let zone = TimeZone::get(time_zone);
    let known = zone.is_ok();
    // Every `Timestamp` is in the years 0 to 9999, which jiff supports.
    let instant = jiff::Timestamp::from_millisecond(at.as_ms()).unwrap_or_default();
    (
        instant.to_zoned_datetime(zone.unwrap_or(TimeZone::UTC)),
        known,
    )
}

/// A duration for a countdown: its two largest units, such as `3 min 20 s`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let number = |n: u64| n.to_string();
    let (d, h, m, s) = (
        number(seconds / 86_400),
        number(seconds / 3600 % 24),
        number(seconds / 60 % 60),
        number(seconds % 60),
    );
    match seconds {
        86_400.. => fill("span.days", &[("d", &d), ("h", &h)]),
        3600.. => fill("span.hours", &[("h", &h), ("m", &m)]),
        60.. => fill("span.minutes", &[("m", &m), ("s", &s)]),
        _ => fill("span.seconds", &[("s", &s)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_venues() {
        let at = Timestamp::parse("2026-11-28T14:00:00Z").unwrap();
        assert_eq!(
            when(at, "Asia/Kolkata", Form::Full),
            "Saturday, 28 November 2026, 19:30"
        );
        assert_eq!(
            when(at, "Asia/Kolkata", Form::Short),
            "Sat 28 Nov 2026, 19:30"
        );
        assert_eq!(when(at, "America/New_York", Form::Time), "09:00");
        assert_eq!(
            when(at, "Asia/Kolkata", Form::Iso),
            "2026-11-28T19:30:00+05:30"
        );
        assert_eq!(zone_name(at, "Asia/Kolkata"), "IST");
    }

    #[test]
    fn the_day_is_the_venues_and_summer_time_counts() {
        let at = Timestamp::parse("2026-07-01T22:30:00Z").unwrap();
        assert_eq!(when(at, "Europe/Berlin", Form::IsoDay), "2026-07-02");
        assert_eq!(when(at, "Europe/Berlin", Form::Time), "00:30");
    }

    #[test]
    fn an_unknown_zone_is_said_to_be_utc() {
        let at = Timestamp::parse("2026-11-28T14:00:00Z").unwrap();
        assert_eq!(when(at, "Mars/Olympus", Form::Time), "14:00 UTC");
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (200, "3 min 20 s"),
            (3660, "1 h 1 min"),
            (180_000, "2 days 2 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
