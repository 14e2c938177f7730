//! A Redis server of a test's own, which may be a replica of another and dies when it is dropped.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::certificates::Certificates;
use crate::waiting::eventually;

/// A server process.
pub struct RedisServer {
    port: u16,
    directory: TempDir,
    options: Vec<String>,
    process: Child,
}

impl RedisServer {
    /// An empty server that writes every command down before it answers.
    pub async fn start() -> Self {
        let options = ["--appendonly", "yes", "--appendfsync", "always"];
        Self::start_with(&options).await
    }

    /// A server with these options.
    pub async fn start_with(options: &[&str]) -> Self {
        let (port, directory) = (free_port().await, tempfile::tempdir().unwrap());
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = spawn(port, directory.path(), &options);
        let server = Self {
            port,
            directory,
            options,
            process,
        };
        server.answers().await;
        server
    }

    /// A server that is also reached by TLS, at the URL that follows.
    pub async fn start_with_tls(certificates: &Certificates) -> (Self, String) {
        let port = free_port().await.to_string();
        let files = [
            certificates.server(),
            certificates.key(),
            certificates.authority(),
        ];
        let [certificate, key, authority] = files.map(|file| file.to_str().unwrap().to_owned());
        let server = Self::start_with(&[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ])
        .await;
        (server, format!("rediss://127.0.0.1:{port}"))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    pub fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What names it to a client.
    pub fn url(&self) -> String {
        format!("redis://{}", self.target())
    }

    /// A server that has copied all of this one and goes on copying.
    pub async fn replica(&self) -> Self {
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        let replica = Self::start_with(&options).await;
        let port = self.port.to_string();
        replica.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
        eventually("the copy", async || {
            let info: String = replica.ask(&["INFO", "replication"]).await;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        replica
    }

    /// Waits until a replica has all that this server has. Writes the key `copied`.
    pub async fn is_copied(&self) {
        self.is_copied_by("copied").await;
    }

    /// The same, writing this key: in a cluster, one that the server has.
    pub async fn is_copied_by(&self, key: &str) {
        eventually("the copy", async || {
            // Below the time that the client waits for an answer.
            let bound = Duration::from_millis(200).as_millis().to_string();
            // WAIT counts the writes of its own connection, so there has to be one.
            let mut connection = self.connection().await;
            let mut write = redis::pipe();
            write.cmd("SET").arg(key).arg(1).ignore();
            write.cmd("WAIT").arg(1).arg(bound);
            let (copies,): (u32,) = write.query_async(&mut connection).await.unwrap();
            (copies == 1).then_some(())
        })
        .await;
    }

    /// From now on it copies nothing and takes writes.
    pub async fn promote(&self) {
        self.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    }

    /// Dies and starts again with what it had written down.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.process = spawn(self.port, self.directory.path(), &self.options);
        self.answers().await;
    }

    /// Dies.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Stands still, as on a machine that hangs: connections stay and are taken, and nothing is
    /// answered.
    pub async fn hang(&self) {
        self.signal("-STOP").await;
    }

    /// Goes on.
    pub async fn go_on(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.process.id().expect("it has not ended").to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// The answer to a command.
    pub async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
            .query_async(&mut self.connection().await)
            .await
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    async fn answers(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        eventually("the server", async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let ping = redis::cmd("PING");
            ping.query_async::<String>(&mut connection).await.ok()
        })
        .await;
    }
}

/// A port that was free a moment ago; should another process take it, the start fails and the test
/// with it.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(port: u16, directory: &Path, options: &[String]) -> Child {
    let port = port.to_string();
    let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
    let quick = ["--repl-diskless-sync-delay", "0"];
    let options = options.iter().map(String::as_str);
    redis_server(directory, fixed.into_iter().chain(quick).chain(options))
}

/// A process of `redis-server` that works in `directory` and dies when it is dropped.
pub(crate) fn redis_server<A: AsRef<OsStr>>(
    directory: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error}"))
}
