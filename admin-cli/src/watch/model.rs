//! What the live view knows and how keys and answers change it. No terminal, no network.

use std::collections::VecDeque;

use contract::RoomId;
use contract::line::Phase;
use contract::room::RoomStats;

/// Samples kept for the sparklines: five minutes at one a second.
pub const HISTORY_MAX: usize = 300;

/// Share by which `+` and `-` change the rate: a tenth.
const RATE_STEP_DIVISOR: u64 = 10;

/// A key, as far as it means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Leave.
    Quit,
    /// Pause, or resume when paused.
    PauseOrResume,
    /// Raise the rate.
    Faster,
    /// Lower the rate.
    Slower,
    /// Agree with the question.
    Yes,
    /// Anything else; takes a question back.
    Other,
}

/// What the view wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Leave.
    Quit,
    /// Stop calling.
    Pause,
    /// Go on calling.
    Resume,
    /// Call so many a minute.
    SetRate(u64),
}

/// The live view of one room.
#[derive(Clone, Debug)]
pub struct WatchModel {
    room: RoomId,
    stats: Option<RoomStats>,
    stale: Option<String>,
    line: VecDeque<u64>,
    calls: VecDeque<u64>,
    question: Option<Wish>,
    notice: Option<String>,
}

impl WatchModel {
    /// A view that has seen nothing yet.
    pub fn new(room: RoomId) -> Self {
        Self {
            room,
            stats: None,
            stale: None,
            line: VecDeque::with_capacity(HISTORY_MAX),
            calls: VecDeque::with_capacity(HISTORY_MAX),
            question: None,
            notice: None,
        }
    }

    /// The room.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// The last numbers.
    pub fn stats(&self) -> Option<&RoomStats> {
        self.stats.as_ref()
    }

    /// Why the numbers are old, while the gateway cannot be reached.
    pub fn stale(&self) -> Option<&str> {
        self.stale.as_deref()
    }

    /// Lengths of the line, oldest first.
    pub fn line_history(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.line.iter().copied()
    }

    /// Calls per second in tenths, oldest first.
    pub fn calls_history(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.calls.iter().copied()
    }

    /// Takes fresh numbers.
    pub fn take_stats(&mut self, stats: RoomStats) {
        push(&mut self.line, stats.in_line);
        push(&mut self.calls, tenths(stats.calls_per_second));
        self.stats = Some(stats);
        self.stale = None;
    }

    /// Keeps the last numbers, marked as old.
    pub fn lose_contact(&mut self, why: impl Into<String>) {
        self.stale = Some(why.into());
    }

    /// Shows how a wish ended.
    pub fn tell(&mut self, notice: impl Into<String>) {
        self.notice = Some(notice.into());
    }

    /// Reacts to a key. Changes are asked about first: only a following `Yes` makes them.
    pub fn press(&mut self, key: Key) -> Option<Wish> {
        self.notice = None;
        if let Some(asked) = self.question.take() {
            return (key == Key::Yes).then_some(asked);
        }
        if key == Key::Quit {
            return Some(Wish::Quit);
        }
        let Some(stats) = &self.stats else {
            return None;
        };
        let rate = stats.new_users_per_minute;
        let step = (rate / RATE_STEP_DIVISOR).max(1);
        self.question = match key {
            Key::PauseOrResume if stats.phase == Phase::Paused => Some(Wish::Resume),
            Key::PauseOrResume => Some(Wish::Pause),
            Key::Faster => Some(Wish::SetRate(rate.saturating_add(step))),
            // A rate of zero is a pause that nobody explains; there is a key for pausing.
            Key::Slower if rate > 1 => Some(Wish::SetRate(rate - step.min(rate - 1))),
            _ => None,
        };
        None
    }

    /// The question or the notice, whichever is up.
    pub fn prompt(&self) -> Option<String> {
        let rate = self
            .stats
            .as_ref()
            .map_or(0, |stats| stats.new_users_per_minute);
        match self.question {
            Some(Wish::Pause) => Some(format!("Pause room {}? y/n", self.room)),
            Some(Wish::Resume) => Some(format!("Resume room {}? y/n", self.room)),
            Some(Wish::SetRate(to)) => {
                Some(format!("Change the rate from {rate} to {to} a minute? y/n"))
            }
            Some(Wish::Quit) | None => self.notice.clone(),
        }
    }
}

fn push(history: &mut VecDeque<u64>, sample: u64) {
    if history.len() == HISTORY_MAX {
        history.pop_front();
    }
    history.push_back(sample);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates, and rates are far below the limit"
)]
fn tenths(rate: f64) -> u64 {
    (rate * 10.0).round() as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::watch) fn stats(phase: &str, in_line: u64, rate: u64) -> RoomStats {
        serde_json::from_value(json!({
            "room": "eras", "phase": phase, "inLine": in_line, "absent": 12, "called": 30,
            "active": 450, "joinsTotal": 9000, "callsTotal": 5000, "claimsTotal": 4900,
            "noShowsTotal": 100, "sessionsEndedTotal": 4000, "joinsPerSecond": 55.25,
            "callsPerSecond": 19.9, "claimsPerSecond": 18.0, "noShowShare": 0.02,
            "straightInTotal": 1250, "passedThroughRequests": 40, "passedThroughPasses": 17,
            "entriesPerMinute": 1080, "showShare": 0.975, "limitedBy": "database",
            "expectedWaitSeconds": 750, "actualWaitSeconds": null, "sockets": 4000,
            "newUsersPerMinute": rate, "totalActiveUsers": 500,
            "updatedAt": "2026-11-22T10:00:00.000Z"
        }))
        .unwrap()
    }

    fn model(phase: &str, rate: u64) -> WatchModel {
        let mut model = WatchModel::new("eras".parse().unwrap());
        model.take_stats(stats(phase, 4000, rate));
        model
    }

    fn check(phase: &str, rate: u64, key: Key, wish: Option<Wish>) {
        let mut model = model(phase, rate);
        assert_eq!(model.press(key), None, "{key:?} asks first");
        assert_eq!(model.prompt().is_some(), wish.is_some(), "{key:?}");
        assert_eq!(model.press(Key::Yes), wish, "{phase} {rate} {key:?}");
    }

    #[test]
    fn changes_are_made_only_after_a_yes() {
        check("queueing", 1200, Key::PauseOrResume, Some(Wish::Pause));
        check("paused", 1200, Key::PauseOrResume, Some(Wish::Resume));
        check("queueing", 1200, Key::Faster, Some(Wish::SetRate(1320)));
        check("queueing", 1200, Key::Slower, Some(Wish::SetRate(1080)));
        check("queueing", 5, Key::Faster, Some(Wish::SetRate(6)));
        check("queueing", 2, Key::Slower, Some(Wish::SetRate(1)));
        check("queueing", 1, Key::Slower, None);
        check("queueing", 1200, Key::Other, None);
    }

    #[test]
    fn any_other_key_takes_the_question_back() {
        for key in [Key::Other, Key::Quit, Key::PauseOrResume, Key::Faster] {
            let mut model = model("queueing", 1200);
            model.press(Key::PauseOrResume);
            assert_eq!(model.press(key), None, "{key:?}");
            assert_eq!(model.prompt(), None);
            assert_eq!(model.press(Key::Yes), None, "the question is gone");
        }
    }

    #[test]
    fn without_numbers_only_quit_means_something() {
        let mut model = WatchModel::new("eras".parse().unwrap());
        assert_eq!(model.press(Key::PauseOrResume), None);
        assert_eq!(model.press(Key::Yes), None);
        assert_eq!(model.press(Key::Quit), Some(Wish::Quit));
    }

    #[test]
    fn lost_contact_keeps_the_numbers_until_fresh_ones_come() {
        let mut model = model("queueing", 1200);
        model.lose_contact("refused");
        assert_eq!(model.stale(), Some("refused"));
        assert_eq!(model.stats().unwrap().in_line, 4000);
        model.take_stats(stats("queueing", 3999, 1200));
        assert_eq!(model.stale(), None);
    }

    #[test]
    fn the_history_has_a_limit_and_keeps_the_newest() {
        let mut model = WatchModel::new("eras".parse().unwrap());
        for length in 0..1000 {
            model.take_stats(stats("queueing", length, 1200));
        }
        let line: Vec<u64> = model.line_history().collect();
        assert_eq!(line.len(), HISTORY_MAX);
        assert_eq!(line.last(), Some(&999));
        assert_eq!(model.calls_history().last(), Some(199));
    }
}
