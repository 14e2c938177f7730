//! Time as a value: [`Timestamp`] in milliseconds and the [`Clock`] that reads it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in UTC, counted in milliseconds since the Unix epoch.
///
/// On the wire it is RFC 3339 with three decimals and `Z`.
/// The range is the years 0000 to 9999, which is what RFC 3339 can write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// First millisecond of the year 0000.
const MS_MIN: i64 = -62_167_219_200_000;
/// Last millisecond of the year 9999.
const MS_MAX: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `ms` milliseconds after the Unix epoch, moved into the valid range.
    pub const fn from_ms(ms: i64) -> Self {
        Self(if ms < MS_MIN {
            MS_MIN
        } else if ms > MS_MAX {
            MS_MAX
        } else {
            ms
        })
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: the unit of JWT claims.
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant plus `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// This instant minus `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_ms(self.0.saturating_sub(ms))
    }

    /// The span from `earlier` to this instant, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The instant that `text` names in RFC 3339, or `None` when it names none.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        let ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
        Self::from_ms(i64::try_from(ms).unwrap_or(MS_MAX))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(at: Timestamp) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).unwrap_or(Self::UNIX_EPOCH)
    }
}

impl Timestamp {
    /// The time as RFC 3339 in UTC with milliseconds, in ASCII.
    pub fn to_ascii(self) -> [u8; 24] {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, mut number: i64, digits: usize| {
            for place in text[at..at + digits].iter_mut().rev() {
                // A remainder of ten is one digit.
                *place = b'0' + u8::try_from(number.rem_euclid(10)).unwrap_or(0);
                number = number.div_euclid(10);
            }
        };
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil(days);
        put(0, year, 4);
        put(5, month, 2);
        put(8, day, 2);
        put(11, ms / 3_600_000, 2);
        put(14, ms / 60_000 % 60, 2);
        put(17, ms / 1000 % 60, 2);
        put(20, ms % 1000, 3);
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The date that is `days` after the Unix epoch in the Gregorian calendar: year, month and day.
///
/// Years are counted from 1 March of the year 0, so that a leap day is the last day of its year. An
/// era is 400 years, after which the calendar repeats.
const fn civil(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is not an RFC 3339 time such as 2026-11-22T10:00:00Z"
            ))
        })
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

/// The source of wall-clock time for decisions. Timers use `tokio::time` instead.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // An unset clock may be before the epoch.
        Timestamp::EPOCH.plus(since_epoch.unwrap_or_default())
    }
}

/// A clock that a test moves by hand. Clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(at.as_ms())))
    }

    /// Moves the clock forward by `span`.
    pub fn advance(&self, span: Duration) {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// A fixed date, so that tests read the same every day.
    fn default() -> Self {
        Self::new(Timestamp::from_ms(1_790_000_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_has_milliseconds_and_reads_back() {
        let at = Timestamp::from_ms(1_795_341_600_123);
        assert_eq!(at.to_string(), "2026-11-22T10:00:00.123Z");
        assert_eq!(Timestamp::parse("2026-11-22T10:00:00.123Z"), Some(at));
        assert_eq!(Timestamp::parse("2026-11-22T15:30:00.123+05:30"), Some(at));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn every_day_is_written_as_the_calendar_has_it() {
        let of_day = |day: i64| {
            let at = Timestamp::from_ms(day * DAY_MS + 3_723_004);
            let date = OffsetDateTime::from(at).date();
            (at, date)
        };
        for day in (MS_MIN / DAY_MS..=MS_MAX / DAY_MS).step_by(13) {
            let (at, date) = of_day(day);
            assert_eq!(at.to_string(), format!("{date}T01:02:03.004Z"));
        }
    }

    #[test]
    fn arithmetic_stays_in_range() {
        let far = Timestamp::from_ms(i64::MAX);
        assert_eq!(far.plus(Duration::MAX), far);
        assert_eq!(Timestamp::EPOCH.since(far), Duration::ZERO);
        assert!(OffsetDateTime::from(far).year() == 9999);
    }
}
