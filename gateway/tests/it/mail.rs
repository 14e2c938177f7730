//! A burst of mail while gateway processes die.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, Row};
use test_support::database::TestDatabase;
use test_support::smtp_server::SmtpServer;

use crate::starting::{PROGRAM, Process, TOKEN};

/// Bookings that are made at once.
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
            "rows": (0..20).map(|row| format!("R{row}")).collect::<Vec<_>>()}],
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

/// As many bookings as the burst has, in one transaction.
const BOOKINGS: &str = "begin;
    create temporary table made on commit drop as
        select n, gen_random_uuid() as hold_id, gen_random_uuid() as booking_id, show_no,
            seat_no_first + n::integer - 1 as seat_no
        from shows, generate_series(1, 1000) n;
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
        assert!(began.elapsed() < WAIT_MAX, "not in time: {what}");
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
        server.taken_count() >= BURST && left().await == 0
    })
    .await;
    gateway.stop().await;

    let taken = server.taken();
    let ids: BTreeSet<&str> = taken.iter().map(|message| message_id(message)).collect();
    assert_eq!(ids.len(), BURST, "each of them arrives");
    let doubled = taken.len() - BURST;
    println!("{doubled} of {BURST} came twice, after a kill at {killed_at}");
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
