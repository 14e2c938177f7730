//! What a scan of a ticket comes to. Pure.
//!
//! In this order, so that whoever cannot sign learns nothing about tickets: signature, validity,
//! show, what became of the ticket, whether somebody is inside with it.

use std::time::Duration;

use contract::Timestamp;
use contract::checkin::{Direction, ScanResult};

use crate::tickets::{InvalidTicket, TicketClaims, TicketVerifier, read_ticket};

/// How long before its upload a scan may have been made. A device whose clock says more has lost
/// its time, and its scans count as made when they were uploaded.
const KEPT_MAX: Duration = Duration::from_hours(72);

/// How the database knows a ticket, and who is inside with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TicketState {
    /// Whether it was cancelled.
    pub(crate) is_void: bool,
    /// The generation of tokens that admit.
    pub(crate) generation: i32,
    /// When whoever is inside with it went in.
    pub(crate) inside_since: Option<Timestamp>,
}

/// When a scan was made, by our clock. `at` and `sent_at` are by the clock of the device: a scan
/// that is made now needs neither, and one that was kept is as old as the device says it is. It was
/// never made after it was received.
pub(crate) fn happened_at(
    at: Timestamp,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> Timestamp {
    let by_our_clock = match sent_at {
        Some(sent_at) => {
            let ahead_ms = sent_at.as_ms().saturating_sub(received_at.as_ms());
            Timestamp::from_ms(at.as_ms().saturating_sub(ahead_ms))
        }
        None => at,
    };
    if by_our_clock < received_at.minus(KEPT_MAX) {
        received_at
    } else {
        by_our_clock.min(received_at)
    }
}

/// The claims of a ticket that is good by itself: signature, then validity, then show. A scanner
/// that belongs to no show takes the tickets of all.
pub(crate) fn read(
    text: &str,
    verifier: &TicketVerifier,
    show_no: Option<i32>,
    at: Timestamp,
) -> (Option<TicketClaims>, Result<(), ScanResult>) {
    let claims = match read_ticket(text, verifier) {
        Ok(claims) => claims,
        Err(InvalidTicket::Forged) => return (None, Err(ScanResult::Forged)),
        Err(InvalidTicket::Unknown) => return (None, Err(ScanResult::UnknownKey)),
        Err(InvalidTicket::Unreadable | InvalidTicket::OutOfTime) => {
            return (None, Err(ScanResult::Unreadable));
        }
    };
    let good = if at < claims.valid_from {
        Err(ScanResult::NotYetValid)
    } else if at > claims.valid_to {
        Err(ScanResult::Expired)
    } else if show_no.is_some_and(|show_no| u32::try_from(show_no) != Ok(claims.show_no)) {
        Err(ScanResult::WrongShow)
    } else {
        Ok(())
    };
    (Some(claims), good)
}

/// What a scan of a ticket comes to that is good by itself.
pub(crate) fn decide(
    claims: &TicketClaims,
    ticket: Option<&TicketState>,
    direction: Direction,
    at: Timestamp,
) -> ScanResult {
    let Some(ticket) = ticket else {
        return ScanResult::UnknownTicket;
    };
    if ticket.is_void {
        // Whoever is inside with it may leave, or nobody would ever be known to have left.
        return match (direction, ticket.inside_since) {
            (Direction::Out, Some(since)) if since <= at => ScanResult::Accepted,
            _ => ScanResult::Revoked,
        };
    }
    if i32::from(claims.token_generation) != ticket.generation {
        return ScanResult::Reissued;
    }
    match (direction, ticket.inside_since) {
        (Direction::In, None) => ScanResult::Accepted,
        (Direction::In, Some(_)) => ScanResult::Duplicate,
        // An exit that was kept and is older than the entry does not end it.
        (Direction::Out, Some(since)) if since <= at => ScanResult::Accepted,
        (Direction::Out, _) => ScanResult::NotInside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TicketKeys;
    use crate::tickets::TicketSigner;
    use proptest::prelude::*;
    use uuid::Uuid;

    const STARTS_AT: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const ENDS_AT: Timestamp = Timestamp::from_ms(1_790_010_800_000);
    const KEYS: TicketKeys = TicketKeys::new(1, [5; 32]);
    const HOUR_MS: i64 = 3_600_000;

    fn claims() -> TicketClaims {
        TicketClaims::new(7, Uuid::from_u128(99), 2, 12, STARTS_AT..ENDS_AT)
    }

    fn after_start(hours: i64) -> Timestamp {
        Timestamp::from_ms(STARTS_AT.as_ms() + hours * HOUR_MS)
    }

    fn read_at(text: &str, show_no: Option<i32>, at: Timestamp) -> Result<(), ScanResult> {
        read(text, &TicketVerifier::new(&KEYS), show_no, at).1
    }

    #[test]
    fn signature_then_validity_then_show() {
        let good = TicketSigner::new(&KEYS).sign(&claims());
        let forged = TicketSigner::new(&TicketKeys::new(1, [6; 32])).sign(&claims());
        let newer = TicketSigner::new(&TicketKeys::new(9, [6; 32])).sign(&claims());
        for (text, show_no, hours, expected) in [
            (&good, Some(7), 0, Ok(())),
            (&good, None, 0, Ok(())),
            (&good, Some(8), 0, Err(ScanResult::WrongShow)),
            (&good, Some(-1), 0, Err(ScanResult::WrongShow)),
            (&good, Some(7), -13, Err(ScanResult::NotYetValid)),
            (&good, Some(8), -13, Err(ScanResult::NotYetValid)),
            (&good, Some(7), 16, Err(ScanResult::Expired)),
            // Whoever cannot sign learns nothing but that.
            (&forged, Some(8), -13, Err(ScanResult::Forged)),
            (&newer, Some(7), 0, Err(ScanResult::UnknownKey)),
            (
                &"not a ticket".to_owned(),
                Some(7),
                0,
                Err(ScanResult::Unreadable),
            ),
        ] {
            assert_eq!(
                read_at(text, show_no, after_start(hours)),
                expected,
                "{text} {hours}"
            );
        }
    }

    #[test]
    fn what_became_of_the_ticket_goes_before_who_is_inside() {
        let state = |is_void, generation, inside: Option<i64>| {
            Some(TicketState {
                is_void,
                generation,
                inside_since: inside.map(after_start),
            })
        };
        for (ticket, direction, expected) in [
            (None, Direction::In, ScanResult::UnknownTicket),
            (state(false, 2, None), Direction::In, ScanResult::Accepted),
            (state(true, 2, None), Direction::In, ScanResult::Revoked),
            (state(true, 2, Some(0)), Direction::In, ScanResult::Revoked),
            (
                state(true, 2, Some(0)),
                Direction::Out,
                ScanResult::Accepted,
            ),
            (state(true, 2, Some(2)), Direction::Out, ScanResult::Revoked),
            (state(true, 2, None), Direction::Out, ScanResult::Revoked),
            (state(true, 3, None), Direction::In, ScanResult::Revoked),
            (state(false, 3, None), Direction::In, ScanResult::Reissued),
            (state(false, 1, None), Direction::In, ScanResult::Reissued),
            (
                state(false, 3, Some(0)),
                Direction::In,
                ScanResult::Reissued,
            ),
            (
                state(false, 2, Some(0)),
                Direction::In,
                ScanResult::Duplicate,
            ),
            // A kept scan may be older than the entry that was heard of first.
            (
                state(false, 2, Some(2)),
                Direction::In,
                ScanResult::Duplicate,
            ),
            (
                state(false, 2, Some(0)),
                Direction::Out,
                ScanResult::Accepted,
            ),
            (
                state(false, 2, Some(1)),
                Direction::Out,
                ScanResult::Accepted,
            ),
            (
                state(false, 2, Some(2)),
                Direction::Out,
                ScanResult::NotInside,
            ),
            (state(false, 2, None), Direction::Out, ScanResult::NotInside),
        ] {
            let decided = decide(&claims(), ticket.as_ref(), direction, after_start(1));
            assert_eq!(decided, expected, "{ticket:?} {direction:?}");
        }
    }

    #[test]
    fn a_wrong_clock_of_a_device_is_set_right() {
        let received = after_start(2);
        for (at, sent_at, expected) in [
            (1, None, 1),
            (1, Some(2), 1),
            // Five hours ahead, five hours behind.
            (6, Some(7), 1),
            (-4, Some(-3), 1),
            // Ahead, and nobody knows by how much.
            (6, None, 2),
            // Scanned after it was sent: the clock was set back meanwhile.
            (9, Some(7), 2),
            // A clock that starts at some fixed date, with and without knowing it.
            (-90_000, Some(-90_000 + 1), 1),
            (-90_000, None, 2),
        ] {
            let sent_at = sent_at.map(after_start);
            let happened = happened_at(after_start(at), sent_at, received);
            assert_eq!(happened, after_start(expected), "{at} {sent_at:?}");
        }
    }

    /// A person with a ticket, as the database sees scans of it: one after the other.
    fn replayed(scans: &[(Direction, i64)]) -> Vec<ScanResult> {
        let mut inside_since = None;
        let one = |&(direction, ms): &(Direction, i64)| {
            let at = Timestamp::from_ms(STARTS_AT.as_ms() + ms);
            let ticket = TicketState {
                is_void: false,
                generation: 2,
                inside_since,
            };
            let result = decide(&claims(), Some(&ticket), direction, at);
            if result == ScanResult::Accepted {
                inside_since = (direction == Direction::In).then_some(at);
            }
            result
        };
        scans.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn between_two_entries_there_is_an_exit(
            scans in proptest::collection::vec(
                (prop_oneof![Just(Direction::In), Just(Direction::Out)], 0..1000_i64), 0..40),
        ) {
            let results = replayed(&scans);
            let accepted = scans.iter().zip(results);
            let accepted: Vec<Direction> = accepted
                .filter(|(_, result)| *result == ScanResult::Accepted)
                .map(|((direction, _), _)| *direction)
                .collect();
            prop_assert!(accepted.first().is_none_or(|first| *first == Direction::In));
            prop_assert!(accepted.windows(2).all(|pair| pair[0] != pair[1]));
        }

        #[test]
        fn no_clock_puts_a_scan_outside_of_what_is_possible(
            at in any::<i64>(), sent_at in proptest::option::of(any::<i64>()),
        ) {
            let received = STARTS_AT;
            let at = Timestamp::from_ms(at);
            let happened = happened_at(at, sent_at.map(Timestamp::from_ms), received);
            prop_assert!(happened <= received && happened >= received.minus(KEPT_MAX));
        }

        #[test]
        fn how_wrong_a_clock_is_makes_no_difference(
            age_ms in 0..(70 * HOUR_MS), ahead_ms in -(40_000 * HOUR_MS)..(40_000 * HOUR_MS),
        ) {
            let shifted = |ms: i64| Timestamp::from_ms(STARTS_AT.as_ms() + ms);
            let (at, sent_at) = (shifted(ahead_ms - age_ms), shifted(ahead_ms));
            let happened = happened_at(at, Some(sent_at), STARTS_AT);
            prop_assert_eq!(happened, shifted(-age_ms));
        }
    }
}
