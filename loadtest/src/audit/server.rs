//! The server's own check of its invariants.

use super::finding::Finding;
use crate::evidence::Evidence;

/// The server finds nothing broken.
pub(super) fn clean(evidence: &Evidence) -> Finding {
    let check = match &evidence.server {
        Ok(check) => check,
        Err(why) => return Finding::skipped("server invariants", why),
    };
    let mut finding = Finding::new("server invariants");
    for breach in &check.breaches {
        finding.breach(breach);
    }
    finding.count("breaches", check.breaches.len());
    finding.sum_up(format!(
        "{} breaches found by the server",
        check.breaches.len()
    ))
}

/// Whether the server has still to say that it is clean, so that it is worth asking again.
pub(super) fn unclean(evidence: &Evidence) -> bool {
    !evidence
        .server
        .as_ref()
        .is_ok_and(|check| check.breaches.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::evidence;
    use super::*;
    use crate::evidence::ServerCheck;

    #[test]
    fn a_clean_answer_passes_a_breach_fails_and_silence_is_told() {
        for (server, verdict) in [
            (Ok(Vec::new()), Verdict::Pass),
            (Ok(vec!["I02: seat A1".to_owned()]), Verdict::Fail),
            (Err("not found".to_owned()), Verdict::Skipped),
        ] {
            let mut evidence = evidence(Vec::new());
            evidence.server = server.map(|breaches| ServerCheck { breaches });
            assert_eq!(clean(&evidence).verdict, verdict);
        }
    }
}
