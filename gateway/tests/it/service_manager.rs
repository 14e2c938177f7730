//! What systemd and images are told by the program itself: signs of life, health, the schema.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use test_support::database::TestDatabase;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::starting::{PROGRAM, Process, home};

/// How long the gateway may take to tell something.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// The next message to the service manager.
async fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let received = tokio::time::timeout(WAIT_MAX, socket.recv(&mut buffer)).await;
    let length = received.expect("nothing was told").unwrap();
    String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
}

fn start_with_manager(home: &Path, database: &TestDatabase, socket: &Path) -> Child {
    let log = File::create(home.join("gateway.log")).unwrap();
    Command::new(PROGRAM)
        .current_dir(home)
        .env_clear()
        .env("ROPELINE_LISTEN", "127.0.0.1:0")
        .env("ROPELINE_OPS_LISTEN", "127.0.0.1:0")
        .env("ROPELINE_DATABASE_URL", database.url())
        .env("ROPELINE_REDIS_URL", database.redis_url())
        .env("ROPELINE_SHUTDOWN_DELAY_SECONDS", "0")
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", "300000")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_service_manager_is_told_of_the_start_of_life_and_of_the_end() {
    let (home, database) = (home(), TestDatabase::create().await);
    let socket = home.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut gateway = start_with_manager(home.path(), &database, &socket);
    assert_eq!(told(&manager).await, "READY=1");
    // Twice, so that it is not a single sign.
    for _ in 0..2 {
        assert_eq!(told(&manager).await, "WATCHDOG=1");
    }
    let pid = gateway.id().expect("it runs").try_into().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    while told(&manager).await != "STOPPING=1" {}
    let ended = tokio::time::timeout(WAIT_MAX, gateway.wait()).await;
    assert!(ended.expect("it does not end").unwrap().success());
}

/// Runs a command of the program with these variables; whether it went well, and its words.
async fn run(command: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(PROGRAM)
        .arg(command)
        .current_dir(std::env::temp_dir())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), words)
}

#[tokio::test]
async fn health_says_whether_the_gateway_here_is_ready() {
    let (home, database) = (home(), TestDatabase::create().await);
    let mut gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &[]);
    gateway.becomes_ready().await;
    let ops = gateway.announced().unwrap()["opsUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let ops = ops.strip_prefix("http://").unwrap();
    let asked = [("ROPELINE_OPS_LISTEN", ops)];
    assert_eq!(run("health", &asked).await, (true, String::new()));
    gateway.stop().await;
    let (is_well, words) = run("health", &asked).await;
    assert!(!is_well && words.contains("does not answer"), "{words}");
}

#[tokio::test]
async fn a_migration_makes_the_schema_and_can_be_repeated() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql("drop schema public cascade; create schema public")
        .execute(&mut connection)
        .await
        .unwrap();
    let url = database.url();
    for _ in 0..2 {
        let (is_well, words) = run("migrate", &[("ROPELINE_DATABASE_URL", &url)]).await;
        assert!(is_well && words.contains("up to date"), "{words}");
        let rooms: Option<String> = sqlx::query_scalar("select to_regclass('rooms')::text")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(rooms.as_deref(), Some("rooms"));
    }
    let (is_well, words) = run("migrate", &[]).await;
    assert!(
        !is_well && words.contains("ROPELINE_DATABASE_URL is not set"),
        "{words}"
    );
}
