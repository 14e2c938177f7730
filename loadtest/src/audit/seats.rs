//! ONE-SEAT: no seat sold or held twice, every hold whole.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contract::booking::{Booking, BookingStatus, SeatStatus};
use contract::{BookingId, SeatId, Timestamp};

use super::finding::Finding;
use crate::evidence::{Asked, Evidence, FanRecord, HoldEnd, HoldSeen};

/// A hold may be gone this long before it expires: clocks differ a little.
const EXPIRY_MARGIN: Duration = Duration::from_secs(2);

fn holds(evidence: &Evidence) -> impl Iterator<Item = (&FanRecord, &HoldSeen)> {
    let fans = evidence.fans.iter();
    fans.flat_map(|fan| fan.holds.iter().map(move |hold| (fan, hold)))
}

pub(super) fn bookings(
    evidence: &Evidence,
) -> impl Iterator<Item = (&FanRecord, &HoldSeen, &Booking)> {
    holds(evidence).filter_map(|(fan, hold)| match &hold.end {
        HoldEnd::Booked(booking) => Some((fan, hold, &**booking)),
        HoldEnd::Open | HoldEnd::Released(_) | HoldEnd::Failed => None,
    })
}

/// No seat is in two bookings; every booking has exactly its hold's seats.
pub(super) fn never_sold_twice(evidence: &Evidence) -> Finding {
    if evidence.shop.is_none() {
        return Finding::skipped("oversold", "nothing was bought: no show was named");
    }
    let mut finding = Finding::new("oversold");
    let mut owner: HashMap<&SeatId, BookingId> = HashMap::new();
    let mut sold_twice = 0;
    let mut count = 0;
    for (fan, hold, booking) in bookings(evidence) {
        count += 1;
        for ticket in booking
            .tickets
            .iter()
            .filter(|it| !hold.gives_back(&it.seat_id))
        {
            if let Some(other) = owner.insert(&ticket.seat_id, booking.booking_id) {
                sold_twice += 1;
                finding.breach(format!(
                    "seat {} is in {other} and in {}",
                    ticket.seat_id, booking.booking_id
                ));
            }
        }
        let held: HashSet<&SeatId> = hold.seats.iter().collect();
        let bought: HashSet<&SeatId> = booking.tickets.iter().map(|it| &it.seat_id).collect();
        if held != bought || booking.status != BookingStatus::Confirmed {
            finding.breach(format!(
                "{} of fan {} does not have the seats of its hold",
                booking.booking_id, fan.number
            ));
        }
    }
    finding.count("bookings", count);
    finding.count("seats", owner.len());
    finding.count("soldTwice", sold_twice);
    finding.sum_up(format!(
        "{count} bookings of {} seats, {sold_twice} seats sold twice",
        owner.len()
    ))
}

/// Every hold has all of its seats, and no two holds have a seat at the same time.
pub(super) fn holds_whole_and_exclusive(evidence: &Evidence) -> Finding {
    if evidence.shop.is_none() {
        return Finding::skipped("holds", "nothing was held: no show was named");
    }
    let mut finding = Finding::new("holds");
    let mut by_seat: HashMap<&SeatId, Vec<&HoldSeen>> = HashMap::new();
    let mut count = 0;
    for (fan, hold) in holds(evidence) {
        count += 1;
        if !is_whole(hold) {
            finding.breach(format!(
                "fan {} got {} seats for {:?}",
                fan.number,
                hold.seats.len(),
                hold.asked
            ));
        }
        for seat in &hold.seats {
            by_seat.entry(seat).or_default().push(hold);
        }
    }
    let mut overlaps = 0;
    for (seat, mut of_seat) in by_seat {
        of_seat.sort_by_key(|hold| hold.granted_at);
        // The hold that surely lasts longest so far, in the order of the grants.
        let mut longest: Option<&HoldSeen> = None;
        for hold in of_seat {
            if let Some(before) = longest
                && hold.granted_at < surely_until(before, seat).min(surely_until(hold, seat))
            {
                overlaps += 1;
                finding.breach(format!(
                    "seat {seat} was in {} and in {} at {}",
                    before.hold_id, hold.hold_id, hold.granted_at
                ));
            }
            if longest.is_none_or(|before| surely_until(before, seat) < surely_until(hold, seat)) {
                longest = Some(hold);
            }
        }
    }
    finding.count("holds", count);
    finding.count("overlaps", overlaps);
    finding.sum_up(format!("{count} holds, {overlaps} overlaps"))
}

fn is_whole(hold: &HoldSeen) -> bool {
    let given: HashSet<&SeatId> = hold.seats.iter().collect();
    given.len() == hold.seats.len()
        && match &hold.asked {
            Asked::Seats(seats) => given == seats.iter().collect(),
            Asked::Best(quantity) => u32::try_from(hold.seats.len()) == Ok(*quantity),
        }
}

/// Until when this seat of the hold certainly belonged to it.
fn surely_until(hold: &HoldSeen, seat: &SeatId) -> Timestamp {
    let expiry = hold.expires_at.minus(EXPIRY_MARGIN);
    let cancelled = hold.cancelled.as_ref().filter(|_| hold.gives_back(seat));
    match &hold.end {
        HoldEnd::Booked(_) if cancelled.is_some() => {
            cancelled.map_or(expiry, |cancelled| cancelled.asked_at)
        }
        HoldEnd::Booked(_) => Timestamp::from_ms(i64::MAX),
        HoldEnd::Released(at) => expiry.min(*at),
        // A failed payment may end a hold early, when is not known.
        HoldEnd::Failed => hold.granted_at,
        HoldEnd::Open => expiry,
    }
}

/// Seats of which no answer said whether they were given back.
fn in_doubt(hold: &HoldSeen) -> usize {
    let cancelled = hold.cancelled.as_ref().filter(|it| it.goes.is_none());
    cancelled.map_or(0, |cancelled| cancelled.seats.len())
}

/// The seat map after the run shows what fans bought, and nothing else.
pub(super) fn map_agrees(evidence: &Evidence) -> Finding {
    let Some(shop) = &evidence.shop else {
        return Finding::skipped("seat map", "nothing was bought: no show was named");
    };
    let mut finding = Finding::new("seat map");
    let booked: HashSet<&SeatId> = shop
        .after
        .seats
        .iter()
        .filter(|seat| seat.status == SeatStatus::Booked)
        .map(|seat| &seat.seat_id)
        .collect();
    let mut ours = 0;
    for (fan, hold, booking) in bookings(evidence) {
        for ticket in booking
            .tickets
            .iter()
            .filter(|it| !hold.gives_back(&it.seat_id))
        {
            ours += 1;
            if !booked.contains(&ticket.seat_id) {
                finding.breach(format!(
                    "seat {} of fan {} is not booked on the map",
                    ticket.seat_id, fan.number
                ));
            }
        }
    }
    // A payment whose outcome stayed open may have become a booking since.
    let open: usize = holds(evidence)
        .filter(|(_, hold)| matches!(hold.end, HoldEnd::Open | HoldEnd::Failed))
        .map(|(_, hold)| hold.seats.len())
        .sum::<usize>()
        + holds(evidence)
            .map(|(_, hold)| in_doubt(hold))
            .sum::<usize>();
    let least = shop.booked_before + ours;
    let most = if shop.sole_buyers {
        least + open
    } else {
        usize::MAX
    };
    if booked.len() < least || booked.len() > most {
        let told = format!(
            "{} seats are booked; {} were before the run, fans bought {ours}, {open} are open",
            booked.len(),
            shop.booked_before
        );
        finding.breach(if booked.len() > most {
            format!("{told}. If others bought the show meanwhile, repeat this with --others-buy")
        } else {
            told
        });
    }
    finding.count("bookedBefore", shop.booked_before);
    finding.count("bought", ours);
    finding.count("open", open);
    finding.count("bookedAfter", booked.len());
    finding.sum_up(format!(
        "{} booked after, {} before, {ours} bought, {open} open",
        booked.len(),
        shop.booked_before
    ))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{START, booked, evidence, fan, hold, shop};
    use super::*;
    use crate::evidence::{CancelSeen, Goes};

    fn bought(holds: Vec<HoldSeen>) -> Evidence {
        let fans = (1..).zip(holds).map(|(number, hold)| {
            let mut fan = fan(number);
            fan.holds = vec![hold];
            fan
        });
        let mut evidence = evidence(fans.collect());
        evidence.shop = Some(shop(&["A1", "A2", "B1"]));
        evidence
    }

    #[test]
    fn a_fair_sale_passes() {
        let evidence = bought(vec![booked(1, &["A1", "A2"]), booked(2, &["B1"])]);
        for check in [never_sold_twice, holds_whole_and_exclusive, map_agrees] {
            let finding = check(&evidence);
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        }
    }

    #[test]
    fn a_seat_sold_twice_is_caught() {
        let evidence = bought(vec![booked(1, &["A1"]), booked(2, &["A1"])]);
        assert_eq!(never_sold_twice(&evidence).verdict, Verdict::Fail);
        assert_eq!(holds_whole_and_exclusive(&evidence).verdict, Verdict::Fail);
    }

    #[test]
    fn a_seat_that_was_given_back_may_be_sold_again_but_not_before() {
        let asked_at = START.plus(Duration::from_secs(20));
        let mut first = booked(1, &["A1", "A2"]);
        first.cancelled = Some(CancelSeen {
            seats: vec!["A1".parse().unwrap()],
            asked_at,
            goes: Some(Goes {
                back_minor: 500,
                kept_minor: 0,
            }),
        });
        let mut second = booked(2, &["A1"]);
        second.granted_at = asked_at.plus(Duration::from_secs(1));
        let evidence = bought(vec![first.clone(), second.clone(), booked(3, &["B1"])]);
        for check in [never_sold_twice, holds_whole_and_exclusive, map_agrees] {
            let finding = check(&evidence);
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        }
        second.granted_at = START.plus(Duration::from_secs(10));
        let early = bought(vec![first, second]);
        assert_eq!(holds_whole_and_exclusive(&early).verdict, Verdict::Fail);
    }

    #[test]
    fn a_booking_with_other_seats_than_its_hold_is_caught() {
        let mut swapped = booked(1, &["A1"]);
        swapped.seats = vec!["A2".parse().unwrap()];
        assert_eq!(
            never_sold_twice(&bought(vec![swapped])).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn half_a_hold_is_caught() {
        let mut half = hold(1, &["A1"]);
        half.asked = Asked::Seats(vec!["A1".parse().unwrap(), "A2".parse().unwrap()]);
        let mut fewer = hold(2, &["B1"]);
        fewer.asked = Asked::Best(2);
        for part in [half, fewer] {
            let finding = holds_whole_and_exclusive(&bought(vec![part]));
            assert_eq!(finding.verdict, Verdict::Fail);
        }
    }

    #[test]
    fn a_seat_held_twice_at_once_is_caught_but_not_one_after_the_other() {
        let first = hold(1, &["A1"]);
        let mut second = hold(2, &["A1"]);
        second.granted_at = START.plus(Duration::from_secs(10));
        let both = bought(vec![first.clone(), second.clone()]);
        assert_eq!(holds_whole_and_exclusive(&both).verdict, Verdict::Fail);

        let mut released = first;
        released.end = HoldEnd::Released(START.plus(Duration::from_secs(5)));
        let in_turn = bought(vec![released, second]);
        assert_eq!(holds_whole_and_exclusive(&in_turn).verdict, Verdict::Pass);
    }

    #[test]
    fn a_map_that_forgets_or_invents_a_booking_is_caught() {
        let mut forgets = bought(vec![booked(1, &["A1"])]);
        forgets.shop = Some(shop(&["A2"]));
        assert_eq!(map_agrees(&forgets).verdict, Verdict::Fail);
        let mut invents = bought(vec![booked(1, &["A1"])]);
        let invented = map_agrees(&invents);
        assert_eq!(invented.verdict, Verdict::Fail);
        assert!(
            invented.examples[0].contains("--others-buy"),
            "{invented:?}"
        );
        if let Some(shop) = &mut invents.shop {
            shop.sole_buyers = false;
        }
        assert_eq!(map_agrees(&invents).verdict, Verdict::Pass);
    }

    #[test]
    fn a_payment_left_open_may_become_a_booking_later() {
        let evidence = bought(vec![booked(1, &["A1", "A2"]), hold(2, &["B1"])]);
        assert_eq!(map_agrees(&evidence).verdict, Verdict::Pass);
    }
}
