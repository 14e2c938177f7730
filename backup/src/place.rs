//! Which database is meant: a named one, or the private one of a data directory, started where
//! nobody runs it.

use std::path::{Path, PathBuf};

use embedded::{PrivateDatabase, Servers, Want, private_database};

use crate::address::Address;
use crate::error::BackupError;
use crate::kept::private_directory;

/// Where private servers are in a data directory.
const SERVERS: &str = "servers";

/// A database that can be reached.
pub struct Place {
    address: Address,
    /// Servers that run for the time of the command.
    servers: Option<Servers>,
}

impl Place {
    /// The database to back up.
    pub async fn to_back_up(data_dir: &Path, url: Option<&str>) -> Result<Self, BackupError> {
        if let Some(url) = url {
            return Self::named(url);
        }
        match private_database(&data_dir.join(SERVERS))? {
            PrivateDatabase::Absent => Err(BackupError::NoDatabase(data_dir.to_path_buf())),
            PrivateDatabase::Unready => Err(BackupError::Unready(data_dir.to_path_buf())),
            PrivateDatabase::Running { url } => Self::named(&url),
            PrivateDatabase::Stopped => Self::started(data_dir).await,
        }
    }

    /// The database to restore into. A private one is made where there is none.
    pub async fn to_restore_into(data_dir: &Path, url: Option<&str>) -> Result<Self, BackupError> {
        if let Some(url) = url {
            return Self::named(url);
        }
        match private_database(&data_dir.join(SERVERS))? {
            PrivateDatabase::Running { .. } | PrivateDatabase::Unready => {
                Err(BackupError::GatewayRuns(data_dir.to_path_buf()))
            }
            PrivateDatabase::Absent | PrivateDatabase::Stopped => Self::started(data_dir).await,
        }
    }

    fn named(url: &str) -> Result<Self, BackupError> {
        Ok(Self {
            address: Address::parse(url)?,
            servers: None,
        })
    }

    async fn started(data_dir: &Path) -> Result<Self, BackupError> {
        let want = Want {
            redis: false,
            postgres: true,
        };
        private_directory(data_dir)?;
        let servers = Servers::start(&data_dir.join(SERVERS), want).await?;
        let url = servers.database_url();
        let url = url.ok_or_else(|| BackupError::NoDatabase(PathBuf::from(data_dir)))?;
        Ok(Self {
            address: Address::parse(&url)?,
            servers: Some(servers),
        })
    }

    /// The address of the database.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Stops what was started for it.
    pub async fn leave(self) {
        if let Some(servers) = self.servers {
            servers.stop().await;
        }
    }
}
