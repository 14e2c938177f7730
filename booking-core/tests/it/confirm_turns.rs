//! Whoever confirms waits for their turn, by the API and on the page alike.

use booking_core::ConfirmTurn;
use booking_core::config::{CONFIRMS_AT_ONCE, CONFIRMS_WAITING_MAX};
use futures_util::future::join_all;
use futures_util::poll;
use serde_json::json;

use crate::test_shop::TestShop;

#[tokio::test]
async fn whoever_gets_no_turn_leaves_nothing_behind_and_confirms_later() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let page = format!(
        "{}/return?payment_intent={intent}",
        hold.trim_start_matches("/api/v1")
    );
    let fan = fan.with_header("idempotency-key", "key");
    let booking = &shop.process.booking;
    let turns = join_all((0..CONFIRMS_AT_ONCE).map(|_| booking.confirm_turn())).await;
    let is_granted = |turn: &ConfirmTurn| matches!(turn, ConfirmTurn::Granted(_));
    assert!(turns.iter().all(is_granted));

    let (answer, shown) = tokio::join!(fan.confirm(&hold, &intent), fan.get(&page));
    assert_eq!(
        (answer.status, &answer.json["status"]),
        (202, &json!("PROCESSING"))
    );
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(shown.status, 202, "{}", shown.text);
    let mut waiting: Vec<_> = (0..CONFIRMS_WAITING_MAX)
        .map(|_| Box::pin(booking.confirm_turn()))
        .collect();
    for turn in &mut waiting {
        assert!(poll!(turn).is_pending());
    }
    let full = fan.confirm(&hold, &intent).await;
    assert_eq!((full.status, full.code()), (503, "booking-busy"));
    assert_eq!(fan.get(&page).await.status, 503);
    let mut database = shop.database.connect().await;
    let claimed: i64 = sqlx::query_scalar("select count(*) from idempotency_keys")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(claimed, 0, "keys of those who got no turn");

    drop(waiting);
    drop(turns);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
}
