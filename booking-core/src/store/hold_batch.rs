//! Settles many holds in one statement.

use std::collections::HashSet;

use contract::Timestamp;
use contract::booking::SeatStatus;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::idempotency::{self, KeyedAnswer};
use super::seats::{self, SeatReport};
use crate::database::StoreError;
use crate::shows::SeatState;

/// The owner of a hold.
#[derive(Clone, Debug)]
pub(crate) struct HoldOwner {
    /// The place of the pass, for a show behind a room.
    pub(crate) subject: Option<String>,
    /// The digest of the browser's session.
    pub(crate) session: Option<String>,
    /// The owner whose ticket count is increased.
    pub(crate) limit_owner: String,
}

/// One requested hold.
#[derive(Clone, Debug)]
pub(crate) struct HoldAsk {
    pub(crate) hold_id: Uuid,
    pub(crate) seat_nos: Vec<i32>,
    pub(crate) owner: HoldOwner,
    pub(crate) amount_minor: i64,
    /// The response to a repeat of the request, stored if the hold is made.
    pub(crate) keyed: Option<KeyedAnswer>,
}

/// The terms that all holds of a batch share.
#[derive(Clone, Debug)]
pub(crate) struct HoldTerms {
    pub(crate) show_no: i32,
    pub(crate) ticket_limit: i32,
    pub(crate) currency: String,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) hard_deadline: Timestamp,
}

/// The outcome of one ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HoldAnswer {
    /// All seats are held.
    Held,
    /// These seats are not available, so none is held.
    SeatsTaken(Vec<i32>),
    /// The seats are available but were locked by another transaction: an import, or another
    /// process whose hold may still fail.
    SeatsLocked,
    /// The owner would exceed the ticket limit.
    TicketLimit,
}

/// The outcome of a batch.
#[derive(Clone, Debug)]
pub(crate) enum HoldBatch {
    /// The batch was settled.
    Settled {
        /// In the order of the asks.
        answers: Vec<HoldAnswer>,
        /// The present states of the seats, including those that were refused.
        reports: Vec<SeatReport>,
    },
    /// Another process has used one of the keys; nothing was done.
    KeyUsed,
}

/// Settles `asks` in one transaction, and stores the responses of asks with a key in it.
pub(crate) async fn hold_batch(
    pool: &PgPool,
    terms: &HoldTerms,
    asks: &[HoldAsk],
) -> Result<HoldBatch, StoreError> {
    let columns = Columns::new(asks);
    let mut tx = pool.begin().await?;
    // Keys are stored before seats are locked. So a repeat of a request at another process waits
    // here for the first, instead of finding the seats taken by it.
    let keyed: Vec<_> = asks
        .iter()
        .filter_map(|ask| Some((ask.keyed.as_ref()?, ask.hold_id)))
        .collect();
    if !keyed.is_empty() && !idempotency::store(&mut tx, &keyed, terms.now).await? {
        tx.rollback().await?;
        return Ok(HoldBatch::KeyUsed);
    }
    let rows = sqlx::query_file!(
        "src/store/hold_batch.sql",
        terms.show_no,
        &columns.seat_asks,
        &columns.seat_nos,
        &columns.hold_ids,
        &columns.subjects as &[Option<String>],
        &columns.sessions as &[Option<String>],
        &columns.limit_owners,
        &columns.amounts,
        terms.ticket_limit,
        terms.currency,
        OffsetDateTime::from(terms.now),
        OffsetDateTime::from(terms.expires_at),
        OffsetDateTime::from(terms.hard_deadline)
    )
    .fetch_all(&mut *tx)
    .await?;
    if rows.len() != asks.len() {
        return Err(StoreError::corrupt("holds", "a batch lost an ask"));
    }
    let mut answers = vec![HoldAnswer::TicketLimit; asks.len()];
    let mut reports = Vec::new();
    let mut refused = Vec::new();
    for row in rows {
        let at = usize::try_from(row.ask - 1).unwrap_or(usize::MAX);
        let Some((answer, ask)) = answers.get_mut(at).zip(asks.get(at)) else {
            return Err(StoreError::corrupt(
                "holds",
                "a batch answered an unknown ask",
            ));
        };
        if row.held {
            // A hold must have all of its seats, so the transaction is rolled back.
            if row.seat_nos.len() != ask.seat_nos.len() {
                return Err(StoreError::corrupt("holds", "a batch held only some seats"));
            }
            *answer = HoldAnswer::Held;
            reports.extend(
                row.seat_nos
                    .iter()
                    .zip(&row.versions)
                    .map(|(seat_no, version)| SeatReport {
                        show_no: terms.show_no,
                        seat_no: *seat_no,
                        state: SeatState {
                            status: SeatStatus::Held,
                            version: *version,
                        },
                    }),
            );
        } else if !row.missing.is_empty() {
            refused.extend_from_slice(&row.missing);
            *answer = HoldAnswer::SeatsTaken(row.missing);
        }
    }
    let refused_keys: Vec<&KeyedAnswer> = asks
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| **answer != HoldAnswer::Held)
        .filter_map(|(ask, _)| ask.keyed.as_ref())
        .collect();
    if !refused_keys.is_empty() {
        idempotency::take_back(&mut tx, &refused_keys).await?;
    }
    tx.commit().await?;
    if !refused.is_empty() {
        // The batch is committed whether or not this succeeds; if it fails, the next refresh of
        // memory reads the same states.
        match refused_now(pool, terms.show_no, &refused).await {
            Ok(states) => {
                tell_locked_from_taken(&mut answers, &states);
                reports.extend(states);
            }
            Err(cause) => tracing::warn!(%cause, "the state of refused seats was not read"),
        }
    }
    Ok(HoldBatch::Settled { answers, reports })
}

/// Keeps in each refusal only the seats that are not available now; the others were only locked.
/// A refusal without seats that are taken becomes [`HoldAnswer::SeatsLocked`].
fn tell_locked_from_taken(answers: &mut [HoldAnswer], states: &[SeatReport]) {
    let free: HashSet<i32> = states
        .iter()
        .filter(|report| report.state.status == SeatStatus::Available)
        .map(|report| report.seat_no)
        .collect();
    for answer in answers {
        if let HoldAnswer::SeatsTaken(missing) = answer {
            missing.retain(|seat_no| !free.contains(seat_no));
            if missing.is_empty() {
                *answer = HoldAnswer::SeatsLocked;
            }
        }
    }
}

async fn refused_now(
    pool: &PgPool,
    show_no: i32,
    seat_nos: &[i32],
) -> Result<Vec<SeatReport>, StoreError> {
    let mut connection = pool.acquire().await?;
    seats::some(&mut connection, show_no, seat_nos).await
}

/// The asks as arrays for `unnest`. Asks are numbered from 1.
#[derive(Debug, Default)]
struct Columns {
    seat_asks: Vec<i32>,
    seat_nos: Vec<i32>,
    hold_ids: Vec<Uuid>,
    subjects: Vec<Option<String>>,
    sessions: Vec<Option<String>>,
    limit_owners: Vec<String>,
    amounts: Vec<i64>,
}

impl Columns {
    fn new(asks: &[HoldAsk]) -> Self {
        let mut columns = Self::default();
        for (number, ask) in (1..).zip(asks) {
            for seat_no in &ask.seat_nos {
                columns.seat_asks.push(number);
                columns.seat_nos.push(*seat_no);
            }
            columns.hold_ids.push(ask.hold_id);
            columns.subjects.push(ask.owner.subject.clone());
            columns.sessions.push(ask.owner.session.clone());
            columns.limit_owners.push(ask.owner.limit_owner.clone());
            columns.amounts.push(ask.amount_minor);
        }
        columns
    }
}
