//! What must hold of a line, told from answers, notices and the log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::invariants::{
    CAP, LOGGED_FIRST, NO_LOSS, ORDER, PLACE_ONCE, PRESENT, RATE, REDEEM_ONCE,
};
use contract::{PlaceId, Timestamp};
use line::policy::admission::{CATCH_UP_MAX, TICK};
use line::policy::order::OrderKey;
use line::policy::snapshot::Snapshot;
use line::records::Admission;
use line::store::{Notice, Popped, Standing};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::ops::BATCH_MAX;
use super::roll::{self, ABSENCE, Roll};

/// The fastest rate that operations set.
const RATE_MAX: u64 = 300;
/// Calls that a bucket may have when nothing was called for long.
fn saved_max() -> usize {
    BATCH_MAX.into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    claim_by: Timestamp,
    is_claimed: bool,
    is_given_back: bool,
}

/// What is known of one fan.
#[derive(Clone, Debug, Default)]
struct Known {
    /// May have left since they last got a place.
    may_have_left: bool,
    /// Ever left.
    has_left: bool,
    /// Calls in the log since they last got a place.
    calls: usize,
    /// Whether the log has ever had a call of theirs.
    was_logged: bool,
    /// The live key they had last.
    live_key: Option<OrderKey>,
    /// When they were given that key, until they are seen.
    unseen_since: Option<Timestamp>,
    /// Deadline of the last call they were told of.
    call: Option<(u64, Call)>,
}

/// When a fan was last there.
#[derive(Clone, Copy, Debug)]
struct Presence {
    seen_at: Timestamp,
    /// The gateway that they are connected to.
    gateway: Option<u8>,
}

/// The last call of each fan.
pub(super) type Calls = BTreeMap<PlaceId, Option<(u64, Call)>>;

#[derive(Debug, Default)]
pub(super) struct Model {
    fans: BTreeMap<PlaceId, Known>,
    /// Ends of the sessions that run.
    sessions: BTreeMap<PlaceId, Timestamp>,
    claimed: BTreeSet<u64>,
    /// When each admission was logged.
    logged: Vec<Timestamp>,
    key_max: u64,
    /// Calls that may have been given back, and wipes, each of which begins a new bucket.
    spare_calls: usize,
    popped_before: BTreeSet<OrderKey>,
    /// Fans who may stand as they did before they left or came back from a missed turn, because
    /// the store went back.
    unsure: BTreeSet<PlaceId>,
    /// After a wipe, sessions that had ended may run again until then: the log does not know of
    /// ends.
    revived_until: Option<Timestamp>,
    /// When a leader last dealt with what was overdue.
    ticked_at: Option<Timestamp>,
    /// Since when leaders have done so without a pause, in a store that kept what it had.
    steady_since: Option<Timestamp>,
    present: BTreeMap<PlaceId, Presence>,
    pub(super) roll: Roll,
}

impl Model {
    fn fan(&mut self, place: PlaceId) -> &mut Known {
        self.fans.entry(place).or_default()
    }

    /// ORDER among joiners: whoever gets a new live key comes after everyone before.
    /// Whoever had another key before gave it up.
    pub(super) fn key_given(
        &mut self,
        place: PlaceId,
        key: OrderKey,
        had_place: bool,
        now: Timestamp,
    ) -> Result<(), TestCaseError> {
        let fan = self.fan(place);
        fan.has_left |= had_place;
        fan.unseen_since = Some(now);
        prop_assert!(
            key.get() > self.key_max,
            "{ORDER}: {} was given after {}",
            key.get(),
            self.key_max
        );
        self.key_max = key.get();
        Ok(())
    }

    /// ORDER: whoever joined live has no drawn key in an open room, before everyone's.
    pub(super) fn place_held(
        &mut self,
        place: PlaceId,
        key: OrderKey,
        is_open: bool,
    ) -> Result<(), TestCaseError> {
        let is_without_draw = self.roll.is_without_draw(place);
        let fan = self.fan(place);
        prop_assert!(
            key.is_live() || !is_open || fan.live_key.is_none(),
            "{ORDER}: {} joined live and holds {}",
            place,
            key.get()
        );
        prop_assert!(
            key.is_live() || !is_without_draw,
            "{PRESENT}: {} drew {} and was not there",
            place,
            key.get()
        );
        // Who lost their token before the opening may draw for it all the same.
        fan.live_key = Some(key).filter(|key| key.is_live());
        Ok(())
    }

    /// NO-LOSS: a token of someone who did not leave, and whom the log does not take for served,
    /// is a place in the line; but not if they drew and were not present at the opening (PRESENT),
    /// or were never seen since they were given a live key.
    pub(super) fn token_shown(
        &mut self,
        (place, token_key): (PlaceId, Option<OrderKey>),
        standing: Standing,
        is_served: bool,
        now: Timestamp,
    ) -> Result<(), TestCaseError> {
        let is_unsure = self.unsure.contains(&place);
        let presence = self.roll.presence(place);
        let is_without_draw = self.roll.is_without_draw(place);
        if let Standing::Waiting { key } = standing {
            prop_assert!(
                key.is_live() || !is_without_draw,
                "{PRESENT}: {} drew {} and was not there",
                place,
                key.get()
            );
        }
        let had_draw = matches!(presence, roll::Presence::Unopened | roll::Presence::Present);
        if standing == Standing::Unknown && token_key.is_none() && !had_draw {
            return Ok(());
        }
        self.seen_again(place, standing == Standing::Left, now);
        let fan = self.fan(place);
        if !is_served && !fan.may_have_left && !is_unsure {
            let Standing::Waiting { key } = standing else {
                return Err(TestCaseError::fail(format!(
                    "{NO_LOSS}: {place} {standing:?}"
                )));
            };
            prop_assert!(
                token_key.is_none_or(|held| held == key),
                "{NO_LOSS}: another key"
            );
        }
        self.entered(place, standing, now);
        Ok(())
    }

    /// A fan was there again. `has_left` if they were told so: then they may have been given up.
    pub(super) fn seen_again(&mut self, place: PlaceId, has_left: bool, now: Timestamp) {
        let fan = self.fan(place);
        let unseen_since = fan.unseen_since.take();
        if has_left && unseen_since.is_some_and(|since| now.since(since) >= ABSENCE) {
            (fan.may_have_left, fan.has_left) = (true, true);
        }
    }

    /// A place was given, or found: whoever left or missed a turn begins anew.
    pub(super) fn entered(&mut self, place: PlaceId, standing: Standing, now: Timestamp) {
        let fan = self.fan(place);
        let missed = fan
            .call
            .is_some_and(|(_, call)| !call.is_claimed && call.claim_by <= now);
        if matches!(standing, Standing::Waiting { .. }) && (fan.may_have_left || missed) {
            *fan = Known {
                was_logged: fan.was_logged,
                live_key: fan.live_key,
                unseen_since: fan.unseen_since,
                has_left: fan.has_left,
                ..Known::default()
            };
        }
    }

    pub(super) fn left(&mut self, place: PlaceId) {
        self.spare_calls += 1;
        let fan = self.fan(place);
        (fan.may_have_left, fan.has_left) = (true, true);
        self.sessions.remove(&place);
        self.roll.left(place);
    }

    pub(super) fn session_ended(&mut self, place: PlaceId) {
        self.spare_calls += 1;
        let fan = self.fan(place);
        // Taken back before it was claimed.
        if let Some((_, call)) = &mut fan.call {
            call.is_claimed = true;
        }
        self.sessions.remove(&place);
    }

    pub(super) fn ticked(&mut self, now: Timestamp) {
        let is_steady = self.ticked_at.is_some_and(|at| now.since(at) < PAUSE);
        self.steady_since = self.steady_since.filter(|_| is_steady).or(Some(now));
        self.ticked_at = Some(now);
    }

    /// A fan was there, on a connection to `gateway` if there is one.
    pub(super) fn present(&mut self, place: PlaceId, gateway: Option<u8>, now: Timestamp) {
        let known = self.present.get(&place).and_then(|known| known.gateway);
        let presence = Presence {
            seen_at: now,
            gateway: gateway.or(known),
        };
        self.present.insert(place, presence);
    }

    pub(super) fn disconnected(&mut self, place: PlaceId, now: Timestamp) {
        let presence = Presence {
            seen_at: now,
            gateway: None,
        };
        self.present.insert(place, presence);
    }

    pub(super) fn gateway_died(&mut self, gateway: u8, now: Timestamp) {
        let of_gateway = |known: &&mut Presence| known.gateway == Some(gateway);
        for presence in self.present.values_mut().filter(of_gateway) {
            *presence = Presence {
                seen_at: now,
                gateway: None,
            };
        }
    }

    /// PRESENT: whoever is called was there within the time of an absence, or of a lease and an
    /// absence when it was their gateway that died.
    fn check_present(&self, place: PlaceId, now: Timestamp) -> Result<(), TestCaseError> {
        // A batch that the log refused meanwhile was popped when its fans were still there.
        let is_steady = self.ticked_at.is_some_and(|at| now.since(at) < PAUSE);
        let since = self.steady_since.filter(|_| is_steady).unwrap_or(now);
        let presence = self.present.get(&place);
        let Some(presence) = presence.filter(|known| known.gateway.is_none()) else {
            return Ok(());
        };
        let gone_for = now.since(presence.seen_at);
        prop_assert!(
            now.since(since) < FOUND_OUT_WITHIN || gone_for < FOUND_OUT_WITHIN,
            "{PRESENT}: {} was called and gone for {:?}",
            place,
            gone_for
        );
        Ok(())
    }

    pub(super) fn passed(&mut self, place: PlaceId, until: Timestamp) {
        self.sessions.insert(place, until);
        if let Some((_, call)) = &mut self.fan(place).call {
            call.is_claimed = true;
        }
    }

    pub(super) fn wiped(&mut self, now: Timestamp) {
        self.steady_since = None;
        self.unsure.clear();
        self.popped_before.clear();
        // A claim that is told again is the same session: its id is of place and ordinal.
        self.claimed.clear();
        self.spare_calls += 1 + saved_max();
        self.revived_until = Some(now.plus(SESSION + WINDOW));
    }

    pub(super) fn calls(&self) -> Calls {
        let calls = self.fans.iter().map(|(place, fan)| (*place, fan.call));
        calls.collect()
    }

    /// What the store forgot has happened all the same: calls are in the log, passes are out.
    /// Who left or came back since may stand as before, and what was given back may be given
    /// back once more.
    pub(super) fn went_back(&mut self, calls: &Calls, popped: &Popped, now: Timestamp) {
        self.steady_since = None;
        for (place, fan) in &mut self.fans {
            fan.may_have_left |= fan.has_left;
            if fan.was_logged || fan.has_left {
                self.unsure.insert(*place);
            }
            // A call that the store forgot is in the log, and so is that it was missed.
            fan.call = calls.get(place).copied().flatten().or(fan.call);
        }
        self.claimed.clear();
        self.popped_before = popped.places.iter().map(|(_, key)| *key).collect();
        self.spare_calls = self.spare_calls * 2 + 1 + saved_max();
        self.revived_until = Some(now.plus(SESSION + WINDOW));
    }

    /// PLACE-ONCE and RATE: what the log has gained.
    pub(super) fn logged(
        &mut self,
        new: &[Admission],
        now: Timestamp,
    ) -> Result<(), TestCaseError> {
        for admission in new {
            self.logged.push(now);
            self.check_present(admission.place, now)?;
            let fan = self.fan(admission.place);
            fan.calls += 1;
            fan.was_logged = true;
            prop_assert!(
                fan.calls <= 1,
                "{PLACE_ONCE}: {} is called again",
                admission.place
            );
        }
        for (first, since) in self.logged.iter().enumerate() {
            let calls = self.logged.len() - first;
            let span = now.since(*since) + CATCH_UP_MAX + TICK;
            let due = u64::try_from(span.as_millis()).unwrap() * RATE_MAX / 60_000;
            let most = usize::try_from(due).unwrap() + 1 + saved_max() + self.spare_calls;
            prop_assert!(calls <= most, "{RATE}: {} calls in {:?}", calls, span);
        }
        Ok(())
    }

    /// LOGGED-FIRST and REDEEM-ONCE: what fans were told.
    pub(super) fn told(
        &mut self,
        notice: &Notice,
        log: &[Admission],
        now: Timestamp,
    ) -> Result<(), TestCaseError> {
        match notice {
            Notice::Called {
                places,
                first_seq,
                claim_by,
            } => {
                for (place, seq) in places.iter().zip(*first_seq..) {
                    let logged = log.iter().find(|admission| admission.seq == seq);
                    prop_assert_eq!(
                        logged.map(|admission| admission.place),
                        Some(*place),
                        "{}: {} was told of call {}",
                        LOGGED_FIRST,
                        place,
                        seq
                    );
                    let call = Call {
                        claim_by: *claim_by,
                        is_claimed: false,
                        is_given_back: false,
                    };
                    self.fan(*place).call = Some((seq, call));
                }
            }
            Notice::Claimed { place, seq, .. } => {
                prop_assert!(
                    self.claimed.insert(*seq),
                    "{REDEEM_ONCE}: call {} twice",
                    seq
                );
                let call = self.fan(*place).call;
                prop_assert!(
                    call.is_some_and(|(called, call)| called == *seq && call.claim_by > now),
                    "{REDEEM_ONCE}: {} claimed {} and was called {:?}",
                    place,
                    seq,
                    call
                );
            }
            Notice::Ended { .. } | Notice::Look { .. } => {}
        }
        Ok(())
    }

    /// CAP and ORDER: how the line looks after a step.
    pub(super) fn seen(
        &mut self,
        line: Option<(&Snapshot, &Popped)>,
        cap: u64,
        now: Timestamp,
    ) -> Result<(), TestCaseError> {
        for (_, call) in self.fans.values_mut().filter_map(|fan| fan.call.as_mut()) {
            if !call.is_claimed && !call.is_given_back && call.claim_by <= now {
                call.is_given_back = true;
                self.spare_calls += 1;
            }
        }
        let ticked_at = self.ticked_at.unwrap_or(Timestamp::EPOCH);
        let may_revive = self.revived_until.is_some_and(|until| ticked_at < until);
        let in_sessions = self.sessions.values().filter(|until| **until > now).count();
        let called = self.fans.iter().filter(|(place, fan)| {
            let open = fan
                .call
                .is_some_and(|(_, call)| !call.is_claimed && call.claim_by > now);
            open && !fan.may_have_left && !self.sessions.contains_key(*place)
        });
        let inside = u64::try_from(in_sessions + called.count()).unwrap();
        prop_assert!(
            may_revive || inside <= cap,
            "{CAP}: {} inside, {} may be",
            inside,
            cap
        );
        let Some((snapshot, popped)) = line else {
            return Ok(());
        };
        let counts = snapshot.counts;
        let popped_count = u64::try_from(popped.places.len()).unwrap();
        let occupied = popped_count + counts.called + counts.active;
        prop_assert!(
            may_revive || occupied <= cap,
            "{CAP}: {} slots taken",
            occupied
        );
        let now_popped: BTreeSet<_> = popped.places.iter().map(|(_, key)| *key).collect();
        let newest = now_popped.difference(&self.popped_before).max();
        if let (Some(last), Some(first)) = (newest, snapshot.head.first()) {
            prop_assert!(
                last.get() <= *first,
                "{ORDER}: {} was popped before {}",
                last.get(),
                first
            );
        }
        self.popped_before = now_popped;
        Ok(())
    }
}

/// A leader that pauses for so long loses its lease.
const PAUSE: Duration = Duration::from_secs(2);
/// By then a fan who has gone is in line no more: a lease, an absence, and some ticks.
const FOUND_OUT_WITHIN: Duration = Duration::from_secs(14);
/// How long a call may be claimed here.
pub(super) const WINDOW: Duration = Duration::from_secs(3);
/// How long a session lasts here.
pub(super) const SESSION: Duration = Duration::from_secs(8);
