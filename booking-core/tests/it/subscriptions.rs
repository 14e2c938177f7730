//! Subscriptions: what receivers get, and what becomes of them when they do not take it.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Row};

use crate::fan::{Answer, Fan};
use crate::receiver::{Mood, Receiver};
use crate::test_shop::{Process, TestShop};

/// Longer than the longest lease of a delivery.
const LEASE: Duration = Duration::from_secs(61);

async fn asked(process: &Process, path: &str, body: Value) -> Answer {
    let operator = Fan::new(process.booking.admin().0);
    let path = format!("/admin/v1/subscriptions{path}");
    operator.post(&path, &body).await
}

async fn seen(process: &Process, path: &str) -> Value {
    let operator = Fan::new(process.booking.admin().0);
    let answer = operator
        .get(&format!("/admin/v1/subscriptions{path}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// Subscribes a receiver, and returns the id and the secret.
async fn subscribed(shop: &TestShop, receiver: &Receiver, more: Value) -> (String, String) {
    let mut body = json!({ "url": receiver.url });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = asked(&shop.process, "", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = |name: &str| made.json[name].as_str().unwrap().to_owned();
    (text("subscriptionId"), text("secret"))
}

/// Everything that can be delivered now.
async fn delivers(process: &Process) {
    while process.booking.sequence_once().await.unwrap() > 0 {}
    while process.booking.deliver_once().await.unwrap() > 0 {}
}

/// Whether one of the signatures of a call was made with this secret, by the words of the
/// specification.
fn is_signed(call: &crate::receiver::Call, secret: &str) -> bool {
    use hmac::{Hmac, KeyInit, Mac};
    let key = data_encoding::BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes());
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key.unwrap()).unwrap();
    let (id, time) = (call.header("webhook-id"), call.header("webhook-timestamp"));
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(&call.body);
    let made = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
    let signatures = call.header("webhook-signature");
    signatures
        .split(' ')
        .any(|signature| signature == format!("v1,{made}"))
}

#[tokio::test]
async fn a_receiver_gets_the_events_it_asked_for_signed_and_in_full() {
    let shop = TestShop::new().await;
    let receiver = Receiver::start().await;
    let wanted = json!({ "types": ["booking.confirmed"], "description": "our CRM", "after": 0 });
    let (id, secret) = subscribed(&shop, &receiver, wanted).await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    delivers(&shop.process).await;
    let calls = receiver.taken();
    assert_eq!(calls.len(), 1);
    let event = calls[0].event();
    assert_eq!(event["type"], "booking.confirmed");
    assert_eq!(event["data"]["bookingId"], booked["bookingId"]);
    assert_eq!(event["data"]["customer"]["email"], "fan@example.com");
    assert_eq!(calls[0].header("webhook-id"), event["id"]);
    assert_eq!(calls[0].header("content-type"), "application/json");
    assert!(is_signed(&calls[0], &secret));
    assert!(!is_signed(&calls[0], "whsec_AAAA"));
    let log = seen(&shop.process, &format!("/{id}/deliveries")).await;
    assert_eq!(log["deliveries"][0]["status"], "DELIVERED");
    assert_eq!(log["deliveries"][0]["answerStatus"], 204);
    assert_eq!(log["deliveries"][0]["attemptCount"], 1);
    let listed = seen(&shop.process, "").await;
    assert_eq!(listed["subscriptions"][0]["description"], "our CRM");
    assert!(!listed.to_string().contains("whsec_"));
    // Nothing comes again.
    shop.clock.advance(LEASE);
    delivers(&shop.process).await;
    assert_eq!(receiver.taken().len(), 0);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_new_receiver_begins_now_or_with_the_first_event() {
    let shop = TestShop::new().await;
    shop.bought(&["A1"]).await;
    shop.settle().await;
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let (old_id, _) = subscribed(&shop, &old, json!({ "after": 0 })).await;
    let (new_id, _) = subscribed(&shop, &new, json!({})).await;
    delivers(&shop.process).await;
    assert_eq!(old.positions(), [1, 2]);
    assert_eq!(new.positions(), Vec::<i64>::new());
    shop.bought(&["A2"]).await;
    delivers(&shop.process).await;
    assert_eq!((old.positions(), new.positions()), (vec![3], vec![3]));
    // Replayed events have the ids that they had.
    let answer = asked(
        &shop.process,
        &format!("/{old_id}/replay"),
        json!({ "after": 1 }),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    shop.assert_clean().await;
    delivers(&shop.process).await;
    assert_eq!(old.positions(), [2, 3]);
    let beyond = asked(
        &shop.process,
        &format!("/{new_id}/replay"),
        json!({ "after": 9 }),
    )
    .await;
    assert_eq!(beyond.status, 409);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn failures_are_tried_again_later_as_the_receiver_asks_until_it_takes_them() {
    let shop = TestShop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = subscribed(&shop, &receiver, json!({ "after": 0 })).await;
    receiver.is(Mood::Answers(500));
    delivers(&shop.process).await;
    assert_eq!(receiver.positions(), [1]);
    shop.clock.advance(Duration::from_secs(2));
    delivers(&shop.process).await;
    assert_eq!(receiver.positions(), Vec::<i64>::new());
    receiver.is(Mood::Busy(600));
    shop.clock.advance(Duration::from_secs(4));
    delivers(&shop.process).await;
    assert_eq!(receiver.positions(), [1]);
    let row = seen(&shop.process, &format!("/{id}/deliveries")).await["deliveries"][0].clone();
    assert_eq!(
        (&row["status"], &row["attemptCount"]),
        (&json!("DUE"), &json!(2))
    );
    assert_eq!(row["lastError"], "answered 503");
    shop.clock.advance(Duration::from_secs(598));
    delivers(&shop.process).await;
    assert_eq!(receiver.positions(), Vec::<i64>::new());
    receiver.is(Mood::Takes);
    shop.clock.advance(Duration::from_secs(4));
    delivers(&shop.process).await;
    assert_eq!(receiver.positions(), [1]);
    assert_eq!(
        seen(&shop.process, &format!("/{id}")).await["failingSince"],
        Value::Null
    );
}

#[tokio::test]
async fn what_is_never_taken_is_a_dead_letter_that_an_operator_sends_again() {
    let shop = TestShop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = subscribed(&shop, &receiver, json!({ "after": 0 })).await;
    receiver.is(Mood::Answers(404));
    let mut tries = 0;
    for _ in 0..80 {
        delivers(&shop.process).await;
        tries += receiver.taken().len();
        shop.clock.advance(Duration::from_hours(1));
    }
    let failed = seen(&shop.process, &format!("/{id}/deliveries?status=FAILED")).await;
    assert_eq!(
        failed["deliveries"].as_array().unwrap().len(),
        1,
        "{failed}"
    );
    assert!((60..80).contains(&tries), "{tries}");
    let view = seen(&shop.process, &format!("/{id}")).await;
    assert_eq!(
        (&view["failedCount"], &view["status"]),
        (&json!(1), &json!("ENABLED"))
    );
    receiver.is(Mood::Takes);
    let retried = asked(&shop.process, &format!("/{id}/deliveries/retry"), json!({})).await;
    assert_eq!(retried.json["retriedCount"], 1);
    delivers(&shop.process).await;
    assert_eq!(receiver.positions(), [1]);
    let again = asked(&shop.process, &format!("/{id}/deliveries/retry"), json!({})).await;
    assert_eq!(again.json["retriedCount"], 0);
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_fails_for_days_is_disabled_and_goes_on_when_enabled() {
    let shop = TestShop::new().await;
    let (gone, failing) = (Receiver::start().await, Receiver::start().await);
    let (gone_id, _) = subscribed(&shop, &gone, json!({ "after": 0 })).await;
    let (failing_id, _) = subscribed(&shop, &failing, json!({ "after": 0 })).await;
    gone.is(Mood::Answers(410));
    failing.is(Mood::Answers(500));
    for _ in 0..6 {
        delivers(&shop.process).await;
        shop.clock.advance(Duration::from_hours(24));
        shop.meddle("insert into outbox (topic, dedupe, payload, created_at)
            values ('show.changed', 'show.changed:' || gen_random_uuid(), '{\"showNo\": 0}', now())")
            .await;
    }
    delivers(&shop.process).await;
    assert_eq!(gone.taken().len(), 1);
    let disabled = seen(&shop.process, &format!("/{gone_id}")).await;
    assert_eq!(disabled["status"], "DISABLED");
    assert_eq!(
        disabled["disabledBecause"],
        "the receiver answered 410 Gone"
    );
    let disabled = seen(&shop.process, &format!("/{failing_id}")).await;
    assert_eq!(
        disabled["disabledBecause"],
        "the receiver took nothing for five days"
    );
    let mut database = shop.database.connect().await;
    let noted: i64 = sqlx::query(
        "select count(*) from audit_log where action = 'subscription.disable' and actor = 'ropeline'",
    )
    .fetch_one(&mut database)
    .await
    .unwrap()
    .get(0);
    assert_eq!(noted, 2);
    database.close().await.unwrap();
    // Nothing of the meantime is lost.
    gone.is(Mood::Takes);
    let enabled = asked(&shop.process, &format!("/{gone_id}/enable"), json!({})).await;
    assert_eq!(enabled.json["status"], "ENABLED", "{}", enabled.text);
    assert_eq!(
        asked(&shop.process, &format!("/{gone_id}/enable"), json!({}))
            .await
            .status,
        409
    );
    delivers(&shop.process).await;
    assert_eq!(gone.positions(), (1..=7).collect::<Vec<_>>());
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_slow_receiver_holds_up_no_other() {
    let shop = TestShop::new().await;
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    subscribed(&shop, &slow, json!({ "after": 0 })).await;
    subscribed(&shop, &quick, json!({ "after": 0 })).await;
    slow.is(Mood::Slow(Duration::from_secs(8)));
    let process = shop.another_process_with_workers().await;
    let began = tokio::time::Instant::now();
    for seats in [["A1"], ["A2"], ["A3"]] {
        shop.bought(&seats).await;
    }
    let mut got = 0;
    while got < 4 {
        assert!(began.elapsed() < Duration::from_secs(7), "{got} came");
        tokio::time::sleep(Duration::from_millis(20)).await;
        got += quick.taken().len();
    }
    process.kill().await;
}

#[tokio::test]
async fn a_process_that_dies_after_the_call_loses_nothing_and_doubles_under_the_same_id() {
    let shop = TestShop::new().await;
    let receiver = Receiver::start().await;
    subscribed(&shop, &receiver, json!({ "after": 0 })).await;
    receiver.is(Mood::Slow(Duration::from_millis(400)));
    let process = shop.another_process().await;
    process.booking.sequence_once().await.unwrap();
    let booking = process.booking.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    let round = tokio::spawn(async move { booking.deliver_once().await });
    let mut first = Vec::new();
    while first.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        first = receiver.taken();
    }
    // The receiver has it; the database of the process is gone before it can record that.
    process.kill().await;
    drop(round);
    receiver.is(Mood::Takes);
    delivers(&shop.process).await;
    assert_eq!(receiver.taken().len(), 0, "its lease has not ended");
    shop.clock.advance(LEASE);
    delivers(&shop.process).await;
    let second = receiver.taken();
    assert_eq!(second.len(), 1);
    assert_eq!(
        second[0].header("webhook-id"),
        first[0].header("webhook-id")
    );
    assert_eq!(second[0].body, first[0].body);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_deliveries_and_double_none() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let (one, two) = (Receiver::start().await, Receiver::start().await);
    subscribed(&shop, &one, json!({ "after": 0 })).await;
    subscribed(&shop, &two, json!({ "after": 0 })).await;
    shop.meddle(
        "insert into outbox (topic, dedupe, payload, created_at)
         select 'show.changed', 'show.changed:' || n, '{\"showNo\": 0}', now()
         from generate_series(1, 60) n",
    )
    .await;
    shop.process.booking.sequence_once().await.unwrap();
    loop {
        let (here, there) = tokio::join!(
            shop.process.booking.deliver_once(),
            other.booking.deliver_once()
        );
        if here.unwrap() + there.unwrap() == 0 {
            break;
        }
    }
    let all: Vec<i64> = (1..=61).collect();
    assert_eq!((one.positions(), two.positions()), (all.clone(), all));
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_secret_is_exchanged_without_a_webhook_that_cannot_be_verified() {
    let shop = TestShop::new().await;
    let receiver = Receiver::start().await;
    let (id, first) = subscribed(&shop, &receiver, json!({})).await;
    let rotate = async |body: Value| {
        let answer = asked(&shop.process, &format!("/{id}/rotate"), body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["secret"].as_str().unwrap().to_owned()
    };
    let tested = async || {
        let answer = asked(&shop.process, &format!("/{id}/test"), json!({})).await;
        assert_eq!(answer.json["taken"], true, "{}", answer.text);
        receiver.taken().pop().unwrap()
    };
    let second = rotate(json!({})).await;
    let call = tested().await;
    assert_eq!(call.event()["type"], "subscription.test");
    assert!(is_signed(&call, &first) && is_signed(&call, &second));
    shop.clock.advance(Duration::from_hours(25));
    let call = tested().await;
    assert!(!is_signed(&call, &first) && is_signed(&call, &second));
    let third = rotate(json!({ "overlapSeconds": 0 })).await;
    let call = tested().await;
    assert!(!is_signed(&call, &second) && is_signed(&call, &third));
    let too_long = asked(
        &shop.process,
        &format!("/{id}/rotate"),
        json!({ "overlapSeconds": 9_999_999 }),
    )
    .await;
    assert_eq!(too_long.status, 422);
    receiver.is(Mood::Answers(302));
    let answer = asked(&shop.process, &format!("/{id}/test"), json!({})).await;
    assert_eq!(
        (&answer.json["taken"], &answer.json["answerStatus"]),
        (&json!(false), &json!(302))
    );
}

#[tokio::test]
async fn subscriptions_are_checked_listed_and_deleted() {
    let shop = TestShop::new().await;
    for refused in [
        json!({ "url": "ftp://hooks.example/" }),
        json!({ "url": "https://me:hush@hooks.example/" }),
        json!({ "url": "https://hooks.example/", "types": ["code.asked"] }),
        json!({ "url": "https://hooks.example/", "after": -1 }),
        json!({ "url": "https://hooks.example/", "description": "x".repeat(201) }),
        json!({ "url": "https://hooks.example/", "secret": "mine" }),
        json!({}),
    ] {
        let answer = asked(&shop.process, "", refused.clone()).await;
        assert_eq!(answer.status, 422, "{refused}: {}", answer.text);
    }
    let receiver = Receiver::start().await;
    let (id, _) = subscribed(&shop, &receiver, json!({ "after": 0 })).await;
    let disabled = asked(&shop.process, &format!("/{id}/disable"), json!({})).await;
    assert_eq!(disabled.json["disabledBecause"], "an operator disabled it");
    delivers(&shop.process).await;
    assert_eq!(receiver.taken().len(), 0);
    let operator = Fan::new(shop.process.booking.admin().0);
    let path = format!("/admin/v1/subscriptions/{id}");
    assert_eq!(operator.delete(&path).await.status, 204);
    assert_eq!(operator.delete(&path).await.status, 404);
    assert_eq!(operator.get(&path).await.status, 404);
    assert_eq!(
        operator.get(&format!("{path}/deliveries")).await.status,
        404
    );
    for _ in 0..50 {
        subscribed(&shop, &receiver, json!({})).await;
    }
    let one_more = asked(&shop.process, "", json!({ "url": receiver.url })).await;
    assert_eq!(one_more.status, 409, "{}", one_more.text);
}
