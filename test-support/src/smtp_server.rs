//! A mail server that takes, puts off, refuses or hangs, as a test says.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::certificates::Certificates;
use crate::redis_server::free_port;
use crate::waiting::eventually;

/// What aiosmtpd runs.
const MODULE: &str = include_str!("smtp_server.py");

/// How messages are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// They are taken.
    Takes,
    /// The recipient is put off with 451.
    PutsOff,
    /// The content is put off with 451.
    PutsOffContent,
    /// The recipient is refused with 550.
    Refuses,
    /// The content is refused with 550.
    RefusesContent,
    /// The content gets no answer.
    Hangs,
}

impl Mood {
    fn word(self) -> &'static str {
        match self {
            Self::Takes => "take",
            Self::PutsOff => "put-off",
            Self::PutsOffContent => "put-off-content",
            Self::Refuses => "refuse",
            Self::RefusesContent => "refuse-content",
            Self::Hangs => "hang",
        }
    }
}

/// A mail server process. What it took stays when it is stopped and started again.
pub struct SmtpServer {
    port: u16,
    directory: TempDir,
    is_utf8: bool,
    /// User and password, if it wants a login, which it takes after STARTTLS only.
    login: Option<(String, String)>,
    process: Option<Child>,
}

impl SmtpServer {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    /// Starts one that takes no addresses beyond ASCII.
    pub async fn start_without_utf8() -> Self {
        Self::start_with(false).await
    }

    /// Starts one that takes mail only after STARTTLS with this certificate, and with this login.
    pub async fn start_with_login(certificates: &Certificates, user: &str, password: &str) -> Self {
        let server = Self::prepared(true).await;
        let files = ["server.pem", "key.pem"].map(|name| server.directory.path().join(name));
        fs::copy(certificates.server(), &files[0]).unwrap();
        fs::copy(certificates.key(), &files[1]).unwrap();
        let mut server = Self {
            login: Some((user.to_owned(), password.to_owned())),
            ..server
        };
        server.run().await;
        server
    }

    async fn start_with(is_utf8: bool) -> Self {
        let mut server = Self::prepared(is_utf8).await;
        server.run().await;
        server
    }

    async fn prepared(is_utf8: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("told_smtp_server.py"), MODULE).unwrap();
        fs::create_dir(directory.path().join("taken")).unwrap();
        Self {
            port: free_port().await,
            directory,
            is_utf8,
            login: None,
            process: None,
        }
    }

    /// Starts it again after [`SmtpServer::stop`].
    pub async fn run(&mut self) {
        let mut command = if let Some((user, password)) = &self.login {
            let mut command = Command::new("/usr/bin/python3");
            command
                .args(["-m", "told_smtp_server", &self.port.to_string()])
                .args([user, password])
                .current_dir(self.directory.path());
            command
        } else {
            let mut command = Command::new("aiosmtpd");
            command.args(["--nosetuid", "--class", "told_smtp_server.Server"]);
            if self.is_utf8 {
                command.arg("--smtputf8");
            }
            command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
            command
        };
        let process = command
            .arg(self.directory.path().join("taken"))
            .env("PYTHONPATH", self.directory.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("aiosmtpd: {error}"));
        self.process = Some(process);
        eventually("the mail server", async || {
            TcpStream::connect(self.address()).await.ok()
        })
        .await;
    }

    /// Kills it.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address())
    }

    /// How it answers from now on.
    pub fn mood(&self, mood: Mood) {
        self.tell(mood.word().to_owned());
    }

    /// How it answers from now on for this recipient; all others are taken.
    pub fn mood_for(&self, recipient: &str, mood: Mood) {
        self.tell(format!("{}\n{recipient}", mood.word()));
    }

    fn tell(&self, mood: String) {
        let taken = self.directory.path().join("taken");
        fs::write(taken.join("mood.new"), mood).unwrap();
        fs::rename(taken.join("mood.new"), taken.join("mood")).unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("taken")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_message = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "eml");
        paths.filter(is_message).collect()
    }

    /// How many messages it took.
    pub fn taken_count(&self) -> usize {
        self.files().len()
    }

    /// Every message that it took, in the order of arrival.
    pub fn taken(&self) -> Vec<String> {
        let mut paths = self.files();
        paths.sort();
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        paths.into_iter().map(read).collect()
    }
}
