//! The database schema, as a list of migrations that every binary carries with it.

/// Every migration, in order. Running it twice is harmless: PostgreSQL remembers what was done,
/// and an advisory lock lets only one process do it at a time.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!(".");
