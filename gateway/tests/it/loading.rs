//! What only Redis does: notices of a later version, a server that was demoted.

use contract::Timestamp;
use line::store::keys::RoomKeys;
use line::store::redis::RedisStore;
use line::store::{Cursor, RoomRef, RoomStore};
use test_support::making::{Birth, room_make};
use test_support::redis::{redis_prefix, redis_store, redis_url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use crate::outages::{redis_by, redis_target};
use crate::test_app::eventually;

const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

/// A store with a prefix of its own, its room's keys, and a connection beside it.
async fn store() -> (
    RedisStore,
    RoomRef,
    RoomKeys,
    redis::aio::MultiplexedConnection,
) {
    let prefix = redis_prefix();
    let store = redis_store(&redis_url(), &prefix);
    let room = RoomRef {
        room: "eras".parse().unwrap(),
        epoch: 1,
    };
    let keys = RoomKeys::new(&prefix, &room.room);
    let client = redis::Client::open(redis_url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    (store, room, keys, connection)
}

fn birth(name: u128, now: Timestamp) -> Birth {
    Birth {
        name: Uuid::from_u128(name),
        now,
        seq: 0,
        held_until: None,
        is_open: false,
    }
}

#[tokio::test]
async fn notices_of_a_later_version_are_passed_over() {
    let (store, room, keys, mut connection) = store().await;
    let prepared = room_make(&store, &room, &birth(1, START), &[]).await;
    prepared.unwrap();
    let mut add = redis::cmd("XADD");
    add.arg(keys.notices()).arg("*").arg("kind").arg("novelty");
    let id: String = add.query_async(&mut connection).await.unwrap();
    let read = store.notices_after(&room, &Cursor::start()).await.unwrap();
    assert_eq!((read.notices, read.end), (vec![], Cursor(id)));
    store.room_forget(&room).await.unwrap();
}

/// A way to the tests' Redis whose first connection leads to a server that was demoted: it reads
/// and takes no scripts that write.
async fn demoted_at_first() -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = redis_by(listener.local_addr().unwrap());
    let tasks = TaskTracker::new();
    let relays = tasks.clone();
    let accepting = tasks.spawn(async move {
        let mut is_demoted = true;
        while let Ok((client, _)) = listener.accept().await {
            relays.spawn(relay(client, is_demoted));
            is_demoted = false;
        }
    });
    (url, AbortOnDropHandle::new(accepting))
}

async fn relay(client: TcpStream, is_demoted: bool) {
    let server = TcpStream::connect(redis_target()).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut bytes = [0; 4096];
    let mut answers = [0; 4096];
    loop {
        tokio::select! {
            read = from_client.read(&mut bytes) => {
                let Ok(1..) = read else { return };
                let asked = &bytes[..read.unwrap()];
                let writes = asked.windows(4).any(|word| word == b"EVAL");
                let sent = if is_demoted && writes {
                    let refusal = b"-READONLY You can't write against a read only replica.\r\n";
                    to_client.write_all(refusal).await
                } else {
                    to_server.write_all(asked).await
                };
                sent.unwrap();
            }
            read = from_server.read(&mut answers) => {
                let Ok(1..) = read else { return };
                to_client.write_all(&answers[..read.unwrap()]).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_was_demoted_is_left() {
    let (url, _proxy) = demoted_at_first().await;
    let store = redis_store(&url, &redis_prefix());
    let room = RoomRef {
        room: "eras".parse().unwrap(),
        epoch: 1,
    };
    store.ping().await.unwrap();
    eventually("the server that takes writes", async || {
        let prepared = room_make(&store, &room, &birth(1, START), &[]).await;
        prepared.ok()
    })
    .await;
    store.room_forget(&room).await.unwrap();
}
