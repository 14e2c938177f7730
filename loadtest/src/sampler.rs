//! Reads the room's figures about once a second while a run lasts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::room::RoomStats;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::ops::OpsClient;

/// Time between samples.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest a sample may take: later ones tell more.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Samples kept: a day's.
const SAMPLES_MAX: usize = 86_400;

/// The figures read so far.
#[derive(Default)]
pub(crate) struct Samples(Mutex<Vec<RoomStats>>);

impl Samples {
    /// Reads the figures once. A failed read is a gap, which the audit sees.
    pub(crate) async fn sample_once(&self, ops: &OpsClient) {
        match tokio::time::timeout(SAMPLE_TIMEOUT, ops.stats()).await {
            Ok(Ok(stats)) => {
                let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                // Several gateways take their figures at different times; keep them in order.
                let is_newer = samples
                    .last()
                    .is_none_or(|last| last.updated_at < stats.updated_at);
                if is_newer && samples.len() < SAMPLES_MAX {
                    samples.push(stats);
                }
            }
            Ok(Err(error)) => tracing::debug!("no figures: {error:#}"),
            Err(_) => tracing::debug!("no figures in time"),
        }
    }

    /// Samples until stopped.
    pub(crate) async fn run(&self, ops: &OpsClient, stop: CancellationToken) {
        let mut timer = tokio::time::interval(PERIOD);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            tokio::select! {
                _ = timer.tick() => self.sample_once(ops).await,
                () = stop.cancelled() => {}
            }
        }
    }

    /// Takes all samples out.
    pub(crate) fn take(&self) -> Vec<RoomStats> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
