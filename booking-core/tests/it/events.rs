//! The log of events: what it says, in which order, and that nothing is missing.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::cancel::with_policy;
use crate::check::violated;
use crate::fan::{Answer, Fan};
use crate::test_shop::{Process, TestShop};

/// The operator's view of the log after a position.
async fn read(process: &Process, query: &str) -> Answer {
    let operator = Fan::new(process.booking.admin().0);
    operator.get(&format!("/admin/v1/events?{query}")).await
}

/// All events of a kind.
async fn of_kind(shop: &TestShop, kind: &str) -> Vec<Value> {
    let answer = read(&shop.process, &format!("types={kind}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn events_tell_all_of_a_booking_and_of_its_end() {
    let shop = TestShop::with(with_policy(
        json!({"freeUntilHours": 0, "keptFeeMinor": 5_000}),
    ))
    .await;
    let (fan, booked, _) = shop.bought(&["A1", "A2"]).await;
    let id = booked["bookingId"].as_str().unwrap();
    shop.settle().await;
    let confirmed = of_kind(&shop, "booking.confirmed").await;
    assert_eq!(confirmed.len(), 1);
    let event = &confirmed[0];
    assert_eq!(event["type"], "booking.confirmed");
    assert_eq!(event["version"], 1);
    assert!(event["id"].as_str().unwrap().starts_with("evt_"));
    let data = &event["data"];
    assert_eq!(data["bookingId"], id);
    assert_eq!(data["code"], booked["code"]);
    assert_eq!(data["amountMinor"], booked["amountMinor"]);
    assert_eq!(data["currency"], booked["currency"]);
    assert_eq!(data["bookedAt"], event["timestamp"]);
    assert_eq!(data["customer"]["email"], "fan@example.com");
    assert!(
        data["customer"]["ref"]
            .as_str()
            .unwrap()
            .starts_with("cus_")
    );
    assert_eq!(data["show"]["title"], "The Eras Tour");
    assert_eq!(data["show"]["startsAt"], "2026-12-24T14:00:00.000Z");
    assert_eq!(data["tickets"].as_array().unwrap().len(), 2);
    assert_eq!(data["tickets"][1]["seatId"], "A2");
    assert_eq!(
        data["tickets"][1]["ticketId"],
        booked["tickets"][1]["ticketId"]
    );
    let prices: i64 = [0, 1]
        .map(|n| data["tickets"][n]["priceMinor"].as_i64().unwrap())
        .iter()
        .sum();
    assert_eq!(json!(prices), booked["amountMinor"]);

    let body = json!({ "ticketIds": [booked["tickets"][0]["ticketId"]] });
    let cancelled = fan
        .post(&format!("/api/v1/bookings/{id}/cancel"), &body)
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    shop.settle().await;
    let told = of_kind(&shop, "tickets.cancelled").await;
    assert_eq!(told[0]["data"]["refundId"], cancelled.json["refundId"]);
    assert_eq!(told[0]["data"]["tickets"].as_array().unwrap().len(), 1);
    assert_eq!(told[0]["data"]["keptMinor"], 5_000);
    let made = of_kind(&shop, "refund.made").await;
    assert_eq!(made[0]["data"]["bookingId"], id);
    assert_eq!(
        made[0]["data"]["amountMinor"],
        cancelled.json["amountMinor"]
    );
    assert_eq!(made[0]["data"]["customer"], data["customer"]);
    assert_eq!(of_kind(&shop, "show.imported").await.len(), 1);
    assert_eq!(of_kind(&shop, "booking.cancelled").await.len(), 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn codes_and_links_are_told_to_their_fans_alone() {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let (fan, booked, _) = shop.bought(&["A1"]).await;
    let id = booked["bookingId"].as_str().unwrap();
    let asked = fan
        .post(&format!("/api/v1/bookings/{id}/codes"), &json!({}))
        .await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    shop.settle().await;
    let all = read(&shop.process, "").await;
    let kinds: Vec<&str> = all.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["show.imported", "booking.confirmed"]);
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_commits_late_comes_after_what_was_read() {
    let shop = TestShop::new().await;
    let booking = &shop.process.booking;
    booking.sequence_once().await.unwrap();
    let start = read(&shop.process, "").await.json["next"].clone();
    let (mut late, mut early) = (shop.database.connect().await, shop.database.connect().await);
    late.execute("begin").await.unwrap();
    late.execute(AssertSqlSafe(said(1))).await.unwrap();
    early.execute(AssertSqlSafe(said(2))).await.unwrap();
    assert_eq!(booking.sequence_once().await.unwrap(), 1);
    let seen = read(&shop.process, &format!("after={start}")).await;
    assert_eq!(numbers(&seen.json), [2]);
    late.execute("commit").await.unwrap();
    assert_eq!(booking.sequence_once().await.unwrap(), 1);
    let next = seen.json["next"].clone();
    let rest = read(&shop.process, &format!("after={next}")).await;
    assert_eq!(numbers(&rest.json), [1]);
    assert_eq!(rest.json["next"], rest.json["head"]);
    for connection in [late, early] {
        connection.close().await.unwrap();
    }
}

/// A row of the outbox as a change of a show writes it.
fn said(number: i32) -> String {
    format!(
        "insert into outbox (topic, dedupe, payload, created_at)
         values ('show.changed', 'show.changed:test.{number}',
            jsonb_build_object('showNo', 0, 'number', {number}), now())"
    )
}

fn numbers(page: &Value) -> Vec<i64> {
    let events = page["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["data"]["number"].as_i64().unwrap())
        .collect()
}

/// Writers whose commits come in any order, two processes that sequence, and a reader who reads on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_in_any_order_and_two_sequencers_lose_and_double_nothing() {
    const WRITERS: i32 = 8;
    const EACH: i32 = 40;
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    shop.process.booking.sequence_once().await.unwrap();
    let mut after = read(&shop.process, "").await.json["next"].as_i64().unwrap();
    let begin = after;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let mut connection = shop.database.connect().await;
        writers.spawn(async move {
            for n in 0..EACH {
                connection.execute("begin").await.unwrap();
                connection
                    .execute(AssertSqlSafe(said(writer * EACH + n)))
                    .await
                    .unwrap();
                // Spread over 0 to 20 ms, so that later ids commit before earlier ones.
                let pause = (writer * 7 + n * 13) % 21;
                connection
                    .execute(AssertSqlSafe(format!(
                        "select pg_sleep({pause}::float8 / 1000)"
                    )))
                    .await
                    .unwrap();
                connection.execute("commit").await.unwrap();
            }
            connection.close().await.unwrap();
        });
    }
    let mut seen = Vec::new();
    let mut writing = true;
    loop {
        let (here, there) = tokio::join!(
            shop.process.booking.sequence_once(),
            other.booking.sequence_once()
        );
        let moved = here.unwrap() + there.unwrap();
        let page = read(&other, &format!("after={after}&limit=1000"))
            .await
            .json;
        for event in page["events"].as_array().unwrap() {
            seen.push((
                event["position"].as_i64().unwrap(),
                event["data"]["number"].as_i64().unwrap(),
            ));
        }
        after = page["next"].as_i64().unwrap();
        if !writing && moved == 0 {
            break;
        }
        while writers.try_join_next().is_some() {}
        writing = !writers.is_empty();
    }
    let count = i64::from(WRITERS * EACH);
    let positions: Vec<i64> = seen.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, (begin + 1..=begin + count).collect::<Vec<_>>());
    let mut written: Vec<i64> = seen.iter().map(|(_, number)| *number).collect();
    // The test is worth something only if commits came out of order.
    assert!(!written.is_sorted());
    written.sort_unstable();
    assert_eq!(written, (0..count).collect::<Vec<_>>());
    // Each writer's own events stay in its order.
    let mut last = HashMap::new();
    for (_, number) in &seen {
        let before = last.insert(number / i64::from(EACH), *number);
        assert!(before.is_none_or(|before| before < *number));
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_sequencer_that_dies_leaves_neither_gap_nor_repeat() {
    let shop = TestShop::new().await;
    shop.bought(&["A1"]).await;
    let mut database = shop.database.connect().await;
    // Another process has the end of the log and dies before it commits.
    database
        .execute("begin; update event_head set position = position + 5")
        .await
        .unwrap();
    assert_eq!(shop.process.booking.sequence_once().await.unwrap(), 0);
    database.execute("rollback").await.unwrap();
    database.close().await.unwrap();
    shop.settle().await;
    let all = read(&shop.process, "").await.json;
    assert_eq!(all["head"], 2);
    assert_eq!(all["events"].as_array().unwrap().len(), 2);
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_erased_customer_is_in_no_event_any_more() {
    let shop = TestShop::new().await;
    let (fan, ..) = shop.bought(&["A1"]).await;
    shop.settle().await;
    let erase = async |email: &str| {
        let operator = Fan::new(shop.process.booking.admin().0);
        let answer = operator
            .post("/admin/v1/events/erase", &json!({ "email": email }))
            .await;
        (answer.status, answer.json["erased"].clone())
    };
    assert_eq!(erase("not an address").await.0, 422);
    assert_eq!(erase("other@example.com").await, (200, json!(false)));
    assert_eq!(erase("Fan@Example.com").await, (200, json!(true)));
    let first = &of_kind(&shop, "booking.confirmed").await[0]["data"]["customer"];
    assert_eq!(first["erased"], true);
    assert_eq!(first["email"], Value::Null);
    // Nothing of the address is left in the log.
    let mut database = shop.database.connect().await;
    let left: i64 = sqlx::query("select count(*) from events e where e::text like '%example.com%'")
        .fetch_one(&mut database)
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);
    database.close().await.unwrap();
    // Who comes back is somebody else.
    let hold = fan.held(&["A2"]).await;
    let intent = fan.intent(&hold).await;
    shop.sells(&fan, &hold, &intent).await;
    let again = of_kind(&shop, "booking.confirmed").await;
    assert_eq!(again[1]["data"]["customer"]["email"], "fan@example.com");
    assert_ne!(again[1]["data"]["customer"]["ref"], first["ref"]);
    assert_eq!(again[0]["data"]["customer"]["erased"], true);
}

#[tokio::test]
async fn nothing_is_purged_before_it_is_in_the_log() {
    let shop = TestShop::new().await;
    shop.bought(&["A1"]).await;
    let booking = &shop.process.booking;
    while booking.collect_notices_once().await.unwrap() > 0 {}
    // A notice that nobody sends for days is a breach of its own.
    while booking.mail_once().await.unwrap() > 0 {}
    shop.clock.advance(Duration::from_hours(40 * 24));
    let rows = async || {
        let mut database: PgConnection = shop.database.connect().await;
        let count: i64 = sqlx::query("select count(*) from outbox")
            .fetch_one(&mut database)
            .await
            .unwrap()
            .get(0);
        database.close().await.unwrap();
        count
    };
    while booking.purge_once().await.unwrap() > 0 {}
    assert_eq!(rows().await, 2);
    booking.sequence_once().await.unwrap();
    while booking.purge_once().await.unwrap() > 0 {}
    assert_eq!(rows().await, 0);
    // The log keeps them.
    assert_eq!(of_kind(&shop, "booking.confirmed").await.len(), 1);
    shop.assert_clean().await;
}

#[tokio::test]
async fn every_breach_of_the_log_is_noticed() {
    let shop = crate::check::shop().await;
    shop.clock.advance(Duration::from_secs(40));
    shop.settle().await;
    shop.assert_clean().await;
    for (breach, names) in [
        (
            "delete from events where kind = 'booking.confirmed'",
            "I48 I49 I51",
        ),
        (
            "update events set dedupe = 'x' where kind = 'booking.confirmed'",
            "I48 I51",
        ),
        ("update event_head set position = position + 1", "I49"),
        ("delete from events where position = 1", "I49 I51"),
        (
            "update events set position = 0 where position = 1",
            "I49 I51",
        ),
        ("update event_consumers set position = 1000", "I50"),
        (
            "insert into event_subscriptions (subscription_id, url, description, kinds, secrets,
                position, created_at, updated_at)
             values ('00000000-0000-0000-0000-000000000001', 'https://x.example', '', '{}',
                '[{}]', 1, now(), now());
             insert into event_deliveries (subscription_id, position, next_attempt_at, due_since,
                created_at)
             values ('00000000-0000-0000-0000-000000000001', 2, now(), now(), now())",
            "I50",
        ),
        ("update outbox set position = 1 where position > 1", "I51"),
    ] {
        assert_eq!(violated(&shop, breach).await, names, "{breach}");
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn questions_about_events_that_make_no_sense_are_refused() {
    let shop = TestShop::new().await;
    for query in [
        "after=-1",
        "limit=0",
        "limit=1001",
        "types=code.asked",
        "after=x",
    ] {
        let answer = read(&shop.process, query).await;
        assert_eq!(answer.status, 422, "{query}: {}", answer.text);
    }
    let empty = read(&shop.process, "after=99&limit=5").await;
    assert_eq!((empty.status, &empty.json["next"]), (200, &json!(0)));
}

#[tokio::test]
async fn sales_add_up_to_what_was_paid_and_came_back() {
    let shop = TestShop::with(with_policy(
        json!({"freeUntilHours": 0, "keptFeeMinor": 5_000}),
    ))
    .await;
    let (fan, booked, _) = shop.bought(&["A1", "A2"]).await;
    shop.bought(&["A3"]).await;
    let id = booked["bookingId"].as_str().unwrap();
    let body = json!({ "ticketIds": [booked["tickets"][0]["ticketId"]] });
    let cancelled = fan
        .post(&format!("/api/v1/bookings/{id}/cancel"), &body)
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    shop.settle().await;
    let other = shop.another_process().await;
    loop {
        // Two processes at once count nothing twice.
        let (here, there) = tokio::join!(
            shop.process.booking.sales_once(),
            other.booking.sales_once()
        );
        if here.unwrap() + there.unwrap() == 0 {
            break;
        }
    }
    let sales = async |query: &str| {
        let operator = Fan::new(shop.process.booking.admin().0);
        let answer = operator.get(&format!("/admin/v1/sales{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    };
    let figures = sales("").await;
    let price = booked["amountMinor"].as_i64().unwrap() / 2;
    let of_show = &figures["shows"][0];
    assert_eq!(
        (&of_show["bookings"], &of_show["bookedMinor"]),
        (&json!(2), &json!(price * 3))
    );
    assert_eq!(
        (&of_show["refundedMinor"], &of_show["keptMinor"]),
        (&json!(price - 5_000), &json!(5_000))
    );
    assert_eq!(of_show["netMinor"], price * 2 + 5_000);
    let category = &figures["categories"][0];
    assert_eq!(
        (&category["ticketsSold"], &category["ticketsCancelled"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(
        (&category["soldMinor"], &category["netMinor"]),
        (&json!(price * 3), &json!(price * 2))
    );
    assert_eq!(category["hour"], Value::Null);
    assert!(
        sales("?hourly=true").await["categories"][0]["hour"]
            .as_str()
            .unwrap()
            .ends_with(":00:00.000Z")
    );
    assert_eq!(sales("?show=elsewhere").await["shows"], json!([]));
    // The overview says the same, with the seats and the last hours.
    let overview = sales("/overview").await;
    let told = &overview["shows"][0];
    for name in ["refundedMinor", "netMinor"] {
        assert_eq!(told[name], of_show[name], "{name}");
    }
    assert_eq!(told["grossMinor"], of_show["bookedMinor"]);
    let hours: Vec<i64> = serde_json::from_value(told["hours"].clone()).unwrap();
    assert_eq!((hours.len(), hours.iter().sum::<i64>()), (24, 3));
    let seats = ["sold", "held", "free", "comp"].map(|name| told[name].as_i64().unwrap());
    assert_eq!(seats, [2, 0, 17, 0]);
    shop.assert_clean().await;
    // A program that counts gifts as sold takes events as another consumer, which there is no more.
    let older = "select count(*) from event_consumers where name = 'sales'";
    assert_eq!(shop.count(older).await, 0);
    // The figures can be made again from the first event.
    shop.meddle(
        "delete from sales_hours; delete from sales_show_hours;
        update event_consumers set position = 0 where name = 'sales-and-gifts'",
    )
    .await;
    while other.booking.sales_once().await.unwrap() > 0 {}
    let again = sales("").await;
    assert_eq!(
        (&again["shows"], &again["categories"]),
        (&figures["shows"], &figures["categories"])
    );
}
