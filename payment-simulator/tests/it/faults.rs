//! Each failure that a booking core must bear, provoked.

use std::time::Duration;

use serde_json::json;

use crate::stage::{Stage, config, id, read, with_manual_clock};

#[tokio::test]
async fn calls_that_fail_without_effect_leave_the_intent_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let cases = [
        ("pm_sim_gateway_down", 503),
        ("pm_sim_rate_limited", 429),
        ("pm_sim_key_in_use", 409),
        ("pm_sim_currency_unsupported", 400),
    ];
    for (method, expected) in cases {
        let intent = stage.merchant.intent(&[]).await;
        let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
        let request = stage.merchant.post(&path, &[("payment_method", method)]);
        let answer = request
            .header("idempotency-key", method)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), expected, "{method}");
        let wants_pause = matches!(expected, 429 | 503);
        assert_eq!(
            answer.headers().contains_key("retry-after"),
            wants_pause,
            "{method}"
        );
        assert_eq!(
            stage.merchant.status_of(&intent).await,
            "requires_payment_method"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_replayed_to_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let cases = [
        ("pm_sim_timeout_charged", 200, "succeeded"),
        ("pm_sim_timeout_declined", 402, "requires_payment_method"),
    ];
    for (method, expected, state) in cases {
        let intent = stage.merchant.intent(&[]).await;
        let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
        let request = || {
            let request = stage.merchant.post(&path, &[("payment_method", method)]);
            request.header("idempotency-key", id(&intent))
        };
        let late = request().timeout(Duration::from_millis(300)).send().await;
        assert!(late.unwrap_err().is_timeout(), "{method}");
        let again = request().send().await.unwrap();
        assert_eq!(again.headers()["idempotent-replayed"], "true");
        assert_eq!(read(again).await.0, expected, "{method}");
        assert_eq!(stage.merchant.status_of(&intent).await, state, "{method}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_lost_request_has_no_effect_and_its_retry_is_decided_anew() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[]).await;
    let lost = json!({ "kind": "pm_sim_request_lost", "payment_intent": id(&intent) });
    stage.merchant.fault(lost).await;
    let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
    let request = || {
        let request = stage
            .merchant
            .post(&path, &[("payment_method", "pm_card_visa")]);
        request.header("idempotency-key", "lost")
    };
    let late = request().timeout(Duration::from_millis(300)).send().await;
    assert!(late.unwrap_err().is_timeout());
    assert_eq!(
        stage.merchant.status_of(&intent).await,
        "requires_payment_method"
    );
    let again = request().send().await.unwrap();
    assert!(!again.headers().contains_key("idempotent-replayed"));
    assert_eq!(read(again).await.1["status"], "succeeded");
    stage.stop().await;
}

#[tokio::test]
async fn the_bank_speaks_late() {
    let directory = tempfile::tempdir().unwrap();
    let (stage, clock) = with_manual_clock(config(directory.path())).await;
    let cases = [
        ("pm_sim_processing_succeeds", "processing", "succeeded"),
        ("pm_sim_bank_timeout_succeeds", "processing", "succeeded"),
        (
            "pm_sim_bank_timeout_fails",
            "processing",
            "requires_payment_method",
        ),
        (
            "pm_sim_late_success_after_decline",
            "requires_payment_method",
            "succeeded",
        ),
    ];
    for (method, at_first, later) in cases {
        let intent = stage.merchant.intent(&[]).await;
        stage.merchant.confirm(&intent, method).await;
        assert_eq!(
            stage.merchant.status_of(&intent).await,
            at_first,
            "{method}"
        );
        clock.advance(Duration::from_mins(1));
        stage.merchant.until_status(&intent, later).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn success_comes_after_the_cancel() {
    let directory = tempfile::tempdir().unwrap();
    let (stage, clock) = with_manual_clock(config(directory.path())).await;
    let intent = stage.merchant.intent(&[]).await;
    stage
        .merchant
        .confirm(&intent, "pm_sim_late_success_after_cancel")
        .await;
    let (status, canceled) = stage.merchant.cancel(&intent).await;
    assert_eq!((status, &canceled["status"]), (200, &json!("canceled")));
    clock.advance(Duration::from_mins(1));
    stage.merchant.until_status(&intent, "succeeded").await;
    assert_eq!(stage.merchant.ledger().await[0]["captures"], 1);
    stage.stop().await;
}

#[tokio::test]
async fn another_amount_is_captured() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[]).await;
    let (_, paid) = stage
        .merchant
        .confirm(&intent, "pm_sim_amount_mismatch")
        .await;
    assert_eq!(
        (&paid["amount"], &paid["amount_received"]),
        (&json!(1200), &json!(1300))
    );
    stage.stop().await;
}

#[tokio::test]
async fn the_customer_cancels_at_the_bank() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[]).await;
    let (_, canceled) = stage
        .merchant
        .confirm(&intent, "pm_sim_customer_cancels")
        .await;
    assert_eq!(canceled["cancellation_reason"], "requested_by_customer");
    stage.stop().await;
}

#[tokio::test]
async fn a_queued_fault_strikes_the_next_matching_call_only() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let merchant = &stage.merchant;
    let mine = merchant.intent(&[("metadata[hold_id]", "h1")]).await;
    let other = merchant.intent(&[("metadata[hold_id]", "h2")]).await;
    let decline = "pm_card_chargeDeclinedFraudulent";
    merchant
        .fault(json!({ "kind": decline, "metadata": { "hold_id": "h1" } }))
        .await;
    assert_eq!(merchant.confirm(&other, "pm_card_visa").await.0, 200);
    let (status, struck) = merchant.confirm(&mine, "pm_card_visa").await;
    assert_eq!(
        (status, &struck["error"]["decline_code"]),
        (402, &json!("fraudulent"))
    );
    assert_eq!(merchant.confirm(&mine, "pm_card_visa").await.0, 200);
    stage.stop().await;
}

#[tokio::test]
async fn faults_strike_every_kind_of_call() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let merchant = &stage.merchant;
    let down = |on: &str| json!({ "kind": "pm_sim_gateway_down", "on": on, "times": 2 });
    let intent = merchant.intent(&[]).await;
    let path = format!("/v1/payment_intents/{}", id(&intent));
    for on in ["retrieve", "cancel", "create", "refund"] {
        merchant.fault(down(on)).await;
    }
    let form = [("amount", "1200"), ("currency", "inr")];
    for expected in [503, 503, 200] {
        assert_eq!(merchant.get(&path).await.0, expected);
        assert_eq!(merchant.cancel(&intent).await.0, expected);
        assert_eq!(
            merchant.send("/v1/payment_intents", &form).await.0,
            expected
        );
    }
    let paid = merchant
        .intent(&[("payment_method", "pm_card_visa"), ("confirm", "true")])
        .await;
    for expected in [503, 503, 200] {
        let form = [("payment_intent", id(&paid))];
        assert_eq!(merchant.send("/v1/refunds", &form).await.0, expected);
    }
    assert_eq!(merchant.get("/_sim/faults").await.1, json!([]));
    stage.stop().await;
}
