//! What one visitor is shown: a pure function of the room as this gateway sees it, the
//! visitor's place, and the time.

use std::sync::Arc;

use contract::line::{
    Phase, PlaceState, PollPolicy, PriceRange, RoomDocument, StatusDocument, Stock, StockLevel,
    StockOutlook, WaitEstimate,
};
use contract::room::RoomSettings;
use contract::{PlaceId, RoomId, Timestamp};

use super::order::OrderKey;
use super::snapshot::{Rank, Snapshot};
use super::standby::is_standby;
use super::wait::{self, Pace};

/// How clients space their polls.
pub const POLL_POLICY: PollPolicy = PollPolicy {
    floor_ms: 3_000,
    ceiling_ms: 30_000,
    divisor: 20,
};

/// Tickets that a visitor buys on average, to judge who will still find some.
const TICKETS_PER_VISITOR: u64 = 2;

/// What fans read while visitors are let through because the line fails.
const FAILS_OPEN: &str = "The line has a fault. Until it works again, some visitors are let in \
    without it: open the page you want once more. Places in the line are kept.";

/// What is left to buy, as the upstream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockFigures {
    /// Tickets that can be had now.
    pub remaining: u64,
    /// Tickets not sold: those that can be had now, and those that others are about to buy and
    /// may yet give back.
    pub unsold: u64,
    /// Tickets there were.
    pub total: u64,
    /// Prices.
    pub price_range: Option<PriceRange>,
}

/// A room as one gateway sees it at one moment.
#[derive(Clone, Debug)]
pub struct RoomView {
    /// The room.
    pub room: RoomId,
    /// Its settings.
    pub settings: Arc<RoomSettings>,
    /// What it is doing.
    pub phase: Phase,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// SHA-256 of the draw's seed.
    pub draw_commitment: String,
    /// Whether the draw is done and may be shown.
    pub drawn: bool,
    /// The line, once a snapshot was read.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The line at the moment of opening.
    pub opening: Option<Arc<Snapshot>>,
    /// How fast the line moves.
    pub pace: Option<Pace>,
    /// Calls in the last minute.
    pub calls_per_minute: u64,
    /// What is left to buy, when the upstream tells.
    pub stock: Option<StockFigures>,
    /// When this view was made.
    pub made_at: Timestamp,
    /// When a resting room was last found empty: until then its numbers were true.
    pub found_empty_at: Option<Timestamp>,
    /// Whether the line cannot be used, and some visitors are let through without it.
    pub fails_open: bool,
}

/// What is known of a visitor from their place token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceFacts {
    /// The place.
    pub place: PlaceId,
    /// The order key, drawn or live.
    pub key: OrderKey,
    /// Arrival ordinal of a live joiner; 0 when drawn.
    pub number: u64,
    /// Places ahead when a live joiner joined.
    pub ahead_at_join: u64,
}

/// How a visitor stands, as far as it decides what they see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// In the line.
    Waiting,
    /// Called.
    Called {
        /// Claim before this.
        claim_by: Timestamp,
    },
    /// Inside.
    Admitted,
    /// The turn passed.
    Missed,
    /// Left.
    Left,
    /// The session is over.
    Ended,
}

/// The figures of a status.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) state: PlaceState,
    /// While they wait and the order may be shown.
    pub(super) rank: Option<Rank>,
    pub(super) users_in_line: u64,
    pub(super) wait: Option<WaitEstimate>,
    /// When called.
    pub(super) claim_by: Option<Timestamp>,
    pub(super) stock: Stock,
}

impl RoomView {
    /// When the numbers were taken, or were last found to be true.
    pub fn updated_at(&self) -> Timestamp {
        let Some(snapshot) = &self.snapshot else {
            return self.made_at;
        };
        let taken_at = snapshot.taken_at();
        // A leader whose clock is behind does not set the time back: pages pass over older word.
        self.found_empty_at.map_or(taken_at, |at| at.max(taken_at))
    }

    /// What the visitor `facts` who stands as `seen` is shown, as far as it changes while they wait.
    pub(super) fn figures(&self, key: OrderKey, seen: Seen, now: Timestamp) -> Figures {
        let shown = self.is_shown(key);
        let rank = match (seen, &self.snapshot) {
            (Seen::Waiting, Some(snapshot)) if shown => Some(snapshot.rank(key)),
            _ => None,
        };
        let stock = self.stock_for(rank);
        let state = match seen {
            Seen::Waiting if !shown => PlaceState::Prequeue,
            Seen::Waiting if stock.level == StockLevel::Gone => PlaceState::SoldOut,
            Seen::Waiting => PlaceState::Waiting,
            Seen::Called { claim_by } if claim_by <= now => PlaceState::Missed,
            Seen::Called { .. } => PlaceState::Called,
            Seen::Admitted => PlaceState::Admitted,
            Seen::Missed => PlaceState::Missed,
            Seen::Left => PlaceState::Left,
            Seen::Ended => PlaceState::Ended,
        };
        Figures {
            state,
            rank,
            users_in_line: self.users_in_line_with(seen, rank),
            wait: match (self.phase, rank, self.pace) {
                (Phase::Queueing, Some(rank), Some(pace)) => wait::estimate(rank.ahead, pace),
                _ => None,
            },
            claim_by: match (state, seen) {
                (PlaceState::Called, Seen::Called { claim_by }) => Some(claim_by),
                _ => None,
            },
            stock,
        }
    }

    /// Whether the place of a key in the line may be told: a draw only once it is done.
    pub(super) fn is_shown(&self, key: OrderKey) -> bool {
        self.drawn || key.is_live()
    }

    /// The status document of the visitor `facts` who stands as `seen`.
    pub fn status(&self, facts: &PlaceFacts, seen: Seen, now: Timestamp) -> StatusDocument {
        let shown = self.is_shown(facts.key);
        let Figures {
            state,
            rank,
            users_in_line,
            wait,
            claim_by,
            stock,
        } = self.figures(facts.key, seen, now);
        StatusDocument {
            kind: "status".to_owned(),
            room: self.room.clone(),
            phase: self.phase,
            state,
            queue_number: if shown {
                self.queue_number(facts)
            } else {
                None
            },
            users_ahead: rank.map(|rank| rank.ahead),
            users_ahead_exact: rank.is_some_and(|rank| rank.exact),
            users_in_line,
            estimated_wait: wait,
            progress: rank.and_then(|rank| self.progress(facts, rank)),
            claim_by,
            stock,
            message: self.message(),
            paused_reason: self.paused_reason.clone(),
            updated_at: self.updated_at(),
            poll_after_ms: poll_after(wait.map(|wait| wait.p50_seconds), state),
            pass: None,
            place: None,
            order_key: shown.then(|| facts.key.get().to_string()),
        }
    }

    /// The public room document.
    pub fn document(&self) -> RoomDocument {
        let empty = Snapshot::default();
        let snapshot = self.snapshot.as_deref().unwrap_or(&empty);
        // Before the draw is done its keys are nobody's business: whoever saw them could join
        // again and again until the draw suits them.
        let listed = if self.drawn { snapshot } else { &empty };
        let settings = &self.settings;
        RoomDocument {
            room: self.room.clone(),
            phase: self.phase,
            title: self.title().to_owned(),
            opens_at: settings.opens_at,
            prequeue_opens_at: settings.prequeue_opens_at,
            closes_at: settings.closes_at,
            users_in_line: self.users_in_line(),
            standby: is_standby(settings, self.phase) && snapshot.counts.in_line == 0,
            fail_open: self.fails_open,
            active_users: snapshot.counts.called + snapshot.counts.active,
            calls_per_minute: self.calls_per_minute,
            estimate_accuracy: snapshot.accuracy,
            new_users_per_minute: settings.new_users_per_minute,
            total_active_users: settings.total_active_users,
            head: listed.head.iter().map(u64::to_string).collect(),
            knots: listed
                .knots
                .iter()
                .map(|(key, rank)| (key.to_string(), *rank))
                .collect(),
            stock: self.stock_for(None),
            price_range: self
                .stock
                .as_ref()
                .and_then(|stock| stock.price_range.clone()),
            message: self.message(),
            paused_reason: self.paused_reason.clone(),
            draw_commitment: self.draw_commitment.clone(),
            poll_policy: POLL_POLICY,
            updated_at: self.updated_at(),
        }
    }

    /// What fans read while they wait: the manager's message, and that the line fails.
    fn message(&self) -> Option<String> {
        let own = self.settings.message.as_deref();
        match (self.fails_open, own) {
            (false, own) => own.map(str::to_owned),
            (true, None) => Some(FAILS_OPEN.to_owned()),
            (true, Some(own)) => Some(format!("{FAILS_OPEN}\n{own}")),
        }
    }

    /// What fans read above the line.
    pub fn title(&self) -> &str {
        if self.settings.title.is_empty() {
            self.room.as_str()
        } else {
            &self.settings.title
        }
    }

    /// Where a drawn key was at the opening, once that may be shown.
    pub(super) fn opening_rank(&self, key: OrderKey) -> Option<u64> {
        let opening = self.opening.as_ref()?;
        (self.drawn && !key.is_live()).then(|| opening.rank(key).ahead)
    }

    fn users_in_line(&self) -> u64 {
        self.snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.counts.in_line)
    }

    /// How many wait, as someone who waits sees it. They may have joined after the numbers were
    /// taken, and then would read that fewer wait than are ahead of them, or nobody.
    fn users_in_line_with(&self, seen: Seen, rank: Option<Rank>) -> u64 {
        let known = self.users_in_line();
        match seen {
            Seen::Waiting => known.max(rank.map_or(0, |rank| rank.ahead) + 1),
            _ => known,
        }
    }

    /// None also for a live place whose token was lost: nothing but the token has its number.
    fn queue_number(&self, facts: &PlaceFacts) -> Option<u64> {
        if facts.number > 0 {
            return Some(facts.number);
        }
        if facts.key.is_live() {
            return None;
        }
        self.opening
            .as_ref()
            .map(|opening| opening.rank(facts.key).ahead + 1)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "places in a line are far below 2^52"
    )]
    fn progress(&self, facts: &PlaceFacts, rank: Rank) -> Option<f64> {
        let at_first = if facts.key.is_live() {
            facts.ahead_at_join
        } else {
            self.opening.as_ref()?.rank(facts.key).ahead
        };
        if at_first == 0 {
            return Some(1.0);
        }
        let done = 1.0 - rank.ahead as f64 / at_first as f64;
        // Two decimals: a finer bar would change with every frame and say nothing more.
        Some((done.clamp(0.0, 1.0) * 100.0).floor() / 100.0)
    }

    fn stock_for(&self, rank: Option<Rank>) -> Stock {
        let Some(figures) = &self.stock else {
            return Stock::default();
        };
        let level = match figures.remaining {
            0 if figures.unsold == 0 => StockLevel::Gone,
            left if left * 10 < figures.total => StockLevel::Low,
            _ => StockLevel::Plenty,
        };
        let outlook = rank.map_or(StockOutlook::Unknown, |rank| {
            let wanted_before = rank.ahead.saturating_mul(TICKETS_PER_VISITOR);
            match figures.remaining {
                0 => StockOutlook::Unlikely,
                left if wanted_before < left / 2 => StockOutlook::Likely,
                left if wanted_before < left.saturating_mul(3) / 2 => StockOutlook::Uncertain,
                _ => StockOutlook::Unlikely,
            }
        });
        Stock {
            level,
            remaining: Some(figures.remaining),
            outlook,
        }
    }
}

fn poll_after(wait_seconds: Option<u32>, state: PlaceState) -> u64 {
    let policy = POLL_POLICY;
    match (state, wait_seconds) {
        (PlaceState::Called | PlaceState::Missed, _) => policy.floor_ms,
        (_, Some(seconds)) => {
            (u64::from(seconds) * 1000 / policy.divisor).clamp(policy.floor_ms, policy.ceiling_ms)
        }
        (_, None) => policy.floor_ms * 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::order::LIVE_BASE;
    use crate::policy::snapshot::Counts;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn view() -> RoomView {
        let settings: RoomSettings = serde_json::from_str(r#"{"room": "eras"}"#).unwrap();
        let head = (1..=100).map(|n| LIVE_BASE + n).collect();
        RoomView {
            room: "eras".parse().unwrap(),
            settings: Arc::new(settings),
            phase: Phase::Queueing,
            paused_reason: None,
            draw_commitment: String::new(),
            drawn: true,
            snapshot: Some(Arc::new(Snapshot {
                taken_ms: NOW.as_ms(),
                counts: Counts {
                    in_line: 100,
                    ..Counts::default()
                },
                head,
                ..Snapshot::default()
            })),
            opening: None,
            pace: Some(wait::configured_pace(600)),
            calls_per_minute: 600,
            stock: None,
            made_at: NOW,
            found_empty_at: None,
            fails_open: false,
        }
    }

    #[test]
    fn numbers_are_as_new_as_the_last_look_at_an_empty_room_and_never_older() {
        let second = std::time::Duration::from_secs(1);
        for (found_empty_at, updated_at) in [
            (None, NOW),
            (Some(NOW.plus(second)), NOW.plus(second)),
            (Some(NOW.minus(second)), NOW),
        ] {
            let view = RoomView {
                found_empty_at,
                ..view()
            };
            assert_eq!(view.document().updated_at, updated_at);
        }
    }

    fn facts(key: u64) -> PlaceFacts {
        let key = OrderKey::new(key).unwrap();
        PlaceFacts {
            place: PlaceId::from_bytes([1; 16]),
            key,
            number: 140,
            ahead_at_join: 80,
        }
    }

    #[test]
    fn a_waiting_visitor_sees_position_estimate_and_progress() {
        let status = view().status(&facts(LIVE_BASE + 21), Seen::Waiting, NOW);
        assert_eq!(
            (status.users_ahead, status.users_ahead_exact),
            (Some(20), true)
        );
        assert_eq!(
            (status.queue_number, status.progress),
            (Some(140), Some(0.75))
        );
        assert_eq!(status.estimated_wait.unwrap().p50_seconds, 3);
    }

    #[test]
    fn who_waits_counts_among_those_in_line_at_once() {
        let seen = |in_line, seen| {
            let mut snapshot = Snapshot::clone(view().snapshot.as_deref().unwrap());
            snapshot.counts.in_line = in_line;
            let view = RoomView {
                snapshot: Some(Arc::new(snapshot)),
                ..view()
            };
            let facts = facts(LIVE_BASE + 21);
            view.status(&facts, seen, NOW).users_in_line
        };
        assert_eq!(seen(20, Seen::Waiting), 21);
        assert_eq!(seen(100, Seen::Waiting), 100);
        assert_eq!(seen(0, Seen::Left), 0);
    }

    #[test]
    fn nothing_of_the_draw_shows_before_it_is_done() {
        let before = RoomView {
            phase: Phase::Prequeue,
            drawn: false,
            ..view()
        };
        let status = before.status(&facts(77), Seen::Waiting, NOW);
        assert_eq!(status.state, PlaceState::Prequeue);
        assert_eq!((status.users_ahead, status.queue_number), (None, None));
        assert_eq!((status.order_key, status.progress), (None, None));
        assert!(before.document().head.is_empty() && before.document().knots.is_empty());
    }

    #[test]
    fn a_paused_line_has_no_estimate() {
        let paused = RoomView {
            phase: Phase::Paused,
            ..view()
        };
        let status = paused.status(&facts(LIVE_BASE + 21), Seen::Waiting, NOW);
        assert_eq!(
            (status.estimated_wait, status.users_ahead),
            (None, Some(20))
        );
    }

    #[test]
    fn a_call_past_its_deadline_is_missed() {
        let called = Seen::Called { claim_by: NOW };
        assert_eq!(
            view().status(&facts(5), called, NOW).state,
            PlaceState::Missed
        );
        let before = Timestamp::from_ms(NOW.as_ms() - 1);
        let status = view().status(&facts(5), called, before);
        assert_eq!(
            (status.state, status.claim_by),
            (PlaceState::Called, Some(NOW))
        );
    }

    #[test]
    fn stock_tells_level_and_prospect() {
        let check = |remaining, level, outlook| {
            let figures = StockFigures {
                remaining,
                unsold: remaining,
                total: 1000,
                price_range: None,
            };
            let view = RoomView {
                stock: Some(figures),
                ..view()
            };
            let status = view.status(&facts(LIVE_BASE + 51), Seen::Waiting, NOW);
            assert_eq!((status.stock.level, status.stock.outlook), (level, outlook));
            status.state
        };
        check(900, StockLevel::Plenty, StockOutlook::Likely);
        check(90, StockLevel::Low, StockOutlook::Uncertain);
        check(60, StockLevel::Low, StockOutlook::Unlikely);
        assert_eq!(
            check(0, StockLevel::Gone, StockOutlook::Unlikely),
            PlaceState::SoldOut
        );
    }
}
