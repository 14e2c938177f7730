//! The archive of events: older events are read, sent and counted as before, and take less room.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Executor;

use crate::fan::Fan;
use crate::test_shop::{Process, TestShop};

/// Events of a block.
const BLOCK: usize = 200;

/// All events after a position, page by page as `ropeline events replay` reads them.
async fn all(process: &Process, mut after: i64, limit: usize, kinds: &str) -> Vec<Value> {
    let operator = Fan::new(process.booking.admin().0);
    let mut events = Vec::new();
    loop {
        let path = format!("/admin/v1/events?after={after}&limit={limit}&types={kinds}");
        let page = operator.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        events.extend(page.json["events"].as_array().unwrap().iter().cloned());
        let (next, head) = (&page.json["next"], &page.json["head"]);
        let (next, head) = (next.as_i64().unwrap(), head.as_i64().unwrap());
        if next <= after || next >= head {
            return events;
        }
        after = next;
    }
}

/// A shop with some bookings, a refund, and more than two blocks of other events after them.
async fn shop() -> TestShop {
    let shop = TestShop::new().await;
    shop.bought(&["A1", "A2"]).await;
    let (_, _, intent) = shop.bought(&["A3"]).await;
    shop.provider.refund_by_hand(&intent, 250_000);
    let body =
        crate::fake_provider::FakeProvider::returned_event("evt_1", "charge.refunded", &intent);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    shop.meddle(
        "insert into outbox (topic, dedupe, payload, created_at)
         select 'show.changed', 'show.changed:1.' || n,
            jsonb_build_object('showNo', 1, 'revision', n), now()
         from generate_series(1000, 1450) n",
    )
    .await;
    shop.settle().await;
    shop
}

async fn archive(shop: &TestShop) -> usize {
    let mut moved = 0;
    loop {
        match shop.process.booking.archive_once().await.unwrap() {
            0 => return moved,
            count => moved += count,
        }
    }
}

/// Rows outside the archive, and blocks in it.
async fn kept(shop: &TestShop) -> (i64, i64) {
    let counts = "select (select count(*) from events), (select count(*) from event_archive)";
    let mut database = shop.database.connect().await;
    sqlx::query_as(counts)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

/// The questions that the check answers with no.
async fn broken(shop: &TestShop) -> Vec<String> {
    let report = shop.process.booking.check().await.unwrap();
    let broken = report.invariants.iter().filter(|it| it.violations > 0);
    broken.map(|it| it.name[..3].to_owned()).collect()
}

async fn sales(process: &Process) -> Value {
    while process.booking.sales_once().await.unwrap() > 0 {}
    let operator = Fan::new(process.booking.admin().0);
    let figures = operator.get("/admin/v1/sales").await.json;
    json!([figures["shows"], figures["categories"]])
}

#[tokio::test]
async fn archived_events_are_read_from_the_first_on_as_if_they_were_not() {
    let shop = shop().await;
    let before = all(&shop.process, 0, 1000, "").await;
    let positions: Vec<i64> = before
        .iter()
        .map(|it| it["position"].as_i64().unwrap())
        .collect();
    assert_eq!(positions, (1..).take(before.len()).collect::<Vec<_>>());
    assert!(before.len() > 2 * BLOCK);
    assert_eq!(archive(&shop).await, 0, "nothing is old");
    shop.clock.advance(Duration::from_hours(24 * 91));
    // Two processes at once: each block moves once.
    let other = shop.another_process().await;
    let (one, two) = tokio::join!(
        shop.process.booking.archive_once(),
        other.booking.archive_once()
    );
    assert!(one.unwrap() + two.unwrap() >= BLOCK);
    archive(&shop).await;
    let loose = i64::try_from(before.len() - 2 * BLOCK).unwrap();
    assert_eq!(kept(&shop).await, (loose, 2));
    shop.assert_clean().await;
    for limit in [1000, 100, 7] {
        assert!(all(&shop.process, 0, limit, "").await == before, "{limit}");
    }
    let last = all(&shop.process, 399, 1, "").await;
    assert!(last[..] == before[399..]);
    for kinds in ["booking.confirmed,refund.made", "show.changed"] {
        let wanted = before
            .iter()
            .filter(|it| kinds.contains(it["type"].as_str().unwrap()));
        let wanted: Vec<Value> = wanted.cloned().collect();
        assert!(!wanted.is_empty());
        for limit in [1, 1000] {
            assert!(
                all(&shop.process, 0, limit, kinds).await == wanted,
                "{kinds} {limit}"
            );
        }
    }
}

#[tokio::test]
async fn an_erased_customer_is_erased_in_the_archive_too() {
    let shop = shop().await;
    shop.clock.advance(Duration::from_hours(24 * 91));
    assert_eq!(archive(&shop).await, 2 * BLOCK);
    let customer = |events: &[Value]| events[0]["data"]["customer"].clone();
    let told = customer(&all(&shop.process, 0, 1000, "booking.confirmed").await);
    assert_eq!(told["email"], "fan@example.com");
    let operator = Fan::new(shop.process.booking.admin().0);
    let erase = json!({"email": "fan@example.com"});
    let erased = operator.post("/admin/v1/events/erase", &erase).await;
    assert_eq!(erased.json["erased"], true);
    let told = customer(&all(&shop.process, 0, 1000, "booking.confirmed").await);
    assert_eq!(
        (&told["erased"], &told["email"]),
        (&json!(true), &Value::Null)
    );
    let mut database = shop.database.connect().await;
    let clear = "select count(*) from event_archive where body::text like '%fan@example%'";
    let clear: i64 = sqlx::query_scalar(clear)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(clear, 0);
}

#[tokio::test]
async fn figures_are_made_again_and_nothing_is_told_twice_after_archiving() {
    let shop = shop().await;
    let figures = sales(&shop.process).await;
    assert_ne!(figures[0], json!([]), "{figures}");
    shop.clock.advance(Duration::from_hours(24 * 91));
    archive(&shop).await;
    shop.meddle(
        "begin; delete from sales_hours; delete from sales_show_hours;
         update event_consumers set position = 0 where name = 'sales-and-gifts'; commit",
    )
    .await;
    assert_eq!(sales(&shop.process).await, figures);
    // The outbox forgets, and brings a row again that the archive has.
    let head = all(&shop.process, 0, 1000, "").await.len();
    shop.meddle(
        "update outbox set position = null where topic in ('booking.confirmed', 'show.changed')",
    )
    .await;
    shop.settle().await;
    assert_eq!(all(&shop.process, 0, 1000, "").await.len(), head);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_log_with_a_gap_is_not_archived_and_is_told() {
    let shop = shop().await;
    shop.meddle("delete from events where position = 150").await;
    shop.clock.advance(Duration::from_hours(24 * 91));
    let error = shop.process.booking.archive_once().await.unwrap_err();
    assert!(format!("{error:?}").contains("missing"), "{error:?}");
    assert!(broken(&shop).await.contains(&"I49".to_owned()));
}

#[tokio::test]
async fn blocks_that_are_lost_or_changed_are_noticed() {
    let shop = shop().await;
    shop.clock.advance(Duration::from_hours(24 * 91));
    archive(&shop).await;
    let mut database = shop.database.connect().await;
    let copies = "create schema saved; create table saved.events as table events;
        create table saved.event_archive as table event_archive;
        create table saved.event_archive_end as table event_archive_end";
    database.execute(copies).await.unwrap();
    for breach in [
        "delete from event_archive where first_position = 1",
        "delete from event_archive where first_position = 201",
        "update event_archive_end set position = 200",
        "delete from events where position = (select max(position) from events)",
    ] {
        shop.assert_clean().await;
        database.execute(breach).await.unwrap();
        let broken = broken(&shop).await;
        assert!(broken.contains(&"I49".to_owned()), "{breach}: {broken:?}");
        let back = "truncate events, event_archive, event_archive_end;
            insert into events table saved.events;
            insert into event_archive table saved.event_archive;
            insert into event_archive_end table saved.event_archive_end";
        database.execute(back).await.unwrap();
    }
    let less = "update event_archive set body = body - 0";
    assert!(
        database.execute(less).await.is_err(),
        "a block without its first event"
    );
}
