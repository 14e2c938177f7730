//! Bookings that were given away.

use contract::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::holds::HoldRow;
use crate::database::StoreError;

/// Inserts the hold that a booking is made from in the same transaction. Its price is set afterwards.
pub(crate) async fn hold_insert(
    connection: &mut PgConnection,
    hold: &HoldRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into holds (hold_id, show_no, session, limit_owner, seat_nos, amount_minor,
            currency, created_at, expires_at, hard_deadline)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        hold.hold_id,
        hold.show_no,
        hold.session,
        hold.limit_owner,
        &hold.seat_nos,
        hold.amount_minor,
        hold.currency,
        OffsetDateTime::from(now),
        OffsetDateTime::from(hold.expires_at),
        OffsetDateTime::from(hold.hard_deadline)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A booking that is given away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewComp<'a> {
    pub(crate) booking_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) face_minor: i64,
    pub(crate) currency: &'a str,
    /// Whose name its tickets carry.
    pub(crate) name: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// Notes that a booking of the same transaction is given away, with its face value in the ledger,
/// which moves no money: as a coupon, it is taken off what was sold at list prices.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    comp: &NewComp<'_>,
) -> Result<(), StoreError> {
    let now = OffsetDateTime::from(comp.now);
    sqlx::query!(
        "with noted as (
            insert into comps (booking_id, show_no, face_minor, currency, reason, created_at)
            values ($1, $2, $3, $4, $5, $6)
        ), named as (
            update tickets set holder_name = $7 where booking_id = $1 and $7::text is not null
        )
        insert into ledger (transaction_id, account, amount_minor, currency, at)
        select $1, leg.account, leg.sign * $3, $4, $6
        from (values ('comps', 1), ('list-prices', -1)) as leg (account, sign)",
        comp.booking_id,
        comp.show_no,
        comp.face_minor,
        comp.currency,
        comp.reason,
        now,
        comp.name
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A booking that was given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompRecord {
    /// What its tickets and fees cost otherwise, minor units.
    pub(crate) face_minor: i64,
    /// Why.
    pub(crate) reason: Option<String>,
}

/// What is known of a booking that was given away; `None` for others.
pub(crate) async fn of_booking(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Option<CompRecord>, StoreError> {
    let row = sqlx::query_as!(
        CompRecord,
        "select face_minor, reason from comps where booking_id = $1",
        booking_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row)
}
