//! What follows from an attempt to deliver. Pure.

use std::time::Duration;

use contract::Timestamp;

use crate::payments::backoff;

/// The pause after the first failure.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
/// The longest pause that we choose.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// The longest pause that a receiver may ask for.
pub(crate) const ASKED_PAUSE_MAX: Duration = Duration::from_hours(12);
/// A delivery that failed for so long becomes a dead letter.
pub(crate) const TRIED_FOR: Duration = Duration::from_hours(3 * 24);
/// A subscription of which nothing was taken for so long is disabled.
pub(crate) const FAILING_MAX: Duration = Duration::from_hours(5 * 24);

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// What went wrong before an answer.
    pub(crate) error: Option<String>,
    /// How long the receiver wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Called {
    /// Whether the receiver has it.
    pub(crate) fn is_taken(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the receiver wants no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    /// What went wrong, for people.
    pub(crate) fn failure(&self) -> Option<String> {
        if self.is_taken() {
            return None;
        }
        let answered = || format!("answered {}", self.status.unwrap_or_default());
        Some(self.error.clone().unwrap_or_else(answered))
    }

    pub(super) fn failed(error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is done.
    Delivered,
    /// Another attempt then.
    Again(Timestamp),
    /// It is a dead letter.
    GiveUp,
}

/// What follows from attempt number `attempts` of a delivery that waits since `due_since`. `chance`
/// is random, so that what failed together is not tried together again.
pub(crate) fn next(
    called: &Called,
    attempts: i32,
    due_since: Timestamp,
    chance: u64,
    now: Timestamp,
) -> Next {
    if called.is_taken() {
        return Next::Delivered;
    }
    let failures = u32::try_from(attempts.max(1) - 1).unwrap_or(0);
    let pause = backoff::wait(failures, PAUSE_FIRST, PAUSE_MAX, called.retry_after, chance);
    let again = now.plus(pause);
    if !called.is_gone() && again.since(due_since) > TRIED_FOR {
        Next::GiveUp
    } else {
        Next::Again(again)
    }
}

/// Why a subscription that fails since `failing_since` is disabled now, if it is.
pub(crate) fn disabled_because(
    called: &Called,
    failing_since: Timestamp,
    now: Timestamp,
) -> Option<&'static str> {
    if called.is_gone() {
        Some("the receiver answered 410 Gone")
    } else if !called.is_taken() && now.since(failing_since) > FAILING_MAX {
        Some("the receiver took nothing for five days")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn answered(status: u16) -> Called {
        Called {
            status: Some(status),
            ..Called::default()
        }
    }

    #[test]
    fn failures_are_tried_again_until_they_are_dead_letters() {
        assert_eq!(next(&answered(204), 1, NOW, 0, NOW), Next::Delivered);
        for status in [301, 400, 429, 500, 503] {
            let Next::Again(at) = next(&answered(status), 1, NOW, 0, NOW) else {
                panic!("{status}");
            };
            assert!(
                at > NOW.plus(Duration::from_secs(2)) && at <= NOW.plus(PAUSE_FIRST),
                "{status}"
            );
        }
        let late = NOW.plus(TRIED_FOR);
        assert_eq!(next(&answered(500), 80, NOW, 0, late), Next::GiveUp);
        let before = late.minus(PAUSE_MAX);
        assert!(matches!(
            next(&answered(500), 80, NOW, 0, before),
            Next::Again(_)
        ));
    }

    #[test]
    fn a_receiver_that_asks_for_a_pause_gets_it() {
        let busy = Called {
            retry_after: Some(Duration::from_mins(20)),
            ..answered(429)
        };
        let Next::Again(at) = next(&busy, 1, NOW, 999, NOW) else {
            panic!("given up");
        };
        assert!(at >= NOW.plus(Duration::from_mins(20)));
    }

    #[test]
    fn gone_disables_at_once_and_failing_after_days() {
        assert!(disabled_because(&answered(410), NOW, NOW).is_some());
        // Nothing is lost meanwhile: it is tried again when the subscription is enabled.
        assert!(matches!(
            next(&answered(410), 90, NOW, 0, NOW.plus(TRIED_FOR)),
            Next::Again(_)
        ));
        let late = NOW.plus(FAILING_MAX + Duration::from_secs(1));
        assert!(disabled_because(&answered(500), NOW, late).is_some());
        assert!(disabled_because(&answered(200), NOW, late).is_none());
        assert!(disabled_because(&answered(500), NOW, NOW.plus(FAILING_MAX)).is_none());
    }
}
