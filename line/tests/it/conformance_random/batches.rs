//! Batches in which places of every standing are at the door at once, many of them several times:
//! a store that reads and writes a whole batch at once must answer as if it did so entry by entry.

use line::store::{Enter, Entered, Entry, OnceOpen, Standing};
use proptest::prelude::*;

use super::{EnterOp, Op, Subject, beginning, check, enter_op, place};
use crate::conformance::Backing;

/// Places that stand in every way there is, once [`every_standing`] was applied.
const PLACES_OF_EVERY_STANDING: u8 = 14;
const BATCHES_MAX: usize = 8;
const BATCH_CASES: u32 = 48;

/// Brings places into every standing there is.
fn every_standing() -> Vec<Op> {
    let join = |place, key, connected| EnterOp {
        place,
        key,
        enter: Enter::Join,
        connected,
    };
    let pop = |count| Op::Pop {
        count,
        cap: 99,
        stale: false,
    };
    vec![
        // 0 is in a session, 1 is over, 2 missed the turn, 3 gave up a live place.
        Op::Prepare {
            epoch_step: 0,
            served: 4,
        },
        Op::Enter(vec![
            join(4, Some(0), true),
            join(5, Some(1), false),
            join(6, Some(2), false),
            join(7, Some(3), true),
            join(8, Some(4), false),
            join(9, None, true),
            join(10, Some(8), false),
            join(11, None, true),
            join(12, Some(6), false),
        ]),
        Op::Leave(11),
        Op::Leave(12),
        // 4 is called, 5 is in a session, 6 has ended one.
        Op::Tick { leader: 0 },
        pop(3),
        Op::Publish { wrong: false },
        Op::Claim(5),
        Op::Claim(6),
        Op::End(6),
        // 7 and 8 are popped, and 8 has left. 13 was never here.
        Op::Tick { leader: 0 },
        pop(2),
        Op::Leave(8),
        Op::Notices,
    ]
}

/// One batch in which every place is at the door, many of them several times.
fn batch() -> impl Strategy<Value = Op> {
    let each: Vec<_> = (0..PLACES_OF_EVERY_STANDING)
        .map(|place| enter_op(Just(place)))
        .collect();
    let again = prop::collection::vec(enter_op(0..PLACES_OF_EVERY_STANDING), 0..20);
    (each, again)
        .prop_map(|(each, again)| [each, again].concat())
        .prop_shuffle()
        .prop_map(Op::Enter)
}

/// A batch, or what changes how the places stand before the next one.
fn batch_or_change() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => batch(),
        2 => (0..6000u64).prop_map(Op::Advance),
        2 => Just(Op::Tick { leader: 0 }),
        1 => Just(Op::Publish { wrong: false }),
        // The room opens.
        1 => (0..9u64).prop_map(|present_within| Op::Snapshots { present_within }),
        1 => (0..PLACES_OF_EVERY_STANDING).prop_map(Op::Leave),
        1 => Just(Op::FailOver),
        1 => (1..2u64, 0..9u64).prop_map(|(term_step, count)| Op::Confirm { term_step, count }),
    ]
}

/// Shows what earlier operations left: the journal, notices, and who counts as present.
fn what_is_left() -> Vec<Op> {
    let lapse = |gateway| Op::Lapse {
        gateway,
        seconds: 0,
        stale: false,
    };
    let present = |gateway| Op::Present {
        gateway,
        surplus: 0,
    };
    vec![
        Op::Outcomes { done: false },
        Op::Notices,
        present(0),
        present(1),
        Op::Advance(3000),
        Op::Tick { leader: 0 },
        lapse(0),
        lapse(1),
        Op::Advance(3000),
        Op::Tick { leader: 0 },
        Op::Notices,
    ]
}

#[test]
fn redis_answers_batches_of_every_standing_as_the_model_does() {
    let batches = prop::collection::vec(batch_or_change(), 1..BATCHES_MAX);
    let ops = batches.prop_map(|ops| [every_standing(), ops, what_is_left()].concat());
    check("batch", BATCH_CASES, &ops);
}

#[tokio::test]
async fn a_batch_meets_places_of_every_standing() {
    let mut model = Subject::new(Backing::memory(), "standings");
    for op in beginning().into_iter().chain(every_standing()) {
        model.apply(&op).await;
    }
    let look = |n| Entry {
        place: place(n),
        key: None,
        once_open: OnceOpen::Keep,
        enter: Enter::Look,
        connected_to: None,
    };
    let looks: Vec<_> = (0..PLACES_OF_EVERY_STANDING).map(look).collect();
    let entered = model
        .store
        .places_enter(&model.room, model.now, 0, &looks)
        .await
        .unwrap();
    let standing = |entered: Option<Entered>| match entered.unwrap().standing {
        Standing::Waiting { .. } => "waiting",
        Standing::Called { .. } => "called",
        Standing::Active { .. } => "active",
        Standing::Missed { .. } => "missed",
        Standing::Left => "left",
        Standing::Ended => "ended",
        Standing::Unknown => "unknown",
    };
    let standings: Vec<_> = entered.into_iter().map(standing).collect();
    let expected = [
        "active", "ended", "missed", "left", "called", "active", "ended", "waiting", "left",
        "waiting", "waiting", "left", "left", "unknown",
    ];
    assert_eq!(standings, expected);
    let popped = model.store.call_pending(&model.room).await.unwrap();
    let popped: Vec<_> = popped.places.iter().map(|(place, _)| *place).collect();
    assert_eq!(popped, [place(7), place(8)]);
}
