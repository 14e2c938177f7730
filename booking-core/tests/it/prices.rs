//! Ticket types, fees and taxes: from the show file to the share that goes back.

use serde_json::{Value, json};

use crate::fan::{Answer, Fan, SHOW, hold_path};
use crate::test_shop::{TestShop, show_file};

/// Premium for adults, children and babies; 5 % and 30.00 for each ticket and 50.00 once for a
/// booking; 18 % on the fees are added, 12 % are in the prices.
pub(crate) fn priced() -> Value {
    let mut file = show_file();
    file["categories"][0]["ticketTypes"] = json!([
        {"type": "ADULT", "name": "Adult", "priceMinor": 250_000},
        {"type": "CHILD", "name": "Child", "priceMinor": 99_999},
        {"type": "BABY", "name": "Baby", "priceMinor": 0}
    ]);
    file["fees"] = json!([
        {"name": "Service", "per": "ticket", "percent": 5},
        {"name": "Upkeep", "per": "ticket", "amountMinor": 3_000},
        {"name": "Order", "per": "booking", "amountMinor": 5_000}
    ]);
    file["taxes"] = json!([
        {"name": "GST", "percent": 18, "included": false, "on": "fees"},
        {"name": "Entertainment tax", "percent": 12, "included": true, "on": "tickets"}
    ]);
    file["refundPolicy"] = json!({"freeUntilHours": 0});
    file
}

/// An adult: 2,500.00, fees of 125.00 and 30.00, and 27.90 on them.
const ADULT: i64 = 250_000 + 12_500 + 3_000 + 2_790;
/// A child: 999.99, fees of 50.00 and 30.00, and 14.40 on them.
const CHILD: i64 = 99_999 + 5_000 + 3_000 + 1_440;
/// Once: 50.00, and 9.00 on it.
const ONCE: i64 = 5_900;

async fn holds(fan: &Fan, body: Value) -> Answer {
    fan.post(&format!("{SHOW}/holds"), &body).await
}

fn line<'a>(of: &'a Value, name: &str) -> &'a Value {
    let mut lines = of["lines"].as_array().unwrap().iter();
    lines.find(|line| line["name"] == name).unwrap()
}

fn sum(of: &Value, of_one: &str) -> i64 {
    let all = of.as_array().unwrap().iter();
    let counted = all.filter(|one| one["included"] != true);
    counted.map(|one| one[of_one].as_i64().unwrap()).sum()
}

#[tokio::test]
async fn the_price_shown_first_is_what_one_ticket_costs() {
    let shop = TestShop::with(priced()).await;
    let fan = shop.fan();
    let seen = fan.get(SHOW).await.json;
    let premium = &seen["categories"][0];
    assert_eq!(premium["priceMinor"], ADULT + ONCE);
    assert_eq!(premium["ticketTypes"][1]["priceMinor"], CHILD + ONCE);
    assert_eq!(seen["bookingFeeMinor"], ONCE);
    assert_eq!(seen["fees"].as_array().unwrap().len(), 3);
    let map = fan.get(&format!("{SHOW}/seatmap")).await.json;
    assert_eq!(map["seats"][0]["priceMinor"], ADULT + ONCE);
    let compact = fan.get(&format!("{SHOW}/seatmap/compact")).await.json;
    assert_eq!(compact["runs"][0]["priceMinor"], ADULT + ONCE);
    let one = holds(&fan, json!({"seatIds": ["A1"]})).await.json;
    assert_eq!(one["amountMinor"], ADULT + ONCE);
    let page = fan.get("/shows/eras-mumbai-1").await.text;
    assert!(
        page.contains("₹2,741.90") && page.contains("Service (5 % of the ticket)"),
        "{page}"
    );
}

#[tokio::test]
async fn types_are_held_paid_and_go_back_by_their_share() {
    let shop = TestShop::with(priced()).await;
    let fan = shop.fan();
    // In the order of the seats as they are named.
    let body = json!({"seatIds": ["A3", "A1", "A2"], "ticketTypes": ["CHILD", null, "BABY"]});
    let hold = holds(&fan, body).await;
    assert_eq!(hold.status, 201, "{}", hold.text);
    let path = hold_path(&hold);
    let hold = fan.get(&path).await.json;
    assert_eq!(hold["tickets"][0]["ticketType"], "ADULT");
    assert_eq!(hold["tickets"][1]["ticketType"], "BABY");
    assert_eq!(hold["tickets"][2]["ticketType"], "CHILD");
    let amount = ADULT + CHILD + (3_000 + 540) + ONCE;
    assert_eq!(hold["amountMinor"], amount, "{hold}");
    assert_eq!(sum(&hold["lines"], "amountMinor"), amount);
    assert_eq!(sum(&hold["tickets"], "amountMinor"), amount);
    assert_eq!(line(&hold, "Premium, Child")["amountMinor"], 99_999);
    assert_eq!(line(&hold, "Service")["amountMinor"], 17_500);
    assert_eq!(line(&hold, "Order")["amountMinor"], 5_000);
    assert_eq!(line(&hold, "GST")["amountMinor"], 2_790 + 1_440 + 540 + 900);
    // 12/112 of 3,499.99.
    assert_eq!(line(&hold, "Entertainment tax")["amountMinor"], 37_500);
    let payment = fan.pay(&path).await;
    assert_eq!(payment.json["amountMinor"], amount);
    let intent = crate::fan::intent_of(&payment);
    shop.provider.pay(&intent);
    let booking = fan.confirm(&path, &intent).await;
    assert_eq!(booking.status, 200, "{}", booking.text);
    let booking = booking.json;
    assert_eq!(booking["lines"], hold["lines"]);
    assert_eq!(booking["tickets"][2]["ticketTypeName"], "Premium, Child");
    shop.settle().await;
    shop.assert_clean().await;
    // One ticket after the other: the shares sum to the whole.
    let path = format!(
        "/api/v1/bookings/{}",
        booking["bookingId"].as_str().unwrap()
    );
    let mut back = 0;
    for ticket in booking["tickets"].as_array().unwrap() {
        let body = json!({"ticketIds": [ticket["ticketId"]]});
        let cancelled = fan.post(&format!("{path}/cancel"), &body).await;
        assert_eq!(cancelled.status, 202, "{}", cancelled.text);
        assert_eq!(cancelled.json["amountMinor"], ticket["amountMinor"]);
        back += cancelled.json["amountMinor"].as_i64().unwrap();
        shop.settle().await;
        shop.assert_clean().await;
    }
    assert_eq!(back, amount);
}

#[tokio::test]
async fn types_are_changed_until_a_payment_is_started() {
    let shop = TestShop::with(priced()).await;
    let fan = shop.fan();
    let hold = holds(&fan, json!({"quantity": 2, "category": "PREMIUM"})).await;
    assert_eq!(hold.json["amountMinor"], 2 * ADULT + ONCE);
    let path = hold_path(&hold);
    let types = format!("{path}/ticket-types");
    let changed = fan
        .post(&types, &json!({"ticketTypes": ["ADULT", "CHILD"]}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json["amountMinor"], ADULT + CHILD + ONCE);
    for (body, status) in [
        (json!({"ticketTypes": ["ADULT"]}), 422),
        (json!({"ticketTypes": ["ADULT", "SENIOR"]}), 422),
        (json!({"ticketTypes": ["ADULT", "ADULT", "ADULT"]}), 422),
    ] {
        assert_eq!(fan.post(&types, &body).await.status, status, "{body}");
    }
    let stranger = shop.fan();
    let body = json!({"ticketTypes": ["CHILD", "CHILD"]});
    assert_eq!(stranger.post(&types, &body).await.status, 404);
    let payment = fan.pay(&path).await;
    assert_eq!(payment.json["amountMinor"], ADULT + CHILD + ONCE);
    let late = fan.post(&types, &body).await;
    assert_eq!((late.status, late.code()), (409, "conflict"));
    shop.assert_clean().await;
}

#[tokio::test]
async fn types_that_do_not_fit_are_refused() {
    let shop = TestShop::with(priced()).await;
    let fan = shop.fan();
    for body in [
        json!({"seatIds": ["A1"], "ticketTypes": []}),
        json!({"seatIds": ["A1"], "ticketTypes": ["SENIOR"]}),
        json!({"seatIds": ["B1"], "ticketTypes": ["CHILD"]}),
        json!({"quantity": 1, "ticketTypes": ["CHILD"]}),
        json!({"quantity": 1, "category": "REGULAR", "ticketTypes": ["CHILD"]}),
        json!({"quantity": 2, "category": "PREMIUM", "ticketTypes": ["CHILD"]}),
    ] {
        let refused = holds(&fan, body.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation-failed"),
            "{body}"
        );
        assert_eq!(refused.json["field"], "ticketTypes", "{body}");
    }
    let body = json!({"quantity": 1, "category": "PREMIUM", "ticketTypes": ["CHILD"]});
    let held = holds(&fan, body).await;
    assert_eq!(held.json["amountMinor"], CHILD + ONCE);
}

#[tokio::test]
async fn an_import_changes_no_price_that_was_frozen() {
    let shop = TestShop::with(priced()).await;
    let fan = shop.fan();
    let hold = holds(&fan, json!({"seatIds": ["A1", "A2"]})).await;
    let mut file = priced();
    file["categories"][0]["priceMinor"] = json!(300_000);
    file["categories"][0]["ticketTypes"][0]["priceMinor"] = json!(300_000);
    file["fees"] = json!([]);
    let (status, changed) = shop.import(file).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(
        changed["changed"],
        json!(["bookingFeeMinor", "categories", "fees"])
    );
    let path = hold_path(&hold);
    let read = fan.get(&path).await.json;
    assert_eq!(read["lines"], hold.json["lines"]);
    let intent = fan.intent(&path).await;
    shop.sells(&fan, &path, &intent).await;
}

#[tokio::test]
async fn the_pages_offer_types_without_a_script() {
    let shop = TestShop::with(priced()).await;
    let fan = shop.fan();
    let hold = holds(&fan, json!({"seatIds": ["A1", "B1"]})).await;
    let path = hold_path(&hold).replace("/api/v1", "");
    let page = fan.get(&path).await.text;
    assert!(page.contains("<option value=\"CHILD\">Child, "), "{page}");
    let form = fan
        .clone()
        .with_header("content-type", "application/x-www-form-urlencoded");
    let form = form.with_header("sec-fetch-site", "same-origin");
    let types = format!("{path}/ticket-types");
    let sent = form.post_text(&types, "type=CHILD&type=".to_owned()).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let page = fan.get(&path).await.text;
    assert!(page.contains("1 × Premium, Child"), "{page}");
    assert!(page.contains("<option value=\"CHILD\" selected>"), "{page}");
}
