//! Intents, refunds, lists, keys.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stage::{SECRET, Stage, id, read};

/// A form, and the code and parameter it is refused with.
type Refusal = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

#[tokio::test]
async fn an_intent_is_created_confirmed_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let merchant = &stage.merchant;
    let intent = merchant
        .intent(&[("metadata[hold_id]", "h1"), ("description", "A10")])
        .await;
    assert_eq!(intent["object"], "payment_intent");
    assert_eq!(intent["status"], "requires_payment_method");
    assert_eq!(intent["metadata"], json!({ "hold_id": "h1" }));
    let secret = intent["client_secret"].as_str().unwrap();
    assert!(secret.starts_with(&format!("{}_secret_", id(&intent))));
    let (status, paid) = merchant.confirm(&intent, "pm_card_visa").await;
    assert_eq!((status, &paid["status"]), (200, &json!("succeeded")));
    assert_eq!(
        (&paid["amount_received"], &paid["livemode"]),
        (&json!(1200), &json!(false))
    );
    let (_, read_back) = merchant
        .get(&format!("/v1/payment_intents/{}", id(&intent)))
        .await;
    assert_eq!(read_back, paid);
    stage.stop().await;
}

#[tokio::test]
async fn a_decline_answers_402_with_the_intent_and_allows_another_card() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let cases = [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
        ),
        (
            "pm_card_chargeDeclinedExpiredCard",
            "expired_card",
            "expired_card",
        ),
        (
            "pm_card_chargeDeclinedIncorrectCvc",
            "incorrect_cvc",
            "incorrect_cvc",
        ),
        (
            "pm_card_chargeDeclinedProcessingError",
            "processing_error",
            "processing_error",
        ),
        (
            "pm_card_chargeDeclinedFraudulent",
            "card_declined",
            "fraudulent",
        ),
        (
            "pm_sim_invalid_number",
            "incorrect_number",
            "incorrect_number",
        ),
        (
            "pm_sim_currency_declined",
            "card_declined",
            "currency_not_supported",
        ),
        (
            "pm_sim_duplicate_transaction",
            "card_declined",
            "duplicate_transaction",
        ),
    ];
    for (method, code, decline_code) in cases {
        let intent = stage.merchant.intent(&[]).await;
        let (status, answer) = stage.merchant.confirm(&intent, method).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["type"]),
            (402, &json!("card_error")),
            "{method}"
        );
        assert_eq!(
            (&error["code"], &error["decline_code"]),
            (&json!(code), &json!(decline_code))
        );
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        assert_eq!(error["payment_intent"]["last_payment_error"]["code"], code);
        let (status, _) = stage.merchant.confirm(&intent, "pm_card_mastercard").await;
        assert_eq!(status, 200, "{method}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn cards_are_known_by_token_and_by_number_and_numbers_are_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let cases = [
        ("payment_method_data[card][token]", "tok_visa", 200),
        (
            "payment_method_data[card][number]",
            "4000 0000 0000 9995",
            402,
        ),
        ("payment_method_data[card][number]", "4111111111111111", 400),
    ];
    for (field, value, expected) in cases {
        let intent = stage
            .merchant
            .intent(&[("automatic_payment_methods[enabled]", "true")])
            .await;
        let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
        let form = [("payment_method_data[type]", "card"), (field, value)];
        assert_eq!(
            stage.merchant.send(&path, &form).await.0,
            expected,
            "{value}"
        );
    }
    stage.stop().await;
    let journal = std::fs::read_to_string(directory.path().join("journal.jsonl")).unwrap();
    assert!(
        !journal.contains("0000 9995")
            && !journal.contains("4000000000009995")
            && !journal.contains("4111111111111111")
    );
}

#[tokio::test]
async fn concurrent_confirms_capture_once() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[]).await;
    let mut confirms = JoinSet::new();
    for _ in 0..20 {
        let (merchant, intent) = (stage.merchant.clone(), intent.clone());
        confirms.spawn(async move { merchant.confirm(&intent, "pm_card_visa").await });
    }
    let answers = confirms.join_all().await;
    assert_eq!(
        answers.iter().filter(|(status, _)| *status == 200).count(),
        1
    );
    for (status, answer) in answers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!(*status, 400);
        assert_eq!(answer["error"]["code"], "payment_intent_unexpected_state");
    }
    let ledger = stage.merchant.ledger().await;
    assert_eq!(
        (&ledger[0]["captures"], &ledger[0]["captured"]),
        (&json!(1), &json!(1200))
    );
    stage.stop().await;
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_other_parameters_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let create = |amount: &'static str| {
        let form = [("amount", amount), ("currency", "inr")];
        stage
            .merchant
            .post("/v1/payment_intents", &form)
            .header("idempotency-key", "k1")
    };
    let first = create("1200").send().await.unwrap();
    assert!(first.headers().get("idempotent-replayed").is_none());
    let again = create("1200").send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(
        again.headers()["original-request"],
        first.headers()["request-id"]
    );
    assert_eq!(read(again).await, read(first).await);
    let (status, other) = read(create("1300").send().await.unwrap()).await;
    assert_eq!(
        (status, &other["error"]["type"]),
        (400, &json!("idempotency_error"))
    );
    assert_eq!(stage.merchant.ledger().await.len(), 1);
    stage.stop().await;
}

#[tokio::test]
async fn one_key_used_at_the_same_time_makes_one_intent() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let mut creates = JoinSet::new();
    for _ in 0..20 {
        let form = [
            ("amount", "1200"),
            ("currency", "inr"),
            ("payment_method", "pm_card_visa"),
        ];
        let request = stage.merchant.post("/v1/payment_intents", &form);
        let request = request.header("idempotency-key", "same");
        creates.spawn(async move { read(request.send().await.unwrap()).await });
    }
    let mut ids = HashSet::new();
    for (status, answer) in creates.join_all().await {
        if status == 200 {
            ids.insert(id(&answer).to_owned());
        } else {
            assert_eq!(status, 409);
            assert_eq!(answer["error"]["code"], "idempotency_key_in_use");
        }
    }
    assert_eq!((ids.len(), stage.merchant.ledger().await.len()), (1, 1));
    stage.stop().await;
}

#[tokio::test]
async fn concurrent_refunds_never_exceed_the_capture() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let paid = stage
        .merchant
        .intent(&[("payment_method", "pm_card_visa"), ("confirm", "true")]);
    let paid = paid.await;
    let mut refunds = JoinSet::new();
    for _ in 0..20 {
        let (merchant, paid) = (stage.merchant.clone(), paid.clone());
        refunds.spawn(async move {
            let form = [("payment_intent", id(&paid)), ("amount", "500")];
            merchant.send("/v1/refunds", &form).await
        });
    }
    let answers = refunds.join_all().await;
    assert_eq!(
        answers.iter().filter(|(status, _)| *status == 200).count(),
        2
    );
    let (status, rest) = stage
        .merchant
        .send("/v1/refunds", &[("payment_intent", id(&paid))])
        .await;
    assert_eq!((status, &rest["amount"]), (200, &json!(200)));
    let (status, none) = stage
        .merchant
        .send("/v1/refunds", &[("payment_intent", id(&paid))])
        .await;
    assert_eq!(
        (status, &none["error"]["code"]),
        (400, &json!("charge_already_refunded"))
    );
    assert_eq!(stage.merchant.ledger().await[0]["refunded"], 1200);
    let (_, list) = stage
        .merchant
        .get(&format!("/v1/refunds?payment_intent={}", id(&paid)))
        .await;
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
    let (_, one) = stage
        .merchant
        .get(&format!("/v1/refunds/{}", id(&rest)))
        .await;
    assert_eq!(one, rest);
    stage.stop().await;
}

#[tokio::test]
async fn lists_are_paged_newest_first_without_gaps() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.insert(0, id(&stage.merchant.intent(&[]).await).to_owned());
    }
    let mut seen = Vec::new();
    let mut path = "/v1/payment_intents?limit=3".to_owned();
    loop {
        let (_, page) = stage.merchant.get(&path).await;
        let data = page["data"].as_array().unwrap();
        seen.extend(data.iter().map(|intent| id(intent).to_owned()));
        if page["has_more"] == Value::Bool(false) {
            break;
        }
        let last = seen.last().unwrap();
        path = format!("/v1/payment_intents?limit=3&starting_after={last}");
    }
    assert_eq!(seen, made);
    let (_, none) = stage
        .merchant
        .get("/v1/payment_intents?created[lt]=1000")
        .await;
    assert_eq!(none["data"], json!([]));
    let (_, all) = stage
        .merchant
        .get("/v1/payment_intents?created[gte]=1000")
        .await;
    assert_eq!(all["data"].as_array().unwrap().len(), 7);
    stage.stop().await;
}

#[tokio::test]
async fn keys_decide_who_may_do_what() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let merchant = &stage.merchant;
    let intent = merchant.intent(&[("metadata[hold_id]", "h1")]).await;
    let path = format!("/v1/payment_intents/{}", id(&intent));
    let confirm = format!("{path}/confirm");
    let secret = intent["client_secret"].as_str().unwrap();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();

    assert_eq!(status(merchant.bare(Method::GET, &path)).await, 401);
    assert_eq!(
        status(merchant.bare(Method::GET, &path).bearer_auth("sk_test_x")).await,
        401
    );
    let basic = merchant
        .bare(Method::GET, &path)
        .basic_auth(SECRET, Some(""));
    assert_eq!(status(basic).await, 200);
    assert_eq!(
        status(merchant.bare(Method::GET, "/_sim/ledger")).await,
        401
    );
    assert_eq!(
        status(merchant.bare(Method::POST, "/_sim/faults")).await,
        401
    );

    let wrong = [
        ("client_secret", "pi_x"),
        ("payment_method", "pm_card_visa"),
    ];
    assert_eq!(
        status(merchant.bare(Method::POST, &confirm).form(&wrong)).await,
        400
    );
    let public = merchant.bare(Method::GET, &format!("{path}?client_secret={secret}"));
    let (_, shown) = read(public.bearer_auth("pk_test_x").send().await.unwrap()).await;
    assert!(shown["metadata"].is_null());
    let right = [
        ("client_secret", secret),
        ("payment_method", "pm_card_visa"),
    ];
    let answer = merchant
        .bare(Method::POST, &confirm)
        .form(&right)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(read(answer).await.1["status"], "succeeded");
    let cancel = merchant
        .bare(Method::POST, &format!("{path}/cancel"))
        .form(&right[..1]);
    assert_eq!(status(cancel).await, 401);
    assert_eq!(status(merchant.bare(Method::OPTIONS, &confirm)).await, 204);
    stage.stop().await;
}

#[tokio::test]
async fn wrong_requests_get_stripe_s_errors() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let cases: [Refusal; 7] = [
        (&[("currency", "inr")], "parameter_missing", "amount"),
        (
            &[("amount", "0"), ("currency", "inr")],
            "parameter_invalid_integer",
            "amount",
        ),
        (
            &[("amount", "1x"), ("currency", "inr")],
            "parameter_invalid_integer",
            "amount",
        ),
        (&[("amount", "1")], "parameter_missing", "currency"),
        (
            &[("amount", "1"), ("currency", "xyz")],
            "currency_not_supported",
            "currency",
        ),
        (
            &[("amount", "100"), ("currency", "inr"), ("a", "b")],
            "parameter_unknown",
            "a",
        ),
        (
            &[
                ("amount", "5000"),
                ("currency", "inr"),
                ("payment_method", "pm_x"),
            ],
            "resource_missing",
            "payment_method",
        ),
    ];
    for (form, code, param) in cases {
        let (status, answer) = stage.merchant.send("/v1/payment_intents", form).await;
        let error = &answer["error"];
        assert!(matches!(status, 400 | 404), "{form:?}");
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!(code), &json!(param)),
            "{form:?}"
        );
    }
    let (status, missing) = stage.merchant.get("/v1/payment_intents/pi_none").await;
    assert_eq!(
        (status, &missing["error"]["code"]),
        (404, &json!("resource_missing"))
    );
    let (status, unknown) = stage.merchant.get("/v1/customers").await;
    assert_eq!(
        (status, &unknown["error"]["type"]),
        (404, &json!("invalid_request_error"))
    );
    assert!(stage.merchant.ledger().await.is_empty());
    stage.stop().await;
}

#[tokio::test]
async fn a_browser_and_the_merchant_may_use_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let form = [("amount", "1200"), ("currency", "inr")];
    let created = stage.merchant.post("/v1/payment_intents", &form);
    let created = created
        .header("idempotency-key", "k1")
        .send()
        .await
        .unwrap();
    let (_, intent) = read(created).await;
    let form = [
        ("client_secret", intent["client_secret"].as_str().unwrap()),
        ("payment_method", "pm_card_visa"),
    ];
    let path = format!("/v1/payment_intents/{}/confirm", id(&intent));
    let confirm = || {
        let request = stage.merchant.bare(Method::POST, &path);
        request.header("idempotency-key", "k1").form(&form).send()
    };
    let (status, paid) = read(confirm().await.unwrap()).await;
    assert_eq!(
        (status, &paid["status"]),
        (200, &json!("succeeded")),
        "{paid}"
    );
    let again = confirm().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    stage.stop().await;
}
