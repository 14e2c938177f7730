//! What was broken when: told as it happens, and counted for the summary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use contract::{Clock, SystemClock, Timestamp};
use loadtest::disturbances::{Disturbance, Disturbances};

use crate::timetable::Fault;

/// The faults of a run so far.
pub(crate) struct Chronicle {
    started_at: Timestamp,
    kinds: Mutex<BTreeMap<&'static str, u32>>,
    /// The same for the audit.
    pub disturbances: Disturbances,
}

impl Chronicle {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        Self {
            started_at: SystemClock.now(),
            kinds: Mutex::default(),
            disturbances: Disturbances::default(),
        }
    }

    /// Tells of a fault that comes now. Gives back when that is.
    pub(crate) fn comes(&self, fault: &Fault) -> Timestamp {
        let now = SystemClock.now();
        let seconds = now.since(self.started_at).as_secs_f64();
        tracing::info!("{seconds:7.2} s  {fault}");
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        *kinds.entry(fault.kind()).or_default() += 1;
        now
    }

    /// Notes that what came at `from` is mended.
    pub(crate) fn is_mended(&self, from: Timestamp) {
        let until = SystemClock.now();
        self.disturbances.note(Disturbance { from, until });
    }

    /// How many faults there were, by kind.
    pub(crate) fn summary(&self) -> String {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("{} faults:\n", kinds.values().sum::<u32>());
        for (kind, count) in kinds.iter() {
            let _infallible = writeln!(text, "{count:5}  {kind}");
        }
        text
    }
}
