//! A whole site in front of which the gateway stands, named on the command line.

use std::net::SocketAddr;

use clap::Args;
use contract::room::RoomSettings;
use contract::settings::{FieldProblem, validate};
use contract::upstream::Upstream;

/// The room of the site.
pub const ROOM: &str = "default";
/// Ports of URLs that name none.
const DEFAULT_PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

/// The site as it is named on the command line.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "In front of a site")]
pub(super) struct OriginFlags {
    /// Stand before this site: makes or updates the room `default`, whose every path goes there. While
    /// nobody waits and rate and cap have room, visitors notice nothing
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Most visitors let in a minute [new rooms: 600]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    rate: Option<String>,
    /// Most visitors inside at once [new rooms: 1000]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cap: Option<String>,
    /// Path that needs a pass, with all below it; repeat it for several [default: all of the site]
    #[arg(long = "path", value_name = "PREFIX")]
    paths: Vec<String>,
}

/// A site to stand before, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its URL.
    pub url: String,
    /// Most visitors let in a minute; what the room has, when absent.
    pub rate: Option<u64>,
    /// Most visitors inside at once; what the room has, when absent.
    pub cap: Option<u64>,
    /// What needs a pass; all, when empty.
    pub paths: Vec<String>,
}

impl OriginFlags {
    /// The site, if one is named. Notes every problem.
    pub(super) fn read(self, note: &mut impl FnMut(String)) -> Option<Origin> {
        let rate = count("--rate", self.rate.as_deref(), note);
        let cap = count("--cap", self.cap.as_deref(), note);
        let Some(url) = self.origin else {
            if self.rate.is_some() || self.cap.is_some() || !self.paths.is_empty() {
                note(
                    "--rate, --cap and --path belong to --origin: name the site too, as \
                     --origin http://shop.internal:3000, or change a room by `ropeline room set`"
                        .to_owned(),
                );
            }
            return None;
        };
        let origin = Origin {
            url,
            rate,
            cap,
            paths: self.paths,
        };
        for problem in origin.problems() {
            note(problem);
        }
        Some(origin)
    }
}

impl Origin {
    /// The settings of the room, made of those that it has.
    pub fn settings(&self, known: Option<&RoomSettings>) -> RoomSettings {
        let mut settings = known.cloned().unwrap_or_else(new_room);
        settings.upstream.clone_from(&self.url);
        settings.paths = if self.paths.is_empty() {
            vec!["/".to_owned()]
        } else {
            self.paths.clone()
        };
        if settings.hosts.is_empty() {
            settings.hosts = vec!["*".to_owned()];
        }
        if let Some(rate) = self.rate {
            settings.new_users_per_minute = rate;
        }
        if let Some(cap) = self.cap {
            settings.total_active_users = cap;
        }
        settings
    }

    fn problems(&self) -> Vec<String> {
        let found = validate(&self.settings(None)).err().unwrap_or_default();
        found.iter().map(told).collect()
    }

    /// Whether the site is the listener at `address` itself, so that requests would go round for
    /// ever.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        let Ok(upstream) = self.url.parse::<Upstream>() else {
            return false;
        };
        let scheme = upstream.url().split(':').next().unwrap_or_default();
        let port = DEFAULT_PORTS.iter().find(|(known, _)| *known == scheme);
        let port = port.map_or(0, |(_, port)| *port);
        let (host, port) = match upstream.authority().rsplit_once(':') {
            Some((host, text)) if !text.ends_with(']') => (host, text.parse().unwrap_or(port)),
            _ => (upstream.authority(), port),
        };
        let is_here = match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            Ok(ip) => ip == address.ip() || (address.ip().is_unspecified() && ip.is_loopback()),
            Err(_) => host == "localhost",
        };
        is_here && port == address.port()
    }
}

/// A room that nobody has set up: it is open, and lets visitors straight in.
fn new_room() -> RoomSettings {
    let bare = serde_json::json!({ "room": ROOM });
    serde_json::from_value(bare).unwrap_or_else(|_| unreachable!("a room needs only a name"))
}

/// A problem of the room's settings by the name of the flag that it comes from.
fn told(problem: &FieldProblem) -> String {
    let name = problem.field.split('[').next().unwrap_or_default();
    let flag = match name {
        "upstream" => "--origin",
        "newUsersPerMinute" => "--rate",
        "totalActiveUsers" => "--cap",
        "paths" => "--path",
        other => other,
    };
    format!("{flag}: {}", problem.problem)
}

fn count(flag: &str, text: Option<&str>, note: &mut impl FnMut(String)) -> Option<u64> {
    let read = text?.parse();
    if read.is_err() {
        note(format!("{flag}: write a whole number, such as 600"));
    }
    read.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(origin: Option<&str>, rate: Option<&str>, paths: &[&str]) -> (Option<Origin>, String) {
        let flags = OriginFlags {
            origin: origin.map(str::to_owned),
            rate: rate.map(str::to_owned),
            cap: None,
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        };
        let mut problems = Vec::new();
        let origin = flags.read(&mut |problem| problems.push(problem));
        (origin, problems.join("\n"))
    }

    #[test]
    fn without_paths_the_whole_site_is_protected() {
        let (origin, problems) = read(Some("http://shop:3000"), Some("600"), &[]);
        assert_eq!(problems, "");
        let settings = origin.unwrap().settings(None);
        assert_eq!(settings.paths, ["/"]);
        assert_eq!(settings.hosts, ["*"]);
        assert_eq!(settings.upstream, "http://shop:3000");
        assert_eq!(settings.new_users_per_minute, 600);
        assert!(!settings.queue_all);
    }

    #[test]
    fn what_an_operator_changed_since_stays() {
        let (origin, _) = read(Some("http://shop:3000"), None, &["/checkout"]);
        let mut known = new_room();
        known.new_users_per_minute = 7;
        known.title = "Shop".to_owned();
        known.hosts = vec!["shop.example".to_owned()];
        let settings = origin.unwrap().settings(Some(&known));
        assert_eq!(settings.new_users_per_minute, 7);
        assert_eq!((settings.title.as_str(), settings.paths.len()), ("Shop", 1));
        assert_eq!(settings.hosts, known.hosts);
    }

    #[test]
    fn every_problem_names_the_flag_that_it_is_of() {
        for (origin, rate, paths, said) in [
            (Some("shop:3000"), None, &[][..], "--origin: "),
            (Some("ftp://shop"), None, &[], "--origin: "),
            (Some("http://shop"), Some("many"), &[], "--rate: write"),
            (Some("http://shop"), Some("99999999999"), &[], "--rate: "),
            (Some("http://shop"), None, &["checkout"], "--path: "),
            (None, Some("600"), &[], "--origin http"),
        ] {
            let (_, problems) = read(origin, rate, paths);
            assert!(problems.contains(said), "{origin:?}: {problems}");
        }
    }

    #[test]
    fn the_gateway_does_not_stand_before_itself() {
        let here = |url: &str, address: &str| {
            let (origin, _) = read(Some(url), None, &[]);
            origin.unwrap().is_at(address.parse().unwrap())
        };
        assert!(here("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(here("http://localhost:8080", "0.0.0.0:8080"));
        assert!(here("http://[::1]:8080", "[::]:8080"));
        assert!(here("http://127.0.0.1", "0.0.0.0:80"));
        assert!(!here("http://127.0.0.1:3000", "127.0.0.1:8080"));
        assert!(!here("http://shop:8080", "127.0.0.1:8080"));
    }
}
