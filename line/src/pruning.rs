//! Forgets what became of admissions that are too old for a line that is made again.
//!
//! The table of outcomes has a row for each place that was called. A rebuild reads none that is
//! older than the room remembers who was served, and nobody else does. Every gateway looks every
//! ten minutes; two that do so at once do each other no harm.

use std::time::Duration;

use contract::Timestamp;
use metrics::counter;
use tokio::time::Instant;

use crate::parts::Parts;
use crate::rebuild::{forgotten_between, remembered};
use crate::records::durable::DurableLine;
use crate::records::{Needed, NotedRoom, RecordsError};
use crate::telemetry;

/// Time between looks of one gateway. A row is forgotten by as much later than it could be.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Outcomes forgotten by one statement: a few tens of milliseconds of the database.
const FORGOTTEN_AT_ONCE: u64 = 2_000;

/// The pause before the next one, so that the work of months leaves the database to others.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until the process stops.
pub(crate) async fn run(parts: &Parts) {
    let pruning = async {
        // Gateways that were started together do not look together.
        let share = u32::try_from(parts.process.as_u128() % 1000).unwrap_or(0);
        let first = Instant::now() + PRUNE_EVERY * share / 1000;
        let mut looks = tokio::time::interval_at(first, PRUNE_EVERY);
        loop {
            looks.tick().await;
            // A clock that is ahead would have everything look old.
            if !parts.skew.may_lead() {
                continue;
            }
            match prune_once(&*parts.durable, parts.now()).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "old outcomes of admissions forgotten"),
                Err(error) => tracing::warn!(%error, "old outcomes of admissions not forgotten"),
            }
        }
    };
    tokio::select! {
        () = parts.stop.cancelled() => {}
        () = pruning => {}
    }
}

/// Forgets the outcomes of all rooms that are too old at `now`. How many.
pub async fn prune_once(durable: &dyn DurableLine, now: Timestamp) -> Result<u64, RecordsError> {
    let (mut count, mut room) = (0, durable.outcomes_room(None).await?);
    while let Some(noted) = room {
        let upto = upto(durable, &noted, now).await?;
        loop {
            let forgotten = durable.outcomes_forget(&noted.room, upto, FORGOTTEN_AT_ONCE);
            let forgotten = forgotten.await?;
            counter!(telemetry::OUTCOMES_FORGOTTEN).increment(forgotten);
            count += forgotten;
            if forgotten < FORGOTTEN_AT_ONCE {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        room = durable.outcomes_room(Some(&noted.room)).await?;
    }
    Ok(count)
}

/// The ordinal up to which outcomes of the room can be forgotten.
async fn upto(
    durable: &dyn DurableLine,
    noted: &NotedRoom,
    now: Timestamp,
) -> Result<u64, RecordsError> {
    match &noted.needed {
        // Those of a room that is made of the same name meanwhile have later ones.
        Needed::None => Ok(noted.log_end),
        Needed::All => Ok(0),
        Needed::By(settings) => {
            let oldest = now.minus(remembered(settings));
            forgotten_between(durable, &noted.room, 0..noted.log_end, oldest).await
        }
    }
}
