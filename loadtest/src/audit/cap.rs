//! CAP: never more sessions than the room allows.

use super::finding::Finding;
use crate::evidence::Evidence;

/// Called and active fans together never exceed `totalActiveUsers`.
///
/// A manager may lower the cap below the sessions there are; from then on they must not grow.
pub(super) fn never_over(evidence: &Evidence) -> Finding {
    if evidence.samples.is_empty() {
        return Finding::skipped("cap", "no figures of the room were read");
    }
    let mut finding = Finding::new("cap");
    let mut over = 0;
    let mut before = (0, 0);
    for sample in &evidence.samples {
        let inside = sample.called + sample.active;
        // Whoever was rightly inside under a higher cap may stay.
        let (allowed_before, inside_before): (u64, u64) = before;
        let allowed = sample
            .total_active_users
            .max(allowed_before.min(inside_before));
        before = (allowed, inside);
        if inside > allowed {
            over += 1;
            finding.breach(format!(
                "{} called and {} active at {}, cap {}",
                sample.called, sample.active, sample.updated_at, sample.total_active_users
            ));
        }
    }
    let most = evidence.samples.iter().map(|s| s.called + s.active).max();
    let most = most.unwrap_or(0);
    finding.count("samples", evidence.samples.len());
    finding.count("samplesOver", over);
    finding.count("mostInside", usize::try_from(most).unwrap_or(usize::MAX));
    finding.sum_up(format!(
        "at most {most} inside at once, in {} samples",
        evidence.samples.len()
    ))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole and half numbers are exact")]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{evidence, stats};
    use super::*;

    fn judge(inside_and_cap: &[(u64, u64)]) -> Finding {
        let mut evidence = evidence(Vec::new());
        evidence.samples = (0u64..)
            .zip(inside_and_cap)
            .map(|(second, (inside, cap))| {
                let mut sample = stats(second);
                sample.called = inside / 2;
                sample.active = inside - inside / 2;
                sample.total_active_users = *cap;
                sample
            })
            .collect();
        never_over(&evidence)
    }

    #[test]
    fn a_full_room_is_fine_and_one_more_is_not() {
        assert_eq!(judge(&[(9, 10), (10, 10)]).verdict, Verdict::Pass);
        let finding = judge(&[(9, 10), (11, 10), (12, 10)]);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.figures["samplesOver"], 2.0);
    }

    #[test]
    fn a_lowered_cap_empties_the_room_but_lets_nobody_in() {
        assert_eq!(
            judge(&[(10, 10), (9, 5), (7, 5), (5, 5)]).verdict,
            Verdict::Pass
        );
        assert_eq!(
            judge(&[(10, 10), (9, 5), (7, 5), (8, 5)]).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn without_samples_nothing_is_claimed() {
        assert_eq!(judge(&[]).verdict, Verdict::Skipped);
    }
}
