//! ORDER: the admission log is genuine, and nobody was called past someone who stood before them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contract::room::AdmissionRecord;
use contract::{PlaceId, Timestamp};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::finding::Finding;
use crate::evidence::{Away, Evidence, FanRecord};

/// A fan counts as present this long after the answer to the join: clocks differ a little, and
/// the caller may have chosen before the place was in the line.
const PRESENCE_MARGIN: Duration = Duration::from_secs(1);
/// A fan who comes back within this has lost nothing, even if the store lost everything meanwhile:
/// the line waits a little longer for those who have to be put back.
const AWAY_MAX: Duration = Duration::from_secs(20);

/// The log has no gaps, is in time order, and every hash follows from the one before.
pub(super) fn hash_chain(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("admission log");
    finding.count("records", evidence.log.len());
    let mut hash = [0; 32];
    let mut called_at = Timestamp::from_ms(i64::MIN);
    for (seq, record) in (1u64..).zip(&evidence.log) {
        if record.seq != seq {
            finding.breach(format!("record {} stands where {seq} belongs", record.seq));
            break;
        }
        if record.called_at < called_at {
            finding.breach(format!("record {seq} was called before its predecessor"));
        }
        called_at = record.called_at;
        let next = chain(&hash, record);
        if next.map(|next| HEXLOWER.encode(&next)).as_deref() != Some(record.hash.as_str()) {
            finding.breach(format!("the hash of record {seq} does not follow"));
            break;
        }
        hash = next.unwrap_or(hash);
    }
    let records = evidence.log.len();
    finding.sum_up(format!("{records} records, from the first to the last"))
}

/// The hash that `record` must have after one with the hash `before`.
fn chain(before: &[u8; 32], record: &AdmissionRecord) -> Option<[u8; 32]> {
    let order_key: u64 = record.order_key.parse().ok()?;
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update(record.seq.to_be_bytes());
    hasher.update(order_key.to_be_bytes());
    hasher.update(record.called_at.as_ms().to_be_bytes());
    hasher.update(record.place.as_bytes());
    Some(hasher.finalize().into())
}

/// A call in the log, with its key parsed.
struct Call {
    key: u64,
    at: Timestamp,
    /// Whether the place had been called before: it missed its turn and came back.
    again: bool,
}

/// Of two places present in line, the one with the smaller order key is called first.
///
/// Only fans of this run are judged, since only their presence is known; they are compared with
/// everyone in the log. Who was away for long or missed a turn while others were called is exempt.
pub(super) fn inversions(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("order");
    let calls = calls(&evidence.log);
    let away_max = evidence.times.absence_timeout.min(AWAY_MAX);
    let first_call: HashMap<u64, usize> = calls
        .iter()
        .enumerate()
        .rev()
        .map(|(at, call)| (call.key, at))
        .collect();
    let mut judged: Vec<(usize, usize, u64, &FanRecord)> = Vec::new();
    let mut exempt = 0;
    let mut unknown = 0;
    for fan in &evidence.fans {
        let (Some(joined_at), Some(key)) = (fan.joined_at, fan.order_key) else {
            unknown += 1;
            continue;
        };
        let present_from = joined_at.plus(PRESENCE_MARGIN);
        let begin = calls.partition_point(|call| call.at < present_from);
        let end = first_call.get(&key).copied().unwrap_or(calls.len());
        if begin >= end {
            continue;
        }
        let window = (present_from, calls.get(end).map(|call| call.at));
        if is_exempt(fan, window, away_max) {
            exempt += 1;
        } else {
            judged.push((begin, end, key, fan));
        }
    }
    let compared = judged.len();
    let overtaken = overtaken(&calls, judged);
    for (fan, by) in &overtaken {
        finding.breach(format!(
            "fan {} stood in line when record {}, with a larger order key, was called",
            fan.number,
            by + 1
        ));
    }
    finding.count("inversions", overtaken.len());
    finding.count("fansCompared", compared);
    finding.count("fansExempt", exempt);
    finding.count("fansWithoutKey", unknown);
    finding.sum_up(format!(
        "{} fans overtaken; {compared} compared with the log, {exempt} exempt (away or missed)",
        overtaken.len()
    ))
}

fn calls(log: &[AdmissionRecord]) -> Vec<Call> {
    let mut seen: HashSet<PlaceId> = HashSet::new();
    log.iter()
        .map(|record| Call {
            key: record.order_key.parse().unwrap_or(0),
            at: record.called_at,
            again: !seen.insert(record.place),
        })
        .collect()
}

fn is_exempt(
    fan: &FanRecord,
    (from, until): (Timestamp, Option<Timestamp>),
    away_max: Duration,
) -> bool {
    let overlaps = |away: &&Away| {
        away.until.is_none_or(|end| end >= from) && until.is_none_or(|until| away.from <= until)
    };
    let is_long = |away: &Away| {
        away.until
            .is_none_or(|end| end.since(away.from) >= away_max)
    };
    fan.missed || fan.left_at.is_some() || fan.away.iter().filter(overlaps).any(is_long)
}

/// The fans in whose window (from their presence to their call) a larger key was called, each
/// with the position of such a call.
///
/// Walks the log once and keeps the calls whose key is larger than every later key, so that the
/// largest key since any position is found by binary search.
fn overtaken<'a>(
    calls: &[Call],
    mut judged: Vec<(usize, usize, u64, &'a FanRecord)>,
) -> Vec<(&'a FanRecord, usize)> {
    judged.sort_by_key(|(_, end, _, _)| *end);
    let mut largest: Vec<(usize, u64)> = Vec::new();
    let mut position = 0;
    let mut found = Vec::new();
    for (begin, end, key, fan) in judged {
        for (at, call) in calls.iter().enumerate().take(end).skip(position) {
            if call.again {
                continue;
            }
            while largest.last().is_some_and(|(_, key)| *key <= call.key) {
                largest.pop();
            }
            largest.push((at, call.key));
        }
        position = position.max(end);
        let since = largest.partition_point(|(at, _)| *at < begin);
        if let Some((at, _)) = largest.get(since).filter(|(_, max)| *max > key) {
            found.push((fan, *at));
        }
    }
    found
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole and half numbers are exact")]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{START, evidence, fan, log};
    use super::*;

    fn judge(order: &[u32], fans: Vec<FanRecord>) -> Finding {
        let mut evidence = evidence(fans);
        evidence.log = log(order, 5_000);
        assert_eq!(hash_chain(&evidence).verdict, Verdict::Pass);
        inversions(&evidence)
    }

    #[test]
    fn a_log_in_order_has_no_inversions() {
        let finding = judge(&[1, 2, 3, 4], (1..=5).map(fan).collect());
        assert_eq!(finding.verdict, Verdict::Pass);
        assert_eq!(finding.figures["fansCompared"], 5.0 - 1.0);
    }

    #[test]
    fn a_fan_called_late_is_caught() {
        let finding = judge(&[1, 3, 2, 4], (1..=4).map(fan).collect());
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.figures["inversions"], 1.0);
        assert!(finding.examples[0].starts_with("fan 2 "));
    }

    #[test]
    fn a_fan_never_called_is_caught() {
        let finding = judge(&[1, 3, 4], (1..=4).map(fan).collect());
        assert_eq!(finding.verdict, Verdict::Fail);
    }

    #[test]
    fn a_stranger_in_the_log_can_overtake_too() {
        assert_eq!(judge(&[9, 1], vec![fan(1)]).verdict, Verdict::Fail);
    }

    #[test]
    fn absent_and_missed_fans_are_exempt() {
        let mut away = fan(2);
        away.away = vec![Away {
            from: START.plus(Duration::from_secs(5)),
            until: Some(START.plus(Duration::from_secs(5) + AWAY_MAX)),
        }];
        let mut missed = fan(3);
        missed.missed = true;
        let finding = judge(&[1, 4, 2, 3], vec![fan(1), away, missed, fan(4)]);
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        assert_eq!(finding.figures["fansExempt"], 2.0);
    }

    #[test]
    fn a_fan_who_reconnects_soon_may_not_be_overtaken() {
        let mut away = fan(2);
        away.away = vec![Away {
            from: START.plus(Duration::from_secs(5)),
            until: Some(START.plus(Duration::from_secs(6))),
        }];
        let finding = judge(&[1, 3, 2], vec![fan(1), away, fan(3)]);
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn who_joined_after_the_call_was_not_overtaken() {
        let mut late = fan(2);
        late.joined_at = Some(START.plus(Duration::from_mins(1)));
        assert_eq!(
            judge(&[1, 3, 2], vec![fan(1), late, fan(3)]).verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn a_broken_chain_a_gap_and_a_step_back_are_caught() {
        let mut forged = evidence(Vec::new());
        forged.log = log(&[1, 2, 3], 0);
        forged.log[1].order_key = "77".to_owned();
        assert_eq!(hash_chain(&forged).verdict, Verdict::Fail);

        let mut gap = evidence(Vec::new());
        gap.log = log(&[1, 2, 3], 0);
        gap.log.remove(1);
        assert_eq!(hash_chain(&gap).verdict, Verdict::Fail);

        let mut back = evidence(Vec::new());
        back.log = log(&[1, 2], 0);
        back.log[1].called_at = START.minus(Duration::from_secs(1));
        assert_eq!(hash_chain(&back).verdict, Verdict::Fail);
    }
}
