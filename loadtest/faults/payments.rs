//! The payment providers: one simulator that speaks the APIs of both, each of which fails by
//! itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};
use test_support::program::Program;

use crate::process::{READY_MAX, command};
use crate::timetable::{Fault, Outage, Provider};

/// What the simulator prints before its address.
const ANNOUNCEMENT: &str = "listening on ";
/// How long the simulator may take to be told something.
const CALL_MAX: Duration = Duration::from_secs(20);

/// What the simulator and the gateways know of each other.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub stripe: String,
    pub stripe_webhook: String,
    pub razorpay: String,
    pub razorpay_webhook: String,
}

/// The running simulator.
pub(crate) struct Payments {
    process: Program,
    outages: Outages,
    pub url: String,
    pub secrets: Secrets,
}

/// What tells the simulator to fail.
#[derive(Clone)]
pub(crate) struct Outages {
    http: Client,
    url: Arc<str>,
    secret: Arc<str>,
}

impl Payments {
    /// Starts the simulator, which tells a shop at `public_url` what happens.
    pub(crate) async fn start(
        program: &Path,
        dir: &Path,
        public_url: &str,
        secrets: Secrets,
    ) -> anyhow::Result<Self> {
        let data = dir.join("payments");
        std::fs::create_dir(&data)?;
        let hook = |provider: &str| format!("{public_url}/api/v1/payments/{provider}/webhook");
        let mut command = command(program);
        command
            .env_clear()
            .env("ROPELINE_PAYMENT_SECRET", &secrets.stripe)
            .env("ROPELINE_PAYMENT_WEBHOOK_SECRET", &secrets.stripe_webhook)
            .env("ROPELINE_RAZORPAY_SECRET", &secrets.razorpay)
            .env(
                "ROPELINE_RAZORPAY_WEBHOOK_SECRET",
                &secrets.razorpay_webhook,
            )
            .args(["--listen", "127.0.0.1:0"])
            .args(["--webhook-url", &hook("stripe")])
            .args(["--razorpay-webhook-url", &hook("razorpay")])
            .arg("--data-dir")
            .arg(&data);
        let mut process = Program::start("payment-simulator", command, dir)?;
        let log = dir.join("payment-simulator.log");
        let url = process
            .ready(READY_MAX, async |_| {
                let text = std::fs::read_to_string(&log).ok()?;
                let url = text
                    .lines()
                    .find_map(|line| line.strip_prefix(ANNOUNCEMENT))?;
                Some(url.trim().to_owned())
            })
            .await?;
        let outages = Outages {
            http: Client::builder().no_proxy().timeout(CALL_MAX).build()?,
            url: url.as_str().into(),
            secret: secrets.stripe.as_str().into(),
        };
        Ok(Self {
            process,
            outages,
            url,
            secrets,
        })
    }

    /// What a gateway has to know.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let secrets = self.secrets.clone();
        vec![
            ("ROPELINE_PAYMENT_PROVIDER", "stripe,razorpay".to_owned()),
            ("ROPELINE_STRIPE_URL", self.url.clone()),
            ("ROPELINE_STRIPE_SECRET", secrets.stripe),
            ("ROPELINE_STRIPE_WEBHOOK_SECRET", secrets.stripe_webhook),
            ("ROPELINE_RAZORPAY_URL", format!("{}/razorpay", self.url)),
            ("ROPELINE_RAZORPAY_SECRET", secrets.razorpay),
            ("ROPELINE_RAZORPAY_WEBHOOK_SECRET", secrets.razorpay_webhook),
        ]
    }

    /// What tells it to fail.
    pub(crate) fn outages(&self) -> Outages {
        self.outages.clone()
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.process.stop().await;
    }
}

impl Outages {
    /// Lets one provider fail for a while.
    pub(crate) async fn suffer(&self, fault: &Fault) -> anyhow::Result<()> {
        let Fault::ProviderOut {
            provider,
            outage,
            lasts,
        } = *fault
        else {
            return Ok(());
        };
        self.tell(provider, outage.mode()).await?;
        tokio::time::sleep(lasts).await;
        self.tell(provider, json!("up")).await
    }

    async fn tell(&self, provider: Provider, mode: Value) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/_sim/outages", self.url));
        let wanted = json!({ "provider": provider.name(), "mode": mode });
        let request = request.bearer_auth(&self.secret).json(&wanted);
        let answer = request.send().await?;
        answer
            .error_for_status()
            .context("the simulator does not fail as it is told")?;
        Ok(())
    }
}

impl Provider {
    fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Razorpay => "razorpay",
        }
    }
}

impl Outage {
    /// The simulator's word for it.
    fn mode(self) -> Value {
        match self {
            Self::Down => json!("down"),
            Self::RateLimited => json!("rate_limited"),
            Self::LosesAnswers => json!("loses_answers"),
            Self::Slow => json!({ "slow": { "delay_ms": 3_000 } }),
        }
    }
}
