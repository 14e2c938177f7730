//! A private PostgreSQL that is shut down, killed and started again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use embedded::{Servers, Want};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Url;
use tokio::time::Instant;

use crate::links::Links;
use crate::timetable::{Fault, Server};

/// How long a start may be tried: processes of a server that was killed take a moment to end.
const START_MAX: Duration = Duration::from_secs(60);
/// Time between two tries.
const START_PAUSE: Duration = Duration::from_millis(200);

/// The server and what is needed to start it again.
pub(crate) struct Postgres {
    dir: PathBuf,
    /// None while it is down.
    servers: Option<Servers>,
}

impl Postgres {
    /// Starts it with its data in `dir`.
    pub(crate) async fn start(dir: PathBuf) -> anyhow::Result<Self> {
        let servers = Some(start(&dir).await?);
        let postgres = Self { dir, servers };
        postgres.trust_everyone()?;
        Ok(postgres)
    }

    /// Takes logins without looking at their passwords. Logging in is slow in unoptimised programs,
    /// and after every fault all gateways log in again with all of their connections: on a busy
    /// machine no login would be through before its pool gives it up.
    fn trust_everyone(&self) -> anyhow::Result<()> {
        let file = self.dir.join("postgres/data/pg_hba.conf");
        let rules = std::fs::read_to_string(&file)?;
        std::fs::write(&file, rules.replace("scram-sha-256", "trust"))?;
        self.signal(Signal::SIGHUP)
    }

    /// The application's database, by way of the proxy at `link`.
    pub(crate) fn url_at(&self, link: &str) -> anyhow::Result<String> {
        let url = self.url()?;
        let (host, port) = link.split_once(':').context("not a host and port")?;
        let mut at = url;
        at.set_host(Some(host))?;
        if at.set_port(Some(port.parse()?)).is_err() {
            bail!("the database's URL takes no port");
        }
        Ok(at.to_string())
    }

    /// Where it listens, as a host and port.
    pub(crate) fn target(&self) -> anyhow::Result<String> {
        let url = self.url()?;
        let (host, port) = (url.host_str(), url.port());
        let (host, port) = host.zip(port).context("the database has no address")?;
        Ok(format!("{host}:{port}"))
    }

    fn url(&self) -> anyhow::Result<Url> {
        let servers = self.servers.as_ref().context("PostgreSQL is down")?;
        let url = servers.database_url().context("no database")?;
        Ok(Url::parse(&url)?)
    }

    /// Breaks as the fault says, and is mended.
    pub(crate) async fn suffer(&mut self, fault: &Fault, links: &Arc<Links>) -> anyhow::Result<()> {
        let down = match *fault {
            Fault::PostgresRestarted { down } => {
                self.shut_down().await;
                down
            }
            Fault::PostgresKilled { down } => {
                self.signal(Signal::SIGKILL)?;
                down
            }
            _ => return Ok(()),
        };
        tokio::time::sleep(down).await;
        // A killed server may be told to stop when it is gone already; that is no loss.
        self.shut_down().await;
        self.servers = Some(start(&self.dir).await?);
        // It has another port now.
        links.retarget(Server::Postgres, &self.target()?);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let note = std::fs::read_to_string(self.dir.join("postgres.pid"))?;
        let pid = note.split_whitespace().next().context("no process id")?;
        kill(Pid::from_raw(pid.parse()?), signal)?;
        Ok(())
    }

    async fn shut_down(&mut self) {
        if let Some(servers) = self.servers.take() {
            servers.stop().await;
        }
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        self.shut_down().await;
    }
}

async fn start(dir: &Path) -> anyhow::Result<Servers> {
    let want = Want {
        redis: false,
        postgres: true,
    };
    let until = Instant::now() + START_MAX;
    loop {
        match Servers::start(dir, want).await {
            Ok(servers) => return Ok(servers),
            Err(error) if Instant::now() > until => return Err(error.into()),
            Err(_) => tokio::time::sleep(START_PAUSE).await,
        }
    }
}
