//! What a customer without JavaScript sees and does.

use reqwest::{Method, Response};
use serde_json::Value;

use crate::stage::{Stage, id};

const SHOP: (&str, &str) = ("metadata[return_url]", "https://shop.example/done?hold=h1");

fn secret(intent: &Value) -> &str {
    intent["client_secret"].as_str().unwrap()
}

async fn open(stage: &Stage, intent: &Value) -> (u16, String) {
    let path = format!("/pay/{}?client_secret={}", id(intent), secret(intent));
    let response = stage
        .merchant
        .bare(Method::GET, &path)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn press(stage: &Stage, intent: &Value, action: &str, method: &str) -> Response {
    let form = [
        ("client_secret", secret(intent)),
        ("action", action),
        ("payment_method", method),
    ];
    let path = format!("/pay/{}?return_url=https://evil.example", id(intent));
    stage
        .merchant
        .bare(Method::POST, &path)
        .form(&form)
        .send()
        .await
        .unwrap()
}

fn location(response: &Response) -> &str {
    assert_eq!(response.status(), 303);
    response.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn the_page_offers_success_first_and_leads_back_to_the_shop() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage
        .merchant
        .intent(&[SHOP, ("description", "<b>A10</b>")])
        .await;
    let path = format!("/pay/{}?client_secret={}", id(&intent), secret(&intent));
    let page = stage
        .merchant
        .bare(Method::GET, &path)
        .send()
        .await
        .unwrap();
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        policy.contains("form-action 'self' https://shop.example;"),
        "{policy}"
    );
    let text = page.text().await.unwrap();
    assert!(
        text.contains("INR 12.00") && text.contains("&lt;b&gt;A10"),
        "{text}"
    );
    assert!(!text.contains("<b>A10"));
    let first = text.find("type=\"radio\"").unwrap();
    let checked = text.find("checked").unwrap();
    assert!(text[first..checked].contains("pm_card_visa"));
    assert!(!text[first..checked].contains("</label>"));
    let paid = press(&stage, &intent, "pay", "pm_card_visa").await;
    let expected = format!(
        "https://shop.example/done?hold=h1&payment_intent={}&redirect_status=succeeded",
        id(&intent)
    );
    assert_eq!(location(&paid), expected);
    let (status, outcome) = open(&stage, &intent).await;
    assert_eq!(status, 200);
    assert!(outcome.contains("Payment complete") && outcome.contains("https:&#x2f;&#x2f;shop"));
    stage.stop().await;
}

#[tokio::test]
async fn a_second_press_charges_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[SHOP]).await;
    let first = press(&stage, &intent, "pay", "pm_card_visa").await;
    let second = press(&stage, &intent, "pay", "pm_card_visa").await;
    assert_eq!(location(&first), location(&second));
    assert_eq!(stage.merchant.ledger().await[0]["captures"], 1);
    stage.stop().await;
}

#[tokio::test]
async fn a_decline_shows_the_form_again_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[SHOP]).await;
    for (method, status, words) in [
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            402,
            "insufficient funds",
        ),
        ("pm_sim_gateway_down", 503, "not available"),
    ] {
        let declined = press(&stage, &intent, "pay", method).await;
        assert_eq!(declined.status(), status);
        let text = declined.text().await.unwrap();
        assert!(
            text.contains("role=\"alert\"") && text.contains(words),
            "{text}"
        );
        assert!(text.contains("name=\"payment_method\""));
    }
    assert_eq!(
        press(&stage, &intent, "pay", "pm_card_visa").await.status(),
        303
    );
    stage.stop().await;
}

#[tokio::test]
async fn cancel_ends_the_intent() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[SHOP]).await;
    let left = press(&stage, &intent, "cancel", "pm_card_visa").await;
    assert!(location(&left).ends_with("redirect_status=canceled"));
    assert_eq!(stage.merchant.status_of(&intent).await, "canceled");
    assert!(open(&stage, &intent).await.1.contains("not been charged"));
    stage.stop().await;
}

#[tokio::test]
async fn the_bank_s_page_approves_or_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    for (action, state) in [
        ("approve", "succeeded"),
        ("fail", "requires_payment_method"),
    ] {
        let intent = stage.merchant.intent(&[SHOP]).await;
        let to_bank = press(&stage, &intent, "pay", "pm_card_threeDSecure2Required").await;
        let bank = location(&to_bank).to_owned();
        let (_, waiting) = stage
            .merchant
            .get(&format!("/v1/payment_intents/{}", id(&intent)))
            .await;
        let next = waiting["next_action"]["redirect_to_url"]["url"]
            .as_str()
            .unwrap();
        assert_eq!(next, format!("{}{bank}", stage.merchant.url));
        let page = stage
            .merchant
            .bare(Method::GET, &bank)
            .send()
            .await
            .unwrap();
        assert!(page.text().await.unwrap().contains("Approve"));
        let form = [("client_secret", secret(&intent)), ("action", action)];
        let answer = stage
            .merchant
            .bare(Method::POST, &bank)
            .form(&form)
            .send()
            .await
            .unwrap();
        let shop = location(&answer).starts_with("https://shop.example/");
        assert_eq!(shop, state == "succeeded");
        assert_eq!(stage.merchant.status_of(&intent).await, state);
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_wrong_client_secret_shows_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let mut intent = stage.merchant.intent(&[SHOP]).await;
    intent["client_secret"] = Value::from("pi_1_secret_guess");
    assert_eq!(open(&stage, &intent).await.0, 404);
    assert_eq!(
        press(&stage, &intent, "pay", "pm_card_visa").await.status(),
        404
    );
    assert_eq!(
        stage.merchant.status_of(&intent).await,
        "requires_payment_method"
    );
    stage.stop().await;
}
