//! Gateways as processes: where their data is, which keys they work with, and what their payment
//! simulator may do to them.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use http::StatusCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use test_support::certificates::Certificates;
use test_support::database::TestDatabase;
use test_support::pgbouncer::PgBouncer;
use test_support::redis_cluster::RedisCluster;
use test_support::redis_server::RedisServer;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ropeline-gateway");
pub(crate) const TOKEN: &str = "token-of-the-start-tests";
/// How long a start or a stop may take, on a machine that is busy with other tests.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A gateway process on the test's servers, working in a directory of its own.
pub(crate) struct Process {
    child: Child,
    home: PathBuf,
    http: reqwest::Client,
}

impl Process {
    pub(crate) fn start(
        program: &Path,
        home: &Path,
        database: &TestDatabase,
        arguments: &[&str],
    ) -> Self {
        let log = File::create(home.join("gateway.log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("ROPELINE_LISTEN", "127.0.0.1:0")
            .env("ROPELINE_OPS_LISTEN", "127.0.0.1:0")
            .env("ROPELINE_DATABASE_URL", database.url())
            .env("ROPELINE_REDIS_URL", database.redis_url())
            .env("ROPELINE_ADMIN_TOKEN", TOKEN)
            .env("ROPELINE_PUBLIC_URL", "https://Tickets.Example:443/")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            child,
            home: home.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.join("gateway.log")).unwrap_or_default()
    }

    pub(crate) fn announced(&self) -> Option<Value> {
        let text = fs::read_to_string(self.home.join(".ropeline/admin.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until `look` finds something, or the process or the test's patience ends.
    async fn until<T>(&mut self, what: &str, mut look: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let began = tokio::time::Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "ended before {what}: {ended:?}\n{}",
                self.log()
            );
            assert!(
                began.elapsed() < WAIT_MAX,
                "not in time: {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn becomes_ready(&mut self) {
        self.until("it is ready", async |this| {
            let ops = this.announced()?["opsUrl"].as_str()?.to_owned();
            let answer = this.http.get(format!("{ops}/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// What it says of Redis, while it is ready.
    async fn redis_check(&self) -> Option<Value> {
        let ops = self.announced()?["opsUrl"].as_str()?.to_owned();
        let answer = self.http.get(format!("{ops}/readyz")).send().await.ok()?;
        let is_ready = answer.status().is_success();
        let text = answer.text().await.ok()?;
        assert!(is_ready, "{text}");
        let report: Value = serde_json::from_str(&text).ok()?;
        let mut checks = report["checks"].as_array()?.iter();
        checks.find(|check| check["name"] == "redis").cloned()
    }

    pub(crate) async fn ends(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(WAIT_MAX, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("does not end\n{}", self.log()))
            .unwrap()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("ended by itself")
    }

    fn terminate(&self) {
        kill(
            Pid::from_raw(self.pid().try_into().unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
    }

    pub(crate) async fn stop(mut self) {
        self.terminate();
        let status = self.ends().await;
        assert!(status.success(), "{status}\n{}", self.log());
    }

    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) async fn import_show(&self) {
        let show = json!({
            "showId": "lanterns",
            "city": { "cityId": "mumbai", "name": "Mumbai", "country": "IN",
                "timeZone": "Asia/Kolkata" },
            "title": "Lanterns",
            "venue": { "name": "Lake", "address": "Powai" },
            "startsAt": "2035-12-21T13:30:00Z",
            "ticketLimit": 4, "holdSeconds": 600, "currency": "INR",
            "categories": [{ "category": "FRONT", "name": "Front", "priceMinor": 450_000 }],
            "sections": [{ "name": "Water", "category": "FRONT", "rows": ["A"],
                "seatsPerRow": 5 }],
        });
        let ops = self.announced().unwrap()["opsUrl"]
            .as_str()
            .unwrap()
            .to_owned();
        let request = self.http.post(format!("{ops}/admin/v1/shows"));
        let answer = request.bearer_auth(TOKEN).json(&show).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{status} {text}");
    }

    fn simulator_log(&self) -> PathBuf {
        let data = self.home.join(".ropeline/payment-simulator");
        data.join("payment-simulator.log")
    }
}

/// A directory whose path has what people's paths have.
pub(crate) fn home() -> TempDir {
    let mut named = tempfile::Builder::new();
    named.prefix("Löwen und Café ").tempdir().unwrap()
}

#[tokio::test]
async fn data_is_where_the_gateway_was_started_and_the_simulator_runs_from_the_first_show() {
    let (home, database) = (home(), TestDatabase::create().await);
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &[]);
    gateway.becomes_ready().await;
    let announced = gateway.announced().unwrap();
    assert_eq!(announced["publicUrl"], "https://tickets.example");
    let listen_url = announced["listenUrl"].as_str().unwrap();
    assert!(listen_url.starts_with("http://127.0.0.1:"), "{listen_url}");
    assert!(!gateway.simulator_log().exists(), "started without a show");

    gateway.import_show().await;
    let data = home.path().join(".ropeline/payment-simulator");
    let port = fs::read_to_string(data.join("payment-simulator.port")).unwrap();
    let url = format!("http://127.0.0.1:{}/", port.trim());
    gateway
        .until("the simulator answers", async |this| {
            this.http.get(&url).send().await.ok().map(drop)
        })
        .await;
    assert!(!gateway.log().contains('\u{1b}'), "colours in a file");
    gateway.stop().await;
}

#[tokio::test]
async fn a_simulator_that_keeps_failing_takes_nothing_but_payments_away() {
    let (home, database) = (home(), TestDatabase::create().await);
    // Beside a gateway is where its simulator is looked for first.
    let beside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = beside.path().join("ropeline-gateway");
    if fs::hard_link(PROGRAM, &program).is_err() {
        fs::copy(PROGRAM, &program).unwrap();
    }
    let mut script = OpenOptions::new();
    script.write(true).create_new(true).mode(0o755);
    let simulator = beside.path().join("ropeline-payment-simulator");
    drop(script.open(&simulator).unwrap());
    fs::write(&simulator, "#!/bin/sh\necho out of order\nexit 1\n").unwrap();
    assert_eq!(
        fs::metadata(&simulator).unwrap().permissions().mode() & 0o111,
        0o111
    );

    let mut gateway = Process::start(&program, home.path(), &database, &[]);
    gateway.becomes_ready().await;
    gateway.import_show().await;
    // More often than a private server may end in a row.
    gateway
        .until("it failed six times", async |this| {
            let log = this.log();
            (log.matches("the payment simulator does not start").count() > 6).then_some(())
        })
        .await;
    assert!(gateway.log().contains("out of order"), "{}", gateway.log());

    let base = gateway.announced().unwrap()["listenUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let http = reqwest::Client::builder().build().unwrap();
    let answer = http
        .post(format!("{base}/api/v1/shows/lanterns/holds"))
        .json(&json!({ "seatIds": ["A1"] }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{}", gateway.log());
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let hold: Value = answer.json().await.unwrap();
    let hold = hold["holdId"].as_str().unwrap();
    let paid = http.post(format!("{base}/api/v1/holds/{hold}/payments"));
    let paid = paid.header("cookie", cookie);
    let paid = paid
        .json(&json!({ "email": "fan@tickets.example" }))
        .send()
        .await
        .unwrap();
    assert_eq!(paid.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(paid.headers().contains_key("retry-after"));
    let problem: Value = paid.json().await.unwrap();
    assert_eq!(problem["code"], "payment-unavailable");
    assert_eq!(problem["reason"], "gateway-down");
    gateway.stop().await;
}

#[tokio::test]
async fn gateways_with_keys_of_their_own_do_not_share_a_database() {
    let database = TestDatabase::create().await;
    let homes = [home(), home()];
    let start = |at: usize, arguments: &[&str]| {
        Process::start(Path::new(PROGRAM), homes[at].path(), &database, arguments)
    };
    let mut first = start(0, &[]);
    first.becomes_ready().await;

    let mut second = start(1, &[]);
    let status = second.ends().await;
    assert_eq!(status.code(), Some(1), "{}", second.log());
    for told in [
        "other signing keys",
        "signing-key.pem",
        "ROPELINE_SIGNING_KEYS",
    ] {
        assert!(second.log().contains(told), "{told}: {}", second.log());
    }
    assert!(second.announced().is_none());

    let key = |at: usize| homes[at].path().join(".ropeline/signing-key.pem");
    let own = fs::read(key(1)).unwrap();
    fs::copy(key(0), key(1)).unwrap();
    let mut second = start(1, &[]);
    second.becomes_ready().await;
    second.stop().await;
    first.stop().await;

    // Both copies of the key are lost.
    fs::write(key(1), own).unwrap();
    let mut adopting = start(1, &["--adopt-keys"]);
    adopting.becomes_ready().await;
    adopting.stop().await;
    let mut later = start(1, &[]);
    later.becomes_ready().await;
    later.stop().await;
}

#[tokio::test]
async fn gateways_of_two_databases_do_not_share_a_line() {
    let (home, other_home) = (home(), home());
    let (database, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let mut first = Process::start(Path::new(PROGRAM), home.path(), &database, &[]);
    first.becomes_ready().await;
    let same_redis = ["--redis-url", database.redis_url()];
    let mut second = Process::start(Path::new(PROGRAM), other_home.path(), &other, &same_redis);
    assert_eq!(second.ends().await.code(), Some(1), "{}", second.log());
    for told in [
        "another installation",
        "ROPELINE_REDIS_URL",
        "rl1:installation",
    ] {
        assert!(second.log().contains(told), "{told}: {}", second.log());
    }
    assert!(second.announced().is_none());
    first.stop().await;
}

#[tokio::test]
async fn a_key_is_replaced_that_no_gateway_signs_with_any_more() {
    let (home, database) = (home(), TestDatabase::create().await);
    let pem = |name: &str, seed: u8| {
        let path = home.path().join(name);
        let key = contract::pass::PassKey::from_seed([seed; 32]).unwrap();
        fs::write(&path, key.to_pem().unwrap()).unwrap();
    };
    pem("old.pem", 1);
    pem("new.pem", 2);
    pem("other.pem", 3);
    for keys in ["old.pem", "new.pem,old.pem", "new.pem"] {
        let arguments = ["--signing-keys", keys];
        let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
        gateway.becomes_ready().await;
        gateway.stop().await;
        fs::remove_file(home.path().join(".ropeline/admin.json")).unwrap();
        // What was published is forgotten by all, so that the next key signs at once.
        sqlx::query("update gateway_keys set seen_at = seen_at - interval '301 seconds'")
            .execute(&database.pool())
            .await
            .unwrap();
    }
    let arguments = ["--signing-keys", "other.pem"];
    let mut stranger = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
    assert_eq!(stranger.ends().await.code(), Some(1), "{}", stranger.log());
    let ids: Vec<i16> = sqlx::query_scalar("select key_id from ticket_keys")
        .fetch_all(&database.pool())
        .await
        .unwrap();
    assert_eq!(ids, [1]);
}

#[tokio::test]
async fn a_gateway_starts_on_a_schema_that_a_later_version_has_brought_further() {
    let (home, database) = (home(), TestDatabase::create().await);
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (99990101000000, 'later', true, '', 0)",
    )
    .execute(&database.pool())
    .await
    .unwrap();
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &[]);
    gateway.becomes_ready().await;
    gateway.stop().await;
}

#[tokio::test]
async fn whoever_comes_while_readiness_fails_is_still_served() {
    let (home, database) = (home(), TestDatabase::create().await);
    // As long as the test could ever take, so that what is seen below is seen within it.
    let arguments = ["--shutdown-delay-seconds", "300"];
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
    gateway.becomes_ready().await;
    let announced = gateway.announced().unwrap();
    let url = |name: &str| announced[name].as_str().unwrap().to_owned();
    let (listen, ops) = (url("listenUrl"), url("opsUrl"));
    gateway.terminate();
    let unready = gateway.until("readiness fails", async |this| {
        let answer = this.http.get(format!("{ops}/readyz")).send().await.ok()?;
        (answer.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    });
    let unready: Value = unready.await.json().await.unwrap();
    assert!(unready.to_string().contains("shutting down"), "{unready}");
    for _ in 0..3 {
        // Each client makes a connection of its own.
        let http = reqwest::Client::new();
        let answer = http.get(format!("{listen}/")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    // Whoever does not want to wait says so again.
    gateway.terminate();
    let status = gateway.ends().await;
    assert_eq!(status.code(), Some(1), "{status}\n{}", gateway.log());
}

#[tokio::test]
async fn after_the_delay_nobody_new_is_served_and_the_process_ends() {
    let (home, database) = (home(), TestDatabase::create().await);
    let arguments = ["--shutdown-delay-seconds", "1"];
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
    gateway.becomes_ready().await;
    let began = tokio::time::Instant::now();
    gateway.stop().await;
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_gateway_is_ready_on_a_redis_whose_authority_the_ca_file_names() {
    let (home, database) = (home(), TestDatabase::create().await);
    let certificates = Certificates::make();
    let (_server, url) = RedisServer::start_with_tls(&certificates).await;
    let authority = certificates.authority();
    let arguments = [
        "--redis-url",
        &url,
        "--ca-file",
        authority.to_str().unwrap(),
    ];
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
    gateway.becomes_ready().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_stays_ready_while_the_shard_that_knows_whose_line_it_is_fails_over() {
    let (home, database) = (home(), TestDatabase::create().await);
    let cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    let arguments = ["--redis-url", urls.as_str()];
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
    gateway.becomes_ready().await;
    let shard = cluster.shard_of("rl1:installation").await;
    // A key of the same shard.
    cluster.nodes[shard]
        .is_copied_by("{rl1:installation}")
        .await;
    cluster.nodes[shard].hang().await;
    let advice = gateway.until("advice", async |this| {
        let check = this.redis_check().await?;
        check["advice"].as_str().map(str::to_owned)
    });
    let advice = advice.await;
    assert!(
        advice.contains("a shard of the Redis Cluster is away"),
        "{advice}"
    );
    gateway
        .until("the failover", async |this| {
            this.redis_check().await?["advice"].is_null().then_some(())
        })
        .await;
    assert_eq!(gateway.redis_check().await.unwrap()["problem"], Value::Null);
    gateway.stop().await;
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_serves_and_one_that_shares_them_is_refused() {
    let (home, database) = (home(), TestDatabase::create().await);
    let takes_parameters = "ignore_startup_parameters = extra_float_digits,options";
    let by = async |lines: &str| {
        let bouncer = PgBouncer::start(&database, lines).await;
        let url = database.url_at(Some(bouncer.address()));
        let arguments = ["--database-url", url.as_str()];
        let program = Path::new(PROGRAM);
        let process = Process::start(program, home.path(), &database, &arguments);
        (bouncer, process)
    };
    for (lines, told) in [
        (
            format!("pool_mode = transaction\n{takes_parameters}"),
            "set pool_mode to session",
        ),
        (
            "pool_mode = session".to_owned(),
            "set ignore_startup_parameters to",
        ),
    ] {
        let (_bouncer, mut refused) = by(&lines).await;
        assert_eq!(refused.ends().await.code(), Some(1), "{}", refused.log());
        assert!(refused.log().contains(told), "{}", refused.log());
    }
    let (_bouncer, mut gateway) = by(&format!("pool_mode = session\n{takes_parameters}")).await;
    gateway.becomes_ready().await;
    gateway.import_show().await;
    gateway.stop().await;
}
