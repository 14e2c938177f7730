//! The database goes away and comes back.

use std::time::Duration;

use test_support::tcp_proxy::{Line, TcpProxy};
use tokio::time::Instant;

use crate::fan::SHOW;
use crate::test_shop::TestShop;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_database_browsing_goes_on_and_selling_says_so_within_a_second() {
    let shop = TestShop::new().await;
    let database = TcpProxy::start(shop.database.server_address()).await;
    let process = shop.another_process_at(Some(database.address)).await;
    let fan = shop.fan().at(process.router.clone());
    let hold = fan.held(&["A1"]).await;

    for outage in [Line::Cut, Line::Silent] {
        database.set(outage);
        for _ in 0..3 {
            let asked = Instant::now();
            let refused = fan.hold(&["A2"]).await;
            assert_eq!(
                (refused.status, refused.code()),
                (503, "database-unavailable")
            );
            assert!(refused.headers.contains_key("retry-after"));
            assert!(asked.elapsed() < Duration::from_secs(1), "{outage:?}");
            let asked = Instant::now();
            assert_eq!(fan.get(&hold).await.code(), "database-unavailable");
            assert!(asked.elapsed() < Duration::from_secs(1), "{outage:?}");
        }
        assert_eq!(fan.get("/api/v1/cities").await.status, 200);
        assert_eq!(fan.get(SHOW).await.status, 200);
        assert_eq!(fan.seat("A1").await, "HELD");
        database.set(Line::Up);
        crate::test_shop::eventually("recovery", || async { fan.get(&hold).await.status == 200 })
            .await;
        let again = fan.held(&["A3"]).await;
        assert_eq!(fan.delete(&again).await.status, 204);
    }
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_waits_for_a_database_that_is_late() {
    let shop = TestShop::new().await;
    let database = TcpProxy::start(shop.database.server_address()).await;
    database.set(Line::Silent);
    let (process, ()) = tokio::join!(shop.another_process_at(Some(database.address)), async {
        // Longer than a pool waits for a connection.
        tokio::time::sleep(Duration::from_secs(2)).await;
        database.set(Line::Up);
    });
    let fan = shop.fan().at(process.router.clone());
    assert_eq!(fan.get(SHOW).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_seat_map_that_is_not_in_memory_says_that_the_database_is_away() {
    let shop = TestShop::new().await;
    let database = TcpProxy::start(shop.database.server_address()).await;
    let process = shop.another_process_at(Some(database.address)).await;
    let fan = shop.fan().at(process.router.clone());
    database.set(Line::Cut);
    for form in ["", "/compact", "/live"] {
        // The fan holds every answer against the served description.
        let refused = fan.get(&format!("{SHOW}/seatmap{form}")).await;
        assert_eq!(refused.code(), "database-unavailable", "{form}");
        assert!(refused.headers.contains_key("retry-after"), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_that_was_taken_when_the_database_went_away_is_no_refusal() {
    let shop = TestShop::new().await;
    let database = TcpProxy::start(shop.database.server_address()).await;
    let process = shop.another_process_at(Some(database.address)).await;
    let fan = shop.fan().at(process.router.clone());
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let mut asked = shop.provider.delay_next_fetch();
    let (confirmed, ()) = tokio::join!(fan.confirm(&hold, &intent), async {
        // The provider has said that the money is there; nobody can write it down.
        asked.arrived().await;
        database.set(Line::Cut);
        asked.release();
    });
    assert_eq!(confirmed.status, 202, "{}", confirmed.text);
    assert_eq!(confirmed.json["status"], "PROCESSING");
    database.set(Line::Up);
    crate::test_shop::eventually("the booking", || async {
        fan.confirm(&hold, &intent).await.status == 200
    })
    .await;
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_database_takes_no_writes_selling_says_so_and_goes_on_at_the_next_primary() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    shop.database.read_only_sessions(true).await;
    crate::test_shop::eventually("the refusal", || async {
        let refused = fan.hold(&["A2"]).await;
        (refused.status, refused.code()) == (503, "database-unavailable")
    })
    .await;
    assert_eq!(fan.get("/api/v1/cities").await.status, 200);
    assert_eq!(fan.seat("A1").await, "HELD");
    // Connections to the server that takes no writes are still there.
    shop.database.read_only_sessions(false).await;
    let again = fan.held(&["A3"]).await;
    assert_eq!(fan.delete(&again).await.status, 204);
    assert_eq!(fan.delete(&hold).await.status, 204);
    shop.settle().await;
    shop.assert_clean().await;
}
