//! [`Booking`] for events: the steps of the background work, and reading the log.

use std::sync::Arc;

use crate::config::DELIVERY_PATIENCE;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store::events::{self, Page};

impl Booking {
    /// Moves committed rows of the outbox into the log. Returns how many. The background work does
    /// this too.
    pub async fn sequence_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.sequence_once().await };
        self.0.work.run(work).await
    }

    /// Moves older events into the archive. Returns how many. The background work does this too.
    pub async fn archive_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.archive_once().await };
        self.0.work.run(work).await
    }

    /// Events after a position.
    pub(crate) async fn events(
        &self,
        after: i64,
        limit: i64,
        kinds: Vec<String>,
    ) -> Result<Page, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { events::read(&core.pools.reads, after, limit, &kinds).await };
        self.0.work.run(work).await
    }

    /// Appends a batch of events to each sink. Returns how many. The background work does this too.
    pub async fn sink_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.sink_once().await };
        self.0.work.run_within(DELIVERY_PATIENCE, work).await
    }

    /// Destroys the key of a customer's personal fields in events. Returns whether there was one.
    pub(crate) async fn events_erase(&self, email: String) -> Result<bool, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let customer = core.customer_digest(&email);
            events::key_destroy(&core.pools.jobs, &customer).await
        };
        self.0.work.run(work).await
    }
}
