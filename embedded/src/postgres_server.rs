//! The private PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::account::Account;
use crate::binaries::{PostgresPrograms, Search};
use crate::child::{Child, Launch};
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::leftover::{PidNote, works_in};
use crate::restarts::Restart;
use crate::secret;
use crate::server_life::{Durability, STOP_MAX, describe, wait_ready};

const NAME: &str = "PostgreSQL";
/// How long `initdb` and the first statements may take, each.
const SET_UP_MAX: Duration = Duration::from_mins(2);
/// Settings of every private server.
const SETTINGS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=128MB",
    "max_wal_size=512MB",
    "wal_compression=on",
    "idle_in_transaction_session_timeout=60s",
    "password_encryption=scram-sha-256",
    "timezone=UTC",
    "log_timezone=UTC",
    // Our own log is bounded; the server's collector is not.
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=warning",
    "log_line_prefix=%m [%p] ",
];
const DURABLE: [&str; 2] = ["synchronous_commit=on", "max_connections=100"];
/// Tests open many pools at once, and lose nothing worth keeping.
const THROWAWAY: [&str; 4] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
];

/// A private PostgreSQL and what is needed to start it again.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    programs: PostgresPrograms,
    search: Search,
    account: Account,
    data: PathBuf,
    log: PathBuf,
    note: PidNote,
    admin_password: String,
    password: String,
    port: u16,
    durability: Durability,
    child: Option<Child>,
}

impl PostgresServer {
    /// Prepares the data; a leftover of it is stopped.
    pub(crate) async fn prepare(
        data_dir: &DataDir,
        search: &Search,
        durability: Durability,
    ) -> Result<PostgresServer, StartError> {
        let home = data_dir.server_dir("postgres")?;
        let data = home.join("data");
        let programs = search.postgres(&data)?;
        let note = PidNote {
            server: NAME,
            file: data_dir.own_file("postgres.pid"),
            home: data.clone(),
            command_line: data.display().to_string(),
        };
        note.stop_leftover(Signal::SIGINT).await?;
        let server = PostgresServer {
            programs,
            search: search.clone(),
            account: data_dir.account(),
            log: data_dir.own_file("postgres.log"),
            note,
            admin_password: secret::password(&data_dir.own_file("postgres-admin.password"))?,
            password: secret::password(&data_dir.own_file("postgres.password"))?,
            port: 0,
            durability,
            child: None,
            data,
        };
        if server.data.join("PG_VERSION").exists() {
            server.remove_foreign_pid_file();
        } else {
            server.set_up(&home).await?;
        }
        Ok(server)
    }

    /// Starts the server on this port and waits until it accepts connections.
    pub(crate) async fn start(&mut self, port: u16) -> Result<(), StartError> {
        self.port = port;
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data.clone().into()];
        let durability: &[&str] = match self.durability {
            Durability::Durable => &DURABLE,
            Durability::Throwaway => &THROWAWAY,
        };
        for setting in SETTINGS.iter().chain(durability) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        arguments.extend(["-c".into(), format!("port={port}").into()]);
        let launch = self.launch(self.programs.postgres.clone(), arguments, String::new());
        let child = self.child.insert(Child::start(launch, &self.search).await?);
        self.note.write(child.pid())?;
        let (data, pid) = (self.data.as_path(), child.pid());
        wait_ready(NAME, child, async || says_ready(data, pid)).await
    }

    /// URL of the database of the application, as the role that owns it.
    pub(crate) fn url(&self) -> String {
        application_url(&self.password, self.port)
    }

    /// URL of the maintenance database, as superuser.
    pub(crate) fn admin_url(&self) -> String {
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/postgres",
            self.admin_password, self.port
        )
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.stop(STOP_MAX).await;
            self.note.remove();
        }
    }

    /// Makes the data beside its place and moves it there when complete, so that an interrupted start leaves nothing half made.
    async fn set_up(&self, home: &Path) -> Result<(), StartError> {
        let unfinished = home.join("data.unfinished");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StartError::file("remove", &unfinished)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let password_file = home.join("admin-password");
        secret::write_private(&password_file, &self.admin_password)?;
        self.account.own(&password_file)?;
        let initialised = self.initialise(&unfinished, &password_file).await;
        fs::remove_file(&password_file).map_err(StartError::file("remove", &password_file))?;
        initialised?;
        self.create_database(&unfinished).await?;
        fs::rename(&unfinished, &self.data).map_err(StartError::file("create", &self.data))
    }

    async fn initialise(&self, data: &Path, password_file: &Path) -> Result<(), StartError> {
        let mut arguments: Vec<OsString> = [
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
        ]
        .map(OsString::from)
        .to_vec();
        if self.durability == Durability::Throwaway {
            arguments.push("--no-sync".into());
        }
        arguments.extend([
            "--pwfile".into(),
            password_file.into(),
            "-D".into(),
            data.into(),
        ]);
        let launch = self.launch(self.programs.initdb.clone(), arguments, String::new());
        self.run("initdb", launch).await.map(drop)
    }

    /// Creates the application's role and database before the server is reachable for anyone.
    async fn create_database(&self, data: &Path) -> Result<(), StartError> {
        let mut arguments: Vec<OsString> = vec!["--single".into(), "-D".into(), data.into()];
        if self.durability == Durability::Throwaway {
            arguments.extend(["-c".into(), "fsync=off".into()]);
        }
        arguments.extend(["-c".into(), "exit_on_error=on".into(), "postgres".into()]);
        let statements = format!(
            "CREATE ROLE ropeline LOGIN PASSWORD '{}'\nCREATE DATABASE ropeline OWNER ropeline\n",
            self.password
        );
        let launch = self.launch(self.programs.postgres.clone(), arguments, statements);
        self.run("postgres --single", launch).await.map(drop)
    }

    async fn run(&self, program: &'static str, launch: Launch) -> Result<(), StartError> {
        let mut child = Child::start(launch, &self.search).await?;
        match tokio::time::timeout(SET_UP_MAX, child.ended()).await {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(_) | Err(_) => Err(StartError::SetUp {
                program,
                output: child.log_tail(),
            }),
        }
    }

    fn launch(&self, program: PathBuf, arguments: Vec<OsString>, input: String) -> Launch {
        Launch {
            name: NAME,
            program,
            arguments,
            environment: vec![],
            input,
            account: self.account,
            // Fast shutdown: sessions end, work is saved.
            stop_signal: Signal::SIGINT,
            log: self.log.clone(),
        }
    }

    /// After a crash PostgreSQL takes any process of its account with the old id for itself and refuses to start.
    fn remove_foreign_pid_file(&self) {
        let file = self.data.join("postmaster.pid");
        let pid = fs::read_to_string(&file).ok().and_then(|text| {
            text.lines()
                .next()
                .and_then(|line| line.trim().parse::<i32>().ok())
        });
        let Some(pid) = pid else {
            return;
        };
        if !works_in(pid, &self.data, &self.note.command_line)
            && let Err(error) = fs::remove_file(&file)
        {
            tracing::warn!(file = %file.display(), %error, "could not remove a stale pid file");
        }
    }
}

impl Restart for PostgresServer {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ended(&mut self) -> String {
        describe(self.child.as_mut()).await
    }

    async fn restart(&mut self) -> Result<(), StartError> {
        self.start(self.port).await
    }
}

/// URL of the application's database of a private server.
pub(crate) fn application_url(password: &str, port: u16) -> String {
    format!("postgres://ropeline:{password}@127.0.0.1:{port}/ropeline")
}

/// Whether the server's own status file says it accepts connections.
fn says_ready(data: &Path, pid: i32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let mut lines = text.lines().map(str::trim);
    // First line: process id. Eighth line: status.
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}
