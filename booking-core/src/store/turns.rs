//! Fans in waiting rooms who want to be told when they are called.
//!
//! The calls are read from the admission log of the line, where each is before its fan can know of
//! it, so that no call is missed whichever process dies.

use contract::{PlaceId, RoomId, Timestamp};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::contacts::language;
use crate::channels::told::{Browser, Recipient};
use crate::config::TURN_PLACES_OF_ADDRESS_MAX;
use crate::database::StoreError;
use crate::notice::NoticeKind;

/// A request to be told.
#[derive(Clone, Debug)]
pub(crate) struct NewTurnRequest {
    pub(crate) turn_id: Uuid,
    pub(crate) room: RoomId,
    pub(crate) place: PlaceId,
    pub(crate) email: Option<String>,
    pub(crate) browser: Option<Browser>,
    pub(crate) language: String,
    pub(crate) now: Timestamp,
}

/// A call of a fan who asked.
#[derive(Clone, Debug)]
pub(crate) struct CalledTurn {
    pub(crate) room: String,
    /// What fans read of the room.
    pub(crate) title: String,
    pub(crate) to: Recipient,
    /// Whether the fan has claimed it, left, or missed it.
    pub(crate) is_over: bool,
}

/// Stores a request, in place of an earlier one of the place. An address of which as many places of
/// the room have asked as may is left out, and nobody is told so.
pub(crate) async fn ask(pool: &PgPool, new: &NewTurnRequest) -> Result<(), StoreError> {
    let (endpoint, p256dh, auth) = match &new.browser {
        Some(browser) => (
            Some(&browser.endpoint),
            Some(&browser.p256dh),
            Some(&browser.auth),
        ),
        None => (None, None, None),
    };
    let mut tx = pool.begin().await?;
    let mut email = new.email.as_deref();
    if let Some(address) = email {
        // So that two requests do not both find the last place free.
        sqlx::query!(
            "select pg_advisory_xact_lock(hashtextextended($1 || ' ' || lower($2), 4715)) as locked",
            new.room.as_str(),
            address
        )
        .fetch_one(&mut *tx)
        .await?;
        let others = sqlx::query_scalar!(
            r#"select count(*) as "count!" from turn_requests
             where room = $1 and lower(email) = lower($2) and place <> $3"#,
            new.room.as_str(),
            address,
            &new.place.as_bytes()[..]
        )
        .fetch_one(&mut *tx)
        .await?;
        if others >= TURN_PLACES_OF_ADDRESS_MAX {
            email = None;
        }
    }
    if email.is_none() && new.browser.is_none() {
        return Ok(());
    }
    // The log is compared from here on, once somebody wants to know.
    sqlx::query!(
        "insert into turn_heads (room, seq)
         values ($1, coalesce((select seq from admission_heads where room = $1), 0))
         on conflict (room) do nothing",
        new.room.as_str()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into turn_requests (turn_id, room, place, email, endpoint, p256dh, auth, language,
            since_seq, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8,
            coalesce((select seq from admission_heads where room = $2), 0), $9)
         on conflict (room, place) do update
            set email = coalesce(excluded.email, turn_requests.email),
                endpoint = coalesce(excluded.endpoint, turn_requests.endpoint),
                p256dh = coalesce(excluded.p256dh, turn_requests.p256dh),
                auth = coalesce(excluded.auth, turn_requests.auth),
                language = excluded.language",
        new.turn_id,
        new.room.as_str(),
        &new.place.as_bytes()[..],
        email,
        endpoint,
        p256dh,
        auth,
        new.language,
        OffsetDateTime::from(new.now)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Makes the notice of a call that the comparison of the log passed by before the request was there
/// to be found.
pub(crate) async fn catch_up(
    pool: &PgPool,
    room: &RoomId,
    place: &PlaceId,
    domain: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with made as (
            insert into turn_calls (call_id, turn_id, seq, called_at)
            select gen_random_uuid(), r.turn_id, a.seq, a.called_at
            from turn_requests r join admissions a using (room, place)
            where r.room = $1 and r.place = $2 and a.seq > r.since_seq
            on conflict (turn_id, seq) do nothing
            returning call_id, called_at
        )
        insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
            created_at, due_since)
        select gen_random_uuid(), 'YOUR_TURN', call_id, 'your-turn.' || call_id || '@' || $3, $4,
            $5, called_at, called_at
        from made",
        room.as_str(),
        &place.as_bytes()[..],
        domain,
        NoticeKind::YourTurn.urgency(),
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Compares the log of every room in which somebody asked, from where the last comparison ended,
/// and makes a notice of each call of a fan who asked. Returns how many calls were read; there may
/// be more. One process compares a room at a time; all in one statement, so that one that dies leaves
/// notices and position together.
pub(crate) async fn collect(
    pool: &PgPool,
    domain: &str,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let rooms = sqlx::query_scalar!("select room from turn_heads order by room")
        .fetch_all(pool)
        .await?;
    let mut read = 0;
    for room in rooms {
        let row = sqlx::query!(
            r#"with head as materialized (
                select room, seq from turn_heads where room = $1
                for no key update skip locked
            ), calls as materialized (
                select a.seq, a.place, a.called_at
                from head h join admissions a on a.room = h.room and a.seq > h.seq
                order by a.seq limit $2
            ), made as (
                insert into turn_calls (call_id, turn_id, seq, called_at)
                select gen_random_uuid(), r.turn_id, c.seq, c.called_at
                from calls c join turn_requests r on r.room = $1 and r.place = c.place
                where c.seq > r.since_seq
                on conflict (turn_id, seq) do nothing
                returning call_id, called_at
            ), told as (
                insert into notices (notice_id, kind, about, message_id, urgency,
                    next_attempt_at, created_at, due_since)
                select gen_random_uuid(), 'YOUR_TURN', call_id,
                    'your-turn.' || call_id || '@' || $3, $4, $5, called_at, called_at
                from made
            ), moved as (
                update turn_heads t set seq = (select max(c.seq) from calls c) from head h
                where t.room = h.room and exists (select 1 from calls)
            )
            select count(*) as "count!" from calls"#,
            room,
            limit,
            domain,
            NoticeKind::YourTurn.urgency(),
            OffsetDateTime::from(now)
        )
        .fetch_one(pool)
        .await?;
        read += usize::try_from(row.count).unwrap_or(0);
    }
    Ok(read)
}

/// Reads a call of a fan who asked.
pub(crate) async fn called(pool: &PgPool, call_id: Uuid) -> Result<Option<CalledTurn>, StoreError> {
    let row = sqlx::query!(
        r#"select r.room, o.settings->>'title' as title, r.email, r.endpoint, r.p256dh, r.auth,
            r.language,
            exists (select 1 from admission_outcomes f where f.room = r.room
                and f.place = r.place and f.seq >= c.seq) as "is_over!"
         from turn_calls c join turn_requests r using (turn_id) join rooms o on o.slug = r.room
         where c.call_id = $1"#,
        call_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let browser = match (row.endpoint, row.p256dh, row.auth) {
            (Some(endpoint), Some(p256dh), Some(auth)) => Some(Browser {
                subscription_id: None,
                endpoint,
                p256dh,
                auth,
            }),
            _ => None,
        };
        CalledTurn {
            title: row.title.unwrap_or_else(|| row.room.clone()),
            room: row.room,
            is_over: row.is_over,
            to: Recipient {
                email: row.email,
                phone: None,
                browsers: browser.into_iter().collect(),
                preferred: None,
                language: language(Some(row.language)),
            },
        }
    }))
}

/// How many fans want to be told.
pub(crate) async fn count(pool: &PgPool) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from turn_requests"#)
        .fetch_one(pool)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Removes requests of fans who were called before `called_before`, or who asked before
/// `asked_before`, with their addresses; up to `limit`.
pub(crate) async fn purge(
    pool: &PgPool,
    called_before: Timestamp,
    asked_before: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from turn_requests where turn_id in (
            select r.turn_id from turn_requests r
            where r.created_at < $2 or exists (select 1 from turn_calls c
                where c.turn_id = r.turn_id and c.called_at < $1)
            order by r.created_at limit $3)",
        OffsetDateTime::from(called_before),
        OffsetDateTime::from(asked_before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
