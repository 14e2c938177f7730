//! Imports a show file.

use std::time::Duration;

use contract::booking::{Category, ImportOutcome, ShowFileCity};
use contract::{ShowId, Timestamp};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::catalogue::info_within;
use crate::database::StoreError;
use crate::shows::{PlannedSeat, ShowDraft, ShowInfo};

/// Timeout of an import's statements.
const STATEMENT_MAX: Duration = Duration::from_secs(30);

/// The outcome of an import.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Import {
    /// The show was imported.
    Done {
        outcome: ImportOutcome,
        before: Option<Box<ShowInfo>>,
        after: Option<Box<ShowInfo>>,
    },
    /// The import would change seats of a show with holds or bookings.
    SeatsInUse,
    /// The import would change the currency or room of a show with holds or bookings.
    TermsInUse,
    /// The import would move a show with bookings, and nobody would be told.
    Moves,
}

/// Imports `draft` in one transaction.
pub(crate) async fn import(
    pool: &PgPool,
    draft: &ShowDraft,
    now: Timestamp,
) -> Result<Import, StoreError> {
    let mut tx = pool.begin().await?;
    let file = &draft.show.file;
    // A large hall takes longer than the statement timeout of the pools.
    sqlx::query!(
        "select set_config('statement_timeout', $1, true) as timeout",
        STATEMENT_MAX.as_millis().to_string()
    )
    .fetch_one(&mut *tx)
    .await?;
    lock_import(&mut tx, &file.show_id).await?;
    // Read before the city is changed, because the city's time zone is also a field of the show.
    let before = info_within(&mut tx, &file.show_id).await?;
    city_place(&mut tx, &file.city).await?;
    let existing = sqlx::query!(
        "select show_no, content_hash, currency, room, sale_opens_at, seat_no_first, seat_count,
            starts_at, ends_at, venue
         from shows where show_id = $1 for no key update",
        file.show_id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await?;
    let outcome = match existing {
        None => {
            let show_no = insert_show(&mut tx, draft, now).await?;
            insert_categories(&mut tx, show_no, &file.categories).await?;
            super::show_moves::set_reminder(&mut tx, show_no, file.reminder_hours).await?;
            insert_seats(&mut tx, show_no, 1, &draft.show.seats).await?;
            ImportOutcome::Created
        }
        Some(row) if row.content_hash == draft.content_hash => ImportOutcome::Unchanged,
        Some(row) => {
            let place = (
                OffsetDateTime::from(file.starts_at),
                file.ends_at.map(OffsetDateTime::from),
                json(&file.venue)?,
            );
            let moves = (row.starts_at, row.ends_at, row.venue) != place;
            if moves && is_booked(&mut tx, row.show_no).await? {
                return Ok(Import::Moves);
            }
            let room = file.room.as_ref().map(ToString::to_string);
            let same_terms = row.currency == file.currency && row.room == room;
            let same_seats = same_seats(&mut tx, row.show_no, &draft.show.seats).await?;
            // Seats are locked only for a change that holds forbid, and only after a check without
            // a lock: a request to hold skips locked seats and would be refused as if they were
            // taken.
            if !(same_terms && same_seats)
                && (in_use(&mut tx, row.show_no).await? || {
                    lock_seats(&mut tx, row.show_no).await?;
                    in_use(&mut tx, row.show_no).await?
                })
            {
                return Ok(if same_terms {
                    Import::SeatsInUse
                } else {
                    Import::TermsInUse
                });
            }
            let first_no = if same_seats {
                row.seat_no_first
            } else {
                row.seat_no_first.saturating_add(row.seat_count)
            };
            let opens_at = file
                .sale_opens_at
                .unwrap_or_else(|| row.sale_opens_at.into());
            update_show(&mut tx, row.show_no, draft, opens_at, first_no, now).await?;
            if !same_seats {
                delete_seats(&mut tx, row.show_no).await?;
            }
            replace_categories(&mut tx, row.show_no, &file.categories).await?;
            super::show_moves::set_reminder(&mut tx, row.show_no, file.reminder_hours).await?;
            if !same_seats {
                insert_seats(&mut tx, row.show_no, first_no, &draft.show.seats).await?;
            }
            ImportOutcome::Updated
        }
    };
    let after = info_within(&mut tx, &file.show_id).await?;
    tx.commit().await?;
    if outcome != ImportOutcome::Unchanged {
        gather_statistics(pool).await;
    }
    Ok(Import::Done {
        outcome,
        before: before.map(Box::new),
        after: after.map(Box::new),
    })
}

/// Tells the planner how many seats there are. A plan that was made while there were few reads them
/// all, and is kept until then; the database would see to it within some minutes.
async fn gather_statistics(pool: &PgPool) {
    let analyze = sqlx::raw_sql("analyze show_seats_default").execute(pool);
    if let Err(error) = analyze.await {
        tracing::warn!(%error, "holds may be slow until the database has gathered statistics");
    }
}

/// Serialises imports of one show, including the first, which has no row to lock yet.
async fn lock_import(connection: &mut PgConnection, show: &ShowId) -> Result<(), StoreError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1, 4711)) as locked",
        show.as_str()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Inserts or updates the city. An unchanged city is not locked, so that imports in one city do not
/// wait for each other.
async fn city_place(connection: &mut PgConnection, city: &ShowFileCity) -> Result<(), StoreError> {
    let known = sqlx::query!(
        "select name, country, time_zone from cities where city_id = $1",
        city.city_id.as_str()
    )
    .fetch_optional(&mut *connection)
    .await?;
    if known.is_some_and(|known| {
        (known.name, known.country, known.time_zone)
            == (
                city.name.clone(),
                city.country.clone(),
                city.time_zone.clone(),
            )
    }) {
        return Ok(());
    }
    sqlx::query!(
        "insert into cities (city_id, name, country, time_zone) values ($1, $2, $3, $4)
         on conflict (city_id) do update
            set name = excluded.name, country = excluded.country, time_zone = excluded.time_zone",
        city.city_id.as_str(),
        city.name,
        city.country,
        city.time_zone
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the seats, so that no hold can be made until the transaction ends.
async fn lock_seats(connection: &mut PgConnection, show_no: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "select count(*) as locked from (
            select 1 from show_seats where show_no = $1 order by seat_no for no key update) s",
        show_no
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Whether a seat of the show was ever held.
async fn in_use(connection: &mut PgConnection, show_no: i32) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"select exists (select 1 from holds where show_no = $1) as "used!""#,
        show_no
    )
    .fetch_one(connection)
    .await?;
    Ok(row.used)
}

/// Whether the show has bookings that were not cancelled.
async fn is_booked(connection: &mut PgConnection, show_no: i32) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"select exists (select 1 from bookings
            where show_no = $1 and status <> 'CANCELLED') as "booked!""#,
        show_no
    )
    .fetch_one(connection)
    .await?;
    Ok(row.booked)
}

async fn same_seats(
    connection: &mut PgConnection,
    show_no: i32,
    seats: &[PlannedSeat],
) -> Result<bool, StoreError> {
    // Two reads and no join, for the reason in `store::catalogue`.
    let rows = sqlx::query_as!(
        SeatRow,
        "select seat_id, section, row_label, number, category, x, y, accessible
         from seats where show_no = $1 order by seat_no",
        show_no
    )
    .fetch_all(&mut *connection)
    .await?;
    let blocked = sqlx::query_scalar!(
        r#"select status = 'BLOCKED' as "blocked!" from show_seats
         where show_no = $1 order by seat_no"#,
        show_no
    )
    .fetch_all(connection)
    .await?;
    let known = rows.iter().zip(&blocked);
    Ok(rows.len() == seats.len()
        && blocked.len() == seats.len()
        && known
            .zip(seats)
            .all(|((row, blocked), seat)| row.is(seat) && *blocked == seat.blocked))
}

struct SeatRow {
    seat_id: String,
    section: String,
    row_label: String,
    number: i32,
    category: String,
    x: f64,
    y: f64,
    accessible: bool,
}

impl SeatRow {
    fn is(&self, seat: &PlannedSeat) -> bool {
        // Compared by bits: both were computed by the same arithmetic, so equal layouts have equal
        // coordinates.
        let place = |x: f64, y: f64| (x.to_bits(), y.to_bits());
        self.seat_id == seat.seat_id.as_str()
            && self.section == seat.section
            && self.row_label == seat.row
            && u32::try_from(self.number) == Ok(seat.number)
            && self.category == seat.category
            && place(self.x, self.y) == place(seat.x, seat.y)
            && self.accessible == seat.accessible
    }
}

async fn insert_show(
    connection: &mut PgConnection,
    draft: &ShowDraft,
    now: Timestamp,
) -> Result<i32, StoreError> {
    let file = &draft.show.file;
    let row = sqlx::query!(
        "insert into shows (show_id, city_id, title, description, genre, language, performers,
            venue, starts_at, sale_opens_at, sale_closes_at, room, ticket_limit, hold_seconds,
            currency, content_hash, seat_no_first, seat_count, created_at, updated_at, ends_at,
            refund_policy, transfer_policy, fees, taxes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, $17,
            $18, $18, $19, $20, $21, $22, $23)
         returning show_no",
        file.show_id.as_str(),
        file.city.city_id.as_str(),
        file.title,
        file.description,
        file.genre,
        file.language,
        &file.cast,
        json(&file.venue)?,
        OffsetDateTime::from(file.starts_at),
        OffsetDateTime::from(
            file.sale_opens_at
                .unwrap_or(now.min(draft.show.sale_closes_at))
        ),
        OffsetDateTime::from(draft.show.sale_closes_at),
        file.room.as_ref().map(contract::RoomId::as_str),
        i32::try_from(draft.show.ticket_limit).unwrap_or(i32::MAX),
        i32::try_from(draft.show.hold_seconds).unwrap_or(i32::MAX),
        file.currency,
        &draft.content_hash[..],
        count(draft.show.seats.len()),
        OffsetDateTime::from(now),
        file.ends_at.map(OffsetDateTime::from),
        refund_policy(file)?,
        transfer_policy(file)?,
        json(&file.fees)?,
        json(&file.taxes)?
    )
    .fetch_one(connection)
    .await?;
    Ok(row.show_no)
}

async fn update_show(
    connection: &mut PgConnection,
    show_no: i32,
    draft: &ShowDraft,
    sale_opens_at: Timestamp,
    first_no: i32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let file = &draft.show.file;
    sqlx::query!(
        "update shows set city_id = $2, title = $3, description = $4, genre = $5, language = $6,
            performers = $7, venue = $8, starts_at = $9, sale_opens_at = $10,
            sale_closes_at = $11, room = $12, ticket_limit = $13, hold_seconds = $14,
            currency = $15, content_hash = $16, seat_no_first = $17, seat_count = $18,
            updated_at = $19, ends_at = $20, refund_policy = $21, transfer_policy = $22,
            fees = $23, taxes = $24,
            revision = revision + 1
         where show_no = $1",
        show_no,
        file.city.city_id.as_str(),
        file.title,
        file.description,
        file.genre,
        file.language,
        &file.cast,
        json(&file.venue)?,
        OffsetDateTime::from(file.starts_at),
        OffsetDateTime::from(sale_opens_at.min(draft.show.sale_closes_at)),
        OffsetDateTime::from(draft.show.sale_closes_at),
        file.room.as_ref().map(contract::RoomId::as_str),
        i32::try_from(draft.show.ticket_limit).unwrap_or(i32::MAX),
        i32::try_from(draft.show.hold_seconds).unwrap_or(i32::MAX),
        file.currency,
        &draft.content_hash[..],
        first_no,
        count(draft.show.seats.len()),
        OffsetDateTime::from(now),
        file.ends_at.map(OffsetDateTime::from),
        refund_policy(file)?,
        transfer_policy(file)?,
        json(&file.fees)?,
        json(&file.taxes)?
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::corrupt("shows", error))
}

fn transfer_policy(
    file: &contract::booking::ShowFile,
) -> Result<Option<serde_json::Value>, StoreError> {
    let policy = file.transfer.as_ref().map(serde_json::to_value);
    policy
        .transpose()
        .map_err(|error| StoreError::corrupt("shows", error))
}

fn refund_policy(
    file: &contract::booking::ShowFile,
) -> Result<Option<serde_json::Value>, StoreError> {
    file.refund_policy.as_ref().map(json).transpose()
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

async fn delete_seats(connection: &mut PgConnection, show_no: i32) -> Result<(), StoreError> {
    sqlx::query!("delete from show_seats where show_no = $1", show_no)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("delete from seats where show_no = $1", show_no)
        .execute(connection)
        .await?;
    Ok(())
}

async fn replace_categories(
    connection: &mut PgConnection,
    show_no: i32,
    categories: &[Category],
) -> Result<(), StoreError> {
    sqlx::query!("delete from show_categories where show_no = $1", show_no)
        .execute(&mut *connection)
        .await?;
    insert_categories(connection, show_no, categories).await
}

async fn insert_categories(
    connection: &mut PgConnection,
    show_no: i32,
    categories: &[Category],
) -> Result<(), StoreError> {
    let codes: Vec<String> = categories.iter().map(|c| c.category.clone()).collect();
    let names: Vec<String> = categories.iter().map(|c| c.name.clone()).collect();
    let prices: Vec<i64> = categories.iter().map(|c| c.price_minor).collect();
    let types = categories.iter().map(|c| json(&c.ticket_types));
    let types: Vec<serde_json::Value> = types.collect::<Result<_, _>>()?;
    sqlx::query!(
        "insert into show_categories (show_no, category, ordinal, name, price_minor, ticket_types)
         select $1, c.category, c.ordinal::integer, c.name, c.price, c.types
         from unnest($2::text[], $3::text[], $4::bigint[], $5::jsonb[])
            with ordinality as c (category, name, price, types, ordinal)",
        show_no,
        &codes,
        &names,
        &prices,
        &types
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_seats(
    connection: &mut PgConnection,
    show_no: i32,
    first_no: i32,
    seats: &[PlannedSeat],
) -> Result<(), StoreError> {
    let text = |of: fn(&PlannedSeat) -> &str| -> Vec<String> {
        seats.iter().map(|seat| of(seat).to_owned()).collect()
    };
    let numbers: Vec<i32> = seats
        .iter()
        .map(|seat| i32::try_from(seat.number).unwrap_or(i32::MAX))
        .collect();
    let xs: Vec<f64> = seats.iter().map(|seat| seat.x).collect();
    let ys: Vec<f64> = seats.iter().map(|seat| seat.y).collect();
    let accessible: Vec<bool> = seats.iter().map(|seat| seat.accessible).collect();
    let blocked: Vec<bool> = seats.iter().map(|seat| seat.blocked).collect();
    sqlx::query!(
        "insert into seats (show_no, seat_no, seat_id, section, row_label, number, category, x, y,
            accessible)
         select $1, $2 + s.ordinal::integer - 1, s.seat_id, s.section, s.row_label, s.number,
            s.category, s.x, s.y, s.accessible
         from unnest($3::text[], $4::text[], $5::text[], $6::integer[], $7::text[],
                $8::double precision[], $9::double precision[], $10::boolean[])
            with ordinality as s (seat_id, section, row_label, number, category, x, y, accessible,
                ordinal)",
        show_no,
        first_no,
        &text(|seat| seat.seat_id.as_str()),
        &text(|seat| &seat.section),
        &text(|seat| &seat.row),
        &numbers,
        &text(|seat| &seat.category),
        &xs,
        &ys,
        &accessible
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into show_seats (show_no, seat_no, status)
         select $1, $2 + s.ordinal::integer - 1,
            case when s.blocked then 'BLOCKED' else 'AVAILABLE' end
         from unnest($3::boolean[]) with ordinality as s (blocked, ordinal)",
        show_no,
        first_no,
        &blocked
    )
    .execute(connection)
    .await?;
    Ok(())
}
