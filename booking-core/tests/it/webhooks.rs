//! Webhooks at the door: what cannot be stored is nobody else's failure.

use futures_util::future::join_all;
use serde_json::json;

use crate::test_shop::TestShop;

/// An event about somebody else's payment.
fn event(id: &str) -> String {
    let object = json!({"id": "pi_elsewhere", "object": "payment_intent"});
    json!({"id": id, "type": "payment_intent.succeeded", "data": {"object": object}}).to_string()
}

async fn stored(shop: &TestShop) -> i64 {
    shop.count("select count(*) from payment_events").await
}

/// Text that does not compress, so that no index takes it.
fn noise(length: usize) -> String {
    let mut state = 1_u32;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((state >> 24) % 26).unwrap())
    });
    letters.take(length).collect()
}

#[tokio::test]
async fn an_id_that_is_too_long_is_refused_and_fails_nobody_else() {
    let shop = TestShop::new().await;
    let long = noise(5_000);
    let answers = join_all((0..40).map(|nth| {
        let id = format!("evt_{nth}");
        let body = event(if nth == 20 { &long } else { &id });
        shop.deliver(body)
    }))
    .await;
    for (nth, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, if nth == 20 { 400 } else { 200 }, "{nth}");
    }
    assert_eq!(stored(&shop).await, 39);
    assert_eq!(shop.deliver(event(&noise(255))).await, 200);
    assert_eq!(shop.deliver(event(&noise(256))).await, 400);
    assert_eq!(shop.deliver(event("")).await, 400);
    assert_eq!(stored(&shop).await, 40);
}

#[tokio::test]
async fn one_that_the_database_refuses_fails_alone() {
    let shop = TestShop::new().await;
    shop.meddle(
        "alter table payment_events add constraint no_poison check (event_id <> 'evt_poison')",
    )
    .await;
    let answers = join_all((0..60).map(|nth| {
        let id = format!("evt_{}", nth % 50);
        shop.deliver(event(if nth == 30 { "evt_poison" } else { &id }))
    }))
    .await;
    for (nth, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, if nth == 30 { 500 } else { 200 }, "{nth}");
    }
    assert_eq!(stored(&shop).await, 49);
}
