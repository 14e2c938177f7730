//! The holds that a page leads back to: those that its reader can still pay.
//!
//! The database is asked, once for each page of a reader who may hold something: a hold ends by a
//! webhook, by the clock, at another device or through the API as well as by the forms of these
//! pages. A page does not wait for it: without an answer in time it has no banner.

use std::time::Duration;

use contract::HoldId;
use pages::shop::{OpenHold, OpenHolds};

use crate::customer::Customer;
use crate::handle::Booking;
use crate::store;

/// Holds that a page names. A fan may hold seats of several shows.
const NAMED_MAX: i64 = 5;
/// How long a page waits for them.
const PATIENCE: Duration = Duration::from_millis(250);

/// What `customer` can still pay, what ends first first.
pub(super) async fn find(booking: &Booking, customer: &Customer) -> OpenHolds {
    let core = &booking.0;
    let (owners, now) = (customer.limit_owners(), core.clock.now());
    if owners.is_empty() {
        return OpenHolds::none(now);
    }
    let look = async {
        // Never closed.
        let _turn = core.banner_looks.acquire().await.ok();
        store::holds::open_of(&core.pools.money, &owners, now, NAMED_MAX).await
    };
    let found = match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a page does not lead back to what its reader holds");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    let holds = found.into_iter().map(|hold| OpenHold {
        hold_id: HoldId::new(hold.hold_id),
        show: core
            .catalogue
            .entry_by_no(hold.show_no)
            .map(|entry| entry.info().title.clone()),
        seat_count: hold.seat_count,
        expires_at: hold.expires_at,
    });
    OpenHolds {
        holds: holds.collect(),
        now,
    }
}
