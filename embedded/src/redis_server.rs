//! The private Redis.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::account::Account;
use crate::binaries::Search;
use crate::child::{Child, Launch};
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::leftover::PidNote;
use crate::restarts::Restart;
use crate::secret;
use crate::server_life::{Durability, STOP_MAX, describe, wait_ready};

/// Numbered databases. Tests of whole gateways use one each; unused ones cost nothing.
const DATABASES: u16 = 512;
const NAME: &str = "Redis";
/// Connections Redis accepts; with its own files it stays well below 20,000 open files.
const CLIENTS_MAX: u32 = 10_000;
/// Longest answer to the readiness question.
const ANSWER_BYTES_MAX: usize = 512;

/// A private Redis and what is needed to start it again.
#[derive(Debug)]
pub(crate) struct RedisServer {
    program: PathBuf,
    search: Search,
    account: Account,
    home: PathBuf,
    log: PathBuf,
    note: PidNote,
    password: String,
    port: u16,
    durability: Durability,
    child: Option<Child>,
}

impl RedisServer {
    /// Prepares the server's directory; a leftover of it is stopped.
    pub(crate) async fn prepare(
        data: &DataDir,
        search: &Search,
        durability: Durability,
    ) -> Result<RedisServer, StartError> {
        let program = search.redis()?;
        let home = data.server_dir("redis")?;
        let note = PidNote {
            server: NAME,
            file: data.own_file("redis.pid"),
            home: home.clone(),
            command_line: String::new(),
        };
        note.stop_leftover(Signal::SIGTERM).await?;
        Ok(RedisServer {
            program,
            search: search.clone(),
            account: data.account(),
            home,
            log: data.own_file("redis.log"),
            note,
            password: secret::password(&data.own_file("redis.password"))?,
            port: 0,
            durability,
            child: None,
        })
    }

    /// Starts the server on this port and waits until it answers.
    pub(crate) async fn start(&mut self, port: u16) -> Result<(), StartError> {
        self.port = port;
        self.note.command_line = format!("127.0.0.1:{port}");
        let launch = Launch {
            name: NAME,
            program: self.program.clone(),
            arguments: vec!["-".into()],
            environment: vec![],
            input: self.configuration(),
            account: self.account,
            stop_signal: Signal::SIGTERM,
            log: self.log.clone(),
        };
        let child = self.child.insert(Child::start(launch, &self.search).await?);
        self.note.write(child.pid())?;
        let (port, password) = (self.port, self.password.as_str());
        wait_ready(NAME, child, async || answers(port, password).await).await
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.stop(STOP_MAX).await;
            self.note.remove();
        }
    }

    /// The line is kept in an append-only file synced once a second: a crash of the machine loses at most about that.
    fn configuration(&self) -> String {
        let home = self
            .home
            .display()
            .to_string()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        let append_only = match self.durability {
            Durability::Durable => "yes",
            Durability::Throwaway => "no",
        };
        format!(
            "bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass {password}\ndir \"{home}\"\n\
             daemonize no\nlogfile \"\"\nsave \"\"\nappendonly {append_only}\nappendfsync everysec\n\
             maxclients {CLIENTS_MAX}\nmaxmemory-policy noeviction\n\
             databases {DATABASES}\n",
            port = self.port,
            password = self.password,
        )
    }
}

impl Restart for RedisServer {
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

/// Whether Redis has loaded its data and knows our password.
async fn answers(port: u16, password: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream
            .write_all(format!("AUTH {password}\r\nPING\r\nQUIT\r\n").as_bytes())
            .await?;
        let mut answer = vec![0; ANSWER_BYTES_MAX];
        let mut length = 0;
        while length < answer.len() {
            match stream.read(&mut answer[length..]).await? {
                0 => break,
                read => length += read,
            }
        }
        std::io::Result::Ok(answer[..length].windows(5).any(|bytes| bytes == b"+PONG"))
    };
    matches!(
        tokio::time::timeout(Duration::from_secs(1), ask).await,
        Ok(Ok(true))
    )
}
