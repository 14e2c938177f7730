//! What can happen to a line.

use proptest::prelude::*;

/// Fans that take part: few, so that operations meet.
pub(super) const FANS: u8 = 8;
const OPS_MAX: usize = 80;
/// The most that are called at a time.
pub(super) const BATCH_MAX: u8 = 3;

/// How the log fails a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFailure {
    /// The leader dies, or loses the database, between popping and appending.
    BeforeAppend,
    /// The batch is appended, and the leader dies before it knows.
    AfterAppend,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Join(u8),
    /// Joins with the nonce alone, as someone who lost their cookie.
    JoinAnew(u8),
    Look(u8),
    Return(u8),
    GoAbsent(u8),
    Leave(u8),
    Claim(u8),
    EndSession(u8),
    /// One of two gateways tries to lead.
    Tick(u8),
    AdvanceTime {
        ms: u64,
    },
    ChangeRate {
        calls_per_minute: u64,
    },
    /// Calls are made so many at a time, or evenly.
    ChangeBatch(Option<u64>),
    Pause(bool),
    /// A gateway is killed with the connections of its fans, and another process takes its place.
    GatewayDies(u8),
    /// A gateway leads for so long that whoever has gone is found out, and the others go on.
    LeadOn(u8),
    /// The store forgets everything.
    StoreWipe,
    /// A replica of the store is up to date for the last time.
    StoreLags,
    /// The store is that replica now.
    StoreGoesBack,
    /// Two servers of the store die shortly after one another, each with the second in which one
    /// of these fans joined.
    TwoFailovers(u8, u8),
    /// The answer to the last operation was lost, so it is asked again.
    LoseResponse,
    /// The next append fails.
    LeaderDies(LogFailure),
    DatabaseAway(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let fan = 0..FANS;
    prop_oneof![
        10 => fan.clone().prop_map(Op::Join),
        3 => fan.clone().prop_map(Op::JoinAnew),
        5 => fan.clone().prop_map(Op::Look),
        4 => fan.clone().prop_map(Op::Return),
        2 => fan.clone().prop_map(Op::GoAbsent),
        3 => fan.clone().prop_map(Op::Leave),
        8 => fan.clone().prop_map(Op::Claim),
        3 => fan.clone().prop_map(Op::EndSession),
        20 => (0..2u8).prop_map(Op::Tick),
        8 => (1..400u64).prop_map(|ms| Op::AdvanceTime { ms }),
        5 => (400..9_000u64).prop_map(|ms| Op::AdvanceTime { ms }),
        2 => prop_oneof![Just(60), Just(120), Just(300)]
            .prop_map(|calls_per_minute| Op::ChangeRate { calls_per_minute }),
        2 => prop_oneof![Just(None), (1..=BATCH_MAX).prop_map(|size| Some(size.into()))].prop_map(Op::ChangeBatch),
        2 => prop::bool::weighted(0.3).prop_map(Op::Pause),
        3 => (0..2u8).prop_map(Op::GatewayDies),
        2 => (0..2u8).prop_map(Op::LeadOn),
        2 => Just(Op::StoreWipe),
        4 => Just(Op::StoreLags),
        3 => Just(Op::StoreGoesBack),
        2 => (fan.clone(), fan.clone()).prop_map(|(a, b)| Op::TwoFailovers(a, b)),
        3 => Just(Op::LoseResponse),
        3 => prop_oneof![Just(LogFailure::BeforeAppend), Just(LogFailure::AfterAppend)]
            .prop_map(Op::LeaderDies),
        2 => prop::bool::weighted(0.3).prop_map(Op::DatabaseAway),
    ]
}

/// Lists of operations. In half of them the room collects at first, and whoever joins draws.
pub(super) fn lists() -> impl Strategy<Value = Vec<Op>> {
    let ops = prop::collection::vec(op(), 1..OPS_MAX);
    (any::<bool>(), ops).prop_map(|(collects, mut ops)| {
        if collects {
            ops.insert(0, Op::Pause(true));
        }
        ops
    })
}
