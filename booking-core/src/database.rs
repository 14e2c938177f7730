//! Connections, what can go wrong with them, and how work on them is run.

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::config::{ACQUIRE_TIMEOUT, DATABASE_WAIT_MAX};
use crate::telemetry;

/// Times a transaction is repeated when the database asks for it.
const CONTENDED_TRIES_MAX: u32 = 3;

/// One pool per kind of work, so that a rush of one kind cannot starve another.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Settles batches of holds, and releases them.
    pub holds: PgPool,
    /// Starting payments, looking at holds and tickets, taking webhooks in.
    pub money: PgPool,
    /// Confirmations, and whatever else settles a payment. Used in order: see [`Turns`].
    pub confirm: PgPool,
    /// Polling, imports and checks.
    pub jobs: PgPool,
    /// Reads shows into memory.
    pub reads: PgPool,
    /// Expires holds: seats come back on time, whatever else keeps the database busy.
    pub sweep: PgPool,
}

impl Pools {
    /// Pools that connect when they are first used. `url` is the primary's: browsing reads memory,
    /// and what fills the memory must not be older than an import that this process took.
    pub fn lazy(url: &str) -> Result<Self, sqlx::Error> {
        let primary = connect_options(url)?;
        Ok(Self {
            holds: pool(4, primary.clone()),
            money: pool(6, primary.clone()),
            confirm: pool(4, primary.clone()),
            jobs: pool(4, primary.clone()),
            reads: pool(4, primary.clone()),
            sweep: pool(2, primary),
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
            ("statement_timeout", "5s"),
            ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]))
}

fn pool(connections_max: u32, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(Duration::from_mins(10))
        .connect_lazy_with(options)
}

/// Connections of a pool, given out in the order in which they are asked for.
///
/// A pool alone fails whoever has waited for [`ACQUIRE_TIMEOUT`], be it that the database is away
/// or that many are ahead. Here a caller waits for its turn for as long as the caller likes, and
/// then finds a free connection or none because the database is away.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pool: PgPool,
    /// As many as the pool has connections. `None` for whoever takes what comes.
    turns: Option<Arc<Semaphore>>,
}

/// Keeps a connection from the next in line. Dropped when the connection goes back.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

impl Turns {
    /// Turns on the connections of `pool`, which nobody else uses.
    pub(crate) fn in_order(pool: PgPool) -> Self {
        let connections = pool.options().get_max_connections();
        let turns = Semaphore::new(usize::try_from(connections).unwrap_or(1));
        Self {
            pool,
            turns: Some(Arc::new(turns)),
        }
    }

    /// Connections of a pool that others use without turns.
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

/// Why work on the database has no result. A refusal is not among these.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or does not accept work. Trying again later helps.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// No answer in time. The work may still come about.
    #[error("the database did not answer in time")]
    Timeout,
    /// Another transaction was in the way; repeating the whole transaction helps.
    #[error("the transaction has to be repeated")]
    Contended(#[source] sqlx::Error),
    /// A row says something that cannot be.
    #[error("{table} holds an impossible value: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A statement of ours is wrong, or a task of ours broke.
    #[error("a statement failed")]
    Bug(#[source] sqlx::Error),
    /// A task ended without a result.
    #[error("a task broke")]
    TaskBroke,
}

impl StoreError {
    /// Whether what the database holds is in the way, so that the same comes of trying again.
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

    /// The same for someone else who waited for the same work.
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
                // Connection failures, shutdown, too many connections, a demoted primary.
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

/// Runs work on the database in tasks of its own.
///
/// A handler's future is dropped when its client goes away. sqlx 0.9 returns a connection whose
/// `begin` was dropped to the pool with the transaction still open, so no handler may hold one:
/// it waits for a task instead, and the task always runs to its end.
#[derive(Clone, Debug)]
pub(crate) struct Work(TaskTracker);

impl Work {
    pub(crate) fn new(tracker: TaskTracker) -> Self {
        Self(tracker)
    }

    /// Runs `work` and waits for it as long as a customer should have to.
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

    /// Starts `work` and does not wait for it.
    pub(crate) fn start<Fut>(&self, work: Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(work);
    }
}
