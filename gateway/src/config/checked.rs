//! The configuration, checked, or what is wrong with it.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use line::store::redis::Roots;

use super::fraud::FraudTexts;
use super::invoice::InvoiceTexts;
use super::listeners::{ProxyProtocol, TlsSettings};
use super::origin::Origin;
use super::rates::ShopRates;
use crate::access_log::{Form, Place};
use crate::edge::certificate::PairFiles;
use crate::http::auth::Questions;

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

/// How a payment provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Stripe, with its own page.
    StripeCheckout,
    /// Stripe, for programs with a page of their own.
    StripeIntents,
    /// Razorpay, with its own page.
    Razorpay,
}

/// A payment provider.
#[derive(Clone)]
pub struct Provider {
    /// Its name, in paths and for good in the database.
    pub name: &'static str,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// The base URL of its API.
    pub url: String,
    /// The secret key.
    pub secret: String,
    /// What its webhooks are signed with: one, and more while it is exchanged.
    pub webhook_secrets: Vec<String>,
}

/// Where customers pay.
#[derive(Clone)]
pub enum Payment {
    /// At these providers, the preferred first.
    Providers(Vec<Provider>),
    /// A private simulator, started as a child process.
    PrivateSimulator {
        /// Its secret key; generated when absent.
        secret: Option<String>,
        /// What its webhooks are signed with; generated when absent.
        webhook_secret: Option<String>,
    },
    /// A simulator that runs already.
    Simulator {
        /// Its base URL.
        url: String,
        /// Its secret key.
        secret: String,
        /// What its webhooks are signed with.
        webhook_secret: String,
    },
}

/// The configuration, checked.
pub struct Config {
    /// Public listener.
    pub listen: SocketAddr,
    /// Operators' listener.
    pub ops_listen: SocketAddr,
    /// How the public listener speaks TLS beside its plain one.
    pub tls: Option<TlsSettings>,
    /// The certificate of the operators' listener, which speaks TLS then.
    pub ops_tls: Option<PairFiles>,
    /// What connections to the public listener begin with.
    pub proxy_protocol: ProxyProtocol,
    /// The origin at which fans reach us, normalised, without a slash at the end; the listener's
    /// address when absent.
    pub public_url: Option<String>,
    /// Redis; private when absent.
    pub redis_url: Option<String>,
    /// Authorities whose certificates are believed; those of the system when absent.
    pub roots: Option<Roots>,
    /// The file that names them.
    pub ca_file: Option<PathBuf>,
    /// PostgreSQL; private when absent.
    pub database_url: Option<String>,
    /// Data directory, absolute.
    pub data_dir: PathBuf,
    /// Key files; generated when empty.
    pub signing_keys: Vec<PathBuf>,
    /// Id of the key that is to sign; the first, when absent.
    pub signing_key_id: Option<String>,
    /// `iss` of passes; the public URL when absent.
    pub issuer: Option<String>,
    /// Token of the operators' listener; generated when absent.
    pub admin_token: Option<String>,
    /// Believed proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// How other proxies ask about requests.
    pub questions: Questions,
    /// Fonts for letters of printed tickets that those inside the program do not have.
    pub ticket_fonts: Vec<PathBuf>,
    /// Where PDFs of tickets are kept.
    pub tickets: TicketSettings,
    /// Threads that serve the public listener.
    pub threads: NonZeroUsize,
    /// Connections at once on the public listener.
    pub connections_max: usize,
    /// Of these from one address.
    pub connections_per_address_max: usize,
    /// Live connections of one place.
    pub connections_per_place_max: usize,
    /// How long a connection is kept after an answer.
    pub keepalive: Duration,
    /// From the order to stop until connections are no longer taken.
    pub shutdown_delay: Duration,
    /// How often the shop and its API may be called.
    pub shop_rates: ShopRates,
    /// What is set against fraud.
    pub fraud: FraudTexts,
    /// Who makes invoices.
    pub invoices: Option<InvoiceTexts>,
    /// Payment provider.
    pub payment: Payment,
    /// Mail server; mail is written to files when absent.
    pub smtp_url: Option<String>,
    /// Who sends mail.
    pub mail_from: Option<String>,
    /// Redis server with the stream of events.
    pub events_url: Option<String>,
    /// The key of that stream; the booking core's default when absent.
    pub events_stream: Option<String>,
    /// How many events that stream keeps, about.
    pub events_length_max: u64,
    /// Age at which events move into the archive.
    pub events_archive_after: Option<Duration>,
    /// Whether webhooks may go to addresses that are not public.
    pub webhook_private_targets: bool,
    /// Text messages, push messages and what is said in all of them.
    pub channels: ChannelSettings,
    /// Log filter.
    pub log: String,
    /// Log form.
    pub log_format: LogFormat,
    /// Where the access log is written to, if anywhere, and its form.
    pub access_log: (Option<Place>, Form),
    /// Whether to start on a database that knows other signing keys only.
    pub adopt_keys: bool,
    /// Listen beside a gateway that is to be stopped next.
    pub take_over: bool,
    /// A site to stand before.
    pub origin: Option<Origin>,
    /// What works and is not wise, to be told at start.
    pub warnings: Vec<String>,
}

/// Settings of where tickets go.
#[derive(Clone, Debug, Default)]
pub struct TicketSettings {
    /// The store of their PDFs.
    pub store: Option<String>,
    /// The address of its service.
    pub store_endpoint: Option<String>,
    /// The certificate for passes of Apple Wallet.
    pub apple_cert: Option<PathBuf>,
    /// Its key.
    pub apple_key: Option<PathBuf>,
    /// The issuer at Google Wallet.
    pub google_issuer: Option<String>,
    /// The file of its service account.
    pub google_account: Option<PathBuf>,
}

/// Settings of what tells fans something beside mail.
#[derive(Clone, Default)]
pub struct ChannelSettings {
    /// Where text messages are posted.
    pub sms_url: Option<String>,
    /// The login or token of their provider.
    pub sms_token: Option<String>,
    /// Who sends them.
    pub sms_from: Option<String>,
    /// Their JSON body.
    pub sms_body: Option<String>,
    /// Origins of push services that are believed.
    pub push_origins: Vec<String>,
    /// Directory of the operator's own templates.
    pub templates: Option<PathBuf>,
}

impl std::fmt::Debug for ChannelSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelSettings")
            .field("push_origins", &self.push_origins)
            .field("templates", &self.templates)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Id of the key that is to sign, unless it is the first.
    pub fn signer(&self) -> Option<&str> {
        self.signing_key_id.as_deref().map(str::trim)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let problems = if count == 1 { "problem" } else { "problems" };
        writeln!(
            f,
            "The configuration has {count} {problems}; nothing was started:"
        )?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(f, "See `ropeline-gateway --help`.")
    }
}
