//! The gateways: processes that are killed, stopped and started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use reqwest::{Client, Url};
use serde::Deserialize;
use test_support::program::Program;
use tokio::time::Instant;

use crate::balancer::{Backend, Backends};
use crate::links::Links;
use crate::postgres::Postgres;
use crate::process::{READY_MAX, command};
use crate::timetable::{Fault, GATEWAYS, Server, Which};

/// How long a gateway that ends while it starts is started again, as a supervisor would.
const START_MAX: Duration = Duration::from_mins(5);
/// Pause before it is.
const START_PAUSE: Duration = Duration::from_secs(1);
/// How long a gateway may take to tell its metrics.
const METRICS_MAX: Duration = Duration::from_millis(500);
/// Time in which the ticks of gateways are compared. A leader ticks ten times a second.
const TICKS_SPAN: Duration = Duration::from_millis(350);
/// The counter that grows at the gateway that leads.
const TICKS: &str = "ropeline_line_ticks_total";

/// What all gateways are told.
pub(crate) struct Surroundings {
    /// The gateway's program.
    pub program: PathBuf,
    /// Where fans reach all of them.
    pub public_url: String,
    /// The operators' token.
    pub token: String,
    /// Settings for the payment providers and for mail.
    pub others: Vec<(&'static str, String)>,
}

/// All gateways of a run.
pub(crate) struct Gateways {
    list: Vec<Gateway>,
    http: Client,
}

/// One gateway, which may be down.
struct Gateway {
    number: usize,
    dir: PathBuf,
    settings: Vec<(&'static str, String)>,
    program: PathBuf,
    backends: Arc<Backends>,
    process: Option<Program>,
    /// Starts that ended before the gateway was ready.
    failed_starts: u32,
}

/// What a gateway tells the machine it runs on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announcement {
    ops_url: String,
    listen_url: String,
}

impl Gateways {
    /// Starts all of them with their data in `dir`. The first makes the signing key of all.
    pub(crate) async fn start(
        dir: &Path,
        surroundings: &Surroundings,
        links: &Links,
        postgres: &Postgres,
        backends: &Arc<Backends>,
    ) -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().timeout(METRICS_MAX).build()?;
        let mut list = Vec::with_capacity(GATEWAYS);
        for number in 0..GATEWAYS {
            let own = dir.join(format!("gateway-{number}"));
            std::fs::create_dir(&own)?;
            let database = postgres.url_at(&links.address(Server::Postgres, number))?;
            let redis = format!("redis://{}/0", links.address(Server::Redis, number));
            let mut settings = vec![
                ("ROPELINE_DATABASE_URL", database),
                ("ROPELINE_REDIS_URL", redis),
                ("ROPELINE_PUBLIC_URL", surroundings.public_url.clone()),
                ("ROPELINE_ADMIN_TOKEN", surroundings.token.clone()),
            ];
            settings.extend(surroundings.others.clone());
            if number > 0 {
                let key = dir.join("gateway-0/signing-key.pem");
                settings.push(("ROPELINE_SIGNING_KEYS", key.display().to_string()));
            }
            let mut gateway = Gateway {
                number,
                dir: own,
                settings,
                program: surroundings.program.clone(),
                backends: backends.clone(),
                process: None,
                failed_starts: 0,
            };
            gateway.start(&http).await?;
            list.push(gateway);
        }
        Ok(Self { list, http })
    }

    /// Breaks one as the fault says, and mends it.
    pub(crate) async fn suffer(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match *fault {
            Fault::GatewayKilled { which, down } => {
                let number = self.meant(which).await;
                let gateway = self.list.get_mut(number).context("no such gateway")?;
                gateway.kill().await?;
                tokio::time::sleep(down).await;
                gateway.start(&self.http).await
            }
            Fault::GatewayStopped { which, lasts } => {
                let number = self.meant(which).await;
                let gateway = self.list.get_mut(number).context("no such gateway")?;
                gateway.signal(Signal::SIGSTOP)?;
                tokio::time::sleep(lasts).await;
                gateway.signal(Signal::SIGCONT)
            }
            _ => Ok(()),
        }
    }

    /// Those that ended by themselves, and how.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        let ended = |gateway: &mut Gateway| {
            let status = gateway.process.as_mut()?.ended()?;
            Some(format!(
                "gateway {} ended by itself: {status}",
                gateway.number
            ))
        };
        self.list.iter_mut().filter_map(ended).collect()
    }

    /// Starts that ended before a gateway was ready.
    pub(crate) fn failed_starts(&self) -> u32 {
        self.list.iter().map(|gateway| gateway.failed_starts).sum()
    }

    /// Ends all.
    pub(crate) async fn stop(self) {
        for gateway in self.list {
            if let Some(process) = gateway.process {
                process.stop().await;
            }
        }
    }

    /// The number of the gateway that is meant. The first, where nobody leads.
    async fn meant(&self, which: Which) -> usize {
        match which {
            Which::Number(number) => number,
            Which::Leader => self.leader().await.unwrap_or_default(),
        }
    }

    /// The gateway that ticks most as the leader.
    async fn leader(&self) -> Option<usize> {
        let mut before = Vec::with_capacity(self.list.len());
        for gateway in &self.list {
            before.push(gateway.ticks(&self.http).await);
        }
        tokio::time::sleep(TICKS_SPAN).await;
        let mut most = None;
        for (gateway, before) in self.list.iter().zip(before) {
            let after = gateway.ticks(&self.http).await;
            let ticks = after.zip(before).map(|(after, before)| after - before);
            most = most.max(ticks.filter(|ticks| *ticks > 0).zip(Some(gateway.number)));
        }
        most.map(|(_, number)| number)
    }
}

impl Gateway {
    async fn start(&mut self, http: &Client) -> anyhow::Result<()> {
        let until = Instant::now() + START_MAX;
        loop {
            match self.start_once(http).await {
                Err(error) if Instant::now() < until => {
                    self.failed_starts += 1;
                    tracing::warn!("{error:#}\ngateway {} is started again", self.number);
                    tokio::time::sleep(START_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn start_once(&mut self, http: &Client) -> anyhow::Result<()> {
        let announcement = self.dir.join("admin.json");
        // What an earlier process announced no longer holds; the first has announced nothing.
        let _absent = std::fs::remove_file(&announcement);
        let mut command = command(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("ROPELINE_DATA_DIR", &self.dir)
            // Another port each time: while a gateway is down, others may take its port.
            .env("ROPELINE_LISTEN", "127.0.0.1:0")
            .env("ROPELINE_OPS_LISTEN", "127.0.0.1:0")
            .env("ROPELINE_TRUSTED_PROXIES", "127.0.0.0/8")
            .env("ROPELINE_CONNECTIONS_PER_ADDRESS_MAX", "16000")
            .env("ROPELINE_SHUTDOWN_DELAY_SECONDS", "0")
            .env("ROPELINE_LOG", "info")
            .envs(self.settings.clone())
            .current_dir(&self.dir);
        let name = format!("gateway-{}", self.number);
        let logs = self.dir.parent().context("no directory for logs")?;
        let mut process = Program::start(name, command, logs)?;
        let announced = process
            .ready(READY_MAX, async |_| {
                let text = std::fs::read(&announcement).ok()?;
                let announced: Announcement = serde_json::from_slice(&text).ok()?;
                let live = http.get(format!("{}/livez", announced.ops_url));
                let answer = live.send().await.ok()?;
                answer.status().is_success().then_some(announced)
            })
            .await?;
        let backend = Backend {
            public: address(&announced.listen_url)?,
            ops: address(&announced.ops_url)?,
        };
        self.backends.set(self.number, Some(backend));
        self.process = Some(process);
        Ok(())
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        self.backends.set(self.number, None);
        let mut process = self.process.take().context("the gateway is down")?;
        process.kill().await
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the gateway is down")?;
        process.signal(signal)
    }

    /// Its ticks as the leader so far, if it answers.
    async fn ticks(&self, http: &Client) -> Option<u64> {
        let ops = self.backends.get(self.number)?.ops;
        let metrics = http.get(format!("http://{ops}/metrics"));
        let text = metrics.send().await.ok()?.text().await.ok()?;
        Some(sum(&text, TICKS))
    }
}

/// The sum of all series of a counter.
fn sum(metrics: &str, name: &str) -> u64 {
    let series = metrics.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let url = Url::parse(url)?;
    let addresses = url.socket_addrs(|| None)?;
    let first = addresses.first().copied();
    first.with_context(|| format!("{url} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_one_counter_are_summed() {
        let metrics = "# HELP a_total text\na_total{room=\"x y\"} 3\na_total{room=\"z\"} 4\n\
            a_total_more 9\nb_total 5\n";
        assert_eq!(sum(metrics, "a_total"), 7);
        assert_eq!(sum(metrics, "b_total"), 5);
        assert_eq!(sum(metrics, "c_total"), 0);
    }
}
