//! A Redis with a replica that takes over.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use redis::AsyncConnectionConfig;
use test_support::program::Program;
use tokio::time::Instant;

use crate::links::Links;
use crate::process::{READY_MAX, command};
use crate::timetable::{Fault, Server};

/// How long one command may take.
const COMMAND_MAX: Duration = Duration::from_secs(20);
/// How long a replica may take to have all that its primary has.
const COPY_MAX: Duration = Duration::from_secs(20);
/// Time between two looks at the replica.
const COPY_PAUSE: Duration = Duration::from_millis(50);

/// One server with a directory of its own.
struct RedisServer {
    process: Program,
    port: u16,
    data: PathBuf,
}

/// A primary that gateways use, and the replica that takes over from it.
pub(crate) struct RedisPair {
    dir: PathBuf,
    /// Servers so far, so that each has a directory of its own.
    count: u32,
    primary: RedisServer,
    replica: RedisServer,
}

impl RedisPair {
    /// Starts both in `dir`.
    pub(crate) async fn start(dir: &Path) -> anyhow::Result<Self> {
        let primary = RedisServer::start(dir, 0).await?;
        let replica = RedisServer::start(dir, 1).await?;
        replica.follow(&primary).await?;
        Ok(Self {
            dir: dir.to_owned(),
            count: 2,
            primary,
            replica,
        })
    }

    /// Where the primary listens, as a host and port.
    pub(crate) fn target(&self) -> String {
        self.primary.target()
    }

    /// Breaks as the fault says, and is mended.
    pub(crate) async fn suffer(&mut self, fault: &Fault, links: &Arc<Links>) -> anyhow::Result<()> {
        match *fault {
            Fault::RedisFailedOver { lost } => self.fail_over(lost, links).await,
            Fault::RedisFlushed => self.primary.ask(&["FLUSHALL"]).await.map(drop),
            Fault::RedisEmptied => {
                self.primary.process.kill().await?;
                self.primary = self.another().await?;
                self.led_to(links).await
            }
            Fault::RedisRestarted { down } => {
                self.primary.process.kill().await?;
                tokio::time::sleep(down).await;
                let data = self.primary.data.clone();
                self.primary = RedisServer::start_in(&self.dir, data).await?;
                self.led_to(links).await
            }
            Fault::RedisStopped { lasts } => {
                self.primary.process.signal(Signal::SIGSTOP)?;
                tokio::time::sleep(lasts).await;
                self.primary.process.signal(Signal::SIGCONT)
            }
            _ => Ok(()),
        }
    }

    async fn fail_over(&mut self, lost: Duration, links: &Arc<Links>) -> anyhow::Result<()> {
        self.replica.is_copied().await?;
        self.replica.ask(&["REPLICAOF", "NO", "ONE"]).await?;
        // What gateways write now never reaches the server that takes over.
        tokio::time::sleep(lost).await;
        self.primary.process.kill().await?;
        links.retarget(Server::Redis, &self.replica.target());
        let replica = self.another().await?;
        self.primary = std::mem::replace(&mut self.replica, replica);
        self.replica.follow(&self.primary).await
    }

    /// Leads gateways and the replica to the primary there is now.
    async fn led_to(&self, links: &Arc<Links>) -> anyhow::Result<()> {
        links.retarget(Server::Redis, &self.primary.target());
        self.replica.follow(&self.primary).await
    }

    async fn another(&mut self) -> anyhow::Result<RedisServer> {
        self.count += 1;
        RedisServer::start(&self.dir, self.count).await
    }

    /// Ends both.
    pub(crate) async fn stop(self) {
        self.primary.process.stop().await;
        self.replica.process.stop().await;
    }
}

impl RedisServer {
    /// Starts an empty server, number `number` of those in `dir`.
    async fn start(dir: &Path, number: u32) -> anyhow::Result<Self> {
        let data = dir.join(format!("redis-{number}"));
        std::fs::create_dir(&data)?;
        Self::start_in(dir, data).await
    }

    /// Starts a server with what is in `data`.
    async fn start_in(dir: &Path, data: PathBuf) -> anyhow::Result<Self> {
        // Free a moment ago; should another process take it, the start fails and says so.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = command(Path::new("redis-server"));
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes"])
            .args([
                "--appendfsync",
                "everysec",
                "--maxmemory-policy",
                "noeviction",
            ])
            .args(["--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(&data);
        let name = data.file_name().unwrap_or_default().display().to_string();
        let mut process = Program::start(name, command, dir)?;
        process
            .ready(READY_MAX, async |_| ask(port, &["PING"]).await.ok())
            .await?;
        Ok(Self {
            process,
            port,
            data,
        })
    }

    fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn follow(&self, primary: &Self) -> anyhow::Result<()> {
        let port = primary.port.to_string();
        self.ask(&["REPLICAOF", "127.0.0.1", &port]).await?;
        Ok(())
    }

    /// Waits until this replica follows its primary closely.
    async fn is_copied(&self) -> anyhow::Result<()> {
        let until = Instant::now() + COPY_MAX;
        loop {
            let info = self.ask(&["INFO", "replication"]).await?;
            if info.contains("master_link_status:up") {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("the replica does not follow:\n{info}");
            }
            tokio::time::sleep(COPY_PAUSE).await;
        }
    }

    async fn ask(&self, words: &[&str]) -> anyhow::Result<String> {
        ask(self.port, words)
            .await
            .with_context(|| format!("{words:?} at Redis {}", self.port))
    }
}

/// Runs one command on the server at `port`.
async fn ask(port: u16, words: &[&str]) -> anyhow::Result<String> {
    let asked = async {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
        // On a busy machine the client's own half second is over soon.
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(COMMAND_MAX))
            .set_response_timeout(Some(COMMAND_MAX));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&patient)
            .await?;
        let (name, arguments) = words.split_first().context("no command")?;
        let mut command = redis::cmd(name);
        command.arg(arguments);
        anyhow::Ok(command.query_async::<String>(&mut connection).await?)
    };
    tokio::time::timeout(COMMAND_MAX, asked).await?
}
