//! Coupons: who may use them, how often, and what becomes of a use.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::cancel::admin;
use crate::fan::{Answer, Fan, SHOW, hold_path, intent_of};
use crate::test_shop::{TestShop, show_file};

async fn create(shop: &TestShop, terms: Value) -> Answer {
    admin(shop).post("/admin/v1/coupons", &terms).await
}

async fn created(shop: &TestShop, terms: Value) {
    let made = create(shop, terms).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

/// Reserved and booked uses.
async fn uses(shop: &TestShop, code: &str) -> (u64, u64) {
    let coupon = admin(shop)
        .get(&format!("/admin/v1/coupons/{code}"))
        .await
        .json;
    let count = |name: &str| coupon[name].as_u64().unwrap();
    (count("reserved"), count("booked"))
}

async fn pay(fan: &Fan, hold: &str, email: &str, code: &str) -> Answer {
    let body = json!({"email": email, "couponCode": code});
    fan.post(&format!("{hold}/payments"), &body).await
}

async fn quote(fan: &Fan, hold: &str, code: &str) -> Answer {
    let body = json!({"couponCode": code});
    fan.post(&format!("{hold}/quote"), &body).await
}

#[track_caller]
fn assert_not_valid(answer: &Answer, reason: &str) {
    let found = (answer.status, answer.code(), answer.json["reason"].as_str());
    assert_eq!(
        found,
        (409, "coupon-not-valid", Some(reason)),
        "{}",
        answer.text
    );
}

/// Starts a payment of nothing, which has no intent.
async fn free(fan: &Fan, hold: &str) -> Answer {
    let body = json!({"email": "fan@example.com"});
    fan.post(&format!("{hold}/payments"), &body).await
}

/// Pays at the provider and confirms.
async fn finish(shop: &TestShop, fan: &Fan, hold: &str, payment: &Answer) -> Answer {
    assert_eq!(payment.status, 201, "{}", payment.text);
    let body = json!({"paymentIntentId": payment.json["paymentIntentId"]});
    if payment.json["amountMinor"] != 0 {
        shop.provider.pay(&intent_of(payment));
    }
    fan.post(&format!("{hold}/confirm"), &body).await
}

#[tokio::test]
async fn a_coupon_is_tried_paid_with_and_counted() {
    let shop = TestShop::new().await;
    created(
        &shop,
        json!({"code": "Front-10", "percent": 10, "categories": ["PREMIUM"]}),
    )
    .await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "B1"]).await;
    let tried = quote(&fan, &hold, " front-10 ").await;
    assert_eq!(tried.json["amountMinor"], 325_000, "{}", tried.text);
    // Trying reserves nothing.
    assert_eq!(uses(&shop, "front-10").await, (0, 0));
    assert_eq!(fan.get(&hold).await.json["amountMinor"], 350_000);
    let payment = pay(&fan, &hold, "fan@example.com", "front-10").await;
    assert_eq!(payment.json["amountMinor"], 325_000);
    assert_eq!(uses(&shop, "FRONT-10").await, (1, 0));
    // The same request again goes on with the same payment, also without the code.
    let again = pay(&fan, &hold, "fan@example.com", "FRONT-10").await;
    assert_eq!(
        again.json["paymentIntentId"],
        payment.json["paymentIntentId"]
    );
    let kept = fan.pay(&hold).await;
    assert_eq!(
        kept.json["paymentIntentId"],
        payment.json["paymentIntentId"]
    );
    let booking = finish(&shop, &fan, &hold, &payment).await;
    assert_eq!(booking.status, 200, "{}", booking.text);
    assert_eq!(booking.json["amountMinor"], 325_000);
    let lines = booking.json["lines"].as_array().unwrap();
    let discount = lines
        .iter()
        .find(|line| line["kind"] == "discount")
        .unwrap();
    assert_eq!(discount["amountMinor"], -25_000);
    assert_eq!(uses(&shop, "FRONT-10").await, (0, 1));
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_200_payments_at_once_ten_get_a_coupon_with_ten_uses() {
    let mut file = show_file();
    file["sections"][0]["rows"] = json!((0..20).map(|row| format!("R{row}")).collect::<Vec<_>>());
    let shop = TestShop::with(file).await;
    created(
        &shop,
        json!({"code": "TEN-USES", "percent": 50, "usesMax": 10}),
    )
    .await;
    let other = shop.another_process().await;
    let mut holds = Vec::new();
    for number in 0..200 {
        let fan = shop.fan();
        let body = json!({"quantity": 1, "category": "PREMIUM"});
        let held = fan.post(&format!("{SHOW}/holds"), &body).await;
        assert_eq!(held.status, 201, "{}", held.text);
        let at = if number % 2 == 0 {
            fan.clone()
        } else {
            fan.at(other.router.clone())
        };
        holds.push((number, at, hold_path(&held)));
    }
    let tries = holds.iter().map(|(number, fan, hold)| async move {
        let email = format!("fan{number}@example.com");
        // A crowd that is told to slow down tries again.
        loop {
            let answer = pay(fan, hold, &email, "TEN-USES").await;
            if answer.status != 503 && answer.status != 429 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let answers = join_all(tries).await;
    let granted = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(granted.clone().count(), 10);
    assert!(
        granted
            .into_iter()
            .all(|answer| answer.json["amountMinor"] == 125_000)
    );
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_not_valid(refused, "used-up");
    }
    assert_eq!(uses(&shop, "TEN-USES").await, (10, 0));
    shop.assert_clean().await;
    // A hold that ends gives its use back, and exactly that one.
    let (_, fan, hold) = holds
        .iter()
        .zip(&answers)
        .find(|(_, it)| it.status == 201)
        .unwrap()
        .0;
    assert_eq!(fan.delete(hold).await.status, 204);
    assert_eq!(uses(&shop, "TEN-USES").await, (9, 0));
    let (_, fan, hold) = holds
        .iter()
        .zip(&answers)
        .find(|(_, it)| it.status == 409)
        .unwrap()
        .0;
    assert_eq!(
        pay(fan, hold, "late@example.com", "TEN-USES").await.status,
        201
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_use_is_released_when_the_hold_expires_and_late_money_takes_it_again() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "ONCE", "percent": 50, "usesMax": 1})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let payment = pay(&fan, &hold, "fan@example.com", "ONCE").await;
    shop.clock.advance(Duration::from_mins(30));
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "EXPIRED");
    assert_eq!(uses(&shop, "ONCE").await, (0, 0));
    shop.assert_clean().await;
    // The money arrives all the same.
    let intent = intent_of(&payment);
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_late", &intent).await, 200);
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    assert_eq!(uses(&shop, "ONCE").await, (0, 1));
    shop.assert_clean().await;
}

#[tokio::test]
async fn late_money_for_a_use_that_is_gone_goes_back() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "ONCE", "percent": 50, "usesMax": 1})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let payment = pay(&fan, &hold, "fan@example.com", "ONCE").await;
    shop.clock.advance(Duration::from_mins(30));
    shop.settle().await;
    let other = shop.fan();
    let others = other.held(&["A2"]).await;
    let paid = pay(&other, &others, "other@example.com", "ONCE").await;
    assert_eq!(paid.status, 201, "{}", paid.text);
    let intent = intent_of(&payment);
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_late", &intent).await, 200);
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "EXPIRED");
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(uses(&shop, "ONCE").await, (1, 0));
    assert_eq!(shop.provider.refunded(&intent), 125_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn late_money_for_a_use_that_its_customer_had_again_goes_back() {
    for (code, terms) in [
        ("EACH", json!({"usesPerCustomerMax": 1})),
        ("FIRST", json!({"firstBooking": true})),
    ] {
        let shop = TestShop::new().await;
        let mut terms = terms;
        terms["code"] = json!(code);
        terms["percent"] = json!(10);
        created(&shop, terms).await;
        let (early, again) = (shop.fan(), shop.fan());
        let hold = early.held(&["A1"]).await;
        let payment = pay(&early, &hold, "fan@example.com", code).await;
        shop.clock.advance(Duration::from_mins(30));
        shop.settle().await;
        let second = again.held(&["A2"]).await;
        let paid = pay(&again, &second, "fan@example.com", code).await;
        assert_eq!(finish(&shop, &again, &second, &paid).await.status, 200);
        let intent = intent_of(&payment);
        shop.provider.pay(&intent);
        assert_eq!(shop.webhook("evt_late", &intent).await, 200);
        shop.settle().await;
        assert_eq!(early.get(&hold).await.json["status"], "EXPIRED", "{code}");
        assert_eq!(shop.provider.refunded(&intent), 225_000, "{code}");
        assert_eq!(uses(&shop, code).await, (0, 1), "{code}");
        shop.assert_clean().await;
    }
}

#[tokio::test]
async fn customers_have_their_share_and_first_bookings_are_first() {
    let shop = TestShop::new().await;
    created(
        &shop,
        json!({"code": "EACH", "percent": 10, "usesPerCustomerMax": 1}),
    )
    .await;
    created(
        &shop,
        json!({"code": "FIRST", "percent": 10, "firstBooking": true}),
    )
    .await;
    created(
        &shop,
        json!({"code": "FIRST-2", "percent": 20, "firstBooking": true}),
    )
    .await;
    let (one, two) = (shop.fan(), shop.fan());
    let (first, second) = (one.held(&["A1"]).await, two.held(&["A2"]).await);
    let payment = pay(&one, &first, "Fan@example.com", "EACH").await;
    assert_eq!(payment.status, 201, "{}", payment.text);
    let again = pay(&two, &second, "fan@EXAMPLE.com", "each").await;
    assert_not_valid(&again, "used-by-customer");
    assert_eq!(
        pay(&two, &second, "two@example.com", "FIRST").await.status,
        201
    );
    // Another coupon for first bookings, by the same customer at the same time.
    let three = shop.fan();
    let third = three.held(&["A3"]).await;
    let refused = pay(&three, &third, "two@example.com", "FIRST-2").await;
    assert_not_valid(&refused, "not-first-booking");
    // Another address on the running payment is another customer.
    let moved = pay(&two, &second, "fan@example.com", "EACH").await;
    assert_not_valid(&moved, "used-by-customer");
    let booked = finish(&shop, &one, &first, &payment).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    let refused = pay(&three, &third, "fan@example.com", "FIRST").await;
    assert_not_valid(&refused, "not-first-booking");
    shop.assert_clean().await;
}

#[tokio::test]
async fn another_code_is_another_payment_and_a_wrong_one_leaves_the_first() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "HALF", "percent": 50})).await;
    created(
        &shop,
        json!({"code": "THOUSAND", "amountMinor": 100_000, "currency": "INR"}),
    )
    .await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let first = pay(&fan, &hold, "fan@example.com", "HALF").await;
    assert_eq!(first.json["amountMinor"], 125_000);
    assert_not_valid(
        &pay(&fan, &hold, "fan@example.com", "NONE").await,
        "unknown",
    );
    let same = pay(&fan, &hold, "fan@example.com", "HALF").await;
    assert_eq!(same.json["paymentIntentId"], first.json["paymentIntentId"]);
    let other = pay(&fan, &hold, "fan@example.com", "THOUSAND").await;
    assert_eq!(other.json["amountMinor"], 150_000, "{}", other.text);
    assert_eq!(
        (uses(&shop, "HALF").await, uses(&shop, "THOUSAND").await),
        ((0, 0), (1, 0))
    );
    // Without any.
    let none = pay(&fan, &hold, "fan@example.com", "").await;
    assert_eq!(none.json["amountMinor"], 250_000, "{}", none.text);
    assert_eq!(uses(&shop, "THOUSAND").await, (0, 0));
    let booked = finish(&shop, &fan, &hold, &none).await;
    assert_eq!(booked.json["amountMinor"], 250_000, "{}", booked.text);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn money_for_a_price_that_was_changed_since_goes_back_and_the_hold_stays() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "HALF", "percent": 50})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let full = fan.pay(&hold).await;
    let half = pay(&fan, &hold, "fan@example.com", "HALF").await;
    assert_eq!(half.json["amountMinor"], 125_000, "{}", half.text);
    // The provider said that the first was cancelled, and takes the money all the same.
    let intent = intent_of(&full);
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_old", &intent).await, 200);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 250_000);
    // Whoever asks to pay again goes on with the payment of the present price.
    let again = fan.pay(&hold).await;
    assert_eq!(intent_of(&again), intent_of(&half), "{}", again.text);
    // And gets a new one when that fails, also without the coupon.
    shop.provider
        .decline(&intent_of(&half), "card_declined", "insufficient_funds");
    assert_eq!(fan.confirm(&hold, &intent_of(&half)).await.status, 402);
    let off = fan.delete(&format!("{hold}/coupon")).await;
    assert_eq!(off.status, 200, "{}", off.text);
    let third = fan.pay(&hold).await;
    assert_eq!(third.json["amountMinor"], 250_000, "{}", third.text);
    assert!(![&intent, &intent_of(&half)].contains(&&intent_of(&third)));
    let half = pay(&fan, &hold, "fan@example.com", "HALF").await;
    let booked = finish(&shop, &fan, &hold, &half).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    assert_eq!(booked.json["amountMinor"], 125_000);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn codes_cannot_be_guessed_without_end() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "SECRET", "percent": 50})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    for number in 0..10 {
        assert_not_valid(
            &quote(&fan, &hold, &format!("GUESS-{number}")).await,
            "unknown",
        );
    }
    assert_not_valid(&quote(&fan, &hold, "SECRET").await, "too-many-tries");
    let paid = pay(&fan, &hold, "fan@example.com", "SECRET").await;
    assert_not_valid(&paid, "too-many-tries");
    // The hold can still be paid in full.
    assert_eq!(fan.pay(&hold).await.json["amountMinor"], 250_000);
    let stranger = shop.fan();
    assert_eq!(quote(&stranger, &hold, "SECRET").await.status, 404);
}

#[tokio::test]
async fn a_booking_of_nothing_needs_no_provider() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "FREE", "percent": 100, "usesMax": 1})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "A2"]).await;
    let payment = pay(&fan, &hold, "fan@example.com", "FREE").await;
    assert_eq!(payment.json["amountMinor"], 0, "{}", payment.text);
    assert!(payment.json["redirectUrl"].is_null(), "{}", payment.text);
    assert_eq!(shop.provider.intent_count(), 0);
    let booked = finish(&shop, &fan, &hold, &payment).await;
    assert_eq!(
        (booked.status, &booked.json["amountMinor"]),
        (200, &json!(0)),
        "{}",
        booked.text
    );
    assert_eq!(booked.json["tickets"].as_array().unwrap().len(), 2);
    shop.settle().await;
    shop.assert_clean().await;
    let path = format!(
        "/admin/v1/bookings/{}/refund",
        booked.json["bookingId"].as_str().unwrap()
    );
    let back = admin(&shop).post(&path, &json!({})).await;
    assert_eq!(
        (back.status, &back.json["amountMinor"]),
        (202, &json!(0)),
        "{}",
        back.text
    );
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(shop.provider.intent_count(), 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_free_show_is_booked_also_when_nobody_confirms() {
    let mut file = show_file();
    for category in file["categories"].as_array_mut().unwrap() {
        category["priceMinor"] = json!(0);
    }
    let shop = TestShop::with(file).await;
    let (stays, leaves, releases) = (shop.fan(), shop.fan(), shop.fan());
    let hold = stays.held(&["A1"]).await;
    let payment = free(&stays, &hold).await;
    let booked = finish(&shop, &stays, &hold, &payment).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    // Who closes the page after the button was pressed has the ticket too.
    let left = leaves.held(&["A2"]).await;
    assert_eq!(free(&leaves, &left).await.status, 201);
    shop.clock.advance(Duration::from_secs(20));
    shop.settle().await;
    assert_eq!(leaves.get(&left).await.json["status"], "CONFIRMED");
    // Who gives the seats up first does not.
    let given_up = releases.held(&["A3"]).await;
    assert_eq!(free(&releases, &given_up).await.status, 201);
    assert_eq!(releases.delete(&given_up).await.status, 204);
    shop.settle().await;
    assert_eq!(releases.seat("A3").await, "AVAILABLE");
    shop.assert_clean().await;
}

#[tokio::test]
async fn operators_make_read_and_disable_coupons() {
    let shop = TestShop::new().await;
    for (terms, field) in [
        (json!({"code": "ABC", "percent": 10}), "code"),
        (json!({"code": "WITH SPACE", "percent": 10}), "code"),
        (json!({"percent": 0}), "percent"),
        (json!({"percent": 101}), "percent"),
        (json!({}), "percent"),
        (
            json!({"percent": 10, "amountMinor": 10, "currency": "INR"}),
            "percent",
        ),
        (json!({"amountMinor": 100}), "currency"),
        (json!({"amountMinor": 100, "currency": "XXX"}), "currency"),
        (json!({"percent": 10, "usesMax": 0}), "usesMax"),
        (json!({"percent": 10, "showId": "nothing"}), "showId"),
        (
            json!({"percent": 10, "validFrom": "2026-12-02T00:00:00Z",
            "validUntil": "2026-12-01T00:00:00Z"}),
            "validUntil",
        ),
    ] {
        let refused = create(&shop, terms.clone()).await;
        assert_eq!(
            (refused.status, &refused.json["field"]),
            (422, &json!(field)),
            "{terms}"
        );
    }
    let made = create(&shop, json!({"percent": 12.5, "showId": "eras-mumbai-1"})).await;
    assert_eq!(
        made.json["code"].as_str().unwrap().len(),
        9,
        "{}",
        made.text
    );
    created(&shop, json!({"code": "SUMMER", "percent": 10})).await;
    let twice = create(&shop, json!({"code": "summer", "percent": 20})).await;
    assert_eq!((twice.status, twice.code()), (409, "conflict"));
    let operators = admin(&shop);
    let all = operators.get("/admin/v1/coupons").await.json;
    assert_eq!(all["coupons"].as_array().unwrap().len(), 2);
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    assert_eq!(
        quote(&fan, &hold, "summer").await.json["amountMinor"],
        225_000
    );
    let disabled = operators
        .post("/admin/v1/coupons/summer/disable", &json!({}))
        .await;
    assert_eq!(disabled.status, 200, "{}", disabled.text);
    assert!(disabled.json["disabledAt"].is_string());
    assert_not_valid(&quote(&fan, &hold, "SUMMER").await, "unknown");
    let gone = operators
        .post("/admin/v1/coupons/winter/disable", &json!({}))
        .await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_code_is_tried_on_the_page_without_a_script() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "HALF", "percent": 50})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await.replace("/api/v1", "");
    let form = fan
        .clone()
        .with_header("content-type", "application/x-www-form-urlencoded");
    let form = form.with_header("sec-fetch-site", "same-origin");
    let page = format!("{hold}/quote");
    let body = "couponCode=half&email=a%40b.cd".to_owned();
    let tried = form.post_text(&page, body).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    assert!(tried.text.contains("Pay ₹1,250"), "{}", tried.text);
    assert!(
        tried.text.contains("name=\"couponCode\" value=\"HALF\""),
        "{}",
        tried.text
    );
    assert!(tried.text.contains("value=\"a@b.cd\""), "{}", tried.text);
    let wrong = form
        .post_text(&format!("{hold}/quote"), "couponCode=wrong".to_owned())
        .await;
    assert_eq!(wrong.status, 409);
    assert!(wrong.text.contains("Pay ₹2,500"), "{}", wrong.text);
    let body = "couponCode=HALF&email=fan%40example.com".to_owned();
    let paid = form.post_text(&format!("{hold}/payments"), body).await;
    assert_eq!(paid.status, 303, "{}", paid.text);
    assert_eq!(uses(&shop, "HALF").await, (1, 0));
}

#[tokio::test]
async fn the_database_itself_gives_no_use_too_many() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "WALL", "percent": 50, "usesMax": 1})).await;
    let mut database = shop.database.connect().await;
    let more = sqlx::query("update coupons set use_count = 2")
        .execute(&mut database)
        .await;
    assert!(more.unwrap_err().to_string().contains("coupons_uses"));
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_coupon_is_taken_off_again_also_while_a_payment_is_under_way() {
    let shop = TestShop::new().await;
    created(&shop, json!({"code": "HALF", "percent": 50, "usesMax": 1})).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let off = format!("{hold}/coupon");
    // Nothing to take off is fine.
    let without = fan.delete(&off).await;
    assert_eq!(
        (without.status, &without.json["amountMinor"]),
        (200, &json!(250_000))
    );
    let payment = pay(&fan, &hold, "fan@example.com", "HALF").await;
    assert_eq!(payment.json["amountMinor"], 125_000);
    assert_eq!(uses(&shop, "HALF").await, (1, 0));
    // Nobody else takes it off.
    assert_eq!(shop.fan().delete(&off).await.status, 404);
    let taken = fan.delete(&off).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    assert_eq!(taken.json["amountMinor"], 250_000);
    let lines = taken.json["lines"].as_array().unwrap();
    assert!(lines.iter().all(|line| line["kind"] != "discount"));
    assert_eq!(uses(&shop, "HALF").await, (0, 0));
    // Another fan uses what came back, and this one pays the whole price.
    let other = shop.fan();
    let second = other.held(&["A2"]).await;
    let used = pay(&other, &second, "other@example.com", "HALF").await;
    assert_eq!(used.status, 201, "{}", used.text);
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let booked = fan.confirm(&hold, &intent).await;
    assert_eq!(booked.json["amountMinor"], 250_000, "{}", booked.text);
    let late = fan.delete(&off).await;
    assert_eq!((late.status, late.code()), (410, "hold-expired"));
    shop.settle().await;
    shop.assert_clean().await;
}
