//! Manifest, counts, conflicts.

use std::sync::Arc;

use contract::ShowId;
use contract::checkin::{CheckinCounts, ConflictList, Manifest, TicketKey};
use data_encoding::BASE64URL_NOPAD;

use crate::config::CHECKINS_LISTED_MAX;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store;

impl Booking {
    /// What a scanner needs to check tickets of a show without a network. `None` when there is no
    /// such show.
    pub(crate) async fn manifest(&self, show: ShowId) -> Result<Option<Manifest>, StoreError> {
        let core = Arc::clone(&self.0);
        let keys = self.ticket_verifier();
        let work = async move {
            let pool = &core.pools.money;
            let Some(show) = store::scanners::show(pool, &show).await? else {
                return Ok(None);
            };
            let (revoked, reissued) = store::checkins::refused_tickets(pool, show.show_no).await?;
            let keys = keys.public_keys().map(|(key_id, key)| TicketKey {
                key_id,
                public_key: BASE64URL_NOPAD.encode(&key),
            });
            Ok(Some(Manifest {
                show_no: store::unsigned("shows", show.show_no)?,
                counts: store::checkins::counts(pool, show.show_no).await?,
                show_id: show.show_id,
                title: show.title,
                starts_at: show.starts_at,
                ends_at: show.ends_at,
                keys: keys.collect(),
                revoked,
                reissued,
            }))
        };
        self.0.work.run(work).await
    }

    /// How many came to a show. `None` when there is no such show.
    pub(crate) async fn checkin_counts(
        &self,
        show: ShowId,
    ) -> Result<Option<CheckinCounts>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.money;
            let Some(show) = store::scanners::show(pool, &show).await? else {
                return Ok(None);
            };
            store::checkins::counts(pool, show.show_no).await.map(Some)
        };
        self.0.work.run(work).await
    }

    /// Conflicts of a show, those who were let in first, then the latest, and who is inside with a
    /// void ticket. `None` when there is no such show.
    pub(crate) async fn conflicts(&self, show: ShowId) -> Result<Option<ConflictList>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.money;
            let Some(show) = store::scanners::show(pool, &show).await? else {
                return Ok(None);
            };
            let (show_no, limit) = (show.show_no, CHECKINS_LISTED_MAX);
            Ok(Some(ConflictList {
                conflicts: store::checkins::conflicts(pool, show_no, limit).await?,
                inside_void: store::checkins::inside_void(pool, show_no, limit).await?,
            }))
        };
        self.0.work.run(work).await
    }
}
