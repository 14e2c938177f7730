//! Many confirm at once, with few connections to the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use booking_core::Pools;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::fan::{Fan, hold_path, intent_of};
use crate::test_shop::{TestShop, show_file};

/// Fans who have paid.
const FANS: usize = 300;
/// Times that a fan asks before the test gives up.
const QUESTIONS_MAX: usize = 60;

/// A pool like the core's own, which counts how often a connection was taken from it.
fn counted(url: &str, connections: u32, taken: &Arc<AtomicUsize>) -> PgPool {
    let (again, first) = (Arc::clone(taken), Arc::clone(taken));
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_millis(800))
        .before_acquire(move |_, _| {
            again.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(true) })
        })
        .after_connect(move |_, _| {
            first.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        })
        .connect_lazy(url)
        .unwrap()
}

/// Pools of so many connections for payments, and so many for confirmations.
fn few(url: &str, money: u32, confirm: u32) -> (Pools, Arc<AtomicUsize>) {
    let taken = Arc::default();
    let pools = Pools {
        money: counted(url, money, &taken),
        confirm: counted(url, confirm, &taken),
        ..Pools::lazy(url).unwrap()
    };
    (pools, taken)
}

/// A show in which every one of [`FANS`] finds a seat.
fn large_show() -> Value {
    let mut file = show_file();
    let rows: Vec<String> = (1..=FANS / 20).map(|row| format!("R{row}-")).collect();
    file["sections"] = json!([
        {"name": "Front", "category": "PREMIUM", "rows": ["A"], "seatsPerRow": 10},
        {"name": "Floor", "category": "REGULAR", "rows": rows, "seatsPerRow": 20}
    ]);
    file
}

/// A fan who has paid for one of the best seats left, and is led back.
async fn paid(shop: &TestShop) -> (Fan, String, String) {
    let fan = shop.fan();
    let mut answer = fan.best(1).await;
    for _ in 0..QUESTIONS_MAX {
        if answer.status != 503 {
            break;
        }
        answer = fan.best(1).await;
    }
    assert_eq!(answer.status, 201, "{}", answer.text);
    let hold = hold_path(&answer);
    let mut started = fan.pay(&hold).await;
    for _ in 0..QUESTIONS_MAX {
        if started.status != 503 {
            break;
        }
        started = fan.pay(&hold).await;
    }
    assert_eq!(started.status, 201, "{}", started.text);
    let intent = intent_of(&started);
    shop.provider.pay(&intent);
    (fan, hold, intent)
}

/// The fan asks until there is a booking, as the page does. Whatever is said before has to lead
/// there: never a failure after the money was taken.
async fn asks_until_booked(fan: Fan, hold: String, intent: String) -> String {
    let fan = fan.with_header("idempotency-key", &format!("confirm {hold}"));
    for _ in 0..QUESTIONS_MAX {
        let answer = fan.confirm(&hold, &intent).await;
        match answer.status {
            200 => return answer.json["bookingId"].as_str().unwrap().to_owned(),
            202 | 409 => tokio::time::sleep(Duration::from_secs(1)).await,
            status => panic!("{status} after the payment: {}", answer.text),
        }
    }
    panic!("no booking after {QUESTIONS_MAX} questions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rush_of_fans_who_have_paid_ends_in_bookings_and_in_no_failure() {
    let shop = TestShop::with(large_show()).await;
    let mut fans = Vec::new();
    // In portions, so that holding and paying are not what is tested.
    for _ in 0..FANS / 20 {
        fans.extend(join_all((0..20).map(|_| paid(&shop))).await);
    }
    let (pools, _) = few(&shop.database.url(), 2, 2);
    let process = shop.another_process_with(pools).await;
    let confirms = fans
        .into_iter()
        .map(|(fan, hold, intent)| asks_until_booked(fan.at(process.router.clone()), hold, intent));
    let mut bookings = join_all(confirms).await;
    bookings.sort();
    bookings.dedup();
    assert_eq!(bookings.len(), FANS);
    let mut database = shop.database.connect().await;
    let open: i64 =
        sqlx::query_scalar("select count(*) from idempotency_keys where status_code is null")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(open, 0, "keys in progress");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_confirmation_waits_three_times_for_a_connection_with_a_key_and_without() {
    let shop = TestShop::new().await;
    let (pools, taken) = few(&shop.database.url(), 1, 1);
    let process = shop.another_process_with(pools).await;
    for (seat, key) in [("A1", Some("key")), ("A2", None)] {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        shop.provider.pay(&intent);
        let mut fan = fan.at(process.router.clone());
        if let Some(key) = key {
            fan = fan.with_header("idempotency-key", key);
        }
        let before = taken.load(Ordering::Relaxed);
        assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
        assert_eq!(taken.load(Ordering::Relaxed) - before, 3, "{key:?}");
    }
}

#[tokio::test]
async fn a_rush_of_payments_to_start_keeps_no_confirmation_waiting() {
    let shop = TestShop::new().await;
    let (pools, _) = few(&shop.database.url(), 1, 1);
    let process = shop.another_process_with(pools.clone()).await;
    let fan = shop.fan();
    let (hold, intent) = paid_hold(&shop, &fan).await;
    let busy = pools.money.acquire().await.unwrap();
    let fan = fan
        .at(process.router.clone())
        .with_header("idempotency-key", "key");
    assert_eq!(fan.get(&hold).await.status, 503);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    drop(busy);
}

#[tokio::test]
async fn a_database_that_goes_away_after_the_money_was_taken_loses_nothing() {
    let shop = TestShop::new().await;
    let (pools, _) = few(&shop.database.url(), 1, 1);
    let process = shop.another_process_with(pools.clone()).await;
    let fan = shop.fan();
    let (hold, intent) = paid_hold(&shop, &fan).await;
    let fan = fan
        .at(process.router.clone())
        .with_header("idempotency-key", &format!("confirm {hold}"));
    let mut late = shop.provider.delay_next_fetch();
    // The provider says that the money was taken, and there is no connection to note it over.
    let away = async {
        late.arrived().await;
        let away = pools.confirm.acquire().await.unwrap();
        late.release();
        away
    };
    let (answer, away) = tokio::join!(fan.confirm(&hold, &intent), away);
    assert_eq!(
        (answer.status, &answer.json["status"]),
        (202, &json!("PROCESSING"))
    );
    assert!(answer.headers.contains_key("retry-after"));
    drop(away);
    // Neither the outcome nor the key is lost.
    asks_until_booked(fan, hold, intent).await;
    shop.settle().await;
    shop.assert_clean().await;
}

/// A paid hold of `fan`, with the payment's id.
async fn paid_hold(shop: &TestShop, fan: &Fan) -> (String, String) {
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    (hold, intent)
}
