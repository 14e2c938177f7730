//! Money that is owed to customers and that no worker tries to give back any more.

use contract::BookingId;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::database::StoreError;

/// Money that went back and came back again, or was refused for good: a person has to refund it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedRefund {
    /// What the provider calls the payment.
    pub intent_id: String,
    /// The booking that the payment paid for, if it paid for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
    /// What is to go back, minor units.
    pub amount_minor: i64,
    /// Its currency, ISO 4217.
    pub currency: String,
}

/// Failed refunds whose money has not been given back since, at most `limit`.
///
/// Invariant I09 in `check.sql` counts the same. If the tickets are void, all of the money is due,
/// less what a bank returned to the seller when a dispute was won and what the seller keeps. If they
/// are valid, the refund of single tickets was refused for good, or a partial refund made at the
/// provider failed, which is due until another one succeeds.
pub(crate) async fn failed_refunds(
    pool: &PgPool,
    limit: i64,
) -> Result<Vec<FailedRefund>, StoreError> {
    let rows = sqlx::query!(
        r#"select coalesce(p.charge_id, p.intent_id) as "intent_id!", b.booking_id as "booking_id?",
            coalesce(p.captured_currency, p.currency) as "currency!", d.due as "due!"
         from payments p
         left join bookings b on b.hold_id = p.hold_id and p.disposition = 'BOOKED'
         cross join lateral (
            select case when b.status <> 'CANCELLED'
                then coalesce(sum(r.amount_minor) filter (where r.status = 'NEEDS_OPS'
                    and (r.origin = 'OURS' or r.origin = 'PROVIDER' and not exists (
                        select 1 from refunds l where l.payment_id = p.payment_id
                            and l.status = 'SUCCEEDED' and l.created_at >= r.updated_at))), 0)
                else p.captured_minor - p.refunded_minor - coalesce(
                    sum(r.amount_minor) filter (where
                        (r.origin = 'OURS' and r.status in ('REQUESTED', 'SUBMITTED', 'FAILED'))
                        or (r.origin = 'DISPUTE' and r.status = 'NEEDS_OPS')), 0)
                    - coalesce((select sum(c.kept_minor) from cancellations c
                        where c.booking_id = b.booking_id), 0)
                end::bigint as due
            from refunds r where r.payment_id = p.payment_id) d
         where p.payment_id in (select payment_id from refunds where status = 'NEEDS_OPS')
            and p.intent_id is not null and d.due > 0
         order by p.created_at, p.payment_id limit $1"#,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| FailedRefund {
            intent_id: row.intent_id,
            booking_id: row.booking_id.map(BookingId::new),
            amount_minor: row.due,
            currency: row.currency,
        })
        .collect())
}
