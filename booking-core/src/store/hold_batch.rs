//! Many holds in one statement.

use contract::Timestamp;
use contract::booking::SeatStatus;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::seats::{self, SeatReport};
use crate::database::StoreError;
use crate::shows::SeatState;

/// One hold wanted.
#[derive(Clone, Debug)]
pub(crate) struct HoldAsk {
    pub(crate) hold_id: Uuid,
    pub(crate) seat_nos: Vec<i32>,
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) limit_owner: String,
    pub(crate) amount_minor: i64,
}

/// What all holds of a batch have in common.
#[derive(Clone, Debug)]
pub(crate) struct HoldTerms {
    pub(crate) show_no: i32,
    pub(crate) ticket_limit: i32,
    pub(crate) currency: String,
    pub(crate) now: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) hard_deadline: Timestamp,
}

/// What became of one ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HoldAnswer {
    /// All seats are held.
    Held,
    /// These could not be had, so none are held.
    SeatsTaken(Vec<i32>),
    /// The owner would have too many tickets.
    TicketLimit,
}

/// Settles `asks` in one transaction. The answers are in the order of the asks; the reports say
/// how the seats are now, those that were refused included.
pub(crate) async fn hold_batch(
    pool: &PgPool,
    terms: &HoldTerms,
    asks: &[HoldAsk],
) -> Result<(Vec<HoldAnswer>, Vec<SeatReport>), StoreError> {
    let columns = Columns::new(asks);
    let mut tx = pool.begin().await?;
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
            // A hold without all of its seats must not survive, so the transaction is dropped.
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
    tx.commit().await?;
    if !refused.is_empty() {
        let mut connection = pool.acquire().await?;
        reports.extend(seats::some(&mut connection, terms.show_no, &refused).await?);
    }
    Ok((answers, reports))
}

/// The asks turned into arrays, as `unnest` wants them. Asks are numbered from 1.
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
            columns.subjects.push(ask.subject.clone());
            columns.sessions.push(ask.session.clone());
            columns.limit_owners.push(ask.limit_owner.clone());
            columns.amounts.push(ask.amount_minor);
        }
        columns
    }
}
