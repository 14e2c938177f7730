//! REDEEM-ONCE: a call yields one session, however often it is claimed.

use std::collections::HashMap;

use super::finding::Finding;
use crate::evidence::Evidence;

/// Claims sent at once give the same session; all passes of one call name one session; no two
/// fans share a session.
pub(super) fn once(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("redeem once");
    let mut pairs = 0;
    let mut breaches = 0;
    let mut owner: HashMap<&str, u32> = HashMap::new();
    for fan in &evidence.fans {
        for (one, other) in &fan.double_claims {
            pairs += 1;
            if one != other {
                breaches += 1;
                finding.breach(format!("fan {} got two sessions at once", fan.number));
            }
        }
        let mut of_call: HashMap<u64, &str> = HashMap::new();
        for pass in fan.passes.iter().filter(|pass| pass.queue_position > 0) {
            let first = of_call.entry(pass.queue_position).or_insert(&pass.jti);
            if *first != pass.jti {
                breaches += 1;
                finding.breach(format!(
                    "call {} of fan {} yielded two sessions",
                    pass.queue_position, fan.number
                ));
            }
            let first = *owner.entry(&pass.jti).or_insert(fan.number);
            if first != fan.number {
                breaches += 1;
                finding.breach(format!("fans {first} and {} share a session", fan.number));
            }
        }
    }
    finding.count("sessions", owner.len());
    finding.count("claimedTwiceAtOnce", pairs);
    finding.count("breaches", breaches);
    finding.sum_up(format!(
        "{} sessions, {pairs} claimed from two connections at once, {breaches} breaches",
        owner.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{evidence, fan, pass};
    use super::*;
    use crate::evidence::FanRecord;

    fn judge(fans: Vec<FanRecord>) -> Verdict {
        once(&evidence(fans)).verdict
    }

    #[test]
    fn the_same_session_again_is_fine() {
        let mut twice = fan(1);
        twice.passes = vec![pass(1, 1, "s1"), pass(1, 1, "s1")];
        twice.double_claims = vec![("s1".to_owned(), "s1".to_owned())];
        // Missed a turn, came back, was called again.
        let mut again = fan(2);
        again.passes = vec![pass(2, 2, "s2"), pass(2, 3, "s3")];
        assert_eq!(judge(vec![twice, again]), Verdict::Pass);
    }

    #[test]
    fn two_sessions_of_one_call_are_caught() {
        let mut at_once = fan(1);
        at_once.double_claims = vec![("s1".to_owned(), "s2".to_owned())];
        assert_eq!(judge(vec![at_once]), Verdict::Fail);
        let mut later = fan(1);
        later.passes = vec![pass(1, 1, "s1"), pass(1, 1, "s2")];
        assert_eq!(judge(vec![later]), Verdict::Fail);
    }

    #[test]
    fn a_session_of_two_fans_is_caught() {
        let mut one = fan(1);
        one.passes = vec![pass(1, 1, "s1")];
        let mut other = fan(2);
        other.passes = vec![pass(2, 2, "s1")];
        assert_eq!(judge(vec![one, other]), Verdict::Fail);
    }
}
