//! LOGGED-FIRST: no pass without its line in the admission log.

use std::collections::HashMap;

use super::finding::Finding;
use crate::evidence::Evidence;

/// Every pass a fan received stands in the admission log, under its ordinal and place.
///
/// A room that does not queue lets everyone through without calling them; those passes have
/// the ordinal 0.
pub(super) fn every_pass(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("passes logged");
    let log: HashMap<u64, _> = evidence.log.iter().map(|it| (it.seq, it.place)).collect();
    let mut passes = 0;
    let mut missing = 0;
    for fan in &evidence.fans {
        for pass in fan.passes.iter().filter(|pass| pass.queue_position > 0) {
            passes += 1;
            match log.get(&pass.queue_position) {
                Some(place) if *place == pass.sub => {}
                found => {
                    missing += 1;
                    let there = if found.is_some() {
                        "another place"
                    } else {
                        "nothing"
                    };
                    finding.breach(format!(
                        "fan {} has a pass with ordinal {}, where the log has {there}",
                        fan.number, pass.queue_position
                    ));
                }
            }
        }
    }
    finding.count("passes", passes);
    finding.count("notLogged", missing);
    finding.sum_up(format!("{missing} of {passes} passes not in the log"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{evidence, fan, log, pass};
    use super::*;

    #[test]
    fn logged_passes_and_passes_of_an_idle_room_are_fine() {
        let mut called = fan(1);
        called.passes = vec![pass(1, 1, "s1")];
        let mut through = fan(2);
        through.passes = vec![pass(2, 0, "s2")];
        let mut evidence = evidence(vec![called, through]);
        evidence.log = log(&[1], 0);
        assert_eq!(every_pass(&evidence).verdict, Verdict::Pass);
    }

    #[test]
    fn a_pass_ahead_of_the_log_or_of_another_place_is_caught() {
        for stray in [pass(1, 2, "s1"), pass(2, 1, "s1")] {
            let mut called = fan(1);
            called.passes = vec![stray];
            let mut evidence = evidence(vec![called]);
            evidence.log = log(&[1], 0);
            assert_eq!(every_pass(&evidence).verdict, Verdict::Fail);
        }
    }
}
