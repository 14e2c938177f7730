//! The invariants, each as a query that counts its violations. The count has to be zero at any
//! time, even after a crash and during work. A deadline counts as violated only if a process ran
//! the background work when it passed.

use contract::Timestamp;
use contract::invariants::{ADMIT_ONCE, BOUNDED, Invariant, LOG_WHOLE, ONE_CHARGE, ONE_SEAT, TOLD};
use metric_families::breaches::breached;
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::database::StoreError;

/// One invariant and how often it is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvariantResult {
    /// What holds.
    pub name: String,
    /// The promise that it is a part of, such as `ONE-SEAT`.
    pub promise: String,
    /// How often it does not.
    pub violations: i64,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckReport {
    /// Every invariant.
    pub invariants: Vec<InvariantResult>,
    /// Whether none is broken.
    pub clean: bool,
}

/// Counts the violations of every invariant in one snapshot. `working_since` is when this process
/// began its background work.
pub(crate) async fn run(
    pool: &PgPool,
    now: Timestamp,
    working_since: Timestamp,
) -> Result<CheckReport, StoreError> {
    let mut tx = pool.begin().await?;
    // Compiling three thousand expressions takes longer than what it would save.
    sqlx::query!("set local jit = off")
        .execute(&mut *tx)
        .await?;
    let rows = sqlx::query_file!(
        "src/store/check.sql",
        OffsetDateTime::from(now),
        OffsetDateTime::from(working_since)
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    let invariants: Vec<InvariantResult> = rows
        .into_iter()
        .map(|row| InvariantResult {
            promise: promise(&row.name).name.to_owned(),
            name: row.name,
            violations: row.violations,
        })
        .collect();
    for broken in invariants.iter().filter(|it| it.violations > 0) {
        let promise = promise(&broken.name).name;
        breached(promise, broken.violations.unsigned_abs());
    }
    Ok(CheckReport {
        clean: invariants.iter().all(|invariant| invariant.violations == 0),
        invariants,
    })
}

/// Questions about notices to fans.
const ABOUT_MAIL: [&str; 6] = ["I23", "I24", "I55", "I56", "I57", "I59"];

/// Questions about the log of events.
const ABOUT_EVENTS: [&str; 4] = ["I48", "I49", "I50", "I51"];

/// Questions about who went in, and with which tickets one can.
const ABOUT_ENTRIES: [&str; 6] = ["I40", "I41", "I42", "I52", "I53", "I60"];

/// Questions about money. The others are about mail, events, entries or seats.
const ABOUT_MONEY: [&str; 23] = [
    "I08", "I09", "I10", "I11", "I12", "I13", "I14", "I18", "I19", "I25", "I26", "I27", "I28",
    "I31", "I43", "I45", "I47", "I54", "I58", "I61", "I62", "I63", "I64",
];
/// Questions about every limit.
const ABOUT_LIMITS: [&str; 3] = ["I30", "I44", "I46"];

/// The promise that a question of the check is about.
fn promise(question: &str) -> Invariant {
    let number = question.split(' ').next().unwrap_or_default();
    if ABOUT_MONEY.contains(&number) {
        ONE_CHARGE
    } else if ABOUT_MAIL.contains(&number) {
        TOLD
    } else if ABOUT_EVENTS.contains(&number) {
        LOG_WHOLE
    } else if ABOUT_ENTRIES.contains(&number) {
        ADMIT_ONCE
    } else if ABOUT_LIMITS.contains(&number) {
        BOUNDED
    } else {
        ONE_SEAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_about_money_mail_and_entries_is_there() {
        let questions = include_str!("check.sql");
        for number in ABOUT_MONEY {
            assert!(questions.contains(&format!("'{number} ")), "{number}");
            assert_eq!(promise(&format!("{number} text")), ONE_CHARGE);
        }
        for number in ABOUT_MAIL {
            assert!(questions.contains(&format!("'{number} ")), "{number}");
            assert_eq!(promise(&format!("{number} text")), TOLD);
        }
        for number in ABOUT_EVENTS {
            assert!(questions.contains(&format!("'{number} ")), "{number}");
            assert_eq!(promise(&format!("{number} text")), LOG_WHOLE);
        }
        for number in ABOUT_ENTRIES {
            assert!(questions.contains(&format!("'{number} ")), "{number}");
            assert_eq!(promise(&format!("{number} text")), ADMIT_ONCE);
        }
        for number in ABOUT_LIMITS {
            assert!(questions.contains(&format!("'{number} ")), "{number}");
            assert_eq!(promise(&format!("{number} text")), BOUNDED);
        }
        assert_eq!(promise("I02 no seat has two live tickets"), ONE_SEAT);
    }
}
