//! Who depends on whom, and whether every crate is where a reader looks for it.

use std::collections::BTreeSet;

use crate::repository::{File, assert_none, files};

/// Who may depend on which of our crates.
const MAY_DEPEND_ON: [(&str, &[&str]); 16] = [
    ("admin-cli", &["backup", "contract", "show-file"]),
    ("backup", &["contract", "embedded", "migrations"]),
    (
        "booking-core",
        &[
            "breaker",
            "contract",
            "metric-families",
            "pages",
            "show-file",
            "web",
        ],
    ),
    ("breaker", &["contract"]),
    ("contract", &[]),
    ("embedded", &[]),
    (
        "gateway",
        &[
            "booking-core",
            "breaker",
            "contract",
            "embedded",
            "line",
            "metric-families",
            "migrations",
            "pages",
            "show-file",
            "web",
        ],
    ),
    ("line", &["contract", "metric-families"]),
    ("loadtest", &["contract"]),
    ("metric-families", &[]),
    ("migrations", &[]),
    ("pages", &["contract"]),
    ("payment-simulator", &["contract"]),
    ("show-file", &["contract"]),
    ("test-support", &["contract", "line", "migrations"]),
    ("web", &["contract", "metric-families"]),
];

/// Crates that the gateway knows in the place where it is put together, and nowhere else.
const KNOWN_TO_APP_ONLY: [&str; 3] = ["booking_core", "embedded", "migrations"];
const APP: &str = "gateway/src/app";

/// The crates of the workspace, by directory and name, with what they depend on.
struct Member {
    directory: String,
    name: String,
    dependencies: BTreeSet<String>,
}

fn members(files: &[File]) -> Vec<Member> {
    let manifest = |path: &str| files.iter().find(|file| file.path == path);
    let workspace = manifest("Cargo.toml").map_or("", |file| file.text.as_str());
    let list = workspace
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(|directory| {
            let text = manifest(&format!("{directory}/Cargo.toml"));
            let text = text.map_or("", |file| file.text.as_str());
            Member {
                directory: directory.to_owned(),
                name: package_name(text),
                dependencies: dependencies(text),
            }
        })
        .collect()
}

fn package_name(manifest: &str) -> String {
    let name = manifest
        .lines()
        .find_map(|line| line.strip_prefix("name = \""));
    name.unwrap_or_default().trim_end_matches('"').to_owned()
}

/// What a crate depends on when it is built for use: no tests, no build scripts.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let files = files();
    let members = members(&files);
    assert_eq!(members.len(), MAY_DEPEND_ON.len());
    let ours: BTreeSet<_> = members.iter().map(|member| member.name.clone()).collect();
    let mut complaints = Vec::new();
    for member in &members {
        let may = MAY_DEPEND_ON.iter().find(|(name, _)| *name == member.name);
        let Some((_, may)) = may else {
            complaints.push(format!("{}: nobody said what it may use", member.name));
            continue;
        };
        for used in member.dependencies.intersection(&ours) {
            if !may.contains(&used.as_str()) {
                complaints.push(format!("{} may not depend on {used}", member.name));
            }
        }
    }
    let elsewhere = files.iter().filter(|file| {
        file.path.starts_with("gateway/src/")
            && file.has_ending("rs")
            && !file.path.starts_with(APP)
    });
    for file in elsewhere {
        for name in KNOWN_TO_APP_ONLY {
            if file.text.contains(&format!("{name}::")) {
                complaints.push(format!("{}: only {APP} may know {name}", file.path));
            }
        }
    }
    assert_none(&complaints);
    let manifest = "[dependencies]\nweb.workspace = true\n\n[dev-dependencies]\npages = \"1\"\n";
    assert!(dependencies(manifest).contains("web") && !dependencies(manifest).contains("pages"));
}

/// A dependency that nothing names costs every build for nothing.
#[test]
fn every_dependency_is_used() {
    let files = files();
    let members = members(&files);
    let mut complaints = Vec::new();
    for member in &members {
        let within = format!("{}/", member.directory);
        let tests = format!("{}/tests/", member.directory);
        let code: Vec<&File> = files
            .iter()
            .filter(|file| file.has_ending("rs") && file.path.starts_with(&within))
            .filter(|file| !file.path.starts_with(&tests))
            .collect();
        for dependency in &member.dependencies {
            let name = dependency.replace('-', "_");
            if !code.iter().any(|file| names(&file.text, &name)) {
                complaints.push(format!("{} does not use {dependency}", member.name));
            }
        }
    }
    let workspace = files.iter().find(|file| file.path == "Cargo.toml");
    let workspace = workspace.map_or("", |file| file.text.as_str());
    let listed = workspace.replace("[workspace.dependencies]", "[dependencies]");
    for dependency in dependencies(&listed) {
        let line = format!("\n{dependency}.workspace");
        let asked = format!("\n{dependency} = {{ workspace");
        let is_used = |file: &File| file.text.contains(&line) || file.text.contains(&asked);
        let mut manifests = files.iter().filter(|f| f.path.ends_with("/Cargo.toml"));
        let is_name = dependency.starts_with(|c: char| c.is_ascii_lowercase());
        if is_name && !manifests.any(is_used) {
            complaints.push(format!("no crate asks the workspace for {dependency}"));
        }
    }
    assert_none(&complaints);
    assert!(names("use a::b;", "a") && !names("let ab = 1;", "a"));
}

/// Whether `name` stands in `code` as a word of its own.
fn names(code: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn every_crate_is_in_the_tables() {
    let files = files();
    let mut complaints = Vec::new();
    for document in ["README.md", "docs/ARCHITECTURE.md"] {
        let text = files.iter().find(|file| file.path == document);
        let text = text.map_or("", |file| file.text.as_str());
        for member in members(&files) {
            let row = text.lines().any(|line| {
                line.starts_with('|')
                    && line.contains(&format!("`{}`", member.name))
                    && line.contains(&format!("`{}/`", member.directory))
            });
            if !row {
                complaints.push(format!("{document}: no row for {}", member.name));
            }
        }
    }
    assert_none(&complaints);
}
