//! Payments.

use contract::booking::PaymentStatus;
use contract::coupon::PaymentKind;
use contract::{PaymentId, Timestamp};
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{text_of, word};
use crate::database::StoreError;
use crate::money::{Disposition, FailureReason};

/// Stands for the provider of payments of nothing.
pub(crate) const FREE: &str = "free";

/// A payment, as read from the database.
#[derive(Clone, Debug)]
pub(crate) struct PaymentRow {
    pub(crate) payment_id: Uuid,
    pub(crate) hold_id: Uuid,
    pub(crate) attempt_no: i32,
    /// The provider that was asked, for good.
    pub(crate) provider: String,
    pub(crate) intent_id: Option<String>,
    pub(crate) client_secret: Option<String>,
    /// Where the customer pays, if the provider said so.
    pub(crate) redirect_url: Option<String>,
    /// The provider's id of the money, where it is not the intent's.
    pub(crate) charge_id: Option<String>,
    /// The kinds of payments that its price is for; all when empty.
    pub(crate) accepts: Vec<PaymentKind>,
    /// Calls to create the intent that are under way or whose outcome is unknown.
    pub(crate) open_calls: i32,
    pub(crate) idempotency_key: String,
    pub(crate) email: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) status: PaymentStatus,
    pub(crate) failure_reason: Option<FailureReason>,
    pub(crate) provider_open: bool,
    pub(crate) disposition: Option<Disposition>,
    pub(crate) poll_count: i32,
    pub(crate) created_at: Timestamp,
}

impl PaymentRow {
    /// Whether the provider need not be asked: the money is settled, or the intent was never
    /// created. A cancelled payment is not settled while its intent is open, because a bank may
    /// still report a capture.
    pub(crate) fn is_settled(&self) -> bool {
        let never_made = self.intent_id.is_none() && !self.provider_open;
        self.status == PaymentStatus::Succeeded || never_made
    }

    /// Whether it is certain that the provider has made nothing for it and is not being asked.
    pub(crate) fn was_never_made(&self) -> bool {
        self.intent_id.is_none() && self.open_calls == 0
    }

    /// Whether `name` is its id: ours, or the provider's, which return URLs contain and which
    /// earlier versions gave to customers.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let own = name.parse::<PaymentId>().ok();
        own.is_some_and(|id| id.uuid() == self.payment_id)
            || self.intent_id.as_deref() == Some(name)
    }

    /// Whether there is nothing to pay, so that no provider is asked.
    pub(crate) fn is_free(&self) -> bool {
        self.provider == FREE
    }

    /// Whether its outcome is open.
    pub(crate) fn is_live(&self) -> bool {
        matches!(
            self.status,
            PaymentStatus::Created
                | PaymentStatus::RequiresAction
                | PaymentStatus::Processing
                | PaymentStatus::Unknown
        )
    }
}

/// The payment of a row that has all of its columns; other columns of the row are left in it.
macro_rules! payment_row {
    ($row:ident) => {
        PaymentRow {
            payment_id: $row.payment_id,
            hold_id: $row.hold_id,
            attempt_no: $row.attempt_no,
            provider: $row.provider,
            intent_id: $row.intent_id,
            client_secret: $row.client_secret,
            redirect_url: $row.redirect_url,
            charge_id: $row.charge_id,
            accepts: crate::store::coupons::kinds_of("payments", $row.accepts)?,
            open_calls: $row.open_calls,
            idempotency_key: $row.idempotency_key,
            email: $row.email,
            amount_minor: $row.amount_minor,
            currency: $row.currency,
            status: word("payments", &$row.status)?,
            failure_reason: $row
                .failure_reason
                .map(|reason| word("payments", &reason))
                .transpose()?,
            provider_open: $row.provider_open,
            disposition: $row
                .disposition
                .map(|disposition| word("payments", &disposition))
                .transpose()?,
            poll_count: $row.poll_count,
            created_at: $row.created_at.into(),
        }
    };
}
pub(super) use payment_row;

/// Reads the payment without a lock.
pub(crate) async fn find(
    database: impl PgExecutor<'_>,
    payment_id: Uuid,
) -> Result<Option<PaymentRow>, StoreError> {
    let row = sqlx::query!(
        "select payment_id, hold_id, attempt_no, provider, intent_id, client_secret, redirect_url,
            charge_id, accepts, open_calls, idempotency_key, email, amount_minor, currency, status,
            failure_reason, provider_open, disposition, poll_count, created_at
         from payments where payment_id = $1",
        payment_id
    )
    .fetch_optional(database)
    .await?;
    row.map(|row| Ok(payment_row!(row))).transpose()
}

/// All attempts of a hold, the first first. Money that a customer paid beyond an attempt is none.
pub(crate) async fn of_hold(
    connection: &mut PgConnection,
    hold_id: Uuid,
) -> Result<Vec<PaymentRow>, StoreError> {
    let rows = sqlx::query!(
        "select payment_id, hold_id, attempt_no, provider, intent_id, client_secret, redirect_url,
            charge_id, accepts, open_calls, idempotency_key, email, amount_minor, currency, status,
            failure_reason, provider_open, disposition, poll_count, created_at
         from payments where hold_id = $1 and attempt_no > 0 order by attempt_no",
        hold_id
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| Ok(payment_row!(row))).collect()
}

/// Reads and locks the payment. Its hold must be locked before.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    payment_id: Uuid,
) -> Result<Option<PaymentRow>, StoreError> {
    let row = sqlx::query!(
        "select payment_id, hold_id, attempt_no, provider, intent_id, client_secret, redirect_url,
            charge_id, accepts, open_calls, idempotency_key, email, amount_minor, currency, status,
            failure_reason, provider_open, disposition, poll_count, created_at
         from payments where payment_id = $1 for no key update",
        payment_id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(payment_row!(row))).transpose()
}

/// A payment attempt that is about to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewPayment<'a> {
    pub(crate) payment_id: Uuid,
    pub(crate) hold_id: Uuid,
    pub(crate) attempt_no: i32,
    pub(crate) provider: &'a str,
    pub(crate) email: &'a str,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'a str,
    /// The kinds of payments that the price is for; all when empty.
    pub(crate) accepts: &'a [PaymentKind],
    pub(crate) now: Timestamp,
    pub(crate) next_poll_at: Timestamp,
}

/// Records an attempt on a locked hold before the provider is asked, with the caller's call as under
/// way, and counts it. The unique index on live payments prevents a second live attempt on the same
/// hold.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    payment: &NewPayment<'_>,
    idempotency_key: &str,
) -> Result<PaymentRow, StoreError> {
    let row = sqlx::query!(
        "with counted as (
            update holds set attempt_count = attempt_count + 1, payment_open = true
            where hold_id = $2
        )
        insert into payments (payment_id, hold_id, attempt_no, provider, idempotency_key, email,
            amount_minor, currency, next_poll_at, created_at, updated_at, accepts)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
        returning payment_id, hold_id, attempt_no, provider, intent_id, client_secret, redirect_url,
            charge_id, accepts, open_calls, idempotency_key, email, amount_minor, currency, status,
            failure_reason, provider_open, disposition, poll_count, created_at",
        payment.payment_id,
        payment.hold_id,
        payment.attempt_no,
        payment.provider,
        idempotency_key,
        payment.email,
        payment.amount_minor,
        payment.currency,
        OffsetDateTime::from(payment.next_poll_at),
        OffsetDateTime::from(payment.now),
        super::coupons::kinds_column(payment.accepts)
    )
    .fetch_one(connection)
    .await?;
    Ok(payment_row!(row))
}

/// What the provider made for an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    pub(crate) intent_id: &'a str,
    pub(crate) client_secret: &'a str,
    pub(crate) redirect_url: Option<&'a str>,
}

/// Stores what the provider made, and returns the payment. Storing it again is harmless; `None` if
/// another is stored.
pub(crate) async fn set_intent(
    pool: &PgPool,
    payment_id: Uuid,
    made: Made<'_>,
) -> Result<Option<PaymentRow>, StoreError> {
    let row = sqlx::query!(
        "update payments set intent_id = $2, client_secret = $3, redirect_url = $4
         where payment_id = $1 and (intent_id is null or intent_id = $2)
         returning payment_id, hold_id, attempt_no, provider, intent_id, client_secret,
            redirect_url, charge_id, accepts, open_calls, idempotency_key, email, amount_minor, currency,
            status, failure_reason, provider_open, disposition, poll_count, created_at",
        payment_id,
        made.intent_id,
        made.client_secret,
        made.redirect_url
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| Ok(payment_row!(row))).transpose()
}

/// Counts a call to create the intent, before it is made. False if the intent exists or the attempt
/// is closed: then no call may be made.
pub(crate) async fn call_begins(pool: &PgPool, payment_id: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update payments set open_calls = open_calls + 1
         where payment_id = $1 and intent_id is null and provider_open",
        payment_id
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes back a counted call that certainly made nothing.
pub(crate) async fn call_made_nothing(pool: &PgPool, payment_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update payments set open_calls = open_calls - 1
         where payment_id = $1 and open_calls > 0",
        payment_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Stores the provider's id of the money of a locked payment. The first one stays.
pub(crate) async fn set_charge(
    connection: &mut PgConnection,
    payment_id: Uuid,
    charge_id: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update payments set charge_id = $2 where payment_id = $1 and charge_id is null",
        payment_id,
        charge_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Captured money beyond that of a payment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Further<'a> {
    /// Its own id.
    pub(crate) payment_id: Uuid,
    /// The payment on whose page it was paid.
    pub(crate) of: Uuid,
    /// The provider's id.
    pub(crate) charge_id: &'a str,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'a str,
}

/// Enters captured money beyond that of a payment that has succeeded, as a payment of its own whose
/// money is to be given back. False if a payment names it. Hold and payment are locked.
///
/// It is no attempt of the hold: its number is below zero.
pub(crate) async fn add_further(
    connection: &mut PgConnection,
    further: &Further<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into payments (payment_id, hold_id, attempt_no, provider, intent_id,
            idempotency_key, email, amount_minor, currency, status, provider_open, open_calls,
            captured_minor, captured_currency, disposition, next_poll_at, created_at, updated_at)
         select $1, p.hold_id, least(0, (select min(o.attempt_no) from payments o
                where o.hold_id = p.hold_id)) - 1,
            p.provider, $3, 'charge_' || p.provider || '_' || $3, p.email, $4, $5, 'SUCCEEDED',
            false, 0, $4, $5, 'AUTO_REFUND', $6, $6, $6
         from payments p where p.payment_id = $2 and not exists (select 1 from payments k
            where k.provider = p.provider and (k.intent_id = $3 or k.charge_id = $3))
         on conflict (provider, intent_id) do nothing",
        further.payment_id,
        further.of,
        further.charge_id,
        further.amount_minor,
        further.currency,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets the address for the tickets of a payment whose hold is locked.
pub(crate) async fn set_email(
    connection: &mut PgConnection,
    payment_id: Uuid,
    email: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update payments set email = $2 where payment_id = $1",
        payment_id,
        email
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The new state of a locked payment.
#[derive(Clone, Debug)]
pub(crate) struct PaymentChange {
    pub(crate) status: PaymentStatus,
    pub(crate) failure_reason: Option<FailureReason>,
    pub(crate) provider_open: bool,
    pub(crate) captured_minor: i64,
    pub(crate) captured_currency: Option<String>,
    pub(crate) disposition: Option<Disposition>,
    pub(crate) next_poll_at: Timestamp,
}

/// Writes `change` to a locked payment.
pub(crate) async fn update(
    connection: &mut PgConnection,
    payment_id: Uuid,
    change: &PaymentChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update payments set status = $2, failure_reason = $3, provider_open = $4,
            captured_minor = $5, captured_currency = $6, disposition = $7, next_poll_at = $8,
            poll_count = poll_count + 1, updated_at = $9
         where payment_id = $1",
        payment_id,
        text_of(change.status),
        change.failure_reason.map(FailureReason::as_str),
        change.provider_open,
        change.captured_minor,
        change.captured_currency,
        change.disposition.map(text_of),
        OffsetDateTime::from(change.next_poll_at),
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::corrupt("payments", "a locked payment vanished"))
    }
}

/// Claims payments that are due for a poll, by moving their next poll to `until`, so that other
/// processes skip them meanwhile.
pub(crate) async fn claim_due(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "with due as materialized (
            select p.payment_id from payments p
            where p.provider_open and p.next_poll_at <= $1
            order by p.next_poll_at limit $3 for no key update of p skip locked
        )
        update payments p set next_poll_at = $2 from due d where p.payment_id = d.payment_id
        returning p.payment_id",
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.payment_id).collect())
}

/// Open payments, with their holds, of open holds past their hard deadline, except those in `but`.
pub(crate) async fn past_patience(
    pool: &PgPool,
    now: Timestamp,
    but: &[Uuid],
    limit: i64,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        "select h.hold_id, p.payment_id from holds h join payments p using (hold_id)
         where h.status in ('ACTIVE', 'PAYING') and h.expires_at <= $1 and h.hard_deadline <= $1
            and p.provider_open and h.hold_id <> all($2)
         order by h.hard_deadline limit $3",
        OffsetDateTime::from(now),
        but,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.hold_id, row.payment_id))
        .collect())
}

/// The payment with the provider's intent or charge `id`.
pub(crate) async fn by_intent(
    pool: &PgPool,
    provider: &str,
    id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!(
        "select payment_id from payments
         where provider = $1 and (intent_id = $2 or charge_id = $2)",
        provider,
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.payment_id))
}

/// The payment of an attempt at `provider` whose intent id may not be stored yet.
pub(crate) async fn by_attempt(
    pool: &PgPool,
    provider: &str,
    hold_id: Uuid,
    attempt_no: i32,
) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!(
        "select payment_id from payments
         where hold_id = $1 and attempt_no = $2 and provider = $3",
        hold_id,
        attempt_no,
        provider
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.payment_id))
}

/// Payments that may still take money and refunds that are not done, of providers other than
/// `configured`: the provider, and how many.
pub(crate) async fn of_other_providers(
    pool: &PgPool,
    configured: &[String],
) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"select provider, count(*) as "count!" from payments p
           where provider <> all($1) and provider <> 'free' and (provider_open or exists (
                select 1 from refunds r where r.payment_id = p.payment_id
                    and r.status in ('REQUESTED', 'SUBMITTED', 'FAILED') and r.origin = 'OURS'))
           group by provider order by provider"#,
        configured
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.provider, row.count))
        .collect())
}

/// Inserts both sides of a movement of money into the ledger.
pub(crate) async fn ledger(
    connection: &mut PgConnection,
    transaction_id: Uuid,
    amount_minor: i64,
    currency: &str,
    counter_account: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into ledger (transaction_id, account, amount_minor, currency, at)
         values ($1, 'gateway', $2, $4, $6), ($1, $5, $3, $4, $6)
         on conflict (transaction_id, account) do nothing",
        transaction_id,
        amount_minor,
        -amount_minor,
        currency,
        counter_account,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Inserts a movement of money between accounts whose legs sum to zero. Legs of zero are left out,
/// and one account has one leg.
pub(crate) async fn ledger_legs(
    connection: &mut PgConnection,
    transaction_id: Uuid,
    legs: &[(&str, i64)],
    currency: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let moving = || legs.iter().filter(|(_, amount)| *amount != 0);
    let accounts: Vec<String> = moving().map(|(account, _)| (*account).to_owned()).collect();
    let amounts: Vec<i64> = moving().map(|(_, amount)| *amount).collect();
    sqlx::query!(
        "insert into ledger (transaction_id, account, amount_minor, currency, at)
         select $1, l.account, l.amount_minor, $4, $5
         from unnest($2::text[], $3::bigint[]) as l (account, amount_minor)
         on conflict (transaction_id, account) do nothing",
        transaction_id,
        &accounts,
        &amounts,
        currency,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}
