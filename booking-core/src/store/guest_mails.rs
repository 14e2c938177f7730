//! Mails that a fan asked for: one-time codes and links to bookings.

use std::time::Duration;

use contract::Timestamp;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::text_of;
use crate::config::{
    APP_CODES_PER_DAY_MAX, CODE_TRIES_MAX, GUEST_MAILS_EVERY, GUEST_MAILS_PER_ADDRESS_MAX,
    GUEST_MAILS_PER_BOOKING_MAX,
};
use crate::database::StoreError;

const DAY: Duration = Duration::from_hours(24);

/// What such a mail has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum GuestMailKind {
    /// A one-time code.
    Code,
    /// The link to the booking, for a fan who looks for it.
    Link,
    /// The same, because an operator sends it again.
    Resent,
    /// A one-time code that begins the session of an app.
    AppCode,
}

impl GuestMailKind {
    /// The topic of its event.
    const fn topic(self) -> &'static str {
        match self {
            Self::Code | Self::AppCode => "code.asked",
            Self::Link | Self::Resent => "link.asked",
        }
    }
}

/// A mail to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewGuestMail {
    pub(crate) mail_id: Uuid,
    pub(crate) booking_id: Uuid,
    /// The transfer by which its reader got tickets; `None` for the buyer.
    pub(crate) holder: Option<Uuid>,
    pub(crate) kind: GuestMailKind,
    pub(crate) address_digest: Vec<u8>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Makes a mail, unless the booking or the address got too many lately; those that an operator sends
/// are not counted. Returns whether it did.
pub(crate) async fn ask(pool: &PgPool, new: &NewGuestMail) -> Result<bool, StoreError> {
    let mut tx = pool.begin().await?;
    // So that two requests do not both find the last mail free. A booking has one address.
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 4713)) as locked",
        new.address_digest
    )
    .fetch_one(&mut *tx)
    .await?;
    let since = new.created_at.minus(GUEST_MAILS_EVERY);
    let lately = sqlx::query!(
        r#"select count(*) filter (where booking_id = $1 and transfer_id is not distinct from $4)
                as "of_booking!",
            count(*) as "to_address!"
         from guest_mails
         -- Anybody who knows an address can ask for codes of an app, which must not take those of
         -- whoever has the booking.
         where kind <> 'RESENT' and (kind = 'APP_CODE') = $5 and created_at > $3
            and (booking_id = $1 or address_digest = $2)"#,
        new.booking_id,
        new.address_digest,
        OffsetDateTime::from(since),
        new.holder,
        new.kind == GuestMailKind::AppCode
    )
    .fetch_one(&mut *tx)
    .await?;
    let too_many = lately.of_booking >= GUEST_MAILS_PER_BOOKING_MAX
        || lately.to_address >= GUEST_MAILS_PER_ADDRESS_MAX;
    if new.kind != GuestMailKind::Resent && too_many {
        return Ok(false);
    }
    if new.kind == GuestMailKind::AppCode {
        let today = sqlx::query_scalar!(
            r#"select count(*) as "count!" from guest_mails
             where kind = 'APP_CODE' and address_digest = $1 and created_at > $2"#,
            new.address_digest,
            OffsetDateTime::from(new.created_at.minus(DAY))
        )
        .fetch_one(&mut *tx)
        .await?;
        if today >= APP_CODES_PER_DAY_MAX {
            return Ok(false);
        }
    }
    sqlx::query!(
        "insert into guest_mails (mail_id, booking_id, kind, address_digest, created_at,
            expires_at, transfer_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.mail_id,
        new.booking_id,
        text_of(new.kind),
        new.address_digest,
        OffsetDateTime::from(new.created_at),
        OffsetDateTime::from(new.expires_at),
        new.holder
    )
    .execute(&mut *tx)
    .await?;
    let payload = serde_json::json!({ "bookingId": contract::BookingId::new(new.booking_id) });
    let topic = new.kind.topic();
    super::outbox::add(&mut tx, topic, new.mail_id, payload, new.created_at).await?;
    tx.commit().await?;
    Ok(true)
}

/// Counts a try of the newest code of a holder of a booking, before anyone knows whether it is right. Returns
/// its id; `None` when it has ended, was used or was tried too often.
pub(crate) async fn code_try(
    connection: &mut PgConnection,
    booking_id: Uuid,
    holder: Option<Uuid>,
    now: Timestamp,
) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!(
        "update guest_mails set tries = tries + 1
         where mail_id = (select mail_id from guest_mails
                where booking_id = $1 and kind = 'CODE' and transfer_id is not distinct from $4
                order by created_at desc, mail_id desc limit 1)
            and used_at is null and expires_at > $2 and tries < $3
         returning mail_id",
        booking_id,
        OffsetDateTime::from(now),
        CODE_TRIES_MAX,
        holder
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.mail_id))
}

/// Uses up a code. False if it was used before.
pub(crate) async fn code_use(
    connection: &mut PgConnection,
    code_id: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update guest_mails set used_at = $2 where mail_id = $1 and used_at is null",
        code_id,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A mail that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct GuestMail {
    pub(crate) booking_id: Uuid,
    pub(crate) holder: Option<Uuid>,
    /// Whether it begins the session of an app.
    pub(crate) is_for_app: bool,
    pub(crate) expires_at: Timestamp,
    pub(crate) is_used: bool,
    /// Whether a newer code of the booking has taken its place.
    pub(crate) is_outdated: bool,
}

/// Reads a mail that was asked for.
pub(crate) async fn find(pool: &PgPool, mail_id: Uuid) -> Result<Option<GuestMail>, StoreError> {
    let row = sqlx::query!(
        r#"select m.booking_id, m.transfer_id, m.kind = 'APP_CODE' as "is_for_app!", m.expires_at, m.used_at is not null as "is_used!",
            exists (select 1 from guest_mails l where l.booking_id = m.booking_id
                and l.transfer_id is not distinct from m.transfer_id
                and l.kind = m.kind and m.kind in ('CODE', 'APP_CODE')
                and (l.created_at, l.mail_id) > (m.created_at, m.mail_id)) as "is_outdated!"
         from guest_mails m where m.mail_id = $1"#,
        mail_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| GuestMail {
        booking_id: row.booking_id,
        holder: row.transfer_id,
        is_for_app: row.is_for_app,
        expires_at: row.expires_at.into(),
        is_used: row.is_used,
        is_outdated: row.is_outdated,
    }))
}

/// Removes mails that were asked for before `before`, up to `limit`.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from guest_mails where mail_id in (
            select mail_id from guest_mails where created_at < $1 order by created_at limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
