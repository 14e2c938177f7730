//! Entries that devices kept and upload late, and visitors inside with void tickets.

use std::time::Duration;

use contract::Clock;
use serde_json::{Value, json};

use crate::cancel::admin;
use crate::checkin::{Doors, SHOW, scan, scanner};
use crate::fan::Fan;

async fn scanned(fan: &Fan, body: &Value) -> Value {
    let answer = fan.post("/checkin/v1/scans", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

#[tokio::test]
async fn an_entry_from_within_an_earlier_visit_is_a_conflict() {
    let doors = Doors::open(&["A1"]).await;
    let (shop, ticket) = (&doors.shop, &doors.tickets[0]);
    let south = scanner(shop, "South").await;
    for (no, direction) in [(1, "in"), (2, "out")] {
        let live = scan(ticket, no, direction, shop.clock.now());
        assert_eq!(scanned(&doors.north, &live).await["result"], "ACCEPTED");
        shop.clock.advance(Duration::from_mins(20));
    }
    // 40 minutes ago in, 20 minutes ago out; South let somebody in 30 minutes ago, and before that.
    let now = shop.clock.now();
    let kept = |no: u32, ago: u64| {
        let mut kept = scan(ticket, no, "in", now.minus(Duration::from_mins(ago)));
        kept["admitted"] = json!(true);
        json!({"sentAt": now, "scans": [kept]})
    };
    let within = scanned(&south, &kept(3, 30)).await;
    assert_eq!(within["scans"][0]["result"], "DUPLICATE", "{within}");
    assert_eq!(within["scans"][0]["earlier"]["gate"], "North");
    let conflicts = doors
        .operators()
        .get(&format!("{SHOW}/conflicts"))
        .await
        .json;
    assert_eq!(
        conflicts["conflicts"].as_array().unwrap().len(),
        1,
        "{conflicts}"
    );
    assert_eq!(conflicts["conflicts"][0]["admitted"], true);
    // The visitor of North comes back, which South's entry does not keep them from.
    let again = scan(ticket, 4, "in", now);
    assert_eq!(scanned(&doors.north, &again).await["result"], "ACCEPTED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_entry_after_the_exit_is_an_entry() {
    let doors = Doors::open(&["A1"]).await;
    let (shop, ticket) = (&doors.shop, &doors.tickets[0]);
    for (no, direction) in [(1, "in"), (2, "out")] {
        let live = scan(ticket, no, direction, shop.clock.now());
        assert_eq!(scanned(&doors.north, &live).await["result"], "ACCEPTED");
        shop.clock.advance(Duration::from_mins(20));
    }
    let now = shop.clock.now();
    let mut kept = scan(ticket, 3, "in", now.minus(Duration::from_mins(10)));
    kept["admitted"] = json!(true);
    let sent = scanned(&doors.north, &json!({"sentAt": now, "scans": [kept]})).await;
    assert_eq!(sent["scans"][0]["result"], "ACCEPTED", "{sent}");
    shop.assert_clean().await;
}

#[tokio::test]
async fn who_is_inside_with_a_cancelled_ticket_is_listed_until_they_leave() {
    let doors = Doors::open(&["A1", "A2"]).await;
    let (shop, ticket) = (&doors.shop, &doors.tickets[0]);
    let entry = scan(ticket, 1, "in", shop.clock.now());
    assert_eq!(scanned(&doors.north, &entry).await["result"], "ACCEPTED");
    let desk = admin(shop);
    let found = desk.get("/admin/v1/bookings?show=eras-mumbai-1").await.json;
    let id = found["bookings"][0]["bookingId"].as_str().unwrap();
    let path = format!("/admin/v1/bookings/{id}/refund");
    assert_eq!(
        desk.post(&path, &json!({})).await.json["rule"],
        "checked-in"
    );
    let done = desk.post(&path, &json!({"evenUsed": true})).await;
    assert_eq!(done.status, 202, "{}", done.text);
    let listed = || async {
        let list = doors.north.get(&format!("{SHOW}/conflicts")).await.json;
        list["insideVoid"].clone()
    };
    let inside = listed().await;
    assert_eq!(inside.as_array().unwrap().len(), 1, "{inside}");
    assert_eq!(
        (&inside[0]["seatId"], &inside[0]["entry"]["gate"]),
        (&json!("A1"), &json!("North"))
    );
    let exit = scan(ticket, 2, "out", shop.clock.now());
    assert_eq!(scanned(&doors.north, &exit).await["result"], "ACCEPTED");
    assert_eq!(listed().await, json!([]));
    shop.settle().await;
    shop.assert_clean().await;
}
