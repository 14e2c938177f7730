//! Stripe's checkout sessions and Razorpay's payment links: kept over a restart, told of, and failing
//! apart. What the providers' own libraries do with them is in `scripts/providers/check.py`.

use axum::http::Method;
use payment_simulator::config::DEFAULT_RAZORPAY_KEY;
use serde_json::{Value, json};

use crate::stage::{Merchant, SECRET, Shop, Stage, config, id, read, until};

async fn session(merchant: &Merchant) -> Value {
    let form = [
        ("mode", "payment"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "inr"),
        ("line_items[0][price_data][unit_amount]", "1200"),
        ("line_items[0][price_data][product_data][name]", "Tickets"),
        ("success_url", "http://shop.test/back"),
        ("payment_intent_data[metadata][hold_id]", "h1"),
    ];
    let (status, session) = merchant.send("/v1/checkout/sessions", &form).await;
    assert_eq!(status, 200, "{session}");
    session
}

async fn razorpay(merchant: &Merchant, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (key, secret) = DEFAULT_RAZORPAY_KEY.split_once(':').unwrap();
    let request = merchant
        .bare(method, &format!("/razorpay/v1/{path}"))
        .basic_auth(key, Some(secret));
    read(request.json(body).send().await.unwrap()).await
}

async fn link(merchant: &Merchant, reference: &str) -> Value {
    let body = json!({"amount": 1200, "currency": "INR", "reference_id": reference});
    let (status, link) = razorpay(merchant, Method::POST, "payment_links", &body).await;
    assert_eq!(status, 200, "{link}");
    link
}

/// Pays on the page of a session or a link.
async fn pay(merchant: &Merchant, page: &str, method: &str) {
    let path = |url: &str| url.replace(&merchant.url, "");
    let shown = merchant
        .bare(Method::GET, &path(page))
        .send()
        .await
        .unwrap();
    let to = shown
        .headers()
        .get("location")
        .map(|to| to.to_str().unwrap());
    let page = to.unwrap_or(page).to_owned();
    let secret = page
        .split_once("client_secret=")
        .map(|(_, secret)| secret.to_owned());
    let action = path(page.split('?').next().unwrap());
    let secret = secret.unwrap_or_default();
    let form = [
        ("payment_method", method),
        ("client_secret", secret.as_str()),
    ];
    let request = merchant.bare(Method::POST, &action).form(&form);
    request.send().await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_pages_and_their_payments() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let session = session(&stage.merchant).await;
    let made = link(&stage.merchant, "r1").await;
    let page = made["short_url"].as_str().unwrap();
    pay(
        &stage.merchant,
        session["url"].as_str().unwrap(),
        "pm_card_visa",
    )
    .await;
    pay(&stage.merchant, page, "pm_card_chargeDeclined").await;
    pay(&stage.merchant, page, "pm_card_visa").await;
    stage.stop().await;
    let stage = Stage::start(directory.path()).await;
    let path = format!("/v1/checkout/sessions/{}", id(&session));
    let (_, session) = stage.merchant.get(&path).await;
    assert_eq!(
        (&session["status"], &session["payment_status"]),
        (&json!("complete"), &json!("paid"))
    );
    let path = format!("payment_links/{}", id(&made));
    let (_, link) = razorpay(&stage.merchant, Method::GET, &path, &json!({})).await;
    assert_eq!(
        (&link["status"], &link["amount_paid"]),
        (&json!("paid"), &json!(1200))
    );
    let path = format!("orders/{}/payments", link["order_id"].as_str().unwrap());
    let (_, payments) = razorpay(&stage.merchant, Method::GET, &path, &json!({})).await;
    let found = payments["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["status"]);
    assert_eq!(found.collect::<Vec<_>>(), ["captured", "failed"]);
    // The reference stays used.
    let body = json!({"amount": 1200, "currency": "INR", "reference_id": "r1"});
    let (status, again) = razorpay(&stage.merchant, Method::POST, "payment_links", &body).await;
    assert_eq!(
        (status, &again["error"]["code"]),
        (400, &json!("BAD_REQUEST_ERROR"))
    );
    // Each provider shows its own only.
    let (_, intents) = stage.merchant.get("/v1/payment_intents").await;
    assert_eq!(intents["data"].as_array().unwrap().len(), 1);
    let (_, payments) = razorpay(&stage.merchant, Method::GET, "payments", &json!({})).await;
    assert_eq!(payments["count"], 2);
    assert_eq!(stage.merchant.ledger().await.len(), 3);
    stage.stop().await;
}

#[tokio::test]
async fn an_endpoint_for_everything_hears_everything() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(0).await;
    let mut all = config(directory.path());
    all.webhook_url = Some(shop.url.clone());
    all.webhook_events = "*".to_owned();
    let stage = Stage::with(all, contract::SystemClock).await;
    let session = session(&stage.merchant).await;
    pay(
        &stage.merchant,
        session["url"].as_str().unwrap(),
        "pm_card_chargeDeclined",
    )
    .await;
    pay(
        &stage.merchant,
        session["url"].as_str().unwrap(),
        "pm_card_visa",
    )
    .await;
    let told = || {
        let arrivals = shop.arrivals();
        let mut kinds: Vec<String> = arrivals
            .iter()
            .map(|it| it.event["type"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort_unstable();
        kinds
    };
    let expected = [
        "charge.failed",
        "charge.succeeded",
        "checkout.session.completed",
        "payment_intent.created",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
    ];
    until(|| async { told() == expected }).await;
    stage.stop().await;
}

#[tokio::test]
async fn one_provider_fails_without_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let outage = async |provider: &str, mode: Value| {
        let body = json!({"provider": provider, "mode": mode});
        let request = stage.merchant.bare(Method::POST, "/_sim/outages");
        let answer = request
            .bearer_auth(SECRET)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    };
    let links = async || razorpay(&stage.merchant, Method::GET, "payment_links", &json!({})).await;
    let intents = async || stage.merchant.get("/v1/payment_intents").await.0;
    outage("razorpay", json!("down")).await;
    let (status, error) = links().await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (503, &json!("SERVER_ERROR"))
    );
    assert_eq!(intents().await, 200);
    outage("razorpay", json!("up")).await;
    outage("stripe", json!("rate_limited")).await;
    assert_eq!((links().await.0, intents().await), (200, 429));
    outage("stripe", json!("loses_answers")).await;
    let form = [("amount", "1200"), ("currency", "inr")];
    let (status, _) = stage.merchant.send("/v1/payment_intents", &form).await;
    assert_eq!(status, 500);
    outage("stripe", json!("up")).await;
    // The work was done.
    assert_eq!(stage.merchant.ledger().await.len(), 1);
    stage.stop().await;
}
