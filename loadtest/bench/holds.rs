//! Holds a second, of two seats each, on free seats of one large show.
//!
//! The gateway takes them over HTTP, one request a hold, gathers them and settles many in one
//! transaction. The other side is what a service does that settles one hold per transaction:
//! `begin`, a conditional update of two seats, the ticket limit, an insert, and with a key the answer
//! to a repeat, `commit`, on tables made like ours in the same database. It has no HTTP to speak.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::ShowId;
use contract::cookies::SESSION;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::gateway::{Gateway, row_label};
use crate::http1::{Connection, post_json};
use crate::processes::{cpu_time, family};
use crate::report::{Report, Versus, progress};
use crate::rounds::{Sample, take_turns};
use crate::stage::Stage;

const ROUNDS: usize = 5;
/// Holds of a round, on each side.
const HOLDS: u32 = 6000;
/// Holds of a round that carry an `Idempotency-Key`, on each side.
const KEYED_HOLDS: u32 = 3000;
const WARM_UP_HOLDS: u32 = 1000;
/// Fans that hold at the same time.
const FANS: u32 = 128;
/// How often a fan asks for the same hold.
const TRIES_MAX: u32 = 100;
/// Connections of the SQL side.
const CONNECTIONS: u32 = 16;
const ROWS: u32 = 1000;
const SEATS_PER_ROW: u32 = 100;
/// An answer to a hold has about as many bytes.
const KEPT_ANSWER_BYTES: usize = 700;
const THEIRS: &str = "one SQL transaction each";

/// The tables of the SQL side: ours, without partitions.
const PLAIN_TABLES: &str = "
    create schema plain;
    create table plain.seats (like public.show_seats_default including all)
        with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
    create table plain.holds (like public.holds including all) with (fillfactor = 70);
    create table plain.counts (like public.owner_ticket_counts including all)
        with (fillfactor = 80);
    create table plain.keys (like public.idempotency_keys including all);
    insert into plain.seats (show_no, seat_no) select 1, n from generate_series(0, 99999) n;
    analyze plain.seats;
";
const PLAIN_UPDATE: &str = "
    update plain.seats set status = 'HELD', hold_id = $1, version = version + 1
    where show_no = 1 and seat_no = any($2) and status = 'AVAILABLE'";
const PLAIN_COUNT: &str = "
    insert into plain.counts as c (show_no, owner, ticket_count) values (1, $1::text, 2)
    on conflict (show_no, owner) do update set ticket_count = c.ticket_count + 2
        where c.ticket_count + 2 <= 10";
const PLAIN_INSERT: &str = "
    insert into plain.holds (hold_id, show_no, session, limit_owner, seat_nos, amount_minor,
        currency, created_at, expires_at, hard_deadline, price_lines, ticket_prices)
    values ($1, 1, $1::text, $1::text, $2, 200000, 'INR', now(), now() + interval '10 minutes',
        now() + interval '15 minutes', $3, '{100000,100000}')";
const PLAIN_KEY: &str = "
    insert into plain.keys (principal, key, fingerprint, effect_id, status_code, headers, body,
        locked_at, created_at)
    values ($1::text, $1::text, $2, $1, 201, $3, $4, now(), now())";

/// Pairs of free seats, given out one after another.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    from: u32,
    until: u32,
}

/// Measures holds.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let gateway = stage.gateway().await?;
    let show: ShowId = "bench-show".parse()?;
    gateway.show_import(&show, ROWS, SEATS_PER_ROW).await?;
    let url = stage.database_url()?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(PgConnection::connect(&url).await?);
    }
    let first = connections.first_mut().context("no connection")?;
    first.execute(sqlx::raw_sql(PLAIN_TABLES)).await?;
    progress(&format!("holds: a show of {} seats", ROWS * SEATS_PER_ROW));

    let our_next = Cell::new(0);
    let their_next = Cell::new(0);
    let plain = Plain(Mutex::new(connections));
    http_holds(&gateway, &show, take(&our_next, WARM_UP_HOLDS), false).await?;
    plain.holds(take(&their_next, WARM_UP_HOLDS), false).await?;
    for (name, count, keyed) in [
        ("holds", HOLDS, false),
        ("holds with a key", KEYED_HOLDS, true),
    ] {
        let rounds = take_turns(
            ROUNDS,
            async || http_holds(&gateway, &show, take(&our_next, count), keyed).await,
            async || plain.holds(take(&their_next, count), keyed).await,
        );
        let versus = Versus {
            name,
            unit: "holds/s",
            theirs: THEIRS,
        };
        report.rates(versus, rounds.await?);
    }
    gateway.stop().await;
    Ok(())
}

fn take(next: &Cell<u32>, count: u32) -> Pairs {
    let from = next.get();
    next.set(from + count);
    Pairs {
        from,
        until: from + count,
    }
}

/// Every fan comes anew, so that no ticket limit is reached.
async fn http_holds(
    gateway: &Gateway,
    show: &ShowId,
    pairs: Pairs,
    keyed: bool,
) -> anyhow::Result<Sample> {
    let (address, path) = (gateway.address, format!("/api/v1/shows/{show}/holds"));
    let pids = || {
        let mut pids = family(gateway.pid());
        pids.extend(Stage::postgres_pids());
        pids
    };
    let used_before = cpu_time(&pids());
    let began = Instant::now();
    let next = Arc::new(AtomicU32::new(pairs.from));
    let refused = Arc::new(AtomicU32::new(0));
    tokio::task::spawn_blocking(move || {
        let fans: Vec<_> = (0..FANS)
            .map(|_| {
                let (next, path, refused) = (next.clone(), path.clone(), refused.clone());
                thread::spawn(move || {
                    hold_until(address, &path, &next, pairs.until, keyed, &refused)
                })
            })
            .collect();
        for fan in fans {
            match fan.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a client broke"),
            }
        }
        let refused = refused.load(Ordering::Relaxed);
        if refused > 0 {
            progress(&format!(
                "{refused} holds were refused with 503 and repeated"
            ));
        }
        Ok(())
    })
    .await??;
    let took = began.elapsed();
    let used = cpu_time(&pids()).saturating_sub(used_before);
    Ok(sample(pairs, took, used))
}

fn hold_until(
    address: SocketAddr,
    path: &str,
    next: &AtomicU32,
    until: u32,
    keyed: bool,
    refused: &AtomicU32,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    loop {
        let pair = next.fetch_add(1, Ordering::Relaxed);
        if pair >= until {
            return Ok(());
        }
        let request = hold_request(address, path, pair, keyed);
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = connection.call(&request)?;
            match answer.status {
                201 => break,
                // The key makes it harmless to ask again.
                503 if keyed && tries < TRIES_MAX => {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                status => {
                    let text = String::from_utf8_lossy(answer.body);
                    bail!("a hold was answered {status}: {text}");
                }
            }
        }
    }
}

fn hold_request(address: SocketAddr, path: &str, pair: u32, keyed: bool) -> Vec<u8> {
    let seat = |at: u32| {
        format!(
            "{}{}",
            row_label(at / SEATS_PER_ROW),
            at % SEATS_PER_ROW + 1
        )
    };
    let body = format!(
        r#"{{"seatIds":["{}","{}"]}}"#,
        seat(pair * 2),
        seat(pair * 2 + 1)
    );
    let mut request = post_json(address, path, &body);
    if keyed {
        // Who sends keys is a browser that has seen the seats, so it has a session.
        let session = BASE64URL_NOPAD.encode(&(1 << 100 | u128::from(pair)).to_be_bytes());
        let header = format!("Idempotency-Key: {pair}\r\nCookie: {SESSION}={session}\r\n");
        let at = request.windows(2).position(|two| two == b"\r\n");
        let at = at.map_or(0, |at| at + 2);
        request.splice(at..at, header.into_bytes());
    }
    request
}

/// The SQL side: its connections, which stay open over the rounds.
struct Plain(Mutex<Vec<PgConnection>>);

impl Plain {
    async fn holds(&self, pairs: Pairs, keyed: bool) -> anyhow::Result<Sample> {
        let mut connections = self.0.lock().await;
        let used_before = cpu_time(&Stage::postgres_pids());
        let began = Instant::now();
        let next = Arc::new(AtomicU32::new(pairs.from));
        let mut workers = JoinSet::new();
        for connection in connections.drain(..) {
            workers.spawn(plain_until(connection, next.clone(), pairs.until, keyed));
        }
        while let Some(worker) = workers.join_next().await {
            connections.push(worker??);
        }
        let took = began.elapsed();
        let used = cpu_time(&Stage::postgres_pids()).saturating_sub(used_before);
        Ok(sample(pairs, took, used))
    }
}

async fn plain_until(
    mut connection: PgConnection,
    next: Arc<AtomicU32>,
    until: u32,
    keyed: bool,
) -> anyhow::Result<PgConnection> {
    let lines = json!([
        {"kind": "TICKETS", "label": "Regular", "quantity": 2, "unitMinor": 100_000,
            "amountMinor": 200_000}
    ]);
    let headers = json!({"content-type": "application/json"});
    loop {
        let pair = next.fetch_add(1, Ordering::Relaxed);
        let seat = i32::try_from(pair * 2)?;
        if pair >= until {
            return Ok(connection);
        }
        // Time-ordered, as ours are.
        let hold_id = Uuid::from_u128(1 << 120 | u128::from(pair));
        let seats = vec![seat, seat + 1];
        let mut transaction = connection.begin().await?;
        let updated = sqlx::query(PLAIN_UPDATE)
            .bind(hold_id)
            .bind(&seats)
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() != 2 {
            bail!("a seat was taken");
        }
        sqlx::query(PLAIN_COUNT)
            .bind(hold_id)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(PLAIN_INSERT)
            .bind(hold_id)
            .bind(&seats)
            .bind(&lines)
            .execute(&mut *transaction)
            .await?;
        if keyed {
            sqlx::query(PLAIN_KEY)
                .bind(hold_id)
                .bind([7_u8; 32])
                .bind(&headers)
                .bind([b'.'; KEPT_ANSWER_BYTES])
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
}

fn sample(pairs: Pairs, took: Duration, used: Duration) -> Sample {
    let count = f64::from(pairs.until - pairs.from);
    Sample {
        per_second: count / took.as_secs_f64(),
        cpu_micros: used.as_secs_f64() * 1e6 / count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_seats_of_its_own() {
        let address = "127.0.0.1:80".parse().unwrap();
        let text =
            |pair, keyed| String::from_utf8(hold_request(address, "/holds", pair, keyed)).unwrap();
        assert!(text(0, false).ends_with(r#"{"seatIds":["R0-1","R0-2"]}"#));
        assert!(text(49, false).ends_with(r#"{"seatIds":["R0-99","R0-100"]}"#));
        assert!(text(50, false).ends_with(r#"{"seatIds":["R1-1","R1-2"]}"#));
        assert!(text(7, true).contains("\r\nIdempotency-Key: 7\r\n"));
    }

    #[test]
    fn the_show_has_seats_enough() {
        let rounds = u32::try_from(ROUNDS).unwrap();
        let holds = WARM_UP_HOLDS + rounds * (HOLDS + KEYED_HOLDS);
        assert!(holds * 2 <= ROWS * SEATS_PER_ROW);
    }
}
