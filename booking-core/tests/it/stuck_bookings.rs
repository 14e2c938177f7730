//! Bookings of a cancelled show that cannot be cancelled.

use std::time::Duration;

use serde_json::json;

use crate::cancel::{admin, bought};
use crate::test_shop::{TestShop, show_file};

#[tokio::test]
async fn bookings_that_fail_do_not_keep_the_others_waiting() {
    let mut file = show_file();
    file["sections"][0]["seatsPerRow"] = json!(60);
    let shop = TestShop::with(file).await;
    // A pass takes 50.
    for number in 1..=53 {
        bought(&shop, &[&format!("A{number}")]).await;
    }
    shop.meddle(
        "update show_seats set booking_id = gen_random_uuid() where booking_id in (
            select booking_id from bookings order by booking_id limit 51)",
    )
    .await;
    let desk = admin(&shop);
    let path = "/admin/v1/shows/eras-mumbai-1/cancel";
    assert_eq!(desk.post(path, &json!({})).await.status, 202);
    let cancel_some = || async { shop.process.booking.show_cancel_once().await.unwrap() };
    assert_eq!(cancel_some().await, 0);
    assert_eq!(cancel_some().await, 2);
    let progress = desk
        .get("/admin/v1/shows/eras-mumbai-1/cancellation")
        .await
        .json;
    assert_eq!(
        (
            &progress["bookingsLeft"],
            &progress["bookingsStuck"],
            &progress["done"]
        ),
        (&json!(51), &json!(51), &json!(false)),
        "{progress}"
    );
    // They are not tried at every pass, and are once they are mended.
    assert_eq!(cancel_some().await, 0);
    shop.meddle(
        "update show_seats s set booking_id = t.booking_id from tickets t
         where t.show_no = s.show_no and t.seat_no = s.seat_no and t.status <> 'VOID'",
    )
    .await;
    assert_eq!(cancel_some().await, 0);
    shop.clock.advance(Duration::from_secs(61));
    while cancel_some().await > 0 {}
    shop.settle().await;
    let progress = desk
        .get("/admin/v1/shows/eras-mumbai-1/cancellation")
        .await
        .json;
    assert_eq!(
        (&progress["bookingsLeft"], &progress["bookingsStuck"]),
        (&json!(0), &json!(0))
    );
    shop.assert_clean().await;
}
