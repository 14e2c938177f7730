//! How often one customer may call.

use http::StatusCode;

use crate::test_shop::TestShop;

#[tokio::test]
async fn a_customer_who_pays_over_and_over_is_told_to_wait_and_others_are_not() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = fan.pay(&hold).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
        assert_ne!(answer.status, 422, "{}", answer.text);
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code(), "rate-limited");
    assert!(refused.headers.contains_key("retry-after"));
    // Looking, and what others do, goes on.
    assert_eq!(fan.get(&hold).await.status, 200);
    let other = shop.fan();
    let hold = other.held(&["A2"]).await;
    assert_eq!(other.pay(&hold).await.status, 201);
}
