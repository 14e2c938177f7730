//! Which PDFs of tickets a store has, or is to have.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;
use crate::store::consumers;

/// A PDF that this process may work on until its lease ends.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedPdf {
    pub(crate) pdf_id: Uuid,
    pub(crate) booking_id: Uuid,
    /// The transfer by which its reader got tickets; `None` for the buyer.
    pub(crate) reader: Option<Uuid>,
    /// The show as it was when this was claimed.
    pub(crate) show_revision: i32,
    /// The object, and what it says.
    pub(crate) object: Option<String>,
    pub(crate) printed: Option<Vec<u8>>,
    /// What an attempt that failed may have left.
    pub(crate) writing: Option<String>,
    pub(crate) changes: i32,
    /// With this attempt.
    pub(crate) attempt_count: i32,
    leased_until: OffsetDateTime,
}

/// A PDF that a store has.
#[derive(Clone, Debug)]
pub(crate) struct KeptPdf {
    pub(crate) store: String,
    pub(crate) object: String,
    pub(crate) printed: Vec<u8>,
    pub(crate) digest: Vec<u8>,
}

/// Adds the bookings of the next `limit` events. Returns how many events there were. Position and
/// rows move together, so each booking is added once; any number of processes may call it.
pub(crate) async fn enrol(pool: &PgPool, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let mut tx = pool.begin().await?;
    let Some(part) = consumers::take(&mut tx, "ticket-pdfs", limit).await? else {
        return Ok(0);
    };
    sqlx::query!(
        "with made as materialized (
            select case when kind = 'booking.confirmed'
                then split_part(dedupe, ':', 2)::uuid end as booking_id
            from event_log($1, $2)
        )
        insert into ticket_pdfs (pdf_id, booking_id, show_no, show_revision, due_at, created_at)
        select gen_random_uuid(), b.booking_id, b.show_no, s.revision, $3, $3
        from made join bookings b using (booking_id) join shows s using (show_no)
        on conflict do nothing",
        part.after,
        part.to,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    consumers::moved(&mut tx, "ticket-pdfs", part, now).await?;
    tx.commit().await?;
    Ok(usize::try_from(part.to - part.after).unwrap_or(0))
}

/// Makes PDFs due whose show changed before `settled`, so that memory has read it, up to `limit`.
/// Returns how many.
pub(crate) async fn shows_changed(
    pool: &PgPool,
    now: Timestamp,
    settled: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let done = sqlx::query!(
        "update ticket_pdfs set due_at = $1, changes = changes + 1 where pdf_id in (
            select p.pdf_id from shows s
            join ticket_pdfs p on p.show_no = s.show_no and p.show_revision < s.revision
            where p.due_at is null and s.updated_at <= $2
            limit $3 for no key update of p skip locked)",
        OffsetDateTime::from(now),
        OffsetDateTime::from(settled),
        limit
    )
    .execute(pool)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(0))
}

/// Makes PDFs due whose show ended before `over`, up to `limit`. Returns how many.
pub(crate) async fn shows_over(
    pool: &PgPool,
    now: Timestamp,
    over: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let done = sqlx::query!(
        "update ticket_pdfs set due_at = $1, changes = changes + 1 where pdf_id in (
            select p.pdf_id from shows s join ticket_pdfs p using (show_no)
            where p.due_at is null
                and coalesce(s.ends_at, greatest(s.starts_at, s.sale_closes_at)) < $2
            limit $3 for no key update of p skip locked)",
        OffsetDateTime::from(now),
        OffsetDateTime::from(over),
        limit
    )
    .execute(pool)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(0))
}

/// Claims PDFs that are due and in this store or in none, the oldest first.
pub(crate) async fn claim_due(
    pool: &PgPool,
    store: &str,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<ClaimedPdf>, StoreError> {
    let rows = sqlx::query!(
        r#"with due as materialized (
            select pdf_id from ticket_pdfs
            where due_at <= $2 and (leased_until is null or leased_until <= $2)
                and (store is null or store = $1)
            order by due_at limit $4 for no key update skip locked
        )
        update ticket_pdfs p set leased_until = $3, attempt_count = p.attempt_count + 1
        from due join ticket_pdfs d using (pdf_id) join shows s on s.show_no = d.show_no
        where p.pdf_id = due.pdf_id
        returning p.pdf_id, p.booking_id, p.transfer_id, s.revision, p.object, p.printed,
            p.writing, p.changes, p.attempt_count, p.leased_until as "leased_until!""#,
        store,
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit
    )
    .fetch_all(pool)
    .await?;
    let claimed = rows.into_iter().map(|row| ClaimedPdf {
        pdf_id: row.pdf_id,
        booking_id: row.booking_id,
        reader: row.transfer_id,
        show_revision: row.revision,
        object: row.object,
        printed: row.printed,
        writing: row.writing,
        changes: row.changes,
        attempt_count: row.attempt_count,
        leased_until: row.leased_until,
    });
    Ok(claimed.collect())
}

/// Names the object that is about to be written; the earlier ones are gone. Returns whether the
/// lease still holds.
pub(crate) async fn begin(
    pool: &PgPool,
    claimed: &ClaimedPdf,
    store: &str,
    object: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update ticket_pdfs set store = $3, writing = $4, object = null, printed = null,
            digest = null, stored_at = null
         where pdf_id = $1 and leased_until = $2",
        claimed.pdf_id,
        claimed.leased_until,
        store,
        object
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What was written.
pub(crate) struct Stored<'a> {
    pub(crate) object: &'a str,
    pub(crate) printed: &'a [u8],
    pub(crate) digest: &'a [u8],
}

/// Records an object that was written. A change that came meanwhile leaves it due.
pub(crate) async fn stored(
    pool: &PgPool,
    claimed: &ClaimedPdf,
    stored: &Stored<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update ticket_pdfs set object = $3, printed = $4, digest = $5, writing = null,
            stored_at = $6, show_revision = $7, leased_until = null, attempt_count = 0,
            last_error = null, due_at = case when changes = $8 then null else due_at end
         where pdf_id = $1 and leased_until = $2 and writing = $3",
        claimed.pdf_id,
        claimed.leased_until,
        stored.object,
        stored.printed,
        stored.digest,
        OffsetDateTime::from(now),
        claimed.show_revision,
        claimed.changes
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that what is kept is as it should be.
pub(crate) async fn is_good(pool: &PgPool, claimed: &ClaimedPdf) -> Result<(), StoreError> {
    sqlx::query!(
        "update ticket_pdfs set show_revision = $3, leased_until = null, attempt_count = 0,
            last_error = null, due_at = case when changes = $4 then null else due_at end
         where pdf_id = $1 and leased_until = $2",
        claimed.pdf_id,
        claimed.leased_until,
        claimed.show_revision,
        claimed.changes
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Records that nothing is kept any more; looked at again at `again`, or at the next change.
pub(crate) async fn removed(
    pool: &PgPool,
    claimed: &ClaimedPdf,
    again: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update ticket_pdfs set store = null, object = null, writing = null, printed = null,
            digest = null, stored_at = null, show_revision = $3, leased_until = null,
            attempt_count = 0, last_error = null,
            due_at = case when changes = $4 then $5 else due_at end
         where pdf_id = $1 and leased_until = $2",
        claimed.pdf_id,
        claimed.leased_until,
        claimed.show_revision,
        claimed.changes,
        again.map(OffsetDateTime::from)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets a PDF whose object is gone for good.
pub(crate) async fn forget(pool: &PgPool, claimed: &ClaimedPdf) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from ticket_pdfs where pdf_id = $1 and leased_until = $2",
        claimed.pdf_id,
        claimed.leased_until
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Puts the next attempt off until `at`.
pub(crate) async fn put_off(
    pool: &PgPool,
    claimed: &ClaimedPdf,
    at: Timestamp,
    why: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update ticket_pdfs set due_at = $3, leased_until = null, last_error = $4
         where pdf_id = $1 and leased_until = $2",
        claimed.pdf_id,
        claimed.leased_until,
        OffsetDateTime::from(at),
        why
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What is kept for this reader.
pub(crate) async fn kept(
    connection: &mut PgConnection,
    booking_id: Uuid,
    reader: Option<Uuid>,
) -> Result<Option<KeptPdf>, StoreError> {
    let row = sqlx::query!(
        r#"select store as "store!", object as "object!", printed as "printed!",
            digest as "digest!"
         from ticket_pdfs
         where booking_id = $1 and transfer_id is not distinct from $2 and object is not null"#,
        booking_id,
        reader
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| KeptPdf {
        store: row.store,
        object: row.object,
        printed: row.printed,
        digest: row.digest,
    }))
}

/// Makes the PDF of this reader due, which is added if it was not there.
pub(crate) async fn ask(
    pool: &PgPool,
    booking_id: Uuid,
    reader: Option<Uuid>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into ticket_pdfs as p (pdf_id, booking_id, transfer_id, show_no, show_revision,
            due_at, created_at)
         select gen_random_uuid(), b.booking_id, $2, b.show_no, s.revision, $3, $3
         from bookings b join shows s using (show_no) where b.booking_id = $1
         on conflict (booking_id, transfer_id) do update
            set due_at = $3, changes = p.changes + 1 where p.due_at is null",
        booking_id,
        reader,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes that an object is not what was written, so that it is written anew.
pub(crate) async fn lost(pool: &PgPool, object: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "update ticket_pdfs set printed = '', due_at = $2, changes = changes + 1
         where object = $1",
        object,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How many PDFs have been due since before `before`.
pub(crate) async fn overdue(pool: &PgPool, before: Timestamp) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) as "count!" from ticket_pdfs where due_at < $1"#,
        OffsetDateTime::from(before)
    )
    .fetch_one(pool)
    .await?;
    Ok(row.count)
}
