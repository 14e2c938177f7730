//! Settings: flags, then environment, then `ropeline.toml`, then defaults.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use serde::Deserialize;

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
    /// List every problem of the configuration and start nothing
    Check,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $env:literal $(, $clap:meta)*;)+) => {
        /// Settings as given; what is absent has a default.
        #[derive(Clone, Default, Args, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            /// Settings file [default: ropeline.toml, if there is one]
            #[arg(long, env = "ROPELINE_CONFIG", value_name = "FILE")]
            #[serde(skip)]
            config: Option<PathBuf>,
            $($(#[$doc])* #[arg(long, env = $env, global = true $(, $clap)*)] $field: Option<$type>,)+
        }

        impl Settings {
            /// These settings, and from `other` what they do not say.
            fn or(self, other: Self) -> Self {
                Self { config: self.config, $($field: self.$field.or(other.$field),)+ }
            }
        }
    };
}

settings! {
    /// Public listener: fans, gate, booking API [default: 127.0.0.1:8080]
    listen: String = "ROPELINE_LISTEN", value_name = "ADDRESS";
    /// Operators' listener: admin API, dashboard, metrics [default: 127.0.0.1:8081]
    ops_listen: String = "ROPELINE_OPS_LISTEN", value_name = "ADDRESS";
    /// Where fans reach the public listener [default: http:// and its address]
    public_url: String = "ROPELINE_PUBLIC_URL", value_name = "URL";
    /// Redis for the live line, redis://… [default: a private one]
    redis_url: String = "ROPELINE_REDIS_URL", value_name = "URL", hide_env_values = true;
    /// PostgreSQL, postgres://… [default: a private one]
    database_url: String = "ROPELINE_DATABASE_URL", value_name = "URL", hide_env_values = true;
    /// Data of private servers, generated keys, admin token [default: .ropeline]
    data_dir: PathBuf = "ROPELINE_DATA_DIR", value_name = "DIR";
    /// Ed25519 keys in PEM files, comma-separated; the first signs, all verify [default: generated in the data directory]
    signing_keys: String = "ROPELINE_SIGNING_KEYS", value_name = "FILES";
    /// `iss` of passes [default: the public URL]
    issuer: String = "ROPELINE_ISSUER", value_name = "TEXT";
    /// Full-rights bearer token of the operators' listener [default: generated in the data directory]
    admin_token: String = "ROPELINE_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true;
    /// Comma-separated networks whose X-Forwarded-For is believed [default: none]
    trusted_proxies: String = "ROPELINE_TRUSTED_PROXIES", value_name = "CIDRS";
    /// Payment provider: simulator; stripe and razorpay are not available yet [default: simulator]
    payment_provider: String = "ROPELINE_PAYMENT_PROVIDER", value_name = "NAME";
    /// The provider's endpoint [default: a private simulator]
    payment_url: String = "ROPELINE_PAYMENT_URL", value_name = "URL";
    /// The provider's secret key [default: generated for the private simulator]
    payment_secret: String = "ROPELINE_PAYMENT_SECRET", value_name = "SECRET", hide_env_values = true;
    /// The secret its webhooks are signed with [default: generated for the private simulator]
    payment_webhook_secret: String = "ROPELINE_PAYMENT_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true;
    /// What is logged, such as info or ropeline=debug [default: info]
    log: String = "ROPELINE_LOG", value_name = "FILTER";
    /// How log lines look [default: text]
    log_format: LogFormat = "ROPELINE_LOG_FORMAT", value_enum, value_name = "FORMAT";
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
    PrivateSimulator,
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
    /// Where fans reach us, without a slash at the end; by the listener's address when absent.
    pub public_url: Option<String>,
    /// Redis; private when absent.
    pub redis_url: Option<String>,
    /// PostgreSQL; private when absent.
    pub database_url: Option<String>,
    /// Data directory.
    pub data_dir: PathBuf,
    /// Key files; generated when empty.
    pub signing_keys: Vec<PathBuf>,
    /// `iss` of passes; the public URL when absent.
    pub issuer: Option<String>,
    /// Token of the operators' listener; generated when absent.
    pub admin_token: Option<String>,
    /// Believed proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// Payment provider.
    pub payment: Payment,
    /// Log filter.
    pub log: String,
    /// Log form.
    pub log_format: LogFormat,
}

/// What the command line asks for.
pub enum Asked {
    /// Run with this configuration.
    Run(Box<Config>),
    /// The configuration was asked for and is good.
    Checked,
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
    pub fn settle(self) -> Result<Asked, Problems> {
        let file = read_file(self.settings.config.as_deref()).map_err(|p| Problems(vec![p]))?;
        let config = check(self.settings.or(file))?;
        Ok(match self.action {
            Some(Action::Config(ConfigAction::Check)) => Asked::Checked,
            None => Asked::Run(Box::new(config)),
        })
    }
}

fn read_file(named: Option<&Path>) -> Result<Settings, String> {
    let path = named.unwrap_or(Path::new(FILE_DEFAULT));
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Settings::default())
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn check(settings: Settings) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let mut note = |problem: String| problems.push(problem);
    let listen = address(
        settings.listen.as_deref(),
        "127.0.0.1:8080",
        "ROPELINE_LISTEN",
        &mut note,
    );
    let ops_listen = address(
        settings.ops_listen.as_deref(),
        "127.0.0.1:8081",
        "ROPELINE_OPS_LISTEN",
        &mut note,
    );
    if listen == ops_listen && listen.port() != 0 {
        note(format!(
            "ROPELINE_LISTEN and ROPELINE_OPS_LISTEN are both {listen}: the operators' listener needs an address of its own"
        ));
    }
    let public_url = settings
        .public_url
        .map(|url| url.trim_end_matches('/').to_owned());
    check_url(
        "ROPELINE_PUBLIC_URL",
        public_url.as_deref(),
        &["http://", "https://"],
        &mut note,
    );
    check_url(
        "ROPELINE_REDIS_URL",
        settings.redis_url.as_deref(),
        &["redis://", "redis+unix://", "unix://"],
        &mut note,
    );
    if settings
        .redis_url
        .as_deref()
        .is_some_and(|url| url.contains(','))
    {
        note("ROPELINE_REDIS_URL: several URLs mean Redis Cluster, which this version does not speak yet; name one server".to_owned());
    }
    let postgres = &["postgres://", "postgresql://"];
    check_url(
        "ROPELINE_DATABASE_URL",
        settings.database_url.as_deref(),
        postgres,
        &mut note,
    );
    let signing_keys = key_files(settings.signing_keys.as_deref(), &mut note);
    if settings
        .admin_token
        .as_deref()
        .is_some_and(|token| token.len() < 16)
    {
        note(
            "ROPELINE_ADMIN_TOKEN: at least 16 characters, so that it cannot be guessed".to_owned(),
        );
    }
    let trusted_proxies = networks(settings.trusted_proxies.as_deref(), &mut note);
    let payment = payment(
        settings.payment_provider.as_deref().unwrap_or("simulator"),
        settings.payment_url,
        settings.payment_secret,
        settings.payment_webhook_secret,
        &mut note,
    );
    let log = settings.log.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = log.parse::<tracing_subscriber::EnvFilter>() {
        note(format!("ROPELINE_LOG: {error}"));
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(Config {
        listen,
        ops_listen,
        public_url,
        redis_url: settings.redis_url,
        database_url: settings.database_url,
        data_dir: settings
            .data_dir
            .unwrap_or_else(|| PathBuf::from(".ropeline")),
        signing_keys,
        issuer: settings.issuer,
        admin_token: settings.admin_token,
        trusted_proxies,
        payment,
        log,
        log_format: settings.log_format.unwrap_or_default(),
    })
}

fn address(
    given: Option<&str>,
    default: &str,
    name: &str,
    note: &mut impl FnMut(String),
) -> SocketAddr {
    let text = given.unwrap_or(default);
    text.parse().unwrap_or_else(|_| {
        note(format!(
            "{name}: `{text}` is not an address and port such as {default}"
        ));
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

fn check_url(name: &str, url: Option<&str>, schemes: &[&str], note: &mut impl FnMut(String)) {
    let Some(url) = url else { return };
    let good = schemes.iter().any(|scheme| {
        url.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains(' '))
    });
    if !good {
        // The URL may hold a password, so it is not repeated.
        note(format!(
            "{name}: expected a URL that begins with {}",
            schemes.join(" or ")
        ));
    }
}

fn key_files(given: Option<&str>, note: &mut impl FnMut(String)) -> Vec<PathBuf> {
    let files: Vec<_> = list(given).map(PathBuf::from).collect();
    for file in &files {
        match std::fs::read_to_string(file) {
            Ok(pem) => {
                if let Err(error) = contract::pass::PassKey::from_pem(&pem) {
                    note(format!(
                        "ROPELINE_SIGNING_KEYS: {}: {error}",
                        file.display()
                    ));
                }
            }
            Err(error) => note(format!(
                "ROPELINE_SIGNING_KEYS: {}: {error}",
                file.display()
            )),
        }
    }
    files
}

fn networks(given: Option<&str>, note: &mut impl FnMut(String)) -> Vec<IpNet> {
    list(given)
        .filter_map(|text| {
            let network = text.parse::<IpNet>().ok();
            let network =
                network.or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
            if network.is_none() {
                note(format!(
                    "ROPELINE_TRUSTED_PROXIES: `{text}` is not a network such as 10.0.0.0/8"
                ));
            }
            network
        })
        .collect()
}

fn payment(
    provider: &str,
    url: Option<String>,
    secret: Option<String>,
    webhook_secret: Option<String>,
    note: &mut impl FnMut(String),
) -> Payment {
    match provider {
        "simulator" => {}
        "stripe" | "razorpay" => note(format!(
            "ROPELINE_PAYMENT_PROVIDER: `{provider}` is not available in this version; use `simulator`"
        )),
        other => note(format!(
            "ROPELINE_PAYMENT_PROVIDER: `{other}` is not one of simulator, stripe, razorpay"
        )),
    }
    check_url("ROPELINE_PAYMENT_URL", url.as_deref(), &["http://"], note);
    match (url, secret, webhook_secret) {
        (None, ..) => Payment::PrivateSimulator,
        (Some(url), Some(secret), Some(webhook_secret)) => Payment::Simulator {
            url: url.trim_end_matches('/').to_owned(),
            secret,
            webhook_secret,
        },
        (Some(_), secret, webhook_secret) => {
            for (name, given) in [
                ("ROPELINE_PAYMENT_SECRET", secret.is_some()),
                ("ROPELINE_PAYMENT_WEBHOOK_SECRET", webhook_secret.is_some()),
            ] {
                if !given {
                    note(format!("{name}: needed when ROPELINE_PAYMENT_URL is set"));
                }
            }
            Payment::PrivateSimulator
        }
    }
}

fn list(given: Option<&str>) -> impl Iterator<Item = &str> {
    given
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let settings = Settings {
            listen: Some("nowhere".to_owned()),
            redis_url: Some("http://redis".to_owned()),
            trusted_proxies: Some("10.0.0.0/8, everyone".to_owned()),
            payment_provider: Some("stripe".to_owned()),
            admin_token: Some("short".to_owned()),
            signing_keys: Some("/does/not/exist.pem".to_owned()),
            log: Some("[".to_owned()),
            ..Settings::default()
        };
        let Err(problems) = check(settings) else {
            panic!("accepted")
        };
        let text = problems.to_string();
        for name in [
            "ROPELINE_LISTEN",
            "ROPELINE_REDIS_URL",
            "ROPELINE_TRUSTED_PROXIES",
            "ROPELINE_PAYMENT_PROVIDER",
            "ROPELINE_ADMIN_TOKEN",
            "ROPELINE_SIGNING_KEYS",
            "ROPELINE_LOG",
        ] {
            assert!(text.contains(name), "{name} is missing from: {text}");
        }
    }

    #[test]
    fn nothing_set_is_a_good_configuration() {
        let config = check(Settings::default()).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert!(config.redis_url.is_none() && config.database_url.is_none());
    }

    #[test]
    fn what_is_given_goes_before_the_file() {
        let file: Settings = toml::from_str("listen = \"127.0.0.1:1\"\nissuer = \"x\"").unwrap();
        let given = Settings {
            listen: Some("127.0.0.1:2".to_owned()),
            ..Settings::default()
        };
        let config = check(given.or(file)).unwrap();
        assert_eq!(
            (config.listen.port(), config.issuer.as_deref()),
            (2, Some("x"))
        );
        assert!(toml::from_str::<Settings>("lissen = \"x\"").is_err());
    }
}
