//! `ropeline check`: the invariants, run by the gateway.

use comfy_table::{Cell, Color};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::AdminClient;
use crate::console::{Console, coloured, counted, grouped, table_of};
use crate::failure::{Exit, Failure};

/// What the gateway found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// One for each invariant.
    pub invariants: Vec<CheckedInvariant>,
    /// Whether none is violated.
    pub clean: bool,
}

/// One invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedInvariant {
    /// Its name, such as `ONE-SEAT`.
    pub name: String,
    /// Either how often it is violated, or the violations.
    pub violations: Violations,
    /// What a newer gateway tells beside it.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Violations, counted or told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Violations {
    /// So many.
    Counted(u64),
    /// These.
    Told(Vec<Value>),
}

impl Violations {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Counted(count) => *count,
            Self::Told(violations) => violations.len() as u64,
        }
    }
}

impl CheckReport {
    /// Whether nothing is violated, by the gateway's word and by its numbers.
    pub fn is_clean(&self) -> bool {
        self.clean && self.invariants.iter().all(|it| it.violations.count() == 0)
    }
}

/// Runs the command.
pub(crate) async fn run(client: &AdminClient, console: &Console) -> Result<Exit, Failure> {
    let report: CheckReport = client.get("check").await?;
    if console.is_json() {
        console.document(&report)?;
    } else {
        show(&report, console)?;
    }
    Ok(if report.is_clean() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn show(report: &CheckReport, console: &Console) -> Result<(), Failure> {
    let mut table = table_of(&["invariant", "violations"]);
    for it in &report.invariants {
        let count = it.violations.count();
        let colour = if count == 0 { Color::Green } else { Color::Red };
        table.add_row([
            Cell::new(&it.name),
            coloured(violations_text(&it.violations), colour),
        ]);
    }
    console.table(table)?;
    let total: u64 = report
        .invariants
        .iter()
        .map(|it| it.violations.count())
        .sum();
    let checked = counted(report.invariants.len() as u64, "invariant", "invariants");
    console.text(&match (report.is_clean(), total) {
        (true, _) => format!("Clean: {checked} checked, none violated."),
        (false, 0) => format!("NOT CLEAN by the gateway's word; {checked} checked."),
        (false, total) => {
            let violations = counted(total, "violation", "violations");
            format!("NOT CLEAN: {checked} checked, {violations}.")
        }
    })
}

fn violations_text(violations: &Violations) -> String {
    match violations {
        Violations::Counted(count) => grouped(*count),
        Violations::Told(told) if told.is_empty() => "0".to_owned(),
        Violations::Told(told) => {
            let lines = told
                .iter()
                .map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(report: &Value, clean: bool) {
        let read: CheckReport = serde_json::from_value(report.clone()).unwrap();
        assert_eq!(read.is_clean(), clean, "{report}");
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            *report,
            "nothing is lost"
        );
    }

    #[test]
    fn clean_needs_the_word_and_the_numbers() {
        let with = |violations: Value, clean: bool| json!({"invariants": [{"name": "CAP", "violations": violations}], "clean": clean});
        check(&with(json!(0), true), true);
        check(&with(json!([]), true), true);
        check(&with(json!(0), false), false);
        check(&with(json!(2), true), false);
        check(&with(json!(["room eras: 501 of 500"]), true), false);
    }
}
