//! Sinks of events: a Redis Stream, and one that forgets where it was.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use booking_core::{Event, EventSink, RedisStream, SinkError};
use redis::Value;
use serde_json::Value as Json;
use test_support::redis_server::RedisServer;

use crate::test_shop::{Process, TestShop};

/// Writes this many events to the outbox.
async fn happens(shop: &TestShop, count: i32) {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let mut database = shop.database.connect().await;
    let statement = format!(
        "insert into outbox (topic, dedupe, payload, created_at)
         select 'show.changed', 'show.changed:' || gen_random_uuid(), '{{\"showNo\": 0}}', now()
         from generate_series(1, {count})"
    );
    database.execute(AssertSqlSafe(statement)).await.unwrap();
    database.close().await.unwrap();
    while shop.process.booking.sequence_once().await.unwrap() > 0 {}
}

async fn sinks_all(process: &Process) {
    while process.booking.sink_once().await.unwrap() > 0 {}
}

fn stream(server: &RedisServer) -> Arc<RedisStream> {
    Arc::new(RedisStream::open(&server.url(), Some("tickets".to_owned()), 1000, None).unwrap())
}

/// The positions of the entries in the stream, and their events.
async fn entries(server: &RedisServer) -> Vec<(i64, Json)> {
    let answer: Vec<(String, Vec<String>)> = server.ask(&["XRANGE", "tickets", "-", "+"]).await;
    let entries = answer.into_iter().map(|(id, fields)| {
        assert_eq!(
            (fields[0].as_str(), fields[2].as_str(), fields[4].as_str()),
            ("id", "type", "event")
        );
        let event: Json = serde_json::from_str(&fields[5]).unwrap();
        assert_eq!(
            (event["id"].as_str(), event["type"].as_str()),
            (Some(&*fields[1]), Some(&*fields[3]))
        );
        let (position, _) = id.split_once('-').unwrap();
        assert_eq!(event["position"].to_string(), position);
        (position.parse().unwrap(), event)
    });
    entries.collect()
}

async fn positions(server: &RedisServer) -> Vec<i64> {
    entries(server)
        .await
        .into_iter()
        .map(|(position, _)| position)
        .collect()
}

#[tokio::test]
async fn a_stream_gets_every_event_in_order_through_restarts_of_redis() {
    let shop = TestShop::new().await;
    let mut server = RedisServer::start().await;
    let process = shop.another_process_with_sink(stream(&server)).await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    happens(&shop, 300).await;
    sinks_all(&process).await;
    let all = entries(&server).await;
    assert_eq!(
        all.iter()
            .map(|(position, _)| *position)
            .collect::<Vec<_>>(),
        (1..=302).collect::<Vec<_>>()
    );
    let confirmed = all
        .iter()
        .find(|(_, event)| event["type"] == "booking.confirmed")
        .unwrap();
    assert_eq!(confirmed.1["data"]["bookingId"], booked["bookingId"]);
    server.kill().await;
    happens(&shop, 5).await;
    assert_eq!(process.booking.sink_once().await.unwrap(), 0);
    server.restart().await;
    sinks_all(&process).await;
    assert_eq!(positions(&server).await, (1..=307).collect::<Vec<_>>());
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_redis_that_lost_events_gets_them_again() {
    let shop = TestShop::new().await;
    // Without a file, a restart forgets everything.
    let mut server = RedisServer::start_with(&["--save", "", "--appendonly", "no"]).await;
    let process = shop.another_process_with_sink(stream(&server)).await;
    happens(&shop, 20).await;
    sinks_all(&process).await;
    server.restart().await;
    happens(&shop, 1).await;
    // Finds the connection broken.
    assert_eq!(process.booking.sink_once().await.unwrap(), 0);
    sinks_all(&process).await;
    assert_eq!(positions(&server).await, (1..=22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_others_write_to_is_left_alone() {
    let shop = TestShop::new().await;
    let server = RedisServer::start().await;
    server
        .ask::<Value>(&["XADD", "tickets", "*", "a", "b"])
        .await;
    let process = shop.another_process_with_sink(stream(&server)).await;
    happens(&shop, 1).await;
    assert_eq!(process.booking.sink_once().await.unwrap(), 0);
    let length: i64 = server.ask(&["XLEN", "tickets"]).await;
    assert_eq!(length, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_append_each_event_once_even_when_leases_lapse() {
    let shop = TestShop::new().await;
    let server = RedisServer::start().await;
    let one = shop.another_process_with_sink(stream(&server)).await;
    let two = shop.another_process_with_sink(stream(&server)).await;
    for _ in 0..4 {
        happens(&shop, 250).await;
        loop {
            // As if each took the other for dead.
            shop.meddle("update event_consumers set leased_until = '-infinity'")
                .await;
            let (here, there) = tokio::join!(one.booking.sink_once(), two.booking.sink_once());
            if here.unwrap() + there.unwrap() == 0 {
                break;
            }
        }
    }
    // The stream is bounded: the newest are there, without a gap and in order.
    let positions = positions(&server).await;
    assert_eq!(positions.last(), Some(&1001));
    assert!(positions.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(positions.len() >= 1000);
    shop.assert_clean().await;
}

/// A sink that does not know where it was, as a topic of Kafka does not, and fails when told to.
#[derive(Default)]
struct Forgetful {
    taken: Mutex<Vec<i64>>,
    /// Takes the next batch and loses the answer.
    loses_answer: Mutex<bool>,
}

#[async_trait]
impl EventSink for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    async fn position(&self) -> Result<Option<i64>, SinkError> {
        Ok(None)
    }

    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let mut taken = self.taken.lock().unwrap();
        taken.extend(events.iter().map(|event| event.position));
        if std::mem::take(&mut *self.loses_answer.lock().unwrap()) {
            return Err(SinkError("lost".to_owned()));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_forgets_gets_everything_at_least_once_from_where_we_know_it() {
    let shop = TestShop::new().await;
    let sink = Arc::new(Forgetful::default());
    let process = shop
        .another_process_with_sink(Arc::clone(&sink) as Arc<dyn EventSink>)
        .await;
    happens(&shop, 2).await;
    sinks_all(&process).await;
    assert_eq!(*sink.taken.lock().unwrap(), [1, 2, 3]);
    happens(&shop, 1).await;
    *sink.loses_answer.lock().unwrap() = true;
    assert_eq!(process.booking.sink_once().await.unwrap(), 0);
    // The process dies between the answer and its record; another goes on when its lease is over.
    process.kill().await;
    let other = shop
        .another_process_with_sink(Arc::clone(&sink) as Arc<dyn EventSink>)
        .await;
    assert_eq!(other.booking.sink_once().await.unwrap(), 0);
    shop.clock.advance(std::time::Duration::from_secs(31));
    sinks_all(&other).await;
    assert_eq!(*sink.taken.lock().unwrap(), [1, 2, 3, 4, 4]);
    shop.assert_clean().await;
}
