//! The fixed layout of a show's seats.

use std::collections::HashMap;

use contract::SeatId;
use contract::booking::SeatLabel;
pub(crate) use show_file::PlannedSeat;

/// All seats of a show in map order. In memory a seat is identified by its index, in the database
/// by `first_no` plus the index.
#[derive(Debug)]
pub(crate) struct SeatPlan {
    first_no: i32,
    seats: Vec<PlannedSeat>,
    by_id: HashMap<SeatId, usize>,
}

impl SeatPlan {
    pub(crate) fn new(first_no: i32, seats: Vec<PlannedSeat>) -> Self {
        let by_id = seats
            .iter()
            .enumerate()
            .map(|(index, seat)| (seat.seat_id.clone(), index))
            .collect();
        Self {
            first_no,
            seats,
            by_id,
        }
    }

    pub(crate) fn seats(&self) -> &[PlannedSeat] {
        &self.seats
    }

    pub(crate) fn index(&self, seat: &SeatId) -> Option<usize> {
        self.by_id.get(seat).copied()
    }

    /// The database number of the seat at `index`.
    pub(crate) fn no(&self, index: usize) -> i32 {
        self.first_no
            .saturating_add(i32::try_from(index).unwrap_or(i32::MAX))
    }

    /// The index of a database number; `None` if it belongs to an earlier layout.
    pub(crate) fn index_of_no(&self, seat_no: i32) -> Option<usize> {
        let index = usize::try_from(seat_no.checked_sub(self.first_no)?).ok()?;
        (index < self.seats.len()).then_some(index)
    }

    /// The labels of `indices`, in map order.
    pub(crate) fn labels(&self, indices: &[usize]) -> Vec<SeatId> {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        sorted
            .into_iter()
            .filter_map(|index| self.seats.get(index))
            .map(|seat| seat.seat_id.clone())
            .collect()
    }

    /// The labels and positions of `indices`, in map order.
    pub(crate) fn seat_labels(&self, indices: &[usize]) -> Vec<SeatLabel> {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        sorted
            .into_iter()
            .filter_map(|index| self.seats.get(index))
            .map(PlannedSeat::label)
            .collect()
    }

    /// The seats with these database numbers, in map order, omitting those of earlier layouts.
    pub(crate) fn seats_of_nos(&self, seat_nos: &[i32]) -> Vec<&PlannedSeat> {
        let mut indices: Vec<usize> = seat_nos
            .iter()
            .filter_map(|seat_no| self.index_of_no(*seat_no))
            .collect();
        indices.sort_unstable();
        indices
            .into_iter()
            .filter_map(|index| self.seats.get(index))
            .collect()
    }
}
