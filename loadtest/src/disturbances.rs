//! What somebody breaks on purpose while a run lasts.

use std::sync::{Mutex, PoisonError};

pub use crate::evidence::Disturbance;

/// The disturbances of a run so far, noted by whoever makes them.
#[derive(Default)]
pub struct Disturbances(Mutex<Vec<Disturbance>>);

impl Disturbances {
    /// Notes one that is over.
    pub fn note(&self, disturbance: Disturbance) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(disturbance);
    }

    /// All that were noted.
    pub(crate) fn noted(&self) -> Vec<Disturbance> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.clone()
    }
}
