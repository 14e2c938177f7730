//! PgBouncer before a test's database.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::database::TestDatabase;
use crate::redis_server::free_port;
use crate::waiting::eventually;

/// A PgBouncer process.
pub struct PgBouncer {
    port: u16,
    _directory: TempDir,
    _process: Child,
}

impl PgBouncer {
    /// Starts one with these lines in its configuration.
    pub async fn start(database: &TestDatabase, lines: &str) -> Self {
        let (port, directory) = (free_port().await, tempfile::tempdir().unwrap());
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, configuration(database, port, lines)).unwrap();
        let process = Command::new("pgbouncer")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("pgbouncer: {error}"));
        let bouncer = Self {
            port,
            _directory: directory,
            _process: process,
        };
        eventually("PgBouncer", async || {
            TcpStream::connect(bouncer.address()).await.ok()
        })
        .await;
        bouncer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

fn configuration(database: &TestDatabase, port: u16, lines: &str) -> String {
    let (server, user, password) = database.server_login();
    let (host, server_port) = server.rsplit_once(':').unwrap();
    // It does not run as root.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let own_user = if is_root { "user = nobody" } else { "" };
    format!(
        "[databases]\n\
         * = host={host} port={server_port} user={user} password='{password}'\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = any\ndefault_pool_size = 50\n{own_user}\n{lines}\n"
    )
}
