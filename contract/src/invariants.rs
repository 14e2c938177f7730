//! What Ropeline promises. Each promise is written once, under the name that code, tests, audits,
//! metrics and documents use.
//!
//! The simulation of the line, the audit of the load test, `ropeline check` and the counter of
//! breaches in production name the promises from here; `docs/ARCHITECTURE.md` has the same names
//! and statements, and says where each is enforced.

use std::fmt::{self, Display};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// The name.
    pub name: &'static str,
    /// What holds.
    pub statement: &'static str,
    /// How it is checked, besides by tests.
    pub check: &'static str,
}

impl Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! invariants {
    ($($id:ident = $name:literal, $statement:literal, $check:literal;)+) => {
        $(
            #[doc = concat!($statement, ".")]
            pub const $id: Invariant = Invariant {
                name: $name,
                statement: $statement,
                check: $check,
            };
        )+

        /// Every promise.
        pub const ALL: &[Invariant] = &[$($id),+];
    };
}

invariants! {
    PLACE_ONCE = "PLACE-ONCE",
        "A visitor has at most one place in a room; joining again gives the same",
        "audit: no two fans share a token, a key or a place, and no place is called twice";
    ORDER = "ORDER",
        "Of two places present in line, the one with the smaller order key is called first",
        "audit: while a fan is present, no larger key is in the log; keys follow arrivals";
    NO_LOSS = "NO-LOSS",
        "A place that is neither served nor given up, and was there for its draw, is never sent behind one that joined after it, even after Redis is wiped",
        "audit: whoever has a place is called, inside or still known at the end, and was told of a call";
    RATE = "RATE",
        "Calls in any window `w` ≤ rate · w + one tick's worth + what unclaimed calls gave back in it or in the half minute before; \
         within 1 % over 10 s while fans wait. In stand-by up to three seconds' worth more, which nobody used before; \
         in a room with `callBatch` up to one batch more, and within 1 % over the batches",
        "audit: calls of the log in every window of ten seconds";
    ENTRIES = "ENTRIES",
        "With steady shares of shows and delays of claims, entries in any minute ≤ 1.05 · rate + one tick's worth, or one batch with `callBatch`; \
         after a change the excess is at most the calls outstanding then",
        "audit: claims in every minute, by the figures of the room";
    STANDBY = "STANDBY",
        "In a queueing room without `queueAll` nobody sees the page below the limits, above them rate and cap hold, and nobody goes straight in past those who wait",
        "tests alone";
    PRESENT = "PRESENT",
        "Where `drawRequiresPresence` is on, a place that draws was seen within `absenceTimeout` before the opening; \
         a called place was seen within that time, and a gateway's lease, before the call",
        "tests alone";
    CAP = "CAP",
        "Popped, called and active places together ≤ `totalActiveUsers`",
        "audit: the figures of the room, once a second";
    REDEEM_ONCE = "REDEEM-ONCE",
        "A call yields one session, however often and from however many devices it is claimed",
        "audit: claims at once and passes of one call name one session";
    LOGGED_FIRST = "LOGGED-FIRST",
        "No pass leaves before its admission is in the durable log",
        "audit: every pass stands in the log; production: the line is never ahead of the log";
    DRAW = "DRAW",
        "Prequeue order is a function of the committed seed and the fans' nonces, and nobody draws who can know the seed",
        "anyone: `ropeline draw verify`, and the page of every fan";
    GATE = "GATE",
        "No request reaches a protected upstream without a valid pass, but for named reasons that are \
         counted: `exempt`, `checkin`, `holder`, `link`, `last-page`, `idle`, `passthrough`, `suspended`, `fail-open`",
        "tests alone";
    ONE_SEAT = "ONE-SEAT",
        "A seat has at most one live ticket; a hold has all of its seats or none",
        "audit: bookings, holds and the seat map; `ropeline check`: I01 to I07, I15 to I17";
    ONE_CHARGE = "ONE-CHARGE",
        "Captured money ends as exactly one booking or a full refund",
        "audit: the provider's ledger; `ropeline check`: I08 to I14, I18, I19, I43, I45, I47, I61 to I63";
    TOLD = "TOLD",
        "Each booking, each ticket holder of a moved show and each call of a fan who asked has one notice, \
         which is sent at least once under one Message-ID, or is listed for an operator",
        "`ropeline check`: I23, I24, I55 to I57";
    LOG_WHOLE = "LOG-WHOLE",
        "What happened is in the log of events once, in an order that never changes and without a gap; \
         whoever has read up to a position misses nothing by reading on after it",
        "`ropeline check`: I48, I49, I50, I51";
    ADMIT_ONCE = "ADMIT-ONCE",
        "Between two accepted entries with one ticket there is an accepted exit, and none is accepted after the ticket was revoked; \
         whoever a scanner without a network let in against this is listed as a conflict, with both devices",
        "`ropeline check`: I40 to I42";
    BOUNDED = "BOUNDED",
        "Every queue, buffer, retry and cache has a named limit",
        "tests; `ropeline check`: I30, I44, I46";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_promises_have_one_name() {
        let names: BTreeSet<_> = ALL.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
