//! The invariants, as questions whose answer is zero once the system is at rest.

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

/// Counts the violations of every invariant, all in one snapshot.
pub(crate) async fn run(pool: &PgPool, now: Timestamp) -> Result<CheckReport, StoreError> {
    let rows = sqlx::query_file!("src/store/check.sql", OffsetDateTime::from(now))
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
