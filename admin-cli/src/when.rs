//! Instants and spans as people type and read them.

use std::time::Duration;

use contract::Timestamp;

/// The longest span that is accepted: a hundred years, so that sums stay in range.
const SPAN_MAX: Duration = Duration::from_hours(100 * 366 * 24);

/// An instant on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This instant.
    At(Timestamp),
    /// So long after the command runs.
    In(Duration),
    /// Never; clears what was set.
    Never,
}

impl When {
    /// The instant, seen from `now`; `None` for never. Relative times fall on whole seconds.
    pub fn resolve(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::In(span) => {
                let whole = now.as_unix_seconds().saturating_mul(1000);
                Some(Timestamp::from_ms(whole).plus(span))
            }
            Self::Never => None,
        }
    }
}

/// Reads an instant in RFC 3339, which cannot be relative or absent.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    match parse_when(text) {
        Ok(When::At(at)) => Ok(at),
        _ => Err("write a time with its zone such as 2026-11-22T15:30:00+05:30".to_owned()),
    }
}

/// Reads `none`, `now`, `+10m`, or an instant in RFC 3339.
pub fn parse_when(text: &str) -> Result<When, String> {
    match text {
        "none" | "never" => return Ok(When::Never),
        "now" => return Ok(When::In(Duration::ZERO)),
        _ => {}
    }
    if let Some(span) = text.strip_prefix('+') {
        return parse_span(span).map(When::In);
    }
    if let Some(span) = text.strip_prefix('-')
        && parse_span(span).is_ok()
    {
        return Err(format!(
            "{text} lies in the past: write `now`, or the time itself such as 2026-11-22T10:00:00Z"
        ));
    }
    // People separate date and time by a space; RFC 3339 section 5.6 allows it.
    let at = Timestamp::parse(text).or_else(|| Timestamp::parse(&text.replacen(' ', "T", 1)));
    at.map(When::At).ok_or_else(|| {
        "write a time with its zone such as 2026-11-22T10:00:00Z or 2026-11-22T15:30:00+05:30, \
         a relative one such as +10m, `now`, or `none`"
            .to_owned()
    })
}

/// Reads a span such as `90s`, `10m` or `1h30m`. Every number needs its unit: whoever writes `10`
/// may mean minutes.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || "write a span with its unit, such as 90s, 10m, 1h30m or 2d".to_owned();
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest[digits..].chars().next() {
            None => {
                return Err(format!(
                    "`{text}` has no unit: write {count}s for seconds, {count}m for minutes, \
                     {count}h for hours or {count}d for days"
                ));
            }
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let seconds = count.checked_mul(unit).ok_or_else(wrong)?;
        total = total.saturating_add(Duration::from_secs(seconds));
        rest = rest.get(digits + 1..).unwrap_or_default();
    }
    if total > SPAN_MAX {
        return Err("that is longer than a hundred years".to_owned());
    }
    Ok(total)
}

/// Reads a span as whole seconds.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    parse_span(text).map(|span| span.as_secs())
}

/// A span with its two largest units, such as `1 h 30 min`.
pub fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let shown: Vec<String> = units
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if shown.is_empty() {
        "0 s".to_owned()
    } else {
        shown.join(" ")
    }
}

/// An instant to the second, in UTC.
pub fn instant_text(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..19])
}

/// An instant, and how far it is from `now`.
pub fn distance_text(at: Timestamp, now: Timestamp) -> String {
    let instant = instant_text(at);
    if at >= now {
        format!("{instant} (in {})", span_text(at.since(now)))
    } else {
        format!("{instant} ({} ago)", span_text(now.since(at)))
    }
}

/// An instant that has been, and how long ago. One that this machine's clock has yet to reach was
/// just now: the gateway's clock is a little ahead, or the command asked before it was.
pub fn past_text(at: Timestamp, now: Timestamp) -> String {
    if now.since(at).as_secs() > 0 {
        distance_text(at, now)
    } else {
        format!("{} (just now)", instant_text(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_250);

    fn check(text: &str, expected: Option<&str>) {
        let read = parse_when(text).map(|when| when.resolve(NOW).map(|at| at.to_string()));
        assert_eq!(
            read.as_ref().map(|at| at.as_deref()),
            Ok(expected),
            "{text}"
        );
    }

    #[test]
    fn times_are_absolute_or_relative() {
        check("2026-11-22T10:00:00Z", Some("2026-11-22T10:00:00.000Z"));
        check(
            "2026-11-22T15:30:00+05:30",
            Some("2026-11-22T10:00:00.000Z"),
        );
        check("2026-11-22 10:00:00Z", Some("2026-11-22T10:00:00.000Z"));
        check("now", Some("2026-09-21T14:13:20.000Z"));
        check("+10m", Some("2026-09-21T14:23:20.000Z"));
        check("+1h30m", Some("2026-09-21T15:43:20.000Z"));
        check("+2d", Some("2026-09-23T14:13:20.000Z"));
        check("none", None);
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in [
            "",
            "soon",
            "10m",
            "+",
            "+10",
            "+m",
            "+1y",
            "2026-11-22T10:00:00",
            "+9999999d",
        ] {
            assert!(parse_when(text).is_err(), "{text} was accepted");
        }
        assert!(parse_span("99999999999999999999s").is_err());
        assert!(parse_span("1m30").is_err());
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_the_units() {
        for refused in [
            parse_when("+10").unwrap_err(),
            parse_span("10").unwrap_err(),
            parse_span("1m10").unwrap_err(),
        ] {
            assert!(refused.contains("no unit: write 10s"), "{refused}");
        }
        assert_eq!(parse_seconds("0s"), Ok(0));
    }

    #[test]
    fn spans_show_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (5400, "1 h 30 min"),
            (86_400, "1 d"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(span_text(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn instants_tell_their_distance() {
        let at = NOW.plus(Duration::from_mins(12));
        assert_eq!(
            distance_text(at, NOW),
            "2026-09-21 14:25:20 UTC (in 12 min)"
        );
        assert_eq!(
            distance_text(NOW, at),
            "2026-09-21 14:13:20 UTC (12 min ago)"
        );
    }
}
