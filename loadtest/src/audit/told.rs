//! NO-LOSS: whoever is called learns of it, and is called once.

use std::collections::HashMap;
use std::time::Duration;

use contract::Timestamp;
use contract::room::AdmissionRecord;

use super::finding::Finding;
use crate::evidence::{Evidence, FanRecord};

/// A fan who has listened for so long since the call must know of it: a connection to a gateway
/// that is cut off or stopped is noticed by its silence, and the next one tells.
const SOCKET_TOLD_MAX: Duration = Duration::from_secs(25);
/// The same for those who ask, at most every 30 s while they wait.
const POLL_TOLD_MAX: Duration = Duration::from_secs(45);
/// Clocks of fans and gateways differ a little.
const MARGIN: Duration = Duration::from_secs(1);

/// Every call in the log was told to its fan, if the fan listened.
pub(super) fn everyone(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("calls told");
    let window = evidence.times.claim_window;
    let (mut judged, mut stranded) = (0, 0);
    let mut delays: Vec<Duration> = Vec::new();
    for (fan, calls) in called_fans(evidence) {
        for call in calls {
            judged += 1;
            if let Some(told) = told_of(fan, call) {
                delays.push(told.since(call.called_at));
            } else if let Some(listened) = listened(fan, call.called_at, window) {
                stranded += 1;
                finding.breach(format!(
                    "fan {} was never told of call {} at {}, and listened for {:.0} s after it",
                    fan.number,
                    call.seq,
                    call.called_at,
                    listened.as_secs_f64()
                ));
            }
        }
    }
    delays.sort_unstable();
    let at = |share: usize| {
        let index = (delays.len() * share / 1000).min(delays.len().saturating_sub(1));
        delays.get(index).copied().unwrap_or_default().as_secs_f64()
    };
    finding.count("calls", judged);
    finding.count("stranded", stranded);
    finding.measure("toldAfterP50Seconds", at(500));
    finding.measure("toldAfterP99Seconds", at(990));
    finding.measure("toldAfterMaxSeconds", at(1000));
    finding.sum_up(format!(
        "{stranded} of {judged} calls never told; told after {:.1} s (p50), {:.1} s (p99), {:.1} s \
         (longest)",
        at(500),
        at(990),
        at(1000)
    ))
}

/// No place was called again while its call could still be claimed, or after it was claimed.
pub(super) fn once(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("called once");
    let window = evidence.times.claim_window;
    let mut last: HashMap<_, &AdmissionRecord> = HashMap::new();
    let claimed: HashMap<u64, u32> = evidence
        .fans
        .iter()
        .flat_map(|fan| fan.claimed.iter().map(|seq| (*seq, fan.number)))
        .collect();
    let mut again = 0;
    let mut doubled = 0;
    for record in &evidence.log {
        let Some(former) = last.insert(record.place, record) else {
            continue;
        };
        again += 1;
        let after = record.called_at.since(former.called_at);
        if after.saturating_add(MARGIN) < window {
            doubled += 1;
            finding.breach(format!(
                "one place is call {} and, {:.1} s later, call {}",
                former.seq,
                after.as_secs_f64(),
                record.seq
            ));
        } else if let Some(fan) = claimed.get(&former.seq) {
            doubled += 1;
            finding.breach(format!(
                "fan {fan} claimed call {} and was called again as {}",
                former.seq, record.seq
            ));
        }
    }
    finding.count("again", again);
    finding.count("doubled", doubled);
    finding.sum_up(format!(
        "{} calls, {again} of places that missed a turn, {doubled} that should not be",
        evidence.log.len()
    ))
}

/// The fans that stand in the log, each with their calls.
fn called_fans(evidence: &Evidence) -> impl Iterator<Item = (&FanRecord, Vec<&AdmissionRecord>)> {
    let mut by_key: HashMap<u64, Vec<&AdmissionRecord>> = HashMap::new();
    for record in &evidence.log {
        if let Ok(key) = record.order_key.parse() {
            by_key.entry(key).or_default().push(record);
        }
    }
    let fans = evidence.fans.iter();
    fans.filter_map(move |fan| Some((fan, by_key.get(&fan.order_key?)?.clone())))
}

/// When the fan was told of this call, if ever.
fn told_of(fan: &FanRecord, call: &AdmissionRecord) -> Option<Timestamp> {
    let from = call.called_at.minus(MARGIN);
    fan.told.iter().copied().find(|at| *at >= from)
}

/// The longest time in which the fan listened without a break after `called_at` and before the
/// call was over, if the fan had to learn of the call in it.
fn listened(fan: &FanRecord, called_at: Timestamp, window: Duration) -> Option<Duration> {
    let over = called_at.plus(window);
    let joined = fan.joined_at.filter(|at| *at < over)?;
    let gone = fan.left_at.unwrap_or(over).min(over);
    let mut from = called_at.max(joined);
    let mut longest = Duration::ZERO;
    for away in &fan.away {
        longest = longest.max(away.from.min(gone).since(from));
        from = from.max(away.until.unwrap_or(over));
    }
    longest = longest.max(gone.since(from));
    let told_max = if fan.on_socket {
        SOCKET_TOLD_MAX
    } else {
        POLL_TOLD_MAX
    };
    (longest >= told_max).then_some(longest)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{START, evidence, fan, log_at};
    use super::*;
    use crate::evidence::Away;

    fn second(second: u64) -> Timestamp {
        START.plus(Duration::from_secs(second))
    }

    /// What is found of fan 1, who was called after ten seconds.
    fn judge(change: impl Fn(&mut FanRecord)) -> Verdict {
        let mut called = fan(1);
        change(&mut called);
        let mut evidence = evidence(vec![called]);
        evidence.log = log_at(&[(1, 10_000)]);
        everyone(&evidence).verdict
    }

    #[test]
    fn a_call_that_nobody_tells_is_caught() {
        assert_eq!(judge(|_| {}), Verdict::Fail);
        assert_eq!(judge(|fan| fan.told = vec![second(11)]), Verdict::Pass);
        // An earlier call that was missed is not this one.
        assert_eq!(judge(|fan| fan.told = vec![second(5)]), Verdict::Fail);
    }

    #[test]
    fn who_does_not_listen_cannot_be_told() {
        let away = |from, until: Option<u64>| Away {
            from: second(from),
            until: until.map(second),
        };
        assert_eq!(judge(|fan| fan.away = vec![away(3, None)]), Verdict::Pass);
        let now_and_then = |fan: &mut FanRecord| {
            fan.away = vec![away(20, Some(30)), away(50, Some(60))];
        };
        assert_eq!(judge(now_and_then), Verdict::Pass);
        let back = |fan: &mut FanRecord| fan.away = vec![away(9, Some(30))];
        assert_eq!(judge(back), Verdict::Fail);
        assert_eq!(judge(|fan| fan.left_at = Some(second(12))), Verdict::Pass);
    }

    #[test]
    fn a_place_called_again_is_caught_unless_its_turn_was_missed() {
        let judge = |again_ms, claimed: &[u64]| {
            let mut called = fan(1);
            called.claimed = claimed.to_vec();
            let mut evidence = evidence(vec![called]);
            evidence.log = log_at(&[(1, 10_000), (1, again_ms)]);
            once(&evidence).verdict
        };
        assert_eq!(judge(20_000, &[]), Verdict::Fail);
        assert_eq!(judge(90_000, &[]), Verdict::Pass);
        assert_eq!(judge(90_000, &[1]), Verdict::Fail);
        assert_eq!(judge(90_000, &[2]), Verdict::Pass);
    }
}
