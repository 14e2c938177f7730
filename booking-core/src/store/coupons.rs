//! Coupons and their uses.
//!
//! A use is reserved in the transaction that sets the price of its hold, and released in the one
//! that ends the hold without a booking. A hold that became a booking needs no change: its use is
//! then a booked one. The row of a coupon is locked after seats and ticket counts, several in the
//! order of their ids.

use contract::coupon::{CouponReason, PaymentKind};
use contract::{ShowId, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;
use crate::money::coupon::{CouponFacts, CouponRules, off_of};

/// A coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CouponRow {
    pub(crate) coupon_id: Uuid,
    pub(crate) rules: CouponRules,
    pub(crate) show_id: Option<ShowId>,
    pub(crate) reserved: i64,
    pub(crate) booked: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) disabled_at: Option<Timestamp>,
}

/// What is read of coupons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Their terms: uses count as reserved.
    Terms,
    /// Also how many uses were booked, for which all of them are read.
    Uses,
}

/// The coupon with this code, or all of them, the newest first, at most `limit`.
pub(crate) async fn find(
    connection: &mut PgConnection,
    code: Option<&str>,
    limit: i64,
    read: Read,
) -> Result<Vec<CouponRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select c.coupon_id, c.code, c.off_percent, c.off_minor, c.currency, c.show_no,
            c.categories, c.minimum_minor, c.first_booking, c.uses_max, c.uses_per_customer_max,
            c.valid_from, c.valid_until, c.payment_methods, c.created_at, c.disabled_at,
            s.show_id as "show_id?", c.use_count,
            case when $3 then (select count(*) from coupon_uses u join holds h using (hold_id)
                where u.coupon_id = c.coupon_id and u.released_at is null
                    and h.status = 'CONFIRMED') else 0 end as "booked!"
           from coupons c left join shows s on s.show_no = c.show_no
           where $1::text is null or c.code = $1
           order by c.created_at desc, c.code limit $2"#,
        code,
        limit,
        read == Read::Uses
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let off = off_of(row.off_percent, row.off_minor);
        let show_id = row.show_id.map(|show| super::id("shows", &show));
        Ok(CouponRow {
            coupon_id: row.coupon_id,
            rules: CouponRules {
                code: row.code,
                off: off.ok_or_else(|| StoreError::corrupt("coupons", "takes nothing off"))?,
                currency: row.currency,
                show_no: row.show_no,
                categories: row.categories,
                minimum_minor: row.minimum_minor,
                first_booking: row.first_booking,
                uses_max: row.uses_max,
                uses_per_customer_max: row.uses_per_customer_max,
                valid_from: row.valid_from.map(Into::into),
                valid_until: row.valid_until.map(Into::into),
                payment_methods: kinds_of("coupons", row.payment_methods)?,
                is_disabled: row.disabled_at.is_some(),
            },
            show_id: show_id.transpose()?,
            reserved: i64::from(row.use_count) - row.booked,
            booked: row.booked,
            created_at: row.created_at.into(),
            disabled_at: row.disabled_at.map(Into::into),
        })
    });
    rows.collect()
}

/// A coupon to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewCoupon {
    pub(crate) coupon_id: Uuid,
    pub(crate) code: String,
    pub(crate) off_percent: Option<i32>,
    pub(crate) off_minor: Option<i64>,
    pub(crate) currency: Option<String>,
    pub(crate) show_no: Option<i32>,
    pub(crate) categories: Vec<String>,
    pub(crate) minimum_minor: Option<i64>,
    pub(crate) first_booking: bool,
    pub(crate) uses_max: Option<i32>,
    pub(crate) uses_per_customer_max: Option<i32>,
    pub(crate) valid_from: Option<Timestamp>,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) payment_methods: Vec<PaymentKind>,
    pub(crate) now: Timestamp,
}

/// Kinds of payments as a column; null for all.
pub(crate) fn kinds_column(kinds: &[PaymentKind]) -> Option<Value> {
    // Serialisation cannot fail: they contain only strings.
    (!kinds.is_empty()).then(|| serde_json::to_value(kinds).unwrap_or_default())
}

/// The kinds of payments in a column of `table`.
pub(crate) fn kinds_of(
    table: &'static str,
    column: Option<Value>,
) -> Result<Vec<PaymentKind>, StoreError> {
    let read = column.map(serde_json::from_value).transpose();
    let kinds = read.map_err(|error| StoreError::corrupt(table, error))?;
    Ok(kinds.unwrap_or_default())
}

/// The kinds of payments that a use of a coupon is for; none for all.
pub(crate) async fn accepted(
    connection: &mut PgConnection,
    use_id: Uuid,
) -> Result<Vec<PaymentKind>, StoreError> {
    let row = sqlx::query!(
        "select c.payment_methods from coupon_uses u join coupons c using (coupon_id)
         where u.use_id = $1",
        use_id
    )
    .fetch_one(connection)
    .await?;
    kinds_of("coupons", row.payment_methods)
}

/// Makes a coupon. False if there is one with this code.
pub(crate) async fn insert(pool: &PgPool, new: &NewCoupon) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into coupons (coupon_id, code, off_percent, off_minor, currency, show_no,
            categories, minimum_minor, first_booking, uses_max, uses_per_customer_max, valid_from,
            valid_until, created_at, payment_methods)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         on conflict (code) do nothing",
        new.coupon_id,
        new.code,
        new.off_percent,
        new.off_minor,
        new.currency,
        new.show_no,
        &new.categories,
        new.minimum_minor,
        new.first_booking,
        new.uses_max,
        new.uses_per_customer_max,
        new.valid_from.map(OffsetDateTime::from),
        new.valid_until.map(OffsetDateTime::from),
        OffsetDateTime::from(new.now),
        kinds_column(&new.payment_methods)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Disables a coupon; uses that are reserved stay. False if there is none with this code.
pub(crate) async fn disable(pool: &PgPool, code: &str, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update coupons set disabled_at = coalesce(disabled_at, $2) where code = $1",
        code,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A customer, by the address that is booked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CouponCustomer {
    pub(crate) email: String,
    /// Of the address.
    pub(crate) digest: Vec<u8>,
}

/// How a coupon was used, except for the hold. Exact while the coupon is locked.
pub(crate) async fn facts(
    connection: &mut PgConnection,
    coupon_id: Uuid,
    hold_id: Uuid,
    customer: Option<&CouponCustomer>,
) -> Result<CouponFacts, StoreError> {
    let row = sqlx::query!(
        r#"select (c.use_count - (select count(*) from coupon_uses u
                where u.coupon_id = c.coupon_id and u.hold_id = $2 and u.released_at is null))
                as "uses!",
            (select count(*) from coupon_uses u where u.coupon_id = c.coupon_id
                and u.customer = $3 and u.hold_id <> $2 and u.released_at is null)
                as "uses_of_customer!",
            (exists (select 1 from bookings b where lower(b.email) = lower($4)
                    and not exists (select 1 from comps g where g.booking_id = b.booking_id))
                or exists (select 1 from coupon_uses u where u.first_booking
                    and u.customer = $3 and u.hold_id <> $2 and u.released_at is null))
                as "has_booked!"
           from coupons c where c.coupon_id = $1"#,
        coupon_id,
        hold_id,
        customer.map(|customer| customer.digest.as_slice()),
        customer.map(|customer| customer.email.as_str())
    )
    .fetch_one(connection)
    .await?;
    Ok(CouponFacts {
        uses: row.uses,
        uses_of_customer: row.uses_of_customer,
        has_booked: row.has_booked,
    })
}

/// Locks the coupon, so that nobody else reserves a use of it.
pub(crate) async fn lock(connection: &mut PgConnection, coupon_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "select 1 as one from coupons where coupon_id = $1 for no key update",
        coupon_id
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// A use to be reserved.
#[derive(Clone, Debug)]
pub(crate) struct NewUse<'a> {
    pub(crate) use_id: Uuid,
    pub(crate) coupon_id: Uuid,
    pub(crate) hold_id: Uuid,
    pub(crate) customer: &'a CouponCustomer,
    pub(crate) first_booking: bool,
    pub(crate) off_minor: i64,
    pub(crate) now: Timestamp,
}

/// Reserves a use for a locked hold, or tells why not. Constraints are the last wall against more
/// uses than the coupon has; a second first booking of a customer, which may use another coupon at
/// the same time, they alone forbid.
pub(crate) async fn reserve(
    connection: &mut PgConnection,
    new: &NewUse<'_>,
) -> Result<Option<CouponReason>, StoreError> {
    let reserved = sqlx::query!(
        "with counted as (
            update coupons set use_count = use_count + 1 where coupon_id = $2 returning coupon_id
        )
        insert into coupon_uses (use_id, coupon_id, hold_id, customer, first_booking, off_minor,
            reserved_at)
        select $1, coupon_id, $3, $4, $5, $6, $7 from counted",
        new.use_id,
        new.coupon_id,
        new.hold_id,
        new.customer.digest,
        new.first_booking,
        new.off_minor,
        OffsetDateTime::from(new.now)
    )
    .execute(connection)
    .await;
    match reserved {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) => match error.constraint() {
            Some("coupons_uses") => Ok(Some(CouponReason::UsedUp)),
            Some("coupon_uses_first") => Ok(Some(CouponReason::NotFirstBooking)),
            _ => Err(sqlx::Error::Database(error).into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Releases the uses of locked holds that end without a booking.
pub(crate) async fn release(
    connection: &mut PgConnection,
    hold_ids: &[Uuid],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with released as (
            update coupon_uses set released_at = $2
            where hold_id = any($1) and released_at is null
            returning coupon_id
        ),
        counted as (
            select coupon_id, count(*)::integer as n from released group by coupon_id
        ),
        locked as materialized (
            select c.coupon_id from coupons c
            where c.coupon_id in (select coupon_id from counted)
            order by c.coupon_id for no key update
        )
        update coupons c set use_count = c.use_count - n.n
        from counted n join locked l using (coupon_id)
        where c.coupon_id = n.coupon_id",
        hold_ids,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes a use again that was released when its hold ended, for money that came late. False if it
/// is gone: then the money goes back.
pub(crate) async fn take_again(
    connection: &mut PgConnection,
    use_id: Uuid,
) -> Result<bool, StoreError> {
    sqlx::query!(
        "select 1 as one from coupons c join coupon_uses u using (coupon_id)
         where u.use_id = $1 for no key update of c",
        use_id
    )
    .fetch_one(&mut *connection)
    .await?;
    let done = sqlx::query!(
        "with taken as (
            update coupon_uses u set released_at = null from coupons c
            where u.use_id = $1 and u.released_at is not null and c.coupon_id = u.coupon_id
                and (c.uses_max is null or c.use_count < c.uses_max)
                and (c.uses_per_customer_max is null or c.uses_per_customer_max > (
                    select count(*) from coupon_uses o where o.coupon_id = u.coupon_id
                        and o.customer = u.customer and o.released_at is null))
                and not (u.first_booking and exists (select 1 from coupon_uses o
                    where o.first_booking and o.customer = u.customer and o.released_at is null))
                and not exists (select 1 from coupon_uses o
                    where o.hold_id = u.hold_id and o.released_at is null)
            returning u.coupon_id
        )
        update coupons c set use_count = c.use_count + 1 from taken t
        where c.coupon_id = t.coupon_id",
        use_id
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes in the ledger what a coupon took off a booking: what was sold at list prices is what was
/// paid and what was taken off.
pub(crate) async fn booked(
    connection: &mut PgConnection,
    use_id: Uuid,
    currency: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into ledger (transaction_id, account, amount_minor, currency, at)
         select u.use_id, leg.account, leg.sign * u.off_minor, $2, $3
         from coupon_uses u cross join (values ('discounts', 1), ('list-prices', -1))
            as leg (account, sign)
         where u.use_id = $1
         on conflict (transaction_id, account) do nothing",
        use_id,
        currency,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The coupon that the price of a hold contains, and who reserved it.
pub(crate) async fn of_hold(
    connection: &mut PgConnection,
    hold_id: Uuid,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        "select c.code, u.customer from holds h
         join coupon_uses u on u.use_id = h.coupon_use_id and u.released_at is null
         join coupons c using (coupon_id)
         where h.hold_id = $1",
        hold_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.code, row.customer)))
}

/// Counts a code that does not exist, so that codes cannot be guessed. False when too many were
/// tried for the hold.
pub(crate) async fn count_try(pool: &PgPool, hold_id: Uuid, most: i32) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update holds set coupon_tries = coupon_tries + 1
         where hold_id = $1 and coupon_tries < $2",
        hold_id,
        most
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether codes may still be tried for the hold.
pub(crate) async fn may_try(
    connection: &mut PgConnection,
    hold_id: Uuid,
    most: i32,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"select coupon_tries < $2 as "may!" from holds where hold_id = $1"#,
        hold_id,
        most
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some_and(|row| row.may))
}
