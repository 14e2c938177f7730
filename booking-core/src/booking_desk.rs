//! What operators read of bookings.

use contract::booking::Booking;
use contract::{BookingId, ShowId};

use crate::config::BOOKINGS_LISTED_MAX;
use crate::core::Core;
use crate::database::StoreError;
use crate::store;
use crate::store::booking_records::{BookingFilter, BookingRecord, BookingSummary};
use crate::store::sold::SoldBooking;

impl Core {
    /// Bookings that fit `filter`, for operators.
    pub(crate) async fn bookings_find(
        &self,
        filter: &BookingFilter,
    ) -> Result<Vec<BookingSummary>, StoreError> {
        store::booking_records::find(&self.pools.jobs, filter, BOOKINGS_LISTED_MAX).await
    }

    /// Everything about a booking, for operators.
    pub(crate) async fn booking_record(
        &self,
        booking_id: BookingId,
    ) -> Result<Option<(BookingRecord, Booking)>, StoreError> {
        let mut connection = self.pools.jobs.acquire().await?;
        let row = store::bookings::find(&mut connection, booking_id.uuid()).await?;
        let Some(row) = row else { return Ok(None) };
        let record = store::booking_records::record(&mut connection, &row).await?;
        drop(connection);
        let mut view = self.booking_view(row).await?;
        // It opens the booking as its link does, which is the buyer's.
        view.tickets_url = None;
        Ok(Some((record, view)))
    }

    /// Up to `limit` bookings of `show` from after `after`, with their money and tickets. `None`
    /// when there is no such show.
    pub(crate) async fn sold(
        &self,
        show: &ShowId,
        after: Option<BookingId>,
        limit: i64,
    ) -> Result<Option<Vec<SoldBooking>>, StoreError> {
        let after = after.map(BookingId::uuid);
        store::sold::page(&self.pools.jobs, show, after, limit).await
    }
}
