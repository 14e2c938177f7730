//! Which hosts a room may answer for.

use super::findings::Findings;
use crate::host::{AnsweredHost, answered};
use crate::limits::HOSTS_MAX;
use crate::room::RoomSettings;
use crate::upstream::Upstream;

/// Checks the names of a room's hosts.
pub(super) fn check(hosts: &[String], findings: &mut Findings) {
    if hosts.len() > HOSTS_MAX {
        let count = hosts.len();
        findings.add(
            "hosts",
            format!("{count} hosts are too many: at most {HOSTS_MAX}"),
        );
        return;
    }
    let mut known = Vec::new();
    for (index, text) in hosts.iter().enumerate() {
        let field = format!("hosts[{index}]");
        match text.parse::<AnsweredHost>() {
            Err(error) => findings.add(field, error.to_string()),
            Ok(host) if known.contains(&host) => {
                findings.add(field, format!("`{text}` is there twice"));
            }
            Ok(host) => known.push(host),
        }
    }
}

/// Whether both rooms answer for some host. A room without hosts answers for those that no other
/// room names, as one with `*` does.
pub(super) fn share_a_host(one: &RoomSettings, other: &RoomSettings) -> bool {
    let (one, other) = (sites(one), sites(other));
    one.iter().any(|host| other.contains(host))
}

/// Finds a host whose unprotected paths would go to two services: one of `other` and one of
/// `settings`.
pub(super) fn contested(settings: &RoomSettings, other: &RoomSettings, findings: &mut Findings) {
    let is_remote = |room: &RoomSettings| !room.upstream.is_embedded();
    let leaves_nothing = |room: &RoomSettings| room.paths.iter().any(|path| path == "/");
    let both = is_remote(settings) && is_remote(other) && !are_one_service(settings, other);
    if !both || leaves_nothing(settings) || leaves_nothing(other) {
        return;
    }
    let taken = answered(&other.hosts);
    for (index, text) in settings.hosts.iter().enumerate() {
        if text.parse().is_ok_and(|host| taken.contains(&host)) {
            findings.add(
                format!("hosts[{index}]"),
                format!(
                    "`{text}` is a host of the room `{}` too, which has another upstream: paths that \
                     neither protects could go to either. Protect `/` in one of them, or give both \
                     the same upstream",
                    other.room
                ),
            );
        }
    }
}

/// Whether both rooms are before the same service: they name the same text, or have a server in common,
/// so that one can be given a server more after the other.
fn are_one_service(one: &RoomSettings, other: &RoomSettings) -> bool {
    let (Ok(ours), Ok(theirs)) = (one.upstream.addresses(), other.upstream.addresses()) else {
        return one.upstream == other.upstream;
    };
    let is_theirs = |address: &Upstream| {
        let mut theirs = theirs.all().iter();
        theirs.any(|known| known.endpoint() == address.endpoint())
    };
    ours.prefix() == theirs.prefix() && ours.all().iter().any(is_theirs)
}

fn sites(settings: &RoomSettings) -> Vec<AnsweredHost> {
    let hosts = answered(&settings.hosts);
    if hosts.is_empty() {
        vec![AnsweredHost::Every]
    } else {
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(hosts: &[&str], upstream: &str, paths: &[&str]) -> RoomSettings {
        serde_json::from_value(serde_json::json!({
            "room": "eras", "hosts": hosts, "upstream": upstream, "paths": paths,
        }))
        .unwrap()
    }

    #[test]
    fn names_are_checked_one_by_one() {
        let finds = |hosts: &[&str], fields: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
            let mut findings = Findings::default();
            check(&hosts, &mut findings);
            let found: Vec<_> = findings.0.iter().map(|p| p.field.as_str()).collect();
            assert_eq!(found, fields, "{hosts:?}");
        };
        finds(&["shop.example", "*", "[::1]"], &[]);
        finds(&["shop.example", "shop.example:80"], &["hosts[1]"]);
        finds(&["shop.example", "SHOP.example"], &["hosts[1]"]);
        finds(&["a"; HOSTS_MAX + 1], &["hosts"]);
    }

    #[test]
    fn rooms_meet_on_a_host_that_both_answer_for() {
        for (one, other, expected) in [
            (&[][..], &[][..], true),
            (&[], &["*"], true),
            (&[], &["a.example"], false),
            (&["*"], &["a.example"], false),
            (&["a.example"], &["b.example", "A.example"], true),
            (&["a.example"], &["b.example"], false),
        ] {
            let shares = share_a_host(&room(one, "embedded", &[]), &room(other, "embedded", &[]));
            assert_eq!(shares, expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_nobody_protects_goes_to_one_service() {
        let contest = |one: RoomSettings, other: RoomSettings| {
            let mut findings = Findings::default();
            contested(&one, &other, &mut findings);
            findings.0.len()
        };
        let (a, b) = ("http://a:1", "http://b:1");
        let host = &["shop.example"];
        assert_eq!(contest(room(host, a, &["/x"]), room(host, b, &["/y"])), 1);
        assert_eq!(contest(room(host, a, &["/x"]), room(host, a, &["/y"])), 0);
        assert_eq!(contest(room(host, a, &["/"]), room(host, b, &["/y"])), 0);
        assert_eq!(contest(room(host, a, &[]), room(host, "embedded", &[])), 0);
        assert_eq!(contest(room(host, a, &[]), room(&["b.example"], b, &[])), 0);
        assert_eq!(contest(room(&[], a, &[]), room(&[], b, &[])), 0);
    }
}
