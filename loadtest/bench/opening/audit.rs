//! Whether everyone who joined is in line once, and was called in order and at the rate.

use std::time::Duration;

use contract::Timestamp;
use contract::room::AdmissionRecord;

use super::callers::Calls;
use super::joiners::Joined;

/// Windows in which calls are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// How much of a window's calls may come on top of the rate: what one tick has too many.
const BURST_SHARE: f64 = 0.05;

/// What the audit found.
pub(super) struct Judged {
    /// In words, each a promise that was broken.
    pub(super) breaches: Vec<String>,
    /// Calls of the slowest and of the busiest ten seconds.
    pub(super) calls_in_ten_seconds: (u64, u64),
}

/// Judges an opening of `fans` fans that called `per_minute`.
pub(super) fn audit(
    joined: Joined,
    fans: u64,
    log: &[AdmissionRecord],
    calls: &Calls,
    per_minute: u64,
) -> Judged {
    let mut breaches = Vec::new();
    let mut keys = joined.keys;
    keys.sort_unstable();
    if keys.len() as u64 != fans {
        breaches.push(format!("{} of {fans} fans have a place", keys.len()));
    }
    let doubled = keys.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if doubled > 0 {
        breaches.push(format!("{doubled} order keys were given twice"));
    }
    let out_of_turn = log
        .iter()
        .zip(&keys)
        .filter(|(record, key)| record.order_key != key.to_string())
        .count();
    if out_of_turn > 0 || log.len() > keys.len() {
        breaches.push(format!(
            "{out_of_turn} of {} calls were out of turn",
            log.len()
        ));
    }
    if calls.unknown > 0 || calls.claimed == 0 {
        let Calls { claimed, unknown } = calls;
        breaches.push(format!(
            "{claimed} claims, and {unknown} calls nobody knew of"
        ));
    }
    let times: Vec<_> = log.iter().map(|record| record.called_at).collect();
    let calls_in_ten_seconds = windows(&times);
    #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
    let most = (per_minute / 6) as f64 * (1.0 + BURST_SHARE);
    #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
    let busiest = calls_in_ten_seconds.1 as f64;
    if busiest > most {
        breaches.push(format!(
            "{busiest} calls in ten seconds, and {most} are allowed"
        ));
    }
    Judged {
        breaches,
        calls_in_ten_seconds,
    }
}

/// Fewest and most of `times`, which ascend, in any full window of ten seconds from the first.
fn windows(times: &[Timestamp]) -> (u64, u64) {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return (0, 0);
    };
    let mut counts = Vec::new();
    let mut from = *first;
    while from.plus(WINDOW) <= *last {
        let until = from.plus(WINDOW);
        let before = |at: Timestamp| times.partition_point(|time| *time < at);
        counts.push((before(until) - before(from)) as u64);
        from = until;
    }
    let fewest = counts.iter().min().copied().unwrap_or_default();
    (fewest, counts.iter().max().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use contract::PlaceId;

    use super::*;
    use crate::pace::Latencies;

    fn joined(keys: &[u64]) -> Joined {
        Joined {
            keys: keys.to_vec(),
            first: Vec::new(),
            latencies: Latencies::new().unwrap(),
            repeated: 0,
        }
    }

    fn called(key: u64, at_ms: i64) -> AdmissionRecord {
        AdmissionRecord {
            seq: 1,
            place: PlaceId::from_bytes([0; 16]),
            order_key: key.to_string(),
            called_at: Timestamp::from_ms(at_ms),
            hash: String::new(),
        }
    }

    const CLAIMED: Calls = Calls {
        claimed: 2,
        unknown: 0,
    };

    #[test]
    fn a_clean_opening_has_no_breaches() {
        let log = [called(1, 0), called(2, 500)];
        let judged = audit(joined(&[3, 2, 1]), 3, &log, &CLAIMED, 60);
        assert_eq!(judged.breaches, Vec::<String>::new());
    }

    #[test]
    fn each_broken_promise_is_told() {
        let breaches = |keys: &[u64], log: &[AdmissionRecord], calls: &Calls| {
            audit(joined(keys), 3, log, calls, 60).breaches.len()
        };
        let log = [called(1, 0)];
        assert_eq!(breaches(&[1, 2], &log, &CLAIMED), 1, "lost");
        assert_eq!(breaches(&[1, 2, 2], &log, &CLAIMED), 1, "doubled");
        assert_eq!(
            breaches(&[1, 2, 3], &[called(2, 0)], &CLAIMED),
            1,
            "overtaken"
        );
        let unknown = Calls {
            claimed: 1,
            unknown: 1,
        };
        assert_eq!(breaches(&[1, 2, 3], &log, &unknown), 1, "unknown");
        let many: Vec<_> = (0..12)
            .map(|n| called(n, 1))
            .chain([called(12, 10_001)])
            .collect();
        let keys: Vec<_> = (0..13).collect();
        let judged = audit(joined(&keys), 13, &many, &CLAIMED, 60);
        assert_eq!(judged.breaches.len(), 1, "too fast");
        assert_eq!(judged.calls_in_ten_seconds, (12, 12));
    }
}
