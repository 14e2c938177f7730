//! What an outsider sees of servers: their processes, their ports, their data.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

/// Bound of every wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until something holds, and fails the test when it does not within the bound.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    assert!(
        tokio::time::timeout(WAIT_MAX, wait).await.is_ok(),
        "not in time: {what}"
    );
}

pub(crate) fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The port in a URL such as `redis://:secret@127.0.0.1:6379/0`.
pub(crate) fn port(url: &str) -> u16 {
    let (_, address) = url.rsplit_once('@').unwrap();
    let (address, _) = address.split_once('/').unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

pub(crate) fn noted_pid(data_dir: &Path, server: &str) -> i32 {
    let note = fs::read_to_string(data_dir.join(format!("{server}.pid"))).unwrap();
    note.split_whitespace().next().unwrap().parse().unwrap()
}

pub(crate) async fn redis_get(url: &str, key: &str) -> redis::RedisResult<Option<String>> {
    let mut connection = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    redis::cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
}

pub(crate) async fn redis_set(url: &str, key: &str, value: &str) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    redis::cmd("SET")
        .arg(key)
        .arg(value)
        .query_async(&mut connection)
        .await
}

pub(crate) async fn sql_text(url: &str, statement: &'static str) -> sqlx::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let text = sqlx::query_scalar(statement)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(text)
}

pub(crate) async fn sql(url: &str, statement: &'static str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    connection.close().await
}
