//! Whether the documents say what is.

use std::collections::BTreeSet;
use std::path::Path;

use contract::invariants::{ALL, Invariant};

use crate::repository::{File, SKIPPED, assert_none, files, root, words};

/// Endings of files that a document may name.
const ENDINGS: [&str; 14] = [
    "css", "html", "js", "json", "lock", "lua", "md", "pem", "png", "rs", "sh", "sql", "svg",
    "toml",
];

/// Files that exist only where Ropeline runs.
const RUNTIME_FILES: [&str; 4] = [
    "admin.json",
    "ropeline.toml",
    "servers.lock",
    "signing-key.pem",
];

/// The spans between backticks, outside of fenced blocks.
fn spans(text: &str) -> Vec<&str> {
    let mut is_fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The targets of links to files.
fn links(text: &str) -> Vec<&str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

/// Whether a span names a file or directory of the repository.
fn names_a_path(span: &str, top: &BTreeSet<&str>) -> bool {
    let is_plain = span
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    // A pattern of names is no name.
    let is_pattern = span.contains("YYYY");
    if !is_plain || is_pattern || span.starts_with('/') || RUNTIME_FILES.contains(&span) {
        return false;
    }
    let (stem, ending) = span.rsplit_once('.').unwrap_or((span, ""));
    let first = span.split('/').next().unwrap_or(span);
    if SKIPPED.contains(&first) {
        return false;
    }
    (!stem.is_empty() && ENDINGS.contains(&ending)) || (span.contains('/') && top.contains(first))
}

/// Whether a span is a name long enough to be a test or a constraint, or a metric's.
fn is_long_name(span: &str) -> bool {
    let is_plain = span
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_plain && (span.starts_with("ropeline_") || span.matches('_').count() >= 3)
}

fn documents(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.has_ending("md"))
}

#[test]
fn documents_name_only_files_that_exist() {
    let files = files();
    let root = root();
    let top: BTreeSet<_> = files
        .iter()
        .filter_map(|file| Some(file.path.split_once('/')?.0))
        .collect();
    let mut complaints = Vec::new();
    for document in documents(&files) {
        let beside = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        let beside = root.join(beside);
        for link in links(&document.text) {
            if !beside.join(link).exists() {
                complaints.push(format!("{}: links to {link}", document.path));
            }
        }
        for span in spans(&document.text) {
            let exists = root.join(span).exists() || beside.join(span).exists();
            if names_a_path(span, &top) && !exists {
                complaints.push(format!("{}: names {span}", document.path));
            }
        }
    }
    assert_none(&complaints);
    let top = BTreeSet::from(["docs", "scripts"]);
    for path in ["docs/GONE.md", "scripts/gone", "gone.rs"] {
        assert!(names_a_path(path, &top), "{path}");
    }
    for other in [
        "/api/v1/a.json",
        "room pause",
        "admin.json",
        "target/a.json",
    ] {
        assert!(!names_a_path(other, &top), "{other}");
    }
    assert_eq!(spans("a `b` c\n```\n`d`\n```\n`e`"), ["b", "e"]);
    assert_eq!(
        links("[a](b.md#c) [d](https://e) ![f](g.png)"),
        ["b.md", "g.png"]
    );
}

#[test]
fn documents_name_only_tests_and_metrics_that_exist() {
    let files = files();
    let known: BTreeSet<_> = files
        .iter()
        .filter(|file| file.is_source())
        .flat_map(|file| words(&file.text))
        .collect();
    let mut complaints = Vec::new();
    for document in documents(&files) {
        for span in spans(&document.text) {
            if is_long_name(span) && !known.contains(span) {
                complaints.push(format!("{}: names {span}", document.path));
            }
        }
    }
    assert_none(&complaints);
    assert!(is_long_name("a_test_that_is_gone") && is_long_name("ropeline_gone"));
    assert!(!is_long_name("show_seats") && !is_long_name("ROPELINE_LOG"));
}

/// The promises that the table of the architecture lacks, or states otherwise than the catalogue.
fn promises_amiss(text: &str) -> Vec<String> {
    let row = |promise: &&Invariant| format!("| {} | {} | ", promise.name, promise.statement);
    let lacks = |promise: &&Invariant| {
        let row = row(promise);
        !text.lines().any(|line| line.starts_with(&row))
    };
    let amiss = ALL.iter().filter(lacks);
    amiss
        .map(|promise| format!("docs/ARCHITECTURE.md has no row for {promise} as stated"))
        .collect()
}

#[test]
fn the_architecture_states_every_promise_as_the_catalogue_does() {
    let files = files();
    let document = files
        .iter()
        .find(|file| file.path == "docs/ARCHITECTURE.md");
    assert_none(&promises_amiss(document.map_or("", |it| it.text.as_str())));
    assert_eq!(promises_amiss("").len(), ALL.len());
}

/// Names of metrics in product code: constants in files of metric names, and what is written
/// where a metric is recorded.
fn metrics(file: &File) -> BTreeSet<String> {
    let openings: &[&str] = if file.name() == "telemetry.rs" {
        &["\"ropeline_"]
    } else {
        &[
            "counter!(\"ropeline_",
            "gauge!(\"ropeline_",
            "histogram!(\"ropeline_",
        ]
    };
    let mut found = BTreeSet::new();
    for opening in openings {
        for rest in file.text.split(opening).skip(1) {
            let name = rest.split('"').next().unwrap_or_default();
            found.insert(format!("ropeline_{name}"));
        }
    }
    found
}

#[test]
fn every_metric_is_described() {
    let files = files();
    let document = files.iter().find(|file| file.path == "docs/LOGGING.md");
    let described: BTreeSet<_> = document.map_or(BTreeSet::new(), |document| {
        spans(&document.text).into_iter().collect()
    });
    let code = files.iter().filter(|file| file.is_product_code());
    let names: BTreeSet<_> = code.flat_map(metrics).collect();
    assert!(names.len() > 20, "metric names were not found");
    let complaints: Vec<_> = names
        .iter()
        .filter(|name| !described.contains(name.as_str()))
        .map(|name| format!("docs/LOGGING.md does not describe {name}"))
        .collect();
    assert_none(&complaints);
    let code = File {
        path: "a.rs".to_owned(),
        text: "counter!(\"ropeline_a_total\"); cookie(\"ropeline_b\")".to_owned(),
    };
    assert_eq!(
        metrics(&code),
        BTreeSet::from(["ropeline_a_total".to_owned()])
    );
}

/// Environment variables of ours that a text names, before its tests if it is code.
fn variables(text: &str) -> BTreeSet<&str> {
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    let is_ours = |word: &&str| word.starts_with("ROPELINE_") && *word != "ROPELINE_";
    words(text).filter(is_ours).collect()
}

#[test]
fn the_sample_of_settings_has_every_setting_and_no_other() {
    let files = files();
    let text = |path: &str| {
        let found = files.iter().find(|file| file.path == path);
        found.map_or("", |file| file.text.as_str())
    };
    let settings = variables(text("gateway/src/config/settings.rs"));
    let sample = variables(text(".env.sample"));
    assert!(settings.len() > 10, "the settings were not found");
    assert_eq!(settings, sample);
}
