//! What all figures share: private servers, and a directory that goes away afterwards.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embedded::{Servers, Want};
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::processes::descendants_named;

/// Names of the servers' programs. The kernel keeps 15 letters of a name.
const REDIS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];
const POSTGRES_NAME: &str = "postgres";

/// Private servers, with durable data as in production.
pub(crate) struct Stage {
    binary: PathBuf,
    servers: Servers,
    dir: TempDir,
}

impl Stage {
    /// Starts the servers with their data in `scratch`.
    pub(crate) async fn set(binary: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let binary = binary.to_owned();
        let dir = tempfile::Builder::new()
            .prefix("ropeline-bench-")
            .tempdir_in(scratch)?;
        // Servers run as an account of their own when we are root; it has to get to its data.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
        let want = Want {
            redis: true,
            postgres: true,
        };
        let servers = Servers::start(&dir.path().join("servers"), want).await?;
        Ok(Self {
            binary,
            servers,
            dir,
        })
    }

    /// Starts a gateway.
    pub(crate) async fn gateway(&self) -> anyhow::Result<Gateway> {
        self.gateway_of(&self.binary).await
    }

    /// Starts a gateway with these settings.
    pub(crate) async fn gateway_with(
        &self,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Gateway> {
        Gateway::start(&self.binary()?, self.dir.path(), &self.servers, settings).await
    }

    /// The gateway's program; the other programs are beside it.
    pub(crate) fn binary(&self) -> anyhow::Result<PathBuf> {
        let found = self.binary.canonicalize();
        found.with_context(|| format!("{} is not built", self.binary.display()))
    }

    /// Starts a gateway that may be of another version.
    pub(crate) async fn gateway_of(&self, binary: &Path) -> anyhow::Result<Gateway> {
        let binary = binary
            .canonicalize()
            .with_context(|| format!("{} is not built", binary.display()))?;
        Gateway::start(&binary, self.dir.path(), &self.servers, &[]).await
    }

    /// Where files may be put.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The database that gateways use.
    pub(crate) fn database_url(&self) -> anyhow::Result<String> {
        self.servers.database_url().context("no database")
    }

    /// The processes of Redis.
    pub(crate) fn redis_pids() -> Vec<u32> {
        let names = REDIS_NAMES.into_iter();
        names.flat_map(descendants_named).collect()
    }

    /// The processes of PostgreSQL. Each connection has one.
    pub(crate) fn postgres_pids() -> Vec<u32> {
        descendants_named(POSTGRES_NAME)
    }

    /// Stops the servers and removes their data.
    pub(crate) async fn clear(self) {
        self.servers.stop().await;
    }
}
