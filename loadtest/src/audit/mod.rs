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

use crate::evidence::Evidence;

pub(crate) use finding::{Finding, Verdict};

/// Runs every check.
pub(crate) fn audit(evidence: &Evidence) -> Vec<Finding> {
    vec![
        places::lost(evidence),
        places::doubled(evidence),
        order::hash_chain(evidence),
        order::inversions(evidence),
        arrivals::in_order(evidence),
        told::everyone(evidence),
        told::once(evidence),
        rate::never_faster(evidence),
        rate::never_slower(evidence),
        entries::never_faster(evidence),
        cap::never_over(evidence),
        logged::every_pass(evidence),
        redeem::once(evidence),
        seats::never_sold_twice(evidence),
        seats::holds_whole_and_exclusive(evidence),
        seats::map_agrees(evidence),
        charges::never_twice(evidence),
        money::adds_up(evidence),
        server::clean(evidence),
    ]
}

/// Whether the provider still keeps money that it should not: a refund may be under way, so the
/// books are worth another look.
pub(crate) fn unsettled(evidence: &Evidence) -> bool {
    charges::unsettled(evidence) || money::under_way(evidence)
}

/// Whether no check failed.
pub(crate) fn kept(findings: &[Finding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.verdict != Verdict::Fail)
}
