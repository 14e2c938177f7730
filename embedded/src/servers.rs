//! The servers of one data directory.

use std::net::TcpListener;
use std::path::Path;

use crate::binaries::Search;
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;
use crate::restarts::{RestartsExhausted, keep_running};
use crate::server_life::Durability;

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
