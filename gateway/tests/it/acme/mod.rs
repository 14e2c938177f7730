//! Certificates by ACME, from Pebble: an authority made for tests.

mod orders;
mod process;
mod waits;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use contract::{Clock, ManualClock, SystemClock};
use gateway::acme::Wanted;
use gateway::acme::challenges::Challenges;
use gateway::acme::keeper::Keeper;
use gateway::acme::kept::Kept;
use gateway::acme::schedule::Pace;
use http::StatusCode;
use line::Randomness;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::json;
use tempfile::TempDir;
use test_support::certificates::Certificates;
use test_support::program::Program;
use test_support::redis_server::free_port;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::serving::Server;
use crate::tls::curl;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// Pebble, for which every name leads to this machine. It is stopped when dropped.
struct Pebble {
    dir: TempDir,
    certificates: Certificates,
    port: u16,
    management: u16,
    http_port: u16,
    dns: String,
    refused_nonces: u8,
    _names: Program,
    running: Option<Program>,
}

impl Pebble {
    /// Looks for names at this port, and refuses this many of a hundred good nonces.
    async fn start(http_port: u16, refused_nonces: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dns = format!("127.0.0.1:{}", free_port().await);
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-dns01", &dns, "-defaultIPv6", ""]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-management", &format!("127.0.0.1:{}", free_port().await)]);
        let mut names = Program::start("names", names, dir.path()).unwrap();
        reached(&mut names, &dns).await;
        let mut pebble = Self {
            certificates: Certificates::make(),
            port: free_port().await,
            management: free_port().await,
            http_port,
            dns,
            refused_nonces,
            _names: names,
            running: None,
            dir,
        };
        pebble.run().await;
        pebble
    }

    /// Runs it, with nothing that it knew before.
    async fn run(&mut self) {
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": self.certificates.server(),
            "privateKey": self.certificates.key(),
            "httpPort": self.http_port,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        let file = self.dir.path().join("pebble.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new("pebble");
        command
            .args(["-strict", "-dnsserver", &self.dns, "-config"])
            .arg(&file)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", self.refused_nonces.to_string());
        let mut running = Program::start("pebble", command, self.dir.path()).unwrap();
        for port in [self.port, self.management] {
            reached(&mut running, &format!("127.0.0.1:{port}")).await;
        }
        self.running = Some(running);
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Its directory.
    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The file of the root of the certificates that it gives.
    async fn root(&self) -> PathBuf {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let root = curl(&self.certificates.authority(), &url, &[]).await;
        let file = self.dir.path().join("root.pem");
        std::fs::write(&file, root).unwrap();
        file
    }
}

async fn reached(program: &mut Program, address: &str) {
    let ready = program.ready(READY_WITHIN, async |_| {
        TcpStream::connect(address).await.ok()
    });
    ready.await.unwrap();
}

/// A site that answers authorities out of this directory.
async fn site(kept_in: &Path) -> Server {
    let challenges = Kept::at(kept_in.to_owned()).challenges();
    let answer = async move |request: Request| -> Response {
        let (head, _) = request.into_parts();
        let answer = answered(&challenges, &head).await;
        answer.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
    };
    Server::start(Router::new().fallback(answer)).await
}

async fn answered(challenges: &Challenges, head: &http::request::Parts) -> Option<Response> {
    challenges.answer(head).await
}

/// A clock that stands at the present.
fn clock() -> ManualClock {
    ManualClock::new(SystemClock.now())
}

/// What keeps a certificate for these names in `kept_in`.
fn keeper(
    (directory, trusted): (&str, &Path),
    names: &[&str],
    kept_in: &Path,
    clock: &ManualClock,
) -> (Keeper, Wanted) {
    let wanted = Wanted {
        domains: names.iter().map(|&name| name.to_owned()).collect(),
        email: Some("admin@tickets.test".to_owned()),
        directory: directory.to_owned(),
        kept_in: kept_in.to_owned(),
    };
    let keeper = Keeper::new(
        wanted.clone(),
        &std::fs::read(trusted).unwrap(),
        Pace::PUBLIC,
        Arc::new(clock.clone()),
        Randomness::new(ChaCha20Rng::seed_from_u64(7)),
    );
    (keeper.unwrap(), wanted)
}
