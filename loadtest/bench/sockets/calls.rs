//! From a call to its frame.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use contract::room::RoomSettings;
use contract::{PlaceId, Timestamp};

use super::crowd::CalledFrame;
use crate::gateway::Gateway;
use crate::pace::Latencies;

/// How long frames took.
pub(super) struct CallLatency {
    /// From when the leader decided to call, before the call was in the durable log.
    pub(super) from_decision: Latencies,
    /// From when the call was in the log and was published.
    pub(super) from_publication: Latencies,
}

impl CallLatency {
    /// Compares frames with the log. Of several frames about one call the first counts.
    pub(super) async fn of(
        gateway: &Gateway,
        settings: &RoomSettings,
        frames: &[CalledFrame],
    ) -> anyhow::Result<Self> {
        let log = gateway.admissions(&settings.room).await?;
        let called_at: HashMap<PlaceId, Timestamp> = log
            .into_iter()
            .map(|record| (record.place, record.called_at))
            .collect();
        let mut first = HashMap::<PlaceId, &CalledFrame>::new();
        for frame in frames {
            let known = first.entry(frame.place).or_insert(frame);
            if frame.came_at < known.came_at {
                *known = frame;
            }
        }
        let window = Duration::from_secs(settings.claim_window_seconds);
        let mut latency = Self {
            from_decision: Latencies::new()?,
            from_publication: Latencies::new()?,
        };
        for frame in first.into_values() {
            let called_at = called_at.get(&frame.place);
            let called_at = called_at.context("a call that is not in the log")?;
            latency.from_decision.add(frame.came_at.since(*called_at));
            let published_at = frame.claim_by.minus(window);
            latency
                .from_publication
                .add(frame.came_at.since(published_at));
        }
        Ok(latency)
    }
}
