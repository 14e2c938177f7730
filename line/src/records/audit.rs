//! The audit log: who changed what, when, before and after.

use contract::room::AuditRecord;
use contract::{Clock, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::database::Database;
use super::error::RecordsError;

/// Most records in one page of the log.
pub const AUDIT_PAGE_MAX: u32 = 500;

/// Who acts, and when: goes with every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The name of the operator's token, or [`super::SYSTEM_ACTOR`].
    pub actor: String,
    /// The caller's clock.
    pub at: Timestamp,
}

impl Act {
    /// An act of `actor` at the present time of `clock`.
    pub fn new(actor: impl Into<String>, clock: &(impl Clock + ?Sized)) -> Self {
        Self {
            actor: actor.into(),
            at: clock.now(),
        }
    }
}

/// What was done to what.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Such as `room.pause`.
    pub action: String,
    /// Such as the room's name.
    pub target: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

impl AuditEntry {
    /// `action` on `target`, without details.
    pub fn new(action: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            target: target.into(),
            before: None,
            after: None,
        }
    }

    /// Adds how it was. Callers leave secrets out.
    #[must_use]
    pub fn before(mut self, value: &impl Serialize) -> Self {
        self.before = serde_json::to_value(value).ok();
        self
    }

    /// Adds how it is. Callers leave secrets out.
    #[must_use]
    pub fn after(mut self, value: &impl Serialize) -> Self {
        self.after = serde_json::to_value(value).ok();
        self
    }
}

/// How an act ended that was recorded before it began, and what became known of it meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion {
    /// To what it was done; as recorded, when absent.
    pub target: Option<String>,
    /// How it was; as recorded, when absent.
    pub before: Option<Value>,
    /// How it is, or why it was refused.
    pub after: Value,
}

impl From<Value> for Conclusion {
    fn from(after: Value) -> Self {
        Self {
            target: None,
            before: None,
            after,
        }
    }
}

/// The audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    database: Database,
}

impl Audit {
    /// The log in `database`.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds a record and returns its id. For acts whose effect lies outside this database: they
    /// are recorded first, so that nothing happens unrecorded, and concluded afterwards.
    pub async fn record(&self, act: Act, entry: AuditEntry) -> Result<i64, RecordsError> {
        self.database
            .run(move |connection| Box::pin(async move { write(connection, &act, &entry).await }))
            .await
    }

    /// Adds how an act recorded before it began ended. Only the first conclusion counts.
    pub async fn conclude(
        &self,
        id: i64,
        conclusion: impl Into<Conclusion>,
    ) -> Result<(), RecordsError> {
        let conclusion = conclusion.into();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query!(
                        "update audit_log set target = coalesce($2, target),
                            before = coalesce($3, before), after = $4
                         where id = $1 and after is null",
                        id,
                        conclusion.target,
                        conclusion.before,
                        conclusion.after,
                    )
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// What the newest record of `action` on `target` says it came to. Reads the log backwards, so it
    /// is for what happens once in the life of a process.
    pub async fn newest(&self, action: &str, target: &str) -> Result<Option<Value>, RecordsError> {
        let (action, target) = (action.to_owned(), target.to_owned());
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let row = sqlx::query!(
                        "select after from audit_log
                         where action = $1 and target = $2 order by id desc limit 1",
                        action,
                        target,
                    )
                    .fetch_optional(connection)
                    .await?;
                    Ok(row.and_then(|row| row.after))
                })
            })
            .await
    }

    /// The newest records, or the newest older than `before`. At most [`AUDIT_PAGE_MAX`].
    pub async fn list(
        &self,
        limit: u32,
        before: Option<i64>,
    ) -> Result<Vec<AuditRecord>, RecordsError> {
        let limit = i64::from(limit.min(AUDIT_PAGE_MAX));
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let rows = sqlx::query!(
                        "select id, at, actor, action, target, before, after from audit_log
                         where id < $1 order by id desc limit $2",
                        before.unwrap_or(i64::MAX),
                        limit,
                    )
                    .fetch_all(connection)
                    .await?;
                    Ok(rows
                        .into_iter()
                        .map(|row| AuditRecord {
                            id: row.id,
                            at: row.at.into(),
                            actor: row.actor,
                            action: row.action,
                            target: row.target,
                            before: row.before,
                            after: row.after,
                        })
                        .collect())
                })
            })
            .await
    }
}

/// Writes a record on `connection`, inside the transaction of the change it describes.
pub(super) async fn write(
    connection: &mut PgConnection,
    act: &Act,
    entry: &AuditEntry,
) -> Result<i64, RecordsError> {
    let row = sqlx::query!(
        "insert into audit_log (at, actor, action, target, before, after)
         values ($1, $2, $3, $4, $5, $6) returning id",
        time::OffsetDateTime::from(act.at),
        act.actor,
        entry.action,
        entry.target,
        entry.before,
        entry.after,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.id)
}
