//! The invariants, each as a query that counts its violations. The count has to be zero at any
//! time, even after a crash and during work. A deadline counts as violated only if a process ran
//! the background work when it passed.

use contract::Timestamp;
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
    let rows = sqlx::query_file!(
        "src/store/check.sql",
        OffsetDateTime::from(now),
        OffsetDateTime::from(working_since)
    )
    .fetch_all(pool)
    .await?;
    let invariants: Vec<InvariantResult> = rows
        .into_iter()
        .map(|row| InvariantResult {
            name: row.name,
            violations: row.violations,
        })
        .collect();
    Ok(CheckReport {
        clean: invariants.iter().all(|invariant| invariant.violations == 0),
        invariants,
    })
}
