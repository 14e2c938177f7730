//! How customers of bookings want to be told.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{text_of, word};
use crate::channels::told::{Browser, Recipient};
use crate::config::BROWSERS_OF_BOOKING_MAX;
use crate::database::StoreError;
use crate::notice::ChannelKind;

/// What a customer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContactRow {
    pub(crate) phone: Option<String>,
    pub(crate) preferred: Option<ChannelKind>,
    pub(crate) push_count: u32,
}

/// How the customer of a booking is told.
pub(crate) async fn recipient(pool: &PgPool, booking_id: Uuid) -> Result<Recipient, StoreError> {
    let row = sqlx::query!(
        r#"select b.email, c.phone as "phone?", c.preferred as "preferred?",
            l.language as "language?"
         from bookings b left join booking_contacts c using (booking_id)
         left join hold_languages l using (hold_id)
         where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(Recipient::default());
    };
    let rows = sqlx::query!(
        "select subscription_id, endpoint, p256dh, auth from push_subscriptions
         where booking_id = $1 order by created_at desc limit $2",
        booking_id,
        BROWSERS_OF_BOOKING_MAX
    )
    .fetch_all(pool)
    .await?;
    let browsers = rows.into_iter().map(|row| Browser {
        subscription_id: Some(row.subscription_id),
        endpoint: row.endpoint,
        p256dh: row.p256dh,
        auth: row.auth,
    });
    Ok(Recipient {
        email: Some(row.email),
        phone: row.phone,
        browsers: browsers.collect(),
        preferred: row
            .preferred
            .map(|text| word("booking_contacts", &text))
            .transpose()?,
        language: language(row.language),
    })
}

/// A stored language, or English.
pub(crate) fn language(stored: Option<String>) -> String {
    stored.unwrap_or_else(|| pages::letters::DEFAULT_LANGUAGE.to_owned())
}

/// What the customer of a booking said.
pub(crate) async fn find(pool: &PgPool, booking_id: Uuid) -> Result<ContactRow, StoreError> {
    let row = sqlx::query!(
        r#"select c.phone as "phone?", c.preferred as "preferred?",
            (select count(*) from push_subscriptions p where p.booking_id = b.booking_id)
                as "push_count!"
         from bookings b left join booking_contacts c using (booking_id)
         where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(ContactRow::default());
    };
    Ok(ContactRow {
        phone: row.phone,
        preferred: row
            .preferred
            .map(|text| word("booking_contacts", &text))
            .transpose()?,
        push_count: u32::try_from(row.push_count).unwrap_or(0),
    })
}

/// Stores what the customer said, in place of what was said before.
pub(crate) async fn save(
    connection: &mut PgConnection,
    booking_id: Uuid,
    phone: Option<&str>,
    preferred: ChannelKind,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into booking_contacts (booking_id, phone, preferred, updated_at)
         values ($1, $2, $3, $4)
         on conflict (booking_id) do update
            set phone = excluded.phone, preferred = excluded.preferred,
                updated_at = excluded.updated_at",
        booking_id,
        phone,
        text_of(preferred),
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a browser, unless it is there. From then on push messages are preferred to mail. False when
/// the booking has too many browsers; then the caller must roll back.
pub(crate) async fn subscribe(
    connection: &mut PgConnection,
    booking_id: Uuid,
    subscription_id: Uuid,
    browser: &Browser,
    now: Timestamp,
) -> Result<bool, StoreError> {
    sqlx::query!(
        "insert into booking_contacts (booking_id, preferred, updated_at) values ($1, 'PUSH', $2)
         on conflict (booking_id) do update
            set preferred = case when booking_contacts.preferred = 'EMAIL' then 'PUSH'
                else booking_contacts.preferred end, updated_at = excluded.updated_at",
        booking_id,
        OffsetDateTime::from(now)
    )
    .execute(&mut *connection)
    .await?;
    // The row above is locked, so that two requests do not both find room.
    let done = sqlx::query!(
        "insert into push_subscriptions (subscription_id, booking_id, endpoint, p256dh, auth,
            created_at)
         select $1, $2, $3, $4, $5, $6
         where exists (select 1 from push_subscriptions
                where booking_id = $2 and endpoint = $3)
            or (select count(*) from push_subscriptions where booking_id = $2) < $7
         on conflict (booking_id, endpoint) do update
            set p256dh = excluded.p256dh, auth = excluded.auth",
        subscription_id,
        booking_id,
        browser.endpoint,
        browser.p256dh,
        browser.auth,
        OffsetDateTime::from(now),
        BROWSERS_OF_BOOKING_MAX
    )
    .execute(&mut *connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes all browsers of a booking.
pub(crate) async fn unsubscribe(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from push_subscriptions where booking_id = $1",
        booking_id
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update booking_contacts set preferred = 'EMAIL'
         where booking_id = $1 and preferred = 'PUSH'",
        booking_id
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Removes browsers that take no messages any more.
pub(crate) async fn remove(pool: &PgPool, browsers: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from push_subscriptions where subscription_id = any($1)",
        browsers
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes the language of a hold's customer.
pub(crate) async fn set_language(
    connection: &mut PgConnection,
    hold_id: Uuid,
    language: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into hold_languages (hold_id, language) values ($1, $2)
         on conflict (hold_id) do update set language = excluded.language",
        hold_id,
        language
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes telephone numbers, browsers and languages of bookings and holds whose show ended before
/// `before`, up to `limit` of each.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let browsers = sqlx::query!(
        "delete from push_subscriptions where subscription_id in (
            select p.subscription_id from push_subscriptions p join bookings b using (booking_id)
            join shows s using (show_no)
            where coalesce(s.ends_at, s.starts_at) < $1 limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    let contacts = sqlx::query!(
        "delete from booking_contacts where booking_id in (
            select c.booking_id from booking_contacts c join bookings b using (booking_id)
            join shows s using (show_no)
            where coalesce(s.ends_at, s.starts_at) < $1 limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    let languages = sqlx::query!(
        "delete from hold_languages where hold_id in (
            select l.hold_id from hold_languages l join holds h using (hold_id)
            join shows s using (show_no)
            where coalesce(s.ends_at, s.starts_at) < $1 limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(browsers.rows_affected() + contacts.rows_affected() + languages.rows_affected())
}
