//! `ropeline audit`: who changed what.

use comfy_table::Table;
use contract::room::{AuditList, AuditRecord};
use serde_json::Value;

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
            change_text(record.before.as_ref(), record.after.as_ref()),
        ]);
    }
    table
}

/// What differs between before and after, a member a line.
fn change_text(before: Option<&Value>, after: Option<&Value>) -> String {
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) else {
        return match (before, after) {
            (None, None) => String::new(),
            (None, Some(Value::Object(_))) => "created".to_owned(),
            (Some(Value::Object(_)), None) => "deleted".to_owned(),
            (before, after) => format!("{} → {}", value_text(before), value_text(after)),
        };
    };
    let added = after.keys().filter(|name| !before.contains_key(*name));
    let names = before.keys().chain(added);
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    let lines = changed
        // These two change with every write and say nothing.
        .filter(|name| !matches!(name.as_str(), "version" | "updatedAt"))
        .map(|name| {
            let (before, after) = (value_text(before.get(name)), value_text(after.get(name)));
            format!("{name}: {before} → {after}")
        });
    lines.collect::<Vec<_>>().join("\n")
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

    #[test]
    fn a_change_names_only_what_differs() {
        let before = json!({"rate": 600, "title": "Eras", "version": 1, "message": null});
        let after = json!({"rate": 1200, "title": "Eras", "version": 2, "message": "Soon"});
        let text = change_text(Some(&before), Some(&after));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["message: none → Soon", "rate: 600 → 1200"]);
        assert_eq!(change_text(None, Some(&after)), "created");
        assert_eq!(change_text(Some(&before), None), "deleted");
        assert_eq!(
            change_text(Some(&json!("open")), Some(&json!("pause"))),
            "open → pause"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let text = value_text(Some(&json!("x".repeat(100))));
        assert_eq!(text.chars().count(), VALUE_CHARS_MAX);
        assert!(text.ends_with('…'));
    }
}
