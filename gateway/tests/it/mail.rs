//! A burst of mail while gateway processes die.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, Row};
use test_support::database::TestDatabase;
use test_support::smtp_server::SmtpServer;

use crate::starting::{PROGRAM, Process, TOKEN};

/// Bookings that are made at once, unless `BURST` says otherwise: a multiple of 50.
const BURST: usize = 1_000;
/// Messages that a gateway sends at the same time.
const AT_ONCE: usize = 8;
/// Longest wait for a part of the burst.
const WAIT_MAX: Duration = Duration::from_mins(2);

async fn import(process: &Process) {
    let show = json!({
        "showId": "burst",
        "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
        "title": "Burst", "venue": {"name": "Hall", "address": "Here"},
        "startsAt": "2035-12-24T14:00:00Z", "currency": "INR",
        "categories": [{"category": "A", "name": "A", "priceMinor": 100_000}],
        "sections": [{"name": "Stalls", "category": "A", "seatsPerRow": 50,
            "rows": (0..burst() / 50).map(|row| format!("R{row}")).collect::<Vec<_>>()}],
    });
    let ops = process.announced().unwrap()["opsUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let imported = reqwest::Client::new()
        .post(format!("{ops}/admin/v1/shows"))
        .bearer_auth(TOKEN)
        .json(&show)
        .send()
        .await
        .unwrap();
    assert_eq!(imported.status(), 201);
}

#[expect(clippy::disallowed_methods, reason = "only a run by hand sets it")]
fn burst() -> usize {
    let wanted = std::env::var("BURST").ok();
    wanted.map_or(BURST, |wanted| wanted.parse().expect("a number"))
}

/// As many bookings as there are seats, in one transaction.
const BOOKINGS: &str = "begin;
    create temporary table made on commit drop as
        select n, gen_random_uuid() as hold_id, gen_random_uuid() as booking_id, show_no,
            seat_no_first + n::integer - 1 as seat_no
        from shows, generate_series(1, seat_count) n;
    insert into holds (hold_id, show_no, session, limit_owner, status, seat_nos, amount_minor,
        currency, created_at, expires_at, hard_deadline, closed_at)
    select hold_id, show_no, 's' || n, 's' || n, 'CONFIRMED', array[seat_no], 100000, 'INR',
        now(), now(), now(), now() from made;
    insert into bookings (booking_id, code, hold_id, show_no, session, limit_owner, email,
        amount_minor, currency, created_at)
    select booking_id, 'CODE' || n, hold_id, show_no, 's' || n, 's' || n,
        'fan' || n || '@example.com', 100000, 'INR', now() from made;
    insert into tickets (ticket_id, booking_id, show_no, seat_no, issued_at)
    select gen_random_uuid(), booking_id, show_no, seat_no, now() from made;
    insert into outbox (topic, dedupe, payload, created_at)
    select 'booking.confirmed', 'booking.confirmed:' || booking_id, '{}', now() from made;
    commit;";

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !is_so().await {
        let wait_max = WAIT_MAX * u32::try_from(burst().div_ceil(BURST)).unwrap();
        assert!(began.elapsed() < wait_max, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn message_id(message: &str) -> &str {
    let line = message.lines().find(|line| line.starts_with("Message-ID:"));
    line.unwrap()
}

#[tokio::test]
async fn a_burst_arrives_once_each_while_a_gateway_is_killed() {
    let database = TestDatabase::create().await;
    let server = SmtpServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let url = server.url();
    let settings = [
        "--smtp-url",
        &url,
        "--mail-from",
        "Tickets <tickets@shop.example>",
    ];
    let start = || Process::start(Path::new(PROGRAM), home.path(), &database, &settings);
    let mut gateway = start();
    gateway.becomes_ready().await;
    import(&gateway).await;
    let mut connection = database.connect().await;
    connection.execute(BOOKINGS).await.unwrap();
    let began = tokio::time::Instant::now();

    until("a part of the burst", async || server.taken_count() > 200).await;
    gateway.kill().await;
    let killed_at = server.taken_count();
    let mut gateway = start();
    gateway.becomes_ready().await;
    // Their holder is dead; nobody waits here for the end of its lease.
    let due = "update notices set next_attempt_at = now() where status = 'DUE'";
    connection.execute(due).await.unwrap();
    until("more of the burst", async || {
        server.taken_count() > killed_at + 200
    })
    .await;
    // One that is stopped doubles nothing.
    gateway.stop().await;
    let mut gateway = start();
    gateway.becomes_ready().await;
    let mut left = async || {
        let open = "select count(*) from notices where status <> 'SENT'";
        let row = sqlx::query(open).fetch_one(&mut connection).await.unwrap();
        row.get::<i64, _>(0)
    };
    until("the whole burst", async || {
        server.taken_count() >= burst() && left().await == 0
    })
    .await;
    let took = began.elapsed();
    gateway.stop().await;

    let taken = server.taken();
    let ids: BTreeSet<&str> = taken.iter().map(|message| message_id(message)).collect();
    assert_eq!(ids.len(), burst(), "each of them arrives");
    let doubled = taken.len() - burst();
    println!(
        "{} in {took:?}, {doubled} of them twice, after a kill at {killed_at} and two more starts",
        burst()
    );
    assert!(doubled <= AT_ONCE, "{doubled} came twice");
    connection.close().await.unwrap();
}

/// The settings of mail, as a check and as a start find them.
#[tokio::test]
async fn what_a_start_finds_wrong_with_mail_a_check_finds() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(PROGRAM)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("ROPELINE_SMTP_URL", "smtp://me:hush@mail.example")
            .env("ROPELINE_MAIL_FROM", "nobody")
            .current_dir(home.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
        String::from_utf8(output.stderr).unwrap()
    };
    let (started, checked) = (run(&[]), run(&["config", "check"]));
    assert_eq!(started, checked);
    for named in [
        "ROPELINE_SMTP_URL: ",
        "without TLS",
        "ROPELINE_MAIL_FROM: `nobody`",
    ] {
        assert!(
            checked.contains(named),
            "{named} is missing from: {checked}"
        );
    }
    assert!(!checked.contains("hush"), "{checked}");
}

/// Calls an operators' path, with `body` if it is a POST.
async fn operates(process: &Process, path: &str, body: &serde_json::Value) {
    let ops = process.announced().unwrap()["opsUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = reqwest::Client::new()
        .post(format!("{ops}/admin/v1/rooms{path}"))
        .bearer_auth(TOKEN)
        .json(body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {text}");
}

fn public(process: &Process, path: &str) -> String {
    let announced = process.announced().unwrap();
    let url = announced["listenUrl"].as_str().unwrap();
    format!("{url}/_line/v1/{path}")
}

#[tokio::test]
async fn a_called_fan_who_asked_is_mailed_though_every_gateway_dies_meanwhile() {
    let database = TestDatabase::create().await;
    let server = SmtpServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let url = server.url();
    let settings = [
        "--smtp-url",
        &url,
        "--mail-from",
        "Tickets <tickets@shop.example>",
    ];
    let start = || Process::start(Path::new(PROGRAM), home.path(), &database, &settings);
    let mut gateway = start();
    gateway.becomes_ready().await;
    let room = json!({
        "room": "big", "title": "Big Night", "paths": ["/shows"], "queueAll": true,
        "newUsersPerMinute": 600, "opensAt": "2026-01-01T00:00:00Z",
    });
    operates(&gateway, "", &room).await;
    operates(&gateway, "/big/pause", &json!({"reason": "soon"})).await;
    let http = reqwest::Client::new();
    let nonce = json!({"nonce": "AAAAAAAAAAAAAAAAAAAAAA"});
    let mut place = String::new();
    until("a place", async || {
        let joined = http.post(public(&gateway, "rooms/big/places")).json(&nonce);
        let joined: serde_json::Value = joined.send().await.unwrap().json().await.unwrap();
        place = joined["place"].as_str().unwrap_or_default().to_owned();
        !place.is_empty()
    })
    .await;
    let asks = async |gateway: &Process, wanted: serde_json::Value, place: &str| {
        let asked = http
            .put(public(gateway, "rooms/big/place/notice"))
            .bearer_auth(place)
            .header("accept-language", "de")
            .json(&wanted);
        asked.send().await.unwrap().status().as_u16()
    };
    let wanted = json!({"email": "fan@example.com"});
    assert_eq!(asks(&gateway, wanted.clone(), "nobody").await, 401);
    assert_eq!(asks(&gateway, json!({"email": "fan"}), &place).await, 422);
    assert_eq!(asks(&gateway, wanted, &place).await, 204);
    let key = http.get(public(&gateway, "push-key")).send().await.unwrap();
    let key: serde_json::Value = key.json().await.unwrap();
    assert_eq!(key["key"].as_str().unwrap().len(), 87);

    gateway.kill().await;
    let mut gateway = start();
    gateway.becomes_ready().await;
    operates(&gateway, "/big/resume", &json!({})).await;
    // The fan's page looks again, as it does when its gateway is gone.
    let mut called = async || {
        let looked = http
            .get(public(&gateway, "rooms/big/place"))
            .bearer_auth(&place);
        let status: serde_json::Value = looked.send().await.unwrap().json().await.unwrap();
        status["state"] == "called"
    };
    until("the call", &mut called).await;
    until("the mail", async || server.taken_count() == 1).await;
    let taken = server.taken();
    assert!(taken[0].contains("Sie sind an der Reihe"), "{}", taken[0]);
    assert!(taken[0].contains("To: fan@example.com"), "{}", taken[0]);
    gateway.stop().await;
}
