//! ONE-CHARGE: captured money ends as exactly one booking or a full refund.

use std::collections::HashMap;

use contract::booking::SeatStatus;
use contract::{HoldId, SeatId};

use super::finding::{Finding, Verdict};
use crate::evidence::{Evidence, HoldEnd, HoldSeen, Intent};

/// What the provider took and kept for one hold.
#[derive(Default)]
struct Charged {
    net_minor: i64,
    /// Payments that took money and have not given all of it back.
    kept: usize,
}

/// For each hold of a fan, what the provider kept is the booking's amount, or nothing.
pub(super) fn never_twice(evidence: &Evidence) -> Finding {
    let ledger = match &evidence.ledger {
        Ok(ledger) => ledger,
        Err(why) => return Finding::skipped("double charges", why),
    };
    let mut finding = Finding::new("double charges");
    let holds: Vec<&HoldSeen> = evidence.fans.iter().flat_map(|fan| &fan.holds).collect();
    let charged = charged(ledger, &holds);
    let mut wrong = 0;
    let mut paid = 0;
    for hold in &holds {
        let (net, kept) = charged
            .get(&hold.hold_id)
            .map_or((0, 0), |it| (it.net_minor, it.kept));
        paid += usize::from(net > 0);
        if let Some(why) = objection(hold, net, kept).or_else(|| for_nothing(hold, net, evidence)) {
            wrong += 1;
            finding.breach(format!("{}: {why}", hold.hold_id));
        }
    }
    let strange = strange(ledger, &holds, evidence);
    for intent in &strange {
        finding.breach(format!(
            "{}: money kept for a hold that nobody was granted",
            intent.id
        ));
    }
    finding.count("unknown", strange.len());
    finding.count("holds", holds.len());
    finding.count("paid", paid);
    finding.count("payments", ledger.len());
    finding.count("wrong", wrong);
    finding.sum_up(format!(
        "{} holds, {paid} paid for, {wrong} charged wrongly, {} payments of unknown holds",
        holds.len(),
        strange.len()
    ))
}

/// Whether the provider still keeps money for holds that became nothing: a refund may be under
/// way, so the ledger is worth another look.
pub(super) fn unsettled(evidence: &Evidence) -> bool {
    never_twice(evidence).verdict == Verdict::Fail
}

fn charged(ledger: &[Intent], holds: &[&HoldSeen]) -> HashMap<HoldId, Charged> {
    let by_intent: HashMap<&str, HoldId> = holds
        .iter()
        .flat_map(|hold| hold.intents.iter().map(|id| (id.as_str(), hold.hold_id)))
        .collect();
    let mut charged: HashMap<HoldId, Charged> = HashMap::new();
    for intent in ledger {
        // What the provider was told counts first: it also knows payments no fan saw.
        let hold = intent
            .hold
            .or_else(|| by_intent.get(intent.id.as_str()).copied());
        let Some(hold) = hold else {
            continue;
        };
        let net = intent.captured_minor - intent.refunded_minor;
        let of_hold = charged.entry(hold).or_default();
        of_hold.net_minor += net;
        of_hold.kept += usize::from(net != 0);
    }
    charged
}

/// Payments whose money is kept for holds that no fan was granted. Where others buy too, theirs.
fn strange<'a>(ledger: &'a [Intent], holds: &[&HoldSeen], evidence: &Evidence) -> Vec<&'a Intent> {
    if !evidence.shop.as_ref().is_some_and(|shop| shop.sole_buyers) {
        return Vec::new();
    }
    let is_known = |intent: &Intent| {
        holds
            .iter()
            .any(|hold| intent.hold == Some(hold.hold_id) || hold.intents.contains(&intent.id))
    };
    let kept = ledger
        .iter()
        .filter(|intent| intent.captured_minor != intent.refunded_minor);
    kept.filter(|intent| !is_known(intent)).collect()
}

/// Money was kept for a hold whose outcome its fan never learnt, and its seats are not sold.
fn for_nothing(hold: &HoldSeen, net: i64, evidence: &Evidence) -> Option<String> {
    let shop = evidence.shop.as_ref()?;
    let is_in_doubt = matches!(hold.end, HoldEnd::Open | HoldEnd::Failed);
    let is_sold = |seat: &SeatId| {
        let shown = shop.after.seats.iter().find(|shown| shown.seat_id == *seat);
        shown.is_some_and(|shown| shown.status == SeatStatus::Booked)
    };
    let unsold = hold.seats.iter().find(|seat| !is_sold(seat))?;
    (is_in_doubt && net > 0).then(|| format!("{net} kept, and seat {unsold} is not sold"))
}

fn objection(hold: &HoldSeen, net: i64, kept: usize) -> Option<String> {
    if kept > 1 {
        return Some(format!("{kept} payments kept, {net} in all"));
    }
    let fits = match &hold.end {
        HoldEnd::Booked(booking) => match &hold.cancelled {
            None => net == booking.amount_minor,
            Some(cancelled) => match cancelled.goes {
                Some(goes) => net == booking.amount_minor - goes.back_minor,
                None => (0..=booking.amount_minor).contains(&net),
            },
        },
        HoldEnd::Released(_) => net == 0,
        // The outcome was open when the fan last asked: bought in the end, or not.
        HoldEnd::Open | HoldEnd::Failed => net == 0 || net == hold.amount_minor,
    };
    (!fits).then(|| format!("{net} kept for a hold of {}", hold.amount_minor))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{booked, evidence, fan, hold, shop};
    use super::*;
    use crate::evidence::{CancelSeen, Goes};

    fn intent(id: &str, captured_minor: i64, refunded_minor: i64) -> Intent {
        Intent {
            id: id.to_owned(),
            hold: None,
            captured_minor,
            refunded_minor,
        }
    }

    fn judge(hold: HoldSeen, ledger: Vec<Intent>) -> Finding {
        let mut fan = fan(1);
        fan.holds = vec![hold];
        let mut evidence = evidence(vec![fan]);
        evidence.ledger = Ok(ledger);
        never_twice(&evidence)
    }

    /// A booking of 1000, paid by `pi_1` or `pi_1b`.
    fn sale() -> HoldSeen {
        let mut hold = booked(1, &["A1"]);
        hold.intents = vec!["pi_1".to_owned(), "pi_1b".to_owned()];
        hold
    }

    #[test]
    fn one_charge_for_one_booking_passes() {
        let declined_first = vec![intent("pi_1", 0, 0), intent("pi_1b", 1000, 0)];
        assert_eq!(judge(sale(), declined_first).verdict, Verdict::Pass);
        let refunded_first = vec![intent("pi_1", 1000, 1000), intent("pi_1b", 1000, 0)];
        assert_eq!(judge(sale(), refunded_first).verdict, Verdict::Pass);
    }

    #[test]
    fn two_charges_too_much_and_nothing_at_all_are_caught() {
        for ledger in [
            vec![intent("pi_1", 1000, 0), intent("pi_1b", 1000, 0)],
            vec![intent("pi_1", 2000, 0)],
            vec![intent("pi_1", 600, 0), intent("pi_1b", 400, 0)],
            vec![intent("pi_1", 1000, 1000)],
            vec![],
        ] {
            assert_eq!(judge(sale(), ledger).verdict, Verdict::Fail);
        }
    }

    #[test]
    fn a_payment_no_fan_saw_counts_by_what_the_provider_was_told() {
        let sale = sale();
        let mut hidden = intent("pi_9", 1000, 0);
        hidden.hold = Some(sale.hold_id);
        let finding = judge(sale, vec![intent("pi_1", 1000, 0), hidden]);
        assert_eq!(finding.verdict, Verdict::Fail);
    }

    #[test]
    fn a_released_hold_keeps_no_money() {
        let mut released = hold(1, &["A1"]);
        released.intents = vec!["pi_1".to_owned()];
        released.end = HoldEnd::Released(released.granted_at);
        let finding = judge(released.clone(), vec![intent("pi_1", 1000, 0)]);
        assert_eq!(finding.verdict, Verdict::Fail);
        let finding = judge(released, vec![intent("pi_1", 1000, 1000)]);
        assert_eq!(finding.verdict, Verdict::Pass);
    }

    #[test]
    fn what_was_given_back_is_not_kept_and_nothing_more_goes() {
        let mut cancelled = sale();
        cancelled.cancelled = Some(CancelSeen {
            seats: vec!["A1".parse().unwrap()],
            asked_at: cancelled.granted_at,
            goes: Some(Goes {
                back_minor: 900,
                kept_minor: 100,
            }),
        });
        for (refunded, verdict) in [
            (900, Verdict::Pass),
            (1000, Verdict::Fail),
            (0, Verdict::Fail),
            (899, Verdict::Fail),
        ] {
            let ledger = vec![intent("pi_1", 1000, refunded)];
            assert_eq!(
                judge(cancelled.clone(), ledger).verdict,
                verdict,
                "{refunded}"
            );
        }
    }

    #[test]
    fn a_failed_hold_that_kept_its_money_is_seen() {
        let mut failed = hold(1, &["A1"]);
        failed.intents = vec!["pi_1".to_owned()];
        failed.end = HoldEnd::Failed;
        let paid = vec![intent("pi_1", 1000, 0)];
        for (sold, verdict) in [(vec!["A1"], Verdict::Pass), (vec!["A2"], Verdict::Fail)] {
            let mut fan = fan(1);
            fan.holds = vec![failed.clone()];
            let mut evidence = evidence(vec![fan]);
            evidence.shop = Some(shop(&sold));
            evidence.ledger = Ok(paid.clone());
            assert_eq!(never_twice(&evidence).verdict, verdict, "{sold:?}");
        }
    }

    #[test]
    fn money_of_a_hold_that_nobody_was_granted_is_seen() {
        let mut evidence = evidence(Vec::new());
        evidence.ledger = Ok(vec![intent("pi_7", 1000, 0)]);
        evidence.shop = Some(shop(&[]));
        assert_eq!(never_twice(&evidence).verdict, Verdict::Fail);
        evidence.ledger = Ok(vec![intent("pi_7", 1000, 1000)]);
        assert_eq!(never_twice(&evidence).verdict, Verdict::Pass);
    }

    #[test]
    fn without_a_ledger_nothing_is_claimed() {
        let mut evidence = evidence(Vec::new());
        evidence.ledger = Err("no secret".to_owned());
        assert_eq!(never_twice(&evidence).verdict, Verdict::Skipped);
        assert!(!unsettled(&evidence));
    }
}
