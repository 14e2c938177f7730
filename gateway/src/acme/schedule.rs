//! When a certificate is ordered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long one waits after attempts that failed.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After the first; the time doubles with each further one.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Pace {
    /// Five attempts in the first hour at most, which is what public authorities allow; then up to
    /// four a day.
    pub const PUBLIC: Self = Self {
        first: Duration::from_mins(3),
        longest: Duration::from_hours(6),
    };
}

/// From when to when a certificate is valid, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its beginning.
    pub begins_at: Duration,
    /// Its end.
    pub ends_at: Duration,
}

/// Attempts that failed since the last certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// Before then nothing is tried, in milliseconds since 1970.
    pub not_before_ms: u64,
}

impl Failures {
    /// After one more, of which the authority said that nothing is to be tried for `asked_for`.
    /// `share`, from 0 to 1, spreads gateways that failed together.
    #[must_use]
    pub fn one_more(
        self,
        now: Duration,
        asked_for: Option<Duration>,
        pace: Pace,
        share: f64,
    ) -> Self {
        let count = self.count.saturating_add(1);
        let doubled = pace.first.saturating_mul(2_u32.saturating_pow(self.count));
        let wait = doubled.min(pace.longest);
        // Never sooner than the authority says.
        let wait = wait.max(asked_for.unwrap_or_default());
        let wait = wait + wait.mul_f64(share / 4.0);
        Self {
            count,
            not_before_ms: u64::try_from((now + wait).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// When to order, at `now` or later, with the certificate that there is for what is wanted. A third
/// of its time is left then, or a little less: `share`, from 0 to 1, spreads the installations that
/// began together.
pub fn order_at(have: Option<Validity>, failures: Failures, now: Duration, share: f64) -> Duration {
    let wanted_at = have.map_or(now, |have| {
        let lifetime = have.ends_at.saturating_sub(have.begins_at);
        let left = (lifetime / 3).saturating_sub((lifetime / 30).mul_f64(share));
        have.ends_at.saturating_sub(left)
    });
    wanted_at
        .max(Duration::from_millis(failures.not_before_ms))
        .max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_time_is_left() {
        let now = 20_000 * DAY;
        let have = Some(Validity {
            begins_at: now,
            ends_at: now + 90 * DAY,
        });
        let none = Failures::default();
        assert_eq!(order_at(have, none, now, 0.0), now + 60 * DAY);
        assert_eq!(order_at(have, none, now, 1.0), now + 63 * DAY);
        let late = now + 80 * DAY;
        assert_eq!(order_at(have, none, late, 0.5), late);
        assert_eq!(order_at(None, none, now, 0.5), now);
    }

    #[test]
    fn attempts_become_rarer_and_obey_the_authority() {
        let pace = Pace::PUBLIC;
        let began = 20_000 * DAY;
        let (mut now, mut failures) = (began, Failures::default());
        let mut in_an_hour = 0;
        for _ in 0..20 {
            in_an_hour += u32::from(now < began + Duration::from_hours(1));
            failures = failures.one_more(now, None, pace, 0.0);
            let next = order_at(None, failures, now, 0.0);
            assert!(next >= now + pace.first && next <= now + pace.longest);
            now = next;
        }
        assert_eq!(in_an_hour, 5);
        assert_eq!(failures.count, 20);
        let day = Some(DAY);
        let asked = failures.one_more(now, day, pace, 0.0);
        assert_eq!(order_at(None, asked, now, 0.0), now + DAY);
        let spread = Failures::default().one_more(now, None, pace, 1.0);
        assert_eq!(
            order_at(None, spread, now, 0.0),
            now + pace.first + pace.first / 4
        );
        let many = Failures {
            count: u32::MAX,
            not_before_ms: 0,
        };
        let still = many.one_more(now, None, pace, 0.0);
        assert_eq!(order_at(None, still, now, 0.0), now + pace.longest);
    }
}
