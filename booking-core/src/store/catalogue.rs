//! Reads cities, shows and their seats.
//!
//! No query here joins two large tables: for up to a minute after the import of a show with 50,000
//! seats, the planner's statistics still say one seat, so it could choose a nested loop over
//! 2,500,000,000 pairs.

use std::collections::HashMap;
use std::time::Duration;

use contract::Timestamp;
use contract::booking::{Category, SeatStatus};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::{id, unsigned, word};
use crate::database::StoreError;
use crate::shows::{CityInfo, PlannedSeat, SeatFigures, SeatPlan, SeatState, ShowInfo};

/// Shows whose seats are counted by one statement.
const COUNTED_AT_ONCE: usize = 500;

/// A show with its seats, as read from the database.
#[derive(Debug)]
pub(crate) struct LoadedShow {
    pub(crate) info: ShowInfo,
    pub(crate) plan: SeatPlan,
    pub(crate) states: Vec<SeatState>,
}

/// The shows to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// Shows that ended after this time.
    EndedAfter(Timestamp),
    /// Shows with these numbers.
    These(&'a [i32]),
    /// The show with this id.
    Id(&'a contract::ShowId),
}

/// Shows without their seats. A row that cannot be parsed is logged and skipped, so that the others
/// are still read.
pub(crate) async fn infos(pool: &PgPool, which: Which<'_>) -> Result<Vec<ShowInfo>, StoreError> {
    let mut tx = snapshot(pool).await?;
    let (read, unreadable) = infos_of(&mut tx, which).await?;
    tx.commit().await?;
    for (show_no, error) in unreadable {
        metrics::counter!(crate::telemetry::SHOWS_UNREADABLE).increment(1);
        tracing::error!(show_no, %error, "a show cannot be read and is left out");
    }
    Ok(read)
}

/// A show, read in the caller's transaction; `None` also if its row cannot be parsed.
pub(crate) async fn info_within(
    connection: &mut PgConnection,
    show: &contract::ShowId,
) -> Result<Option<ShowInfo>, StoreError> {
    let (mut read, _) = infos_of(connection, Which::Id(show)).await?;
    Ok(read.pop())
}

/// A transaction that reads from one snapshot.
async fn snapshot(pool: &PgPool) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, StoreError> {
    let mut tx = pool.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

struct ShowRow {
    show_no: i32,
    revision: i32,
    show_id: String,
    title: String,
    description: String,
    genre: String,
    language: String,
    performers: Vec<String>,
    venue: serde_json::Value,
    starts_at: OffsetDateTime,
    ends_at: Option<OffsetDateTime>,
    sale_opens_at: OffsetDateTime,
    sale_closes_at: OffsetDateTime,
    cancelled_at: Option<OffsetDateTime>,
    room: Option<String>,
    ticket_limit: i32,
    hold_seconds: i32,
    currency: String,
    refund_policy: Option<serde_json::Value>,
    fees: serde_json::Value,
    taxes: serde_json::Value,
    seat_no_first: i32,
    seat_count: i32,
    city_id: String,
    city_name: String,
    country: String,
    time_zone: String,
}

type Unreadable = Vec<(i32, StoreError)>;

async fn infos_of(
    connection: &mut PgConnection,
    which: Which<'_>,
) -> Result<(Vec<ShowInfo>, Unreadable), StoreError> {
    let (ended_after, these, show_id) = match which {
        Which::EndedAfter(at) => (Some(OffsetDateTime::from(at)), None, None),
        Which::These(show_nos) => (None, Some(show_nos), None),
        Which::Id(show) => (None, None, Some(show.as_str())),
    };
    let rows = sqlx::query_as!(
        ShowRow,
        "select s.show_no, s.revision, s.show_id, s.title, s.description, s.genre, s.language,
            s.performers, s.venue, s.starts_at, s.ends_at, s.sale_opens_at, s.sale_closes_at,
            s.cancelled_at, s.room, s.ticket_limit, s.hold_seconds, s.currency,
            s.refund_policy, s.fees, s.taxes, s.seat_no_first, s.seat_count, c.city_id,
            c.name as city_name, c.country, c.time_zone
         from shows s join cities c using (city_id)
         where ($1::timestamptz is null
                or greatest(s.starts_at, s.ends_at, s.sale_closes_at) > $1)
            and ($2::integer[] is null or s.show_no = any($2))
            and ($3::text is null or s.show_id = $3)",
        ended_after,
        these as Option<&[i32]>,
        show_id
    )
    .fetch_all(&mut *connection)
    .await?;
    let show_nos: Vec<i32> = rows.iter().map(|row| row.show_no).collect();
    let mut categories: HashMap<i32, Result<Vec<Category>, StoreError>> = HashMap::new();
    for row in sqlx::query!(
        "select show_no, category, name, price_minor, ticket_types from show_categories
         where show_no = any($1) order by show_no, ordinal",
        &show_nos
    )
    .fetch_all(connection)
    .await?
    {
        let of_show = categories.entry(row.show_no).or_insert(Ok(Vec::new()));
        match (&mut *of_show, json("show_categories", row.ticket_types)) {
            (Ok(known), Ok(ticket_types)) => known.push(Category {
                category: row.category,
                name: row.name,
                price_minor: row.price_minor,
                ticket_types,
            }),
            (Ok(_), Err(error)) => *of_show = Err(error),
            (Err(_), _) => {}
        }
    }
    let mut read = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in rows {
        let show_no = row.show_no;
        let categories = categories.remove(&show_no).unwrap_or(Ok(Vec::new()));
        match categories.and_then(|categories| row.read(categories)) {
            Ok(info) => read.push(info),
            Err(error) => unreadable.push((show_no, error)),
        }
    }
    Ok((read, unreadable))
}

impl ShowRow {
    fn read(self, categories: Vec<Category>) -> Result<ShowInfo, StoreError> {
        let ends_at = self
            .ends_at
            .unwrap_or_else(|| self.starts_at.max(self.sale_closes_at));
        Ok(ShowInfo {
            show_no: self.show_no,
            revision: self.revision,
            show_id: id("shows", &self.show_id)?,
            city: CityInfo {
                city_id: id("cities", &self.city_id)?,
                name: self.city_name,
                country: self.country,
                time_zone: self.time_zone,
            },
            title: self.title,
            description: self.description,
            genre: self.genre,
            language: self.language,
            cast: self.performers,
            venue: json("shows", self.venue)?,
            starts_at: self.starts_at.into(),
            ends_at: ends_at.into(),
            sale_opens_at: self.sale_opens_at.into(),
            sale_closes_at: self.sale_closes_at.into(),
            cancelled: self.cancelled_at.is_some(),
            room: self.room.map(|room| id("shows", &room)).transpose()?,
            ticket_limit: unsigned("shows", self.ticket_limit)?,
            hold_seconds: unsigned("shows", self.hold_seconds)?,
            currency: self.currency,
            categories,
            fees: json("shows", self.fees)?,
            taxes: json("shows", self.taxes)?,
            refund_policy: self
                .refund_policy
                .map(|policy| json("shows", policy))
                .transpose()?,
            seat_no_first: self.seat_no_first,
            seat_count: unsigned("shows", self.seat_count)?,
        })
    }
}

fn json<T: serde::de::DeserializeOwned>(
    table: &'static str,
    value: serde_json::Value,
) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt(table, error))
}

/// The number of free and unsold seats of each show, and the versions of their maps.
pub(crate) async fn figures(
    pool: &PgPool,
    show_nos: &[i32],
) -> Result<Vec<(i32, SeatFigures)>, StoreError> {
    let mut figures = Vec::with_capacity(show_nos.len());
    for some in show_nos.chunks(COUNTED_AT_ONCE) {
        let rows = sqlx::query!(
            r#"select show_no, sum(version)::bigint as "version!",
                count(*) filter (where status = 'AVAILABLE') as "available!",
                count(*) filter (where status in ('AVAILABLE', 'HELD')) as "unsold!"
             from show_seats where show_no = any($1) group by show_no"#,
            some
        )
        .fetch_all(pool)
        .await?;
        let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
        figures.extend(rows.into_iter().map(|row| {
            let figures = SeatFigures {
                version: unsigned(row.version),
                available: unsigned(row.available),
                unsold: unsigned(row.unsold),
            };
            (row.show_no, figures)
        }));
    }
    Ok(figures)
}

/// One show with its seats, from one snapshot of the database.
pub(crate) async fn show(pool: &PgPool, show_no: i32) -> Result<Option<LoadedShow>, StoreError> {
    let mut tx = snapshot(pool).await?;
    let (mut read, unreadable) = infos_of(&mut tx, Which::These(&[show_no])).await?;
    if let Some((_, error)) = unreadable.into_iter().next() {
        return Err(error);
    }
    let Some(info) = read.pop() else {
        return Ok(None);
    };
    let (seats, states) = show_seats(&mut tx, &info).await?;
    tx.commit().await?;
    Ok(Some(LoadedShow {
        plan: SeatPlan::new(info.seat_no_first, seats),
        info,
        states,
    }))
}

async fn show_seats(
    connection: &mut PgConnection,
    info: &ShowInfo,
) -> Result<(Vec<PlannedSeat>, Vec<SeatState>), StoreError> {
    let layout = sqlx::query!(
        "select seat_no, seat_id, section, row_label, number, category, x, y, accessible
         from seats where show_no = $1 order by seat_no",
        info.show_no
    )
    .fetch_all(&mut *connection)
    .await?;
    let standing = sqlx::query!(
        "select seat_no, status, version from show_seats where show_no = $1 order by seat_no",
        info.show_no
    )
    .fetch_all(connection)
    .await?;
    let numbers = |seat: usize| (layout[seat].seat_no, standing[seat].seat_no);
    if layout.len() != standing.len() || (0..layout.len()).any(|it| numbers(it).0 != numbers(it).1)
    {
        return Err(StoreError::corrupt(
            "show_seats",
            "not the seats of the layout",
        ));
    }
    // As fans see them first: with fees and taxes.
    let prices: HashMap<String, i64> = info
        .tariff()
        .public_categories()
        .into_iter()
        .map(|it| (it.category, it.price_minor))
        .collect();
    let mut planned = Vec::with_capacity(layout.len());
    let mut known = Vec::with_capacity(layout.len());
    for (row, state) in layout.into_iter().zip(standing) {
        let status: SeatStatus = word("show_seats", &state.status)?;
        known.push(SeatState {
            status,
            version: state.version,
        });
        let price_minor = *prices
            .get(row.category.as_str())
            .ok_or_else(|| StoreError::corrupt("seats", "a seat of no category"))?;
        planned.push(PlannedSeat {
            seat_id: id("seats", &row.seat_id)?,
            section: row.section,
            row: row.row_label,
            number: unsigned("seats", row.number)?,
            category: row.category,
            price_minor,
            x: row.x,
            y: row.y,
            accessible: row.accessible,
            blocked: status == SeatStatus::Blocked,
        });
    }
    Ok((planned, known))
}

/// The changes since a reader's last read.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Shows that were imported or whose city changed.
    pub(crate) shows: Vec<i32>,
    /// Shows with changed seats, and which: `None` when too many changed to be noted alone.
    pub(crate) seats: Vec<(i32, Option<Vec<i32>>)>,
    /// The transaction id where the next read begins.
    pub(crate) next: i64,
}

/// The shows changed by transactions that were still open at transaction id `since`, or began
/// later. A show may be returned twice, but none is missed, in whatever order transactions commit.
pub(crate) async fn changes(pool: &PgPool, since: i64) -> Result<Changes, StoreError> {
    let rows = sqlx::query!(
        r#"with noted as materialized (
            select show_no, is_show, seat_nos
            from show_changes where changed_in >= $1::bigint::text::xid8
        ),
        changed as (
            select show_no, bool_or(is_show) as is_show, bool_or(not is_show) as is_seats,
                bool_or(not is_show and seat_nos is null) as is_many
            from noted group by show_no
        ),
        seats as (
            select show_no, array_agg(distinct seat_no) as seat_nos
            from noted cross join unnest(seat_nos) as u (seat_no) group by show_no
        )
        select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "next!",
            c.show_no as "show_no?", c.is_show as "is_show?", c.is_seats as "is_seats?",
            c.is_many as "is_many?", s.seat_nos as "seat_nos?"
        from (select 1) as one left join changed c on true left join seats s using (show_no)"#,
        since
    )
    .fetch_all(pool)
    .await?;
    let mut changes = Changes {
        next: since,
        ..Changes::default()
    };
    for row in rows {
        changes.next = row.next;
        let Some(show_no) = row.show_no else { continue };
        if row.is_show == Some(true) {
            changes.shows.push(show_no);
        }
        if row.is_seats == Some(true) {
            let alone = row.seat_nos.filter(|_| row.is_many == Some(false));
            changes.seats.push((show_no, alone));
        }
    }
    Ok(changes)
}

/// The id of the oldest open transaction: where the first read of changes begins.
pub(crate) async fn changes_begin(pool: &PgPool) -> Result<i64, StoreError> {
    let row =
        sqlx::query!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "next!""#)
            .fetch_one(pool)
            .await?;
    Ok(row.next)
}

/// Removes records of changes older than `keep`, by the clock of the database, which set their
/// times.
pub(crate) async fn purge_changes(
    pool: &PgPool,
    keep: Duration,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from show_changes where ctid = any(array(
            select ctid from show_changes where changed_at < clock_timestamp() - make_interval(secs => $1)
            limit $2))",
        keep.as_secs_f64(),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Whether a show exists or ever existed.
pub(crate) async fn has_shows(pool: &PgPool) -> Result<bool, StoreError> {
    let exists = sqlx::query_scalar!(r#"select exists (select 1 from shows) as "exists!""#);
    Ok(exists.fetch_one(pool).await?)
}
