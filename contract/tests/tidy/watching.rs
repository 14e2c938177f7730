//! Whether dashboards and alert rules ask only for metrics and labels that exist.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::repository::{File, assert_none, files};

/// Metrics of other programs that dashboards and rules may ask for, with their labels:
/// `postgres_exporter`, `redis_exporter`, and Prometheus itself.
const FOREIGN: [(&str, &[&str]); 10] = [
    ("up", &[]),
    ("ALERTS", &["alertname", "alertstate", "severity"]),
    ("pg_replication_is_replica", &[]),
    ("pg_replication_lag_seconds", &[]),
    ("pg_stat_activity_count", &["datname", "state"]),
    ("redis_aof_last_write_status", &[]),
    ("redis_commands_processed_total", &[]),
    ("redis_master_link_up", &["master_host", "master_port"]),
    ("redis_memory_max_bytes", &[]),
    ("redis_memory_used_bytes", &[]),
];

/// Labels that Prometheus gives to every series.
const OF_EVERY_SERIES: [&str; 2] = ["instance", "job"];

/// Words of `PromQL` that are followed by labels in parentheses.
const LABEL_LISTS: [&str; 5] = ["by", "without", "on", "ignoring", "group_left"];

/// The labels of a metric, each with its values where those are few.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// What exists, by the name of the series.
type Known = BTreeMap<String, Labels>;

/// A name in a query with the labels that it is asked for, and labels in lists beside it.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    series: Vec<(String, Vec<Matcher>)>,
    lists: BTreeSet<String>,
}

#[derive(Debug, PartialEq)]
struct Matcher {
    label: String,
    /// Whether the value is a regular expression.
    is_pattern: bool,
    value: String,
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    let inside = text.split('`').skip(1).step_by(2);
    inside.map(str::to_owned).collect()
}

/// The labels in a cell of the table of metrics: `name`, `name`: `value`, `value`; `name`.
fn labels(cell: &str) -> Labels {
    let mut found = Labels::new();
    for part in cell.split(';') {
        let (names, values) = part.split_once(':').unwrap_or((part, ""));
        let names = quoted(names);
        let Some((last, others)) = names.split_last() else {
            continue;
        };
        // A link instead of a list leaves the values open.
        let values = if values.contains("](") || values.contains("and others") {
            BTreeSet::new()
        } else {
            quoted(values).into_iter().collect()
        };
        found.extend(others.iter().map(|name| (name.clone(), BTreeSet::new())));
        found.insert(last.clone(), values);
    }
    found
}

/// Every series that the tables of `docs/LOGGING.md` describe.
fn described(text: &str) -> Known {
    let mut known = Known::new();
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", names, kind, cell, _tells, ..] = cells[..] else {
            continue;
        };
        let names = quoted(names);
        let metrics = names
            .iter()
            .filter(|name| name.starts_with("ropeline_") || name.starts_with("process_"));
        for name in metrics {
            let labels = labels(cell);
            if kind.starts_with("histogram") {
                let mut with_bound = labels.clone();
                with_bound.insert("le".to_owned(), BTreeSet::new());
                known.insert(format!("{name}_bucket"), with_bound);
                known.insert(format!("{name}_sum"), labels.clone());
                known.insert(format!("{name}_count"), labels);
            } else {
                known.insert(name.clone(), labels);
            }
        }
    }
    for (name, labels) in FOREIGN {
        let open = labels
            .iter()
            .map(|&label| (label.to_owned(), BTreeSet::new()));
        known.insert(name.to_owned(), open.collect());
    }
    known
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// A piece of a query.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(query: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(next) = rest.chars().next() {
        let length = if next == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
            found.push(Token::Text(rest[1..end - 1].to_owned()));
            end
        } else if is_of_name(next) {
            let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            if !next.is_whitespace() {
                found.push(Token::Sign(next));
            }
            next.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The index behind the group that opens at `open`, and the words in it.
fn group(tokens: &[Token], open: usize, close: char) -> (usize, Vec<String>) {
    let mut words = Vec::new();
    let mut at = open + 1;
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign(sign) if *sign == close => return (at + 1, words),
            Token::Word(word) => words.push(word.clone()),
            Token::Text(_) | Token::Sign(_) => {}
        }
        at += 1;
    }
    (at, words)
}

/// The matchers in braces from `open` on.
fn matchers(tokens: &[Token], open: usize) -> Vec<Matcher> {
    let inside: Vec<_> = tokens[open + 1..]
        .iter()
        .take_while(|token| **token != Token::Sign('}'))
        .collect();
    let mut found = Vec::new();
    for (at, token) in inside.iter().enumerate() {
        let (Token::Text(value), Some(before)) = (token, at.checked_sub(2)) else {
            continue;
        };
        let operator: Vec<_> = inside[..at].iter().rev().take(2).collect();
        let is_two = !matches!(operator.last(), Some(Token::Word(_)));
        let label = if is_two {
            at.checked_sub(3)
        } else {
            Some(before)
        };
        if let Some(Token::Word(label)) = label.and_then(|index| inside.get(index)) {
            found.push(Matcher {
                label: label.clone(),
                is_pattern: matches!(operator.first(), Some(Token::Sign('~'))),
                value: value.clone(),
            });
        }
    }
    found
}

/// What a query asks for.
fn asked(query: &str) -> Asked {
    let tokens = tokens(query);
    let mut asked = Asked::default();
    let mut at = 0;
    while at < tokens.len() {
        let next = tokens.get(at + 1);
        at = match &tokens[at] {
            Token::Word(word) if LABEL_LISTS.contains(&word.as_str()) => {
                if next == Some(&Token::Sign('(')) {
                    let (end, words) = group(&tokens, at + 1, ')');
                    asked.lists.extend(words);
                    end
                } else {
                    at + 1
                }
            }
            Token::Word(name) if next == Some(&Token::Sign('{')) => {
                asked.series.push((name.clone(), matchers(&tokens, at + 1)));
                group(&tokens, at + 1, '}').0
            }
            Token::Word(name) if is_series(name) => {
                asked.series.push((name.clone(), Vec::new()));
                at + 1
            }
            // A range, such as [5m].
            Token::Sign('[') => group(&tokens, at, ']').0,
            _ => at + 1,
        };
    }
    asked
}

/// Whether a bare word is a series: no function, operator, number or span.
fn is_series(word: &str) -> bool {
    let prefixes = ["ropeline", "process_", "pg_", "redis_"];
    prefixes.iter().any(|prefix| word.starts_with(prefix)) || word == "up"
}

/// What a query asks for and does not exist.
fn missing(query: &str, known: &Known, recorded: &BTreeSet<String>) -> Vec<String> {
    let asked = asked(query);
    let mut complaints = Vec::new();
    let mut possible: BTreeSet<&str> = OF_EVERY_SERIES.into();
    let mut is_open = false;
    for (name, matchers) in &asked.series {
        if recorded.contains(name) {
            // Its labels are those of the rule's own query.
            is_open = true;
            continue;
        }
        let Some(labels) = known.get(name) else {
            complaints.push(format!("there is no series {name}"));
            continue;
        };
        possible.extend(labels.keys().map(String::as_str));
        for matcher in matchers {
            let label = matcher.label.as_str();
            if OF_EVERY_SERIES.contains(&label) {
                continue;
            }
            let Some(values) = labels.get(label) else {
                complaints.push(format!("{name} has no label {label}"));
                continue;
            };
            complaints.extend(
                unknown_values(matcher, values)
                    .map(|value| format!("{name}: {label} is never {value}")),
            );
        }
    }
    if !is_open {
        let unknown = asked
            .lists
            .iter()
            .filter(|label| !possible.contains(label.as_str()));
        complaints
            .extend(unknown.map(|label| format!("no series of the query has the label {label}")));
    }
    complaints
}

/// The values of a matcher that the label cannot have. A pattern is a list of values, or is not looked at.
fn unknown_values<'a>(
    matcher: &'a Matcher,
    values: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a str> {
    let listed = matcher.value.split('|');
    let is_plain = |value: &&str| {
        value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    listed
        .filter(move |_| !values.is_empty())
        .filter(is_plain)
        .filter(|value| !value.is_empty() && !values.contains(*value))
}

/// The queries of a dashboard: of its panels, its variables and its annotations.
fn queries_of_dashboard(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" => found.push(text.clone()),
                    Value::String(text) if name == "query" && text.starts_with("label_values(") => {
                        found.push(as_matcher(text));
                    }
                    other => queries_of_dashboard(other, found),
                }
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| queries_of_dashboard(value, found)),
        _ => {}
    }
}

/// `label_values(series, label)` as a query that asks for the same.
fn as_matcher(text: &str) -> String {
    let inside = text
        .trim_start_matches("label_values(")
        .trim_end_matches(')');
    match inside.split_once(',') {
        Some((series, label)) => format!("{series}{{{}=~\"\"}}", label.trim()),
        None => inside.to_owned(),
    }
}

/// The queries of a file of rules, and the names that it records. Queries stand behind `expr:`, or
/// indented deeper below `expr: >-`.
fn queries_of_rules(text: &str) -> (Vec<String>, BTreeSet<String>) {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<_> = text.lines().collect();
    let (mut queries, mut recorded) = (Vec::new(), BTreeSet::new());
    for (at, line) in lines.iter().enumerate() {
        let item = line.trim_start().trim_start_matches("- ");
        if let Some(name) = item.strip_prefix("record: ") {
            recorded.insert(name.to_owned());
        } else if item == "expr: >-" {
            let below = lines[at + 1..]
                .iter()
                .take_while(|next| indent(next) > indent(line));
            queries.push(below.map(|next| next.trim()).collect::<Vec<_>>().join(" "));
        } else if let Some(query) = item.strip_prefix("expr: ") {
            queries.push(query.to_owned());
        }
    }
    (queries, recorded)
}

fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    let found = files.iter().find(|file| file.path == path);
    found.map_or("", |file| file.text.as_str())
}

#[test]
fn dashboards_and_alerts_ask_only_for_what_exists() {
    let files = files();
    let known = described(text(&files, "docs/LOGGING.md"));
    assert!(known.len() > 100, "the tables of metrics were not found");
    let (rules, recorded) = queries_of_rules(text(&files, "deploy/prometheus/alerts.yml"));
    assert!(rules.len() > 30, "the rules were not found");
    let mut all: Vec<_> = rules
        .into_iter()
        .map(|query| ("alerts.yml", query))
        .collect();
    let is_dashboard =
        |file: &&File| file.path.starts_with("deploy/grafana/") && file.has_ending("json");
    let mut dashboards = 0;
    for file in files.iter().filter(is_dashboard) {
        let parsed: Value = serde_json::from_str(&file.text).unwrap_or_default();
        let mut queries = Vec::new();
        queries_of_dashboard(&parsed, &mut queries);
        assert!(queries.len() > 5, "{} asks for nothing", file.path);
        all.extend(queries.into_iter().map(|query| (file.name(), query)));
        dashboards += 1;
    }
    assert_eq!(dashboards, 5);
    let mut complaints = Vec::new();
    for (place, query) in &all {
        assert!(
            !asked(query).series.is_empty(),
            "{place}: nothing was read of {query}"
        );
        let missing = missing(query, &known, &recorded);
        complaints.extend(
            missing
                .iter()
                .map(|problem| format!("{place}: {problem}: {query}")),
        );
    }
    assert_none(&complaints);
}

#[test]
fn every_label_and_value_that_does_not_exist_is_found() {
    let known = described(
        "| `ropeline_a_total` | counter, claims | `room` | claims |\n\
         | `ropeline_b_seconds` | histogram, seconds | `part`: `line`, `gate`; `route` | spans |\n\
         | `ropeline_c_total` | counter, calls | `room`, `reason`: `idle`, `fail-open` | calls |",
    );
    let recorded = BTreeSet::from(["ropeline:a:rate".to_owned()]);
    let good = [
        "sum by (room) (rate(ropeline_a_total{room=~\"$room\", instance=\"x\"}[5m])) * 60",
        "histogram_quantile(0.9, sum by (le, part) (rate(ropeline_b_seconds_bucket{part=\"line\"}[5m])))",
        "rate(ropeline_c_total{reason=~\"idle|fail-open\"}[$__rate_interval]) and on (room) ropeline_a_total > 0",
        "ropeline:a:rate < 0.5 * avg_over_time(ropeline:a:rate[1h] offset 10m)",
        "up{job=\"ropeline\"} == 0",
    ];
    for query in good {
        assert_eq!(
            missing(query, &known, &recorded),
            Vec::<String>::new(),
            "{query}"
        );
    }
    for (query, complaint) in [
        (
            "rate(ropeline_gone_total[5m])",
            "there is no series ropeline_gone_total",
        ),
        (
            "ropeline_b_seconds > 1",
            "there is no series ropeline_b_seconds",
        ),
        ("ropeline:b:rate", "there is no series ropeline:b:rate"),
        (
            "ropeline_a_total{rom=\"x\"}",
            "ropeline_a_total has no label rom",
        ),
        (
            "ropeline_a_total{reason!=\"x\"}",
            "ropeline_a_total has no label reason",
        ),
        (
            "sum by (show) (ropeline_a_total)",
            "no series of the query has the label show",
        ),
        (
            "ropeline_c_total{reason=\"idel\"}",
            "ropeline_c_total: reason is never idel",
        ),
        (
            "ropeline_c_total{reason=~\"idle|failopen\"}",
            "ropeline_c_total: reason is never failopen",
        ),
    ] {
        assert_eq!(missing(query, &known, &recorded), [complaint], "{query}");
    }
    assert_eq!(
        as_matcher("label_values(ropeline_a_total, room)"),
        "ropeline_a_total{room=~\"\"}"
    );
    let (queries, names) = queries_of_rules(
        "  - record: ropeline:a:rate\n    expr: >-\n      a\n      / b\n  - alert: X\n    expr: c > 1\n    for: 1m\n",
    );
    assert_eq!(queries, ["a / b", "c > 1"]);
    assert_eq!(names, recorded);
}
