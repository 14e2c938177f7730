//! How often one customer may call.

use std::num::NonZeroU32;

use booking_core::{Rate, Rates};
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

#[tokio::test]
async fn each_kind_has_the_limit_that_was_set() {
    let shop = TestShop::new().await;
    let once = Rate {
        per_second: NonZeroU32::MIN,
        burst: NonZeroU32::MIN,
    };
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    for kind in ["browse", "hold", "pay", "confirm"] {
        let mut rates = Rates::default();
        let pair = match kind {
            "browse" => &mut rates.browse,
            "hold" => &mut rates.hold,
            "pay" => &mut rates.pay,
            _ => &mut rates.confirm,
        };
        pair.customer = once;
        let process = shop.another_process_limited(rates).await;
        let fan = fan.at(process.router.clone());
        for (asked, limited) in [
            (fan.get(&hold).await, "browse"),
            (fan.get(&hold).await, "browse"),
            (fan.pay(&hold).await, "pay"),
            (fan.pay(&hold).await, "pay"),
            (fan.confirm(&hold, &intent).await, "confirm"),
            (fan.confirm(&hold, &intent).await, "confirm"),
            (fan.hold(&["A1"]).await, "hold"),
            (fan.hold(&["A1"]).await, "hold"),
        ]
        .into_iter()
        .skip(1)
        .step_by(2)
        {
            let is_refused = asked.status == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(is_refused, limited == kind, "{kind}: {}", asked.text);
        }
    }
}
