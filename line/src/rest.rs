//! Whether a room rests on this gateway: nobody is there, and its tasks wait until something
//! happens instead of looking many times a second.
//!
//! Each task of the room says after its rounds whether it found nothing left to do. Once all have
//! said so since something last stirred the room, it rests. A visitor at this gateway, a change of
//! settings or a moment of the schedule ends the rest at once; what happens at other gateways is
//! looked for about once a second, for all resting rooms together: see `rounds`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval};

/// How long a rest lasts at most. Then the tasks make their rounds once more: keys are reserved
/// ahead, and whatever else nobody thought of is put right.
pub const REST_MAX: Duration = Duration::from_mins(10);

/// A task that works on a room in rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Calls visitors, as the leader.
    Calls,
    /// Keeps the books, as the leader.
    Books,
    /// Reads notices and snapshots.
    Follower,
    /// Stands for the presence of connected fans.
    Presence,
}

impl Task {
    /// All of them.
    const ALL: [Self; 4] = [Self::Calls, Self::Books, Self::Follower, Self::Presence];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A round of a task, as of when it began: what it finds is void if the room is stirred meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round(u64);

/// Whether one room rests.
pub struct Rest {
    state: Mutex<State>,
    /// Since when it rests.
    since: watch::Sender<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    /// How often the room was stirred.
    stirs: u64,
    /// The tasks that found nothing to do since, by their bits.
    idle: u8,
}

impl Default for Rest {
    /// Awake.
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            since: watch::Sender::new(None),
        }
    }
}

impl Rest {
    /// Ends the rest, or keeps it from beginning before every task has made a whole round: to be
    /// called after whatever gives a task something to do, so that the round sees it.
    pub fn stir(&self) {
        let mut state = self.lock();
        state.stirs += 1;
        self.set_idle(&mut state, 0);
    }

    /// Begins a round.
    pub fn round(&self) -> Round {
        Round(self.lock().stirs)
    }

    /// Notes whether `task` has nothing left to do, by what it found in `round`.
    pub fn note(&self, task: Task, round: Round, is_idle: bool) {
        let mut state = self.lock();
        if state.stirs != round.0 {
            return;
        }
        let others = state.idle & !task.bit();
        let own = if is_idle { task.bit() } else { 0 };
        self.set_idle(&mut state, others | own);
    }

    /// How long the room has rested; `None` while it does not.
    pub fn lasts(&self) -> Option<Duration> {
        let since = *self.since.borrow();
        since.map(|since| since.elapsed())
    }

    /// Waits until the room does not rest.
    pub async fn over(&self) {
        let mut since = self.since.subscribe();
        // The sender is this room's own.
        let _open = since.wait_for(Option::is_none).await;
    }

    /// Waits for the next of `ticks`, and then until the room does not rest. Whether it did.
    pub async fn next_round(&self, ticks: &mut Interval) -> bool {
        self.next_round_told(ticks, || {}).await
    }

    /// Like [`Rest::next_round`], and tells that there is a rest before waiting for its end.
    pub async fn next_round_told(&self, ticks: &mut Interval, tell: impl FnOnce()) -> bool {
        ticks.tick().await;
        if self.lasts().is_none() {
            return false;
        }
        tell();
        self.over().await;
        // The round that follows is the first; the next comes a whole period later.
        ticks.reset();
        true
    }

    /// Begins or ends the rest, if that is what it comes to.
    fn set_idle(&self, state: &mut State, idle: u8) {
        let all = Task::ALL.iter().fold(0, |all, task| all | task.bit());
        let was_idle = std::mem::replace(&mut state.idle, idle);
        if (was_idle == all) != (idle == all) {
            let since = (idle == all).then(Instant::now);
            self.since.send_replace(since);
        }
    }

    /// The fields hold no invariant that a panic could break half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(rest: &Rest) {
        for task in Task::ALL {
            rest.note(task, rest.round(), true);
        }
    }

    #[tokio::test]
    async fn a_room_rests_when_all_of_its_tasks_are_idle() {
        for missing in Task::ALL {
            let rest = Rest::default();
            for task in Task::ALL {
                rest.note(task, rest.round(), task != missing);
            }
            assert!(rest.lasts().is_none(), "{missing:?} has something to do");
            rest.note(missing, rest.round(), true);
            assert!(rest.lasts().is_some());
        }
    }

    #[tokio::test]
    async fn a_task_that_has_something_to_do_again_keeps_the_room_awake() {
        let rest = Rest::default();
        rest.note(Task::Follower, rest.round(), true);
        rest.note(Task::Follower, rest.round(), false);
        for task in [Task::Calls, Task::Books, Task::Presence] {
            rest.note(task, rest.round(), true);
        }
        assert!(rest.lasts().is_none());
    }

    #[tokio::test]
    async fn a_round_that_was_under_way_when_the_rest_began_ends_it() {
        let rest = Rest::default();
        let round = rest.round();
        settle(&rest);
        rest.note(Task::Calls, round, true);
        assert!(rest.lasts().is_some());
        rest.note(Task::Calls, round, false);
        assert!(rest.lasts().is_none());
    }

    #[tokio::test]
    async fn what_a_round_found_before_a_stir_counts_for_nothing() {
        let rest = Rest::default();
        let others = || {
            for task in [Task::Books, Task::Follower, Task::Presence] {
                rest.note(task, rest.round(), true);
            }
        };
        others();
        let round = rest.round();
        rest.stir();
        rest.note(Task::Calls, rest.round(), true);
        assert!(rest.lasts().is_none(), "the others have not looked since");
        rest.stir();
        others();
        rest.note(Task::Calls, round, true);
        assert!(rest.lasts().is_none(), "it began to look before");
        rest.note(Task::Calls, rest.round(), true);
        assert!(rest.lasts().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stir_ends_the_rest_at_once_and_ticks_go_on_from_there() {
        let period = Duration::from_millis(100);
        let rest = Rest::default();
        let mut ticks = tokio::time::interval(period);
        assert!(!rest.next_round(&mut ticks).await);
        settle(&rest);
        let began = Instant::now();
        let stirred = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            rest.stir();
        };
        let (has_rested, ()) = tokio::join!(rest.next_round(&mut ticks), stirred);
        assert!(has_rested);
        assert_eq!(began.elapsed(), Duration::from_mins(1));
        assert!(!rest.next_round(&mut ticks).await);
        assert_eq!(began.elapsed(), Duration::from_mins(1) + period);
    }
}
