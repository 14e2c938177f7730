//! Settings: flags, then environment, then `ropeline.toml`, then defaults.
//!
//! Every setting is read as text and parsed here, not by the command-line parser, so that all
//! problems are listed together, whatever the source of a setting.

mod access;
mod acme;
mod check;
mod checked;
mod fraud;
mod invoice;
mod listeners;
mod origin;
mod payment;
mod questions;
mod rates;
mod settings;
mod shown;
mod template;
mod unknown;

use clap::{Parser, Subcommand};

use check::check;
pub use check::unsendable;
pub use checked::{
    ChannelSettings, Config, LogFormat, Payment, Problems, Provider, ProviderKind, TicketSettings,
};
pub use fraud::FraudTexts;
pub use invoice::InvoiceTexts;
pub use listeners::{CertificateSource, ProxyProtocol, TlsSettings};
use origin::OriginFlags;
pub use origin::{Origin, ROOM as ORIGIN_ROOM};
pub use rates::{ShopRatePair, ShopRates};
use settings::{Settings, given, read_file};

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
    /// Listen where another gateway of this machine listens, to take its place without a gap: stop
    /// that one as soon as this one says that it listens. Not with private servers
    #[arg(long)]
    take_over: bool,
    #[command(flatten)]
    origin: OriginFlags,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Action {
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigAction),
    /// Write a settings file with every setting in it, commented out
    Init,
    /// Ask the gateway that runs here with these settings whether it can serve; exit status 1 if not
    Health,
    /// Bring the schema of the database up to date, as every start does, and end
    Migrate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum ConfigAction {
    /// Print every setting as it is in force, list every problem, and start nothing
    Check,
}

/// What the command line asks the process to do.
pub enum Asked {
    /// Run with this configuration.
    Run(Box<Config>),
    /// Only check this configuration.
    Check(Box<Config>),
    /// Nothing more.
    Nothing,
    /// Ask the gateway with this configuration whether it can serve.
    Health(Box<Config>),
    /// Only bring the schema of the database up to date.
    Migrate(Box<Config>),
}

/// The parsed configuration.
pub struct Settled {
    /// Every setting with its value in force, if requested.
    pub shown: Option<String>,
    /// What to do.
    pub outcome: Result<Asked, Problems>,
}

impl Command {
    /// Reads the settings file and checks everything, without binding or starting anything.
    pub fn settle(self) -> Settled {
        let mut problems = Vec::new();
        let named = given(self.settings.config.clone());
        let asked: fn(Box<Config>) -> Asked = match self.action {
            Some(Action::Init) => return template_written(named.as_deref()),
            None => Asked::Run,
            Some(Action::Config(ConfigAction::Check)) => Asked::Check,
            Some(Action::Health) => Asked::Health,
            Some(Action::Migrate) => Asked::Migrate,
        };
        let file = read_file(named.as_deref(), &mut |problem| problems.push(problem));
        let is_check = matches!(self.action, Some(Action::Config(ConfigAction::Check)));
        let shown = is_check.then(|| shown::settings(&self.settings, &file));
        let known: Vec<&str> = file.all().into_iter().map(|(name, ..)| name).collect();
        // A variable whose name is not UTF-8 is none of ours.
        let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let unknown = unknown::warnings(variables, &known);
        let settings = self.settings.or(file);
        if self.take_over {
            problems.extend(take_over_problems(&settings));
        }
        let origin = self.origin.read(&mut |problem| problems.push(problem));
        let checked = check(settings, problems);
        let outcome = checked.and_then(|mut config| {
            if origin
                .as_ref()
                .is_some_and(|origin| origin.is_at(config.listen))
            {
                return Err(Problems(vec![format!(
                    "--origin: {} is this gateway itself: name the address of the site, and have it \
                     listen on another port",
                    config.listen
                )]));
            }
            config.adopt_keys = self.adopt_keys;
            config.take_over = self.take_over;
            config.origin = origin;
            config.warnings.extend(unknown);
            Ok(asked(Box::new(config)))
        });
        Settled { shown, outcome }
    }
}

/// Writes the settings file that begins an installation.
fn template_written(named: Option<&str>) -> Settled {
    let written = template::write(named);
    Settled {
        shown: written.as_ref().ok().cloned(),
        outcome: written
            .map(|_| Asked::Nothing)
            .map_err(|problem| Problems(vec![problem])),
    }
}

/// What stands in the way of taking over another gateway's place.
fn take_over_problems(settings: &Settings) -> Vec<String> {
    let private = [
        ("ROPELINE_REDIS_URL", &settings.redis_url),
        ("ROPELINE_DATABASE_URL", &settings.database_url),
    ];
    let private = private.into_iter().filter(|(_, url)| url.is_none());
    let of_one = private.map(|(name, _)| {
        format!(
            "--take-over: private servers belong to one gateway at a time, so it cannot be \
             replaced while it runs; set {name}, or stop it first"
        )
    });
    let listeners = [
        ("ROPELINE_LISTEN", &settings.listen),
        ("ROPELINE_OPS_LISTEN", &settings.ops_listen),
        ("ROPELINE_TLS_LISTEN", &settings.tls_listen),
    ];
    let nowhere = listeners.into_iter().filter(|(_, address)| {
        let address = address.as_deref().unwrap_or_default();
        address.ends_with(":0")
    });
    let nowhere =
        nowhere.map(|(name, _)| format!("--take-over: {name} needs the port to take over"));
    of_one.chain(nowhere).collect()
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

    fn refused(text: &str) -> String {
        let checked = check(settings(text), Vec::new());
        checked.map(drop).unwrap_err().to_string()
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
            payment_provider = "paypal"
            signing_keys = "/does/not/exist.pem"
            ca_file = "/does/not/exist.pem"
            ticket_fonts = "/does/not/exist.otf"
            data_dir = "/dev/null"
            log = "["
            log_format = "xml"
            access_log = "/does/not/exist/access.log"
            threads = "0"
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
        assert!(text.contains("has 20 problems;"), "{text}");
        for name in [
            "the settings file",
            "ROPELINE_LISTEN",
            "ROPELINE_REDIS_URL",
            "ROPELINE_TRUSTED_PROXIES",
            "ROPELINE_PAYMENT_PROVIDER",
            "ROPELINE_SIGNING_KEYS",
            "ROPELINE_CA_FILE",
            "ROPELINE_TICKET_FONTS",
            "ROPELINE_DATA_DIR",
            "ROPELINE_LOG:",
            "ROPELINE_LOG_FORMAT",
            "ROPELINE_ACCESS_LOG",
            "ROPELINE_THREADS",
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
    fn a_single_problem_is_one() {
        let text = refused("log_format = \"xml\"");
        assert!(text.contains("has 1 problem;"), "{text}");
    }

    #[test]
    fn nothing_set_is_a_good_configuration() {
        // Some tools write an empty value for an unset one.
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
    fn a_log_filter_is_levels_and_parts_with_levels() {
        for filter in [
            "warn",
            "ERROR",
            "info,line=debug",
            "gateway=debug",
            "off",
            "",
        ] {
            good(&format!("log = {filter:?}"));
        }
        for (filter, word) in [("warning", "warning"), ("info, verbose", "verbose")] {
            let problems = refused(&format!("log = {filter:?}"));
            assert!(
                problems.contains(&format!("`{word}` is not one of off")),
                "{problems}"
            );
        }
    }

    #[test]
    fn what_can_never_work_is_refused() {
        for (text, named) in [
            (
                "admin_token = \"has a space in it\"",
                "ROPELINE_ADMIN_TOKEN: it may have visible",
            ),
            (
                "admin_token = \"grün-und-lang-genug\"",
                "ROPELINE_ADMIN_TOKEN: it may have visible",
            ),
            (
                "data_dir = \"line\\nbreak\"",
                "ROPELINE_DATA_DIR: \"line\\nbreak\" has a control",
            ),
        ] {
            let problems = refused(text);
            assert!(problems.contains(named), "{text}: {problems}");
        }
    }

    #[test]
    fn a_font_of_tickets_is_a_font() {
        let directory = tempfile::tempdir().unwrap();
        let (font, text) = (
            directory.path().join("a.otf"),
            directory.path().join("b.otf"),
        );
        std::fs::write(&font, b"OTTO and what a font has").unwrap();
        std::fs::write(&text, b"no font").unwrap();
        let named = |file: &std::path::Path| format!("ticket_fonts = \"{}\"", file.display());
        assert_eq!(good(&named(&font)).ticket_fonts, [font]);
        let why = refused(&named(&text));
        assert!(
            why.contains("ROPELINE_TICKET_FONTS") && why.contains("no TrueType"),
            "{why}"
        );
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
        // The simulator's own defaults.
        let simulator = include_str!("../../payment-simulator/src/config.rs");
        for secret in [payment::SIMULATOR_SECRET, payment::SIMULATOR_WEBHOOK_SECRET] {
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
