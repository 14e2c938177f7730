//! Scanners and their tokens, of which only digests are kept.

use contract::checkin::{Label, Scanner};
use contract::{ScannerId, ShowId, Timestamp};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::id;
use crate::database::StoreError;

/// A show whose tickets are scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScannedShow {
    pub(crate) show_no: i32,
    pub(crate) show_id: ShowId,
    pub(crate) title: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
}

/// A scanner, with the show that it scans for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScannerRow {
    pub(crate) show_no: i32,
    pub(crate) scanner: Scanner,
}

/// A scanner that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewScanner<'a> {
    pub(crate) scanner_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) gate: &'a Label,
    pub(crate) token_hash: &'a [u8; 32],
    pub(crate) now: Timestamp,
    pub(crate) until: Timestamp,
}

/// The show with this id, however long it is over.
pub(crate) async fn show(pool: &PgPool, show: &ShowId) -> Result<Option<ScannedShow>, StoreError> {
    let row = sqlx::query!(
        r#"select show_no, show_id, title, starts_at,
            coalesce(ends_at, greatest(starts_at, sale_closes_at)) as "ends_at!"
         from shows where show_id = $1"#,
        show.as_str()
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(ScannedShow {
            show_no: row.show_no,
            show_id: id("shows", &row.show_id)?,
            title: row.title,
            starts_at: row.starts_at.into(),
            ends_at: row.ends_at.into(),
        })
    })
    .transpose()
}

pub(crate) async fn insert(pool: &PgPool, new: &NewScanner<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into scanners (scanner_id, show_no, gate, token_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
        new.scanner_id,
        new.show_no,
        new.gate.as_str(),
        new.token_hash,
        OffsetDateTime::from(new.now),
        OffsetDateTime::from(new.until)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The scanner whose token has this digest, if it is good at `now`.
pub(crate) async fn of_token(
    pool: &PgPool,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<ScannerRow>, StoreError> {
    let row = sqlx::query!(
        "select c.scanner_id, c.show_no, s.show_id, c.gate, c.created_at, c.expires_at,
            c.revoked_at
         from scanners c join shows s using (show_no)
         where c.token_hash = $1 and c.revoked_at is null and c.expires_at > $2",
        token_hash,
        OffsetDateTime::from(now)
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(ScannerRow {
            show_no: row.show_no,
            scanner: Scanner {
                scanner_id: ScannerId::new(row.scanner_id),
                show_id: id("shows", &row.show_id)?,
                gate: id("scanners", &row.gate)?,
                created_at: row.created_at.into(),
                until: row.expires_at.into(),
                revoked_at: row.revoked_at.map(Timestamp::from),
            },
        })
    })
    .transpose()
}

/// Scanners, of one show if it is named, the newest first, at most `limit`.
pub(crate) async fn list(
    pool: &PgPool,
    show: Option<&ShowId>,
    limit: i64,
) -> Result<Vec<Scanner>, StoreError> {
    let rows = sqlx::query!(
        "select c.scanner_id, s.show_id, c.gate, c.created_at, c.expires_at, c.revoked_at
         from scanners c join shows s using (show_no)
         where $1::text is null or s.show_id = $1
         order by c.created_at desc, c.scanner_id limit $2",
        show.map(ShowId::as_str),
        limit
    )
    .fetch_all(pool)
    .await?;
    let scanners = rows.into_iter().map(|row| {
        Ok(Scanner {
            scanner_id: ScannerId::new(row.scanner_id),
            show_id: id("shows", &row.show_id)?,
            gate: id("scanners", &row.gate)?,
            created_at: row.created_at.into(),
            until: row.expires_at.into(),
            revoked_at: row.revoked_at.map(Timestamp::from),
        })
    });
    scanners.collect()
}

/// Revokes the token of a scanner. Whether there is such a scanner; one that was revoked stays so.
pub(crate) async fn revoke(
    pool: &PgPool,
    scanner_id: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update scanners set revoked_at = coalesce(revoked_at, $2) where scanner_id = $1",
        scanner_id,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}
