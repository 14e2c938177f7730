//! Settles many holds in one statement.

use std::collections::HashSet;

use contract::Timestamp;
use contract::booking::SeatStatus;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::idempotency::{self, KeyedAnswer};
use super::seats::{self, SeatReport};
use crate::database::StoreError;
use crate::shows::{SeatState, SeatsPrice};

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
    /// Of its seats, in their order.
    pub(crate) price: SeatsPrice,
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
    /// Another request has used the key; nothing was tried.
    KeyUsed,
}

/// The outcome of a batch.
#[derive(Clone, Debug)]
pub(crate) struct HoldBatch {
    /// In the order of the asks.
    pub(crate) answers: Vec<HoldAnswer>,
    /// The present states of the seats, including those that were refused.
    pub(crate) reports: Vec<SeatReport>,
}

/// Settles `asks` in one transaction, and stores the responses of asks with a key in it. No two
/// asks may want the same seat or have the same owner.
pub(crate) async fn hold_batch(
    pool: &PgPool,
    terms: &HoldTerms,
    asks: &[HoldAsk],
) -> Result<HoldBatch, StoreError> {
    let mut answers = vec![HoldAnswer::TicketLimit; asks.len()];
    let mut tx = pool.begin().await?;
    // Keys are stored before seats are locked. So a repeat of a request at another process waits
    // here for the first, instead of finding the seats taken by it.
    let keyed: Vec<_> = asks
        .iter()
        .filter_map(|ask| Some((ask.keyed.as_ref()?, ask.hold_id)))
        .collect();
    let mut are_new = Vec::new();
    if !keyed.is_empty() {
        are_new = idempotency::store(&mut tx, &keyed, terms.now).await?;
    }
    let mut are_new = are_new.into_iter();
    for (answer, ask) in answers.iter_mut().zip(asks) {
        if ask.keyed.is_some() && are_new.next() != Some(true) {
            *answer = HoldAnswer::KeyUsed;
        }
    }
    let tried: Vec<usize> = (0..asks.len())
        .filter(|at| answers[*at] != HoldAnswer::KeyUsed)
        .collect();
    let seats = take(&mut tx, terms, asks, &tried).await?;
    for (at, seats) in tried.iter().zip(&seats) {
        answers[*at] = seats.answer(asks[*at].seat_nos.len())?;
    }
    let refused_keys: Vec<&KeyedAnswer> = tried
        .iter()
        .filter(|at| answers[**at] != HoldAnswer::Held)
        .filter_map(|at| asks[*at].keyed.as_ref())
        .collect();
    if !refused_keys.is_empty() {
        idempotency::take_back(&mut tx, &refused_keys).await?;
    }
    tx.commit().await?;
    let reported = |(seat_no, version): &(i32, i32)| SeatReport {
        show_no: terms.show_no,
        seat_no: *seat_no,
        state: SeatState {
            status: SeatStatus::Held,
            version: *version,
        },
    };
    let held = seats.iter().flat_map(|seats| &seats.held);
    let mut reports: Vec<SeatReport> = held.map(reported).collect();
    let missing = seats.iter().flat_map(|seats| &seats.missing);
    let missing: Vec<i32> = missing.copied().collect();
    if !missing.is_empty() {
        // The batch is committed whether or not this succeeds; if it fails, the next refresh of
        // memory reads the same states.
        match refused_now(pool, terms.show_no, &missing).await {
            Ok(states) => {
                tell_locked_from_taken(&mut answers, &states);
                reports.extend(states);
            }
            Err(cause) => tracing::warn!(%cause, "the state of refused seats was not read"),
        }
    }
    Ok(HoldBatch { answers, reports })
}

/// What became of the seats of one ask.
#[derive(Clone, Debug, Default)]
struct SeatsOfAsk {
    /// Seats that are held, with their versions.
    held: Vec<(i32, i32)>,
    /// Seats that are not available.
    missing: Vec<i32>,
}

impl SeatsOfAsk {
    fn answer(&self, wanted: usize) -> Result<HoldAnswer, StoreError> {
        if self.held.is_empty() {
            return Ok(if self.missing.is_empty() {
                HoldAnswer::TicketLimit
            } else {
                HoldAnswer::SeatsTaken(self.missing.clone())
            });
        }
        // A hold must have all of its seats, so the transaction is rolled back.
        if self.held.len() != wanted {
            return Err(StoreError::corrupt("holds", "a batch held only some seats"));
        }
        Ok(HoldAnswer::Held)
    }
}

/// Takes the seats of the asks at `tried`, and returns what became of each in that order.
async fn take(
    tx: &mut PgConnection,
    terms: &HoldTerms,
    asks: &[HoldAsk],
    tried: &[usize],
) -> Result<Vec<SeatsOfAsk>, StoreError> {
    let mut seats = vec![SeatsOfAsk::default(); tried.len()];
    if tried.is_empty() {
        return Ok(seats);
    }
    let columns = Columns::new(tried.iter().map(|at| &asks[*at]))?;
    let rows = sqlx::query_file!(
        "src/store/hold_batch.sql",
        terms.show_no,
        &columns.seat_asks,
        &columns.seat_nos,
        &columns.hold_ids,
        &columns.subjects as &[Option<&str>],
        &columns.sessions as &[Option<&str>],
        &columns.limit_owners as &[&str],
        &columns.amounts,
        terms.ticket_limit,
        terms.currency,
        OffsetDateTime::from(terms.now),
        OffsetDateTime::from(terms.expires_at),
        OffsetDateTime::from(terms.hard_deadline),
        &columns.ticket_prices,
        &columns.ticket_types as &[Option<&str>],
        &columns.price_lines
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let at = usize::try_from(row.ask - 1).unwrap_or(usize::MAX);
        let of_ask = seats
            .get_mut(at)
            .ok_or_else(|| StoreError::corrupt("holds", "a batch answered an unknown ask"))?;
        match row.version {
            Some(version) => of_ask.held.push((row.seat_no, version)),
            None => of_ask.missing.push(row.seat_no),
        }
    }
    Ok(seats)
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

/// The asks as arrays. Asks are numbered from 1.
#[derive(Debug, Default)]
struct Columns<'a> {
    seat_asks: Vec<i32>,
    seat_nos: Vec<i32>,
    hold_ids: Vec<Uuid>,
    subjects: Vec<Option<&'a str>>,
    sessions: Vec<Option<&'a str>>,
    limit_owners: Vec<&'a str>,
    amounts: Vec<i64>,
    /// Of each seat.
    ticket_prices: Vec<i64>,
    /// Of each seat.
    ticket_types: Vec<Option<&'a str>>,
    /// As JSON.
    price_lines: Vec<String>,
}

impl<'a> Columns<'a> {
    /// Fails when two asks want the same seat or have the same owner: the statement would give the
    /// seat to both.
    fn new(asks: impl Iterator<Item = &'a HoldAsk>) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for (number, ask) in (1..).zip(asks) {
            for seat_no in &ask.seat_nos {
                columns.seat_asks.push(number);
                columns.seat_nos.push(*seat_no);
            }
            columns.hold_ids.push(ask.hold_id);
            columns.subjects.push(ask.owner.subject.as_deref());
            columns.sessions.push(ask.owner.session.as_deref());
            columns.limit_owners.push(&ask.owner.limit_owner);
            columns.amounts.push(ask.price.amount_minor);
            columns.ticket_prices.extend(ask.price.shares());
            columns.ticket_types.extend(ask.price.types());
            let lines = serde_json::to_string(&ask.price.lines);
            let lines = lines.map_err(|error| StoreError::corrupt("holds", error))?;
            columns.price_lines.push(lines);
        }
        let seats: HashSet<i32> = columns.seat_nos.iter().copied().collect();
        let owners: HashSet<&str> = columns.limit_owners.iter().copied().collect();
        if columns.ticket_prices.len() != columns.seat_nos.len() {
            let what = "a seat without a price";
            return Err(StoreError::corrupt("holds", what));
        }
        if seats.len() < columns.seat_nos.len() || owners.len() < columns.limit_owners.len() {
            let what = "a batch asks twice for a seat or for an owner";
            return Err(StoreError::corrupt("holds", what));
        }
        Ok(columns)
    }
}
