//! The `with-servers` program.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::outside::{eventually, is_open, port};

/// What the command under `with-servers` says about itself.
const INTRODUCTION: &str =
    "echo $$ $ROPELINE_TEST_REDIS_URL $ROPELINE_TEST_DATABASE_URL; exec sleep 600";

struct Introduced {
    parent: Child,
    command_pid: Pid,
    ports: [u16; 2],
}

fn with_servers(temp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-servers"));
    command
        .env("TMPDIR", temp)
        .args(["--redis", "--postgres", "--"]);
    command
}

fn start(temp: &Path) -> Introduced {
    let mut parent = with_servers(temp)
        .args(["sh", "-c", INTRODUCTION])
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    Introduced {
        parent,
        command_pid: Pid::from_raw(words[0].parse().unwrap()),
        ports: [port(words[1]), port(words[2])],
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn entry_count(temp: &Path) -> usize {
    fs::read_dir(temp).unwrap().count()
}

#[test]
fn exit_status_is_passed_on() {
    let temp = tempfile::tempdir().unwrap();

    let status = with_servers(temp.path())
        .args(["sh", "-c", "exit 7"])
        .status()
        .unwrap();

    assert_eq!(status.code(), Some(7));
    assert_eq!(entry_count(temp.path()), 0, "the temporary directory stays");
}

#[test]
fn throw_away_data_that_went_elsewhere_is_removed() {
    let temp = tempfile::tempdir().unwrap();
    // Closed to the account that servers run as when we are root: its data goes elsewhere.
    let closed = temp.path().join("closed");
    fs::DirBuilder::new().mode(0o700).create(&closed).unwrap();
    let place = "cat \"$TMPDIR\"/*/servers-location 2>/dev/null";

    let output = with_servers(&closed)
        .args(["sh", "-c", place])
        .output()
        .unwrap();

    let place = String::from_utf8(output.stdout).unwrap();
    assert_eq!(place.is_empty(), !nix::unistd::geteuid().is_root());
    assert!(
        place.is_empty() || !Path::new(place.trim()).exists(),
        "{place} stays"
    );
}

#[tokio::test]
async fn signals_are_passed_on_and_servers_stop() {
    let temp = tempfile::tempdir().unwrap();
    let mut introduced = start(temp.path());
    assert!(introduced.ports.iter().all(|port| is_open(*port)));

    kill(pid(&introduced.parent), Signal::SIGTERM).unwrap();
    let status = introduced.parent.wait().unwrap();

    assert_eq!(status.code(), Some(143));
    assert!(
        kill(introduced.command_pid, None).is_err(),
        "the command still runs"
    );
    assert!(
        !introduced.ports.iter().any(|port| is_open(*port)),
        "a server still runs"
    );
    assert_eq!(entry_count(temp.path()), 0, "the temporary directory stays");
}

#[tokio::test]
async fn killed_parent_leaves_no_server_and_its_directory_is_removed_later() {
    let temp = tempfile::tempdir().unwrap();
    let mut introduced = start(temp.path());

    kill(pid(&introduced.parent), Signal::SIGKILL).unwrap();
    introduced.parent.wait().unwrap();

    eventually("both servers are gone", async || {
        !introduced.ports.iter().any(|port| is_open(*port))
    })
    .await;
    kill(introduced.command_pid, Signal::SIGKILL).unwrap();
    assert_eq!(entry_count(temp.path()), 1);
    let status = with_servers(temp.path()).arg("true").status().unwrap();
    assert!(status.success());
    assert_eq!(entry_count(temp.path()), 0, "the abandoned directory stays");
}
