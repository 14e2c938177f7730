//! The states of a show's seats, as last known to this process. The database decides; this copy is
//! only used to refuse early and to show the map.

use contract::booking::SeatStatus;

/// The state of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeatState {
    pub(crate) status: SeatStatus,
    /// The row's version; a report with a smaller version is outdated and ignored.
    pub(crate) version: i32,
}

/// The seat figures of a show, for lists and rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeatFigures {
    /// The version of the map.
    pub(crate) version: u64,
    /// Free seats.
    pub(crate) available: u64,
    /// Free seats, and held ones that may become free again.
    pub(crate) unsold: u64,
}

/// The states of all seats of a show.
#[derive(Clone, Debug)]
pub(crate) struct SeatStates {
    states: Vec<SeatState>,
    version: u64,
    available_count: usize,
    held_count: usize,
}

impl SeatStates {
    pub(crate) fn new(states: Vec<SeatState>) -> Self {
        Self {
            version: states.iter().map(|state| weight(state.version)).sum(),
            available_count: states.iter().filter(|state| state.is_available()).count(),
            held_count: states.iter().filter(|state| state.is_held()).count(),
            states,
        }
    }

    /// The version of the map: the sum over its seats. So every process that has applied the same
    /// changes, in any order, has the same version.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn available_count(&self) -> usize {
        self.available_count
    }

    pub(crate) fn held_count(&self) -> usize {
        self.held_count
    }

    pub(crate) fn is_available(&self, index: usize) -> bool {
        self.states
            .get(index)
            .is_some_and(|state| state.is_available())
    }

    pub(crate) fn statuses(&self) -> impl Iterator<Item = SeatStatus> {
        self.states.iter().map(|state| state.status)
    }

    /// Applies a report about one seat. True if it was newer.
    pub(crate) fn apply(&mut self, index: usize, report: SeatState) -> bool {
        let Some(state) = self.states.get_mut(index) else {
            return false;
        };
        if report.version <= state.version {
            return false;
        }
        self.version += weight(report.version) - weight(state.version);
        match (state.is_available(), report.is_available()) {
            (true, false) => self.available_count -= 1,
            (false, true) => self.available_count += 1,
            (true, true) | (false, false) => {}
        }
        match (state.is_held(), report.is_held()) {
            (true, false) => self.held_count -= 1,
            (false, true) => self.held_count += 1,
            (true, true) | (false, false) => {}
        }
        *state = report;
        true
    }
}

impl SeatState {
    fn is_available(self) -> bool {
        self.status == SeatStatus::Available
    }

    fn is_held(self) -> bool {
        self.status == SeatStatus::Held
    }
}

fn weight(version: i32) -> u64 {
    u64::try_from(version).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state(status: SeatStatus, version: i32) -> SeatState {
        SeatState { status, version }
    }

    #[test]
    fn an_old_report_changes_nothing() {
        let mut states = SeatStates::new(vec![state(SeatStatus::Available, 1)]);
        assert!(states.apply(0, state(SeatStatus::Held, 2)));
        assert_eq!((states.available_count(), states.held_count()), (0, 1));
        assert!(states.apply(0, state(SeatStatus::Available, 3)));
        assert!(!states.apply(0, state(SeatStatus::Held, 2)));
        assert!(states.is_available(0) && states.version() == 3);
        assert!(!states.apply(9, state(SeatStatus::Held, 2)));
    }

    proptest! {
        /// The same reports lead to the same map and version in any order.
        #[test]
        fn the_order_of_reports_does_not_matter(
            order in Just((0..3usize).flat_map(|seat| (2..6i32).map(move |v| (seat, v)))
                .collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut states = SeatStates::new(vec![state(SeatStatus::Available, 1); 3]);
            for (seat, version) in order {
                let status = if version % 2 == 0 { SeatStatus::Held } else { SeatStatus::Available };
                states.apply(seat, state(status, version));
            }
            prop_assert_eq!(states.version(), 15);
            prop_assert_eq!((states.available_count(), states.held_count()), (3, 0));
        }
    }
}
