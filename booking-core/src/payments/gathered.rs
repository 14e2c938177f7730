//! What many confirmations read and write together.
//!
//! Each of a batch that failed is settled alone, so that one that cannot be settled fails no other.

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::config::{CONFIRM_BATCH_MAX, CONFIRM_BATCHES_AT_ONCE};
use crate::database::{StoreError, Turns, Work, repeat_if_contended};
use crate::gather::{Bounds, Gather, fail_all};
use crate::store::booking_batch::{BookedAsk, BookingAsk, book_batch};
use crate::store::bookings::NewBooking;
use crate::store::confirm_read::{ConfirmAsk, ConfirmRow, confirm_read};
use crate::store::idempotency::{KeyUse, StoredAnswer};
use crate::telemetry;

/// How confirmations and starts of payments are gathered.
pub(super) const BOUNDS: Bounds = Bounds {
    at_once: CONFIRM_BATCHES_AT_ONCE,
    size_max: CONFIRM_BATCH_MAX,
};

/// A key whose answer is stored with the booking.
#[derive(Clone, Copy)]
pub(crate) struct Keyed<'a> {
    pub(crate) key_use: &'a KeyUse,
    /// The answer, if it can be said before the booking is made.
    pub(crate) answer_of: &'a (dyn Fn(&NewBooking) -> Option<StoredAnswer> + Send + Sync),
}

/// What many confirmations read and write together.
pub(crate) struct GatheredConfirms {
    pub(crate) reads: Gather<ConfirmAsk, Option<ConfirmRow>>,
    pub(super) bookings: Gather<BookingAsk, Option<BookedAsk>>,
}

impl GatheredConfirms {
    /// Confirmations over the connections of `settling`.
    pub(crate) fn new(work: &Work, settling: &Turns) -> Self {
        let (reading, booking) = (settling.clone(), settling.clone());
        Self {
            reads: Gather::new(work, BOUNDS, move |asks| {
                let settling = reading.clone();
                async move {
                    let read = async || {
                        let (mut connection, _turn) = settling.acquire().await?;
                        confirm_read(&mut connection, &asks).await
                    };
                    let found = match read().await {
                        // Many wait for it, so one connection that was lost does not decide.
                        Err(StoreError::Unavailable(_)) => read().await,
                        found => found,
                    };
                    match found {
                        Ok(found) => found.into_iter().map(Ok).collect(),
                        Err(cause) => fail_all(asks.len(), &cause),
                    }
                }
                .boxed()
            }),
            bookings: Gather::new(work, BOUNDS, move |asks| {
                book_all(booking.clone(), asks).boxed()
            }),
        }
    }
}

async fn book_all(
    settling: Turns,
    asks: Vec<BookingAsk>,
) -> Vec<Result<Option<BookedAsk>, StoreError>> {
    let began = Instant::now();
    let book = || async {
        let (mut connection, _turn) = settling.acquire().await?;
        book_batch(&mut connection, &asks).await
    };
    let booked = repeat_if_contended(book).await;
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    metrics::histogram!(telemetry::CONFIRM_BATCH_SIZE).record(asks.len() as f64);
    metrics::histogram!(telemetry::CONFIRM_BATCH_SECONDS).record(began.elapsed());
    or_alone(asks.len(), booked, "bookings")
}

/// The answers of a batch of `count` calls. `None` for all of one that failed, so that each is
/// settled alone; a database that is away fails them all.
pub(super) fn or_alone<O>(
    count: usize,
    settled: Result<Vec<Option<O>>, StoreError>,
    what: &'static str,
) -> Vec<Result<Option<O>, StoreError>> {
    match settled {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(cause @ (StoreError::Unavailable(_) | StoreError::Timeout)) => fail_all(count, &cause),
        Err(cause) => {
            let cause = &cause as &dyn std::error::Error;
            tracing::warn!(cause, count, what, "a batch failed: each is settled alone");
            (0..count).map(|_| Ok(None)).collect()
        }
    }
}
