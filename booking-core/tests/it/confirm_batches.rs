//! Purchases that end at the same time are settled together, and each as if it were alone.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::fan::{Fan, hold_path, intent_of};
use crate::test_shop::{TestShop, show_file};

/// Times that a fan asks before the test gives up.
const QUESTIONS_MAX: usize = 60;

/// A show in which 500 fans find a seat.
fn large_show() -> Value {
    let mut file = show_file();
    let rows: Vec<String> = (1..=25).map(|row| format!("R{row}-")).collect();
    file["sections"] = json!([
        {"name": "Front", "category": "PREMIUM", "rows": ["A"], "seatsPerRow": 10},
        {"name": "Floor", "category": "REGULAR", "rows": rows, "seatsPerRow": 20}
    ]);
    file
}

/// A purchase that is paid for.
#[derive(Clone)]
struct Paid {
    fan: Fan,
    hold: String,
    intent: String,
}

impl Paid {
    /// Asks until there is a booking, as a page does, and gives its id. A refusal is a failure.
    async fn booked(self) -> String {
        for _ in 0..QUESTIONS_MAX {
            let answer = self.fan.confirm(&self.hold, &self.intent).await;
            match answer.status {
                200 => return answer.json["bookingId"].as_str().unwrap().to_owned(),
                // On a loaded machine the database may be slow to be reached.
                202 | 503 => tokio::time::sleep(Duration::from_millis(200)).await,
                status => panic!("{status} after the payment: {}", answer.text),
            }
        }
        panic!("no booking after {QUESTIONS_MAX} questions");
    }

    fn at(&self, router: &axum::Router) -> Self {
        Self {
            fan: self.fan.at(router.clone()),
            ..self.clone()
        }
    }
}

/// So many fans who have paid for one seat each.
async fn paid(shop: &TestShop, fans: usize) -> Vec<Paid> {
    let mut all = Vec::new();
    while all.len() < fans {
        let some = (fans - all.len()).min(20);
        all.extend(
            join_all((0..some).map(async |_| {
                let fan = shop.fan();
                let made = fan.best(1).await;
                assert_eq!(made.status, 201, "{}", made.text);
                let hold = hold_path(&made);
                let started = fan.pay(&hold).await;
                assert_eq!(started.status, 201, "{}", started.text);
                let intent = intent_of(&started);
                shop.provider.pay(&intent);
                Paid { fan, hold, intent }
            }))
            .await,
        );
    }
    all
}

/// How many transactions made the bookings.
async fn transactions(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(distinct xmin::text) from bookings")
        .fetch_one(connection)
        .await
        .unwrap()
}

/// A lock that lets nobody issue tickets, so that those who confirm meanwhile wait.
async fn closed_tickets(connection: &mut PgConnection) {
    let lock = "begin; lock table tickets in share mode";
    connection.execute(lock).await.unwrap();
}

/// Every way in which a purchase can end, at two processes, doubled and in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_that_are_confirmed_polled_and_told_of_at_once_are_booked_once_each() {
    const FANS: usize = 500;
    let shop = TestShop::with(large_show()).await;
    let other = shop.another_process().await;
    let fans = paid(&shop, FANS).await;
    let routers = [&shop.process.router, &other.router];
    let mut confirms = Vec::new();
    let mut events = Vec::new();
    for (number, paid) in fans.iter().enumerate() {
        // Every third fan asks twice, every fifth only waits for the webhook.
        if number % 5 != 0 {
            confirms.push(paid.at(routers[number % 2]));
        }
        if number % 3 == 0 {
            confirms.push(paid.at(routers[(number + 1) % 2]));
        }
        for copy in 0..3 {
            events.push((format!("evt_{number}_{}", copy / 2), paid.intent.clone()));
        }
    }
    // A stride that visits all of them, far from the order of the payments.
    let shuffled = |count: usize| (0..count).map(move |at| at * 7919 % count);
    assert_ne!(events.len() % 7919, 0);
    let confirm = join_all(shuffled(confirms.len()).map(|at| confirms[at].clone().booked()));
    let deliver = join_all(shuffled(events.len()).map(|at| {
        let (event, intent) = &events[at];
        shop.webhook(event, intent)
    }));
    let work = async {
        for _ in 0..30 {
            shop.clock.advance(Duration::from_secs(1));
            for booking in [&shop.process.booking, &other.booking] {
                booking.inbox_once().await.unwrap();
                booking.poll_once().await.unwrap();
                booking.sweep_once().await.unwrap();
            }
        }
    };
    let ((booked, delivered), ()) = join(join(confirm, deliver), work).await;
    assert!(delivered.iter().all(|status| *status == 200));
    let booked: HashSet<String> = booked.into_iter().collect();
    let asked: HashSet<&str> = confirms.iter().map(|paid| paid.hold.as_str()).collect();
    assert_eq!(booked.len(), asked.len());
    shop.settle().await;
    shop.assert_clean().await;
    let mut database = shop.database.connect().await;
    let bookings: i64 = sqlx::query_scalar("select count(*) from bookings")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(bookings, i64::try_from(FANS).unwrap());
    assert!(
        transactions(&mut database).await < bookings,
        "none was settled together"
    );
    let sold: i64 = sqlx::query_scalar("select sum(amount_minor)::bigint from bookings")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(shop.provider.balance(), sold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_wait_are_settled_together() {
    let shop = TestShop::with(large_show()).await;
    let fans = paid(&shop, 40).await;
    let mut database = shop.database.connect().await;
    closed_tickets(&mut database).await;
    let confirms = join_all(fans.into_iter().map(Paid::booked));
    let open = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        database.execute("commit").await.unwrap();
    };
    let (booked, ()) = join(confirms, open).await;
    assert_eq!(booked.into_iter().collect::<HashSet<_>>().len(), 40);
    let count = transactions(&mut database).await;
    assert!(count <= 10, "{count} transactions");
    shop.settle().await;
    shop.assert_clean().await;
}

/// A ticket that cannot be issued breaks the statement; then each is settled alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_cannot_be_booked_fails_no_other() {
    let shop = TestShop::with(large_show()).await;
    let (_, sold, _) = shop.bought(&["A1"]).await;
    let mut fans = paid(&shop, 20).await;
    let poisoned = fans.remove(7);
    // The last wall against selling a seat twice: another ticket for it is alive.
    let mut database = shop.database.connect().await;
    let hold: uuid::Uuid = sqlx::query_scalar("select hold_id from payments where intent_id = $1")
        .bind(&poisoned.intent)
        .fetch_one(&mut database)
        .await
        .unwrap();
    let issued = sqlx::query(
        "insert into tickets (ticket_id, booking_id, show_no, seat_no, issued_at)
         select '00000000-0000-0000-0000-000000000007', b.booking_id, h.show_no, h.seat_nos[1], now()
         from holds h, bookings b where h.hold_id = $1 and b.code = $2",
    )
    .bind(hold)
    .bind(sold["code"].as_str().unwrap());
    assert_eq!(
        issued.execute(&mut database).await.unwrap().rows_affected(),
        1
    );
    closed_tickets(&mut database).await;
    let confirms = join_all(fans.into_iter().map(Paid::booked));
    let refused = poisoned.fan.confirm(&poisoned.hold, &poisoned.intent);
    let open = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        database.execute("commit").await.unwrap();
    };
    let ((booked, refused), ()) = join(join(confirms, refused), open).await;
    assert_eq!(booked.into_iter().collect::<HashSet<_>>().len(), 19);
    assert_eq!(refused.status, 500, "{}", refused.text);
    // Nothing of it was written, and once it can be booked it is.
    shop.meddle("delete from tickets where ticket_id = '00000000-0000-0000-0000-000000000007'")
        .await;
    poisoned.booked().await;
    shop.settle().await;
    shop.assert_clean().await;
}

/// The connection of a batch is gone in the middle of its statement, as when the process dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_that_dies_in_the_middle_leaves_nothing_behind() {
    let shop = TestShop::with(large_show()).await;
    let dying = shop.another_process().await;
    let fans = paid(&shop, 12).await;
    let mut database = shop.database.connect().await;
    closed_tickets(&mut database).await;
    // The provider has said that the money was taken, and what follows is under way.
    let confirms = join_all(fans.iter().map(async |paid| {
        let paid = paid.at(&dying.router);
        paid.fan.confirm(&paid.hold, &paid.intent).await.status
    }));
    let kill = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut admin = shop.database.connect().await;
        let killed: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and query like '-- Turns paid holds%'
                and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert!(killed >= 1, "no batch was under way");
        admin.close().await.unwrap();
        database.execute("commit").await.unwrap();
    };
    let (statuses, ()) = join(confirms, kill).await;
    assert!(statuses.contains(&202), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [200, 202].contains(status)),
        "{statuses:?}"
    );
    dying.kill().await;
    // The fans never ask again; another process finds the payments.
    shop.clock.advance(Duration::from_secs(20));
    shop.settle().await;
    for paid in &fans {
        assert_eq!(paid.fan.get(&paid.hold).await.json["status"], "CONFIRMED");
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_key_is_answered_from_what_was_stored_with_the_booking() {
    let shop = TestShop::new().await;
    let fans = [("A1", "first"), ("A2", "second")];
    for (seat, key) in fans {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        shop.provider.pay(&intent);
        let other = fan.held(&["B1"]).await;
        let keyed = fan.with_header("idempotency-key", key);
        let first = keyed.confirm(&hold, &intent).await;
        assert_eq!(first.status, 200, "{}", first.text);
        let mut database = shop.database.connect().await;
        let together: bool = sqlx::query_scalar(
            "select k.xmin = b.xmin from idempotency_keys k join bookings b on b.hold_id = k.effect_id
             where k.key = $1 and k.status_code = 200",
        )
        .bind(key)
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert!(
            together,
            "the answer and the booking are of two transactions"
        );
        let again = keyed.confirm(&hold, &intent).await;
        assert_eq!((again.status, &again.json), (200, &first.json));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        let reused = keyed.confirm(&other, &intent).await;
        assert_eq!(reused.code(), "idempotency-key-reused");
        keyed.delete(&other).await;
    }
    shop.assert_clean().await;
}

/// Whatever is not the ordinary end is left to those who settle alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_that_somebody_has_locked_keeps_no_other_waiting() {
    let shop = TestShop::with(large_show()).await;
    let mut fans = paid(&shop, 10).await;
    let locked = fans.remove(0);
    let mut database = shop.database.connect().await;
    database.execute("begin").await.unwrap();
    sqlx::query(
        "select 1 from holds where hold_id = (select hold_id from payments where intent_id = $1)
         for update",
    )
    .bind(&locked.intent)
    .execute(&mut database)
    .await
    .unwrap();
    let waiting = locked.clone().booked();
    let others = async {
        let booked = join_all(fans.into_iter().map(Paid::booked)).await;
        database.execute("commit").await.unwrap();
        booked.len()
    };
    let (_, count) = join(waiting, others).await;
    assert_eq!(count, 9);
    shop.settle().await;
    shop.assert_clean().await;
}
