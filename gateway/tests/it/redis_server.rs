//! A Redis server of a test's own, which may be a replica of another and dies when it is dropped.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::test_app::eventually;

pub(crate) struct RedisServer {
    port: u16,
    directory: TempDir,
    process: Child,
}

impl RedisServer {
    /// An empty server that writes every command down before it answers.
    pub(crate) async fn start() -> Self {
        // Free a moment ago; should another process take it, the start fails and the test with it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let directory = tempfile::tempdir().unwrap();
        let process = spawn(port, &directory);
        let server = Self {
            port,
            directory,
            process,
        };
        server.answers().await;
        server
    }

    pub(crate) fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A server that has copied all of this one and goes on copying.
    pub(crate) async fn replica(&self) -> Self {
        let replica = Self::start().await;
        let port = self.port.to_string();
        replica.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
        eventually("the copy", async || {
            let info: String = replica.ask(&["INFO", "replication"]).await;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        replica
    }

    /// Waits until a replica has all that this server has.
    pub(crate) async fn is_copied(&self) {
        eventually("the copy", async || {
            // Below the time that the client waits for an answer.
            let bound = Duration::from_millis(200).as_millis().to_string();
            // WAIT counts the writes of its own connection, so there has to be one.
            let mut connection = self.connection().await;
            let mut write = redis::pipe();
            write.cmd("SET").arg("copied").arg(1).ignore();
            write.cmd("WAIT").arg(1).arg(bound);
            let (copies,): (u32,) = write.query_async(&mut connection).await.unwrap();
            (copies == 1).then_some(())
        })
        .await;
    }

    /// From now on it copies nothing and takes writes.
    pub(crate) async fn promote(&self) {
        self.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    }

    /// Dies and starts again with what it had written down.
    pub(crate) async fn restart(&mut self) {
        self.process.kill().await.unwrap();
        self.process = spawn(self.port, &self.directory);
        self.answers().await;
    }

    async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}", self.target())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
            .query_async(&mut self.connection().await)
            .await
            .unwrap()
    }

    async fn answers(&self) {
        let client = redis::Client::open(format!("redis://{}", self.target())).unwrap();
        eventually("the server", async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let ping = redis::cmd("PING");
            ping.query_async::<String>(&mut connection).await.ok()
        })
        .await;
    }
}

fn spawn(port: u16, directory: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--dir", directory.path().to_str().unwrap(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--repl-diskless-sync-delay", "0"])
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error}"))
}
