//! The work on the archive: older events become blocks.

use crate::config::{EVENT_BLOCK, EVENTS_LOOSE_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::store::event_archive::{Archived, Old, archive};
use crate::telemetry;

impl Core {
    /// Moves a block of events into the archive, if one is old enough. Returns how many events: there
    /// may be more. Any number of processes may call it; all but one of them do nothing, and so does one without the setting.
    pub(crate) async fn archive_once(&self) -> Result<usize, StoreError> {
        let Some(loose_for) = self.config.events_loose_for else {
            return Ok(0);
        };
        let now = self.clock.now();
        let old = Old {
            before: now.minus(loose_for),
            newer_max: EVENTS_LOOSE_MAX,
            block: EVENT_BLOCK,
        };
        match archive(&self.pools.jobs, old, now).await? {
            Archived::Moved(count) => {
                let count = u64::try_from(count).unwrap_or(0);
                metrics::counter!(telemetry::EVENTS_ARCHIVED).increment(count);
                Ok(usize::try_from(count).unwrap_or(0))
            }
            Archived::Nothing => Ok(0),
            Archived::Gap => Err(StoreError::corrupt(
                "events",
                "an event of the log is missing",
            )),
        }
    }
}
