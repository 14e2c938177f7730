//! The servers of one data directory.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::binaries::Search;
use crate::child::Child;
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;
use crate::restarts::{RestartsExhausted, keep_running};

/// How long a server may take until it answers: recovery after a crash reads its log first.
const READY_MAX: Duration = Duration::from_mins(1);
/// How often a starting server is asked.
const READY_INTERVAL: Duration = Duration::from_millis(10);
/// How long a server may take to stop before it is killed; its log then recovers it.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(15);
/// Ports tried when another process takes the free one first.
const PORT_ATTEMPTS_MAX: u32 = 4;

/// Which servers to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Start a private Redis.
    pub redis: bool,
    /// Start a private PostgreSQL.
    pub postgres: bool,
}

/// What the data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Data survives a crash of the machine: PostgreSQL loses nothing committed, Redis at most about a second.
    Durable,
    /// Data may be lost: for tests, where speed counts.
    Throwaway,
}

/// Running private servers.
///
/// Dropping it asks them to stop without waiting; [`Servers::stop`] waits.
#[derive(Debug)]
pub struct Servers {
    redis: Option<RedisServer>,
    postgres: Option<PostgresServer>,
    durability: Durability,
    // Last, so that the directory stays claimed until the servers were told to stop.
    data: DataDir,
}

impl Servers {
    /// Starts the servers with their data in this directory; data that is there already is found again.
    pub async fn start(data_dir: &Path, want: Want) -> Result<Servers, StartError> {
        Servers::start_with(data_dir, want, Durability::Durable).await
    }

    /// Like [`Servers::start`], with a say in what the data is worth.
    pub async fn start_with(
        data_dir: &Path,
        want: Want,
        durability: Durability,
    ) -> Result<Servers, StartError> {
        let search = Search::of_this_machine(&std::env::var_os("PATH").unwrap_or_default());
        let data = DataDir::claim(data_dir)?;
        let redis = async {
            if !want.redis {
                return Ok(None);
            }
            let mut redis = RedisServer::prepare(&data, &search, durability).await?;
            on_a_free_port(async |port| redis.start(port).await).await?;
            Ok(Some(redis))
        };
        let postgres = async {
            if !want.postgres {
                return Ok(None);
            }
            let mut postgres = PostgresServer::prepare(&data, &search, durability).await?;
            on_a_free_port(async |port| postgres.start(port).await).await?;
            Ok(Some(postgres))
        };
        let (redis, postgres) = tokio::try_join!(redis, postgres)?;
        Ok(Servers {
            redis,
            postgres,
            durability,
            data,
        })
    }

    /// Why [`Servers::start`] would find no program to run; nothing is started or written.
    pub fn missing_programs(data_dir: &Path, want: Want) -> Vec<StartError> {
        let search = Search::of_this_machine(&std::env::var_os("PATH").unwrap_or_default());
        let redis = want.redis.then(|| search.redis().err()).flatten();
        let postgres = want.postgres.then(|| {
            let data = data_dir.join("postgres").join("data");
            search.postgres(&data).err()
        });
        redis.into_iter().chain(postgres.flatten()).collect()
    }

    /// URL of the private Redis, when there is one.
    pub fn redis_url(&self) -> Option<String> {
        self.redis.as_ref().map(RedisServer::url)
    }

    /// URL of the application's database, as the role that owns it, when there is one.
    pub fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(PostgresServer::url)
    }

    /// URL of the maintenance database as superuser, for backups and for tests that create databases.
    pub fn database_admin_url(&self) -> Option<String> {
        self.postgres.as_ref().map(PostgresServer::admin_url)
    }

    /// Restarts servers that end on their own, on the same port, so that clients reconnect.
    ///
    /// Returns when a server keeps ending; may be cancelled at any point and called again.
    pub async fn supervise(&mut self) -> RestartsExhausted {
        tokio::select! {
            exhausted = keep_running(self.redis.as_mut()) => exhausted,
            exhausted = keep_running(self.postgres.as_mut()) => exhausted,
        }
    }

    /// Stops the servers cleanly; one that does not stop in time is killed.
    pub async fn stop(mut self) {
        let redis = async {
            if let Some(redis) = &mut self.redis {
                redis.stop().await;
            }
        };
        let postgres = async {
            if let Some(postgres) = &mut self.postgres {
                postgres.stop().await;
            }
        };
        tokio::join!(redis, postgres);
        if self.durability == Durability::Throwaway {
            self.data.discard_elsewhere();
        }
    }
}

/// Tries free ports until no other process takes one first.
async fn on_a_free_port(
    mut start: impl AsyncFnMut(u16) -> Result<(), StartError>,
) -> Result<(), StartError> {
    let mut attempt = 1;
    loop {
        match start(free_port()?).await {
            Err(StartError::Ended { output, .. })
                if attempt < PORT_ATTEMPTS_MAX && output.contains("already in use") =>
            {
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

pub(crate) fn free_port() -> Result<u16, StartError> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(StartError::file(
            "find a free port on",
            Path::new("127.0.0.1"),
        ))
}

/// Asks until the server is ready, has ended, or time is up.
pub(crate) async fn wait_ready(
    server: &'static str,
    child: &mut Child,
    mut is_ready: impl AsyncFnMut() -> bool,
) -> Result<(), StartError> {
    let ready = async {
        loop {
            if child.has_ended() {
                return Err(StartError::Ended {
                    server,
                    output: child.log_tail(),
                });
            }
            if is_ready().await {
                return Ok(());
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
    };
    match tokio::time::timeout(READY_MAX, ready).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StartError::NotReady {
            server,
            after: READY_MAX,
            output: child.log_tail(),
        }),
    }
}

/// Waits for the end of a child and says how it ended.
pub(crate) async fn describe(child: Option<&mut Child>) -> String {
    let Some(child) = child else {
        return "not started".to_owned();
    };
    child
        .ended()
        .await
        .map_or_else(|| "unknown".to_owned(), |status| status.to_string())
}
