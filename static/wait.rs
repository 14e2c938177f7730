//! Counts and estimated waits for fans, rounded to their precision.
//!
//! `js/duration.js` does the same in the browser; `js/tests/wording.json` tests both.

use contract::line::WaitEstimate;

use crate::texts::{fill, text};

/// A number with thousands separators.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Visitors ahead. An interpolated number is within 0.5 %, so it is rounded to a step of at least 1
/// %: then the last digit shown is correct.
pub fn ahead(users: u64, exact: bool) -> String {
    if users == 0 {
        return text("count.none").to_owned();
    }
    if exact {
        return count(users);
    }
    fill("count.about", &[("count", &count(roughly(users)))])
}

/// `number` rounded to a step of at least 1 %.
pub(crate) fn roughly(number: u64) -> u64 {
    let step = step(number.div_ceil(100));
    number.saturating_add(step / 2) / step * step
}

/// The smallest of 1, 2, 5, 10, 20, … that is at least `floor`.
fn step(floor: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            if power.saturating_mul(factor) >= floor {
                return power.saturating_mul(factor);
            }
        }
        power = power.saturating_mul(10);
    }
}

/// The range of an estimate, widened to round numbers.
pub fn estimate(estimate: WaitEstimate) -> String {
    match estimate.minutes() {
        (_, 0) => text("wait.underMinute").to_owned(),
        (0, high) => fill("wait.under", &[("high", &minutes(high))]),
        (low, high) if low == high => fill("wait.about", &[("low", &minutes(low))]),
        (low, high @ ..=90) => fill(
            "wait.minutes",
            &[("low", &low.to_string()), ("high", &high.to_string())],
        ),
        (low, high) => fill(
            "wait.range",
            &[("low", &minutes(low)), ("high", &minutes(high))],
        ),
    }
}

fn minutes(minutes: u64) -> String {
    let (h, m) = ((minutes / 60).to_string(), (minutes % 60).to_string());
    match minutes {
        1 => text("wait.oneMinute").to_owned(),
        ..90 => fill("wait.manyMinutes", &[("n", &minutes.to_string())]),
        _ if minutes.is_multiple_of(60) => fill("wait.hours", &[("h", &h)]),
        _ => fill("wait.hoursMinutes", &[("h", &h), ("m", &m)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_exact_is_rounded_to_a_step_of_at_least_one_percent() {
        for (number, rounded) in [
            (7, 7),
            (101, 102),
            (1_234, 1_240),
            (12_345, 12_400),
            (400_210, 400_000),
        ] {
            assert_eq!(roughly(number), rounded);
        }
        assert!(roughly(u64::MAX) > 0);
    }
}
