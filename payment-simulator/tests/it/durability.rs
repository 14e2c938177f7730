//! What was answered survives restarts, torn lines and SIGKILL.

use std::io::Write;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::stage::{Merchant, SECRET, Stage, config, id, read, with_manual_clock};

#[tokio::test]
async fn a_restart_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (stage, _) = with_manual_clock(config(directory.path())).await;
    let keyed = |stage: &Stage| {
        let form = [
            ("amount", "1200"),
            ("currency", "inr"),
            ("metadata[hold_id]", "h1"),
        ];
        stage
            .merchant
            .post("/v1/payment_intents", &form)
            .header("idempotency-key", "k1")
    };
    let (_, intent) = read(keyed(&stage).send().await.unwrap()).await;
    stage.merchant.confirm(&intent, "pm_card_visa").await;
    stage
        .merchant
        .send("/v1/refunds", &[("payment_intent", id(&intent))])
        .await;
    let waiting = stage.merchant.intent(&[]).await;
    stage
        .merchant
        .confirm(&waiting, "pm_sim_processing_succeeds")
        .await;
    stage
        .merchant
        .fault(serde_json::json!({ "kind": "pm_sim_gateway_down" }))
        .await;
    let all = async |stage: &Stage| {
        let mut all = Vec::new();
        for path in [
            "/v1/payment_intents",
            "/v1/refunds",
            "/_sim/faults",
            "/_sim/ledger",
        ] {
            all.push(stage.merchant.get(path).await.1);
        }
        all
    };
    let before = all(&stage).await;
    stage.stop().await;
    let (stage, clock) = with_manual_clock(config(directory.path())).await;
    assert_eq!(all(&stage).await, before);
    let again = keyed(&stage).send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(read(again).await.1, intent);
    clock.advance(std::time::Duration::from_mins(1));
    stage.merchant.until_status(&waiting, "succeeded").await;
    stage.stop().await;
}

#[tokio::test]
async fn a_torn_last_line_costs_only_what_was_never_answered() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let intent = stage.merchant.intent(&[]).await;
    stage.stop().await;
    let path = directory.path().join("journal.jsonl");
    let mut journal = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    journal.write_all(b"[{\"intent\":{\"id\":\"pi_to").unwrap();
    drop(journal);
    let stage = Stage::start(directory.path()).await;
    assert_eq!(stage.merchant.confirm(&intent, "pm_card_visa").await.0, 200);
    stage.stop().await;
    let stage = Stage::start(directory.path()).await;
    assert_eq!(stage.merchant.ledger().await.len(), 1);
    assert_eq!(stage.merchant.status_of(&intent).await, "succeeded");
    stage.stop().await;
}

async fn process(directory: &std::path::Path) -> (Child, Merchant) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ropeline-payment-simulator"))
        .args(["--listen", "127.0.0.1:0", "--secret", SECRET, "--data-dir"])
        .arg(directory)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let url = line.strip_prefix("listening on ").unwrap().to_owned();
    (child, Merchant::at(url))
}

#[tokio::test]
async fn every_answered_capture_survives_sigkill() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, merchant) = process(directory.path()).await;
    let mut buyers = JoinSet::new();
    for _ in 0..8 {
        let merchant = merchant.clone();
        buyers.spawn(async move {
            let mut answered = Vec::new();
            let form = [
                ("amount", "1200"),
                ("currency", "inr"),
                ("payment_method", "pm_card_visa"),
                ("confirm", "true"),
            ];
            // Until the process is gone.
            while let Ok(response) = merchant.post("/v1/payment_intents", &form).send().await {
                let Ok(intent) = response.json::<serde_json::Value>().await else {
                    break;
                };
                answered.push(id(&intent).to_owned());
            }
            answered
        });
    }
    crate::stage::until(|| async { merchant.ledger().await.len() >= 50 }).await;
    child.kill().await.unwrap();
    let answered = buyers.join_all().await.concat();
    assert!(answered.len() >= 40, "{}", answered.len());
    let (mut child, merchant) = process(directory.path()).await;
    let ledger = merchant.ledger().await;
    for payment_intent in &answered {
        let line = ledger
            .iter()
            .find(|line| line["payment_intent"] == *payment_intent.as_str());
        assert_eq!(line.expect("answered, so durable")["captured"], 1200);
    }
    child.kill().await.unwrap();
}
