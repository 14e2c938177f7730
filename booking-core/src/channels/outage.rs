//! How long a channel whose server is not available is left alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::Timestamp;

use crate::notice::{ChannelKind, spread_out};

/// First pause after a server was not available; each further one is twice as long.
const OUTAGE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause, and so the longest that a notice waits once the server is back.
const OUTAGE_MAX: Duration = Duration::from_mins(1);

/// What this process knows of outages.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<BTreeMap<ChannelKind, Outage>>);

#[derive(Clone, Copy, Debug, Default)]
struct Outage {
    /// Rounds of attempts in a row in which the server was not available.
    rounds: u32,
    until: Option<Timestamp>,
}

impl Outage {
    fn pause(self) -> Duration {
        OUTAGE_MAX.min(OUTAGE_FIRST * 2_u32.pow(self.rounds.min(16)))
    }
}

impl Outages {
    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<ChannelKind, Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long the channel is left alone; `None` when it is not.
    pub(crate) fn left_alone(&self, channel: ChannelKind, now: Timestamp) -> Option<Duration> {
        let until = self.known().get(&channel)?.until?;
        (now < until).then(|| until.since(now))
    }

    /// The pause that follows when the server is not available now.
    pub(crate) fn pause_of(&self, channel: ChannelKind) -> Duration {
        let known = self.known().get(&channel).copied();
        known.unwrap_or_default().pause()
    }

    /// Leaves the server alone for a while. True when the outage has just begun.
    pub(crate) fn pause(&self, channel: ChannelKind, spread: u8, now: Timestamp) -> bool {
        let mut known = self.known();
        let outage = known.entry(channel).or_default();
        outage.until = Some(now.plus(spread_out(outage.pause(), spread)));
        outage.rounds = outage.rounds.saturating_add(1);
        outage.rounds == 1
    }

    /// The server is available. True when it was not before.
    pub(crate) fn resume(&self, channel: ChannelKind) -> bool {
        self.known().remove(&channel).is_some()
    }
}
