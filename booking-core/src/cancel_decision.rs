//! Whether tickets can be cancelled, and what goes back for them. Pure.

use std::collections::BTreeSet;

use contract::TicketId;
use contract::Timestamp;
use contract::booking::BookingStatus;
use contract::refund::{RefundOffer, RefundRule, TicketOffer};
use uuid::Uuid;

use crate::money::going_back::{GoesBack, Share, of_ticket, share_at};
use crate::store::cancellations::{SoldBooking, SoldTicket, TicketStatus};

/// What decides how much goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    /// The refund policy, as for a customer who cancels.
    Policy,
    /// The whole price goes back, whatever the policy says, for tickets that were not used.
    Full,
    /// The same, also for tickets that were used at the door.
    FullEvenUsed,
}

/// Whose tickets may be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of the booking.
    All,
    /// Those of one holder: the transfer by which they got them, `None` for the buyer.
    OfHolder(Option<Uuid>),
}

/// Why nothing is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelRefusal {
    /// A rule forbids it.
    Rule(RefundRule),
    /// A ticket is none of the booking.
    UnknownTicket,
}

/// What is to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CancelDecision {
    /// Each once, in map order.
    pub(crate) ticket_ids: Vec<Uuid>,
    pub(crate) seat_nos: Vec<i32>,
    pub(crate) goes: GoesBack,
    /// Whether no ticket of the booking is left.
    pub(crate) whole: bool,
}

/// Decides about `wanted` tickets of a booking, or all in `scope` that are not void.
pub(crate) fn decide(
    sold: &SoldBooking,
    wanted: Option<&[Uuid]>,
    scope: Scope,
    terms: Terms,
    now: Timestamp,
) -> Result<CancelDecision, CancelRefusal> {
    let rule = |rule| Err(CancelRefusal::Rule(rule));
    let of_booking = |id: &Uuid| sold.tickets.iter().any(|ticket| ticket.ticket_id == *id);
    if wanted.is_some_and(|wanted| !wanted.iter().all(of_booking)) {
        return Err(CancelRefusal::UnknownTicket);
    }
    let in_scope = |ticket: &&SoldTicket| match scope {
        Scope::All => true,
        Scope::OfHolder(holder) => ticket.holder == holder,
    };
    if sold.status == BookingStatus::Cancelled {
        return rule(RefundRule::AlreadyCancelled);
    }
    let wanted: Option<BTreeSet<Uuid>> = wanted.map(|wanted| wanted.iter().copied().collect());
    let is_live = |ticket: &&SoldTicket| ticket.status != TicketStatus::Void;
    let chosen: Vec<&SoldTicket> = match &wanted {
        Some(wanted) => {
            let is_wanted = |ticket: &&SoldTicket| wanted.contains(&ticket.ticket_id);
            sold.tickets.iter().filter(is_wanted).collect()
        }
        None => sold
            .tickets
            .iter()
            .filter(in_scope)
            .filter(is_live)
            .collect(),
    };
    if !chosen.iter().all(in_scope) {
        // The buyer knows all tickets of the booking; another holder knows only their own.
        return match scope {
            Scope::OfHolder(Some(_)) => Err(CancelRefusal::UnknownTicket),
            Scope::OfHolder(None) | Scope::All => rule(RefundRule::PassedOn),
        };
    }
    if chosen.is_empty() && sold.tickets.iter().any(|ticket| is_live(&ticket)) {
        return rule(RefundRule::PassedOn);
    }
    if chosen.is_empty() || !chosen.iter().all(is_live) {
        return rule(RefundRule::AlreadyCancelled);
    }
    let whole = chosen.len() == sold.tickets.iter().filter(is_live).count();
    let mut goes = GoesBack::default();
    match terms {
        Terms::Full | Terms::FullEvenUsed => {
            let is_used = |ticket: &&SoldTicket| ticket.status == TicketStatus::CheckedIn;
            if terms == Terms::Full && chosen.iter().any(is_used) {
                return rule(RefundRule::CheckedIn);
            }
            for ticket in &chosen {
                goes = goes.and(GoesBack::all_of(ticket.price_minor));
            }
        }
        Terms::Policy if sold.is_moved_away(now) => {
            let is_used = |ticket: &&SoldTicket| ticket.status == TicketStatus::CheckedIn;
            if chosen.iter().any(is_used) {
                return rule(RefundRule::CheckedIn);
            }
            for ticket in &chosen {
                goes = goes.and(GoesBack::all_of(ticket.price_minor));
            }
        }
        Terms::Policy => {
            let share = by_policy(sold, now).map_err(CancelRefusal::Rule)?;
            let is_used = |ticket: &&SoldTicket| ticket.status == TicketStatus::CheckedIn;
            if chosen.iter().any(is_used) {
                return rule(RefundRule::CheckedIn);
            }
            let single = sold
                .policy
                .as_ref()
                .is_some_and(|policy| policy.single_tickets);
            if !whole && !single {
                return rule(RefundRule::WholeBookingOnly);
            }
            for ticket in &chosen {
                goes = goes.and(of(sold, share, ticket, now));
            }
        }
    }
    Ok(CancelDecision {
        ticket_ids: chosen.iter().map(|ticket| ticket.ticket_id).collect(),
        seat_nos: chosen.iter().map(|ticket| ticket.seat_no).collect(),
        goes: goes.within(sold.available()),
        whole,
    })
}

/// The share that the policy gives back now.
fn by_policy(sold: &SoldBooking, now: Timestamp) -> Result<Share, RefundRule> {
    if sold.show_cancelled {
        return Err(RefundRule::ShowCancelled);
    }
    if let Some(until) = sold.moved_away_until(now) {
        return Ok(Share {
            percent: 100,
            until,
        });
    }
    let policy = sold.policy.as_ref().ok_or(RefundRule::NoPolicy)?;
    share_at(policy, sold.starts_at, now).ok_or(RefundRule::TooLate)
}

fn of(sold: &SoldBooking, share: Share, ticket: &SoldTicket, now: Timestamp) -> GoesBack {
    if sold.is_moved_away(now) {
        return GoesBack::all_of(ticket.price_minor);
    }
    match &sold.policy {
        Some(policy) => of_ticket(policy, share.percent, ticket.price_minor, &sold.currency),
        None => GoesBack::default(),
    }
}

/// What a customer is offered now: all tickets that can be returned, or why none can.
pub(crate) fn offer(sold: &SoldBooking, holder: Option<Uuid>, now: Timestamp) -> RefundOffer {
    let scope = Scope::OfHolder(holder);
    let policy = sold.policy.as_ref();
    let mut offer = RefundOffer {
        refundable: false,
        rule: None,
        amount_minor: 0,
        kept_minor: 0,
        pending_minor: if holder.is_none() {
            sold.pending_minor
        } else {
            0
        },
        currency: sold.currency.clone(),
        until: None,
        single_tickets: sold.is_moved_away(now)
            || policy.is_some_and(|policy| policy.single_tickets),
        code_required: policy.is_some_and(|policy| policy.code_required),
        goes_to_buyer: holder.is_some(),
        tickets: Vec::new(),
    };
    let returnable: Vec<&SoldTicket> = sold
        .tickets
        .iter()
        .filter(|ticket| ticket.status == TicketStatus::Issued && ticket.holder == holder)
        .collect();
    // With single tickets, those that were used do not keep the others from being returned.
    let wanted: Vec<Uuid> = returnable.iter().map(|ticket| ticket.ticket_id).collect();
    let wanted = (offer.single_tickets && !wanted.is_empty()).then_some(wanted);
    let decided = decide(sold, wanted.as_deref(), scope, Terms::Policy, now);
    match (decided, by_policy(sold, now)) {
        (Ok(decision), Ok(share)) => {
            offer.refundable = true;
            offer.amount_minor = decision.goes.back_minor;
            offer.kept_minor = decision.goes.kept_minor;
            offer.until = Some(share.until);
            offer.tickets = returnable
                .into_iter()
                .map(|ticket| {
                    let goes = of(sold, share, ticket, now).within(sold.available());
                    TicketOffer {
                        ticket_id: TicketId::new(ticket.ticket_id),
                        amount_minor: goes.back_minor,
                        kept_minor: goes.kept_minor,
                    }
                })
                .collect();
        }
        (Err(CancelRefusal::Rule(rule)), _) | (_, Err(rule)) => offer.rule = Some(rule),
        (Err(CancelRefusal::UnknownTicket), Ok(_)) => {}
    }
    offer
}

#[cfg(test)]
mod tests {
    use contract::refund_policy::RefundPolicy;

    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn sold(statuses: &[TicketStatus]) -> SoldBooking {
        SoldBooking {
            booking_id: Uuid::from_u128(1),
            status: BookingStatus::Confirmed,
            currency: "EUR".to_owned(),
            starts_at: START,
            show_cancelled: false,
            whole_price_until: None,
            policy: Some(RefundPolicy {
                free_until_hours: Some(0),
                shares: Vec::new(),
                kept_fee_minor: 500,
                kept_fee_percent: 0,
                single_tickets: true,
                code_required: false,
            }),
            kept_minor: 0,
            pending_minor: 0,
            left_minor: 4500 * i64::try_from(statuses.len()).unwrap(),
            tickets: (10_u16..)
                .zip(statuses)
                .map(|(nth, status)| SoldTicket {
                    ticket_id: Uuid::from_u128(u128::from(nth)),
                    seat_no: i32::from(nth),
                    status: *status,
                    price_minor: 4500,
                    holder: None,
                })
                .collect(),
            prices_missing: false,
        }
    }

    fn ids(of: &[u128]) -> Vec<Uuid> {
        of.iter().map(|id| Uuid::from_u128(*id)).collect()
    }

    #[test]
    fn one_ticket_or_all_are_cancelled_by_the_policy() {
        use TicketStatus::{Issued, Void};
        let both = decide(
            &sold(&[Issued, Issued]),
            None,
            Scope::All,
            Terms::Policy,
            START,
        )
        .unwrap();
        assert_eq!((both.goes.back_minor, both.goes.kept_minor), (8000, 1000));
        assert!(both.whole && both.ticket_ids == ids(&[10, 11]));
        // A ticket that is named twice is cancelled once.
        let one = ids(&[11, 11]);
        let one = decide(
            &sold(&[Issued, Issued]),
            Some(&one),
            Scope::All,
            Terms::Policy,
            START,
        )
        .unwrap();
        assert_eq!((one.goes.back_minor, one.whole), (4000, false));
        assert_eq!(one.seat_nos, [11]);
        let rest = decide(&sold(&[Void, Issued]), None, Scope::All, Terms::Full, START).unwrap();
        assert_eq!((rest.goes.back_minor, rest.whole), (4500, true));
    }

    #[test]
    fn every_rule_refuses() {
        use TicketStatus::{CheckedIn, Issued, Void};
        let later = Timestamp::from_ms(START.as_ms() + 1);
        let check = |sold: &SoldBooking, wanted: Option<Vec<Uuid>>, now, rule| {
            let found = decide(sold, wanted.as_deref(), Scope::All, Terms::Policy, now);
            assert_eq!(found, Err(CancelRefusal::Rule(rule)));
        };
        let fresh = sold(&[Issued, Issued]);
        check(&fresh, None, later, RefundRule::TooLate);
        let mut no_policy = fresh.clone();
        no_policy.policy = None;
        check(&no_policy, None, START, RefundRule::NoPolicy);
        let mut off = fresh.clone();
        off.show_cancelled = true;
        check(&off, None, START, RefundRule::ShowCancelled);
        let mut whole = fresh.clone();
        whole.policy.as_mut().unwrap().single_tickets = false;
        check(
            &whole,
            Some(ids(&[10])),
            START,
            RefundRule::WholeBookingOnly,
        );
        assert!(
            decide(
                &whole,
                Some(&ids(&[10, 11])),
                Scope::All,
                Terms::Policy,
                START
            )
            .is_ok()
        );
        let mut done = fresh.clone();
        done.status = BookingStatus::Cancelled;
        check(&done, None, START, RefundRule::AlreadyCancelled);
        check(
            &sold(&[Void, Issued]),
            Some(ids(&[10])),
            START,
            RefundRule::AlreadyCancelled,
        );
        check(
            &sold(&[CheckedIn, Issued]),
            None,
            START,
            RefundRule::CheckedIn,
        );
        let unknown = decide(
            &fresh,
            Some(&ids(&[10, 99])),
            Scope::All,
            Terms::Full,
            START,
        );
        assert_eq!(unknown, Err(CancelRefusal::UnknownTicket));
        // An operator gives everything back after the show, and of used tickets when told so.
        let used = sold(&[CheckedIn, Issued]);
        let refused = decide(&used, None, Scope::All, Terms::Full, later);
        assert_eq!(refused, Err(CancelRefusal::Rule(RefundRule::CheckedIn)));
        let full = decide(&used, None, Scope::All, Terms::FullEvenUsed, later).unwrap();
        assert_eq!(full.goes, GoesBack::all_of(9000));
    }

    #[test]
    fn an_offer_names_what_each_ticket_gives_back() {
        use TicketStatus::{CheckedIn, Issued};
        let found = offer(&sold(&[CheckedIn, Issued, Issued]), None, START);
        assert!(found.refundable, "{found:?}");
        assert_eq!((found.amount_minor, found.kept_minor), (8000, 1000));
        assert_eq!(found.tickets.len(), 2);
        assert_eq!(found.until, Some(START));
        let late = offer(
            &sold(&[Issued]),
            None,
            Timestamp::from_ms(START.as_ms() + 1),
        );
        assert_eq!(
            (late.refundable, late.rule),
            (false, Some(RefundRule::TooLate))
        );
        let used = offer(&sold(&[CheckedIn]), None, START);
        assert_eq!(used.rule, Some(RefundRule::CheckedIn));
    }

    #[test]
    fn money_that_is_gone_is_not_offered_again() {
        let mut sold = sold(&[TicketStatus::Issued, TicketStatus::Issued]);
        sold.left_minor = 5000;
        sold.kept_minor = 500;
        let found = offer(&sold, None, START);
        assert_eq!((found.amount_minor, found.kept_minor), (4500, 0));
    }

    #[test]
    fn only_whoever_has_a_ticket_returns_it() {
        use TicketStatus::Issued;
        let friend = Some(Uuid::from_u128(77));
        let mut shared = sold(&[Issued, Issued]);
        shared.tickets[1].holder = friend;
        let (buyer, friends) = (Scope::OfHolder(None), Scope::OfHolder(friend));
        let of =
            |wanted: Option<&[Uuid]>, scope| decide(&shared, wanted, scope, Terms::Policy, START);
        assert_eq!(of(None, buyer).unwrap().ticket_ids, ids(&[10]));
        assert_eq!(of(None, friends).unwrap().ticket_ids, ids(&[11]));
        let rule = CancelRefusal::Rule(RefundRule::PassedOn);
        assert_eq!(of(Some(&ids(&[10, 11])), buyer), Err(rule));
        let unknown = CancelRefusal::UnknownTicket;
        assert_eq!(of(Some(&ids(&[10])), friends), Err(unknown));
        let found = offer(&shared, friend, START);
        assert!(found.goes_to_buyer && found.refundable);
        assert_eq!((found.amount_minor, found.tickets.len()), (4000, 1));
        shared.tickets[0].holder = friend;
        let none = offer(&shared, None, START);
        assert_eq!(
            (none.refundable, none.rule),
            (false, Some(RefundRule::PassedOn))
        );
    }

    #[test]
    fn the_whole_price_goes_back_until_the_window_of_a_move_ends() {
        let mut sold = sold(&[TicketStatus::Issued, TicketStatus::Issued]);
        sold.policy = None;
        let day = std::time::Duration::from_hours(24);
        let until = START.minus(day);
        sold.whole_price_until = Some(until);
        let before = until.minus(day);
        let offered = offer(&sold, None, before);
        assert!(offered.refundable && offered.single_tickets);
        let whole: i64 = sold.tickets.iter().map(|ticket| ticket.price_minor).sum();
        assert_eq!((offered.amount_minor, offered.kept_minor), (whole, 0));
        assert_eq!(offered.until, Some(until));
        let one = [sold.tickets[0].ticket_id];
        let decided = decide(&sold, Some(&one), Scope::All, Terms::Policy, before).unwrap();
        assert_eq!(decided.goes.back_minor, sold.tickets[0].price_minor);
        let late = decide(&sold, None, Scope::All, Terms::Policy, until);
        assert_eq!(late, Err(CancelRefusal::Rule(RefundRule::NoPolicy)));
        sold.tickets[0].status = TicketStatus::CheckedIn;
        let used = decide(&sold, None, Scope::All, Terms::Policy, before);
        assert_eq!(used, Err(CancelRefusal::Rule(RefundRule::CheckedIn)));
    }
}
