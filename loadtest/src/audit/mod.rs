//! The audit: from what a run has seen, whether the line and the shop kept their promises.
//!
//! Every check is a pure function of [`Evidence`]. A check that lacks its evidence says that it
//! was skipped and why; it never passes unseen.

mod arrivals;
mod cap;
mod charges;
mod counters;
mod entries;
mod finding;
mod logged;
mod money;
mod order;
mod places;
mod rate;
mod redeem;
#[cfg(test)]
mod sample;
mod seats;
mod server;
mod told;

use contract::invariants::{
    CAP, ENTRIES, Invariant, LOGGED_FIRST, NO_LOSS, ONE_CHARGE, ONE_SEAT, ORDER, PLACE_ONCE, RATE,
    REDEEM_ONCE,
};

use crate::evidence::Evidence;

pub(crate) use finding::{Finding, Verdict};

/// A check, and the promises that it is about.
type Check = (fn(&Evidence) -> Finding, &'static [Invariant]);

/// Every check.
const CHECKS: [Check; 20] = [
    (places::lost, &[NO_LOSS]),
    (places::doubled, &[PLACE_ONCE]),
    (order::hash_chain, &[LOGGED_FIRST]),
    (order::inversions, &[ORDER, NO_LOSS]),
    (arrivals::in_order, &[ORDER, NO_LOSS]),
    (told::everyone, &[NO_LOSS]),
    (told::once, &[PLACE_ONCE]),
    (rate::never_faster, &[RATE]),
    (rate::never_slower, &[RATE]),
    (rate::in_batches, &[RATE]),
    (entries::never_faster, &[ENTRIES]),
    (cap::never_over, &[CAP]),
    (logged::every_pass, &[LOGGED_FIRST]),
    (redeem::once, &[REDEEM_ONCE]),
    (seats::never_sold_twice, &[ONE_SEAT]),
    (seats::holds_whole_and_exclusive, &[ONE_SEAT]),
    (seats::map_agrees, &[ONE_SEAT]),
    (charges::never_twice, &[ONE_CHARGE]),
    (money::adds_up, &[ONE_CHARGE]),
    (server::clean, &[ONE_SEAT, ONE_CHARGE]),
];

/// Runs every check.
pub(crate) fn audit(evidence: &Evidence) -> Vec<Finding> {
    let found = CHECKS.iter();
    found
        .map(|(check, promises)| check(evidence).about(promises))
        .collect()
}

/// Whether the provider still keeps money that it should not: a refund may be under way, so the
/// books are worth another look.
pub(crate) fn unsettled(evidence: &Evidence) -> bool {
    charges::unsettled(evidence) || money::under_way(evidence) || server::unclean(evidence)
}

/// Whether no check failed. In a `strict` run one about seats or money that was skipped has failed.
pub(crate) fn kept(findings: &[Finding], strict: bool) -> bool {
    let is_needed = |finding: &Finding| {
        let needed = [ONE_SEAT.name, ONE_CHARGE.name];
        strict
            && finding
                .promises
                .iter()
                .any(|promise| needed.contains(promise))
    };
    findings.iter().all(|finding| match finding.verdict {
        Verdict::Pass => true,
        Verdict::Skipped => !is_needed(finding),
        Verdict::Fail => false,
    })
}

#[cfg(test)]
mod tests {
    use contract::invariants::{
        ADMIT_ONCE, ALL, BOUNDED, DRAW, GATE, LOG_WHOLE, PRESENT, STANDBY, TOLD,
    };

    use super::*;

    #[test]
    fn what_was_skipped_about_money_fails_a_strict_run() {
        let skipped =
            |about: &[Invariant]| vec![Finding::skipped("a check", "no evidence").about(about)];
        for (findings, strict, is_kept) in [
            (skipped(&[ONE_CHARGE]), true, false),
            (skipped(&[ONE_SEAT]), true, false),
            (skipped(&[RATE]), true, true),
            (skipped(&[ONE_CHARGE]), false, true),
        ] {
            assert_eq!(kept(&findings, strict), is_kept, "{findings:?}");
        }
    }

    #[test]
    fn every_promise_that_fans_can_see_broken_is_judged() {
        let is_judged = |promise| CHECKS.iter().any(|(_, about)| about.contains(promise));
        let left: Vec<_> = ALL.iter().filter(|it| !is_judged(it)).collect();
        assert_eq!(
            left,
            [
                &STANDBY,
                &PRESENT,
                &DRAW,
                &GATE,
                &TOLD,
                &LOG_WHOLE,
                &ADMIT_ONCE,
                &BOUNDED
            ]
        );
    }
}
