//! A gateway as a child process, and what operators and fans ask of it here.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::line::{JoinRequest, Phase, PlaceState, RoomDocument, StatusDocument};
use contract::room::{AdmissionRecord, RoomSettings, RoomStats};
use contract::{RoomId, ShowId};
use data_encoding::BASE64URL_NOPAD;
use embedded::Servers;
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use test_support::program::Program;
use tokio::process::Command;
use tokio::time::Instant;

use crate::processes::READY_MAX;

/// How long the gateway may take to do what it was told.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// Time between two looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// How long one call of an operator may take; the import of a large show is the longest.
const CALL_MAX: Duration = Duration::from_mins(1);
/// Connections that nobody used for this long are not used again: a gateway closes them after ten
/// seconds, and a request that crosses the closing is lost.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A running gateway.
pub(crate) struct Gateway {
    program: Program,
    http: reqwest::Client,
    ops: String,
    token: String,
    pub address: SocketAddr,
    redis_url: String,
}

/// What a gateway tells the machine it runs on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announcement {
    ops_url: String,
    public_url: String,
}

impl Gateway {
    /// Starts `binary` on `servers` with a fresh directory in `dir`, and these settings.
    pub(crate) async fn start(
        binary: &Path,
        dir: &Path,
        servers: &Servers,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let own = tempfile::tempdir_in(dir)?.keep();
        let redis_url = servers.redis_url().context("no Redis")?;
        let mut command = Command::new(binary);
        // Each gateway of a run has a fresh directory, and the database is the same.
        command.arg("--adopt-keys");
        // Settings and a settings file of whoever runs the benchmark are not measured.
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("ROPELINE_DATA_DIR", &own)
            .env("ROPELINE_LISTEN", "127.0.0.1:0")
            .env("ROPELINE_OPS_LISTEN", "127.0.0.1:0")
            .env("ROPELINE_LOG", "warn")
            .env("ROPELINE_REDIS_URL", &redis_url)
            .env(
                "ROPELINE_DATABASE_URL",
                servers.database_url().context("no database")?,
            )
            .envs(settings.iter().cloned())
            .current_dir(&own);
        let mut program = Program::start("gateway", command, &own)?;
        let http = reqwest::Client::builder()
            .timeout(CALL_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .build()?;
        let announced = program
            .ready(READY_MAX, async |_| {
                let text = std::fs::read(own.join("admin.json")).ok()?;
                let announced: Announcement = serde_json::from_slice(&text).ok()?;
                let ready = http.get(format!("{}/readyz", announced.ops_url));
                let answer = ready.send().await.ok()?;
                answer.status().is_success().then_some(announced)
            })
            .await?;
        let addresses = Url::parse(&announced.public_url)?.socket_addrs(|| None)?;
        let token = std::fs::read_to_string(own.join("admin-token"))?;
        Ok(Self {
            program,
            http,
            ops: format!("{}/admin/v1", announced.ops_url),
            token: token.trim().to_owned(),
            address: *addresses.first().context("the gateway has no address")?,
            redis_url,
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Its Redis.
    pub(crate) fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.program.stop().await;
    }

    /// Commands that its Redis has run so far, those of scripts included.
    pub(crate) async fn redis_commands(&self) -> anyhow::Result<u64> {
        let client = redis::Client::open(self.redis_url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut ask = redis::cmd("INFO");
        let stats: String = ask.arg("stats").query_async(&mut connection).await?;
        let mut lines = stats.lines();
        let count = lines.find_map(|line| line.strip_prefix("total_commands_processed:"));
        Ok(count.context("Redis counts no commands")?.trim().parse()?)
    }

    /// Makes a room.
    pub(crate) async fn room_create(&self, settings: &RoomSettings) -> anyhow::Result<()> {
        let create = self.http.post(format!("{}/rooms", self.ops));
        self.order(create.json(settings)).await.map(drop)
    }

    /// Makes a room, opens it and waits until fans can join.
    pub(crate) async fn room_open(&self, settings: &RoomSettings) -> anyhow::Result<()> {
        let room = &settings.room;
        self.room_create(settings).await?;
        let open = self.http.post(format!("{}/rooms/{room}/open", self.ops));
        self.order(open).await?;
        self.room_known(room).await
    }

    /// Waits until fans can join a room that was opened here or at another gateway.
    pub(crate) async fn room_known(&self, room: &RoomId) -> anyhow::Result<()> {
        let url = format!("http://{}/_line/v1/rooms/{room}", self.address);
        self.settled(async || {
            let document: RoomDocument = read(self.http.get(&url)).await.ok()?;
            (document.phase == Phase::Queueing).then_some(())
        })
        .await
        .with_context(|| format!("room {room} did not open"))
    }

    /// Changes a room.
    pub(crate) async fn room_change(&self, settings: &RoomSettings) -> anyhow::Result<()> {
        let put = self
            .http
            .put(format!("{}/rooms/{}", self.ops, settings.room));
        self.order(put.json(settings)).await.map(drop)
    }

    /// Deletes a room, so that it costs nothing while something else is measured.
    pub(crate) async fn room_delete(&self, room: &RoomId) -> anyhow::Result<()> {
        let delete = self.http.delete(format!("{}/rooms/{room}", self.ops));
        self.order(delete).await.map(drop)
    }

    /// The figures of a room.
    pub(crate) async fn room_stats(&self, room: &RoomId) -> anyhow::Result<RoomStats> {
        let url = format!("{}/rooms/{room}/stats", self.ops);
        Ok(self.order(self.http.get(&url)).await?.json().await?)
    }

    /// The admission log of a room.
    pub(crate) async fn admissions(&self, room: &RoomId) -> anyhow::Result<Vec<AdmissionRecord>> {
        self.admissions_from(room, 1).await
    }

    /// The admission log of a room from call number `from` on. A busy database breaks the stream
    /// off; then it is read again.
    pub(crate) async fn admissions_from(
        &self,
        room: &RoomId,
        from: u64,
    ) -> anyhow::Result<Vec<AdmissionRecord>> {
        let url = format!("{}/rooms/{room}/admissions?from={from}", self.ops);
        let until = Instant::now() + SETTLE_MAX;
        loop {
            match self.order(self.http.get(&url)).await?.text().await {
                Ok(text) => {
                    let record = |line: &str| Ok(serde_json::from_str(line)?);
                    return text.lines().map(record).collect();
                }
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => tokio::time::sleep(SETTLE_PAUSE).await,
            }
        }
    }

    /// Imports a show in front of no room, with `rows` rows of `seats_per_row` seats.
    pub(crate) async fn show_import(
        &self,
        show: &ShowId,
        rows: u32,
        seats_per_row: u32,
    ) -> anyhow::Result<()> {
        let rows: Vec<String> = (0..rows).map(row_label).collect();
        let file = json!({
            "showId": show,
            "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
            "title": "Benchmark",
            "venue": {"name": "Stadium", "address": "1 Road", "latitude": 19.0, "longitude": 73.0},
            "startsAt": "2035-01-01T12:00:00Z",
            "currency": "INR",
            "categories": [{"category": "ALL", "name": "Any seat", "priceMinor": 100_000}],
            "sections": [
                {"name": "Floor", "category": "ALL", "rows": rows, "seatsPerRow": seats_per_row}
            ],
        });
        let import = self.http.post(format!("{}/shows", self.ops));
        self.order(import.json(&file)).await?;
        let url = format!("http://{}/api/v1/shows/{show}", self.address);
        self.settled(async || {
            read::<Value>(self.http.get(&url)).await.ok()?;
            Some(())
        })
        .await
        .context("the show did not appear")
    }

    /// Joins `room` as fan number `number`, and gives the place token and the answer's length.
    pub(crate) async fn join(&self, room: &RoomId, number: u64) -> anyhow::Result<(String, usize)> {
        let url = format!("http://{}/_line/v1/rooms/{room}/places", self.address);
        let body = JoinRequest {
            nonce: Some(nonce(number)),
            ..JoinRequest::default()
        };
        let answer = checked(self.http.post(url).json(&body)).await?;
        let bytes = answer.bytes().await?;
        let document: StatusDocument = serde_json::from_slice(&bytes)?;
        let place = document.place.context("a join without a place")?;
        Ok((place, bytes.len()))
    }

    /// The bytes of a page, as a visitor without cookies gets them: compressed by gzip, or not.
    pub(crate) async fn page(&self, path: &str, is_compressed: bool) -> anyhow::Result<Vec<u8>> {
        let mut page = self.http.get(format!("http://{}{path}", self.address));
        if is_compressed {
            page = page.header("accept-encoding", "gzip");
        }
        Ok(checked(page).await?.bytes().await?.to_vec())
    }

    /// Waits in `room` until called and gives the pass cookie.
    pub(crate) async fn pass_cookie(&self, room: &RoomId, number: u64) -> anyhow::Result<String> {
        let (place, _) = self.join(room, number).await?;
        let base = format!("http://{}/_line/v1/rooms/{room}", self.address);
        self.settled(async || {
            let look = self.http.get(format!("{base}/place")).bearer_auth(&place);
            let document: StatusDocument = read(look).await.ok()?;
            (document.state == PlaceState::Called).then_some(())
        })
        .await
        .context("nobody was called")?;
        let claim = self.http.post(format!("{base}/pass")).bearer_auth(&place);
        let grant: contract::line::PassGrant = read(claim).await?;
        Ok(format!("ropeline_pass_{room}={}", grant.access_token))
    }

    async fn order(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        checked(request.bearer_auth(&self.token)).await
    }

    async fn settled(&self, mut look: impl AsyncFnMut() -> Option<()>) -> anyhow::Result<()> {
        let until = Instant::now() + SETTLE_MAX;
        while look().await.is_none() {
            if Instant::now() > until {
                bail!("waited {SETTLE_MAX:?} in vain");
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        Ok(())
    }
}

/// The settings of a room that calls nobody by itself, and in which everyone waits.
pub(crate) fn quiet_room(room: &RoomId) -> anyhow::Result<RoomSettings> {
    let settings = json!({"room": room, "newUsersPerMinute": 0, "queueAll": true});
    Ok(serde_json::from_value(settings)?)
}

/// The nonce of fan `number`: a number for a draw, never the same twice.
pub(crate) fn nonce(number: u64) -> String {
    BASE64URL_NOPAD.encode(&u128::from(number).to_be_bytes())
}

/// The label of a row; with a number after it, the id of a seat.
pub(crate) fn row_label(row: u32) -> String {
    format!("R{row}-")
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    Ok(checked(request).await?.json().await?)
}

async fn checked(request: RequestBuilder) -> anyhow::Result<Response> {
    let answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().clone());
    if !status.is_success() {
        bail!("{url} answered {status}: {}", answer.text().await?);
    }
    Ok(answer)
}
