//! What was sold of a show, for the books of the seller.

use contract::Clock;
use serde_json::{Value, json};

use crate::cancel::bought;
use crate::checkin::{Doors, scan};

const PATH: &str = "/admin/v1/shows/eras-mumbai-1/bookings";

#[tokio::test]
async fn what_was_sold_is_read_page_by_page_with_net_amounts_and_check_in_times() {
    let doors = Doors::open(&["A1", "A2"]).await;
    let (shop, desk) = (&doors.shop, doors.operators());
    let now = shop.clock.now();
    let entered = scan(&doors.tickets[1], 1, "in", now);
    desk.post("/checkin/v1/scans", &entered).await;
    let (_, second, _) = bought(shop, &["B1"]).await;
    let id = second.rsplit('/').next().unwrap();
    let refunded = desk
        .post(&format!("/admin/v1/bookings/{id}/refund"), &json!({}))
        .await;
    assert_eq!(refunded.status, 202, "{}", refunded.text);
    shop.settle().await;

    let all = desk.get(PATH).await;
    assert_eq!(all.status, 200, "{}", all.text);
    assert_eq!(all.json.get("next"), None);
    let [first, last] = all.json["bookings"].as_array().unwrap().as_slice() else {
        panic!("{}", all.text);
    };
    let money = |booking: &Value| {
        ["amountMinor", "refundedMinor", "netMinor"].map(|name| booking[name].as_i64().unwrap())
    };
    assert_eq!(money(first), [500_000, 0, 500_000]);
    assert_eq!(money(last), [100_000, 100_000, 0]);
    let of_ticket = |booking: &Value, at: usize| {
        ["seatId", "category", "status", "priceMinor", "checkedInAt"]
            .map(|name| booking["tickets"][at][name].clone())
    };
    assert_eq!(
        of_ticket(first, 0),
        [
            json!("A1"),
            json!("PREMIUM"),
            json!("ISSUED"),
            json!(250_000),
            json!(null)
        ]
    );
    assert_eq!(
        of_ticket(first, 1),
        [
            json!("A2"),
            json!("PREMIUM"),
            json!("CHECKED_IN"),
            json!(250_000),
            json!(now.to_string())
        ]
    );
    assert_eq!(last["tickets"][0]["status"], "VOID");

    let mut page = desk.get(&format!("{PATH}?limit=1")).await.json;
    assert_eq!(page["bookings"], json!([first]));
    let next = page["next"].as_str().unwrap();
    page = desk.get(&format!("{PATH}?limit=1&after={next}")).await.json;
    assert_eq!(page["bookings"], json!([last]));
    let next = page["next"].as_str().unwrap();
    page = desk.get(&format!("{PATH}?limit=1&after={next}")).await.json;
    assert_eq!(page, json!({ "bookings": [] }));
    for (query, status) in [("?limit=0", 422), ("?limit=501", 422), ("?after=x", 422)] {
        assert_eq!(desk.get(&format!("{PATH}{query}")).await.status, status);
    }
    let unknown = desk.get("/admin/v1/shows/nothing/bookings").await;
    assert_eq!(unknown.status, 404);
}
