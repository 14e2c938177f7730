//! Holds end on time.

use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, ManualClock, Timestamp};
use tokio::time::Instant;

use crate::fan::SHOW;
use crate::test_shop::{TestShop, eventually};

#[tokio::test]
async fn a_hold_that_is_due_expires_and_one_with_an_open_payment_goes_to_the_resolver() {
    let shop = TestShop::new().await;
    let booking = &shop.process.booking;
    let fan = shop.fan();
    assert_eq!(booking.expire_due_once().await.unwrap(), 0);
    fan.held(&["A1"]).await;
    let paying = fan.held(&["A2"]).await;
    let intent = fan.intent(&paying).await;

    shop.clock.advance(Duration::from_millis(299_999));
    assert_eq!(booking.expire_due_once().await.unwrap(), 0);
    assert_eq!(fan.seat("A1").await, "HELD");
    // Holds that end within one grain are expired together, at its end.
    shop.clock.advance(Duration::from_millis(21));
    assert_eq!(booking.expire_due_once().await.unwrap(), 1);
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(fan.seat("A2").await, "HELD");
    assert_ne!(shop.provider.status(&intent), "canceled");

    booking.poll_once().await.unwrap();
    assert_eq!(shop.provider.status(&intent), "canceled");
    assert_eq!(fan.seat("A2").await, "AVAILABLE");
    assert_eq!(booking.expire_due_once().await.unwrap(), 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_hold_that_was_paid_in_time_is_left_alone() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_secs(301));
    let booking = &shop.process.booking;
    assert_eq!(booking.expire_due_once().await.unwrap(), 0);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    assert_eq!(fan.seat("A1").await, "BOOKED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_process_that_dies_leaves_its_holds_to_any_sweeper() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    shop.fan().at(other.router.clone()).held(&["A1"]).await;
    other.kill().await;
    shop.clock.advance(Duration::from_secs(301));
    let booking = &shop.process.booking;
    assert_eq!(booking.expire_due_once().await.unwrap(), 0);
    assert_eq!(booking.sweep_once().await.unwrap(), 1);
    shop.assert_clean().await;
}

/// A clock that runs, and can be set besides.
struct RunningClock {
    set: ManualClock,
    started: Instant,
}

impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        self.set.now().plus(self.started.elapsed())
    }
}

/// Holds that end at nine times spread over more than the workers' period: workers that only look
/// once in a period would be on time for a few of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_background_work_expires_holds_on_time() {
    const APART_MS: u64 = 150;

    let shop = TestShop::new().await;
    let clock = Arc::new(RunningClock {
        set: ManualClock::default(),
        started: Instant::now(),
    });
    let hold_clock: Arc<dyn Clock> = Arc::<RunningClock>::clone(&clock);
    let process = shop.another_process_that_goes_by(hold_clock).await;
    let fan = || shop.fan().at(process.router.clone());
    for number in 1..=9 {
        fan().held(&[&format!("A{number}")]).await;
        let paying = fan();
        let hold = paying.held(&[&format!("B{number}")]).await;
        paying.intent(&hold).await;
        clock.set.advance(Duration::from_millis(APART_MS));
    }
    // To three seconds before the first end: the timer has to notice that the clock was set.
    clock
        .set
        .advance(Duration::from_millis(297_000 - 9 * APART_MS));
    eventually("the end of all holds", || async {
        let map = fan().get(&format!("{SHOW}/seatmap")).await;
        !map.text.contains("HELD")
    })
    .await;

    let plain = lateness(&shop, 0).await;
    let paying = lateness(&shop, 1).await;
    assert_eq!((plain.len(), paying.len()), (9, 9));
    assert!(plain[0] >= 0.0 && paying[0] >= 0.0, "{plain:?} {paying:?}");
    // The middle one, and twice of what is promised, for a loaded machine delays some.
    assert!(plain[4] <= 100.0, "{plain:?}");
    // Here the provider is asked, and told, first.
    assert!(paying[4] <= 300.0, "{paying:?}");
    process.kill().await;
    shop.clock.advance(Duration::from_secs(400));
    shop.settle().await;
    shop.assert_clean().await;
}

/// How late expired holds with so many payments were closed, in milliseconds, ascending.
async fn lateness(shop: &TestShop, attempt_count: i32) -> Vec<f64> {
    let mut database = shop.database.connect().await;
    sqlx::query_scalar(
        "select (extract(epoch from closed_at - expires_at) * 1000)::float8 from holds
         where status = 'EXPIRED' and attempt_count = $1 order by 1",
    )
    .bind(attempt_count)
    .fetch_all(&mut database)
    .await
    .unwrap()
}
