//! Knots of a line that changed after its length was read.

use line::store::keys::RoomKeys;
use line::store::scripts::Scripts;
use redis::AsyncCommands as _;
use test_support::redis::{redis_prefix, redis_url};

#[tokio::test]
async fn the_last_place_stands_for_ranks_that_a_shorter_line_has_not_any_more() {
    let keys = RoomKeys::new(&redis_prefix(), &"knots".parse().unwrap());
    let client = redis::Client::open(redis_url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis.hset(keys.meta(), "epoch", 1).await.unwrap();
    let scripts = Scripts::new();
    for (line, expected) in [
        (&[][..], &[][..]),
        (&[(10, "a"), (20, "b"), (30, "c")], &[10.0, 30.0, 30.0]),
    ] {
        if !line.is_empty() {
            let _: () = redis.zadd_multiple(keys.line(), line).await.unwrap();
        }
        let ranks: Vec<u8> = [0.0f64, 2.0, 7.0]
            .iter()
            .flat_map(|rank| rank.to_le_bytes())
            .collect();
        let mut call = redis::cmd("EVAL");
        call.arg(scripts.knots.source).arg(2);
        call.arg(keys.meta()).arg(keys.line()).arg(1).arg(ranks);
        let packed: Vec<u8> = call.query_async(&mut redis).await.unwrap();
        let expected: Vec<u8> = expected
            .iter()
            .flat_map(|key: &f64| key.to_le_bytes())
            .collect();
        assert_eq!(packed, expected);
    }
    let _: () = redis.del(&[keys.meta(), keys.line()]).await.unwrap();
}
