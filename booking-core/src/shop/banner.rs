//! The banner that links to the holds and bookings of a page's reader.
//!
//! It is read from the database for each page of a reader who may have any: a hold can end by a
//! webhook, the clock, another device or the API as well as by these pages' forms. Without an
//! answer in time the page is sent without a banner.

use std::time::Duration;

use contract::{BookingId, HoldId, Timestamp};
use pages::shop::{Banner, OpenHold, OwnBooking};

use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store;

/// Most holds, and most bookings, in one banner.
const NAMED_MAX: i64 = 5;
/// Longest that a page waits for the banner.
const PATIENCE: Duration = Duration::from_millis(250);

/// The holds that `customer` can still pay, the next to end first, and the bookings with tickets.
/// `owners` are the customer's limit owners.
pub(super) async fn find(booking: &Booking, customer: &Customer, owners: &[String]) -> Banner {
    let core = &booking.0;
    let now = core.clock.now();
    if owners.is_empty() {
        return Banner::none(now);
    }
    let look = async {
        // The semaphore is never closed.
        let _turn = core.banner_looks.acquire().await.ok();
        ask(booking, customer, owners, now).await
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

async fn ask(
    booking: &Booking,
    customer: &Customer,
    owners: &[String],
    now: Timestamp,
) -> Result<Banner, StoreError> {
    let core = &booking.0;
    let mut connection = core.pools.money.acquire().await?;
    let holds = store::holds::open_of(&mut connection, owners, now, NAMED_MAX).await?;
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
