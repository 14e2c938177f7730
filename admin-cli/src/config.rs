//! Where the gateway is, and with which token: flags, the environment, or what a gateway on this
//! machine wrote into its data directory. The only module that looks at the environment.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::failure::{Exit, Failure};
use crate::transport::Believed;

/// Where the operators' listener is unless told otherwise.
const ADMIN_URL_DEFAULT: &str = "http://127.0.0.1:8081";
/// Where the public listener is unless told otherwise.
const PUBLIC_URL_DEFAULT: &str = "http://127.0.0.1:8080";
/// Directories that are looked at when none is named: a gateway's own, and the demo's.
const DATA_DIRS: [&str; 2] = [".ropeline", ".demo"];

const HINT_URL: &str =
    "name the directory that the gateway was started with, or its listener with --admin-url";
const HINT_TOKEN: &str = "run this as the user that runs the gateway, or set ROPELINE_ADMIN_TOKEN";

/// Options of every command that say where the gateway is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GatewayOptions {
    /// URL of the operators' listener
    ///
    /// Without it, a gateway on this machine is found by the data directory it writes to.
    #[arg(long, env = "ROPELINE_ADMIN_URL", value_name = "URL", global = true)]
    #[arg(help_heading = "Gateway")]
    pub admin_url: Option<String>,
    /// URL of the public listener (for `draw verify`)
    #[arg(long, env = "ROPELINE_PUBLIC_URL", value_name = "URL", global = true)]
    #[arg(help_heading = "Gateway")]
    pub public_url: Option<String>,
    /// Bearer token; better set in the environment, where other users cannot see it
    #[arg(
        long,
        env = "ROPELINE_ADMIN_TOKEN",
        value_name = "TOKEN",
        global = true
    )]
    #[arg(hide_env_values = true, help_heading = "Gateway")]
    pub token: Option<String>,
    /// The gateway's data directory, with its address and admin token
    ///
    /// Without it, ./.ropeline and ./.demo are looked at.
    #[arg(long, env = "ROPELINE_DATA_DIR", value_name = "DIR", global = true)]
    #[arg(help_heading = "Gateway")]
    pub data_dir: Option<PathBuf>,
    /// PEM file of authorities whose certificates are believed beside those of the system
    #[arg(long, env = "ROPELINE_CA_FILE", value_name = "FILE", global = true)]
    #[arg(help_heading = "Gateway")]
    pub ca_file: Option<PathBuf>,
}

/// The gateway a command speaks to.
#[derive(Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The operators' listener.
    pub admin_url: Url,
    /// The public listener, as text: only some commands need it, and only they complain of it.
    public_url: String,
    /// The bearer token, when there is one.
    pub token: Option<String>,
    /// Where the address is from, for messages.
    pub found_in: String,
    /// The operators' listener of the gateway on this machine whose public listener has the address
    /// above, if one wrote that it does.
    pub meant: Option<String>,
    /// Authorities that are believed beside those of the system.
    ca_file: Option<PathBuf>,
    /// The certificate that the gateway on this machine shows operators.
    own_certificate: Option<PathBuf>,
}

/// What a gateway tells the machine it runs on, in `admin.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announcement {
    ops_url: String,
    public_url: String,
    /// Where the public listener is on the machine itself. Older gateways do not tell.
    listen_url: Option<String>,
    /// The file of the certificate of its operators' listener, if that speaks TLS.
    ops_certificate: Option<PathBuf>,
    pid: Option<u32>,
}

impl Gateway {
    /// The gateway that `options` name, or that this machine runs. `cwd` is where the
    /// directories without a path are looked for.
    pub fn find(options: &GatewayOptions, cwd: &Path) -> Result<Self, Failure> {
        let named = options
            .data_dir
            .as_ref()
            .filter(|dir| !dir.as_os_str().is_empty());
        let dirs: Vec<PathBuf> = match named {
            Some(dir) => vec![cwd.join(dir)],
            None => DATA_DIRS.iter().map(|dir| cwd.join(dir)).collect(),
        };
        let announced = match (&options.admin_url, named) {
            // Whoever names a gateway by its URL may have any directory.
            (Some(_), _) => first_announcement(&dirs).ok().flatten(),
            (None, None) => first_announcement(&dirs)?,
            // Another gateway may listen where one listens by default.
            (None, Some(_)) => {
                let found = first_announcement(&dirs)?;
                Some(found.ok_or_else(|| no_gateway_in(&dirs[0]))?)
            }
        };
        let (admin_text, found_in) = match (&options.admin_url, &announced) {
            (Some(url), _) => (url.clone(), "--admin-url or ROPELINE_ADMIN_URL".to_owned()),
            (None, Some((dir, it))) => {
                let pid = it
                    .pid
                    .map_or_else(String::new, |pid| format!(", process {pid}"));
                let file = dir.join("admin.json");
                (it.ops_url.clone(), format!("{}{pid}", file.display()))
            }
            (None, None) => (ADMIN_URL_DEFAULT.to_owned(), "the default".to_owned()),
        };
        let admin_url = parse_url(&admin_text)?;
        let near = announced
            .as_ref()
            .map(|(_, it)| it)
            .filter(|_| options.admin_url.is_none());
        let public_url = match (&options.public_url, near) {
            // The address for fans may lead through proxies that are not there yet.
            (None, Some(it)) => it.listen_url.as_ref().unwrap_or(&it.public_url).clone(),
            (Some(url), Some(it)) if is_same_place(url, &it.public_url) => {
                it.listen_url.as_ref().unwrap_or(url).clone()
            }
            (Some(url), _) => url.clone(),
            (None, None) => PUBLIC_URL_DEFAULT.to_owned(),
        };
        // The token of this machine's gateway never goes to another machine.
        let token = match &options.token {
            Some(token) => Some(token.trim().to_owned()).filter(|token| !token.is_empty()),
            None if is_loopback(&admin_url) || options.admin_url.is_none() => {
                let near = announced.iter().map(|(dir, _)| *dir);
                token_in_first(near.chain(&dirs))?
            }
            None => None,
        };
        let meant = announced.as_ref().and_then(|(_, it)| {
            let is_public = std::iter::once(&it.public_url)
                .chain(&it.listen_url)
                .any(|url| is_same_place(url, admin_url.as_str()));
            is_public.then(|| it.ops_url.clone())
        });
        Ok(Self {
            admin_url,
            public_url,
            token,
            found_in,
            meant,
            ca_file: options
                .ca_file
                .clone()
                .filter(|file| !file.as_os_str().is_empty()),
            own_certificate: near.and_then(|it| it.ops_certificate.clone()),
        })
    }

    /// Whose certificates are believed.
    pub(crate) fn believed(&self) -> Believed<'_> {
        Believed {
            ca_file: self.ca_file.as_deref(),
            own: self.own_certificate.as_deref(),
        }
    }

    /// The public listener.
    pub fn public_url(&self) -> Result<Url, Failure> {
        parse_url(&self.public_url)
    }
}

/// Whether two URLs name one address, however they are written.
fn is_same_place(a: &str, b: &str) -> bool {
    match (Url::parse(a), Url::parse(b)) {
        (Ok(a), Ok(b)) => a.origin() == b.origin(),
        _ => false,
    }
}

/// The first of `dirs` that a gateway wrote its address to. One whose address cannot be read is an
/// error: the next best gateway may be another installation's.
fn first_announcement(dirs: &[PathBuf]) -> Result<Option<(&PathBuf, Announcement)>, Failure> {
    for dir in dirs {
        let path = dir.join("admin.json");
        let Some(text) = read_if_there(&path, HINT_URL)? else {
            continue;
        };
        let read = serde_json::from_slice(&text);
        let read = read.map_err(|error| {
            Failure::failed(format!("{} is not what a gateway writes", path.display()))
                .detail(error.to_string())
                .hint("start the gateway again, which writes it anew, or name it with --admin-url")
        })?;
        return Ok(Some((dir, read)));
    }
    Ok(None)
}

/// Why a named data directory leads to no gateway.
fn no_gateway_in(dir: &Path) -> Failure {
    let shown = dir.display();
    if dir.is_dir() {
        Failure::new(
            Exit::Unreachable,
            format!("No gateway has written its address to {shown}"),
        )
        .detail("there is no admin.json in it")
        .hint("start the gateway with this ROPELINE_DATA_DIR, or name it with --admin-url")
    } else {
        Failure::usage(format!("There is no data directory {shown}"))
            .detail("it is from --data-dir or ROPELINE_DATA_DIR")
            .hint(HINT_URL)
    }
}

fn token_in_first<'a>(
    mut dirs: impl Iterator<Item = &'a PathBuf>,
) -> Result<Option<String>, Failure> {
    dirs.find_map(|dir| token_in(dir).transpose()).transpose()
}

fn token_in(dir: &Path) -> Result<Option<String>, Failure> {
    let Some(text) = read_if_there(&dir.join("admin-token"), HINT_TOKEN)? else {
        return Ok(None);
    };
    let token = String::from_utf8_lossy(&text).trim().to_owned();
    Ok(Some(token).filter(|token| !token.is_empty()))
}

/// The file; `None` if there is none. `hint` tells what to do when it may not be read.
fn read_if_there(path: &Path, hint: &str) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(error.kind()) => Ok(None),
        Err(error) => Err(Failure::new(
            Exit::NotAuthorised,
            format!("Cannot read {}", path.display()),
        )
        .detail(error.to_string())
        .hint(hint)),
    }
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("`{text}` is not a URL of a gateway"))
            .detail(why)
            .hint("write it like http://127.0.0.1:8081")
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(wrong(format!("`{other}` is not a scheme that is spoken"))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The data directory that is meant when none is named: the first that is there, or a gateway's own.
pub(crate) fn data_dir_default(cwd: &Path) -> PathBuf {
    let found = DATA_DIRS.iter().find(|dir| cwd.join(dir).is_dir());
    PathBuf::from(found.unwrap_or(&DATA_DIRS[0]))
}

/// Whether the environment asks for text without colour (<https://no-color.org>).
pub fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_dir(parent: &Path, name: &str, ops_url: &str, token: &str) {
        let dir = parent.join(name);
        fs::create_dir(&dir).unwrap();
        let public = "http://127.0.0.1:7000";
        let json = format!(r#"{{"opsUrl":"{ops_url}","publicUrl":"{public}","pid":42}}"#);
        fs::write(dir.join("admin.json"), json).unwrap();
        fs::write(dir.join("admin-token"), format!("{token}\n")).unwrap();
    }

    #[test]
    fn a_gateway_on_this_machine_is_found_by_its_data_directory() {
        let cwd = tempfile::tempdir().unwrap();
        data_dir(cwd.path(), ".demo", "http://127.0.0.1:7001", "demo");
        let found = Gateway::find(&GatewayOptions::default(), cwd.path()).unwrap();
        assert_eq!(found.admin_url.as_str(), "http://127.0.0.1:7001/");
        let public_url = found.public_url().unwrap();
        assert_eq!(public_url.as_str(), "http://127.0.0.1:7000/");
        assert_eq!(found.token.as_deref(), Some("demo"));
        assert!(found.found_in.ends_with("admin.json, process 42"));

        data_dir(cwd.path(), ".ropeline", "http://127.0.0.1:7002", "own");
        let found = Gateway::find(&GatewayOptions::default(), cwd.path()).unwrap();
        assert_eq!(found.token.as_deref(), Some("own"));
        let named = GatewayOptions {
            data_dir: Some(".demo".into()),
            ..GatewayOptions::default()
        };
        let found = Gateway::find(&named, cwd.path()).unwrap();
        assert_eq!(found.token.as_deref(), Some("demo"));
    }

    #[test]
    fn a_gateway_behind_tls_is_found_and_asked_at_its_listener() {
        let cwd = tempfile::tempdir().unwrap();
        let dir = cwd.path().join(".ropeline");
        fs::create_dir(&dir).unwrap();
        let json = r#"{"opsUrl":"http://127.0.0.1:7001","publicUrl":"https://tickets.example",
            "listenUrl":"http://127.0.0.1:7000","pid":42}"#;
        fs::write(dir.join("admin.json"), json).unwrap();
        // The shell may have the gateway's own settings.
        for public_url in [None, Some("https://Tickets.Example:443/".to_owned())] {
            let options = GatewayOptions {
                public_url,
                ..GatewayOptions::default()
            };
            let found = Gateway::find(&options, cwd.path()).unwrap();
            assert_eq!(found.admin_url.as_str(), "http://127.0.0.1:7001/");
            let public_url = found.public_url().unwrap();
            assert_eq!(public_url.as_str(), "http://127.0.0.1:7000/");
        }
        // One that cannot be asked is in the way of those commands only that would ask it.
        let options = GatewayOptions {
            public_url: Some("https://other.example".to_owned()),
            ..GatewayOptions::default()
        };
        let found = Gateway::find(&options, cwd.path()).unwrap();
        let public_url = found.public_url().unwrap();
        assert_eq!(public_url.as_str(), "https://other.example/");
    }

    #[test]
    fn whoever_names_the_public_listener_is_told_the_operators() {
        let cwd = tempfile::tempdir().unwrap();
        data_dir(cwd.path(), ".demo", "http://127.0.0.1:7001", "demo");
        for (url, meant) in [
            ("http://127.0.0.1:7000", Some("http://127.0.0.1:7001")),
            ("http://127.0.0.1:7001", None),
            ("http://127.0.0.1:7002", None),
        ] {
            let options = GatewayOptions {
                admin_url: Some(url.to_owned()),
                ..GatewayOptions::default()
            };
            let found = Gateway::find(&options, cwd.path()).unwrap();
            assert_eq!(found.meant.as_deref(), meant, "{url}");
        }
    }

    #[test]
    fn the_local_token_stays_on_this_machine() {
        let cwd = tempfile::tempdir().unwrap();
        data_dir(cwd.path(), ".ropeline", "http://127.0.0.1:7002", "own");
        for (url, token) in [
            ("http://gateway.example:8081", None),
            ("http://127.0.0.1:9", Some("own")),
            ("http://[::1]:9", Some("own")),
            ("http://localhost:9", Some("own")),
            ("http://localhost.example", None),
        ] {
            let options = GatewayOptions {
                admin_url: Some(url.to_owned()),
                ..GatewayOptions::default()
            };
            let found = Gateway::find(&options, cwd.path()).unwrap();
            assert_eq!(found.token.as_deref(), token, "{url}");
        }
    }

    #[test]
    fn without_anything_the_defaults_are_used() {
        let cwd = tempfile::tempdir().unwrap();
        let found = Gateway::find(&GatewayOptions::default(), cwd.path()).unwrap();
        assert_eq!(found.admin_url.as_str(), "http://127.0.0.1:8081/");
        assert_eq!(found.token, None);
    }

    /// What is said when `dir` is named.
    fn refused(cwd: &Path, dir: &str) -> Failure {
        let options = GatewayOptions {
            data_dir: Some(dir.into()),
            ..GatewayOptions::default()
        };
        Gateway::find(&options, cwd).err().unwrap()
    }

    #[test]
    fn a_named_directory_without_a_gateway_leads_to_no_other() {
        let cwd = tempfile::tempdir().unwrap();
        data_dir(cwd.path(), ".ropeline", "http://127.0.0.1:7002", "own");
        let typo = refused(cwd.path(), "typo");
        assert_eq!(typo.exit, Exit::Usage);
        assert!(typo.title.contains("typo"), "{typo}");
        fs::create_dir(cwd.path().join("empty")).unwrap();
        let empty = refused(cwd.path(), "empty");
        assert_eq!(empty.exit, Exit::Unreachable);
        assert!(empty.title.contains("empty"), "{empty}");
        // Who names the gateway needs no directory.
        let options = GatewayOptions {
            data_dir: Some("typo".into()),
            admin_url: Some("http://127.0.0.1:9".to_owned()),
            ..GatewayOptions::default()
        };
        assert!(Gateway::find(&options, cwd.path()).is_ok());
    }

    #[test]
    fn a_broken_address_leads_to_no_other_gateway() {
        let cwd = tempfile::tempdir().unwrap();
        data_dir(cwd.path(), ".ropeline", "http://127.0.0.1:7002", "own");
        data_dir(cwd.path(), ".demo", "http://127.0.0.1:7003", "demo");
        fs::write(cwd.path().join(".ropeline/admin.json"), "{\"opsUrl\": ").unwrap();
        for found in [
            Gateway::find(&GatewayOptions::default(), cwd.path()).err(),
            Some(refused(cwd.path(), ".ropeline")),
        ] {
            let failure = found.unwrap();
            assert_eq!(failure.exit, Exit::Failed);
            assert!(failure.title.contains("admin.json"), "{failure}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_read_is_named() {
        let cwd = tempfile::tempdir().unwrap();
        data_dir(cwd.path(), ".ropeline", "http://127.0.0.1:7002", "own");
        let token = cwd.path().join(".ropeline/admin-token");
        // A directory cannot be read as a file, whoever runs the test.
        fs::remove_file(&token).unwrap();
        fs::create_dir(&token).unwrap();
        let failure = refused(cwd.path(), ".ropeline");
        assert_eq!(failure.exit, Exit::NotAuthorised);
        assert!(failure.title.contains("admin-token"), "{failure}");
        // One that is given is enough.
        let options = GatewayOptions {
            token: Some("given".to_owned()),
            ..GatewayOptions::default()
        };
        let found = Gateway::find(&options, cwd.path()).unwrap();
        assert_eq!(found.token.as_deref(), Some("given"));
    }

    #[test]
    fn what_is_not_a_gateway_url_is_a_usage_error() {
        let cwd = tempfile::tempdir().unwrap();
        for url in ["here", "ftp://x", "unix:/x"] {
            let options = GatewayOptions {
                admin_url: Some(url.to_owned()),
                ..GatewayOptions::default()
            };
            let refused = Gateway::find(&options, cwd.path()).err().unwrap();
            assert_eq!(refused.exit, crate::failure::Exit::Usage, "{url}");
        }
    }
}
