//! The banner that leads back to what the reader of a page can still pay or has bought.
//!
//! The database is asked, for each page of a reader who may have something: a hold ends by a
//! webhook, by the clock, at another device or through the API as well as by the forms of these
//! pages. A page does not wait for it: without an answer in time it has no banner.

use std::time::Duration;

use contract::{BookingId, HoldId, Timestamp};
use pages::shop::{Banner, OpenHold, OwnBooking};

use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store;

/// Holds and bookings that a page names, of each. A fan may have some of several shows.
const NAMED_MAX: i64 = 5;
/// How long a page waits for them.
const PATIENCE: Duration = Duration::from_millis(250);

/// What `customer` can still pay, what ends first first, and has tickets for.
pub(super) async fn find(booking: &Booking, customer: &Customer) -> Banner {
    let core = &booking.0;
    let now = core.clock.now();
    if customer.limit_owners().is_empty() {
        return Banner::none(now);
    }
    let look = async {
        // Never closed.
        let _turn = core.banner_looks.acquire().await.ok();
        ask(booking, customer, now).await
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a page does not lead back to what its reader has");
            Banner::none(now)
        }
        Err(_) => Banner::none(now),
    }
}

async fn ask(booking: &Booking, customer: &Customer, now: Timestamp) -> Result<Banner, StoreError> {
    let core = &booking.0;
    let mut connection = core.pools.money.acquire().await?;
    let owners = customer.limit_owners();
    let holds = store::holds::open_of(&mut connection, &owners, now, NAMED_MAX).await?;
    let bookings = match customer.session_digest() {
        Some(session) => {
            store::bookings::of_session(&mut connection, &session, now, NAMED_MAX).await?
        }
        None => Vec::new(),
    };
    let title = |show_no| {
        let entry = core.catalogue.entry_by_no(show_no)?;
        Some(entry.info().title.clone())
    };
    let holds = holds.into_iter().map(|hold| OpenHold {
        hold_id: HoldId::new(hold.hold_id),
        show: title(hold.show_no),
        seat_count: hold.seat_count,
        expires_at: hold.expires_at,
    });
    let bookings = bookings.into_iter().map(|booking| OwnBooking {
        booking_id: BookingId::new(booking.booking_id),
        show: title(booking.show_no),
        ticket_count: booking.ticket_count,
    });
    Ok(Banner {
        holds: holds.collect(),
        bookings: bookings.collect(),
        now,
    })
}
