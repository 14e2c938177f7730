//! The payment simulator as a child process.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::TcpSocket;
use tokio::time::Instant;

use crate::account::Account;
use crate::binaries::{Search, is_executable};
use crate::child::{Child, Launch};
use crate::error::StartError;
use crate::secret;
use crate::server_life::describe;

const NAME: &str = "the payment simulator";
const PROGRAM: &str = "ropeline-payment-simulator";
/// What it prints before its address once it accepts connections.
const ANNOUNCEMENT: &str = "listening on ";
/// How long it may take to accept connections.
const READY_MAX: Duration = Duration::from_secs(20);
/// How long it may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Pause before the first new start; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a new start.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// One that ran this long is started again at once.
const STEADY_AFTER: Duration = Duration::from_mins(10);

/// How to run the payment simulator.
#[derive(Clone)]
pub struct SimulatorSettings {
    /// Where it keeps its payments and its port.
    pub data_dir: PathBuf,
    /// The secret its callers present.
    pub secret: String,
    /// The secret its notices are signed with.
    pub webhook_secret: String,
    /// Where its notices go.
    pub webhook_url: Option<String>,
    /// Its program; looked for beside this program and in PATH when absent.
    pub program: Option<PathBuf>,
}

/// A payment simulator that has its address and runs when it is told to; dropping it asks it to
/// stop.
pub struct PaymentSimulator {
    settings: SimulatorSettings,
    url: String,
    port: u16,
    /// Keeps the port from others while the simulator does not run.
    reserved: Option<TcpSocket>,
    child: Option<Child>,
}

impl PaymentSimulator {
    /// Makes the data directory and takes a port: that of last time, so that addresses handed out
    /// stay good, else a free one. Needs a Tokio runtime and starts nothing.
    pub fn prepare(mut settings: SimulatorSettings) -> Result<PaymentSimulator, StartError> {
        let data_dir = &settings.data_dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(StartError::file("create", data_dir))?;
        // The child works in another directory, where a relative path means something else.
        settings.data_dir = data_dir
            .canonicalize()
            .map_err(StartError::file("resolve", data_dir))?;
        let port_file = settings.data_dir.join("payment-simulator.port");
        let noted = fs::read_to_string(&port_file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let (reserved, port) = reserve(noted)?;
        secret::write_private(&port_file, &port.to_string())?;
        Ok(PaymentSimulator {
            settings,
            url: format!("http://127.0.0.1:{port}"),
            port,
            reserved: Some(reserved),
            child: None,
        })
    }

    /// Where it answers while it runs, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the simulator, and starts it again whenever it ends or cannot be started. Never
    /// gives up: whoever needs it sees that it does not answer, and nobody else is concerned.
    pub async fn keep_running(&mut self) -> Infallible {
        let mut pause = PAUSE_MIN;
        loop {
            let since = Instant::now();
            match self.launch().await {
                Ok(()) => {
                    tracing::info!(url = self.url, "the payment simulator runs");
                    let status = describe(self.child.as_mut()).await;
                    tracing::error!(status, "the payment simulator ended");
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the payment simulator does not start");
                }
            }
            if since.elapsed() >= STEADY_AFTER {
                pause = PAUSE_MIN;
            }
            tokio::time::sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    /// Stops the simulator.
    pub async fn stop(mut self) {
        if let Some(child) = &mut self.child {
            child.stop(STOP_MAX).await;
        }
    }

    async fn launch(&mut self) -> Result<(), StartError> {
        let search = Search::of_this_machine(&std::env::var_os("PATH").unwrap_or_default());
        let program = match &self.settings.program {
            Some(program) => program.clone(),
            None => find_program(&search)?,
        };
        let settings = &self.settings;
        let mut arguments: Vec<OsString> = vec![
            "--listen".into(),
            format!("127.0.0.1:{}", self.port).into(),
            "--data-dir".into(),
            settings.data_dir.clone().into(),
        ];
        if let Some(webhook_url) = &settings.webhook_url {
            arguments.extend(["--webhook-url".into(), webhook_url.into()]);
        }
        let launch = Launch {
            name: NAME,
            program,
            arguments,
            environment: vec![
                ("ROPELINE_PAYMENT_SECRET", OsString::from(&settings.secret)),
                (
                    "ROPELINE_PAYMENT_WEBHOOK_SECRET",
                    OsString::from(&settings.webhook_secret),
                ),
            ],
            input: String::new(),
            account: Account::Own,
            stop_signal: Signal::SIGTERM,
            log: settings.data_dir.join("payment-simulator.log"),
        };
        self.reserved = None;
        let child = self.child.insert(Child::start(launch, &search).await?);
        match tokio::time::timeout(READY_MAX, child.announced(ANNOUNCEMENT)).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(StartError::Ended {
                server: NAME,
                output: child.log_tail(),
            }),
            Err(_) => {
                let output = child.log_tail();
                child.stop(STOP_MAX).await;
                Err(StartError::NotReady {
                    server: NAME,
                    after: READY_MAX,
                    output,
                })
            }
        }
    }
}

/// A socket bound to the wanted port, or to a free one. It does not listen, so that connections
/// are refused at once.
fn reserve(wanted: Option<u16>) -> Result<(TcpSocket, u16), StartError> {
    let bind = |port: u16| {
        let socket = TcpSocket::new_v4()?;
        // Connections of an earlier run may linger on the port.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
        let port = socket.local_addr()?.port();
        std::io::Result::Ok((socket, port))
    };
    if let Some(port) = wanted {
        match bind(port) {
            Ok(reserved) => return Ok(reserved),
            Err(error) => {
                tracing::warn!(port, %error, "payment simulator takes another port");
            }
        }
    }
    bind(0).map_err(StartError::file(
        "find a free port on",
        Path::new("127.0.0.1"),
    ))
}

/// Beside this program, beside its parent directory (where tests run), then in PATH.
fn find_program(search: &Search) -> Result<PathBuf, StartError> {
    let current = std::env::current_exe().ok();
    current
        .iter()
        .flat_map(|current| current.ancestors().skip(1).take(2))
        .map(|directory| directory.join(PROGRAM))
        .find(|file| is_executable(file))
        .or_else(|| search.find(PROGRAM))
        .ok_or(StartError::MissingSimulator { program: PROGRAM })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    /// Speaks like the simulator, and writes where it works and what it was told.
    const STAND_IN: &str = "#!/bin/sh\n\
        [ \"$ROPELINE_PAYMENT_SECRET\" = key ] || exit 1\n\
        echo $$ >\"$4/pid\"\n\
        echo \"$PWD $4\" >>\"$4/starts\"\n\
        echo starting\n\
        echo \"listening on http://$2\"\n\
        exec sleep 600\n";

    fn settings(dir: &Path, script: &str) -> SimulatorSettings {
        let program = dir.join("stand-in");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        SimulatorSettings {
            data_dir: dir.join("data of café"),
            secret: "key".to_owned(),
            webhook_secret: "webhook".to_owned(),
            webhook_url: None,
            program: Some(program),
        }
    }

    fn starts(data_dir: &Path) -> usize {
        fs::read_to_string(data_dir.join("starts")).map_or(0, |text| text.lines().count())
    }

    fn pid_of(data_dir: &Path) -> i32 {
        let text = fs::read_to_string(data_dir.join("pid")).unwrap();
        text.trim().parse().unwrap()
    }

    /// Keeps it running until it was started so often.
    async fn until_started(simulator: &mut PaymentSimulator, count: usize) {
        let data_dir = simulator.settings.data_dir.clone();
        let started = async {
            while starts(&data_dir) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            never = simulator.keep_running() => match never {},
            () = started => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("not started"),
        }
    }

    #[tokio::test]
    async fn the_address_is_known_before_the_start_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), STAND_IN);
        let mut simulator = PaymentSimulator::prepare(settings.clone()).unwrap();
        let url = simulator.url().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        assert_eq!(starts(&settings.data_dir), 0);
        until_started(&mut simulator, 1).await;
        simulator.stop().await;
        let again = PaymentSimulator::prepare(settings).unwrap();
        assert_eq!(again.url(), url);
    }

    #[tokio::test]
    async fn a_relative_data_directory_is_ours_and_not_the_childs() {
        // Children work in `/`; tests in the directory of the crate.
        let dir = tempfile::tempdir_in(".").unwrap();
        let relative = Path::new(dir.path().file_name().unwrap());
        assert!(relative.is_relative());
        let settings = SimulatorSettings {
            data_dir: relative.join("data"),
            ..settings(dir.path(), STAND_IN)
        };
        let mut simulator = PaymentSimulator::prepare(settings).unwrap();
        until_started(&mut simulator, 1).await;
        simulator.stop().await;
        let told = fs::read_to_string(dir.path().join("data/starts")).unwrap();
        let home = dir.path().canonicalize().unwrap().join("data");
        assert_eq!(told.trim(), format!("/ {}", home.display()));
    }

    #[tokio::test]
    async fn one_that_ends_is_started_again_at_its_address() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), STAND_IN);
        let mut simulator = PaymentSimulator::prepare(settings.clone()).unwrap();
        let data_dir = settings.data_dir.clone();
        let kills = async {
            // More often than servers are started again before they are given up.
            for count in 1..=6 {
                while starts(&data_dir) < count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let pid = pid_of(&data_dir);
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
        };
        tokio::select! {
            never = simulator.keep_running() => match never {},
            () = kills => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("given up"),
        }
        simulator.stop().await;
    }
}
