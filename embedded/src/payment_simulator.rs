//! The payment simulator as a child process.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::account::Account;
use crate::binaries::{Search, is_executable};
use crate::child::{Child, Launch};
use crate::error::StartError;
use crate::restarts::{Restart, RestartsExhausted, keep_running};
use crate::secret;
use crate::servers::describe;

const NAME: &str = "the payment simulator";
const PROGRAM: &str = "ropeline-payment-simulator";
/// What it prints before its address once it accepts connections.
const ANNOUNCEMENT: &str = "listening on ";
/// How long it may take to accept connections.
const READY_MAX: Duration = Duration::from_secs(20);
/// How long it may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(5);

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
}

/// A running payment simulator; dropping it asks it to stop.
pub struct PaymentSimulator {
    program: PathBuf,
    search: Search,
    settings: SimulatorSettings,
    url: String,
    port: u16,
    child: Option<Child>,
}

impl PaymentSimulator {
    /// Starts the simulator: on its port of last time, so that addresses handed out stay good, else on a free one.
    pub async fn start(settings: SimulatorSettings) -> Result<PaymentSimulator, StartError> {
        let search = Search::of_this_machine(&std::env::var_os("PATH").unwrap_or_default());
        let program = find_program(&search)?;
        PaymentSimulator::start_program(program, search, settings).await
    }

    async fn start_program(
        program: PathBuf,
        search: Search,
        settings: SimulatorSettings,
    ) -> Result<PaymentSimulator, StartError> {
        let data_dir = &settings.data_dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(StartError::file("create", data_dir))?;
        let port_file = data_dir.join("payment-simulator.port");
        let port = fs::read_to_string(&port_file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let mut simulator = PaymentSimulator {
            program,
            search,
            settings,
            url: String::new(),
            port,
            child: None,
        };
        match simulator.launch().await {
            Err(error @ StartError::Ended { .. }) if simulator.port != 0 => {
                tracing::warn!(port = simulator.port, %error, "payment simulator takes another port");
                simulator.port = 0;
                simulator.launch().await?;
            }
            outcome => outcome?,
        }
        secret::write_private(&port_file, &simulator.port.to_string())?;
        Ok(simulator)
    }

    /// Where it answers, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Restarts the simulator on the same port whenever it ends, a bounded number of times.
    pub async fn supervise(&mut self) -> RestartsExhausted {
        keep_running(Some(self)).await
    }

    /// Stops the simulator.
    pub async fn stop(mut self) {
        if let Some(child) = &mut self.child {
            child.stop(STOP_MAX).await;
        }
    }

    async fn launch(&mut self) -> Result<(), StartError> {
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
            program: self.program.clone(),
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
        let child = self.child.insert(Child::start(launch, &self.search).await?);
        let url = match tokio::time::timeout(READY_MAX, child.announced(ANNOUNCEMENT)).await {
            Ok(Some(url)) => url,
            Ok(None) => {
                return Err(StartError::Ended {
                    server: NAME,
                    output: child.log_tail(),
                });
            }
            Err(_) => {
                let output = child.log_tail();
                return Err(StartError::NotReady {
                    server: NAME,
                    after: READY_MAX,
                    output,
                });
            }
        };
        let port = url
            .rsplit(':')
            .next()
            .and_then(|port| port.trim_end_matches('/').parse().ok());
        self.port = port.ok_or_else(|| StartError::Ended {
            server: NAME,
            output: url.clone(),
        })?;
        self.url = url;
        Ok(())
    }
}

impl Restart for PaymentSimulator {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ended(&mut self) -> String {
        describe(self.child.as_mut()).await
    }

    async fn restart(&mut self) -> Result<(), StartError> {
        self.launch().await
    }
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
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt as _;

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    /// Speaks like the simulator, and takes its own process id for a free port.
    const STAND_IN: &str = "#!/bin/sh\n\
        port=${2##*:}\n\
        [ \"$port\" = 0 ] && port=$((1024 + $$ % 60000))\n\
        [ \"$ROPELINE_PAYMENT_SECRET\" = key ] || exit 1\n\
        echo starting\n\
        echo \"listening on http://127.0.0.1:$port\"\n\
        exec sleep 600\n";

    #[tokio::test]
    async fn port_is_kept_over_restarts_and_starts() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("stand-in");
        fs::write(&program, STAND_IN).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let settings = SimulatorSettings {
            data_dir: dir.path().join("data"),
            secret: "key".to_owned(),
            webhook_secret: "webhook".to_owned(),
            webhook_url: None,
        };
        let start = async || {
            let search = Search::of_this_machine(OsStr::new("/usr/bin:/bin"));
            PaymentSimulator::start_program(program.clone(), search, settings.clone())
                .await
                .unwrap()
        };
        let mut simulator = start().await;
        let url = simulator.url().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");

        let pid = simulator.child.as_ref().unwrap().pid();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        simulator.ended().await;
        simulator.restart().await.unwrap();
        assert_eq!(simulator.url(), url);
        assert_ne!(simulator.child.as_ref().unwrap().pid(), pid);
        simulator.stop().await;

        let simulator = start().await;
        assert_eq!(simulator.url(), url);
        simulator.stop().await;
    }
}
