//! Payments that start at the same time are recorded together, and each as if it were alone; webhooks
//! wait for the customers.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};

use crate::fan::{Fan, hold_path, intent_of};
use crate::test_shop::{TestShop, show_file};

/// How long a webhook waits for its customer.
const HEAD_START: Duration = Duration::from_millis(500);

/// A show in which 100 fans find a seat.
fn large_show() -> Value {
    let mut file = show_file();
    let rows: Vec<String> = (1..=5).map(|row| format!("R{row}-")).collect();
    file["sections"] = json!([
        {"name": "Front", "category": "PREMIUM", "rows": ["A"], "seatsPerRow": 10},
        {"name": "Floor", "category": "REGULAR", "rows": rows, "seatsPerRow": 20}
    ]);
    file
}

/// So many fans with a seat each.
async fn holding(shop: &TestShop, fans: usize) -> Vec<(Fan, String)> {
    join_all((0..fans).map(async |_| {
        let fan = shop.fan();
        let made = fan.best(1).await;
        assert_eq!(made.status, 201, "{}", made.text);
        (fan, hold_path(&made))
    }))
    .await
}

/// A lock that lets nobody record an attempt, so that those who start meanwhile wait.
async fn closed_payments(connection: &mut PgConnection) {
    let lock = "begin; lock table payments in share mode";
    connection.execute(lock).await.unwrap();
}

async fn number(shop: &TestShop, question: &'static str) -> i64 {
    let mut database = shop.database.connect().await;
    let asked = sqlx::query_scalar(question).fetch_one(&mut database);
    asked.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_wait_start_together() {
    let shop = TestShop::with(large_show()).await;
    let fans = holding(&shop, 40).await;
    let mut database = shop.database.connect().await;
    closed_payments(&mut database).await;
    let starts = join_all(fans.iter().enumerate().map(async |(nth, (fan, hold))| {
        if nth > 2 {
            return fan.intent(hold).await;
        }
        // Twice at once, as a hand that shakes.
        let (one, other) = join(fan.pay(hold), fan.pay(hold)).await;
        assert_eq!((one.status, other.status), (201, 201), "{}", one.text);
        assert_eq!(intent_of(&one), intent_of(&other));
        intent_of(&one)
    }));
    let open = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        database.execute("commit").await.unwrap();
    };
    let (intents, ()) = join(starts, open).await;
    assert_eq!(number(&shop, "select count(*) from payments").await, 40);
    let holds = "select count(*) from holds where attempt_count = 1 and payment_open";
    assert_eq!(number(&shop, holds).await, 40);
    let transactions = "select count(distinct xmin::text) from holds";
    let count = number(&shop, transactions).await;
    assert!(count < 20, "{count} transactions");
    for ((fan, hold), intent) in fans.iter().zip(&intents) {
        shop.provider.pay(intent);
        shop.sells(fan, hold, intent).await;
    }
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_starts_to_pay_for_what_is_not_theirs_or_is_over() {
    let shop = TestShop::with(large_show()).await;
    let fans = holding(&shop, 3).await;
    let (thief, _) = &fans[0];
    let stranger = thief.pay(&fans[1].1).await;
    assert_eq!(stranger.status, 404, "{}", stranger.text);
    let unknown = shop.fan().pay(&fans[1].1).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    fans[2].0.delete(&fans[2].1).await;
    let released = fans[2].0.pay(&fans[2].1).await;
    assert_eq!(released.code(), "hold-expired");
    shop.clock.advance(Duration::from_hours(1));
    let late = fans[1].0.pay(&fans[1].1).await;
    assert_eq!(late.code(), "hold-expired");
    assert_eq!(number(&shop, "select count(*) from payments").await, 0);
    shop.settle().await;
    shop.assert_clean().await;
}

/// An attempt that cannot be recorded breaks the statement; then each is recorded alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_cannot_start_fails_no_other() {
    let shop = TestShop::with(large_show()).await;
    let mut fans = holding(&shop, 20).await;
    let (fan, hold) = fans.remove(7);
    // An attempt of which the hold does not know.
    let mut database = shop.database.connect().await;
    let id = hold.rsplit("hold_").next().unwrap().to_owned();
    sqlx::query(
        "insert into payments (payment_id, hold_id, attempt_no, provider, idempotency_key, email,
            amount_minor, currency, next_poll_at, created_at, updated_at)
         values (gen_random_uuid(), $1::uuid, 1, 'simulator', 'k', 'a@b.example', 1, 'INR',
            'infinity', now(), now())",
    )
    .bind(id)
    .execute(&mut database)
    .await
    .unwrap();
    closed_payments(&mut database).await;
    let starts = join_all(
        fans.iter()
            .map(async |(fan, hold)| fan.pay(hold).await.status),
    );
    let refused = fan.pay(&hold);
    let open = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        database.execute("commit").await.unwrap();
    };
    let ((statuses, refused), ()) = join(join(starts, refused), open).await;
    assert_eq!(statuses, vec![201; 19]);
    assert_eq!(refused.status, 500, "{}", refused.text);
    shop.meddle("delete from payments where idempotency_key = 'k'")
        .await;
    let started = fan.pay(&hold).await;
    assert_eq!(started.status, 201, "{}", started.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_that_somebody_has_locked_keeps_no_other_from_paying() {
    let shop = TestShop::with(large_show()).await;
    let mut fans = holding(&shop, 10).await;
    let (fan, hold) = fans.remove(0);
    let mut database = shop.database.connect().await;
    database.execute("begin").await.unwrap();
    let id = hold.rsplit("hold_").next().unwrap().to_owned();
    sqlx::query("select 1 from holds where hold_id = $1::uuid for update")
        .bind(id)
        .execute(&mut database)
        .await
        .unwrap();
    let others = async {
        for (fan, hold) in &fans {
            assert_eq!(fan.pay(hold).await.status, 201);
        }
        database.execute("commit").await.unwrap();
    };
    let (waited, ()) = join(fan.pay(&hold), others).await;
    assert_eq!(waited.status, 201, "{}", waited.text);
}

#[tokio::test]
async fn a_webhook_waits_for_its_customer_and_not_longer() {
    let shop = TestShop::new().await;
    let booking = &shop.process.booking;
    let paid = async |seat: &str| {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        shop.provider.pay(&intent);
        let stored = shop.webhook(&format!("evt {seat}"), &intent).await;
        assert_eq!(stored, 200);
        (fan, hold, intent)
    };
    // One confirms, one has closed the browser.
    let (fan, hold, intent) = paid("A1").await;
    let (gone, gone_hold, _) = paid("A2").await;
    assert_eq!(booking.inbox_after(HEAD_START).await.unwrap(), 0);
    assert_eq!(gone.get(&gone_hold).await.json["status"], "ACTIVE");
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    shop.clock.advance(HEAD_START);
    assert_eq!(booking.inbox_after(HEAD_START).await.unwrap(), 2);
    assert_eq!(gone.get(&gone_hold).await.json["status"], "CONFIRMED");
    let open = "select count(*) from payment_events where processed_at is null";
    assert_eq!(number(&shop, open).await, 0);
    // What needed no work was never claimed.
    let claimed = "select count(*) from payment_events where next_attempt_at > received_at";
    assert_eq!(number(&shop, claimed).await, 1);
    shop.settle().await;
    shop.assert_clean().await;
}

/// What the sequencer reads for many bookings is what an event of one tells.
#[tokio::test]
async fn bookings_are_told_together_as_they_are_told_alone() {
    let shop = TestShop::new().await;
    shop.bought(&["A1", "A2"]).await;
    shop.bought(&["B1"]).await;
    let same = "select count(*) from event_bookings(array(select booking_id from bookings)) b
        join outbox o on o.dedupe = 'booking.confirmed:' || b.booking_id
        cross join lateral event_facts(o.topic, b.booking_id::text, o.payload) f
        where b.data = f.data and b.email = f.email";
    assert_eq!(number(&shop, same).await, 2);
}
