//! What a room is doing, from its settings, the manager's word and the time. Pure.

use contract::Timestamp;
use contract::line::Phase;
use contract::room::{Override, QueueingMethod, RoomSettings};

/// The phase of a room at `now`. The first of these that applies decides:
///
/// 1. `suspended`: [`Phase::Idle`]. A room out of use must never stand in the way of the shop.
/// 2. The manager's word: `Open` queues, `Pause` pauses, `Close` closes, whatever the schedule.
/// 3. `queueingMethod`: `passthrough` is idle, `reject` is closed.
/// 4. The schedule, each time belonging to what it begins:
///    - from `closesAt` on: closed, also with `queueAll`;
///    - from `opensAt` on: queueing;
///    - from `prequeueOpensAt` on: prequeue. Without `opensAt` it lasts until the manager opens;
///    - earlier, or without a schedule: idle, or queueing with `queueAll`.
pub fn phase_at(settings: &RoomSettings, overridden: Option<Override>, now: Timestamp) -> Phase {
    if settings.suspended {
        return Phase::Idle;
    }
    match overridden {
        Some(Override::Open) => return Phase::Queueing,
        Some(Override::Pause) => return Phase::Paused,
        Some(Override::Close) => return Phase::Closed,
        None => {}
    }
    match settings.queueing_method {
        QueueingMethod::Passthrough => return Phase::Idle,
        QueueingMethod::Reject => return Phase::Closed,
        QueueingMethod::Fifo | QueueingMethod::Random => {}
    }
    let reached = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
    if reached(settings.closes_at) {
        Phase::Closed
    } else if reached(settings.opens_at) {
        Phase::Queueing
    } else if reached(settings.prequeue_opens_at) {
        Phase::Prequeue
    } else if settings.queue_all {
        Phase::Queueing
    } else {
        Phase::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREQUEUE: i64 = 1_000;
    const OPENS: i64 = 2_000;
    const CLOSES: i64 = 3_000;

    fn bare() -> RoomSettings {
        serde_json::from_str(r#"{"room": "eras"}"#).unwrap()
    }

    fn scheduled() -> RoomSettings {
        RoomSettings {
            prequeue_opens_at: Some(Timestamp::from_ms(PREQUEUE)),
            opens_at: Some(Timestamp::from_ms(OPENS)),
            closes_at: Some(Timestamp::from_ms(CLOSES)),
            ..bare()
        }
    }

    fn check(settings: &RoomSettings, overridden: Option<Override>, expected: &[(i64, Phase)]) {
        for (ms, phase) in expected {
            assert_eq!(
                phase_at(settings, overridden, Timestamp::from_ms(*ms)),
                *phase,
                "at {ms} with {overridden:?} and {settings:?}"
            );
        }
    }

    #[test]
    fn the_schedule_leads_from_idle_to_closed() {
        check(
            &scheduled(),
            None,
            &[
                (0, Phase::Idle),
                (PREQUEUE - 1, Phase::Idle),
                (PREQUEUE, Phase::Prequeue),
                (OPENS - 1, Phase::Prequeue),
                (OPENS, Phase::Queueing),
                (CLOSES - 1, Phase::Queueing),
                (CLOSES, Phase::Closed),
                (i64::MAX, Phase::Closed),
            ],
        );
    }

    #[test]
    fn queue_all_queues_before_the_schedule_but_not_after_it() {
        let settings = RoomSettings {
            queue_all: true,
            ..scheduled()
        };
        check(
            &settings,
            None,
            &[
                (0, Phase::Queueing),
                (PREQUEUE, Phase::Prequeue),
                (OPENS, Phase::Queueing),
                (CLOSES, Phase::Closed),
            ],
        );
    }

    #[test]
    fn a_room_without_a_schedule_is_idle_unless_it_queues_all() {
        check(&bare(), None, &[(0, Phase::Idle), (OPENS, Phase::Idle)]);
        let all = RoomSettings {
            queue_all: true,
            ..bare()
        };
        check(
            &all,
            None,
            &[(0, Phase::Queueing), (OPENS, Phase::Queueing)],
        );
    }

    #[test]
    fn a_prequeue_without_opening_time_lasts_until_the_manager_opens() {
        let settings = RoomSettings {
            opens_at: None,
            closes_at: None,
            ..scheduled()
        };
        check(
            &settings,
            None,
            &[(0, Phase::Idle), (i64::MAX, Phase::Prequeue)],
        );
        check(&settings, Some(Override::Open), &[(0, Phase::Queueing)]);
    }

    #[test]
    fn a_prequeue_that_was_never_opened_closes_on_time() {
        let settings = RoomSettings {
            opens_at: None,
            ..scheduled()
        };
        check(
            &settings,
            None,
            &[(CLOSES - 1, Phase::Prequeue), (CLOSES, Phase::Closed)],
        );
    }

    #[test]
    fn a_room_with_opening_time_only_goes_from_idle_to_queueing() {
        let settings = RoomSettings {
            prequeue_opens_at: None,
            closes_at: None,
            ..scheduled()
        };
        check(
            &settings,
            None,
            &[(OPENS - 1, Phase::Idle), (OPENS, Phase::Queueing)],
        );
    }

    #[test]
    fn the_managers_word_beats_schedule_and_method() {
        for method in [
            QueueingMethod::Fifo,
            QueueingMethod::Random,
            QueueingMethod::Passthrough,
            QueueingMethod::Reject,
        ] {
            let settings = RoomSettings {
                queueing_method: method,
                ..scheduled()
            };
            for ms in [0, PREQUEUE, OPENS, CLOSES] {
                check(&settings, Some(Override::Open), &[(ms, Phase::Queueing)]);
                check(&settings, Some(Override::Pause), &[(ms, Phase::Paused)]);
                check(&settings, Some(Override::Close), &[(ms, Phase::Closed)]);
            }
        }
    }

    #[test]
    fn the_method_beats_the_schedule() {
        for (method, phase) in [
            (QueueingMethod::Passthrough, Phase::Idle),
            (QueueingMethod::Reject, Phase::Closed),
        ] {
            let settings = RoomSettings {
                queueing_method: method,
                queue_all: true,
                ..scheduled()
            };
            for ms in [0, PREQUEUE, OPENS, CLOSES] {
                check(&settings, None, &[(ms, phase)]);
            }
        }
    }

    #[test]
    fn a_suspended_room_is_idle_whatever_anyone_says() {
        let settings = RoomSettings {
            suspended: true,
            queue_all: true,
            ..scheduled()
        };
        for overridden in [
            None,
            Some(Override::Open),
            Some(Override::Pause),
            Some(Override::Close),
        ] {
            for ms in [0, PREQUEUE, OPENS, CLOSES] {
                check(&settings, overridden, &[(ms, Phase::Idle)]);
            }
        }
    }
}
