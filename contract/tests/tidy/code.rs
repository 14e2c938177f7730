//! Names and sizes of files, lines, scripts, promises.

use crate::repository::{File, assert_none, files, words};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

/// A Rust file has one subject and can be read in one sitting.
const FILE_LINES_MAX: usize = 600;

/// Width that rustfmt keeps, with what it cannot break: attributes and the insides of macros.
const CODE_COLUMNS_MAX: usize = 122;
/// Width of comments, which have one sentence a line, and of lines with texts.
const TEXT_COLUMNS_MAX: usize = 180;

fn empty_name(path: &str) -> Option<String> {
    path.split('/')
        .map(|part| part.split('.').next().unwrap_or(part))
        .find(|stem| EMPTY_NAMES.contains(stem))
        .map(|stem| format!("{path}: `{stem}` says nothing; name it for what is inside"))
}

fn size(path: &str, lines: usize) -> Option<String> {
    (lines > FILE_LINES_MAX)
        .then(|| format!("{path}: {lines} lines, at most {FILE_LINES_MAX}; split it by subject"))
}

fn wide_lines(file: &File) -> Vec<String> {
    let complaint = |(index, line): (usize, &str)| {
        let is_text = line.contains('"') || line.trim_start().starts_with("//");
        let max = if is_text {
            TEXT_COLUMNS_MAX
        } else {
            CODE_COLUMNS_MAX
        };
        let columns = line.chars().count();
        (columns > max).then(|| {
            format!(
                "{}:{}: {columns} columns, at most {max}",
                file.path,
                index + 1
            )
        })
    };
    file.text
        .lines()
        .enumerate()
        .filter_map(complaint)
        .collect()
}

fn unowned_promise(file: &File) -> Vec<String> {
    // Put together, so that this file does not complain about itself.
    let promises = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let has_issue = |line: &str| {
        line.split('#').skip(1).any(|rest| {
            rest.chars()
                .next()
                .is_some_and(|first| first.is_ascii_digit())
        })
    };
    file.text
        .lines()
        .enumerate()
        .filter(|(_, line)| words(line).any(|word| promises.contains(&word)) && !has_issue(line))
        .map(|(index, _)| format!("{}:{}: names no issue", file.path, index + 1))
        .collect()
}

fn headless_script(file: &File) -> Vec<String> {
    let header: Vec<&str> = file
        .text
        .lines()
        .take_while(|line| line.starts_with("--"))
        .collect();
    let header = header.join("\n");
    ["KEYS ", "ARGV ", "Returns", "Cost O("]
        .iter()
        .filter(|word| !header.contains(**word))
        .map(|word| format!("{}: its header lacks `{}`", file.path, word.trim_end()))
        .collect()
}

#[test]
fn files_are_named_for_what_is_inside() {
    let complaints: Vec<_> = files()
        .iter()
        .filter_map(|file| empty_name(&file.path))
        .collect();
    assert_none(&complaints);
    assert!(empty_name("gateway/src/utils.rs").is_some());
    assert!(empty_name("gateway/src/helpers/mod.rs").is_some());
    assert!(empty_name("line/src/door.rs").is_none());
}

#[test]
fn rust_files_have_one_subject() {
    let files = files();
    let rust = files.iter().filter(|file| file.has_ending("rs"));
    let complaints: Vec<_> = rust
        .filter_map(|file| size(&file.path, file.text.lines().count()))
        .collect();
    assert_none(&complaints);
    assert!(size("a.rs", FILE_LINES_MAX + 1).is_some() && size("a.rs", FILE_LINES_MAX).is_none());
}

#[test]
fn lines_can_be_read() {
    let files = files();
    let rust = files.iter().filter(|file| file.has_ending("rs"));
    assert_none(&rust.flat_map(wide_lines).collect::<Vec<_>>());
    let line = |text: String| File {
        path: "a.rs".to_owned(),
        text,
    };
    assert_eq!(wide_lines(&line("x".repeat(CODE_COLUMNS_MAX + 1))).len(), 1);
    let comment = format!("// {}", "x".repeat(CODE_COLUMNS_MAX));
    assert!(wide_lines(&line(comment)).is_empty());
}

#[test]
fn what_is_left_to_do_has_an_issue() {
    let files = files();
    // What other people wrote is kept as it is.
    let ours = files.iter().filter(|file| !file.path.contains("/vendor/"));
    let complaints: Vec<_> = ours.flat_map(unowned_promise).collect();
    assert_none(&complaints);
    let promise = |rest: &str| File {
        path: "a.rs".to_owned(),
        text: format!("// {}{rest}", concat!("TO", "DO")),
    };
    assert_eq!(unowned_promise(&promise(": later")).len(), 1);
    assert!(unowned_promise(&promise("(#12): later")).is_empty());
}

#[test]
fn every_script_of_the_store_says_what_it_takes_and_is_used() {
    let files = files();
    let is_ours = |file: &&File| file.has_ending("lua") && !file.path.starts_with("examples/");
    let scripts: Vec<_> = files.iter().filter(is_ours).collect();
    assert!(!scripts.is_empty());
    let mut complaints: Vec<_> = scripts
        .iter()
        .flat_map(|file| headless_script(file))
        .collect();
    let embedding = files
        .iter()
        .find(|file| file.path == "line/src/store/scripts.rs");
    let embedding = embedding.map_or("", |file| file.text.as_str());
    for script in scripts {
        if !embedding.contains(&format!("\"{}\"", script.name())) {
            complaints.push(format!("{}: no operation uses it", script.path));
        }
    }
    assert_none(&complaints);
    let bare = File {
        path: "a.lua".to_owned(),
        text: "-- Does something.\nreturn 1".to_owned(),
    };
    assert_eq!(headless_script(&bare).len(), 4);
}

/// These hand their arguments to another program, or are the one that prints.
const SCRIPTS_WITHOUT_HELP: [&str; 2] = ["scripts/build", "scripts/wants-help"];

#[test]
fn every_shell_script_says_what_it_does_when_asked_for_help() {
    let files = files();
    let scripts: Vec<_> = files
        .iter()
        .filter(|file| {
            file.path.starts_with("scripts/") && file.text.starts_with("#!/usr/bin/env bash")
        })
        .filter(|file| !SCRIPTS_WITHOUT_HELP.contains(&file.path.as_str()))
        .collect();
    assert!(scripts.len() > 5);
    for script in scripts {
        // Asked before anything else, so that nothing is installed, built or started.
        let asks =
            "set -euo pipefail\n! \"$(dirname \"$0\")/wants-help\" \"$0\" \"$@\" || exit 0\n";
        assert!(script.text.contains(asks), "{}", script.path);
        let output = std::process::Command::new(crate::repository::root().join(&script.path))
            .arg("--help")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let top = script.text.lines().nth(1).unwrap().trim_start_matches("# ");
        assert!(
            output.status.success() && said.starts_with(top),
            "{}: {said}",
            script.path
        );
    }
}
