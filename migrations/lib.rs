//! The database schema, embedded so that a binary brings its own.

/// Every migration in this folder, in order. Applying them is idempotent and guarded by an
/// advisory lock, so any number of gateways may start at once.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
