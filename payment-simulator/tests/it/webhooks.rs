//! Events: signed, retried, durable, and as unreliable as a plan says.

use std::time::Duration;

use contract::SystemClock;
use payment_simulator::Config;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::stage::{Shop, Stage, WEBHOOK_SECRET, config, id, until, with_manual_clock};

fn telling(directory: &TempDir, shop: &Shop) -> Config {
    Config {
        webhook_url: Some(shop.url.clone()),
        ..config(directory.path())
    }
}

/// HMAC-SHA256 from its definition in RFC 2104, so that the library is not checked by itself.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64, "longer keys would be hashed first");
    let padded = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

#[tokio::test]
async fn events_are_signed_and_carry_the_object() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(0).await;
    let stage = Stage::with(telling(&directory, &shop), SystemClock).await;
    let intent = stage.merchant.intent(&[("metadata[hold_id]", "h1")]).await;
    stage.merchant.confirm(&intent, "pm_card_visa").await;
    shop.until_told(&intent, "payment_intent.succeeded").await;
    let arrival = shop.arrivals().remove(0);
    let (time, tag) = arrival.signature.split_once(',').unwrap();
    let seconds = time.strip_prefix("t=").unwrap();
    let signed = format!("{seconds}.{}", arrival.body);
    let tag_expected = hmac_sha256(WEBHOOK_SECRET.as_bytes(), signed.as_bytes());
    let hex = data_encoding::HEXLOWER.encode(&tag_expected);
    assert_eq!(tag, format!("v1={hex}"));
    assert!(id(&arrival.event).starts_with("evt_"));
    assert_eq!(arrival.event["data"]["object"]["metadata"]["hold_id"], "h1");
    stage.stop().await;
}

#[tokio::test]
async fn a_refund_is_told_of_the_charge_and_of_itself() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(0).await;
    let stage = Stage::with(telling(&directory, &shop), SystemClock).await;
    let more = [("payment_method", "pm_card_visa"), ("confirm", "true")];
    let paid = stage.merchant.intent(&more).await;
    stage
        .merchant
        .send("/v1/refunds", &[("payment_intent", id(&paid))])
        .await;
    until(|| async { shop.arrivals().len() == 4 }).await;
    let mut types: Vec<String> = shop
        .arrivals()
        .iter()
        .map(|arrival| arrival.event["type"].to_string())
        .collect();
    types.sort();
    let told = [
        "\"charge.refunded\"",
        "\"payment_intent.succeeded\"",
        "\"refund.created\"",
        "\"refund.updated\"",
    ];
    assert_eq!(types, told);
    stage.stop().await;
}

#[tokio::test]
async fn a_refused_event_comes_again_even_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(1).await;
    let stage = Stage::with(telling(&directory, &shop), SystemClock).await;
    let intent = stage.merchant.intent(&[]).await;
    stage.merchant.confirm(&intent, "pm_card_visa").await;
    until(|| async { shop.refusals_left() == 0 }).await;
    stage.stop().await;
    let stage = Stage::with(telling(&directory, &shop), SystemClock).await;
    shop.until_told(&intent, "payment_intent.succeeded").await;
    stage.stop().await;
}

#[tokio::test]
async fn duplicated_events_come_five_times_and_dropped_ones_never() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(0).await;
    let stage = Stage::with(telling(&directory, &shop), SystemClock).await;
    let dropped = stage.merchant.intent(&[]).await;
    stage
        .merchant
        .confirm(&dropped, "pm_sim_webhooks_dropped")
        .await;
    let duplicated = stage.merchant.intent(&[]).await;
    stage
        .merchant
        .confirm(&duplicated, "pm_sim_webhooks_duplicated")
        .await;
    until(|| async { shop.types_about(&duplicated).len() == 5 }).await;
    let arrivals = shop.arrivals();
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.event["id"] == arrivals[0].event["id"])
    );
    assert!(shop.types_about(&dropped).is_empty());
    stage.stop().await;
}

#[tokio::test]
async fn reordered_events_end_first() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(0).await;
    let (stage, clock) = with_manual_clock(telling(&directory, &shop)).await;
    let intent = stage.merchant.intent(&[]).await;
    stage
        .merchant
        .confirm(&intent, "pm_sim_webhooks_reordered")
        .await;
    clock.advance(Duration::from_mins(1));
    until(|| async { shop.types_about(&intent).len() == 2 }).await;
    let order = ["payment_intent.succeeded", "payment_intent.processing"];
    assert_eq!(shop.types_about(&intent), order);
    stage.stop().await;
}

#[tokio::test]
async fn delayed_events_come_after_the_delay() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(0).await;
    let (stage, clock) = with_manual_clock(telling(&directory, &shop)).await;
    let delayed = stage.merchant.intent(&[]).await;
    stage
        .merchant
        .confirm(&delayed, "pm_sim_webhooks_delayed")
        .await;
    let prompt = stage.merchant.intent(&[]).await;
    stage.merchant.confirm(&prompt, "pm_card_visa").await;
    shop.until_told(&prompt, "payment_intent.succeeded").await;
    assert!(shop.types_about(&delayed).is_empty());
    clock.advance(Duration::from_mins(1));
    shop.until_told(&delayed, "payment_intent.succeeded").await;
    stage.stop().await;
}
