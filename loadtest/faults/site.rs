//! Everything that a fault run needs: servers, the network between, gateways, the balancer before
//! them, a room and a show.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use data_encoding::HEXLOWER;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::smtp_server::SmtpServer;
use tokio::time::Instant;

use crate::balancer::{Backends, Balancer};
use crate::gateways::{Gateways, Surroundings};
use crate::links::Links;
use crate::options::Options;
use crate::payments::{Payments, Secrets};
use crate::postgres::Postgres;
use crate::redis_pair::RedisPair;
use crate::timetable::GATEWAYS;

/// The name of the room, and of the show behind it.
pub(crate) const NAME: &str = "faults";
/// How long the room and the show may take to be there.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Time between two looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// How long one call of an operator may take.
const CALL_MAX: Duration = Duration::from_secs(20);
const SEATS_PER_ROW: u32 = 60;

/// A running installation.
pub(crate) struct Site {
    dir: TempDir,
    pub token: String,
    pub payments: Payments,
    pub mail: SmtpServer,
    pub links: Arc<Links>,
    pub redis: RedisPair,
    pub postgres: Postgres,
    pub gateways: Gateways,
    pub backends: Arc<Backends>,
    pub public: Balancer,
    pub ops: Balancer,
}

impl Site {
    /// Starts everything, with data and logs in a new directory in `scratch`.
    pub(crate) async fn start(options: &Options, salt: u64) -> anyhow::Result<Self> {
        let program = built(&options.gateway)?;
        let simulator = built(&program.with_file_name("ropeline-payment-simulator"))?;
        let dir = tempfile::Builder::new()
            .prefix("ropeline-faults-")
            .tempdir_in(&options.scratch)?;
        // PostgreSQL runs as an account of its own when we are root; it has to get to its data.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
        let backends = Arc::new(Backends::default());
        let public = Balancer::start(backends.clone(), |backend| backend.public).await?;
        let ops = Balancer::start(backends.clone(), |backend| backend.ops).await?;
        let public_url = format!("http://{}", public.address);
        let redis = RedisPair::start(dir.path()).await?;
        let postgres = Postgres::start(dir.path().join("servers")).await?;
        let links = Links::start(&redis.target(), &postgres.target()?).await;
        let mut secrets = ChaCha8Rng::seed_from_u64(salt);
        let mut secret = || HEXLOWER.encode(&secrets.random::<[u8; 16]>());
        let token = secret();
        let payment_secrets = Secrets {
            stripe: secret(),
            stripe_webhook: secret(),
            razorpay: format!("rzp_test_faults:{}", secret()),
            razorpay_webhook: secret(),
        };
        let payments =
            Payments::start(&simulator, dir.path(), &public_url, payment_secrets).await?;
        let mail = SmtpServer::start().await;
        let mut others = payments.settings();
        others.extend([
            ("ROPELINE_SMTP_URL", mail.url()),
            (
                "ROPELINE_MAIL_FROM",
                "Tickets <tickets@faults.example>".to_owned(),
            ),
        ]);
        let surroundings = Surroundings {
            program,
            public_url,
            token: token.clone(),
            others,
        };
        let gateways =
            Gateways::start(dir.path(), &surroundings, &links, &postgres, &backends).await?;
        let site = Self {
            dir,
            token,
            payments,
            mail,
            links: Arc::new(links),
            redis,
            postgres,
            gateways,
            backends,
            public,
            ops,
        };
        site.furnish(options).await?;
        Ok(site)
    }

    /// Where data and logs are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes the room and the show, and opens the room.
    async fn furnish(&self, options: &Options) -> anyhow::Result<()> {
        let http = Client::builder().no_proxy().timeout(CALL_MAX).build()?;
        let admin = format!("http://{}/admin/v1", self.ops.address);
        let order = async |path: &str, body: Value| {
            let request = http.post(format!("{admin}{path}"));
            checked(request.bearer_auth(&self.token).json(&body)).await
        };
        order("/rooms", room(options.rate)).await?;
        order("/shows", show(options.fan_count())).await?;
        order(&format!("/rooms/{NAME}/open"), json!({})).await?;
        let public = format!("http://{}", self.public.address);
        let until = Instant::now() + SETTLE_MAX;
        loop {
            let room = http.get(format!("{public}/_line/v1/rooms/{NAME}"));
            if let Ok(room) = checked(room).await
                && room["phase"] == "queueing"
                && self.all_know_the_show(&http).await
            {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("the room did not open");
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Whether each gateway has heard of the show: the one that imported it tells the others.
    async fn all_know_the_show(&self, http: &Client) -> bool {
        for number in 0..GATEWAYS {
            let Some(backend) = self.backends.get(number) else {
                return false;
            };
            let show = http.get(format!("http://{}/api/v1/shows/{NAME}", backend.public));
            if checked(show).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Ends everything. Data and logs are removed unless they are to be kept; then says where.
    pub(crate) async fn stop(self, keep: bool) -> Option<PathBuf> {
        self.gateways.stop().await;
        self.payments.stop().await;
        self.redis.stop().await;
        self.postgres.stop().await;
        keep.then(|| self.dir.keep())
    }
}

fn built(program: &Path) -> anyhow::Result<PathBuf> {
    let found = program.canonicalize();
    found.with_context(|| format!("{} is not built", program.display()))
}

/// Sends a request and reads its answer, if it has one.
async fn checked(request: RequestBuilder) -> anyhow::Result<Value> {
    let answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().clone());
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn room(rate: u32) -> Value {
    json!({
        "room": NAME,
        "title": "Faults",
        "paths": [format!("/api/v1/shows/{NAME}/holds")],
        "newUsersPerMinute": rate,
        "totalActiveUsers": rate / 2,
        "claimWindowSeconds": 60,
        "absenceTimeoutSeconds": 60,
        "missedTurnGraceSeconds": 120,
        "sessionDurationSeconds": 120,
    })
}

/// A show with a seat for each of `fans`, so that it is never sold out: a line without stock calls
/// nobody, and nothing would be tested any more.
fn show(fans: u32) -> Value {
    let rows = fans.div_ceil(SEATS_PER_ROW);
    let rows: Vec<String> = (0..rows).map(|row| format!("R{row}-")).collect();
    json!({
        "showId": NAME,
        "city": { "cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata" },
        "title": "Faults",
        "venue": { "name": "Stadium", "address": "1 Road" },
        "startsAt": "2035-01-01T12:00:00Z",
        "room": NAME,
        "ticketLimit": 4,
        "holdSeconds": 300,
        "refundPolicy": { "freeUntilHours": 0, "keptFeeMinor": 1_500 },
        "currency": "INR",
        "categories": [{ "category": "ALL", "name": "Any seat", "priceMinor": 100_000 }],
        "sections": [{ "name": "Floor", "category": "ALL", "rows": rows, "seatsPerRow": SEATS_PER_ROW }],
    })
}
