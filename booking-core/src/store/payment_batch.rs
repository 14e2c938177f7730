//! Starts many payments in one statement, and stores what the providers made for them in another.

use std::collections::HashMap;

use contract::Timestamp;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::payments::{PaymentRow, payment_row};
use super::word;
use crate::database::StoreError;

/// A first attempt to pay for a hold.
#[derive(Clone, Debug)]
pub(crate) struct AttemptAsk {
    pub(crate) hold_id: Uuid,
    pub(crate) payment_id: Uuid,
    /// The provider that is asked next.
    pub(crate) provider: String,
    /// The key of that call.
    pub(crate) idempotency_key: String,
    pub(crate) email: String,
    /// The digest of the customer's session.
    pub(crate) session: Option<String>,
    /// The places of the customer's passes.
    pub(crate) subjects: Vec<String>,
    /// The customer's language, unless it is the ordinary one.
    pub(crate) language: Option<&'static str>,
    pub(crate) now: Timestamp,
    /// Before the end of the hold, if that comes later.
    pub(crate) next_poll_at: Timestamp,
}

/// Records what can be recorded of `asks`, for each the payment; `None` for a hold that is not at the
/// ordinary start of its payment. Of one hold only the first ask counts.
pub(crate) async fn begin_batch(
    connection: &mut PgConnection,
    asks: &[AttemptAsk],
) -> Result<Vec<Option<PaymentRow>>, StoreError> {
    let texts = |of: fn(&AttemptAsk) -> &str| asks.iter().map(of).collect::<Vec<&str>>();
    let hold_ids: Vec<Uuid> = asks.iter().map(|ask| ask.hold_id).collect();
    let payment_ids: Vec<Uuid> = asks.iter().map(|ask| ask.payment_id).collect();
    let sessions: Vec<Option<&str>> = asks.iter().map(|ask| ask.session.as_deref()).collect();
    // A place is base64url, so it contains no blank.
    let subjects: Vec<String> = asks.iter().map(|ask| ask.subjects.join(" ")).collect();
    let languages: Vec<Option<&str>> = asks.iter().map(|ask| ask.language).collect();
    let times: Vec<OffsetDateTime> = asks.iter().map(|ask| ask.now.into()).collect();
    let polls: Vec<OffsetDateTime> = asks.iter().map(|ask| ask.next_poll_at.into()).collect();
    let rows = sqlx::query_file!(
        "src/store/payment_batch.sql",
        &hold_ids,
        &payment_ids,
        &texts(|ask| &ask.provider) as &[&str],
        &texts(|ask| &ask.idempotency_key) as &[&str],
        &texts(|ask| &ask.email) as &[&str],
        &sessions as &[Option<&str>],
        &subjects,
        &languages as &[Option<&str>],
        &times,
        &polls
    )
    .fetch_all(connection)
    .await?;
    let mut begun = HashMap::with_capacity(rows.len());
    for row in rows {
        begun.insert(row.payment_id, payment_row!(row));
    }
    let taken = asks.iter().map(|ask| begun.remove(&ask.payment_id));
    Ok(taken.collect())
}

/// What a provider made for an attempt.
#[derive(Clone, Debug)]
pub(crate) struct MadeAsk {
    pub(crate) payment_id: Uuid,
    pub(crate) intent_id: String,
    pub(crate) client_secret: String,
    pub(crate) redirect_url: Option<String>,
}

/// Stores what providers made, for each the payment. `None` if another is stored, or somebody else
/// has the payment locked. Storing it again is harmless.
pub(crate) async fn made_batch(
    connection: &mut PgConnection,
    asks: &[MadeAsk],
) -> Result<Vec<Option<PaymentRow>>, StoreError> {
    let payment_ids: Vec<Uuid> = asks.iter().map(|ask| ask.payment_id).collect();
    let intents: Vec<&str> = asks.iter().map(|ask| ask.intent_id.as_str()).collect();
    let secrets: Vec<&str> = asks.iter().map(|ask| ask.client_secret.as_str()).collect();
    let urls: Vec<Option<&str>> = asks.iter().map(|ask| ask.redirect_url.as_deref()).collect();
    let rows = sqlx::query!(
        "with locked as materialized (
            select p.payment_id, a.ask
            from payments p
            cross join lateral (select array_position($1::uuid[], p.payment_id) as ask) a
            where p.payment_id = any($1::uuid[])
                and (p.intent_id is null or p.intent_id = ($2::text[])[a.ask])
            order by p.payment_id
            for no key update of p skip locked
        )
        update payments p set intent_id = ($2::text[])[l.ask],
            client_secret = ($3::text[])[l.ask], redirect_url = ($4::text[])[l.ask]
        from locked l where p.payment_id = l.payment_id
        returning p.payment_id, p.hold_id, p.attempt_no, p.provider, p.intent_id, p.client_secret,
            p.redirect_url, p.charge_id, p.accepts, p.open_calls, p.idempotency_key, p.email, p.amount_minor,
            p.currency, p.status, p.failure_reason, p.provider_open, p.disposition, p.poll_count,
            p.created_at",
        &payment_ids,
        &intents as &[&str],
        &secrets as &[&str],
        &urls as &[Option<&str>]
    )
    .fetch_all(connection)
    .await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in rows {
        let payment: PaymentRow = payment_row!(row);
        stored.insert(payment.payment_id, payment);
    }
    // Two callers that asked the same provider under the same key got the same intent.
    let found = asks.iter().map(|ask| {
        let payment = stored.get(&ask.payment_id)?;
        (payment.intent_id.as_deref() == Some(&ask.intent_id)).then(|| payment.clone())
    });
    Ok(found.collect())
}
