//! ONE-CHARGE: what the provider kept is what was sold.

use std::collections::HashMap;

use contract::SeatId;
use contract::booking::{Booking, SeatStatus};

use super::finding::{Finding, Verdict};
use super::seats::bookings;
use crate::evidence::Evidence;

/// All that the provider took and kept is the price of all seats that were sold.
///
/// Judged only when the fans were the only buyers, and a booking costs the prices of its seats.
pub(super) fn adds_up(evidence: &Evidence) -> Finding {
    let name = "money";
    let ledger = match &evidence.ledger {
        Ok(ledger) => ledger,
        Err(why) => return Finding::skipped(name, why),
    };
    let Some(shop) = &evidence.shop else {
        return Finding::skipped(name, "nothing was bought: no show was named");
    };
    if !shop.sole_buyers || shop.booked_before > 0 {
        return Finding::skipped(name, "others have bought the show too");
    }
    let prices: HashMap<&SeatId, i64> = shop
        .after
        .seats
        .iter()
        .map(|seat| (&seat.seat_id, seat.price_minor))
        .collect();
    let price = |booking: &Booking| -> i64 {
        let seats = booking.tickets.iter();
        seats.filter_map(|it| prices.get(&it.seat_id)).sum()
    };
    if bookings(evidence).any(|(_, _, booking)| price(booking) != booking.amount_minor) {
        return Finding::skipped(name, "a booking costs something else than its seats");
    }
    let mut finding = Finding::new(name);
    let kept: i64 = ledger
        .iter()
        .map(|intent| intent.captured_minor - intent.refunded_minor)
        .sum();
    let sold: i64 = shop
        .after
        .seats
        .iter()
        .filter(|seat| seat.status == SeatStatus::Booked)
        .map(|seat| seat.price_minor)
        .sum();
    let cancelled = bookings(evidence).filter_map(|(_, hold, _)| hold.cancelled.as_ref());
    let (mut fees, mut in_doubt) = (0, 0);
    for cancelled in cancelled {
        if let Some(goes) = cancelled.goes {
            fees += goes.kept_minor;
        } else {
            let seats = cancelled.seats.iter();
            in_doubt += seats.filter_map(|it| prices.get(it)).sum::<i64>();
        }
    }
    if !(sold + fees..=sold + fees + in_doubt).contains(&kept) {
        finding.breach(format!(
            "{kept} kept by the provider, seats for {sold} sold, {fees} kept of cancelled ones"
        ));
    }
    finding.sum_up(format!(
        "{kept} kept by the provider, seats for {sold} sold, {fees} kept of cancelled ones, \
        {in_doubt} of cancellations without an answer, minor units"
    ))
}

/// Whether money is still on its way, so that the books are worth another look.
pub(super) fn under_way(evidence: &Evidence) -> bool {
    adds_up(evidence).verdict == Verdict::Fail
}

#[cfg(test)]
mod tests {
    use super::super::sample::{evidence, shop};
    use super::*;
    use crate::evidence::Intent;

    fn judge(kept: &[i64]) -> Verdict {
        let mut evidence = evidence(Vec::new());
        // Two seats at 500 each.
        evidence.shop = Some(shop(&["A1", "A2"]));
        let intents = kept.iter().enumerate().map(|(number, kept)| Intent {
            id: format!("pi_{number}"),
            hold: None,
            captured_minor: 1000,
            refunded_minor: 1000 - kept,
        });
        evidence.ledger = Ok(intents.collect());
        adds_up(&evidence).verdict
    }

    #[test]
    fn what_was_sold_was_paid_for_and_nothing_else() {
        assert_eq!(judge(&[1000, 0]), Verdict::Pass);
        assert_eq!(judge(&[1000, 1000]), Verdict::Fail);
        assert_eq!(judge(&[500]), Verdict::Fail);
    }

    #[test]
    fn a_show_that_others_buy_too_is_not_judged() {
        let mut evidence = evidence(Vec::new());
        evidence.shop = Some(shop(&["A1"]));
        if let Some(shop) = &mut evidence.shop {
            shop.booked_before = 1;
        }
        assert_eq!(adds_up(&evidence).verdict, Verdict::Skipped);
    }
}
