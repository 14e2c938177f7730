//! A gateway as a process, with a show behind a room, and fans without a browser.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contract::{Clock, SystemClock};
use http::header::COOKIE;
use http::{Method, StatusCode};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::certificates::Certificates;
use test_support::database::TestDatabase;
use tokio::process::{Child, Command};

use super::chromium::Browser;
use super::nginx::{Nginx, free_addrs};
use super::{WAIT_MAX, found, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ropeline-gateway");
const SIMULATOR: &str = "ropeline-payment-simulator";
const ADMIN_TOKEN: &str = "token-of-the-browser-tests";
/// How long a gateway with a few visitors may take to end: less than the grace it gives to
/// unfinished work, because there is none.
const STOP_MAX: Duration = Duration::from_secs(15);
/// The show that every stage has.
pub(super) const SHOW: &str = "lanterns";
/// What it is called, and what its line is for.
pub(super) const TITLE: &str = "Night of a Thousand Lanterns";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A gateway, its data, and the one room it has.
pub(super) struct Stage {
    pub(super) room: String,
    gateway: Child,
    public_url: String,
    /// The gateway itself, whatever fans reach it through.
    listen_url: String,
    ops_url: String,
    http: Client,
    dir: TempDir,
    database: TestDatabase,
    front: Front,
}

/// What fans reach instead of the gateway.
enum Front {
    None,
    Nginx(Box<Nginx>),
    Url(String),
    /// The gateway itself, by TLS at this address.
    Tls(Certificates, SocketAddr),
}

impl Front {
    fn url(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Nginx(nginx) => Some(nginx.url()),
            Self::Url(url) => Some(url.clone()),
            Self::Tls(_, address) => Some(format!("https://{address}")),
        }
    }

    /// Further settings of the gateway.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let Self::Tls(certificates, address) = self else {
            return Vec::new();
        };
        vec![
            (
                "ROPELINE_TLS_CERT",
                certificates.server().display().to_string(),
            ),
            ("ROPELINE_TLS_KEY", certificates.key().display().to_string()),
            ("ROPELINE_TLS_LISTEN", address.to_string()),
        ]
    }
}

impl Stage {
    /// Starts a gateway with a show and a room. `settings` change those of the room, which is
    /// open and lets in one fan at a time.
    pub(super) async fn set(settings: Value) -> Self {
        Self::made(settings, Front::None, "127.0.0.1:0").await
    }

    /// The same, reached through nginx as its packages and first examples set it up.
    pub(super) async fn behind_nginx(settings: Value) -> Self {
        let [front, gateway] = free_addrs();
        let listen = gateway.to_string();
        let front = Front::Nginx(Box::new(Nginx::start(front, gateway)));
        Self::made(settings, front, &listen).await
    }

    /// The same, reached by TLS, with a certificate of an authority that nobody believes.
    pub(super) async fn encrypted(settings: Value) -> Self {
        let [tls, _] = free_addrs();
        let front = Front::Tls(Certificates::make(), tls);
        Self::made(settings, front, "127.0.0.1:0").await
    }

    /// The same, reached at `public_url` through something of the test's, and listening at
    /// `gateway`.
    pub(super) async fn reached_at(public_url: &str, gateway: SocketAddr, settings: Value) -> Self {
        Self::made(
            settings,
            Front::Url(public_url.to_owned()),
            &gateway.to_string(),
        )
        .await
    }

    async fn made(settings: Value, front: Front, listen: &str) -> Self {
        let simulator = Path::new(PROGRAM).with_file_name(SIMULATOR);
        assert!(
            simulator.is_file(),
            "{SIMULATOR} is not built beside the gateway: run scripts/build --bins"
        );
        let dir = tempfile::tempdir().unwrap();
        let database = TestDatabase::create().await;
        // Rooms of all test runs share one Redis.
        let room = format!(
            "lanterns-{}-{}-{}",
            SystemClock.now().as_ms(),
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let public_url = front.url();
        let urls = (listen, "127.0.0.1:0", public_url.as_deref());
        let gateway = start(dir.path(), &database, urls, front.settings());
        let mut stage = Self {
            room,
            gateway,
            public_url: String::new(),
            listen_url: String::new(),
            ops_url: String::new(),
            http: Client::builder().timeout(WAIT_MAX).build().unwrap(),
            dir,
            database,
            front,
        };
        stage.become_ready().await;
        stage.furnish(settings).await;
        stage
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// The same for programs, which the listener for TLS would have to be believed by.
    fn asked_url(&self, path: &str) -> String {
        match self.front {
            Front::Tls(..) => format!("{}{path}", self.listen_url),
            _ => self.url(path),
        }
    }

    /// What the gateway's metrics say.
    pub(super) async fn metrics(&self) -> String {
        let asked = self.http.get(format!("{}/metrics", self.ops_url));
        let answer = asked.bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// The waiting page of someone who wants to choose seats.
    pub(super) fn line_url(&self) -> String {
        self.url(&format!(
            "/_line/rooms/{}?to=/shows/{SHOW}/seats",
            self.room
        ))
    }

    /// Ends the gateway as an operator does, and waits for its clean end.
    pub(super) async fn stop(&mut self) {
        let pid = self.gateway.id().expect("the gateway ended by itself");
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
        let ended = tokio::time::timeout(STOP_MAX, self.gateway.wait()).await;
        let status = ended
            .unwrap_or_else(|_| panic!("the gateway does not end\n{}", self.log()))
            .unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        // Work that never ends is given up after half a minute, with a warning.
        let log = self.log();
        assert!(!log.contains("gave up waiting"), "{log}");
    }

    /// Starts the gateway again where it was before.
    pub(super) async fn start_again(&mut self) {
        let [listen, ops_listen] = [&self.public_url, &self.ops_url]
            .map(|url| url.trim_start_matches("http://").to_owned());
        let is_alone = matches!(self.front, Front::None);
        assert!(is_alone, "its own address is not known");
        let urls = (listen.as_str(), ops_listen.as_str(), None);
        self.gateway = start(self.dir.path(), &self.database, urls, Vec::new());
        self.become_ready().await;
    }

    /// Asks the operators' listener, which has to agree, and gives its answer.
    pub(super) async fn operate(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/admin/v1{path}", self.ops_url);
        let mut is_repeated = false;
        let (status, is_made, text) = until("the operators' listener", async || {
            let mut request = self.http.request(method.clone(), &url);
            request = request.bearer_auth(ADMIN_TOKEN);
            if let Some(body) = &body {
                request = request.json(body);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status();
            // On a loaded machine the database may take longer than a request waits.
            let is_settled = status != StatusCode::SERVICE_UNAVAILABLE;
            // What was not waited for long enough may be there all the same.
            let is_made = is_repeated && status == StatusCode::CONFLICT;
            is_repeated = true;
            is_settled.then_some((status, is_made, answer.text().await.unwrap()))
        })
        .await;
        assert!(
            status.is_success() || is_made,
            "{method} {path}: {status} {text}"
        );
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The JSON of an address of the site, asked for as `fan`, who is on it.
    pub(super) async fn ask_as(&self, fan: &Browser, path: &str) -> Value {
        let request = self.http.get(self.url(path));
        let request = request.header(COOKIE, fan.cookies().await);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    /// One of the manager's commands to the room.
    pub(super) async fn command(&self, command: &str, body: Value) {
        let path = format!("/rooms/{}/{command}", self.room);
        self.operate(Method::POST, &path, Some(body)).await;
    }

    /// Changes one setting of the room.
    pub(super) async fn change(&self, name: &str, value: Value) {
        let path = format!("/rooms/{}", self.room);
        let mut settings = self.operate(Method::GET, &path, None).await;
        settings[name] = value;
        self.operate(Method::PUT, &path, Some(settings)).await;
    }

    /// Waits until so many fans are inside.
    pub(super) async fn has_inside(&self, fans: u64) {
        let path = format!("/rooms/{}/stats", self.room);
        until(&format!("{fans} fans inside"), async || {
            let stats = self.operate(Method::GET, &path, None).await;
            (stats["active"] == fans && stats["called"] == 0).then_some(())
        })
        .await;
    }

    /// A fan who joins the line without a browser.
    pub(super) async fn rival(&self) -> Rival {
        let url = self.asked_url(&format!("/_line/v1/rooms/{}/places", self.room));
        // The same nonce is the same place, however often a loaded gateway has to be asked.
        let nonce = format!("{:0>21}A", COUNT.fetch_add(1, Ordering::Relaxed));
        let joined: Value = until("a rival's place", async || {
            let request = self.http.post(&url).json(&json!({ "nonce": nonce }));
            let answer = request.send().await.unwrap();
            let status = answer.status();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                return None;
            }
            assert!(status.is_success(), "{status}");
            Some(answer.json().await.unwrap())
        })
        .await;
        Rival {
            place: joined["place"].as_str().unwrap().to_owned(),
        }
    }

    /// Waits for a rival's turn and lets them go in.
    pub(super) async fn goes_in(&self, rival: &Rival) {
        until("a rival's turn", async || {
            let status = self.ask_for(rival, Method::POST, "pass").await;
            (status == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Ends a rival's visit, which makes room for the next.
    pub(super) async fn goes_home(&self, rival: &Rival) {
        let status = self.ask_for(rival, Method::DELETE, "pass").await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }

    async fn ask_for(&self, rival: &Rival, method: Method, what: &str) -> StatusCode {
        let url = format!("{}/_line/v1/rooms/{}/{what}", self.listen_url, self.room);
        let request = self.http.request(method, url).bearer_auth(&rival.place);
        request.send().await.unwrap().status()
    }

    async fn become_ready(&mut self) {
        let announcement = self.dir.path().join("admin.json");
        let http = self.http.clone();
        let mut urls = None;
        let gateway = &mut self.gateway;
        let ready = found(async || {
            if gateway.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let text = std::fs::read_to_string(&announcement).ok()?;
            let announced: Value = serde_json::from_str(&text).ok()?;
            let ops = announced["opsUrl"].as_str()?.to_owned();
            let answer = http.get(format!("{ops}/readyz")).send().await.ok()?;
            let url = |name: &str| announced[name].as_str().map(str::to_owned);
            urls = Some((url("publicUrl")?, url("listenUrl")?, ops));
            answer.status().is_success().then_some(true)
        });
        let ready = ready.await == Some(true);
        assert!(ready, "the gateway is not ready\n{}", self.log());
        (self.public_url, self.listen_url, self.ops_url) = urls.unwrap();
    }

    async fn furnish(&self, settings: Value) {
        let mut room = json!({
            "room": self.room,
            "title": TITLE,
            "paths": [format!("/shows/{SHOW}/seats"), format!("/api/v1/shows/{SHOW}/holds")],
            "opensAt": "2020-01-01T00:00:00Z",
            "newUsersPerMinute": 600,
            "totalActiveUsers": 1,
            "claimWindowSeconds": 300,
        });
        for (name, value) in settings.as_object().unwrap() {
            room[name] = value.clone();
        }
        self.operate(Method::POST, "/rooms", Some(room)).await;
        // A show is refused before its room exists.
        let show = show(&self.room);
        self.operate(Method::POST, "/shows", Some(show)).await;
        let document = self.asked_url(&format!("/_line/v1/rooms/{}", self.room));
        until("the room", async || {
            let answer = self.http.get(&document).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("gateway.log"));
        text.unwrap_or_default()
    }
}

/// A fan without a browser. No connection shows that they are there.
pub(super) struct Rival {
    place: String,
}

/// Starts a gateway that listens for fans and for operators, and that fans reach elsewhere if said.
fn start(
    dir: &Path,
    database: &TestDatabase,
    (listen, ops_listen, public_url): (&str, &str, Option<&str>),
    settings: Vec<(&str, String)>,
) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("gateway.log"))
        .unwrap();
    // What an earlier gateway announced no longer holds.
    let _ = std::fs::remove_file(dir.join("admin.json"));
    let mut command = Command::new(PROGRAM);
    if let Some(url) = public_url {
        command.env("ROPELINE_PUBLIC_URL", url);
    }
    command
        .current_dir(dir)
        .env("ROPELINE_DATA_DIR", dir)
        .env("ROPELINE_LISTEN", listen)
        .env("ROPELINE_OPS_LISTEN", ops_listen)
        .env("ROPELINE_DATABASE_URL", database.url())
        .env("ROPELINE_REDIS_URL", database.redis_url())
        .env("ROPELINE_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("ROPELINE_SHUTDOWN_DELAY_SECONDS", "0")
        .envs(settings)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn show(room: &str) -> Value {
    json!({
        "showId": SHOW,
        "city": { "cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata" },
        "title": TITLE,
        "description": "Three orchestras, one lake, and the longest night of the year.",
        "genre": "Classical",
        "language": "Hindi",
        "cast": ["Orchestra of the Western Ghats"],
        "venue": { "name": "Powai Lake Open Air", "address": "Adi Shankaracharya Marg, Mumbai 400076" },
        "startsAt": "2035-12-21T13:30:00Z",
        "room": room,
        "ticketLimit": 4,
        "holdSeconds": 600,
        "currency": "INR",
        "categories": [
            { "category": "FRONT", "name": "By the water", "priceMinor": 450_000 },
            { "category": "REAR", "name": "On the hill", "priceMinor": 150_000 },
        ],
        "sections": [
            { "name": "Water", "category": "FRONT", "rows": ["A", "B", "C", "D"], "seatsPerRow": 20, "accessible": ["D1", "D2"] },
            { "name": "Hill", "category": "REAR", "rows": ["E", "F", "G", "H", "J", "K"], "seatsPerRow": 24 },
        ],
    })
}
