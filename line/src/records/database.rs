//! The connection pool, and the rule that work on it is never cancelled half-way.

use std::str::FromStr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::error::RecordsError;
use crate::telemetry;

/// Longest wait for a connection. Below a second, so that a caller hears within one.
const ACQUIRE_MAX: Duration = Duration::from_millis(800);

/// Longest a caller waits for an answer. The work goes on beyond it.
const ANSWER_MAX: Duration = Duration::from_millis(900);

/// Longest a call may hold a connection. Beyond it the connection is closed, not reused: a
/// network that swallows packets would otherwise empty the pool.
const WORK_MAX: Duration = Duration::from_secs(10);

/// How long an idle connection is used without asking whether it is still there, and at a server
/// that takes writes.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Longest a statement may run; the server cancels it.
const STATEMENT_TIMEOUT: &str = "5s";

/// Longest wait for a row lock.
const LOCK_TIMEOUT: &str = "1s";

/// Longest an open transaction may do nothing, should a gateway vanish inside one.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";

/// Connections per gateway: the line's records need few, and every gateway adds its own.
const CONNECTIONS_MAX: u32 = 8;

/// Handle of the gateway's records.
///
/// A dropped request future must not stop a transaction between two of its statements: sqlx 0.9
/// then returns the connection to the pool with the transaction still open. So each call runs in
/// a task of the tracker, and dropping the caller only drops the answer.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    tasks: TaskTracker,
}

impl Database {
    /// Works on `pool`, in tasks that `tasks` counts so that shutdown can wait for them.
    pub const fn new(pool: PgPool, tasks: TaskTracker) -> Self {
        Self { pool, tasks }
    }

    /// Whether the database answers, for readiness.
    pub async fn ping(&self) -> Result<(), RecordsError> {
        self.run(|connection| {
            Box::pin(async move {
                sqlx::query("select 1").execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Runs `work` on a connection and answers within about a second; [`RecordsError::Timeout`]
    /// means that it may still finish.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, RecordsError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, RecordsError>>
            + Send
            + 'static,
    {
        self.run_within(ANSWER_MAX, work).await
    }

    /// As [`Database::run`], for work that is known to take longer than one statement.
    pub(super) async fn run_within<T, W>(
        &self,
        answer: Duration,
        work: W,
    ) -> Result<T, RecordsError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, RecordsError>>
            + Send
            + 'static,
    {
        let pool = self.pool.clone();
        let task = self.tasks.spawn(async move {
            let mut connection = pool.acquire().await?;
            match tokio::time::timeout(WORK_MAX, work(&mut connection)).await {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(error)) => {
                    // Nothing is known about what the connection was in the middle of.
                    if error.is_passing() {
                        connection.close_on_drop();
                    }
                    Err(error)
                }
                Err(_) => {
                    connection.close_on_drop();
                    Err(RecordsError::Timeout)
                }
            }
        });
        let began = Instant::now();
        let result = match tokio::time::timeout(answer, task).await {
            Ok(Ok(result)) => result,
            // The task panicked or the runtime is going away: the transaction was rolled back.
            Ok(Err(_)) => Err(RecordsError::Unavailable(sqlx::Error::WorkerCrashed)),
            Err(_) => Err(RecordsError::Timeout),
        };
        metrics::histogram!(telemetry::RECORDS_CALL_SECONDS).record(began.elapsed().as_secs_f64());
        metrics::gauge!(telemetry::RECORDS_TASKS).set(count_f64(self.tasks.len()));
        metrics::gauge!(telemetry::RECORDS_CONNECTIONS).set(f64::from(self.pool.size()));
        if let Err(error) = &result {
            metrics::counter!(telemetry::RECORDS_ERRORS, "kind" => error.kind()).increment(1);
        }
        result
    }
}

/// A count as a gauge shows it.
fn count_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How to connect to `url`: with the timeouts every session of ours has.
pub fn connect_options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url)?
        .application_name("ropeline-gateway")
        .options([
            // A plan for given values takes its time, and can be far worse than one for any while
            // the planner has no figures of new rows yet.
            ("plan_cache_mode", "force_generic_plan"),
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("lock_timeout", LOCK_TIMEOUT),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_TIMEOUT,
            ),
        ]))
}

/// Whether the server at the other end takes writes. One that was demoted answers on, with rows
/// that grow old; the address leads to another one by now.
async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let question = sqlx::raw_sql("show transaction_read_only");
    let answer: String = question.fetch_one(connection).await?.try_get(0)?;
    Ok(answer == "off")
}

/// The pool's limits.
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_MAX)
        // Instead of before every use: a room in sale would ask ten times a second, and each time
        // wait for the way to the database and back.
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            async move {
                if state.idle_for < TRUSTED_IDLE {
                    return Ok(true);
                }
                takes_writes(connection).await
            }
            .boxed()
        })
        // Short, so that connections follow a primary that moved behind a load balancer.
        .max_lifetime(Duration::from_mins(10))
}
