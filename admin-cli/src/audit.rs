//! `ropeline audit`: who changed what.

use comfy_table::Table;
use contract::room::{AuditList, AuditRecord};
use serde_json::{Map, Value};

use crate::args::AuditArgs;
use crate::client::AdminClient;
use crate::console::{Console, table_of};
use crate::failure::{Exit, Failure};
use crate::when::instant_text;

/// Records asked for at once: the most that a gateway gives.
const PAGE: u32 = 500;
/// Longest text of a value within a row.
const VALUE_CHARS_MAX: usize = 40;

/// Runs the command.
pub(crate) async fn run(
    args: &AuditArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let list = newest(args, client).await?;
    if console.is_json() {
        console.document(&list)?;
    } else if list.records.is_empty() {
        console.note("No such change is on record.");
    } else {
        console.table(table(&list.records))?;
    }
    Ok(Exit::Fine)
}

/// The newest records that are asked for. The filters are ours, so pages are read until enough
/// records pass them or the log ends.
async fn newest(args: &AuditArgs, client: &AdminClient) -> Result<AuditList, Failure> {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    let mut before: Option<i64> = None;
    while records.len() < limit {
        let from = before.map_or_else(String::new, |id| format!("&before={id}"));
        let page: AuditList = client.get(&format!("audit?limit={PAGE}{from}")).await?;
        let oldest = page.records.last().map(|record| record.id);
        // The log is at its end, or the gateway does not page.
        if oldest.is_none() || (before.is_some() && oldest >= before) {
            break;
        }
        before = oldest;
        let asked_for = |record: &AuditRecord| is_asked_for(record, args);
        records.extend(page.records.into_iter().filter(asked_for));
    }
    records.truncate(limit);
    Ok(AuditList { records })
}

fn is_asked_for(record: &AuditRecord, args: &AuditArgs) -> bool {
    let target = args
        .target
        .as_ref()
        .is_none_or(|target| record.target == *target);
    let action = args
        .action
        .as_ref()
        .is_none_or(|action| record.action.starts_with(action));
    target && action
}

fn table(records: &[AuditRecord]) -> Table {
    let mut table = table_of(&["when", "who", "what", "to", "change"]);
    for record in records {
        table.add_row([
            instant_text(record.at),
            record.actor.clone(),
            record.action.clone(),
            record.target.clone(),
            change_text(record),
        ]);
    }
    table
}

/// What differs between before and after, a member a line.
fn change_text(record: &AuditRecord) -> String {
    match (&record.before, &record.after) {
        (None, None) => String::new(),
        (None, Some(Value::Object(_))) if makes_new(record) => "created".to_owned(),
        (None, Some(Value::Object(after))) => lines_text(&Map::new(), after),
        (Some(Value::Object(_)), None) => "deleted".to_owned(),
        (Some(Value::Object(before)), Some(Value::Object(after))) => lines_text(before, after),
        (before, after) => format!(
            "{} → {}",
            value_text(before.as_ref()),
            value_text(after.as_ref())
        ),
    }
}

/// Whether a record without a before tells of something new. Refusals and acts that leave no state
/// behind have no before either.
fn makes_new(record: &AuditRecord) -> bool {
    let refused = record.after.as_ref().and_then(|it| it.get("problem"));
    matches!(record.action.as_str(), "room.create" | "show.import") && refused.is_none()
}

fn lines_text(before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    differences("", before, after, &mut lines);
    lines.join("\n")
}

/// Adds a line for each member that differs, those of objects within the two by their path.
fn differences(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    lines: &mut Vec<String>,
) {
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let at = format!("{path}{name}");
        match (before.get(name), after.get(name)) {
            (was, is) if was == is => {}
            // These two change with every write and say nothing.
            _ if matches!(at.as_str(), "version" | "updatedAt") => {}
            (Some(Value::Object(was)), Some(Value::Object(is))) => {
                differences(&format!("{at}."), was, is, lines);
            }
            (None, is) => lines.push(format!("{at}: {}", value_text(is))),
            (was, is) => lines.push(format!("{at}: {} → {}", value_text(was), value_text(is))),
        }
    }
}

fn value_text(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars()
        .take(VALUE_CHARS_MAX - 1)
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(action: &str, before: &Value, after: &Value) -> String {
        let record = json!({
            "id": 1, "at": "2026-11-30T10:00:00Z", "actor": "admin", "action": action,
            "target": "eras", "before": before, "after": after,
        });
        change_text(&serde_json::from_value(record).unwrap())
    }

    #[test]
    fn a_change_names_only_what_differs() {
        let before = json!({"rate": 600, "title": "Eras", "version": 1, "message": null});
        let after = json!({"rate": 1200, "title": "Eras", "version": 2, "message": "Soon"});
        let text = told("room.put", &before, &after);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["message: none → Soon", "rate: 600 → 1200"]);
        assert_eq!(told("room.create", &Value::Null, &after), "created");
        assert_eq!(told("show.import", &Value::Null, &after), "created");
        assert_eq!(told("room.delete", &before, &Value::Null), "deleted");
        assert_eq!(
            told("room.pause", &json!("open"), &json!("pause")),
            "open → pause"
        );
    }

    #[test]
    fn members_of_objects_are_named_by_their_path() {
        let before = json!({"categories": {"A": {"priceMinor": 100}}, "seatCount": 4});
        let after =
            json!({"categories": {"A": {"priceMinor": 120}}, "seatCount": 4, "layout": "changed"});
        let text = told("show.import", &before, &after);
        assert_eq!(text, "categories.A.priceMinor: 100 → 120\nlayout: changed");
    }

    #[test]
    fn neither_a_refusal_nor_an_act_is_something_new() {
        let refused = json!({"problem": "conflict", "status": 409});
        let text = told("show.import", &Value::Null, &refused);
        assert_eq!(text, "problem: conflict\nstatus: 409");
        let ended = told("session.end", &Value::Null, &json!({"ended": true}));
        assert_eq!(ended, "ended: true");
    }

    #[test]
    fn long_values_are_cut() {
        let text = value_text(Some(&json!("x".repeat(100))));
        assert_eq!(text.chars().count(), VALUE_CHARS_MAX);
        assert!(text.ends_with('…'));
    }
}
