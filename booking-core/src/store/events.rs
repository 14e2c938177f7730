//! The log of events, and what the sequencer needs to write it.

use contract::{EventId, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::EVENTS_SEARCHED_MAX;
use crate::customer_seal::{self, CustomerKey};
use crate::database::StoreError;
use crate::event::Event;

/// A row of the outbox without a position.
#[derive(Clone, Debug)]
pub(crate) struct Unsequenced {
    pub(crate) id: i64,
    pub(crate) topic: String,
    pub(crate) dedupe: String,
    pub(crate) created_at: OffsetDateTime,
    /// What it tells in full; `None` for topics that are told to fans alone.
    pub(crate) data: Option<Value>,
    /// The address of its customer.
    pub(crate) email: Option<String>,
    /// Where it is in the log, if it is there already.
    pub(crate) known: Option<i64>,
}

/// An event that is about to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    pub(crate) kind: String,
    pub(crate) dedupe: String,
    pub(crate) occurred_at: OffsetDateTime,
    pub(crate) data: Value,
    pub(crate) key_id: Option<Uuid>,
    pub(crate) personal: Option<Vec<u8>>,
}

/// A part of the log.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Where to read on: the position of the last event, or up to where there is none.
    pub(crate) next: i64,
    /// The end of the log.
    pub(crate) head: i64,
    pub(crate) events: Vec<Event>,
}

/// Whether the sequencer has anything to do. Reads an index that holds only such rows.
pub(crate) async fn has_unsequenced(pool: &PgPool) -> Result<bool, StoreError> {
    let row =
        sqlx::query!(r#"select exists (select 1 from outbox where position is null) as "any!""#)
            .fetch_one(pool)
            .await?;
    Ok(row.any)
}

/// Takes the end of the log until the transaction is over; `None` while another process has it.
pub(crate) async fn head_take(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query!("select position from event_head for no key update skip locked")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.position))
}

/// Committed rows of the outbox without a position, with what they tell.
pub(crate) async fn unsequenced(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Unsequenced>, StoreError> {
    let rows = sqlx::query_as!(
        Unsequenced,
        r#"with taken as materialized (
            select id, topic, dedupe, payload, created_at,
                substr(dedupe, length(topic) + 2) as about,
                topic in ('booking.confirmed', 'booking.cancelled') as of_booking
            from outbox where position is null order by id limit $1
         ),
         told as (
            select o.id, coalesce(b.data, o.payload) as data, b.email
            from taken o
            left join event_bookings(array(select about::uuid from taken where of_booking)) b
                on b.booking_id::text = o.about
            where o.of_booking
            union all
            select o.id, f.data, f.email
            from taken o, lateral event_facts(o.topic, o.about, o.payload) f
            where not o.of_booking
         )
         select o.id as "id!", o.topic as "topic!", o.dedupe as "dedupe!",
            o.created_at as "created_at!", t.data, t.email,
            coalesce(e.position, k.position) as "known?"
         from taken o join told t on t.id = o.id left join events e on e.dedupe = o.dedupe
         left join event_archive_keys k on k.digest = md5(o.dedupe)::uuid
         order by o.id"#,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The keys of customers, in the order of `customers`. Those that have none get one of `fresh`,
/// which has as many.
pub(crate) async fn customer_keys(
    connection: &mut PgConnection,
    customers: &[Vec<u8>],
    fresh: &[CustomerKey],
    now: Timestamp,
) -> Result<Vec<(Vec<u8>, CustomerKey)>, StoreError> {
    let ids: Vec<Uuid> = fresh.iter().map(|key| key.key_id).collect();
    let secrets: Vec<Vec<u8>> = fresh.iter().map(|key| key.secret.clone()).collect();
    // A customer whose key is erased meanwhile gets the new one.
    sqlx::query!(
        "insert into customer_keys (key_id, customer, secret, created_at)
         select n.key_id, n.customer, n.secret, $4
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (key_id, customer, secret)
         where not exists (select 1 from customer_keys k where k.customer = n.customer)
         on conflict (customer) do nothing",
        &ids,
        customers,
        &secrets,
        OffsetDateTime::from(now)
    )
    .execute(&mut *connection)
    .await?;
    // Locked, so that a key is not erased between its use and the commit.
    let rows = sqlx::query!(
        "select k.customer, k.key_id, k.secret
         from (select distinct customer from unnest($1::bytea[]) as n (customer)) n
         cross join lateral (
             select customer, key_id, secret from customer_keys
             where customer = n.customer for share
         ) k",
        customers
    )
    .fetch_all(connection)
    .await?;
    let keys = rows.into_iter().map(|row| {
        let key = CustomerKey {
            key_id: row.key_id,
            secret: row.secret,
        };
        (row.customer, key)
    });
    Ok(keys.collect())
}

/// Appends events, gives the rows of the outbox `ids` their `positions`, and moves the end of the
/// log, which the caller has taken.
pub(crate) async fn append(
    connection: &mut PgConnection,
    events: Vec<NewEvent>,
    (ids, positions): (&[i64], &[i64]),
    head: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    insert(connection, events, now).await?;
    sqlx::query!(
        "update outbox o set position = n.position
         from unnest($1::bigint[], $2::bigint[]) as n (id, position) where o.id = n.id",
        ids,
        positions
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update event_head set position = $1 where position <> $1",
        head
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert(
    connection: &mut PgConnection,
    events: Vec<NewEvent>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut positions = Vec::with_capacity(events.len());
    let mut event_ids = Vec::with_capacity(events.len());
    let (mut kinds, mut dedupes, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let (mut data, mut key_ids, mut personal) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        positions.push(event.position);
        event_ids.push(event.event_id);
        kinds.push(event.kind);
        dedupes.push(event.dedupe);
        times.push(event.occurred_at);
        data.push(event.data);
        key_ids.push(event.key_id);
        personal.push(event.personal);
    }
    sqlx::query!(
        "insert into events (position, event_id, kind, schema_version, dedupe, occurred_at,
            sequenced_at, data, key_id, personal)
         select n.position, n.event_id, n.kind, $9, n.dedupe, n.occurred_at, $10, n.data, n.key_id,
            n.personal
         from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[],
            $6::jsonb[], $7::uuid[], $8::bytea[])
            as n (position, event_id, kind, dedupe, occurred_at, data, key_id, personal)",
        &positions,
        &event_ids,
        &kinds,
        &dedupes,
        &times,
        &data,
        &key_ids as &[Option<Uuid>],
        &personal as &[Option<Vec<u8>>],
        crate::event::SCHEMA_VERSION,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The end of the log.
pub(crate) async fn head(pool: &PgPool) -> Result<i64, StoreError> {
    let row = sqlx::query!("select position from event_head")
        .fetch_one(pool)
        .await?;
    Ok(row.position)
}

/// Events after position `after`, at most `limit`; only those of `kinds` unless it is empty.
pub(crate) async fn read(
    pool: &PgPool,
    after: i64,
    limit: i64,
    kinds: &[String],
) -> Result<Page, StoreError> {
    // Read before the events, so that none is between the last of them and the end. What moves into
    // the archive meanwhile is read there.
    let ends = sqlx::query!(
        "select h.position as head, z.position as archived from event_head h, event_archive_end z"
    )
    .fetch_one(pool)
    .await?;
    let head = ends.head;
    let upto = if kinds.is_empty() {
        head.min(after.saturating_add(limit))
    } else if after < ends.archived {
        ends.archived.min(after.saturating_add(EVENTS_SEARCHED_MAX))
    } else {
        head
    };
    let rows = sqlx::query_as!(
        EventRow,
        r#"select e.position as "position!", e.event_id as "event_id!", e.kind as "kind!",
            e.schema_version as "schema_version!", e.occurred_at as "occurred_at!",
            e.data as "data!", e.key_id, e.personal, k.secret as "secret?"
         from event_log($1, $4) e left join customer_keys k on k.key_id = e.key_id
         where cardinality($3::text[]) = 0 or e.kind = any($3)
         order by e.position limit $2"#,
        after,
        limit,
        kinds,
        upto
    )
    .fetch_all(pool)
    .await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let events: Vec<Event> = rows.into_iter().map(EventRow::told).collect();
    let next = match events.last() {
        Some(last) if is_full => last.position,
        _ => upto,
    };
    Ok(Page { next, head, events })
}

/// The events at these positions.
pub(crate) async fn at(pool: &PgPool, positions: &[i64]) -> Result<Vec<Event>, StoreError> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"select e.position as "position!", e.event_id as "event_id!", e.kind as "kind!",
            e.schema_version as "schema_version!", e.occurred_at as "occurred_at!",
            e.data as "data!", e.key_id, e.personal, k.secret as "secret?"
         from unnest($1::bigint[]) as p (position)
         cross join lateral event_log(p.position - 1, p.position) e
         left join customer_keys k on k.key_id = e.key_id
         order by e.position"#,
        positions
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(EventRow::told).collect())
}

/// An event as it is stored, with the secret of its customer's key.
struct EventRow {
    position: i64,
    event_id: Uuid,
    kind: String,
    schema_version: i16,
    occurred_at: OffsetDateTime,
    data: Value,
    key_id: Option<Uuid>,
    personal: Option<Vec<u8>>,
    secret: Option<Vec<u8>>,
}

impl EventRow {
    fn told(self) -> Event {
        let mut data = self.data;
        if let (Some(key_id), Some(sealed)) = (self.key_id, &self.personal) {
            let secret = self.secret.as_deref();
            data["customer"] = customer_seal::told(key_id, secret, self.event_id, sealed);
        }
        Event {
            id: EventId::new(self.event_id),
            position: self.position,
            kind: self.kind,
            version: self.schema_version,
            timestamp: self.occurred_at.into(),
            data,
        }
    }
}

/// Destroys the key of a customer. Returns whether there was one.
pub(crate) async fn key_destroy(pool: &PgPool, customer: &[u8]) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from customer_keys where customer = $1", customer)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}
