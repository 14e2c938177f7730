//! What a fan sees of their status, rounded as pages round it: a frame is worth sending only when
//! that changes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;

use contract::Timestamp;
use contract::line::{PlaceState, WaitEstimate};

use super::order::OrderKey;
use super::status::{RoomView, Seen};

/// What a fan sees, as a hash. Two that are equal look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display(NonZeroU64);

impl Display {
    /// Of the fan with `key` who stands as `seen`: everything but the time of the figures and the
    /// progress of a bar.
    pub fn of(view: &RoomView, key: OrderKey, seen: Seen, now: Timestamp) -> Self {
        let figures = view.figures(key, seen, now);
        let mut hasher = DefaultHasher::new();
        (view.phase, figures.state, view.opening_rank(key)).hash(&mut hasher);
        if matches!(figures.state, PlaceState::Prequeue | PlaceState::Waiting) {
            // Figures of the line are shown only to fans who still wait in it.
            let ahead = figures.rank.map(|rank| rounded(rank.ahead, rank.exact));
            let wait = figures.wait.map(WaitEstimate::minutes);
            (ahead, rounded(figures.users_in_line, false), wait).hash(&mut hasher);
        }
        figures.claim_by.map(Timestamp::as_ms).hash(&mut hasher);
        (view.fails_open, &view.settings.message, &view.paused_reason).hash(&mut hasher);
        let remaining = figures.stock.remaining.map(|n| rounded(n, false));
        (figures.stock.level, figures.stock.outlook, remaining).hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MAX))
    }

    /// The hash.
    pub(crate) const fn get(self) -> u64 {
        self.0.get()
    }
}

/// Rounds to two significant digits unless the number is exact, as the page does.
fn rounded(n: u64, exact: bool) -> u64 {
    if exact || n < 100 {
        return n;
    }
    let step = 10u64.pow(n.ilog10().saturating_sub(1));
    n / step * step
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use contract::line::Phase;
    use contract::room::RoomSettings;

    use super::*;
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

    #[test]
    fn numbers_are_rounded_as_the_page_shows_them() {
        for (n, exact, shown) in [
            (7, true, 7),
            (1234, true, 1234),
            (99, false, 99),
            (1234, false, 1200),
            (98_765, false, 98_000),
        ] {
            assert_eq!(rounded(n, exact), shown);
        }
    }
}
