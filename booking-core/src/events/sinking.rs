//! The work on sinks: from the log to each of them.

use std::time::Duration;

use super::sink::{Sink, SinkError};
use crate::config::SINK_BATCH_MAX;
use crate::core::Core;
use crate::database::StoreError;
use crate::store::{consumers, events};
use crate::telemetry;

/// How long a process serves a sink before others may: longer than a batch takes.
const LEASE: Duration = Duration::from_secs(30);
/// Longest that a sink may take for a batch.
const APPEND_MAX: Duration = Duration::from_secs(15);

impl Core {
    /// Appends a batch of events to each sink. Returns how many, of all sinks.
    pub(crate) async fn sink_once(&self) -> Result<usize, StoreError> {
        let mut taken = 0;
        for sink in &self.sinks {
            taken += self.sink_to(sink).await?;
        }
        Ok(taken)
    }

    async fn sink_to(&self, sink: &Sink) -> Result<usize, StoreError> {
        let pool = &self.pools.jobs;
        let name = sink.sink.name();
        let Some(told) = sink.tell(sink.sink.position().await) else {
            return Ok(0);
        };
        let head = events::head(pool).await?;
        let kept = consumers::position(pool, name).await?;
        let after = told.unwrap_or(kept);
        if after > head {
            let error = format!("it has position {after}, and the log ends at {head}");
            sink.tell::<()>(Err(SinkError(error)));
            return Ok(0);
        }
        if after == head && kept == head {
            return Ok(0);
        }
        let now = self.clock.now();
        if !consumers::lease(pool, name, self.process_id, now, now.plus(LEASE)).await? {
            return Ok(0);
        }
        let page = events::read(pool, after, SINK_BATCH_MAX, &[]).await?;
        let appended = tokio::time::timeout(APPEND_MAX, sink.sink.append(&page.events)).await;
        let late = |_| Err(SinkError("no answer in time".to_owned()));
        if sink.tell(appended.unwrap_or_else(late)).is_none() {
            return Ok(0);
        }
        let to = page.events.last().map_or(after, |last| last.position);
        consumers::advance(pool, name, self.process_id, to, self.clock.now()).await?;
        let count = page.events.len();
        metrics::counter!(telemetry::EVENTS_SUNK, "sink" => name.to_owned())
            .increment(u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}
