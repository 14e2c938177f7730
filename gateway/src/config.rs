//! Settings: flags, then environment, then `ropeline.toml`, then defaults.
//!
//! Every setting is read as text and checked here, not by the command-line parser, so that all
//! problems are listed together, wherever the settings come from.

mod check;
mod rates;
mod shown;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;

use check::check;
pub use rates::{ShopRatePair, ShopRates};

/// The settings file, in the working directory unless named.
const FILE_DEFAULT: &str = "ropeline.toml";

/// The virtual waiting room and admission gateway.
///
/// Without any setting it starts a private Redis and PostgreSQL with their data in `.ropeline`,
/// and a payment simulator.
#[derive(Debug, Parser)]
#[command(name = "ropeline-gateway", version, about, long_about)]
pub struct Command {
    #[command(flatten)]
    settings: Settings,
    /// Start on a database that knows other signing keys only, because those are lost: whoever
    /// waits or is inside has to join again, and tickets that are sold stay valid
    #[arg(long)]
    adopt_keys: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Action {
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigAction),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum ConfigAction {
    /// Print every setting as it is in force, list every problem, and start nothing
    Check,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

/// How a setting is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// As it is.
    Plain,
    /// Without the password in it.
    Url,
    /// Not at all.
    Hidden,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident = $env:literal, $show:ident, $default:literal
        $(, $clap:meta)*;)+) => {
        /// Settings as given; what is absent has a default.
        #[derive(Clone, Default, Args)]
        struct Settings {
            /// Settings file [default: ropeline.toml, if there is one]
            #[arg(long, env = "ROPELINE_CONFIG", global = true, value_name = "FILE")]
            config: Option<String>,
            $($(#[$doc])* #[arg(long, env = $env, global = true $(, $clap)*)]
            $field: Option<String>,)+
        }

        impl Settings {
            /// These settings, and from `other` what they do not say. An empty text says nothing.
            fn or(self, other: Self) -> Self {
                Self {
                    config: given(self.config),
                    $($field: given(self.$field).or_else(|| given(other.$field)),)+
                }
            }

            /// The settings of a file; what cannot be used is noted and left out.
            fn from_table(table: toml::Table, note: &mut impl FnMut(String)) -> Self {
                let mut settings = Self::default();
                for (name, value) in table {
                    let place = match name.as_str() {
                        $(stringify!($field) => &mut settings.$field,)+
                        _ => {
                            note(format!("there is no setting `{name}`"));
                            continue;
                        }
                    };
                    match value {
                        toml::Value::String(text) => *place = Some(text),
                        other => note(format!(
                            "{name}: write it as text in quotes, not as {}", other.type_str()
                        )),
                    }
                }
                settings
            }

            /// Name, text, how it is shown, and what is in force without it.
            fn all(&self) -> Vec<(&'static str, Option<&str>, Show, &'static str)> {
                vec![$(($env, self.$field.as_deref(), Show::$show, $default),)+]
            }
        }
    };
}

settings! {
    /// Public listener: fans, gate, booking API [default: 127.0.0.1:8080]
    listen = "ROPELINE_LISTEN", Plain, "127.0.0.1:8080", value_name = "ADDRESS";
    /// Operators' listener: admin API, dashboard, metrics [default: 127.0.0.1:8081]
    ops_listen = "ROPELINE_OPS_LISTEN", Plain, "127.0.0.1:8081", value_name = "ADDRESS";
    /// Where fans reach the public listener [default: http:// and its address]
    public_url = "ROPELINE_PUBLIC_URL", Plain, "http:// and the public listener's address", value_name = "URL";
    /// Redis for the live line, redis://… [default: a private one]
    redis_url = "ROPELINE_REDIS_URL", Url, "a private one", value_name = "URL", hide_env_values = true;
    /// PostgreSQL, postgres://… [default: a private one]
    database_url = "ROPELINE_DATABASE_URL", Url, "a private one", value_name = "URL", hide_env_values = true;
    /// Data of private servers, generated keys, admin token [default: .ropeline]
    data_dir = "ROPELINE_DATA_DIR", Plain, ".ropeline", value_name = "DIR";
    /// Ed25519 keys in PEM files, comma-separated; the first signs, all verify [default: generated in the data directory]
    signing_keys = "ROPELINE_SIGNING_KEYS", Plain, "generated in the data directory", value_name = "FILES";
    /// `iss` of passes [default: the public URL]
    issuer = "ROPELINE_ISSUER", Plain, "the public URL", value_name = "TEXT";
    /// Full-rights bearer token of the operators' listener; 16 characters or more are hard to guess [default: generated in the data directory]
    admin_token = "ROPELINE_ADMIN_TOKEN", Hidden, "generated in the data directory", value_name = "TOKEN", hide_env_values = true;
    /// Comma-separated networks whose X-Forwarded-For is believed [default: none]
    trusted_proxies = "ROPELINE_TRUSTED_PROXIES", Plain, "none", value_name = "CIDRS";
    /// Connections at once on the public listener; each takes an open file [default: 16000]
    connections_max = "ROPELINE_CONNECTIONS_MAX", Plain, "16000", value_name = "COUNT";
    /// Of these from one IPv4 address or one IPv6 /64; trusted proxies are not counted [default: 2000]
    connections_per_address_max = "ROPELINE_CONNECTIONS_PER_ADDRESS_MAX", Plain, "2000", value_name = "COUNT";
    /// Live connections of one place on this gateway, as from several tabs [default: 16]
    connections_per_place_max = "ROPELINE_CONNECTIONS_PER_PLACE_MAX", Plain, "16", value_name = "COUNT";
    /// Seconds a connection is kept after an answer; longer than your balancer keeps it [default: 75]
    keepalive_seconds = "ROPELINE_KEEPALIVE_SECONDS", Plain, "75", value_name = "SECONDS";
    /// Seconds after the order to stop in which readiness fails and connections are still taken [default: 5]
    shutdown_delay_seconds = "ROPELINE_SHUTDOWN_DELAY_SECONDS", Plain, "5", value_name = "SECONDS";
    /// How often one customer may look around in the shop: calls a second, and at once after a pause [default: 20/200]
    rate_browse_customer = "ROPELINE_RATE_BROWSE_CUSTOMER", Plain, "20/200", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may look around in the shop: calls a second, and at once after a pause [default: 100/1000]
    rate_browse_address = "ROPELINE_RATE_BROWSE_ADDRESS", Plain, "100/1000", value_name = "RATE/BURST";
    /// How often one customer may hold seats and give them up: calls a second, and at once after a pause [default: 5/50]
    rate_hold_customer = "ROPELINE_RATE_HOLD_CUSTOMER", Plain, "5/50", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may hold seats and give them up: calls a second, and at once after a pause [default: 50/500]
    rate_hold_address = "ROPELINE_RATE_HOLD_ADDRESS", Plain, "50/500", value_name = "RATE/BURST";
    /// How often one customer may start to pay: calls a second, and at once after a pause [default: 2/20]
    rate_pay_customer = "ROPELINE_RATE_PAY_CUSTOMER", Plain, "2/20", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may start to pay: calls a second, and at once after a pause [default: 50/500]
    rate_pay_address = "ROPELINE_RATE_PAY_ADDRESS", Plain, "50/500", value_name = "RATE/BURST";
    /// How often one customer may confirm a purchase: calls a second, and at once after a pause [default: 5/50]
    rate_confirm_customer = "ROPELINE_RATE_CONFIRM_CUSTOMER", Plain, "5/50", value_name = "RATE/BURST";
    /// How often one IPv4 address or IPv6 /64 may confirm a purchase: calls a second, and at once after a pause [default: 50/500]
    rate_confirm_address = "ROPELINE_RATE_CONFIRM_ADDRESS", Plain, "50/500", value_name = "RATE/BURST";
    /// Payment provider: simulator; stripe and razorpay are not available yet [default: simulator]
    payment_provider = "ROPELINE_PAYMENT_PROVIDER", Plain, "simulator", value_name = "NAME";
    /// The provider's endpoint [default: a private simulator]
    payment_url = "ROPELINE_PAYMENT_URL", Plain, "a private simulator", value_name = "URL";
    /// The provider's secret key [default: generated for the private simulator; that of a simulator on its own with a URL]
    payment_secret = "ROPELINE_PAYMENT_SECRET", Hidden, "the simulator's", value_name = "SECRET", hide_env_values = true;
    /// The secret its webhooks are signed with [default: as of the secret key]
    payment_webhook_secret = "ROPELINE_PAYMENT_WEBHOOK_SECRET", Hidden, "the simulator's", value_name = "SECRET", hide_env_values = true;
    /// What is logged, such as info or gateway=debug [default: info]
    log = "ROPELINE_LOG", Plain, "info", value_name = "FILTER";
    /// How log lines look: text or json [default: text]
    log_format = "ROPELINE_LOG_FORMAT", Plain, "text", value_name = "FORMAT";
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Where the payment provider is.
#[derive(Clone)]
pub enum Payment {
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
    /// The origin at which fans reach us, normalised, without a slash at the end; the listener's
    /// address when absent.
    pub public_url: Option<String>,
    /// Redis; private when absent.
    pub redis_url: Option<String>,
    /// PostgreSQL; private when absent.
    pub database_url: Option<String>,
    /// Data directory, absolute.
    pub data_dir: PathBuf,
    /// Key files; generated when empty.
    pub signing_keys: Vec<PathBuf>,
    /// `iss` of passes; the public URL when absent.
    pub issuer: Option<String>,
    /// Token of the operators' listener; generated when absent.
    pub admin_token: Option<String>,
    /// Believed proxies.
    pub trusted_proxies: Vec<IpNet>,
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
    /// Payment provider.
    pub payment: Payment,
    /// Log filter.
    pub log: String,
    /// Log form.
    pub log_format: LogFormat,
    /// Whether to start on a database that knows other signing keys only.
    pub adopt_keys: bool,
    /// What works and is not wise, to be told at start.
    pub warnings: Vec<String>,
}

/// What the command line asks for.
pub enum Asked {
    /// Run with this configuration.
    Run(Box<Config>),
    /// Only say whether this configuration is good.
    Check(Box<Config>),
}

/// The configuration, settled.
pub struct Settled {
    /// Every setting as it is in force, when asked for.
    pub shown: Option<String>,
    /// What to do.
    pub outcome: Result<Asked, Problems>,
}

/// Everything that is wrong with the configuration.
#[derive(Debug)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The configuration has {} problem(s); nothing was started:",
            self.0.len()
        )?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(f, "See `ropeline-gateway --help`.")
    }
}

impl Command {
    /// Reads the settings file and checks everything, without binding or starting anything.
    pub fn settle(self) -> Settled {
        let mut problems = Vec::new();
        let named = given(self.settings.config.clone());
        let file = read_file(named.as_deref(), &mut |problem| problems.push(problem));
        let is_check = matches!(self.action, Some(Action::Config(ConfigAction::Check)));
        let shown = is_check.then(|| shown::settings(&self.settings, &file));
        let checked = check(self.settings.or(file), problems);
        let asked = if is_check { Asked::Check } else { Asked::Run };
        let outcome = checked.map(|mut config| {
            config.adopt_keys = self.adopt_keys;
            asked(Box::new(config))
        });
        Settled { shown, outcome }
    }
}

/// The settings in the file, as far as they can be read.
fn read_file(named: Option<&str>, note: &mut impl FnMut(String)) -> Settings {
    let path = Path::new(named.unwrap_or(FILE_DEFAULT));
    let mut note_here = |problem: &dyn fmt::Display| note(format!("{}: {problem}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => match text.parse::<toml::Table>() {
            Ok(table) => Settings::from_table(table, &mut |problem| note_here(&problem)),
            Err(error) => {
                note_here(&error);
                Settings::default()
            }
        },
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Settings::default()
        }
        Err(error) => {
            note_here(&error);
            Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn settings(text: &str) -> Settings {
        let mut problems = Vec::new();
        let table = text.parse().unwrap();
        let settings = Settings::from_table(table, &mut |problem| problems.push(problem));
        assert!(problems.is_empty(), "{problems:?}");
        settings.or(Settings::default())
    }

    fn good(text: &str) -> Config {
        check(settings(text), Vec::new()).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let settings = settings(
            r#"
            listen = "nowhere"
            redis_url = "http://redis"
            trusted_proxies = "10.0.0.0/8, everyone"
            payment_provider = "stripe"
            signing_keys = "/does/not/exist.pem"
            data_dir = "/dev/null"
            log = "["
            log_format = "xml"
            connections_max = "0"
            connections_per_address_max = "many"
            connections_per_place_max = "0"
            keepalive_seconds = "4000"
            shutdown_delay_seconds = "-1"
            rate_browse_customer = "20"
            rate_pay_address = "0/5"
            "#,
        );
        let Err(problems) = check(settings, vec!["the settings file".to_owned()]) else {
            panic!("accepted")
        };
        let text = problems.to_string();
        for name in [
            "the settings file",
            "ROPELINE_LISTEN",
            "ROPELINE_REDIS_URL",
            "ROPELINE_TRUSTED_PROXIES",
            "ROPELINE_PAYMENT_PROVIDER",
            "ROPELINE_SIGNING_KEYS",
            "ROPELINE_DATA_DIR",
            "ROPELINE_LOG:",
            "ROPELINE_LOG_FORMAT",
            "ROPELINE_CONNECTIONS_MAX",
            "ROPELINE_CONNECTIONS_PER_ADDRESS_MAX",
            "ROPELINE_CONNECTIONS_PER_PLACE_MAX",
            "ROPELINE_KEEPALIVE_SECONDS",
            "ROPELINE_SHUTDOWN_DELAY_SECONDS",
            "ROPELINE_RATE_BROWSE_CUSTOMER",
            "ROPELINE_RATE_PAY_ADDRESS",
        ] {
            assert!(text.contains(name), "{name} is missing from: {text}");
        }
    }

    #[test]
    fn nothing_set_is_a_good_configuration() {
        // Empty is how some tools say unset.
        for text in ["", "redis_url = \"\"\ndata_dir = \" \"\nlog_format = \"\""] {
            let config = good(text);
            assert_eq!(config.listen.port(), 8080);
            let here = std::env::current_dir().unwrap();
            assert_eq!(config.data_dir, here.join(".ropeline"));
            assert!(config.redis_url.is_none() && config.database_url.is_none());
            assert!(config.warnings.is_empty());
        }
    }

    #[test]
    fn a_public_url_is_an_origin_as_browsers_write_it() {
        for (given, origin) in [
            ("https://Tickets.Example:443", "https://tickets.example"),
            ("http://tickets.example:80/", "http://tickets.example"),
            (
                "https://tickets.example:8443",
                "https://tickets.example:8443",
            ),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            let config = good(&format!("public_url = \"{given}\""));
            assert_eq!(config.public_url.as_deref(), Some(origin), "{given}");
        }
        for given in [
            "tickets.example",
            "ftp://tickets.example",
            "https://",
            "https://me@tickets.example",
            "https://tickets.example/shop",
            "https://tickets.example?x",
        ] {
            let given = settings(&format!("public_url = \"{given}\""));
            let refused = check(given, Vec::new()).map(drop).unwrap_err().to_string();
            assert!(refused.contains("ROPELINE_PUBLIC_URL"), "{refused}");
        }
    }

    #[test]
    fn a_listener_may_be_named() {
        let config = good("listen = \"localhost:8090\"");
        assert_eq!(config.listen, "127.0.0.1:8090".parse().unwrap());
    }

    #[test]
    fn a_short_admin_token_is_warned_about_and_works() {
        let config = good("admin_token = \"secret\"");
        assert_eq!(config.admin_token.as_deref(), Some("secret"));
        assert!(config.warnings[0].contains("ROPELINE_ADMIN_TOKEN"));
        assert!(
            good("admin_token = \"0123456789abcdef\"")
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn payment_secrets_go_to_whichever_simulator_there_is() {
        let Payment::PrivateSimulator {
            secret,
            webhook_secret,
        } = good("payment_secret = \"s\"").payment
        else {
            panic!("not private")
        };
        assert_eq!((secret.as_deref(), webhook_secret), (Some("s"), None));
        let url = "payment_url = \"http://127.0.0.1:4242/\"\npayment_webhook_secret = \"w\"";
        let Payment::Simulator {
            url,
            secret,
            webhook_secret,
        } = good(url).payment
        else {
            panic!("private")
        };
        assert_eq!(url, "http://127.0.0.1:4242");
        assert_eq!(
            (secret.as_str(), webhook_secret.as_str()),
            ("sk_test_ropeline", "w")
        );
        // What the simulator itself takes when it is told nothing.
        let simulator = include_str!("../../payment-simulator/src/config.rs");
        for secret in [check::SIMULATOR_SECRET, check::SIMULATOR_WEBHOOK_SECRET] {
            assert!(simulator.contains(&format!("default_value = \"{secret}\"")));
        }
    }

    #[test]
    fn what_is_given_goes_before_the_file() {
        let file = settings("listen = \"127.0.0.1:1\"\nissuer = \"x\"");
        let given = settings("listen = \"127.0.0.1:2\"\nissuer = \"\"");
        let config = check(given.or(file), Vec::new()).unwrap();
        assert_eq!(
            (config.listen.port(), config.issuer.as_deref()),
            (2, Some("x"))
        );
    }

    #[test]
    fn every_problem_of_a_file_is_noted() {
        let table = "lissen = \"x\"\nlisten = 8080\nconfig = \"y\"\nissuer = \"z\"";
        let mut problems = Vec::new();
        let read = Settings::from_table(table.parse().unwrap(), &mut |p| problems.push(p));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(read.issuer.as_deref(), Some("z"));
    }
}
