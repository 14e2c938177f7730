//! A whole site in front of which the gateway stands, named on the command line.

use std::net::SocketAddr;

use clap::Args;
use contract::room::RoomSettings;
use contract::settings::{FieldProblem, validate};
use contract::upstream::Upstream;
use serde::{Deserialize, Serialize};

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
    /// Path that needs a pass, with all below it; repeat it for several [new rooms: all of the site]
    #[arg(long = "path", value_name = "PREFIX")]
    paths: Vec<String>,
}

/// A site to stand before, checked. Also how the audit log keeps the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its URL.
    #[serde(rename = "origin")]
    pub url: String,
    /// Most visitors let in a minute; what the room has, when absent.
    pub rate: Option<u64>,
    /// Most visitors inside at once; what the room has, when absent.
    pub cap: Option<u64>,
    /// What needs a pass; what the room has, when empty, and all in a new room.
    #[serde(default)]
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
    /// The settings of a new room.
    pub fn new_room(&self) -> RoomSettings {
        let mut settings = new_room();
        settings.paths = vec!["/".to_owned()];
        self.apply(&mut settings, None);
        settings
    }

    /// The settings of the room, made of those that it has. Only what the command says otherwise
    /// than when it was last given, if it was.
    pub fn settings(&self, known: &RoomSettings, last: Option<&Self>) -> RoomSettings {
        let mut settings = known.clone();
        self.apply(&mut settings, last);
        settings
    }

    fn apply(&self, settings: &mut RoomSettings, last: Option<&Self>) {
        if last.is_none_or(|last| last.url != self.url) {
            settings.upstream = self.url.as_str().into();
            if settings.hosts.is_empty() {
                settings.hosts = vec!["*".to_owned()];
            }
        }
        if !self.paths.is_empty() && last.is_none_or(|last| last.paths != self.paths) {
            settings.paths.clone_from(&self.paths);
        }
        let changed = |own: Option<u64>, last: Option<Option<u64>>| {
            own.filter(|own| last.flatten() != Some(*own))
        };
        if let Some(rate) = changed(self.rate, last.map(|last| last.rate)) {
            settings.new_users_per_minute = rate;
        }
        if let Some(cap) = changed(self.cap, last.map(|last| last.cap)) {
            settings.total_active_users = cap;
        }
    }

    fn problems(&self) -> Vec<String> {
        let found = validate(&self.new_room()).err().unwrap_or_default();
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
        let settings = origin.unwrap().new_room();
        assert_eq!(settings.paths, ["/"]);
        assert_eq!(settings.hosts, ["*"]);
        assert_eq!(settings.upstream, "http://shop:3000");
        assert_eq!(settings.new_users_per_minute, 600);
        assert!(!settings.queue_all);
    }

    #[test]
    fn what_the_command_does_not_name_stays() {
        let (origin, _) = read(Some("http://shop:3000"), None, &[]);
        let mut known = new_room();
        known.new_users_per_minute = 7;
        known.title = "Shop".to_owned();
        known.hosts = vec!["shop.example".to_owned()];
        known.paths = vec!["/checkout".to_owned()];
        let settings = origin.unwrap().settings(&known, None);
        assert_eq!(settings.upstream, "http://shop:3000");
        let expected = RoomSettings {
            upstream: settings.upstream.clone(),
            ..known
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_an_operator_changed_since_stays_unless_the_command_says_something_new() {
        let origin =
            |url: &str, rate: &str, paths: &[&str]| read(Some(url), Some(rate), paths).0.unwrap();
        let last = origin("http://shop:3000", "600", &["/checkout"]);
        let mut known = last.new_room();
        known.new_users_per_minute = 7;
        known.paths = vec!["/cart".to_owned()];
        known.upstream = "http://other:3000".into();
        known.hosts = Vec::new();
        assert_eq!(
            last.settings(&known, Some(&last)),
            known,
            "the same command"
        );
        let faster = origin("http://shop:3000", "900", &["/checkout"]);
        let settings = faster.settings(&known, Some(&last));
        assert_eq!(settings.new_users_per_minute, 900);
        assert_eq!(
            (settings.upstream, settings.paths),
            (known.upstream.clone(), known.paths.clone())
        );
        let moved = origin("http://new:3000", "600", &["/checkout", "/cart"]);
        let settings = moved.settings(&known, Some(&last));
        assert_eq!(settings.upstream, "http://new:3000");
        assert_eq!(settings.paths, ["/checkout", "/cart"]);
        assert_eq!(
            (settings.new_users_per_minute, settings.hosts),
            (7, vec!["*".to_owned()])
        );
        let fewer = origin("http://shop:3000", "600", &[]);
        assert_eq!(fewer.settings(&known, Some(&last)), known, "a flag less");
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
