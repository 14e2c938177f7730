//! ORDER and NO-LOSS: whoever joined later stands behind.

use contract::Timestamp;

use super::finding::Finding;
use super::places::LIVE_KEYS_FROM;
use crate::evidence::{Evidence, FanRecord};

/// A fan with a key from arrival.
struct Arrival<'a> {
    fan: &'a FanRecord,
    asked_at: Timestamp,
    joined_at: Timestamp,
    key: u64,
}

/// No fan who asked for a place after another had one got a smaller key.
///
/// Drawn keys are not judged: their order is the draw's. Neither is who missed a turn or left.
pub(super) fn in_order(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("order of arrival");
    let mut by_asking: Vec<Arrival<'_>> = evidence.fans.iter().filter_map(arrival).collect();
    let mut by_joining: Vec<(Timestamp, u64, u32)> = by_asking
        .iter()
        .map(|it| (it.joined_at, it.key, it.fan.number))
        .collect();
    by_asking.sort_by_key(|it| it.asked_at);
    by_joining.sort_unstable();
    let mut joined = by_joining.into_iter().peekable();
    // The largest key that anyone had by now, and whose it is.
    let mut largest = (0, 0);
    let mut ahead = 0;
    for it in &by_asking {
        while let Some((_, key, number)) = joined.next_if(|(at, ..)| *at < it.asked_at) {
            largest = largest.max((key, number));
        }
        if it.key < largest.0 {
            ahead += 1;
            finding.breach(format!(
                "fan {} asked at {} and stands before fan {}, who had a place by then",
                it.fan.number, it.asked_at, largest.1
            ));
        }
    }
    finding.count("fansCompared", by_asking.len());
    finding.count("ahead", ahead);
    finding.sum_up(format!(
        "{ahead} of {} fans stand before someone who had joined when they asked",
        by_asking.len()
    ))
}

fn arrival(fan: &FanRecord) -> Option<Arrival<'_>> {
    let key = fan.former_keys.first().copied().or(fan.order_key)?;
    let is_live = key >= LIVE_KEYS_FROM;
    (is_live && !fan.missed && fan.left_at.is_none()).then_some(Arrival {
        fan,
        asked_at: fan.asked_at?,
        joined_at: fan.joined_at?,
        key,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Verdict;
    use super::super::sample::{START, evidence, fan};
    use super::*;

    /// Fan `number`, who asked and joined at these seconds.
    fn joined(number: u32, asked: u64, joined: u64) -> FanRecord {
        let mut fan = fan(number);
        fan.asked_at = Some(START.plus(Duration::from_secs(asked)));
        fan.joined_at = Some(START.plus(Duration::from_secs(joined)));
        fan
    }

    fn judge(fans: Vec<FanRecord>) -> Verdict {
        in_order(&evidence(fans)).verdict
    }

    #[test]
    fn who_joined_later_stands_behind() {
        assert_eq!(judge(vec![joined(1, 0, 1), joined(2, 2, 3)]), Verdict::Pass);
        assert_eq!(judge(vec![joined(2, 0, 1), joined(1, 2, 3)]), Verdict::Fail);
    }

    #[test]
    fn of_two_who_asked_at_the_same_time_either_may_be_first() {
        assert_eq!(judge(vec![joined(2, 0, 4), joined(1, 2, 3)]), Verdict::Pass);
    }

    #[test]
    fn a_missed_turn_loses_the_place() {
        let mut missed = joined(2, 0, 1);
        missed.missed = true;
        assert_eq!(judge(vec![missed, joined(1, 2, 3)]), Verdict::Pass);
    }
}
