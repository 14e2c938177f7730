//! Two gateways as processes on one Redis and PostgreSQL, with fans who go from one to the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::line::{PassGrant, StatusDocument};
use contract::pass::{JwkSet, PassKey};
use data_encoding::BASE64URL_NOPAD;
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::database::TestDatabase;
use tokio::time::Instant;

use crate::starting::{PROGRAM, Process, TOKEN, home};

/// A protected path of the shop, which has nothing there.
const GUARDED: &str = "/api/v1/shows/guarded";
const SHOW: &str = "/api/v1/shows/lanterns";
/// Where seats of the show are held, which is protected too.
pub(crate) const HOLDS: &str = "/api/v1/shows/lanterns/holds";
/// How long a change may take that a gateway makes by itself.
pub(crate) const CHANGE_MAX: Duration = Duration::from_secs(30);

/// Two gateways on one Redis and PostgreSQL.
pub(crate) struct Pair {
    pub(crate) database: TestDatabase,
    keys: TempDir,
    homes: [TempDir; 2],
    gateways: [Option<Process>; 2],
    /// The program of each.
    programs: [PathBuf; 2],
    pub(crate) http: reqwest::Client,
}

/// Someone who waits, or is inside.
pub(crate) struct Fan {
    pub(crate) nonce: String,
    pub(crate) place: String,
    pub(crate) pass: String,
}

impl Pair {
    /// Two gateways of this version with these settings.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let database = TestDatabase::create().await;
        Self::start_programs(database, [PROGRAM, PROGRAM].map(PathBuf::from), arguments).await
    }

    /// A gateway of each program with these settings, one after the other.
    pub(crate) async fn start_programs(
        database: TestDatabase,
        programs: [PathBuf; 2],
        arguments: &[&str],
    ) -> Self {
        let keys = tempfile::tempdir().unwrap();
        for (name, seed) in [("old.pem", 1), ("new.pem", 2)] {
            let pem = PassKey::from_seed([seed; 32]).unwrap().to_pem().unwrap();
            fs::write(keys.path().join(name), pem).unwrap();
        }
        let mut pair = Self {
            database,
            keys,
            homes: [home(), home()],
            gateways: [None, None],
            programs,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
        };
        for at in 0..2 {
            pair.restart(at, arguments).await;
        }
        pair.room().await;
        pair
    }

    /// Starts the gateway again with these settings of its keys.
    pub(crate) async fn restart(&mut self, at: usize, arguments: &[&str]) {
        if let Some(running) = self.gateways[at].take() {
            running.stop().await;
        }
        let mut gateway = self.process(at, arguments);
        gateway.becomes_ready().await;
        self.gateways[at] = Some(gateway);
    }

    /// Starts the gateway again, with another program.
    pub(crate) async fn exchange(&mut self, at: usize, program: &Path, arguments: &[&str]) {
        program.clone_into(&mut self.programs[at]);
        self.restart(at, arguments).await;
    }

    pub(crate) fn process(&self, at: usize, arguments: &[&str]) -> Process {
        let _gone = fs::remove_file(self.homes[at].path().join(".ropeline/admin.json"));
        let named = arguments.iter().map(|argument| {
            let files = argument.split(',').map(|name| {
                let file = self.keys.path().join(name);
                if file.exists() {
                    file.display().to_string()
                } else {
                    name.to_owned()
                }
            });
            files.collect::<Vec<_>>().join(",")
        });
        let mut arguments: Vec<String> = named.collect();
        arguments.extend(["--shutdown-delay-seconds", "0"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let home = self.homes[at].path();
        Process::start(&self.programs[at], home, &self.database, &arguments)
    }

    /// The show behind the room, known to both: a gateway reads every second what others imported.
    pub(crate) async fn import_show(&self) {
        self.gateways[0].as_ref().unwrap().import_show().await;
        for at in 0..2 {
            self.becomes_found(&self.public(at, SHOW)).await;
        }
    }

    async fn becomes_found(&self, url: &str) {
        let began = Instant::now();
        loop {
            let answer = self.http.get(url).send().await.unwrap();
            if answer.status().is_success() {
                return;
            }
            assert!(began.elapsed() < CHANGE_MAX, "{url}: {}", answer.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn url(&self, at: usize, name: &str, path: &str) -> String {
        let announced = self.gateways[at].as_ref().unwrap().announced().unwrap();
        format!("{}{path}", announced[name].as_str().unwrap())
    }

    pub(crate) fn public(&self, at: usize, path: &str) -> String {
        self.url(at, "listenUrl", path)
    }

    async fn room(&self) {
        let settings = json!({
            "room": "eras", "paths": [GUARDED, HOLDS], "queueAll": true, "newUsersPerMinute": 60_000,
            "opensAt": "2026-01-01T00:00:00Z",
        });
        let url = self.url(0, "opsUrl", "/admin/v1/rooms");
        let request = self.http.post(url).bearer_auth(TOKEN).json(&settings);
        let answer = request.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
        for at in 0..2 {
            self.becomes_found(&self.public(at, "/_line/v1/rooms/eras"))
                .await;
        }
    }

    /// What this gateway says of the signing keys.
    pub(crate) async fn advice(&self, at: usize) -> Option<String> {
        let answer = self
            .http
            .get(self.url(at, "opsUrl", "/readyz"))
            .send()
            .await;
        let report: Value = answer.unwrap().json().await.unwrap();
        let mut checks = report["checks"].as_array().unwrap().iter();
        let keys = checks.find(|check| check["name"] == "keys").unwrap();
        keys["advice"].as_str().map(str::to_owned)
    }

    /// The key ids that a verifier reads at this gateway, to keep them for 300 seconds.
    pub(crate) async fn published(&self, at: usize) -> BTreeSet<String> {
        let answer = self.http.get(self.public(at, "/_line/v1/jwks.json")).send();
        let keys: JwkSet = answer.await.unwrap().json().await.unwrap();
        keys.keys.into_iter().map(|key| key.kid).collect()
    }

    /// Joins at one gateway with this nonce, until the room is known there.
    pub(crate) async fn join(&self, at: usize, nonce: &str) -> StatusDocument {
        let began = Instant::now();
        loop {
            let url = self.public(at, "/_line/v1/rooms/eras/places");
            let request = self.http.post(url).json(&json!({"nonce": nonce}));
            let answer = request.send().await.unwrap();
            if answer.status().is_success() {
                return answer.json().await.unwrap();
            }
            let status = answer.status();
            let is_early = matches!(
                status,
                StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE
            );
            assert!(is_early && began.elapsed() < CHANGE_MAX, "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How the fan stands by a poll here; a renewed token is kept.
    async fn poll(&self, at: usize, fan: &mut Fan) -> StatusDocument {
        let url = self.public(at, "/_line/v1/rooms/eras/place");
        let answer = self.http.get(url).bearer_auth(&fan.place).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "the poll at {at}");
        let status: StatusDocument = answer.json().await.unwrap();
        if let Some(renewed) = &status.place {
            fan.place.clone_from(renewed);
        }
        status
    }

    pub(crate) async fn claim(&self, at: usize, place: &str) -> String {
        let began = Instant::now();
        loop {
            let url = self.public(at, "/_line/v1/rooms/eras/pass");
            let answer = self.http.post(url).bearer_auth(place).send().await.unwrap();
            if answer.status() == StatusCode::OK {
                let grant: PassGrant = answer.json().await.unwrap();
                return grant.access_token;
            }
            assert_eq!(answer.status(), StatusCode::CONFLICT, "the claim at {at}");
            assert!(began.elapsed() < CHANGE_MAX, "never called");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The gate's answer to a pass.
    pub(crate) async fn shop(&self, at: usize, pass: &str) -> StatusCode {
        let request = self.http.get(self.public(at, GUARDED));
        let answer = request.header("ropeline-pass", pass).send().await.unwrap();
        answer.status()
    }

    /// A fan joins at one gateway, polls at the other, and claims here and there.
    pub(crate) async fn fan(&self, number: u8) -> Fan {
        let (here, there) = (usize::from(number % 2), usize::from((number + 1) % 2));
        let nonce = BASE64URL_NOPAD.encode(&[number; 16]);
        let place = self.join(here, &nonce).await.place.unwrap();
        let pass = String::new();
        let mut fan = Fan { nonce, place, pass };
        self.poll(there, &mut fan).await;
        fan.pass = self.claim(there, &fan.place).await;
        let again = self.claim(here, &fan.place).await;
        assert_eq!(claims(&fan.pass)["jti"], claims(&again)["jti"]);
        fan
    }

    /// Nobody is refused anywhere: places are the same, polls are answered, passes open the gate.
    pub(crate) async fn nobody_is_refused(&self, fans: &mut [Fan]) {
        for at in 0..2 {
            for fan in &mut *fans {
                let shop = self.shop(at, &fan.pass).await;
                assert_eq!(shop, StatusCode::NOT_FOUND, "the gate at {at}");
                self.poll(at, fan).await;
                let url = self.public(at, "/_line/v1/rooms/eras/places");
                let request = self.http.post(url).json(&json!({"nonce": fan.nonce}));
                let again = request.send().await.unwrap();
                assert_eq!(again.status(), StatusCode::OK, "another place at {at}");
            }
        }
    }

    /// Five minutes pass for whoever has an earlier list of public keys.
    pub(crate) async fn caches_expire(&self) {
        sqlx::query(
            "update gateway_keys set seen_at = seen_at - interval '301 seconds'
             where not is_running",
        )
        .execute(&self.database.pool())
        .await
        .unwrap();
    }

    pub(crate) async fn stop(self) {
        for gateway in self.gateways.into_iter().flatten() {
            gateway.stop().await;
        }
    }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

/// The claims of a pass, unverified.
pub(crate) fn claims(pass: &str) -> Value {
    part(pass, 1)
}

/// The key that signed a pass.
pub(crate) fn signer(pass: &str) -> String {
    part(pass, 0)["kid"].as_str().unwrap().to_owned()
}

/// The id of the key with this seed.
pub(crate) fn id(seed: u8) -> String {
    PassKey::from_seed([seed; 32]).unwrap().kid().to_owned()
}
