//! Settings. Each field's text is its help.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The events that the shop has to be told of: what its own page in the documentation lists.
pub const DEFAULT_EVENTS: &str = "checkout.session.*,payment_intent.succeeded,\
    payment_intent.payment_failed,payment_intent.processing,payment_intent.requires_action,\
    payment_intent.canceled,charge.refunded,charge.dispute.*,refund.*";
/// Razorpay's key when none is given.
pub const DEFAULT_RAZORPAY_KEY: &str = "rzp_test_ropeline:ropeline";
/// What Razorpay's events are signed with when nothing is given.
pub const DEFAULT_RAZORPAY_WEBHOOK_SECRET: &str = "whsec_ropeline_razorpay";

/// How the simulator behaves and whom it tells.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Directory of the journal, created when missing
    #[arg(
        long,
        env = "ROPELINE_SIMULATOR_DATA_DIR",
        default_value = ".ropeline/payment-simulator"
    )]
    pub data_dir: PathBuf,

    /// Secret key that merchants authenticate with
    #[arg(
        long,
        env = "ROPELINE_PAYMENT_SECRET",
        hide_env_values = true,
        hide_default_value = true,
        default_value = "sk_test_ropeline"
    )]
    pub secret: Secret,

    /// Where events are posted; without it there are none. Plain HTTP only
    #[arg(long, env = "ROPELINE_SIMULATOR_WEBHOOK_URL")]
    pub webhook_url: Option<String>,

    /// Key that signs events
    #[arg(
        long,
        env = "ROPELINE_PAYMENT_WEBHOOK_SECRET",
        hide_env_values = true,
        hide_default_value = true,
        default_value = "whsec_ropeline"
    )]
    pub webhook_secret: Secret,

    /// Events of Stripe's that are posted: names separated by commas, with * at the end for all that
    /// begin so
    #[arg(
        long,
        env = "ROPELINE_SIMULATOR_WEBHOOK_EVENTS",
        default_value = DEFAULT_EVENTS
    )]
    pub webhook_events: String,

    /// Razorpay's key id and key secret, with a colon between them
    #[arg(
        long,
        env = "ROPELINE_RAZORPAY_SECRET",
        hide_env_values = true,
        hide_default_value = true,
        default_value = DEFAULT_RAZORPAY_KEY
    )]
    pub razorpay_secret: Secret,

    /// Where Razorpay's events are posted; without it there are none. Plain HTTP only
    #[arg(long, env = "ROPELINE_SIMULATOR_RAZORPAY_WEBHOOK_URL")]
    pub razorpay_webhook_url: Option<String>,

    /// Key that signs Razorpay's events
    #[arg(
        long,
        env = "ROPELINE_RAZORPAY_WEBHOOK_SECRET",
        hide_env_values = true,
        hide_default_value = true,
        default_value = DEFAULT_RAZORPAY_WEBHOOK_SECRET
    )]
    pub razorpay_webhook_secret: Secret,

    /// Address under which browsers reach the pages; the listening address when unset
    #[arg(long, env = "ROPELINE_SIMULATOR_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// Milliseconds until the bank speaks where it does not answer at once
    #[arg(
        long,
        env = "ROPELINE_SIMULATOR_SETTLE_DELAY_MS",
        default_value_t = 5_000
    )]
    pub settle_delay_ms: u64,

    /// Milliseconds an answer is held to outlast the client's timeout
    #[arg(
        long,
        env = "ROPELINE_SIMULATOR_ANSWER_HOLD_MS",
        default_value_t = 40_000
    )]
    pub answer_hold_ms: u64,

    /// Milliseconds that delayed events are late
    #[arg(
        long,
        env = "ROPELINE_SIMULATOR_WEBHOOK_DELAY_MS",
        default_value_t = 15_000
    )]
    pub webhook_delay_ms: u64,
}

/// A setting that is used but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for comparing and signing only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            Err("must not be empty")
        } else {
            Ok(Self::new(text))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Config {
    /// All that is wrong with the settings, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, url) in [
            ("--webhook-url", &self.webhook_url),
            ("--razorpay-webhook-url", &self.razorpay_webhook_url),
        ] {
            let Some(url) = url else { continue };
            let usable = reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http");
            if !usable {
                problems.push(format!("{name} must be an http:// address, not {url}"));
            }
        }
        if !self.razorpay_secret.expose().contains(':') {
            problems
                .push("--razorpay-secret must be key id and secret, as rzp_test_1:s".to_owned());
        }
        if let Some(url) = &self.public_url
            && crate::object::web_address(url).is_none()
        {
            problems.push(format!("--public-url must be a web address, not {url}"));
        }
        if self.secret.expose().starts_with("pk_") {
            problems.push("--secret must not start with pk_, which marks public keys".to_owned());
        }
        problems
    }
}
