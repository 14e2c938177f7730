//! The load test as people start it, against a stand-in for the gateway whose promises can be
//! switched off one by one: the exit status must say which runs were fair.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod defect;
mod fake_gateway;
mod fake_shop;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use defect::Defect;
use fake_gateway::FakeGateway;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};

/// How long a process may take to end.
const END_MAX: Duration = Duration::from_mins(1);

fn command(gateway: &FakeGateway, what: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeline-loadtest"));
    let names_a_show = more.iter().any(|it| it.starts_with("--show="));
    let show = (!names_a_show).then_some("--show=show");
    command
        .args([what, "--url", gateway.url(), "--ops-url", gateway.url()])
        .args(["--token", "t", "--room", "eras"])
        .args(show)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn end_of(child: Child) -> Output {
    tokio::time::timeout(END_MAX, child.wait_with_output())
        .await
        .expect("the process ends in time")
        .unwrap()
}

fn report(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Sends 60 fans of whom 12 buy from ten seats; gives back the exit status and the report.
async fn fans(defect: Option<Defect>) -> (i32, Value) {
    let gateway = FakeGateway::start(defect, true).await;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let settings = [
        "--fans=60",
        "--over=500ms",
        "--arrivals=spike",
        "--sockets=30",
        "--buyers=12",
        "--drifters=0.1",
        "--double-claims=0.5",
        "--rejoins=0.5",
        "--declined-cards=0.3",
        "--no-shows=0.05",
        "--claim-delay=100ms",
        "--think=200ms",
        "--settle=0s",
        "--max-duration=30s",
        "--payment-secret=s",
    ];
    let child = command(&gateway, "run", &settings)
        .arg("--json")
        .arg(&json)
        .spawn()
        .unwrap();
    let output = end_of(child).await;
    let code = output.status.code().unwrap();
    assert!(json.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    (code, report(&json))
}

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["audit"].as_array().unwrap();
    findings.iter().find(|it| it["check"] == check).unwrap()
}

async fn is_caught(defect: Defect, check: &str) {
    let (code, report) = fans(Some(defect)).await;
    let finding = finding(&report, check);
    assert_eq!(finding["verdict"], "fail", "{report:#}");
    assert!(!finding["examples"].as_array().unwrap().is_empty());
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_fair_sale_ends_with_status_zero() {
    let (code, report) = fans(None).await;
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["counts"]["joined"], 60);
    for check in [
        "places lost",
        "places doubled",
        "admission log",
        "order",
        "rate, upper bound",
        "cap",
        "passes logged",
        "redeem once",
        "oversold",
        "holds",
        "seat map",
        "double charges",
        "server invariants",
    ] {
        assert_eq!(finding(&report, check)["verdict"], "pass", "{check}");
    }
    let figure =
        |check: &str, name: &str| finding(&report, check)["figures"][name].as_f64().unwrap();
    assert!(figure("oversold", "bookings") >= 3.0);
    assert!(figure("order", "fansCompared") >= 20.0);
    assert!(figure("redeem once", "claimedTwiceAtOnce") >= 5.0);
    assert!(figure("places doubled", "rejoins") >= 10.0);
    let steps = report["latencies"].as_array().unwrap();
    for step in [
        "join",
        "firstStatus",
        "pushDelay",
        "claim",
        "hold",
        "payment",
        "confirm",
    ] {
        assert!(steps.iter().any(|it| it["step"] == step), "{step}");
    }
}

#[tokio::test]
async fn a_place_given_twice_is_caught() {
    is_caught(Defect::DoublePlace, "places doubled").await;
}

#[tokio::test]
async fn a_forgotten_place_is_caught() {
    is_caught(Defect::LostPlace, "places lost").await;
}

#[tokio::test]
async fn an_inversion_is_caught() {
    is_caught(Defect::Inversion, "order").await;
}

#[tokio::test]
async fn a_pass_before_its_log_line_is_caught() {
    is_caught(Defect::UnloggedPass, "passes logged").await;
}

#[tokio::test]
async fn a_second_session_of_one_call_is_caught() {
    is_caught(Defect::SecondSession, "redeem once").await;
}

#[tokio::test]
async fn calls_above_the_rate_are_caught() {
    is_caught(Defect::TooFast, "rate, upper bound").await;
}

#[tokio::test]
async fn sessions_above_the_cap_are_caught() {
    is_caught(Defect::OverCap, "cap").await;
}

#[tokio::test]
async fn a_seat_sold_twice_is_caught() {
    is_caught(Defect::Oversell, "oversold").await;
}

#[tokio::test]
async fn a_double_charge_is_caught() {
    is_caught(Defect::DoubleCharge, "double charges").await;
}

#[tokio::test]
async fn an_interrupted_run_is_audited_all_the_same() {
    let gateway = FakeGateway::start(None, false).await;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let child = command(&gateway, "run", &["--fans=40", "--over=1s", "--sockets=20"])
        .arg("--json")
        .arg(&json)
        .spawn()
        .unwrap();
    gateway.until_joined(40).await;
    signal(&child, Signal::SIGINT);
    let output = end_of(child).await;
    assert_eq!(output.status.code(), Some(0));
    let report = report(&json);
    assert_eq!(report["cutShort"], true);
    assert_eq!(finding(&report, "places lost")["figures"]["places"], 40.0);
}

#[tokio::test]
async fn the_demo_sends_fans_until_it_is_told_to_stop() {
    let gateway = FakeGateway::start(None, true).await;
    let settings = ["--fans-per-minute=1200", "--think=1s", "--fans-max=50"];
    let child = command(&gateway, "demo", &settings).spawn().unwrap();
    gateway.until_joined(30).await;
    signal(&child, Signal::SIGTERM);
    let output = end_of(child).await;
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("demo over"), "{told}");
}

#[tokio::test]
async fn a_run_that_cannot_be_made_says_why() {
    let gateway = FakeGateway::start(None, true).await;
    for (settings, why) in [
        (&["--fans=1000000", "--sockets=1000000"][..], "--processes"),
        (
            &["--processes=2", "--process-index=2"][..],
            "--process-index",
        ),
    ] {
        is_refused(&gateway, settings, why).await;
    }
    gateway.refuse_operators();
    is_refused(&gateway, &[], "401").await;
}

#[tokio::test]
async fn buyers_who_wait_in_a_room_that_does_not_protect_the_show_are_not_sent() {
    let gateway = FakeGateway::start(None, true).await;
    let why = "room eras does not protect show guarded, room other does";
    is_refused(&gateway, &["--show=guarded", "--buyers=1"], why).await;
}

async fn is_refused(gateway: &FakeGateway, settings: &[&str], why: &str) {
    let child = command(gateway, "run", settings).spawn().unwrap();
    let output = end_of(child).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains(why), "{told}");
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}
