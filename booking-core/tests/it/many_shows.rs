//! A catalogue with many shows: starting, following, and what one bad row may not do.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};

use crate::fan::{SHOW, hold_path};
use crate::test_shop::{TestShop, eventually, show_file};

fn numbered(number: usize) -> Value {
    let mut file = show_file();
    file["showId"] = json!(format!("show-{number}"));
    file
}

fn large(seats_per_row: u32) -> Value {
    let mut file = numbered(0);
    file["showId"] = json!("large");
    file["sections"][0]["rows"] = (0..500)
        .map(|row| json!(format!("R{row}S")))
        .collect::<Vec<_>>()
        .into();
    file["sections"][0]["seatsPerRow"] = json!(seats_per_row);
    file
}

#[tokio::test]
async fn a_large_show_is_imported_into_a_database_that_has_stood_for_a_while() {
    let shop = TestShop::new().await;
    for number in 0..40 {
        assert_eq!(shop.import(numbered(number)).await.0, 201);
    }
    // From now on the planner knows that a show has about twenty seats, and nothing of the next.
    let mut connection = shop.database.connect().await;
    for table in ["show_seats", "show_seats_default", "seats", "shows"] {
        let disable = match table {
            "show_seats" => continue,
            other => format!("alter table {other} set (autovacuum_enabled = off)"),
        };
        connection
            .execute(sqlx::AssertSqlSafe(disable))
            .await
            .unwrap();
    }
    connection.execute("analyze").await.unwrap();
    let (status, body) = shop.import(large(100)).await;
    assert_eq!(
        (status, &body["outcome"]),
        (201, &json!("created")),
        "{body}"
    );
    assert_eq!(body["seatCount"], 50_010);
    // It is there when the import is answered, in lists and with its seats.
    let fan = shop.fan();
    let listed = fan.get("/api/v1/shows/large").await.json;
    assert_eq!(listed["availableCount"], 50_009);
    let map = fan.get("/api/v1/shows/large/seatmap").await;
    assert_eq!(map.json["seats"].as_array().map(Vec::len), Some(50_010));
    // Asked again after an answer that was lost, it says what became of the first.
    let (status, body) = shop.import(large(100)).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("unchanged")));
    let mut file = large(100);
    file["title"] = json!("Another title");
    assert_eq!(shop.import(file).await.0, 200);
}

/// Rows of a table that were read since the database began, by whatever plan.
async fn read_of(connection: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(
        "select (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
         from pg_stat_user_tables where relname = $1",
    )
    .bind(table)
    .fetch_one(connection)
    .await
    .unwrap()
}

/// Rows of seats that were read since the database began.
async fn seats_read(connection: &mut PgConnection) -> i64 {
    read_of(connection, "show_seats_default").await
}

/// A connection reports its figures a second after it last did.
async fn seats_read_in_the_end(connection: &mut PgConnection) -> i64 {
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    seats_read(connection).await
}

/// Waits until so many more rows than `before` are said to have been read, or the patience ends.
async fn reported(connection: &mut PgConnection, table: &str, before: i64, more: i64) {
    for _ in 0..100 {
        if read_of(connection, table).await - before >= more {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_hold_reads_no_other_seats_of_a_show_that_the_planner_does_not_know() {
    let shop = TestShop::new().await;
    let mut connection = shop.database.connect().await;
    let disable = "alter table show_seats_default set (autovacuum_enabled = off)";
    connection.execute(disable).await.unwrap();
    connection.execute("analyze").await.unwrap();
    // Often enough for plans to be kept while there are few seats, at each connection.
    for seat in 1..=10 {
        shop.fan().held(&[&format!("A{seat}")]).await;
    }
    assert_eq!(shop.import(large(100)).await.0, 201);
    let hold = async |seat: String| {
        let body = json!({ "seatIds": [seat] });
        let path = "/api/v1/shows/large/holds";
        assert_eq!(shop.fan().post(path, &body).await.status, 201);
    };
    // Reads all seats into memory.
    hold("R0S1".to_owned()).await;
    let before = seats_read_in_the_end(&mut connection).await;
    for row in 1..=20 {
        hold(format!("R{row}S1")).await;
    }
    reported(&mut connection, "show_seats_default", before, 20).await;
    let read = seats_read_in_the_end(&mut connection).await - before;
    assert!((20..2_000).contains(&read), "{read} rows");
}

#[tokio::test]
async fn a_confirmation_reads_no_other_rows_of_tables_that_grew_in_the_rush() {
    const TABLES: [&str; 7] = [
        "show_seats_default",
        "seats",
        "holds",
        "payments",
        "bookings",
        "tickets",
        "shows",
    ];
    let shop = TestShop::new().await;
    let mut connection = shop.database.connect().await;
    for table in TABLES {
        let disable = format!("alter table {table} set (autovacuum_enabled = off)");
        let disable = sqlx::AssertSqlSafe(disable);
        connection.execute(disable).await.unwrap();
    }
    connection.execute("analyze").await.unwrap();
    // Often enough for plans to be kept while there are few rows, at each connection.
    for seat in 1..=10 {
        shop.bought(&[&format!("A{seat}")]).await;
    }
    assert_eq!(shop.import(large(100)).await.0, 201);
    connection.execute(RUSH).await.unwrap();
    let buy = async |seat: String| {
        let fan = shop.fan();
        let body = json!({ "seatIds": [seat] });
        let made = fan.post("/api/v1/shows/large/holds", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let hold = hold_path(&made);
        let intent = fan.intent(&hold).await;
        shop.provider.pay(&intent);
        (fan, hold, intent)
    };
    let mut paid = Vec::new();
    for row in 0..20 {
        paid.push(buy(format!("R{row}S1")).await);
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut before = Vec::new();
    for table in TABLES {
        before.push(read_of(&mut connection, table).await);
    }
    for (fan, hold, intent) in &paid {
        assert_eq!(fan.confirm(hold, intent).await.status, 200);
    }
    reported(&mut connection, "holds", before[2], 20).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let holds = read_of(&mut connection, "holds").await - before[2];
    assert!(holds >= 20, "{holds} rows were read to confirm 20 holds");
    for (table, before) in TABLES.into_iter().zip(before) {
        let read = read_of(&mut connection, table).await - before;
        assert!(read < 1_000, "{read} rows of {table}");
    }
}

/// What a rush leaves behind before the database gathers statistics.
const RUSH: &str = "
    insert into holds (hold_id, show_no, session, limit_owner, status, seat_nos, amount_minor,
        currency, attempt_count, created_at, expires_at, hard_deadline, closed_at)
    select md5(n::text)::uuid, 99, 's', 's', 'EXPIRED', array[n], 100, 'INR', 1, now(), now(), now(),
        now()
    from generate_series(1, 5000) n;
    insert into payments (payment_id, hold_id, attempt_no, provider, idempotency_key, email,
        amount_minor, currency, status, provider_open, next_poll_at, created_at, updated_at)
    select hold_id, hold_id, 1, 'simulator', hold_id::text, 'a@example.com', 100, 'INR', 'FAILED',
        false, now(), now(), now()
    from holds where show_no = 99;";

#[tokio::test]
async fn one_row_that_cannot_be_read_stops_nothing_else() {
    let shop = TestShop::new().await;
    assert_eq!(shop.import(numbered(1)).await.0, 201);
    let mut connection = shop.database.connect().await;
    let spoil = "update shows set venue = '{}' where show_id = 'show-1'";
    connection.execute(spoil).await.unwrap();
    assert_eq!(shop.import(numbered(2)).await.0, 201);
    let other = shop.another_process().await;
    let fan = shop.fan().at(other.router.clone());
    assert_eq!(fan.get("/api/v1/shows/show-1").await.status, 404);
    assert_eq!(fan.get("/api/v1/shows/show-2").await.status, 200);
    // A process that knew it keeps it as it was, and follows the others.
    shop.fan().held(&["A1"]).await;
    other.booking.refresh_once().await.unwrap();
    assert_eq!(fan.get(SHOW).await.json["availableCount"], 18);
    shop.process.booking.refresh_once().await.unwrap();
    assert_eq!(shop.fan().get("/api/v1/shows/show-1").await.status, 200);
    // Seats that cannot be read concern nobody who asks for another show.
    let spoil = "update seats set seat_id = '?' where seat_id = 'A1' and show_no in
        (select show_no from shows where show_id = 'show-2')";
    connection.execute(spoil).await.unwrap();
    assert_eq!(fan.get("/api/v1/shows/show-2/seatmap").await.status, 500);
    assert_eq!(fan.get(&format!("{SHOW}/seatmap")).await.status, 200);
    other.booking.refresh_once().await.unwrap();
}

#[tokio::test]
async fn what_others_sell_is_counted_without_reading_the_seats() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan().at(other.router.clone());
    assert_eq!(fan.get(SHOW).await.json["availableCount"], 19);
    assert_eq!(other.booking.seats_in_memory(), 0);
    shop.fan().held(&["A1", "A2"]).await;
    other.booking.refresh_once().await.unwrap();
    assert_eq!(fan.get(SHOW).await.json["availableCount"], 17);
    assert_eq!(other.booking.seats_in_memory(), 0);
    assert_eq!(fan.seat("A1").await, "HELD");
    assert_eq!(other.booking.seats_in_memory(), 20);
}

#[tokio::test]
async fn a_change_that_is_committed_late_is_not_missed() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan().at(other.router.clone());
    let mut connection = shop.database.connect().await;
    connection
        .execute(
            "begin;
             update show_seats set version = version + 1, status = 'BLOCKED' where seat_no = 3",
        )
        .await
        .unwrap();
    // Later changes are read while the earlier one is still open.
    shop.fan().held(&["A1"]).await;
    other.booking.refresh_once().await.unwrap();
    assert_eq!(fan.get(SHOW).await.json["availableCount"], 18);
    connection.execute("commit").await.unwrap();
    other.booking.refresh_once().await.unwrap();
    assert_eq!(fan.get(SHOW).await.json["availableCount"], 17);
}

#[tokio::test]
async fn the_name_of_a_city_changes_for_all_of_its_shows() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let mut file = numbered(1);
    file["city"]["timeZone"] = json!("Asia/Calcutta");
    assert_eq!(shop.import(file).await.0, 201);
    for process in [&shop.process, &other] {
        process.booking.refresh_once().await.unwrap();
        let fan = shop.fan().at(process.router.clone());
        assert_eq!(fan.get(SHOW).await.json["timeZone"], "Asia/Calcutta");
    }
}

#[tokio::test]
async fn seats_of_few_shows_are_kept_at_a_time() {
    // Test shops keep 60,000 seats.
    let shop = TestShop::new().await;
    assert_eq!(shop.import(large(99)).await.0, 201);
    let mut second = large(99);
    second["showId"] = json!("larger");
    assert_eq!(shop.import(second).await.0, 201);
    let fan = shop.fan();
    for (show, seat, left) in [
        ("large", "A1", 18),
        ("larger", "A2", 17),
        ("large", "A3", 16),
    ] {
        fan.held(&[seat]).await;
        let map = fan.get(&format!("/api/v1/shows/{show}/seatmap")).await;
        assert_eq!(map.status, 200);
        assert!(shop.process.booking.seats_in_memory() <= 60_000);
        // Counted whether its seats were given up or not.
        assert_eq!(fan.get(SHOW).await.json["availableCount"], left);
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn many_shows_are_started_with_soon() {
    let shop = TestShop::new().await;
    assert_eq!(shop.import(numbered(0)).await.0, 201);
    let mut connection = shop.database.connect().await;
    connection.execute(MANY).await.unwrap();
    let before = tokio::time::Instant::now();
    let other = shop.another_process().await;
    let took = before.elapsed();
    assert_eq!(other.booking.all_shows().len(), 1_002);
    assert!(took.as_secs() < 10, "{took:?}");
    assert_eq!(other.booking.seats_in_memory(), 0);
    let fan = shop.fan().at(other.router.clone());
    let shown = fan.get("/api/v1/shows/copy-900").await;
    assert_eq!(shown.json["availableCount"], 200);
    eventually("a change among many is seen", || async {
        other.booking.refresh_once().await.unwrap();
        fan.get("/api/v1/shows/copy-900/seatmap").await.status == 200
    })
    .await;
}

/// A thousand shows of 200 seats, like the first.
const MANY: &str = "
    insert into shows (show_id, city_id, title, description, genre, language, performers, venue,
        starts_at, sale_opens_at, sale_closes_at, room, ticket_limit, hold_seconds, currency,
        content_hash, seat_no_first, seat_count, created_at, updated_at)
    select 'copy-' || n, city_id, title, description, genre, language, performers, venue,
        starts_at, sale_opens_at, sale_closes_at, room, ticket_limit, hold_seconds, currency,
        content_hash, 1, 200, created_at, updated_at
    from shows, generate_series(1, 1000) n where show_id = 'show-0';
    insert into show_categories (show_no, category, ordinal, name, price_minor)
    select show_no, 'PREMIUM', 1, 'Premium', 1000 from shows where show_id like 'copy-%';
    insert into seats (show_no, seat_no, seat_id, section, row_label, number, category, x, y,
        accessible)
    select show_no, n, 'A' || n, 'Front', 'A', n, 'PREMIUM', n, 1, false
    from shows, generate_series(1, 200) n where show_id like 'copy-%';
    insert into show_seats (show_no, seat_no)
    select show_no, n from shows, generate_series(1, 200) n where show_id like 'copy-%';";
