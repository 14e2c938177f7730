//! Connections to the database, their errors, and tasks for database work.

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::config::{ACQUIRE_TIMEOUT, DATABASE_WAIT_MAX};
use crate::telemetry;

/// Attempts at a transaction that the database asks to repeat.
const CONTENDED_TRIES_MAX: u32 = 3;

/// Connections for holds.
const HOLDS_MAX: u32 = 4;
/// Connections for money and tickets.
const MONEY_MAX: u32 = 6;
/// Connections for confirmations.
const CONFIRM_MAX: u32 = 4;
/// Connections for polling, imports and checks.
const JOBS_MAX: u32 = 4;
/// Connections for reading shows.
const READS_MAX: u32 = 4;
/// Connections for expiring holds.
const SWEEP_MAX: u32 = 2;

/// Connections of all pools of a process together.
pub const CONNECTIONS_MAX: u32 =
    HOLDS_MAX + MONEY_MAX + CONFIRM_MAX + JOBS_MAX + READS_MAX + SWEEP_MAX;

/// Settings of sessions whose statements find every row by a key. A plan that was made while a table
/// was small would read all of it, and is kept while the table grows in a rush.
const BY_KEY: [(&str, &str); 3] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// One pool per kind of work, so that a rush of one kind cannot starve another.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Settling batches of holds, and releasing holds.
    pub holds: PgPool,
    /// Starting payments, reading holds and tickets, storing webhooks.
    pub money: PgPool,
    /// Confirmations and everything else that settles a payment. Used through [`Turns`].
    pub confirm: PgPool,
    /// Polling, imports and checks.
    pub jobs: PgPool,
    /// Reading shows into memory.
    pub reads: PgPool,
    /// Expiring holds, so that seats are freed on time however busy the other pools are.
    pub sweep: PgPool,
}

impl Pools {
    /// Pools that connect at first use. `url` must be the primary's: memory is filled from it, and
    /// a replica could lack an import that this process has just committed.
    pub fn lazy(url: &str) -> Result<Self, sqlx::Error> {
        let primary = connect_options(url)?;
        Ok(Self {
            holds: pool(HOLDS_MAX, primary.clone()),
            money: pool(MONEY_MAX, primary.clone()),
            confirm: pool(CONFIRM_MAX, primary.clone().options(BY_KEY)),
            jobs: pool(JOBS_MAX, primary.clone()),
            reads: pool(READS_MAX, primary.clone()),
            sweep: pool(SWEEP_MAX, primary),
        })
    }

    /// Closes every pool.
    pub async fn close(&self) {
        for pool in [
            &self.holds,
            &self.money,
            &self.confirm,
            &self.jobs,
            &self.reads,
            &self.sweep,
        ] {
            pool.close().await;
        }
    }
}

fn connect_options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url)?
        .application_name("ropeline-booking")
        .options([
            // A plan for given values can be far worse than one for any: of a show that the
            // planner has no figures of yet, it would read all seats. It also takes its time.
            ("plan_cache_mode", "force_generic_plan"),
            ("statement_timeout", "5s"),
            ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]))
}

fn pool(connections_max: u32, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Instead of the ping that it would send.
        .test_before_acquire(false)
        .before_acquire(|connection, _| takes_writes(connection).boxed())
        .max_lifetime(Duration::from_mins(10))
        .connect_lazy_with(options)
}

/// Whether the server at the other end takes writes. One that was demoted answers on, with rows
/// that grow old; the address leads to another one by now.
async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let question = sqlx::raw_sql("show transaction_read_only");
    let answer: String = question.fetch_one(connection).await?.try_get(0)?;
    Ok(answer == "off")
}

/// Connections of a pool, granted in the order of request.
///
/// The pool itself fails a caller after [`ACQUIRE_TIMEOUT`], whether the database is away or many
/// callers are ahead. With turns, a caller waits for its turn without limit, and then either a
/// connection is free or the database is away.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pool: PgPool,
    /// One permit per connection of the pool. `None` when callers use the pool without turns.
    turns: Option<Arc<Semaphore>>,
}

/// The permit of a connection. Drop it together with the connection.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

impl Turns {
    /// Turns on the connections of `pool`, which must have no other users.
    pub(crate) fn in_order(pool: PgPool) -> Self {
        let connections = pool.options().get_max_connections();
        let turns = Semaphore::new(usize::try_from(connections).unwrap_or(1));
        Self {
            pool,
            turns: Some(Arc::new(turns)),
        }
    }

    /// The connections of a pool that has other users, without turns.
    pub(crate) fn of_any(pool: PgPool) -> Self {
        Self { pool, turns: None }
    }

    async fn turn(&self) -> Turn {
        // Never closed.
        Arc::clone(self.turns.as_ref()?).acquire_owned().await.ok()
    }

    /// A connection.
    pub(crate) async fn acquire(&self) -> Result<(PoolConnection<Postgres>, Turn), StoreError> {
        let turn = self.turn().await;
        Ok((self.pool.acquire().await?, turn))
    }

    /// A connection in a transaction.
    pub(crate) async fn begin(&self) -> Result<(Transaction<'static, Postgres>, Turn), StoreError> {
        let turn = self.turn().await;
        Ok((self.pool.begin().await?, turn))
    }
}

/// Why database work has no result. A refusal is not an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or accepts no work. Trying again later helps.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// No answer in time. The work may still be done.
    #[error("the database did not answer in time")]
    Timeout,
    /// A conflict with another transaction; repeating the whole transaction helps.
    #[error("the transaction has to be repeated")]
    Contended(#[source] sqlx::Error),
    /// A row holds an impossible value.
    #[error("{table} holds an impossible value: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A statement of ours is wrong.
    #[error("a statement failed")]
    Bug(#[source] sqlx::Error),
    /// A task ended without a result, because it panicked or was cancelled.
    #[error("a task broke")]
    TaskBroke,
}

impl StoreError {
    /// Whether the stored data is the cause, so that trying again fails in the same way.
    pub(crate) fn is_of_the_data(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Bug(_))
    }

    /// Whether trying again later may help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Timeout | Self::Contended(_)
        )
    }

    /// A copy for another caller that waited for the same work.
    pub(crate) fn for_another(&self) -> Self {
        match self {
            Self::Unavailable(_) | Self::Timeout | Self::Contended(_) => Self::Timeout,
            Self::Corrupt { table, what } => Self::corrupt(table, what),
            Self::Bug(_) | Self::TaskBroke => Self::TaskBroke,
        }
    }

    pub(crate) fn corrupt(table: &'static str, what: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            table,
            what: what.to_string(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("40001" | "40P01" | "55P03") => Self::Contended(error),
                Some("57014") => Self::Timeout,
                // Failed connections, shutdown, too many connections, a demoted primary.
                Some(code)
                    if code.starts_with("08")
                        || code.starts_with("57P")
                        || code.starts_with("53")
                        || code == "25006"
                        || code == "25P03" =>
                {
                    Self::Unavailable(error)
                }
                _ => Self::Bug(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            _ => Self::Bug(error),
        }
    }
}

/// Repeats a whole transaction when the database asks for it.
pub(crate) async fn repeat_if_contended<T, F, Fut>(mut transaction: F) -> Result<T, StoreError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 1;
    loop {
        match transaction().await {
            Err(StoreError::Contended(cause)) if tries < CONTENDED_TRIES_MAX => {
                metrics::counter!(telemetry::DATABASE_RETRIES).increment(1);
                tracing::warn!(%cause, tries, "transaction repeated");
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Runs database work in tasks of its own.
///
/// A handler's future is dropped when its client disconnects. If that happens inside `begin`, sqlx
/// 0.9 returns the connection to the pool with the transaction still open. So no handler may hold a
/// connection: it waits for a task, which always runs to its end.
#[derive(Clone, Debug)]
pub(crate) struct Work(TaskTracker);

impl Work {
    pub(crate) fn new(tracker: TaskTracker) -> Self {
        Self(tracker)
    }

    /// Runs `work` and waits for at most [`DATABASE_WAIT_MAX`].
    pub(crate) async fn run<T, Fut>(&self, work: Fut) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run_within(DATABASE_WAIT_MAX, work).await
    }

    /// Runs `work` and waits for at most `patience`.
    pub(crate) async fn run_within<T, Fut>(
        &self,
        patience: Duration,
        work: Fut,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let task = self.0.spawn(work);
        let outcome = match tokio::time::timeout(patience, task).await {
            Err(_) => Err(StoreError::Timeout),
            Ok(Err(_)) => Err(StoreError::TaskBroke),
            Ok(Ok(outcome)) => outcome,
        };
        if matches!(
            outcome,
            Err(StoreError::Unavailable(_) | StoreError::Timeout)
        ) {
            metrics::counter!(telemetry::DATABASE_UNAVAILABLE).increment(1);
        }
        outcome
    }

    /// Starts `work` without waiting for it.
    pub(crate) fn start<Fut>(&self, work: Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(work);
    }
}
