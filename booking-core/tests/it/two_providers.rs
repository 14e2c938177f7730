//! Both providers, against the payment simulator: what their own pages and APIs do, and which of
//! them is asked.

use std::time::Duration;

use booking_core::{PaymentApi, PaymentConfig};
use contract::{Clock, ManualClock, SystemClock};
use payment_simulator::config::DEFAULT_RAZORPAY_KEY;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fan::{Fan, SHOW, intent_of};
use crate::simulator::ENDINGS;
use crate::simulator::outcome;
use crate::test_shop::{TestShop, WEBHOOK_SECRET, eventually, show_file};
use crate::test_simulator::Simulator;

const PRICE: i64 = 250_000;

pub(crate) fn stripe(url: &str) -> PaymentConfig {
    PaymentConfig {
        provider: "stripe".to_owned(),
        api: PaymentApi::StripeCheckout,
        // The newest first, as during an exchange.
        webhook_secrets: vec!["whsec_new".to_owned(), WEBHOOK_SECRET.to_owned()],
        ..PaymentConfig::simulator(url, "sk_test", WEBHOOK_SECRET)
    }
}

pub(crate) fn razorpay(url: &str) -> PaymentConfig {
    PaymentConfig {
        provider: "razorpay".to_owned(),
        api: PaymentApi::Razorpay,
        url: format!("{url}/razorpay"),
        secret: DEFAULT_RAZORPAY_KEY.to_owned(),
        webhook_secrets: vec!["whsec_new".to_owned(), WEBHOOK_SECRET.to_owned()],
        ..stripe(url)
    }
}

/// A shop with these providers, at the time of their clocks.
pub(crate) async fn shop(providers: Vec<PaymentConfig>) -> TestShop {
    let mut file = show_file();
    file["startsAt"] = json!("2099-12-24T14:00:00Z");
    TestShop::with_providers(file, providers, ManualClock::new(SystemClock.now())).await
}

async fn both(simulator: &Simulator) -> TestShop {
    shop(vec![stripe(&simulator.url), razorpay(&simulator.url)]).await
}

/// Starts a payment for the hold, and returns the page and the provider's id.
async fn page(fan: &Fan, hold: &str) -> (String, String) {
    let started = fan.pay(hold).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let page = started.json["redirectUrl"].as_str().unwrap().to_owned();
    (page, intent_of(&started))
}

/// The attempts of all holds: provider, status, and whether the intent is known.
async fn attempts(shop: &TestShop) -> Vec<(String, String, bool)> {
    let mut database = shop.database.connect().await;
    sqlx::query_as(
        "select provider, status, intent_id is not null from payments
         order by created_at, attempt_no",
    )
    .fetch_all(&mut database)
    .await
    .unwrap()
}

fn attempt(provider: &str, status: &str, is_made: bool) -> (String, String, bool) {
    (provider.to_owned(), status.to_owned(), is_made)
}

/// What bookings say was paid.
async fn sold(shop: &TestShop) -> i64 {
    let mut database = shop.database.connect().await;
    let sold: (i64,) =
        sqlx::query_as("select coalesce(sum(amount_minor), 0)::bigint from bookings")
            .fetch_one(&mut database)
            .await
            .unwrap();
    sold.0
}

/// Faults of the request itself, with the reason that the fan is told.
const REFUSALS: &[(&str, &str)] = &[
    ("pm_sim_gateway_down", "gateway-down"),
    ("pm_sim_rate_limited", "gateway-rate-limit"),
    ("pm_sim_key_in_use", "duplicate-transaction"),
    ("pm_sim_currency_unsupported", "currency-conversion"),
];

async fn each_failure_has_its_reason(provider: fn(&str) -> PaymentConfig) {
    let simulator = Simulator::start().await;
    let shop = shop(vec![provider(&simulator.url)]).await;
    for (method, status, reason) in ENDINGS {
        let fan = shop.fan();
        let best = fan.best(1).await;
        assert_eq!(best.status, 201, "{}", best.text);
        let hold = crate::fan::hold_path(&best);
        let (url, intent) = page(&fan, &hold).await;
        simulator.pay_on_page(&url, method).await;
        let answer = outcome(&fan, &hold, &intent).await;
        assert_eq!(answer.status, *status, "{method}: {}", answer.text);
        assert_eq!(answer.json["reason"].as_str(), *reason, "{method}");
        if answer.json["retryable"] == true {
            let (url, intent) = page(&fan, &hold).await;
            simulator.pay_on_page(&url, "pm_card_visa").await;
            assert_eq!(outcome(&fan, &hold, &intent).await.status, 200, "{method}");
        }
    }
    let fan = shop.fan();
    let best = fan.best(1).await;
    let hold = crate::fan::hold_path(&best);
    for (kind, reason) in REFUSALS {
        simulator
            .fault(&json!({"kind": kind, "on": "create"}))
            .await;
        let answer = fan.pay(&hold).await;
        assert_eq!(answer.json["reason"], *reason, "{kind}: {}", answer.text);
    }
    // The hold ends: its page closes before the seats are free.
    let (url, intent) = page(&fan, &hold).await;
    shop.clock.advance(Duration::from_secs(301));
    shop.settle().await;
    assert_eq!(outcome(&fan, &hold, &intent).await.code(), "hold-expired");
    assert_eq!(simulator.pay_on_page(&url, "pm_card_visa").await, None);
    shop.settle().await;
    shop.assert_clean().await;
    assert_eq!(simulator.balance().await, sold(&shop).await);
}

#[tokio::test]
async fn each_failure_has_its_reason_at_stripe() {
    each_failure_has_its_reason(stripe).await;
}

#[tokio::test]
async fn each_failure_has_its_reason_at_razorpay() {
    each_failure_has_its_reason(razorpay).await;
}

#[tokio::test]
async fn a_customer_who_has_to_authenticate_gets_more_time_once() {
    for provider in [stripe, razorpay] {
        let simulator = Simulator::start().await;
        let shop = shop(vec![provider(&simulator.url)]).await;
        let fan = shop.fan();
        let hold = fan.held(&["A1"]).await;
        let ends = |hold: Value| hold["expiresAt"].as_str().unwrap().to_owned();
        let before = ends(fan.get(&hold).await.json);
        let (url, intent) = page(&fan, &hold).await;
        let bank = simulator
            .pay_on_page(&url, "pm_card_threeDSecure2Required")
            .await;
        assert_eq!(bank, None, "the bank's page waits");
        assert_eq!(fan.confirm(&hold, &intent).await.status, 202);
        let during = fan.get(&hold).await.json;
        assert_eq!(during["status"], "PAYING");
        let extended = ends(during);
        assert!(extended > before, "{extended} {before}");
        assert_eq!(fan.confirm(&hold, &intent).await.status, 202);
        assert_eq!(ends(fan.get(&hold).await.json), extended);
        // Past the first end, and within the second.
        shop.clock.advance(Duration::from_secs(400));
        shop.settle().await;
        assert_eq!(fan.get(&hold).await.json["status"], "PAYING");
    }
}

#[tokio::test]
async fn an_attempt_moves_on_when_nothing_was_made() {
    // No connection, and too many requests.
    for refuses in [true, false] {
        let (first, second) = (Simulator::start().await, Simulator::start().await);
        let shop = shop(vec![stripe(&first.url), razorpay(&second.url)]).await;
        if refuses {
            first.stop().await;
        } else {
            first.outage("stripe", json!("rate_limited")).await;
        }
        let fan = shop.fan();
        let hold = fan.held(&["A1"]).await;
        let (url, intent) = page(&fan, &hold).await;
        assert!(intent.starts_with("plink_"), "{intent}");
        let expected = [
            attempt("stripe", "FAILED", false),
            attempt("razorpay", "CREATED", true),
        ];
        assert_eq!(attempts(&shop).await, expected);
        second.pay_on_page(&url, "pm_card_visa").await;
        assert_eq!(outcome(&fan, &hold, &intent).await.status, 200);
        shop.settle().await;
        shop.assert_clean().await;
        assert_eq!(second.balance_of("razorpay").await, PRICE);
        if !refuses {
            assert!(first.ledger().await.is_empty());
        }
    }
}

#[tokio::test]
async fn an_attempt_stays_while_something_may_have_been_made() {
    for mode in [
        json!("loses_answers"),
        json!("down"),
        json!({"slow": {"delay_ms": 12_000}}),
    ] {
        let simulator = Simulator::start().await;
        let shop = both(&simulator).await;
        simulator.outage("stripe", mode.clone()).await;
        let fan = shop.fan();
        let hold = fan.held(&["A1"]).await;
        assert_eq!(fan.pay(&hold).await.code(), "payment-unavailable", "{mode}");
        assert_eq!(attempts(&shop).await[0].0, "stripe");
        // Certain of this request, and not of the one before.
        simulator.outage("stripe", json!("rate_limited")).await;
        assert_eq!(fan.pay(&hold).await.code(), "payment-unavailable", "{mode}");
        assert_eq!(attempts(&shop).await.len(), 1, "{mode}");
        simulator.outage("stripe", json!("up")).await;
        let (url, intent) = page(&fan, &hold).await;
        assert!(intent.starts_with("cs_"), "{mode}: {intent}");
        simulator.pay_on_page(&url, "pm_card_visa").await;
        assert_eq!(outcome(&fan, &hold, &intent).await.status, 200);
        shop.settle().await;
        shop.assert_clean().await;
        assert_eq!(simulator.balance_of("stripe").await, PRICE, "{mode}");
        assert_eq!(simulator.ledger().await.len(), 1, "{mode}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_and_asked_again() {
    let simulator = Simulator::start().await;
    let shop = both(&simulator).await;
    simulator.outage("stripe", json!("down")).await;
    // Each fan gives the seats up, so that there are enough of them.
    let start = async || {
        let fan = shop.fan();
        let hold = crate::fan::hold_path(&fan.best(1).await);
        let started = fan.pay(&hold).await;
        fan.delete(&hold).await;
        (started.status == 201).then(|| intent_of(&started))
    };
    let mut failed = 0;
    let moved = loop {
        match start().await {
            Some(intent) => break intent,
            None => failed += 1,
        }
        assert!(failed < 20, "the breaker does not open");
    };
    assert!(moved.starts_with("plink_"), "{moved}");
    assert!(!shop.process.booking.payments_have_stopped());
    simulator.outage("razorpay", json!("down")).await;
    eventually("an end of all payments", async || {
        start().await;
        shop.process.booking.payments_have_stopped()
    })
    .await;
    simulator.outage("stripe", json!("up")).await;
    simulator.outage("razorpay", json!("up")).await;
    eventually("payments at the preferred provider", async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        start()
            .await
            .is_some_and(|intent| intent.starts_with("cs_"))
    })
    .await;
    assert_eq!(simulator.balance().await, 0);
}

#[tokio::test]
async fn webhooks_of_both_come_doubled_late_and_shuffled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let simulator = Simulator::telling(Some(&origin)).await;
    let shop = both(&simulator).await;
    let router = shop.process.router.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut count = 0;
    for provider in ["cs_", "plink_"] {
        if provider == "plink_" {
            simulator.outage("stripe", json!("rate_limited")).await;
        }
        for method in [
            "pm_card_visa",
            "pm_sim_webhooks_duplicated",
            "pm_sim_webhooks_reordered",
            "pm_sim_webhooks_delayed",
        ] {
            let fan = shop.fan();
            let hold = crate::fan::hold_path(&fan.best(1).await);
            let (url, intent) = page(&fan, &hold).await;
            assert!(intent.starts_with(provider), "{intent}");
            // The fan never comes back.
            simulator.pay_on_page(&url, method).await;
            count += 1;
            eventually("the booking", async || {
                // Without polling: webhooks alone have to do.
                shop.process.booking.inbox_once().await.unwrap();
                fan.get(&hold).await.json["status"] == "CONFIRMED"
            })
            .await;
        }
    }
    shop.settle().await;
    shop.assert_clean().await;
    assert_eq!(simulator.balance().await, sold(&shop).await);
    assert_eq!(
        attempts(&shop)
            .await
            .iter()
            .filter(|it| it.1 == "SUCCEEDED")
            .count(),
        count
    );
}

#[tokio::test]
async fn money_goes_back_where_it_came_from() {
    let simulator = Simulator::start().await;
    let shop = both(&simulator).await;
    for provider in ["stripe", "razorpay"] {
        let fan = shop.fan();
        let hold = crate::fan::hold_path(&fan.best(1).await);
        let (url, intent) = page(&fan, &hold).await;
        simulator.pay_on_page(&url, "pm_sim_amount_mismatch").await;
        assert!(simulator.balance_of(provider).await > 0);
        assert_eq!(outcome(&fan, &hold, &intent).await.status, 402);
        simulator.outage("stripe", json!("rate_limited")).await;
    }
    // The first refund waits for its own provider.
    shop.settle().await;
    assert_eq!(simulator.balance_of("razorpay").await, 0);
    assert!(simulator.balance_of("stripe").await > 0);
    simulator.outage("stripe", json!("up")).await;
    shop.clock.advance(Duration::from_mins(61));
    shop.settle().await;
    assert_eq!(simulator.balance().await, 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_a_dashboard_and_a_bank_do_at_razorpay_is_found() {
    let simulator = Simulator::start().await;
    let shop = shop(vec![razorpay(&simulator.url)]).await;
    let admin = Fan::new(shop.process.booking.admin().0);
    let mut charges = Vec::new();
    for seat in ["A1", "A2"] {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let (url, intent) = page(&fan, &hold).await;
        simulator.pay_on_page(&url, "pm_card_visa").await;
        assert_eq!(outcome(&fan, &hold, &intent).await.status, 200);
        let ledger = simulator.ledger().await;
        let last = ledger.last().unwrap()["payment_intent"].as_str().unwrap();
        charges.push(last.to_owned());
    }
    let dispute = json!({"payment_intent": charges[0]});
    simulator.call("_sim/disputes", &dispute).await;
    let url = format!(
        "{}/razorpay/v1/payments/{}/refund",
        simulator.url, charges[1]
    );
    let (key, secret) = DEFAULT_RAZORPAY_KEY.split_once(':').unwrap();
    let refund = simulator.client.post(url).basic_auth(key, Some(secret));
    let refund = refund.json(&json!({"amount": PRICE})).send().await.unwrap();
    assert!(refund.status().is_success());
    shop.clock.advance(Duration::from_mins(1));
    let report = admin.post("/admin/v1/reconcile", &json!({})).await;
    let refunded = report.json["refundedBookings"].as_array().unwrap();
    assert_eq!(refunded.len(), 2, "{}", report.text);
    assert_eq!(report.json["disputes"].as_array().unwrap().len(), 1);
    assert_eq!(shop.fan().seat("A1").await, "AVAILABLE");
    assert_eq!(shop.fan().seat("A2").await, "AVAILABLE");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_bank_that_agrees_after_a_failure_is_taken_at_its_word() {
    let simulator = Simulator::start().await;
    let shop = shop(vec![razorpay(&simulator.url)]).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let (url, intent) = page(&fan, &hold).await;
    simulator
        .pay_on_page(&url, "pm_sim_late_success_after_decline")
        .await;
    assert_eq!(outcome(&fan, &hold, &intent).await.status, 402);
    eventually("the booking", async || {
        shop.clock.advance(Duration::from_secs(16));
        shop.settle().await;
        fan.get(&hold).await.json["status"] == "CONFIRMED"
    })
    .await;
    assert_eq!(simulator.balance_of("razorpay").await, PRICE);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_payment_of_a_provider_that_is_gone_is_told_and_not_lost() {
    let simulator = Simulator::start().await;
    let shop = both(&simulator).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let (url, intent) = page(&fan, &hold).await;
    simulator.pay_on_page(&url, "pm_card_visa").await;
    let without = shop
        .another_process_paying_at(vec![razorpay(&simulator.url)])
        .await;
    let there = fan.at(without.router.clone());
    assert_eq!(there.confirm(&hold, &intent).await.status, 202);
    let admin = Fan::new(without.booking.admin().0);
    let report = admin.post("/admin/v1/reconcile", &json!({})).await;
    let told = &report.json["unconfiguredProviders"];
    let expected = json!([{"provider": "stripe", "openPayments": 1}]);
    assert_eq!(*told, expected, "{}", report.text);
    // Configured again, it goes on.
    assert_eq!(outcome(&fan, &hold, &intent).await.status, 200);
    shop.settle().await;
    shop.assert_clean().await;
    assert_eq!(fan.get(SHOW).await.status, 200);
}

#[tokio::test]
async fn money_of_others_at_razorpay_does_not_stop_the_comparison() {
    let missing = || async {
        let error = json!({"error": {"code": "BAD_REQUEST_ERROR",
            "description": "The id provided does not exist"}});
        (http::StatusCode::BAD_REQUEST, web::ApiJson(error))
    };
    let list = |items: Value| {
        let answer = json!({"entity": "collection", "items": items});
        axum::routing::get(move || async move { web::ApiJson(answer) })
    };
    // A description that looks like the mark of a payment link.
    let foreign = json!([{"id": "pay_1", "amount": 500, "currency": "INR", "status": "captured",
        "description": "#1042", "created_at": SystemClock.now().as_unix_seconds() - 5}]);
    let router = axum::Router::new()
        .route("/razorpay/v1/payments", list(foreign))
        .route("/razorpay/v1/refunds", list(json!([])))
        .route("/razorpay/v1/disputes", list(json!([])))
        .route(
            "/razorpay/v1/payment_links/{id}",
            axum::routing::get(missing),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    let shop = shop(vec![razorpay(&url)]).await;
    let admin = Fan::new(shop.process.booking.admin().0);
    let report = admin.post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(report.status, 200, "{}", report.text);
    assert_eq!(report.json["foreignCount"], 1);
    assert_eq!(report.json["intentCount"], 1);
}

#[tokio::test]
async fn a_closed_link_whose_customer_is_at_the_bank_proves_nothing() {
    let simulator = Simulator::start().await;
    let shop = shop(vec![razorpay(&simulator.url)]).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let (url, intent) = page(&fan, &hold).await;
    let bank = simulator
        .pay_on_page(&url, "pm_card_threeDSecure2Required")
        .await;
    assert_eq!(bank, None, "the bank's page waits");
    shop.clock.advance(Duration::from_secs(301));
    shop.settle().await;
    let (key, secret) = DEFAULT_RAZORPAY_KEY.split_once(':').unwrap();
    let link = format!("{}/razorpay/v1/payment_links/{intent}", simulator.url);
    let link = simulator.client.get(link).basic_auth(key, Some(secret));
    let link: Value = link.send().await.unwrap().json().await.unwrap();
    assert_eq!(link["status"], "cancelled");
    let expected = [attempt("razorpay", "PROCESSING", true)];
    assert_eq!(attempts(&shop).await, expected);
    assert_eq!(fan.seat("A1").await, "HELD");
}
