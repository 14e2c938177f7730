//! What all fans of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use contract::Clock;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;

use crate::call::Caller;
use crate::line::LineClient;
use crate::measurements::Measurements;
use crate::ops::OpsClient;
use crate::shop::ShopClient;

/// How fans behave inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Longest time between a call and the claim.
    pub claim_delay: Duration,
    /// Mean time a fan looks around before leaving.
    pub think: Duration,
    /// Share of buyers who take the best available seats instead of choosing.
    pub best_available: f64,
    /// Most tickets a buyer wants.
    pub tickets_max: u32,
}

/// Live counts for the progress display.
#[derive(Default)]
pub(crate) struct Tally {
    pub arrived: AtomicU64,
    pub joined: AtomicU64,
    pub sockets: AtomicI64,
    /// Most sockets that were open at once.
    pub sockets_max: AtomicI64,
    pub called: AtomicU64,
    pub inside: AtomicI64,
    pub booked: AtomicU64,
    pub left: AtomicU64,
    pub done: AtomicU64,
}

impl Tally {
    /// One more.
    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// One more open socket, for as long as the guard lives.
    pub(crate) fn socket_opened(&self) -> Present<'_> {
        let open = Present::count(&self.sockets);
        let count = self.sockets.load(Ordering::Relaxed);
        self.sockets_max.fetch_max(count, Ordering::Relaxed);
        open
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let total = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let gauge = |count: &AtomicI64| count.load(Ordering::Relaxed);
        format!(
            "{} arrived, {} joined, {} on sockets, {} called, {} inside, {} booked, {} left",
            total(&self.arrived),
            total(&self.joined),
            gauge(&self.sockets),
            total(&self.called),
            gauge(&self.inside),
            total(&self.booked),
            total(&self.left),
        )
    }
}

/// Counts a gauge up for as long as it lives, also when the fan is cut short.
pub(crate) struct Present<'a>(&'a AtomicI64);

impl<'a> Present<'a> {
    /// Counts up.
    pub(crate) fn count(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all fans of a process share.
pub(crate) struct World {
    pub caller: Caller,
    pub line: LineClient,
    pub shop: Option<ShopClient>,
    /// The operators who cancel for fans.
    pub desk: Option<OpsClient>,
    pub clock: Arc<dyn Clock>,
    pub measurements: Arc<Measurements>,
    pub tally: Tally,
    pub manners: Manners,
    /// The code the room asks for, if it does.
    pub access_code: Option<String>,
    /// Buyers still wanted of those who get in.
    pub buyers_wanted: AtomicU64,
    /// Ends all waiting: fans finish what they are in the middle of and go.
    pub stop: CancellationToken,
    /// Makes nonces and keys of this run differ from those of other runs with the same seed.
    pub salt: u64,
}

impl World {
    /// The randomness of one fan.
    pub(crate) fn rng_of(&self, fan: u32) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.salt);
        rng.set_stream(u64::from(fan));
        rng
    }

    /// Takes one of the wanted buyers' turns.
    pub(crate) fn becomes_buyer(&self) -> bool {
        self.shop.is_some()
            && self
                .buyers_wanted
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |wanted| {
                    wanted.checked_sub(1)
                })
                .is_ok()
    }

    /// Lets `span` pass; `false` when the run was stopped meanwhile.
    pub(crate) async fn rest(&self, span: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(span) => true,
            () = self.stop.cancelled() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_sockets_at_once_are_kept() {
        let tally = Tally::default();
        let first = tally.socket_opened();
        let second = tally.socket_opened();
        drop((first, second));
        let _third = tally.socket_opened();
        assert_eq!(tally.sockets.load(Ordering::Relaxed), 1);
        assert_eq!(tally.sockets_max.load(Ordering::Relaxed), 2);
    }
}
