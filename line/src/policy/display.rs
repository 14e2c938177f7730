//! What a fan sees of their status: a frame is worth sending only when that changes.
//!
//! Large numbers count as changed after about a twentieth. Where that is differs from fan to fan: with
//! the same steps for all, a whole crowd would be sent frames in one moment and none for seconds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;

use contract::Timestamp;
use contract::line::{PlaceState, WaitEstimate};

use super::order::OrderKey;
use super::status::{RoomView, Seen};

/// Numbers below it are shown exactly.
const EXACT_BELOW: u64 = 100;
/// From one step to the next.
const STEP: f64 = 1.05;

/// What a fan sees, as a hash. Two that are equal look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display(NonZeroU64);

impl Display {
    /// Of the fan with `key` who stands as `seen`: everything but the time of the figures and the
    /// progress of a bar.
    pub fn of(view: &RoomView, key: OrderKey, seen: Seen, now: Timestamp) -> Self {
        let figures = view.figures(key, seen, now);
        let phase = phase(key);
        let mut hasher = DefaultHasher::new();
        (view.phase, figures.state, view.opening_rank(key)).hash(&mut hasher);
        if matches!(figures.state, PlaceState::Prequeue | PlaceState::Waiting) {
            // Figures of the line are shown only to fans who still wait in it.
            let ahead = figures.rank.map(|rank| {
                if rank.exact {
                    Shown::Exactly(rank.ahead)
                } else {
                    Shown::of(rank.ahead, phase)
                }
            });
            let wait = figures.wait.map(WaitEstimate::minutes);
            (ahead, Shown::of(figures.users_in_line, phase), wait).hash(&mut hasher);
        }
        figures.claim_by.map(Timestamp::as_ms).hash(&mut hasher);
        (view.fails_open, &view.settings.message, &view.paused_reason).hash(&mut hasher);
        let remaining = figures.stock.remaining.map(|n| Shown::of(n, phase));
        (figures.stock.level, figures.stock.outlook, remaining).hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MAX))
    }

    /// The hash.
    pub(crate) const fn get(self) -> u64 {
        self.0.get()
    }
}

/// A number as far as a fan would notice that it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shown {
    Exactly(u64),
    /// The step it is on.
    About(u64),
}

impl Shown {
    /// Steps begin `phase` of a step earlier.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the logarithm of a count is small and positive"
    )]
    fn of(n: u64, phase: f64) -> Self {
        if n < EXACT_BELOW {
            return Self::Exactly(n);
        }
        Self::About(((n as f64).ln() / STEP.ln() + phase) as u64)
    }
}

/// Where the steps of a fan begin: evenly spread over fans, from 0 to below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits")]
fn phase(key: OrderKey) -> f64 {
    // Fibonacci hashing: keys that follow each other are spread evenly.
    let spread = key.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use contract::line::Phase;
    use contract::room::RoomSettings;

    use super::*;
    use crate::policy::order::LIVE_BASE;
    use crate::policy::snapshot::{Counts, Snapshot};
    use crate::policy::status::StockFigures;
    use crate::policy::wait::configured_pace;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const LATER: Timestamp = Timestamp::from_ms(1_790_000_060_000);

    /// A line of 300 of whom the first 100 are known one by one.
    fn view() -> RoomView {
        let settings: RoomSettings = serde_json::from_str(r#"{"room": "eras"}"#).unwrap();
        let snapshot = Snapshot {
            head: (0..100).collect(),
            knots: vec![(99, 99), (299, 299)],
            counts: Counts {
                in_line: 300,
                ..Counts::default()
            },
            ..Snapshot::default()
        };
        RoomView {
            room: settings.room.clone(),
            settings: Arc::new(settings),
            phase: Phase::Queueing,
            paused_reason: None,
            draw_commitment: String::new(),
            drawn: true,
            snapshot: Some(Arc::new(snapshot)),
            opening: None,
            pace: Some(configured_pace(600)),
            calls_per_minute: 600,
            stock: Some(StockFigures {
                remaining: 12,
                unsold: 12,
                total: 500,
                price_range: None,
            }),
            made_at: NOW,
            found_empty_at: None,
            fails_open: false,
        }
    }

    fn changes(key: u64, seen: Seen, change: impl FnOnce(&mut RoomView)) -> bool {
        let key = OrderKey::new(key).unwrap();
        let before = view();
        let mut after = before.clone();
        change(&mut after);
        Display::of(&before, key, seen, NOW) != Display::of(&after, key, seen, NOW)
    }

    fn snapshot_of(view: &mut RoomView) -> &mut Snapshot {
        Arc::make_mut(view.snapshot.as_mut().unwrap())
    }

    #[test]
    fn figures_of_the_line_are_seen_by_those_who_wait_in_it() {
        let called = Seen::Called { claim_by: LATER };
        for (seen, is_seen) in [(Seen::Waiting, true), (called, false)] {
            let one_fewer = |view: &mut RoomView| {
                snapshot_of(view).head.remove(0);
            };
            assert_eq!(changes(50, seen, one_fewer), is_seen);
            let fewer = |view: &mut RoomView| snapshot_of(view).counts.in_line = 250;
            assert_eq!(changes(50, seen, fewer), is_seen);
            assert!(changes(50, seen, |view| view.phase = Phase::Paused));
            assert!(changes(50, seen, |view| view.fails_open = true));
            assert!(changes(50, seen, |view| view.paused_reason =
                Some("Rain".to_owned())));
            assert!(changes(50, seen, |view| {
                Arc::make_mut(&mut view.settings).message = Some("Soon".to_owned());
            }));
            assert!(changes(50, seen, |view| view
                .stock
                .as_mut()
                .unwrap()
                .remaining = 11));
            assert!(!changes(50, seen, |view| view.made_at = LATER));
        }
    }

    #[test]
    fn far_back_a_small_change_is_not_seen() {
        let one_fewer = |view: &mut RoomView| {
            let snapshot = snapshot_of(view);
            snapshot.head.remove(0);
            snapshot.knots = vec![(99, 98), (299, 298)];
        };
        // Few notice one of three hundred; this one does not.
        assert!(!changes(255, Seen::Waiting, one_fewer));
        assert!(changes(50, Seen::Waiting, one_fewer));
    }

    #[test]
    fn a_call_is_seen_and_so_is_its_end() {
        let (view, key) = (view(), OrderKey::new(50).unwrap());
        let called = Seen::Called { claim_by: LATER };
        let at = |seen, now| Display::of(&view, key, seen, now);
        assert_ne!(at(Seen::Waiting, NOW), at(called, NOW));
        assert_ne!(at(called, NOW), at(called, LATER));
        assert_eq!(at(called, NOW), at(called, NOW));
    }

    #[test]
    fn the_draw_is_seen_when_it_is_done() {
        let undone = |view: &mut RoomView| view.drawn = false;
        assert!(changes(50, Seen::Waiting, undone));
        let known = |view: &mut RoomView| view.opening = view.snapshot.clone();
        assert!(changes(50, Seen::Waiting, known));
    }

    fn share_who_notice(from: u64, to: u64) -> f64 {
        let fans = 1000_u32;
        let notices = |fan: &u32| {
            let phase = phase(OrderKey::new(LIVE_BASE + u64::from(*fan)).unwrap());
            Shown::of(from, phase) != Shown::of(to, phase)
        };
        let who = u32::try_from((0..fans).filter(notices).count()).unwrap();
        f64::from(who) / f64::from(fans)
    }

    #[test]
    fn a_twentieth_more_or_less_is_noticed_by_all_and_less_by_as_many_fewer() {
        for (from, to, share) in [
            (7, 8, 1.0),
            (99, 100, 1.0),
            (1000, 1060, 1.0),
            (2_000_000, 1_900_000, 1.0),
            (100_050, 99_950, 0.02),
            (15_000, 14_850, 0.2),
            (15_000, 15_000, 0.0),
        ] {
            let who = share_who_notice(from, to);
            assert!((who - share).abs() < 0.02, "{from} to {to}: {who}");
        }
    }
}
