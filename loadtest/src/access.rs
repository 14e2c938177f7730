//! Where the gateway is and how to get in, from options or from the gateway's data directory.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use reqwest::Url;
use serde::Deserialize;

use crate::cli::TargetOptions;

/// Directories a gateway started in this directory writes to.
const DATA_DIRS: [&str; 2] = [".ropeline", ".demo"];

/// What a gateway tells the machine it runs on, in `admin.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are named as in the file")]
struct Announcement {
    ops_url: String,
    public_url: String,
    /// Where the public listener is on the machine itself; the public URL may lead through TLS.
    listen_url: Option<String>,
}

/// How to reach a gateway.
#[derive(Debug)]
pub struct Access {
    /// The public listener.
    pub url: Url,
    /// The operators' listener.
    pub ops_url: Option<Url>,
    /// The operators' bearer token.
    pub token: Option<String>,
    /// The payment provider's secret, when the gateway generated it.
    pub payment_secret: Option<String>,
}

impl Access {
    /// Reads the options and, for what they leave out, the data directory, seen from `cwd`.
    pub fn find(options: &TargetOptions, cwd: &Path) -> anyhow::Result<Self> {
        let dirs: Vec<PathBuf> = match &options.data_dir {
            Some(dir) => vec![cwd.join(dir)],
            None => DATA_DIRS.iter().map(|dir| cwd.join(dir)).collect(),
        };
        let announced = dirs.iter().find_map(|dir| Some((dir, announcement(dir)?)));
        let token = match (&options.token, &options.token_file) {
            (Some(token), _) => Some(token.trim().to_owned()),
            (None, Some(file)) => Some(
                fs::read_to_string(cwd.join(file))
                    .with_context(|| format!("cannot read {}", file.display()))?
                    .trim()
                    .to_owned(),
            ),
            (None, None) => None,
        };
        let (near, announced) = match announced {
            Some((dir, announced)) => (Some(dir), Some(announced)),
            None => (None, None),
        };
        let beside = |name: &str| {
            let mut dirs = near.into_iter().chain(&dirs);
            dirs.find_map(|dir| secret_in(&dir.join(name)))
        };
        let url = options.url.clone();
        let url = url.or_else(|| Some(announced.as_ref()?.1.clone()));
        let url = url.context("no gateway found: give --url, or run beside its data directory")?;
        if url.scheme() != "http" {
            bail!("{url}: fans speak plain HTTP; put the load test behind the TLS terminator");
        }
        let ops_url = options.ops_url.clone();
        let ops_url = ops_url.or_else(|| announced.map(|(ops_url, _)| ops_url));
        // The token of this machine's gateway never goes to another machine.
        let is_near = ops_url.as_ref().is_none_or(is_loopback);
        let found = is_near.then(|| beside("admin-token")).flatten();
        Ok(Self {
            token: token.filter(|token| !token.is_empty()).or(found),
            payment_secret: beside("payment-secret"),
            url,
            ops_url,
        })
    }

    /// The socket address of the public listener.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let addresses = self.url.socket_addrs(|| None);
        let addresses = addresses.with_context(|| format!("cannot resolve {}", self.url))?;
        let first = addresses.first().copied();
        first.with_context(|| format!("{} has no address", self.url))
    }
}

/// The loopback address a process connects from, so that several processes together can have
/// more connections than one address has ports.
pub(crate) fn source_address(
    target: SocketAddr,
    process_index: u32,
    processes: u32,
) -> Option<IpAddr> {
    let is_loopback_v4 = target.is_ipv4() && target.ip().is_loopback();
    (is_loopback_v4 && processes > 1).then(|| {
        // 127.0.0.2 and on: 127.0.0.1 is left to everyone else.
        let [_, _, c, d] = (process_index + 2).to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(127, 0, c, d))
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The operators' and the public listener of the gateway that writes to `dir`.
fn announcement(dir: &Path) -> Option<(Url, Url)> {
    let text = fs::read(dir.join("admin.json")).ok()?;
    let announced: Announcement = serde_json::from_slice(&text).ok()?;
    let ops_url = Url::parse(&announced.ops_url).ok()?;
    let public = announced.listen_url.unwrap_or(announced.public_url);
    Some((ops_url, Url::parse(&public).ok()?))
}

fn secret_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn options(arguments: &[&str]) -> TargetOptions {
        let fixed = ["ropeline-loadtest", "demo", "--room", "eras"];
        let cli = Cli::parse_from(fixed.iter().chain(arguments));
        match cli.command {
            Command::Demo(options) => options.target,
            Command::Run(_) => panic!("not a demo"),
        }
    }

    fn gateway_in(dir: &Path) {
        let json = r#"{"opsUrl": "http://127.0.0.1:9001", "publicUrl": "http://127.0.0.1:9000", "pid": 4}"#;
        fs::write(dir.join("admin.json"), json).unwrap();
        fs::write(dir.join("admin-token"), "secret-a\n").unwrap();
        fs::write(dir.join("payment-secret"), "secret-p\n").unwrap();
    }

    #[test]
    fn a_gateway_beside_us_is_found_with_its_secrets() {
        let cwd = tempfile::tempdir().unwrap();
        fs::create_dir(cwd.path().join(".demo")).unwrap();
        gateway_in(&cwd.path().join(".demo"));
        let access = Access::find(&options(&[]), cwd.path()).unwrap();
        assert_eq!(access.url.as_str(), "http://127.0.0.1:9000/");
        assert_eq!(access.ops_url.unwrap().as_str(), "http://127.0.0.1:9001/");
        assert_eq!(access.token.as_deref(), Some("secret-a"));
        assert_eq!(access.payment_secret.as_deref(), Some("secret-p"));
    }

    #[test]
    fn a_found_token_is_not_sent_to_another_machine() {
        let cwd = tempfile::tempdir().unwrap();
        gateway_in(cwd.path());
        let near = ["--data-dir", ".", "--ops-url", "http://10.1.2.3:8081"];
        let access = Access::find(&options(&near), cwd.path()).unwrap();
        assert_eq!(access.token, None);
    }

    #[test]
    fn options_win_and_what_cannot_work_is_told() {
        let cwd = tempfile::tempdir().unwrap();
        gateway_in(cwd.path());
        fs::write(cwd.path().join("t"), "mine\n").unwrap();
        let given = [
            "--data-dir",
            ".",
            "--token-file",
            "t",
            "--url",
            "http://127.0.0.1:1",
        ];
        let access = Access::find(&options(&given), cwd.path()).unwrap();
        assert_eq!(access.token.as_deref(), Some("mine"));
        assert_eq!(access.url.port(), Some(1));

        let nowhere = tempfile::tempdir().unwrap();
        assert!(Access::find(&options(&[]), nowhere.path()).is_err());
        let tls = options(&["--url", "https://line.test"]);
        assert!(Access::find(&tls, nowhere.path()).is_err());
        let lost = options(&["--url", "http://127.0.0.1:1", "--token-file", "none"]);
        assert!(Access::find(&lost, nowhere.path()).is_err());
    }

    #[test]
    fn only_several_processes_on_loopback_take_addresses_of_their_own() {
        let near: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let far: SocketAddr = "10.0.0.1:80".parse().unwrap();
        assert_eq!(source_address(near, 0, 1), None);
        assert_eq!(source_address(far, 0, 4), None);
        let of = |index| source_address(near, index, 999).unwrap().to_string();
        assert_eq!(of(0), "127.0.0.2");
        assert_eq!(of(300), "127.0.1.46");
    }
}
