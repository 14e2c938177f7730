//! What providers tell of cards and accounts, against the payment simulator: one card of many
//! customers, declines, the provider's own judgement.

use booking_core::FraudSettings;
use serde_json::{Value, json};

use crate::fan::{Answer, Fan, hold_path, intent_of};
use crate::suspicious::{assert_says_nothing, confirmed, points, start, waiting};
use crate::test_shop::{TestShop, eventually, show_file};
use crate::test_simulator::Simulator;
use crate::two_providers::{razorpay, shop as shop_of, stripe};

/// A show with 60 seats in one row.
fn large() -> Value {
    let mut file = show_file();
    file["sections"] = json!([
        {"name": "Front", "category": "PREMIUM", "rows": ["A"], "seatsPerRow": 60}]);
    file
}

async fn shop(simulator: &Simulator, fraud: FraudSettings) -> TestShop {
    TestShop::against_fraud(large(), Some(&simulator.url), fraud).await
}

/// A fan with a started payment: the fan, the hold and the answer.
async fn ready(shop: &TestShop, n: usize) -> (Fan, String, Answer) {
    let fan = shop.fan();
    let best = fan.best(1).await;
    assert_eq!(best.status, 201, "{}", best.text);
    let hold = hold_path(&best);
    let email = format!("fan{n}@example.com");
    let started = start(&fan, &hold, &email, None).await;
    assert_eq!(started.status, 201, "{}", started.text);
    (fan, hold, started)
}

/// A fan who paid with the card of `holder`: the fan and the booking.
async fn buys(
    shop: &TestShop,
    simulator: &Simulator,
    n: usize,
    (method, holder): (&str, &str),
) -> (Fan, Value) {
    let (fan, hold, started) = ready(shop, n).await;
    let intent = intent_of(&started);
    simulator.pay_as(&intent, method, holder).await;
    let booked = confirmed(&fan, &hold, &started).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    if booked.json["withheld"] == true {
        assert_says_nothing(&booked);
    }
    (fan, booked.json)
}

#[tokio::test]
async fn fifty_customers_with_one_card_are_put_aside_and_their_seats_stay() {
    let simulator = Simulator::start().await;
    let shop = shop(&simulator, FraudSettings::default()).await;
    for n in 0..50 {
        let (_, booking) = buys(&shop, &simulator, n, ("pm_card_visa", "mule")).await;
        // Two may share a card, a third and a fourth are let pass; the limit is four.
        assert_eq!(booking["withheld"] == true, n >= 4, "{n}: {booking}");
        assert_eq!(booking["tickets"][0]["qr"].is_string(), n < 4, "{n}");
    }
    // Each with a card of their own, at the same time.
    for n in 50..55 {
        let (_, booking) = buys(&shop, &simulator, n, ("pm_card_visa", &format!("h{n}"))).await;
        assert_eq!(booking["withheld"], Value::Null, "{n}");
    }
    let reviews = waiting(&shop).await;
    assert_eq!(reviews.len(), 46);
    assert_eq!(points(&reviews[0], "card-limit"), 60);
    let most = reviews.iter().map(|it| points(it, "card-customers")).max();
    assert_eq!(most, Some(80));
    // No card and no address is stored but as a keyed hash.
    let mut database = shop.database.connect().await;
    let text: String = sqlx::query_scalar("select string_agg(t::text, ' ') from payment_tries t")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert!(!text.contains('@') && !text.contains("card:"), "{text}");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn two_payments_at_the_limit_do_not_both_slip_through() {
    let simulator = Simulator::start().await;
    let mut fraud = FraudSettings::default();
    fraud.set_limits("customers-per-card=1").unwrap();
    let shop = shop(&simulator, fraud).await;
    for round in 0..8 {
        let holder = format!("pair{round}");
        let (first, second) = (
            ready(&shop, 2 * round).await,
            ready(&shop, 2 * round + 1).await,
        );
        for (_, _, started) in [&first, &second] {
            simulator
                .pay_as(&intent_of(started), "pm_card_visa", &holder)
                .await;
        }
        let (one, other) = tokio::join!(
            confirmed(&first.0, &first.1, &first.2),
            confirmed(&second.0, &second.1, &second.2)
        );
        assert_eq!((one.status, other.status), (200, 200));
        let aside = [&one, &other].map(|it| it.json["withheld"] == true);
        assert!(aside[0] || aside[1], "round {round}");
    }
}

#[tokio::test]
async fn many_tickets_of_one_card_are_put_aside() {
    let simulator = Simulator::start().await;
    let mut fraud = FraudSettings::default();
    fraud.set_limits("tickets-per-card=2").unwrap();
    let shop = shop(&simulator, fraud).await;
    for n in 0..4 {
        // One customer, by the address, in several browsers.
        let fan = shop.fan();
        let hold = hold_path(&fan.best(1).await);
        let started = start(&fan, &hold, "fan@example.com", None).await;
        let intent = intent_of(&started);
        simulator.pay_as(&intent, "pm_card_visa", "collector").await;
        let booked = confirmed(&fan, &hold, &started).await;
        assert_eq!(booked.json["withheld"] == true, n >= 2, "{n}");
    }
}

#[tokio::test]
async fn the_judgement_of_the_provider_counts() {
    let simulator = Simulator::start().await;
    let fraud = FraudSettings {
        home_countries: vec!["US".to_owned()],
        ..FraudSettings::default()
    };
    let shop = shop(&simulator, fraud).await;
    for (n, method, aside) in [
        (0, "pm_card_visa", false),
        (1, "pm_card_riskLevelElevated", false),
        (2, "pm_card_riskLevelHighest", true),
        (3, "pm_card_fr", false),
    ] {
        let holder = format!("h{n}");
        let (_, booking) = buys(&shop, &simulator, n, (method, &holder)).await;
        assert_eq!(booking["withheld"] == true, aside, "{method}");
    }
    let reviews = waiting(&shop).await;
    assert_eq!(points(&reviews[0], "provider-risk"), 60);
    // A foreign card of elevated risk is no reason yet; with more points it would be.
    let mut database = shop.database.connect().await;
    let told: Vec<(Option<String>, i16)> =
        sqlx::query_as("select country, provider_risk from payment_tries order by seen_at, try_id")
            .fetch_all(&mut database)
            .await
            .unwrap();
    assert!(told.contains(&(Some("FR".to_owned()), 0)), "{told:?}");
    assert!(told.contains(&(Some("US".to_owned()), 1)), "{told:?}");
}

#[tokio::test]
async fn ten_declined_tries_end_a_hold() {
    let simulator = Simulator::start().await;
    let shop = shop(&simulator, FraudSettings::default()).await;
    let (fan, hold, started) = ready(&shop, 0).await;
    let intent = intent_of(&started);
    for n in 1..=10 {
        let holder = format!("stolen{n}");
        simulator
            .pay_as(&intent, "pm_card_chargeDeclined", &holder)
            .await;
        let answer = confirmed(&fan, &hold, &started).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text);
        // The same try is asked about twice and counts once.
        confirmed(&fan, &hold, &started).await;
        let status = fan.get(&hold).await.json["status"].clone();
        assert_eq!(status == "RELEASED", n == 10, "{n}: {status}");
    }
    // The intent is closed: no card is accepted any more.
    simulator.pay_as(&intent, "pm_card_visa", "at last").await;
    assert_eq!(simulator.balance().await, 0);
    let again = start(&fan, &hold, "fan0@example.com", None).await;
    assert_eq!(again.code(), "hold-expired", "{}", again.text);
    // Five declines and more on the next hold: the customer has to work.
    let hold = hold_path(&fan.best(1).await);
    let asked = start(&fan, &hold, "fan0@example.com", None).await;
    assert_eq!(asked.code(), "challenge-required", "{}", asked.text);
    assert_says_nothing(&asked);
    shop.settle().await;
    shop.assert_clean().await;
}

async fn on_pages(provider: fn(&str) -> booking_core::PaymentConfig, name: &str) {
    let simulator = Simulator::start().await;
    let shop = shop_of(vec![provider(&simulator.url)]).await;
    for n in 0..6 {
        let fan = shop.fan();
        let hold = hold_path(&fan.best(1).await);
        let email = format!("fan{n}@example.com");
        let started = start(&fan, &hold, &email, None).await;
        let page = started.json["redirectUrl"].as_str().unwrap().to_owned();
        if n == 0 {
            simulator
                .pay_on_page_as(&page, "pm_card_chargeDeclined", "mule")
                .await;
            confirmed(&fan, &hold, &started).await;
        }
        simulator
            .pay_on_page_as(&page, "pm_card_visa", "mule")
            .await;
        let seen = || async { confirmed(&fan, &hold, &started).await.status == 200 };
        eventually("the booking", seen).await;
        let booked = confirmed(&fan, &hold, &started).await;
        assert_eq!(
            booked.json["withheld"] == true,
            n >= 4,
            "{n}: {}",
            booked.text
        );
    }
    let mut database = shop.database.connect().await;
    let tries: Vec<(String, bool, i64)> = sqlx::query_as(
        "select provider, declined, count(*) from payment_tries
         where instrument_hash is not null group by provider, declined order by declined",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let expected = [(name.to_owned(), false, 6), (name.to_owned(), true, 1)];
    assert_eq!(tries, expected);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn one_card_of_many_customers_is_noticed_on_stripes_page() {
    on_pages(stripe, "stripe").await;
}

#[tokio::test]
async fn one_account_of_many_customers_is_noticed_on_razorpays_page() {
    on_pages(razorpay, "razorpay").await;
}
