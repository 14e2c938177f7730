//! The SQL side of sales: what a service does that settles one purchase per transaction, on tables
//! made like ours in the same database. It speaks no HTTP and asks no provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgQueryResult};
use sqlx::{Connection as _, Executor as _};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::numbers::{Numbers, sample};
use crate::processes::cpu_time;
use crate::rounds::Sample;
use crate::stage::Stage;

/// Connections of the SQL side.
const CONNECTIONS: u32 = 16;

const TABLES: &str = "
    create schema sales;
    create table sales.seats (like public.show_seats_default including all)
        with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
    create table sales.holds (like public.holds including all) with (fillfactor = 70);
    create table sales.payments (like public.payments including all);
    create table sales.bookings (like public.bookings including all);
    create table sales.tickets (like public.tickets including all);
    create table sales.ledger (like public.ledger including all);
    create table sales.outbox (like public.outbox including all);
    create table sales.counts (like public.owner_ticket_counts including all)
        with (fillfactor = 80);
    create table sales.events (like public.payment_events including all);
    alter table sales.payments add foreign key (hold_id) references sales.holds;
    alter table sales.bookings add foreign key (hold_id) references sales.holds;
    alter table sales.tickets add foreign key (booking_id) references sales.bookings;
    insert into sales.seats (show_no, seat_no) select 1, n from generate_series(0, 199999) n;
    analyze sales.seats;
";
const HOLD_SEATS: &str = "
    update sales.seats set status = 'HELD', hold_id = $1, version = version + 1
    where show_no = 1 and seat_no = any($2) and status = 'AVAILABLE'";
const COUNT_TICKETS: &str = "
    insert into sales.counts as c (show_no, owner, ticket_count) values (1, $1::text, 2)
    on conflict (show_no, owner) do update set ticket_count = c.ticket_count + 2
        where c.ticket_count + 2 <= 10";
const INSERT_HOLD: &str = "
    insert into sales.holds (hold_id, show_no, session, limit_owner, seat_nos, amount_minor,
        currency, attempt_count, payment_open, created_at, expires_at, hard_deadline, price_lines,
        ticket_prices)
    values ($1, 1, $1::text, $1::text, $2, 200000, 'INR', 1, true, now(),
        now() + interval '10 minutes', now() + interval '25 minutes', $3, '{100000,100000}')";
const INSERT_PAYMENT: &str = "
    insert into sales.payments (payment_id, hold_id, attempt_no, provider, intent_id,
        idempotency_key, email, amount_minor, currency, next_poll_at, created_at, updated_at)
    values ($1, $1, 1, 'simulator', $1::text, $1::text, $1::text || '@example.com', 200000, 'INR',
        now(), now(), now())";
const INSERT_WEBHOOK: &str = "
    insert into sales.events (provider, event_id, kind, payload, received_at, next_attempt_at,
        processed_at)
    values ('simulator', 'evt_' || $1::text, 'payment_intent.succeeded', $2, now(), now(), now())";
const PAY: &str = "
    update sales.payments set status = 'SUCCEEDED', provider_open = false, disposition = 'BOOKED',
        captured_minor = amount_minor, captured_currency = currency, updated_at = now()
    where payment_id = $1 and status = 'CREATED'";
const BOOK_SEATS: &str = "
    update sales.seats set status = 'BOOKED', hold_id = null, booking_id = $1,
        version = version + 1
    where show_no = 1 and seat_no = any($2) and hold_id = $1 and status = 'HELD'";
const CLOSE_HOLD: &str = "
    update sales.holds set status = 'CONFIRMED', payment_open = false, closed_at = now()
    where hold_id = $1 and status = 'ACTIVE'";
const INSERT_BOOKING: &str = "
    insert into sales.bookings (booking_id, code, hold_id, show_no, session, limit_owner, email,
        amount_minor, currency, created_at, price_lines)
    values ($1, $1::text, $1, 1, $1::text, $1::text, $1::text || '@example.com', 200000, 'INR',
        now(), (select price_lines from sales.holds where hold_id = $1))";
const INSERT_TICKETS: &str = "
    insert into sales.tickets (ticket_id, booking_id, show_no, seat_no, issued_at, price_minor)
    select t.ticket_id, $1, 1, t.seat_no, now(), 100000
    from unnest($2::uuid[], $3::integer[]) as t (ticket_id, seat_no)";
const INSERT_LEDGER: &str = "
    insert into sales.ledger (transaction_id, account, amount_minor, currency, at)
    values ($1, 'gateway', 200000, 'INR', now()), ($1, 'bookings', -200000, 'INR', now())";
const INSERT_EVENT: &str = "
    insert into sales.outbox (topic, dedupe, payload, created_at)
    values ('booking.confirmed', 'booking.confirmed:' || $1::text,
        jsonb_build_object('bookingId', $1::text), now())";

/// What of a sale is done in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Hold and payment.
    Start,
    /// The booking.
    Confirm,
    /// All of it, and the webhook of the payment.
    Whole,
}

/// Its connections, which stay open over the rounds.
pub(crate) struct PlainSales(Mutex<Vec<PgConnection>>);

impl PlainSales {
    /// Makes the tables.
    pub(crate) async fn prepare(url: &str) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(PgConnection::connect(url).await?);
        }
        let first = connections.first_mut().context("no connection")?;
        first.execute(sqlx::raw_sql(TABLES)).await?;
        Ok(Self(Mutex::new(connections)))
    }

    /// Does a part of the sales with these numbers.
    pub(crate) async fn sell(&self, part: Part, numbers: Numbers) -> anyhow::Result<Sample> {
        let mut connections = self.0.lock().await;
        let used_before = cpu_time(&Stage::postgres_pids());
        let began = Instant::now();
        let next = Arc::new(AtomicU32::new(numbers.from));
        let mut workers = JoinSet::new();
        for connection in connections.drain(..) {
            workers.spawn(sell_until(connection, part, next.clone(), numbers.until));
        }
        while let Some(worker) = workers.join_next().await {
            connections.push(worker??);
        }
        let took = began.elapsed();
        let used = cpu_time(&Stage::postgres_pids()).saturating_sub(used_before);
        Ok(sample(numbers, took, used))
    }
}

async fn sell_until(
    mut connection: PgConnection,
    part: Part,
    next: Arc<AtomicU32>,
    until: u32,
) -> anyhow::Result<PgConnection> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= until {
            return Ok(connection);
        }
        // Time-ordered, as ours are. One id serves for hold, payment and booking.
        let id = Uuid::from_u128(1 << 120 | u128::from(number));
        let seat = i32::try_from(number * 2)?;
        let seats = vec![seat, seat + 1];
        let mut sale = connection.begin().await?;
        if part != Part::Confirm {
            let seated = sqlx::query(HOLD_SEATS).bind(id).bind(&seats);
            touched(&seated.execute(&mut *sale).await?, 2)?;
            let counted = sqlx::query(COUNT_TICKETS).bind(id);
            touched(&counted.execute(&mut *sale).await?, 1)?;
            let hold = sqlx::query(INSERT_HOLD).bind(id).bind(&seats).bind(lines());
            touched(&hold.execute(&mut *sale).await?, 1)?;
            let payment = sqlx::query(INSERT_PAYMENT).bind(id);
            touched(&payment.execute(&mut *sale).await?, 1)?;
        }
        if part == Part::Whole {
            let told = sqlx::query(INSERT_WEBHOOK).bind(id).bind(webhook(number));
            touched(&told.execute(&mut *sale).await?, 1)?;
        }
        if part != Part::Start {
            let paid = sqlx::query(PAY).bind(id);
            touched(&paid.execute(&mut *sale).await?, 1)?;
            let booked = sqlx::query(BOOK_SEATS).bind(id).bind(&seats);
            touched(&booked.execute(&mut *sale).await?, 2)?;
            let closed = sqlx::query(CLOSE_HOLD).bind(id);
            touched(&closed.execute(&mut *sale).await?, 1)?;
            let booking = sqlx::query(INSERT_BOOKING).bind(id);
            touched(&booking.execute(&mut *sale).await?, 1)?;
            let ticket = |nth: u128| Uuid::from_u128(2 << 120 | u128::from(number) << 1 | nth);
            let tickets = sqlx::query(INSERT_TICKETS);
            let tickets = tickets
                .bind(id)
                .bind(vec![ticket(0), ticket(1)])
                .bind(&seats);
            touched(&tickets.execute(&mut *sale).await?, 2)?;
            let entries = sqlx::query(INSERT_LEDGER).bind(id);
            touched(&entries.execute(&mut *sale).await?, 2)?;
            let event = sqlx::query(INSERT_EVENT).bind(id);
            touched(&event.execute(&mut *sale).await?, 1)?;
        }
        sale.commit().await?;
    }
}

/// What two tickets cost, as holds and bookings keep it.
fn lines() -> Value {
    json!([
        {"kind": "TICKETS", "label": "Regular", "quantity": 2, "unitMinor": 100_000,
            "amountMinor": 200_000}
    ])
}

/// A webhook with as much in it as the simulator's.
fn webhook(number: u32) -> Value {
    json!({
        "id": format!("evt_{number}"), "object": "event", "api_version": "2024-06-20",
        "created": 1_790_000_000, "type": "payment_intent.succeeded", "livemode": false,
        "pending_webhooks": 1, "request": {"id": format!("req_{number}"), "idempotency_key": null},
        "data": {"object": {
            "id": format!("pi_{number}"), "object": "payment_intent", "amount": 200_000,
            "amount_capturable": 0, "amount_received": 200_000, "capture_method": "automatic",
            "client_secret": format!("pi_{number}_secret_0123456789abcdef01234567"),
            "confirmation_method": "automatic", "created": 1_790_000_000, "currency": "inr",
            "latest_charge": format!("ch_{number}"), "livemode": false,
            "metadata": {
                "attempt": "1", "hold_id": "hold_0123456789abcdef0123456789abcdef",
                "payment_id": "pay_0123456789abcdef0123456789abcdef",
                "return_url": "http://127.0.0.1:8080/holds/hold_0123456789abcdef0123456789abcdef/\
                    return?payment=pay_0123456789abcdef0123456789abcdef"
            },
            "payment_method": "pm_card_visa", "payment_method_types": ["card"],
            "status": "succeeded"
        }}
    })
}

fn touched(done: &PgQueryResult, rows: u64) -> anyhow::Result<()> {
    if done.rows_affected() != rows {
        bail!("{} rows instead of {rows}", done.rows_affected());
    }
    Ok(())
}
