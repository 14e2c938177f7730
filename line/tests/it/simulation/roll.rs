//! Who was present when the room opened, told from answers alone (PRESENT).

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{PlaceId, Timestamp};

/// How long an absent place stays in line here.
pub(super) const ABSENCE: Duration = Duration::from_secs(6);

/// When a fan was last there.
#[derive(Clone, Copy, Debug)]
struct Visit {
    at: Timestamp,
    /// The gateway that they are connected to.
    gateway: Option<u8>,
}

/// Whether a fan was present at the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// The room has not opened.
    Unopened,
    Present,
    Absent,
    /// Their gateway died: when they were last seen is between its last word and its death.
    Doubtful,
}

#[derive(Debug, Default)]
pub(super) struct Roll {
    visits: BTreeMap<PlaceId, Visit>,
    doubtful: Vec<PlaceId>,
    /// Who was present at the opening.
    called: Option<BTreeMap<PlaceId, Presence>>,
    /// Whether the store ever lost anything.
    has_losses: bool,
    /// When the room was made in the store.
    made_at: Option<Timestamp>,
    opened_at: Option<Timestamp>,
}

impl Roll {
    /// The store answered a fan, who is connected to `gateway` if there is one.
    pub(super) fn answered(&mut self, place: PlaceId, gateway: Option<u8>, now: Timestamp) {
        let known = self.visits.get(&place).and_then(|known| known.gateway);
        let visit = Visit {
            at: now,
            gateway: gateway.or(known),
        };
        self.visits.insert(place, visit);
        self.doubtful.retain(|other| *other != place);
    }

    pub(super) fn disconnected(&mut self, place: PlaceId, now: Timestamp) {
        if let Some(visit) = self.visits.get_mut(&place)
            && visit.gateway.take().is_some()
        {
            visit.at = now;
        }
    }

    pub(super) fn gateway_died(&mut self, gateway: u8) {
        let mut died = self.visits.iter_mut();
        while let Some((place, visit)) = died.find(|(_, it)| it.gateway == Some(gateway)) {
            visit.gateway = None;
            self.doubtful.push(*place);
        }
    }

    /// Whoever gives up their place is absent until they join again.
    pub(super) fn left(&mut self, place: PlaceId) {
        self.visits.remove(&place);
    }

    /// The store lost something. `is_undone` if it lost the opening, and nobody else knows of it.
    pub(super) fn lost(&mut self, is_undone: bool) {
        self.has_losses = true;
        if is_undone {
            self.called = None;
        }
    }

    /// The room is there.
    pub(super) fn made(&mut self, now: Timestamp) {
        self.made_at.get_or_insert(now);
    }

    /// The room is open.
    pub(super) fn opened(&mut self, now: Timestamp) {
        if self.called.is_some() {
            return;
        }
        let presence = |(place, visit): (&PlaceId, &Visit)| {
            let presence = if self.doubtful.contains(place) {
                Presence::Doubtful
            } else if visit.gateway.is_some() || now.since(visit.at) < ABSENCE {
                Presence::Present
            } else {
                Presence::Absent
            };
            (*place, presence)
        };
        self.opened_at = Some(now);
        self.called = Some(self.visits.iter().map(presence).collect());
    }

    /// Whether the fan of `place` was present at the opening.
    pub(super) fn presence(&self, place: PlaceId) -> Presence {
        let Some(called) = &self.called else {
            return Presence::Unopened;
        };
        called.get(&place).copied().unwrap_or(Presence::Absent)
    }

    /// Whether it is certain that `place` has no draw: the store has known all who may have been
    /// present.
    pub(super) fn is_without_draw(&self, place: PlaceId) -> bool {
        let is_known = match (self.made_at, self.opened_at) {
            (Some(made_at), Some(opened_at)) => opened_at.since(made_at) >= ABSENCE,
            _ => false,
        };
        is_known && !self.has_losses && self.presence(place) == Presence::Absent
    }
}
