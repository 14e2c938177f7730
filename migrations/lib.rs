//! The database schema, embedded so that a binary brings its own.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

/// Every migration in this folder, in order.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Brings the schema up to date. Doing it again changes nothing, and an advisory lock lets any
/// number of gateways start at once.
///
/// A schema that a later version has brought further is left as it is: during an upgrade a gateway
/// of the version before may have to start again.
///
/// # Errors
///
/// When the database does not answer, or a migration was changed after it was applied.
pub async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut migrator = Migrator {
        migrations: MIGRATOR.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.set_ignore_missing(true);
    migrator.run(connection).await
}
