//! The report of a run, as tables for people and as JSON for programs.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use comfy_table::{Cell, CellAlignment, Table};
use contract::{RoomId, Timestamp};
use serde::Serialize;

use crate::audit::{Finding, Verdict, kept};
use crate::measurements::{CodeCount, Measurements, Quantiles};
use crate::world::Tally;

/// Everything a run came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub room: RoomId,
    pub seed: u64,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    /// Whether the run was ended before all fans were done.
    pub cut_short: bool,
    pub counts: Counts,
    pub latencies: Vec<Quantiles>,
    pub codes: Vec<CodeCount>,
    pub audit: Vec<Finding>,
    /// Whether no check of the audit failed.
    pub kept: bool,
    /// What makes the run say less than it was meant to.
    pub warnings: Vec<String>,
}

/// How many fans did what.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    pub arrived: u64,
    pub joined: u64,
    /// Most sockets that were open at once.
    pub sockets_max: u64,
    pub called: u64,
    pub booked: u64,
    pub left: u64,
}

impl Counts {
    /// The counts at this moment.
    pub(crate) fn of(tally: &Tally) -> Self {
        Self {
            arrived: tally.arrived.load(Ordering::Relaxed),
            joined: tally.joined.load(Ordering::Relaxed),
            sockets_max: tally.sockets_max.load(Ordering::Relaxed).unsigned_abs(),
            called: tally.called.load(Ordering::Relaxed),
            booked: tally.booked.load(Ordering::Relaxed),
            left: tally.left.load(Ordering::Relaxed),
        }
    }
}

/// What a report is made of besides the audit.
pub(crate) struct Course {
    pub room: RoomId,
    pub seed: u64,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub cut_short: bool,
    /// Fans that were to buy.
    pub buyers: u64,
    /// Whether a check about seats or money that was skipped counts as broken.
    pub strict: bool,
}

impl Report {
    /// Puts a report together.
    pub(crate) fn new(
        course: Course,
        tally: &Tally,
        measurements: &Measurements,
        audit: Vec<Finding>,
    ) -> Self {
        let counts = Counts::of(tally);
        Self {
            room: course.room,
            seed: course.seed,
            started_at: course.started_at,
            ended_at: course.ended_at,
            cut_short: course.cut_short,
            warnings: warnings(course.buyers, &counts),
            counts,
            latencies: measurements.quantiles(),
            codes: measurements.codes(),
            kept: kept(&audit, course.strict),
            audit,
        }
    }

    /// The report as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let counts = &self.counts;
        let end = if self.cut_short { ", cut short" } else { "" };
        let _infallible = writeln!(
            text,
            "room {}, seed {}, {:.1} s{end}: {} arrived, {} joined, at most {} on sockets at once, \
             {} called, {} booked, {} left\n\n{}",
            self.room,
            self.seed,
            self.ended_at.since(self.started_at).as_secs_f64(),
            counts.arrived,
            counts.joined,
            counts.sockets_max,
            counts.called,
            counts.booked,
            counts.left,
            self.latency_table(),
        );
        if !self.codes.is_empty() {
            let _infallible = writeln!(text, "\n{}", self.code_table());
        }
        let _infallible = writeln!(text, "\n{}", self.audit_table());
        for finding in &self.audit {
            for example in &finding.examples {
                let _infallible = writeln!(text, "  {}: {example}", finding.check);
            }
        }
        for warning in &self.warnings {
            let _infallible = writeln!(text, "\nWarning: {warning}");
        }
        let verdict = if self.kept {
            "Every promise that could be judged was kept."
        } else {
            "A PROMISE WAS BROKEN."
        };
        let _infallible = writeln!(text, "\n{verdict}");
        text
    }

    fn latency_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["latency, ms", "count", "p50", "p90", "p99", "p99.9", "max"]);
        for row in &self.latencies {
            let figures = [row.p50_ms, row.p90_ms, row.p99_ms, row.p999_ms, row.max_ms];
            let mut cells = vec![Cell::new(row.step.title()), right(row.count.to_string())];
            cells.extend(figures.iter().map(|ms| right(format!("{ms:.1}"))));
            table.add_row(cells);
        }
        table
    }

    fn code_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["answers other than success", "code", "count"]);
        for row in &self.codes {
            table.add_row([
                Cell::new(row.step.title()),
                Cell::new(&row.code),
                right(row.count.to_string()),
            ]);
        }
        table
    }

    fn audit_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["audit", "promises", "verdict", "what was found"]);
        for finding in &self.audit {
            let verdict = match finding.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::Skipped => "NOT JUDGED",
            };
            let promises = finding.promises.join(", ");
            table.add_row([finding.check, &promises, verdict, &finding.summary]);
        }
        table
    }
}

/// What makes a run say less than it was meant to.
fn warnings(buyers: u64, counts: &Counts) -> Vec<String> {
    if buyers == 0 || counts.booked > 0 {
        return Vec::new();
    }
    vec![format!(
        "none of the {buyers} buyers bought anything, so that nothing was seen of the sale; the \
         answers other than success say where they ended"
    )]
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        let course = Course {
            room: "eras".parse().unwrap(),
            seed: 1,
            started_at: Timestamp::EPOCH,
            ended_at: Timestamp::from_ms(1500),
            cut_short: false,
            buyers: 0,
            strict: false,
        };
        let measurements = Measurements::new().unwrap();
        Report::new(course, &Tally::default(), &measurements, findings)
    }

    #[test]
    fn a_failed_check_is_loud_and_a_skipped_one_is_not_a_pass() {
        let mut broken = Finding::new("order");
        broken.breach("fan 2 was overtaken");
        let failed = report(vec![broken]);
        assert!(!failed.kept);
        assert!(failed.text().contains("FAIL") && failed.text().contains("fan 2 was overtaken"));

        let skipped = report(vec![Finding::skipped("double charges", "no secret")]);
        assert!(skipped.kept);
        assert!(skipped.text().contains("NOT JUDGED"));
    }

    #[test]
    fn a_run_in_which_no_buyer_bought_says_so() {
        let counts = |booked| Counts {
            booked,
            ..Counts::of(&Tally::default())
        };
        let warned = warnings(3, &counts(0));
        assert!(warned[0].contains("none of the 3 buyers"), "{warned:?}");
        assert!(warnings(3, &counts(1)).is_empty());
        assert!(warnings(0, &counts(0)).is_empty());
        let mut report = report(Vec::new());
        report.warnings = warned;
        assert!(report.text().contains("Warning: none of the 3 buyers"));
    }

    #[test]
    fn programs_find_the_verdict() {
        let json = serde_json::to_value(report(vec![Finding::new("cap")])).unwrap();
        assert_eq!(json["kept"], true);
        assert_eq!(json["audit"][0]["verdict"], "pass");
    }
}
