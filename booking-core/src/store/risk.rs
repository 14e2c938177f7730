//! What is remembered of tries to pay, of suspicious holds, and of solved challenges.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;
use crate::fraud::signal::Signal;

/// What is known of a customer before a payment is started.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Whether there is an earlier booking of the customer's.
    pub(crate) is_known: bool,
    /// Declined tries of this hold.
    pub(crate) hold_declines: u32,
    /// Declined tries of whom the hold counts against, lately.
    pub(crate) owner_declines: u32,
    /// Those, and the ones with the customer's address.
    pub(crate) declines: u32,
    /// The highest score for which a challenge was solved for this hold.
    pub(crate) passed_score: u32,
}

/// Whom a history is about.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) hold_id: Uuid,
    pub(crate) session: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
    pub(crate) email: &'a str,
    pub(crate) owner_hash: &'a [u8],
    pub(crate) customer_hash: &'a [u8],
    /// Bookings from before make a customer known.
    pub(crate) known_before: Timestamp,
    /// Declines since then count.
    pub(crate) declines_since: Timestamp,
}

/// The history of a customer.
pub(crate) async fn history(pool: &PgPool, asked: &Asked<'_>) -> Result<History, StoreError> {
    let row = sqlx::query!(
        r#"select
            (exists (select 1 from bookings b where lower(b.email) = lower($2)
                    and b.created_at < $7 and b.status <> 'CANCELLED')
                or exists (select 1 from bookings b where b.session = $3
                    and b.created_at < $7 and b.status <> 'CANCELLED')
                or exists (select 1 from bookings b where b.subject = $4
                    and b.created_at < $7 and b.status <> 'CANCELLED')) as "is_known!",
            (select count(*) from payment_tries where hold_id = $1 and declined)
                as "hold_declines!",
            (select count(*) from payment_tries
                where declined and owner_hash = $5 and seen_at > $8) as "owner_declines!",
            (select count(*) from (
                select provider, try_id from payment_tries
                where declined and owner_hash = $5 and seen_at > $8
                union
                select provider, try_id from payment_tries
                where declined and customer_hash = $6 and seen_at > $8) u) as "declines!",
            coalesce((select passed_score from hold_risks where hold_id = $1), 0)
                as "passed_score!""#,
        asked.hold_id,
        asked.email,
        asked.session,
        asked.subject,
        asked.owner_hash,
        asked.customer_hash,
        OffsetDateTime::from(asked.known_before),
        OffsetDateTime::from(asked.declines_since)
    )
    .fetch_one(pool)
    .await?;
    Ok(History {
        is_known: row.is_known,
        hold_declines: count(row.hold_declines),
        owner_declines: count(row.owner_declines),
        declines: count(row.declines),
        passed_score: u32::try_from(row.passed_score).unwrap_or(0),
    })
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn number(score: u32) -> i32 {
    i32::try_from(score).unwrap_or(i32::MAX)
}

fn stored(signals: &[Signal]) -> serde_json::Value {
    serde_json::to_value(signals).unwrap_or_default()
}

/// Reads stored signals.
pub(crate) fn signals(
    table: &'static str,
    value: serde_json::Value,
) -> Result<Vec<Signal>, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt(table, error))
}

/// Remembers what is suspicious of a hold, with the score for which a challenge was solved if one was
/// just solved.
pub(crate) async fn keep(
    pool: &PgPool,
    hold_id: Uuid,
    signals: &[Signal],
    score: u32,
    passed_score: Option<u32>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into hold_risks (hold_id, signals, score, passed_score, seen_at)
         values ($1, $2, $3, coalesce($4, 0), $5)
         on conflict (hold_id) do update set signals = excluded.signals, score = excluded.score,
            passed_score = greatest(hold_risks.passed_score, excluded.passed_score),
            seen_at = excluded.seen_at",
        hold_id,
        stored(signals),
        number(score),
        passed_score.map(number),
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Uses up the solution of a challenge. False if it was used before.
pub(crate) async fn solution_use(
    pool: &PgPool,
    challenge: &[u8],
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into solved_challenges (challenge, expires_at) values ($1, $2)
         on conflict (challenge) do nothing",
        challenge,
        OffsetDateTime::from(expires_at)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tries of one hold that a provider told of.
#[derive(Clone, Debug)]
pub(crate) struct NewTries<'a> {
    pub(crate) provider: &'a str,
    pub(crate) hold_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) ticket_count: i32,
    pub(crate) owner_hash: Vec<u8>,
    pub(crate) customer_hash: Vec<u8>,
    pub(crate) tries: Vec<NewTry>,
    pub(crate) now: Timestamp,
}

/// One try.
#[derive(Clone, Debug)]
pub(crate) struct NewTry {
    pub(crate) try_id: String,
    pub(crate) declined: bool,
    pub(crate) instrument_hash: Option<Vec<u8>>,
    pub(crate) country: Option<String>,
    pub(crate) provider_risk: i16,
}

/// Remembers tries. One that is known already is only told whether it is declined still.
pub(crate) async fn tries_keep(
    connection: &mut PgConnection,
    new: &NewTries<'_>,
) -> Result<(), StoreError> {
    let ids: Vec<&str> = new.tries.iter().map(|it| it.try_id.as_str()).collect();
    let declined: Vec<bool> = new.tries.iter().map(|it| it.declined).collect();
    // An empty hash stands for none: an array that is bound has no holes.
    let hashes: Vec<Vec<u8>> = new
        .tries
        .iter()
        .map(|it| it.instrument_hash.clone().unwrap_or_default())
        .collect();
    let countries: Vec<String> = new
        .tries
        .iter()
        .map(|it| it.country.clone().unwrap_or_default())
        .collect();
    let risks: Vec<i16> = new.tries.iter().map(|it| it.provider_risk).collect();
    sqlx::query!(
        "insert into payment_tries (provider, try_id, hold_id, show_no, ticket_count, owner_hash,
            customer_hash, instrument_hash, declined, country, provider_risk, seen_at)
         select $1, t.try_id, $2, $3, $4, $5, $6, nullif(t.instrument_hash, ''::bytea), t.declined,
            nullif(t.country, ''), t.provider_risk, $12
         from unnest($7::text[], $8::boolean[], $9::bytea[], $10::text[], $11::smallint[])
            as t (try_id, declined, instrument_hash, country, provider_risk)
         order by t.try_id
         on conflict (provider, try_id) do update set declined = excluded.declined
            where payment_tries.declined <> excluded.declined",
        new.provider,
        new.hold_id,
        new.show_no,
        new.ticket_count,
        new.owner_hash,
        new.customer_hash,
        &ids as &[&str],
        &declined,
        &hashes,
        &countries,
        &risks,
        OffsetDateTime::from(new.now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What is known when a provider has told what was paid with.
#[derive(Clone, Debug)]
pub(crate) struct InstrumentUse {
    /// Customers who tried to pay with it lately, this one included.
    pub(crate) customers: u32,
    /// Customers of this show who tried to pay with it.
    pub(crate) show_customers: u32,
    /// Tickets of this show that it paid for.
    pub(crate) show_tickets: u32,
    /// What was suspicious of the hold before its payment.
    pub(crate) before: Vec<Signal>,
    /// Declined tries of the hold.
    pub(crate) hold_declines: u32,
}

/// What is known of the card or account of a hold. Read after the try was committed, so that of two
/// payments at the same time at least one finds the other.
pub(crate) async fn of_instrument(
    connection: &mut PgConnection,
    hold_id: Uuid,
    show_no: i32,
    instrument_hash: Option<&[u8]>,
    since: Timestamp,
) -> Result<InstrumentUse, StoreError> {
    let row = sqlx::query!(
        r#"select
            (select count(distinct customer_hash) from payment_tries
                where instrument_hash = $1 and seen_at > $4) as "customers!",
            (select count(distinct customer_hash) from payment_tries
                where instrument_hash = $1 and show_no = $2) as "show_customers!",
            (select coalesce(sum(ticket_count), 0) from (
                select distinct hold_id, ticket_count from payment_tries
                where instrument_hash = $1 and show_no = $2 and not declined) u)
                as "show_tickets!",
            (select signals from hold_risks where hold_id = $3) as signals,
            (select count(*) from payment_tries where hold_id = $3 and declined)
                as "hold_declines!""#,
        instrument_hash,
        show_no,
        hold_id,
        OffsetDateTime::from(since)
    )
    .fetch_one(connection)
    .await?;
    let before = row.signals.map(|value| signals("hold_risks", value));
    Ok(InstrumentUse {
        customers: count(row.customers),
        show_customers: count(row.show_customers),
        show_tickets: count(row.show_tickets),
        before: before.transpose()?.unwrap_or_default(),
        hold_declines: count(row.hold_declines),
    })
}

/// Removes tries and risks from before `before`, and solutions that ended before `now`, some of each.
/// Returns how many.
pub(crate) async fn purge(
    pool: &PgPool,
    before: Timestamp,
    now: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    let before = OffsetDateTime::from(before);
    let tries = sqlx::query!(
        "delete from payment_tries where (provider, try_id) in (
            select provider, try_id from payment_tries where seen_at < $1
            order by seen_at limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    let risks = sqlx::query!(
        "delete from hold_risks where hold_id in (
            select hold_id from hold_risks where seen_at < $1 order by seen_at limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    let solved = sqlx::query!(
        "delete from solved_challenges where challenge in (
            select challenge from solved_challenges where expires_at < $1
            order by expires_at limit $2)",
        OffsetDateTime::from(now),
        limit
    )
    .execute(pool)
    .await?;
    Ok(tries.rows_affected() + risks.rows_affected() + solved.rows_affected())
}
