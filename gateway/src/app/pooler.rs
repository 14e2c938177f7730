//! Whether a pooler such as PgBouncer stands before PostgreSQL, and whether gateways can work with
//! it.
//!
//! A pooler in transaction mode gives each transaction whatever session is free. The statements
//! that a gateway prepared in one are not in the next, or, worse, another client's are there
//! under the same names.

use anyhow::Error;
use sqlx::{Connection, PgConnection, Row};

/// What an operator is told of a pooler that shares sessions.
pub(super) const SHARED: &str = "a pooler such as PgBouncer gives each transaction of this gateway another session of \
     PostgreSQL, and prepared statements are lost between them: set pool_mode to session for this \
     database, or name PostgreSQL itself in ROPELINE_DATABASE_URL";

/// What an operator is told of a pooler that refuses what gateways say when they connect.
pub(super) const PARAMETERS: &str = "PgBouncer refuses how gateways connect: set ignore_startup_parameters to \
     extra_float_digits,options";

/// SQLSTATE of a statement that is not prepared in this session.
const NO_STATEMENT: &str = "26000";

/// Whether two connections share sessions, and statements that are prepared get lost by it.
pub(super) async fn shares_sessions(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    if session(one).await? != session(other).await? {
        return Ok(false);
    }
    let outcome = statement_lasts(one, other).await;
    match outcome {
        Ok(()) => Ok(false),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_STATEMENT) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Whether a pooler refused a connection for what it says of itself.
pub(super) fn refuses_parameters(error: &Error) -> bool {
    format!("{error:#}").contains("unsupported startup parameter")
}

/// The process of PostgreSQL that answers.
async fn session(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let question = sqlx::raw_sql("select pg_backend_pid()");
    question.fetch_one(connection).await?.try_get(0)
}

/// Executes a prepared statement again while the session that it was prepared in is taken.
async fn statement_lasts(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    execute(one).await?;
    let taken = other.begin().await?;
    execute(one).await?;
    taken.rollback().await
}

async fn execute(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let statement = sqlx::query("select $1::int4").bind(1_i32);
    statement.execute(connection).await.map(drop)
}
