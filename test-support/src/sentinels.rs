//! A Redis server and a replica of a test's own, watched by three sentinels.

use std::fs;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::process::Child;

use crate::redis_server::{RedisServer, free_port, redis_server};
use crate::waiting::eventually;

/// The name under which the sentinels know the servers.
pub const SERVICE: &str = "line";
/// Sentinels.
const SENTINELS: usize = 3;
/// How many of them have to find a server dead.
const QUORUM: usize = 2;
/// How long it may be silent before they do, in milliseconds.
const DOWN_AFTER_MS: u32 = 500;

struct Sentinel {
    port: u16,
    _directory: TempDir,
    _process: Child,
}

/// Two servers, of which one copies the other, and who watches them.
pub struct Watched {
    /// The server that is the master at first.
    pub first: RedisServer,
    /// Its replica.
    pub second: RedisServer,
    sentinels: Vec<Sentinel>,
}

impl Watched {
    /// Starts all of them and waits until they know each other.
    pub async fn start() -> Self {
        let first = RedisServer::start().await;
        let second = first.replica().await;
        let sentinels = join_all((0..SENTINELS).map(|_| sentinel(first.port()))).await;
        let watched = Self {
            first,
            second,
            sentinels,
        };
        watched.are_acquainted().await;
        watched
    }

    /// What names the master to a gateway.
    pub fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<_> = hosts.map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}/{SERVICE}/0", hosts.join(","))
    }

    async fn are_acquainted(&self) {
        for sentinel in &self.sentinels {
            let url = format!("redis://127.0.0.1:{}", sentinel.port);
            let client = redis::Client::open(url).unwrap();
            eventually("the sentinels", async || {
                let mut connection = client.get_multiplexed_async_connection().await.ok()?;
                let mut question = redis::cmd("SENTINEL");
                question.arg("MASTER").arg(SERVICE);
                let told: Vec<String> = question.query_async(&mut connection).await.ok()?;
                let field = |name: &str| {
                    let at = told.iter().position(|field| field == name)?;
                    told.get(at + 1).map(String::as_str)
                };
                let is_complete =
                    field("num-slaves") == Some("1") && field("num-other-sentinels") == Some("2");
                is_complete.then_some(())
            })
            .await;
        }
    }
}

async fn sentinel(master: u16) -> Sentinel {
    let (port, directory) = (free_port().await, tempfile::tempdir().unwrap());
    let file = directory.path().join("sentinel.conf");
    // The sentinel writes into its file what it learns.
    let text = format!(
        "port {port}\nbind 127.0.0.1\n\
         sentinel monitor {SERVICE} 127.0.0.1 {master} {QUORUM}\n\
         sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {SERVICE} 3000\n"
    );
    fs::write(&file, text).unwrap();
    let process = redis_server(directory.path(), [file.as_os_str(), "--sentinel".as_ref()]);
    Sentinel {
        port,
        _directory: directory,
        _process: process,
    }
}
