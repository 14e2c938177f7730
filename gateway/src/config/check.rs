//! Turns settings into a configuration, noting everything that is wrong with them.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use line::core_thread;
use line::store::redis::Roots;

use super::access::access_log;
use super::checked::{ChannelSettings, Config, LogFormat, Problems, TicketSettings};
use super::fraud::fraud_texts;
use super::invoice::invoice_texts;
use super::listeners::listeners;
use super::payment;
use super::questions::questions;
use super::rates::shop_rates;
use super::settings::Settings;
use crate::open_files;

/// A shorter token of the operators' listener can be guessed.
const ADMIN_TOKEN_CHARS_ADVISED: usize = 16;
/// What files of fonts and collections of fonts begin with.
const FONT_STARTS: [&[u8; 4]; 4] = [b"\0\x01\0\0", b"OTTO", b"true", b"ttcf"];

/// The configuration of `settings`, or everything that is wrong with it, `problems` found before
/// included.
pub(super) fn check(settings: Settings, mut problems: Vec<String>) -> Result<Config, Problems> {
    let mut note = |problem: String| problems.push(problem);
    let mut warnings = Vec::new();
    let data_dir = data_dir(settings.data_dir.as_deref(), &mut note);
    let listeners = listeners(&settings, &data_dir, &mut note, &mut warnings);
    let public_url = public_url(settings.public_url.as_deref(), &mut note);
    check_urls(&settings, &mut note);
    let roots = roots(settings.ca_file.as_deref(), &mut note);
    let signing_keys = key_files(settings.signing_keys.as_deref(), &mut note);
    if let Some(token) = &settings.admin_token {
        check_admin_token(token, &mut note, &mut warnings);
    }
    let trusted_proxies = networks(settings.trusted_proxies.as_deref(), &mut note);
    let questions = questions(&settings, &mut note);
    let ticket_fonts = font_files(settings.ticket_fonts.as_deref(), &mut note);
    let mut serving = serving(&settings, &mut note);
    serving.connections_max = connections_possible(serving.connections_max, &mut warnings);
    let shop_rates = shop_rates(&settings, &mut note);
    let fraud = fraud_texts(&settings, &mut note);
    let invoices = invoice_texts(&settings, &mut note);
    let payment = payment::read(&settings, &mut note, &mut warnings);
    if settings.smtp_url.is_none() && settings.database_url.is_some() {
        warnings.push(
            "ROPELINE_SMTP_URL is not set: mail to fans is written to files of this gateway and \
             reaches nobody"
                .to_owned(),
        );
    }
    let events_length_max = events_length_max(settings.events_length_max.as_deref(), &mut note);
    let events_archive_after = archive_after(settings.events_archive_days.as_deref(), &mut note);
    let targets = settings.webhook_private_targets.as_deref();
    let webhook_private_targets = private_targets(targets, &mut note);
    let tickets = ticket_settings(&settings);
    let access_log = access_log(&settings, &mut note);
    let channels = ChannelSettings {
        sms_url: settings.sms_url,
        sms_token: settings.sms_token,
        sms_from: settings.sms_from,
        sms_body: settings.sms_body,
        push_origins: push_origins(settings.push_origins.as_deref(), &mut note),
        templates: settings.templates.map(PathBuf::from),
    };
    warnings.extend(unused_templates(channels.templates.as_deref()));
    if data_dir.exists() && !data_dir.is_dir() {
        note(format!(
            "ROPELINE_DATA_DIR: {} is not a directory",
            data_dir.display()
        ));
    }
    let log = settings.log.unwrap_or_else(|| "info".to_owned());
    check_log(&log, &mut note);
    let log_format = log_format(settings.log_format.as_deref(), &mut note);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(Config {
        listen: listeners.listen,
        ops_listen: listeners.ops_listen,
        tls: listeners.tls,
        ops_tls: listeners.ops_tls,
        proxy_protocol: listeners.proxy_protocol,
        public_url,
        redis_url: settings.redis_url,
        roots,
        database_url: believing(settings.database_url, settings.ca_file.as_deref()),
        ca_file: settings.ca_file.map(PathBuf::from),
        data_dir,
        signing_keys,
        signing_key_id: settings.signing_key_id,
        issuer: settings.issuer,
        admin_token: settings.admin_token,
        trusted_proxies,
        questions,
        ticket_fonts,
        tickets,
        threads: serving.threads,
        connections_max: serving.connections_max,
        connections_per_address_max: serving.connections_per_address_max,
        connections_per_place_max: serving.connections_per_place_max,
        keepalive: serving.keepalive,
        shutdown_delay: serving.shutdown_delay,
        shop_rates,
        fraud,
        invoices,
        payment,
        smtp_url: settings.smtp_url,
        mail_from: settings.mail_from,
        events_url: settings.events_url,
        events_stream: settings.events_stream,
        events_length_max,
        events_archive_after,
        webhook_private_targets,
        channels,
        log,
        log_format,
        access_log,
        adopt_keys: false,
        take_over: false,
        origin: None,
        warnings,
    })
}

/// How many connections can be served of `asked`, with a warning when these are fewer.
fn connections_possible(asked: usize, warnings: &mut Vec<String>) -> usize {
    let files = open_files::raise();
    let possible = open_files::for_clients(files);
    if asked > possible {
        warnings.push(format!(
            "ROPELINE_CONNECTIONS_MAX is {asked}, but this process may open {files} files, so it \
             takes {possible} connections at once: raise the limit (`ulimit -Hn`, or LimitNOFILE \
             of a systemd unit)"
        ));
    }
    asked.min(possible)
}

fn ticket_settings(settings: &Settings) -> TicketSettings {
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    TicketSettings {
        store: settings.ticket_store.clone(),
        store_endpoint: settings.ticket_store_endpoint.clone(),
        apple_cert: path(&settings.apple_pass_cert),
        apple_key: path(&settings.apple_pass_key),
        google_issuer: settings.google_wallet_issuer.clone(),
        google_account: path(&settings.google_wallet_account),
    }
}

fn check_admin_token(token: &str, note: &mut impl FnMut(String), warnings: &mut Vec<String>) {
    if let Some(why) = unsendable(token) {
        note(format!("ROPELINE_ADMIN_TOKEN: {why}"));
    }
    if token.chars().count() < ADMIN_TOKEN_CHARS_ADVISED {
        warnings.push(format!(
            "ROPELINE_ADMIN_TOKEN is shorter than {ADMIN_TOKEN_CHARS_ADVISED} characters: it can \
             be guessed, and whoever guesses it may do everything"
        ));
    }
}

/// Events that the stream keeps, about, unless the setting says otherwise.
const STREAM_LENGTH_MAX: u64 = 1_000_000;

fn events_length_max(text: Option<&str>, note: &mut impl FnMut(String)) -> u64 {
    let Some(text) = text else {
        return STREAM_LENGTH_MAX;
    };
    match text.trim().parse() {
        Ok(count) if count > 0 => count,
        _ => {
            note(format!(
                "ROPELINE_EVENTS_LENGTH_MAX: `{text}` is no number above 0"
            ));
            STREAM_LENGTH_MAX
        }
    }
}

/// Days that an event may be kept out of the archive: a hundred years.
const ARCHIVE_DAYS_MAX: u64 = 36_500;

/// Age at which events move into the archive; without the setting none do, because a gateway of the
/// version before could not read them.
fn archive_after(text: Option<&str>, note: &mut impl FnMut(String)) -> Option<Duration> {
    let text = text?;
    match text.trim().parse::<u64>() {
        Ok(days) if (1..=ARCHIVE_DAYS_MAX).contains(&days) => Some(Duration::from_hours(24 * days)),
        _ => {
            note(format!(
                "ROPELINE_EVENTS_ARCHIVE_DAYS: `{text}` is no number of days from 1 to \
                 {ARCHIVE_DAYS_MAX}"
            ));
            None
        }
    }
}

fn private_targets(text: Option<&str>, note: &mut impl FnMut(String)) -> bool {
    match text.map(str::trim) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            note(format!(
                "ROPELINE_WEBHOOK_PRIVATE_TARGETS: `{other}` is neither true nor false"
            ));
            false
        }
    }
}

/// The origins of push services in `text`, as browsers write them.
fn push_origins(text: Option<&str>, note: &mut impl FnMut(String)) -> Vec<String> {
    let named = text.into_iter().flat_map(|text| text.split(','));
    let named = named.map(str::trim).filter(|origin| !origin.is_empty());
    let read = named.filter_map(|origin| {
        let url = url::Url::parse(origin).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/");
        if url.is_none() {
            note(format!(
                "ROPELINE_PUSH_ORIGINS: `{origin}` is no origin such as https://push.example"
            ));
        }
        Some(url?.origin().ascii_serialization())
    });
    read.collect()
}

/// What is wrong with the operator's own templates, which are left out for it.
fn unused_templates(directory: Option<&Path>) -> Vec<String> {
    let Some(directory) = directory else {
        return Vec::new();
    };
    if !directory.is_dir() {
        return vec![format!(
            "ROPELINE_TEMPLATES: {} is no directory: the built-in templates are used",
            directory.display()
        )];
    }
    let (_, faults) = pages::letters::Letters::with_own(directory);
    let told = |fault| format!("ROPELINE_TEMPLATES: {fault}; the built-in one is used");
    faults.into_iter().map(told).collect()
}

/// Why a bearer token cannot be sent in a header, if so.
pub fn unsendable(token: &str) -> Option<&'static str> {
    if token.is_empty() {
        Some("it is empty, and nobody could operate this gateway")
    } else if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        None
    } else {
        Some(
            "it may have visible ASCII characters only and no spaces: others cannot be sent in a \
             header",
        )
    }
}

/// A word alone would be taken for the name of a part of the program, and everything else would
/// be silent: `warning` is meant as a level.
fn check_log(filter: &str, note: &mut impl FnMut(String)) {
    if let Err(error) = filter.parse::<tracing_subscriber::EnvFilter>() {
        note(format!("ROPELINE_LOG: {error}"));
        return;
    }
    let words = filter.split(',').map(str::trim);
    for word in words.filter(|word| !word.is_empty() && !word.contains(['=', '['])) {
        if word.parse::<tracing::level_filters::LevelFilter>().is_err() {
            note(format!(
                "ROPELINE_LOG: `{word}` is not one of off, error, warn, info, debug, trace; a part \
                 of the program is named with a level, such as {word}=debug"
            ));
        }
    }
}

/// How the public listener serves.
struct Serving {
    threads: NonZeroUsize,
    connections_max: usize,
    connections_per_address_max: usize,
    connections_per_place_max: usize,
    keepalive: Duration,
    shutdown_delay: Duration,
}

fn serving(settings: &Settings, note: &mut impl FnMut(String)) -> Serving {
    let mut read = |given: &Option<String>, name: &str, default: u64, range: (u64, u64)| {
        let Some(text) = given.as_deref() else {
            return default;
        };
        match text.trim().parse() {
            Ok(number) if (range.0..=range.1).contains(&number) => number,
            _ => {
                let (min, max) = range;
                note(format!(
                    "{name}: `{text}` is not a number from {min} to {max}"
                ));
                default
            }
        }
    };
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let cores = core_thread::available();
    let threads = count(read(
        &settings.threads,
        "ROPELINE_THREADS",
        u64::try_from(cores.get()).unwrap_or(1),
        (1, 1024),
    ));
    let connections_max = count(read(
        &settings.connections_max,
        "ROPELINE_CONNECTIONS_MAX",
        16_000,
        (1, 1_000_000),
    ));
    let connections_per_address_max = count(read(
        &settings.connections_per_address_max,
        "ROPELINE_CONNECTIONS_PER_ADDRESS_MAX",
        2_000,
        (1, 1_000_000),
    ));
    let connections_per_place_max = count(read(
        &settings.connections_per_place_max,
        "ROPELINE_CONNECTIONS_PER_PLACE_MAX",
        16,
        (1, 1_000),
    ));
    let keepalive = read(
        &settings.keepalive_seconds,
        "ROPELINE_KEEPALIVE_SECONDS",
        75,
        (1, 3_600),
    );
    let shutdown_delay = read(
        &settings.shutdown_delay_seconds,
        "ROPELINE_SHUTDOWN_DELAY_SECONDS",
        5,
        (0, 300),
    );
    Serving {
        threads: NonZeroUsize::new(threads).unwrap_or(cores),
        connections_max,
        connections_per_address_max,
        connections_per_place_max,
        keepalive: Duration::from_secs(keepalive),
        shutdown_delay: Duration::from_secs(shutdown_delay),
    }
}

/// The directory, independent of where the process or its children work: children do so elsewhere.
fn data_dir(given: Option<&str>, note: &mut impl FnMut(String)) -> PathBuf {
    let given = given.unwrap_or(".ropeline");
    if given.contains(char::is_control) {
        note(format!(
            "ROPELINE_DATA_DIR: {given:?} has a control character, such as a line break"
        ));
    }
    let given = Path::new(given);
    std::path::absolute(given).unwrap_or_else(|error| {
        note(format!("ROPELINE_DATA_DIR: {}: {error}", given.display()));
        given.to_path_buf()
    })
}

/// The origin that fans see, as browsers write it: they compare it letter by letter.
fn public_url(given: Option<&str>, note: &mut impl FnMut(String)) -> Option<String> {
    let text = given?;
    let mut refuse = |why: &str| {
        note(format!(
            "ROPELINE_PUBLIC_URL: `{text}` {why}; write it like https://tickets.example.org"
        ));
        None
    };
    let Ok(url) = url::Url::parse(text) else {
        return refuse("is not a URL");
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return refuse("does not begin with http:// or https:// and a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has a user name in it");
    }
    // Pages link to `/_line/…` and cookies are for `/`.
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return refuse("has a path, and Ropeline answers at the root of a host only");
    }
    Some(url.origin().ascii_serialization())
}

fn check_urls(settings: &Settings, note: &mut impl FnMut(String)) {
    for (name, url, schemes) in [
        (
            "ROPELINE_REDIS_URL",
            &settings.redis_url,
            &[
                "redis://",
                "rediss://",
                "redis+sentinel://",
                "rediss+sentinel://",
                "redis+unix://",
                "unix://",
            ][..],
        ),
        (
            "ROPELINE_DATABASE_URL",
            &settings.database_url,
            &["postgres://", "postgresql://"],
        ),
        (
            "ROPELINE_PAYMENT_URL",
            &settings.payment_url,
            &["http://", "https://"],
        ),
        (
            "ROPELINE_STRIPE_URL",
            &settings.stripe_url,
            &["http://", "https://"],
        ),
        (
            "ROPELINE_RAZORPAY_URL",
            &settings.razorpay_url,
            &["http://", "https://"],
        ),
    ] {
        check_url(name, url.as_deref(), schemes, note);
    }
}

/// The authorities of the file that is named, beside those of the system.
fn roots(file: Option<&str>, note: &mut impl FnMut(String)) -> Option<Roots> {
    let file = file?;
    let read = std::fs::read(file).map_err(|error| error.to_string());
    let read = read.and_then(|pem| Roots::with(&pem).map_err(|error| error.to_string()));
    read.map_err(|why| note(format!("ROPELINE_CA_FILE: {file}: {why}")))
        .ok()
}

/// The URL of the database, which is believed by the authorities of `ca_file` too, unless it names
/// others itself.
fn believing(url: Option<String>, ca_file: Option<&str>) -> Option<String> {
    let mut url = url?;
    let Some(file) = ca_file else {
        return Some(url);
    };
    if !url.contains("sslrootcert=") {
        let file: String = url::form_urlencoded::byte_serialize(file.as_bytes()).collect();
        let between = if url.contains('?') { '&' } else { '?' };
        url.extend([between.to_string().as_str(), "sslrootcert=", &file]);
    }
    Some(url)
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

/// The fonts of tickets. Only the start of each file is read here: a font has megabytes.
fn font_files(given: Option<&str>, note: &mut impl FnMut(String)) -> Vec<PathBuf> {
    let files: Vec<_> = list(given).map(PathBuf::from).collect();
    for file in &files {
        let mut start = [0; 4];
        let read = File::open(file).and_then(|mut file| file.read_exact(&mut start));
        let problem = match read {
            Ok(()) if FONT_STARTS.contains(&&start) => continue,
            Ok(()) => "it is no TrueType or OpenType font".to_owned(),
            Err(error) => error.to_string(),
        };
        note(format!(
            "ROPELINE_TICKET_FONTS: {}: {problem}",
            file.display()
        ));
    }
    files
}

fn key_files(given: Option<&str>, note: &mut impl FnMut(String)) -> Vec<PathBuf> {
    let files: Vec<_> = list(given).map(PathBuf::from).collect();
    let problem = |file: &Path| match std::fs::read_to_string(file) {
        Ok(pem) => contract::pass::PassKey::from_pem(&pem)
            .err()
            .map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    for file in &files {
        if let Some(problem) = problem(file) {
            note(format!(
                "ROPELINE_SIGNING_KEYS: {}: {problem}",
                file.display()
            ));
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

fn log_format(given: Option<&str>, note: &mut impl FnMut(String)) -> LogFormat {
    match given {
        None => LogFormat::default(),
        Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => {
            note(format!(
                "ROPELINE_LOG_FORMAT: `{other}` is not one of text, json"
            ));
            LogFormat::default()
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
