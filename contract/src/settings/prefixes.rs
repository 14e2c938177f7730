//! Which path prefixes a room may protect.

use super::findings::{FieldProblem, Findings};
use super::hosts::{contested, share_a_host};
use crate::limits::{PATHS_MAX, URL_BYTES_MAX};
use crate::path::PathPrefix;
use crate::room::RoomSettings;

/// The prefix that the gateway keeps for itself.
const OWN_PREFIX: &str = "/_line";

/// Finds what of `settings` stands against one of the `others`: prefixes that another room protects
/// on the same host, because which of two rooms a fan has to wait in would be anyone's guess, and
/// hosts whose unprotected paths would go to two services. What stood against the same room
/// `before` is left alone, so that what went wrong once does not stand in the way of every other
/// change.
pub fn validate_beside(
    settings: &RoomSettings,
    before: Option<&RoomSettings>,
    others: &[&RoomSettings],
) -> Result<(), Vec<FieldProblem>> {
    let mut findings = Findings::default();
    for (index, path) in settings.paths.iter().enumerate() {
        let Ok(prefix) = path.parse::<PathPrefix>() else {
            continue;
        };
        let meets = |one: &RoomSettings, other: &RoomSettings| {
            one.paths.iter().any(|path| is_same(&prefix, path))
                && other.paths.iter().any(|path| is_same(&prefix, path))
                && share_a_host(one, other)
        };
        let met = |other: &RoomSettings| before.is_some_and(|before| meets(before, other));
        let other = others
            .iter()
            .find(|other| meets(settings, other) && !met(other));
        if let Some(other) = other {
            findings.add(
                format!("paths[{index}]"),
                format!(
                    "`{path}` is protected by the room `{}`: take it away there first",
                    other.room
                ),
            );
        }
    }
    for other in others {
        let mut known = Findings::default();
        if let Some(before) = before {
            contested(before, other, &mut known);
        }
        if known.0.is_empty() {
            contested(settings, other, &mut findings);
        }
    }
    findings.settle()
}

fn is_same(prefix: &PathPrefix, path: &str) -> bool {
    path.parse().is_ok_and(|other| prefix.is_same(&other))
}

/// Checks the prefixes that a room protects.
pub(super) fn check(paths: &[String], findings: &mut Findings) {
    if paths.len() > PATHS_MAX {
        findings.add(
            "paths",
            format!("{} prefixes are too many: at most {PATHS_MAX}", paths.len()),
        );
        return;
    }
    for (index, path) in paths.iter().enumerate() {
        if let Some(problem) = path_problem(path) {
            findings.add(format!("paths[{index}]"), problem);
        } else if paths[..index].contains(path) {
            findings.add(
                format!("paths[{index}]"),
                format!("`{path}` is there twice"),
            );
        }
    }
}

/// A prefix is compared with normalised request paths, so it has to be in that form itself.
pub(super) fn path_problem(path: &str) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#%\\\"<>{}|^`*".contains(&b);
    if !path.starts_with('/') {
        Some("has to begin with `/`, such as /buy")
    } else if path.len() > URL_BYTES_MAX {
        Some("is too long")
    } else if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        Some("cannot contain `.` or `..` segments")
    } else if path.contains("//") {
        Some("cannot contain an empty segment")
    } else if !path.bytes().all(plain) {
        Some("is a plain path prefix: no spaces, escapes, wildcards, query or fragment")
    } else if path == OWN_PREFIX || path.starts_with("/_line/") {
        Some("`/_line` belongs to the gateway itself")
    } else if path.parse::<PathPrefix>().is_err() {
        // The gate could not look for it, and would protect nothing.
        Some("is read in several ways: segments need a name before any `;`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prefixes `paths` are problematic in exactly `fields`.
    fn finds(paths: &[&str], fields: &[&str]) {
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        let mut findings = Findings::default();
        check(&paths, &mut findings);
        let found: Vec<_> = findings.0.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(found, fields, "{paths:?}");
    }

    #[test]
    fn paths_are_plain_prefixes_outside_the_gateways_own() {
        for good in ["/", "/buy", "/api/v1/shows", "/_lines", "/a.b", "/a/"] {
            finds(&[good], &[]);
            assert!(good.parse::<PathPrefix>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "buy",
            "/a/../b",
            "/..",
            "/a/./b",
            "//a",
            "/a b",
            "/a%2fb",
            "/a?b",
            "/a*",
            "/_line",
            "/_line/v1",
            "/;checkout",
            "/a/;b",
            "/.;a/b",
            "/..;/b",
        ] {
            finds(&[bad], &["paths[0]"]);
        }
        finds(&["/a", "/a"], &["paths[1]"]);
        finds(&["/a"; PATHS_MAX + 1], &["paths"]);
    }

    #[test]
    fn a_prefix_two_rooms_have_already_stands_in_the_way_of_nothing_else() {
        let settings = |room: &str, hosts: &[&str], paths: &[&str]| -> RoomSettings {
            let json = serde_json::json!({"room": room, "hosts": hosts, "paths": paths});
            serde_json::from_value(json).unwrap()
        };
        let other = settings("other", &[], &["/a", "/b"]);
        let check = |hosts: &[&str], before: (&[&str], &[&str]), expected: usize| {
            let before = settings("eras", before.0, before.1);
            let wanted = settings("eras", hosts, &["/a/", "/B", "/c"]);
            let found = validate_beside(&wanted, Some(&before), &[&other]);
            assert_eq!(found.err().map_or(0, |found| found.len()), expected);
        };
        check(&[], (&[], &[]), 2);
        check(&[], (&[], &["/A"]), 1);
        check(&[], (&[], &["/A", "/b/"]), 0);
        // On another host it is another part of another site.
        check(&["eras.example"], (&[], &[]), 0);
        check(&["*"], (&["eras.example"], &["/a", "/b"]), 2);
    }
}
