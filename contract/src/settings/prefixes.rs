//! Which path prefixes a room may protect.

use super::findings::{FieldProblem, Findings};
use crate::limits::{PATHS_MAX, URL_BYTES_MAX};
use crate::path::PathPrefix;
use crate::room::RoomSettings;

/// The prefix that the gateway keeps for itself.
const OWN_PREFIX: &str = "/_line";

/// Finds the prefixes of `settings` that one of `others` protects already: which of two rooms a
/// fan has to wait in would be anyone's guess. Prefixes that `settings` had before are left alone,
/// so that what went wrong once does not stand in the way of every other change.
pub fn validate_prefixes(
    settings: &RoomSettings,
    before: &[String],
    others: &[&RoomSettings],
) -> Result<(), Vec<FieldProblem>> {
    let mut findings = Findings::default();
    for (index, path) in settings.paths.iter().enumerate() {
        let Ok(prefix) = path.parse::<PathPrefix>() else {
            continue;
        };
        let is_same = |path: &String| path.parse().is_ok_and(|p| prefix.is_same(&p));
        if before.iter().any(is_same) {
            continue;
        }
        if let Some(other) = others.iter().find(|other| other.paths.iter().any(is_same)) {
            findings.add(
                format!("paths[{index}]"),
                format!(
                    "`{path}` is protected by the room `{}`: take it away there first",
                    other.room
                ),
            );
        }
    }
    findings.settle()
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
fn path_problem(path: &str) -> Option<&'static str> {
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
        for good in ["/", "/buy", "/api/v1/shows", "/_lines", "/a.b"] {
            finds(&[good], &[]);
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
        ] {
            finds(&[bad], &["paths[0]"]);
        }
        finds(&["/a", "/a"], &["paths[1]"]);
        finds(&["/a"; PATHS_MAX + 1], &["paths"]);
    }

    #[test]
    fn a_prefix_two_rooms_have_already_stands_in_the_way_of_nothing_else() {
        let settings = |room: &str, paths: &[&str]| -> RoomSettings {
            serde_json::from_value(serde_json::json!({"room": room, "paths": paths})).unwrap()
        };
        let other = settings("other", &["/a", "/b"]);
        let check = |before: &[&str], expected: usize| {
            let before: Vec<_> = before.iter().map(|&path| path.to_owned()).collect();
            let wanted = settings("eras", &["/a/", "/B", "/c"]);
            let found = validate_prefixes(&wanted, &before, &[&other]);
            assert_eq!(found.err().map_or(0, |found| found.len()), expected);
        };
        check(&[], 2);
        check(&["/A"], 1);
        check(&["/A", "/b/"], 0);
    }
}
