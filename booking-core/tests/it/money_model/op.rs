//! What may happen.

use proptest::prelude::*;

/// One step. A number chooses among what there is: fans, holds, attempts, bookings, events.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Hold {
        fan: u8,
        seats: [bool; 3],
    },
    Release {
        hold: u8,
    },
    Start {
        hold: u8,
    },
    Confirm {
        attempt: u8,
    },
    Bank {
        attempt: u8,
        does: Bank,
    },
    /// An event arrives: for the first time, again, late, or after newer ones.
    Webhook {
        event: u8,
    },
    /// All events arrive at once, the newest first, those twice that `doubled` chooses.
    Flood {
        doubled: u8,
    },
    Work(Work),
    /// A confirmation, an event, a poll and the sweeper at the same time.
    Race {
        attempt: u8,
        event: u8,
    },
    Pass {
        seconds: u64,
    },
    Cancel {
        booking: u8,
        tickets: [bool; 3],
        by: By,
    },
    /// Somebody refunds in the provider's dashboard: a share of what is left there, in percent.
    Dashboard {
        attempt: u8,
        percent: u8,
    },
    /// The newest refund of an attempt ends at the customer's bank.
    RefundEnds {
        attempt: u8,
        well: bool,
    },
    /// Refunds stay under way from now on, or succeed at once.
    RefundsWait(bool),
    Dispute {
        attempt: u8,
    },
    DisputeEnds {
        attempt: u8,
        won: bool,
    },
    Provider(Health),
    Scan {
        booking: u8,
        ticket: u8,
    },
    /// The process dies and another takes over.
    Crash,
}

/// What a customer and a bank do with an intent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bank {
    Pays,
    PaysOther,
    Declines,
    Works,
    Asks,
}

/// A round of background work.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Inbox,
    Poll,
    Refunds,
    Sweep,
    Notices,
    Mail,
    Reconcile,
}

/// Who cancels.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Fan,
    Operator,
    OperatorByPolicy,
}

/// How the provider answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Health {
    Up,
    Down,
    LosesAnswers,
    RateLimited,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let seats = || any::<[bool; 3]>();
    let bank = prop_oneof![
        6 => Just(Bank::Pays),
        1 => Just(Bank::PaysOther),
        2 => Just(Bank::Declines),
        1 => Just(Bank::Works),
        1 => Just(Bank::Asks),
    ];
    let work = prop_oneof![
        3 => Just(Work::Inbox),
        3 => Just(Work::Poll),
        2 => Just(Work::Refunds),
        2 => Just(Work::Sweep),
        1 => Just(Work::Notices),
        1 => Just(Work::Mail),
        1 => Just(Work::Reconcile),
    ];
    let by = prop_oneof![
        3 => Just(By::Fan),
        1 => Just(By::Operator),
        1 => Just(By::OperatorByPolicy),
    ];
    let health = prop_oneof![
        3 => Just(Health::Up),
        1 => Just(Health::Down),
        1 => Just(Health::LosesAnswers),
        1 => Just(Health::RateLimited),
    ];
    let span = prop_oneof![4 => Just(5_u64), 2 => Just(61), 4 => Just(301), 1 => Just(1_201)];
    prop_oneof![
        8 => (any::<u8>(), seats()).prop_map(|(fan, seats)| Op::Hold { fan, seats }),
        1 => any::<u8>().prop_map(|hold| Op::Release { hold }),
        8 => any::<u8>().prop_map(|hold| Op::Start { hold }),
        6 => any::<u8>().prop_map(|attempt| Op::Confirm { attempt }),
        10 => (any::<u8>(), bank).prop_map(|(attempt, does)| Op::Bank { attempt, does }),
        4 => any::<u8>().prop_map(|event| Op::Webhook { event }),
        1 => any::<u8>().prop_map(|doubled| Op::Flood { doubled }),
        8 => work.prop_map(Op::Work),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(attempt, event)| Op::Race { attempt, event }),
        6 => span.prop_map(|seconds| Op::Pass { seconds }),
        6 => (any::<u8>(), seats(), by)
            .prop_map(|(booking, tickets, by)| Op::Cancel { booking, tickets, by }),
        2 => (any::<u8>(), prop_oneof![Just(40_u8), Just(100)])
            .prop_map(|(attempt, percent)| Op::Dashboard { attempt, percent }),
        2 => (any::<u8>(), any::<bool>())
            .prop_map(|(attempt, well)| Op::RefundEnds { attempt, well }),
        1 => any::<bool>().prop_map(Op::RefundsWait),
        1 => any::<u8>().prop_map(|attempt| Op::Dispute { attempt }),
        1 => (any::<u8>(), any::<bool>())
            .prop_map(|(attempt, won)| Op::DisputeEnds { attempt, won }),
        2 => health.prop_map(Op::Provider),
        2 => (any::<u8>(), any::<u8>())
            .prop_map(|(booking, ticket)| Op::Scan { booking, ticket }),
        1 => Just(Op::Crash),
    ]
}
