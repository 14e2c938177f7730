//! The database at start: waiting for it, bringing its schema up to date, and connecting.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use booking_core::database::CONNECTIONS_MAX;
use line::records;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};

use super::{connections, pooler};
use crate::start_up::until_database_answers;

/// Longest wait for one connection to the database at start.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What an attempt to prepare the database came to.
enum Prepared {
    /// Its schema is up to date.
    Done,
    /// A pooler gives each transaction another session, which gateways cannot work with.
    Shared,
}

/// The line's pool at the database, whose schema is brought up to date first. `id` tells this
/// gateway from others there.
pub(super) async fn open(url: &str, id: &str) -> Result<PgPool> {
    prepare(url).await?;
    let name = format!("{} {id}", connections::NAME);
    let options = records::connect_options(url)?.application_name(&name);
    let pool = records::pool_options().connect_lazy_with(options);
    let of_line = pool.options().get_max_connections();
    let compared = connections::compare(&pool, &name, of_line + CONNECTIONS_MAX).await;
    if let Err(error) = compared {
        tracing::warn!(
            error = format!("{error:#}"),
            "max_connections not looked at"
        );
    }
    Ok(pool)
}

/// Applies the migrations, after waiting for a database that is still starting.
pub(super) async fn prepare(url: &str) -> Result<()> {
    let options = records::connect_options(url)?;
    let server = format!("{}:{}", options.get_host(), options.get_port());
    // Waiting does not mend settings of a pooler; whatever else fails may be a database that is
    // still starting.
    let prepared = until_database_answers(
        |error: &anyhow::Error| !pooler::refuses_parameters(error),
        async || {
            let prepared = attempt(&options).await;
            prepared.with_context(|| format!("could not prepare the database at {server}"))
        },
    );
    match prepared.await {
        Ok(Prepared::Done) => Ok(()),
        Ok(Prepared::Shared) => Err(anyhow!("{}", pooler::SHARED)),
        Err(error) if pooler::refuses_parameters(&error) => Err(error).context(pooler::PARAMETERS),
        Err(error) => Err(error),
    }
}

async fn attempt(options: &PgConnectOptions) -> Result<Prepared> {
    // Before the migrations, which take a lock of their session.
    if pooler::shares_sessions(&mut connect(options).await?, &mut connect(options).await?).await? {
        return Ok(Prepared::Shared);
    }
    let mut connection = connect(options).await?;
    migrations::migrate(&mut connection).await?;
    connection.close().await?;
    Ok(Prepared::Done)
}

/// A single connection reports why it failed; a pool would report only its timeout.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let connecting = PgConnection::connect_with(options);
    let connected = tokio::time::timeout(ANSWER_MAX, connecting).await;
    Ok(connected.map_err(|_| anyhow!("it does not answer"))??)
}
