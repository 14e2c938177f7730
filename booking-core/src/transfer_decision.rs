//! Whether tickets can be passed on or printed anew. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::Timestamp;
use contract::transfer::TransferRule;
use uuid::Uuid;

use crate::store::cancellations::TicketStatus;
use crate::store::transfers::{HeldBooking, HeldTicket};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Another person gets the tickets.
    Transfer,
    /// Their holder gets them with new codes.
    Reissue,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A holder: the transfer by which they got their tickets, `None` for the buyer.
    Holder(Option<Uuid>),
    /// An operator, who may do it for all tickets and whatever the policy says.
    Operator,
}

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferRefusal {
    /// A rule forbids it.
    Rule(TransferRule),
    /// A ticket is none that the asker could know.
    UnknownTicket,
}

/// The tickets that change, all of one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransferDecision {
    pub(crate) ticket_ids: Vec<Uuid>,
    pub(crate) holder: Option<Uuid>,
}

/// When fans can pass tickets on for the last time.
pub(crate) fn until(held: &HeldBooking) -> Timestamp {
    let hours = u64::from(held.policy.until_hours);
    held.starts_at.minus(Duration::from_secs(hours * 3600))
}

/// What forbids it for every ticket of the booking.
fn of_show(
    held: &HeldBooking,
    deed: Deed,
    asker: Asker,
    now: Timestamp,
) -> Result<(), TransferRule> {
    if held.show_cancelled {
        return Err(TransferRule::ShowCancelled);
    }
    if now >= held.ends_at {
        return Err(TransferRule::ShowOver);
    }
    if deed == Deed::Transfer && asker != Asker::Operator {
        if !held.policy.allowed {
            return Err(TransferRule::NotAllowed);
        }
        if now >= until(held) {
            return Err(TransferRule::TooLate);
        }
    }
    Ok(())
}

/// Decides about `wanted` tickets of a booking, or all that the asker has.
pub(crate) fn decide(
    held: &HeldBooking,
    wanted: Option<&[Uuid]>,
    deed: Deed,
    asker: Asker,
    now: Timestamp,
) -> Result<TransferDecision, TransferRefusal> {
    let rule = |rule| Err(TransferRefusal::Rule(rule));
    let wanted: Option<BTreeSet<Uuid>> = wanted.map(|wanted| wanted.iter().copied().collect());
    let chosen: Vec<&HeldTicket> = match &wanted {
        Some(wanted) => {
            let named = |ticket: &&HeldTicket| wanted.contains(&ticket.ticket_id);
            held.tickets.iter().filter(named).collect()
        }
        None => {
            let is_theirs = |ticket: &&HeldTicket| match asker {
                Asker::Holder(holder) => ticket.holder == holder,
                Asker::Operator => true,
            };
            let live = |ticket: &&HeldTicket| ticket.status != TicketStatus::Void;
            held.tickets.iter().filter(is_theirs).filter(live).collect()
        }
    };
    if wanted.is_some_and(|wanted| wanted.len() != chosen.len()) {
        return Err(TransferRefusal::UnknownTicket);
    }
    if let Asker::Holder(holder) = asker
        && chosen.iter().any(|ticket| ticket.holder != holder)
    {
        // The buyer knows all tickets of the booking; another holder knows only their own.
        return match holder {
            None => rule(TransferRule::PassedOn),
            Some(_) => Err(TransferRefusal::UnknownTicket),
        };
    }
    of_show(held, deed, asker, now).map_err(TransferRefusal::Rule)?;
    let is_void = |ticket: &&HeldTicket| ticket.status == TicketStatus::Void;
    if chosen.is_empty() || chosen.iter().any(is_void) {
        return rule(TransferRule::Cancelled);
    }
    if chosen
        .iter()
        .any(|ticket| ticket.status == TicketStatus::CheckedIn)
    {
        return rule(TransferRule::CheckedIn);
    }
    let holder = chosen.first().and_then(|ticket| ticket.holder);
    if chosen.iter().any(|ticket| ticket.holder != holder) {
        return rule(TransferRule::SeveralHolders);
    }
    Ok(TransferDecision {
        ticket_ids: chosen.iter().map(|ticket| ticket.ticket_id).collect(),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use contract::transfer::TransferPolicy;

    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const HOUR_MS: i64 = 3_600_000;
    const FRIEND: Option<Uuid> = Some(Uuid::from_u128(77));

    fn held(tickets: &[(TicketStatus, Option<Uuid>)]) -> HeldBooking {
        HeldBooking {
            starts_at: START,
            ends_at: Timestamp::from_ms(START.as_ms() + 3 * HOUR_MS),
            show_cancelled: false,
            policy: TransferPolicy::default(),
            tickets: (10_u128..)
                .zip(tickets)
                .map(|(nth, (status, holder))| HeldTicket {
                    ticket_id: Uuid::from_u128(nth),
                    status: *status,
                    holder: *holder,
                })
                .collect(),
        }
    }

    fn before(hours: i64) -> Timestamp {
        Timestamp::from_ms(START.as_ms() - hours * HOUR_MS)
    }

    #[track_caller]
    fn refused(
        held: &HeldBooking,
        wanted: Option<&[u128]>,
        deed: Deed,
        asker: Asker,
        now: Timestamp,
    ) -> TransferRefusal {
        let ids: Option<Vec<Uuid>> =
            wanted.map(|wanted| wanted.iter().map(|id| Uuid::from_u128(*id)).collect());
        decide(held, ids.as_deref(), deed, asker, now).unwrap_err()
    }

    #[test]
    fn a_holder_passes_on_what_they_have_and_nothing_else() {
        use TicketStatus::{Issued, Void};
        let held = held(&[(Issued, None), (Issued, FRIEND), (Void, None)]);
        let buyer = Asker::Holder(None);
        let mine = decide(&held, None, Deed::Transfer, buyer, before(1)).unwrap();
        assert_eq!(mine.ticket_ids, [Uuid::from_u128(10)]);
        let friends = decide(&held, None, Deed::Reissue, Asker::Holder(FRIEND), before(1)).unwrap();
        assert_eq!(friends.ticket_ids, [Uuid::from_u128(11)]);
        assert_eq!(friends.holder, FRIEND);
        let rule = TransferRefusal::Rule;
        for (wanted, asker, expected) in [
            (11, buyer, rule(TransferRule::PassedOn)),
            (12, buyer, rule(TransferRule::Cancelled)),
            (10, Asker::Holder(FRIEND), TransferRefusal::UnknownTicket),
            (99, Asker::Operator, TransferRefusal::UnknownTicket),
        ] {
            let found = refused(&held, Some(&[wanted]), Deed::Transfer, asker, before(1));
            assert_eq!(found, expected, "{wanted} {asker:?}");
        }
        let all = refused(&held, None, Deed::Transfer, Asker::Operator, before(1));
        assert_eq!(all, rule(TransferRule::SeveralHolders));
    }

    #[test]
    fn the_policy_binds_fans_and_the_end_of_the_show_binds_all() {
        let mut held = held(&[(TicketStatus::Issued, None)]);
        held.policy.until_hours = 2;
        let (fan, operator) = (Asker::Holder(None), Asker::Operator);
        let check = |held: &HeldBooking, deed, asker, now, expected: Option<TransferRule>| {
            let found = decide(held, None, deed, asker, now).err();
            assert_eq!(
                found,
                expected.map(TransferRefusal::Rule),
                "{deed:?} {asker:?} {now:?}"
            );
        };
        let (transfer, reissue) = (Deed::Transfer, Deed::Reissue);
        check(&held, transfer, fan, before(3), None);
        check(&held, transfer, fan, before(2), Some(TransferRule::TooLate));
        check(&held, transfer, operator, before(-1), None);
        check(&held, reissue, fan, before(-1), None);
        check(
            &held,
            transfer,
            operator,
            before(-3),
            Some(TransferRule::ShowOver),
        );
        check(
            &held,
            reissue,
            fan,
            before(-3),
            Some(TransferRule::ShowOver),
        );
        held.policy.allowed = false;
        check(
            &held,
            transfer,
            fan,
            before(3),
            Some(TransferRule::NotAllowed),
        );
        check(&held, transfer, operator, before(3), None);
        held.show_cancelled = true;
        check(
            &held,
            reissue,
            operator,
            before(3),
            Some(TransferRule::ShowCancelled),
        );
        let mut used = held.clone();
        used.show_cancelled = false;
        used.tickets[0].status = TicketStatus::CheckedIn;
        check(
            &used,
            reissue,
            operator,
            before(0),
            Some(TransferRule::CheckedIn),
        );
    }
}
