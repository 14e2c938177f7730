//! What is remembered of tries to pay, of suspicious holds, and of solved challenges.

use std::collections::HashSet;

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
pub(crate) struct Asked {
    pub(crate) hold_id: Uuid,
    pub(crate) session: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) email: String,
    pub(crate) owner_hash: Vec<u8>,
    pub(crate) customer_hash: Vec<u8>,
    /// Bookings from before make a customer known.
    pub(crate) known_before: Timestamp,
    /// Declines since then count.
    pub(crate) declines_since: Timestamp,
}

/// The histories of customers, in the order of `asked`.
pub(crate) async fn histories(
    connection: &mut PgConnection,
    asked: &[Asked],
) -> Result<Vec<History>, StoreError> {
    let hold_ids: Vec<Uuid> = asked.iter().map(|it| it.hold_id).collect();
    let emails: Vec<&str> = asked.iter().map(|it| it.email.as_str()).collect();
    let sessions: Vec<Option<&str>> = asked.iter().map(|it| it.session.as_deref()).collect();
    let subjects: Vec<Option<&str>> = asked.iter().map(|it| it.subject.as_deref()).collect();
    let owners: Vec<&[u8]> = asked.iter().map(|it| it.owner_hash.as_slice()).collect();
    let customers: Vec<&[u8]> = asked.iter().map(|it| it.customer_hash.as_slice()).collect();
    let before: Vec<OffsetDateTime> = asked.iter().map(|it| it.known_before.into()).collect();
    let since: Vec<OffsetDateTime> = asked.iter().map(|it| it.declines_since.into()).collect();
    let rows = sqlx::query!(
        r#"select
            (exists (select 1 from bookings b where lower(b.email) = lower(a.email)
                    and b.created_at < a.known_before and b.status <> 'CANCELLED')
                or exists (select 1 from bookings b where b.session = a.session
                    and b.created_at < a.known_before and b.status <> 'CANCELLED')
                or exists (select 1 from bookings b where b.subject = a.subject
                    and b.created_at < a.known_before and b.status <> 'CANCELLED'))
                as "is_known!",
            (select count(*) from payment_tries t where t.hold_id = a.hold_id and t.declined)
                as "hold_declines!",
            (select count(*) from payment_tries t
                where t.declined and t.owner_hash = a.owner and t.seen_at > a.since)
                as "owner_declines!",
            (select count(*) from (
                select provider, try_id from payment_tries t
                where t.declined and t.owner_hash = a.owner and t.seen_at > a.since
                union
                select provider, try_id from payment_tries t
                where t.declined and t.customer_hash = a.customer and t.seen_at > a.since) u)
                as "declines!",
            coalesce((select passed_score from hold_risks r where r.hold_id = a.hold_id), 0)
                as "passed_score!"
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[],
            $7::timestamptz[], $8::timestamptz[]) with ordinality
            as a (hold_id, email, session, subject, owner, customer, known_before, since, nth)
         order by a.nth"#,
        &hold_ids,
        &emails as &[&str],
        &sessions as &[Option<&str>],
        &subjects as &[Option<&str>],
        &owners as &[&[u8]],
        &customers as &[&[u8]],
        &before,
        &since
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| History {
        is_known: row.is_known,
        hold_declines: count(row.hold_declines),
        owner_declines: count(row.owner_declines),
        declines: count(row.declines),
        passed_score: u32::try_from(row.passed_score).unwrap_or(0),
    });
    Ok(rows.collect())
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
pub(crate) struct NewTries {
    pub(crate) provider: String,
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
    new: &[NewTries],
) -> Result<(), StoreError> {
    let tries = new
        .iter()
        .flat_map(|of| of.tries.iter().map(move |it| (of, it)));
    // A row can be written once by a statement.
    let mut names = HashSet::new();
    let once: Vec<(&NewTries, &NewTry)> = tries
        .filter(|(of, it)| names.insert((of.provider.as_str(), it.try_id.as_str())))
        .collect();
    let providers: Vec<&str> = once.iter().map(|(of, _)| of.provider.as_str()).collect();
    let ids: Vec<&str> = once.iter().map(|(_, it)| it.try_id.as_str()).collect();
    let holds: Vec<Uuid> = once.iter().map(|(of, _)| of.hold_id).collect();
    let shows: Vec<i32> = once.iter().map(|(of, _)| of.show_no).collect();
    let counts: Vec<i32> = once.iter().map(|(of, _)| of.ticket_count).collect();
    let owners: Vec<&[u8]> = once
        .iter()
        .map(|(of, _)| of.owner_hash.as_slice())
        .collect();
    let customers: Vec<&[u8]> = once
        .iter()
        .map(|(of, _)| of.customer_hash.as_slice())
        .collect();
    let instruments: Vec<Option<&[u8]>> = once
        .iter()
        .map(|(_, it)| it.instrument_hash.as_deref())
        .collect();
    let declined: Vec<bool> = once.iter().map(|(_, it)| it.declined).collect();
    let countries: Vec<Option<&str>> = once.iter().map(|(_, it)| it.country.as_deref()).collect();
    let risks: Vec<i16> = once.iter().map(|(_, it)| it.provider_risk).collect();
    let times: Vec<OffsetDateTime> = once.iter().map(|(of, _)| of.now.into()).collect();
    // In order, so that two processes that keep the same tries cannot deadlock.
    sqlx::query!(
        "insert into payment_tries (provider, try_id, hold_id, show_no, ticket_count, owner_hash,
            customer_hash, instrument_hash, declined, country, provider_risk, seen_at)
         select * from unnest($1::text[], $2::text[], $3::uuid[], $4::integer[], $5::integer[],
            $6::bytea[], $7::bytea[], $8::bytea[], $9::boolean[], $10::text[], $11::smallint[],
            $12::timestamptz[])
            as t (provider, try_id, hold_id, show_no, ticket_count, owner_hash, customer_hash,
                instrument_hash, declined, country, provider_risk, seen_at)
         order by t.provider, t.try_id
         on conflict (provider, try_id) do update set declined = excluded.declined
            where payment_tries.declined <> excluded.declined",
        &providers as &[&str],
        &ids as &[&str],
        &holds,
        &shows,
        &counts,
        &owners as &[&[u8]],
        &customers as &[&[u8]],
        &instruments as &[Option<&[u8]>],
        &declined,
        &countries as &[Option<&str>],
        &risks,
        &times
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// With which card or account is paid for a hold.
#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    pub(crate) hold_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) hash: Option<Vec<u8>>,
    /// Customers since then count.
    pub(crate) since: Timestamp,
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

/// What is known of the card or account of each of `asked`, in their order. Read after the tries were
/// committed, so that of two payments at the same time at least one finds the other.
pub(crate) async fn of_instruments(
    connection: &mut PgConnection,
    asked: &[Instrument],
) -> Result<Vec<InstrumentUse>, StoreError> {
    let hashes: Vec<Option<&[u8]>> = asked.iter().map(|it| it.hash.as_deref()).collect();
    let shows: Vec<i32> = asked.iter().map(|it| it.show_no).collect();
    let holds: Vec<Uuid> = asked.iter().map(|it| it.hold_id).collect();
    let since: Vec<OffsetDateTime> = asked.iter().map(|it| it.since.into()).collect();
    let rows = sqlx::query!(
        r#"select
            (select count(distinct t.customer_hash) from payment_tries t
                where t.instrument_hash = a.hash and t.seen_at > a.since) as "customers!",
            (select count(distinct t.customer_hash) from payment_tries t
                where t.instrument_hash = a.hash and t.show_no = a.show_no)
                as "show_customers!",
            (select coalesce(sum(u.ticket_count), 0) from (
                select distinct t.hold_id, t.ticket_count from payment_tries t
                where t.instrument_hash = a.hash and t.show_no = a.show_no
                    and not t.declined) u) as "show_tickets!",
            (select r.signals from hold_risks r where r.hold_id = a.hold_id) as signals,
            (select count(*) from payment_tries t where t.hold_id = a.hold_id and t.declined)
                as "hold_declines!"
         from unnest($1::bytea[], $2::integer[], $3::uuid[], $4::timestamptz[]) with ordinality
            as a (hash, show_no, hold_id, since, nth)
         order by a.nth"#,
        &hashes as &[Option<&[u8]>],
        &shows,
        &holds,
        &since
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let before = row.signals.map(|value| signals("hold_risks", value));
        Ok(InstrumentUse {
            customers: count(row.customers),
            show_customers: count(row.show_customers),
            show_tickets: count(row.show_tickets),
            before: before.transpose()?.unwrap_or_default(),
            hold_declines: count(row.hold_declines),
        })
    });
    rows.collect()
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
