//! gRPC through the gate, with the client and the server of Python's `grpcio`.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contract::{Problem, SystemClock};
use gateway::proxy::ProxyConfig;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use test_support::certificates::Certificates;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::serving::{Gateway, get, within};
use crate::test_app::{TestApp, World, eventually};

/// A program that is ended when it is dropped, and what it prints.
struct Program {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    async fn line(&mut self) -> String {
        let line = within("a line", self.lines.next_line()).await;
        line.unwrap().unwrap()
    }
}

fn python(script: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc");
    // Debian's packages are seen by its own Python, which may not be the first one found.
    let own = "/usr/bin/python3";
    let mut command = Command::new(if Path::new(own).exists() {
        own
    } else {
        "python3"
    });
    command
        .arg(scripts.join(script))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Starts the service, and gives its port.
async fn service(files: &[PathBuf]) -> (Program, u16) {
    let mut process = python("server.py")
        .args(files)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut program = Program {
        _process: process,
        lines,
    };
    let port = program.line().await.parse().unwrap();
    (program, port)
}

/// Runs a case of the client to its end.
async fn call(address: std::net::SocketAddr, case: &str, more: &[&str]) {
    let mut client = python("client.py");
    let ran = client
        .arg(address.to_string())
        .arg(case)
        .args(more)
        .output();
    let ran = tokio::time::timeout(Duration::from_mins(2), ran).await;
    good(case, &ran.unwrap().unwrap());
}

fn good(case: &str, ran: &Output) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{case}: {said}");
    assert!(ran.stdout.ends_with(b"good\n"), "{case}: {said}");
}

async fn plain() -> (Program, Gateway) {
    let (service, port) = service(&[]).await;
    let gateway = Gateway::before(([127, 0, 0, 1], port).into()).await;
    (service, gateway)
}

#[tokio::test]
async fn a_call_passes_with_what_is_said_before_and_after_it() {
    let (_service, gateway) = plain().await;
    call(gateway.server.addr, "unary", &[]).await;
    call(gateway.server.addr, "status", &[]).await;
}

#[tokio::test]
async fn messages_larger_than_every_window_pass() {
    let (_service, gateway) = plain().await;
    call(gateway.server.addr, "large", &[]).await;
}

#[tokio::test]
async fn both_sides_of_a_call_talk_in_turn() {
    let (_service, gateway) = plain().await;
    call(gateway.server.addr, "talk", &[]).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_is_given_up_at_the_service() {
    let (mut service, gateway) = plain().await;
    call(gateway.server.addr, "cancel", &[]).await;
    let mut cancelled = [service.line().await, service.line().await];
    cancelled.sort();
    assert_eq!(
        cancelled,
        ["cancelled before-the-head", "cancelled by-cancel"]
    );
    call(gateway.server.addr, "deadline", &[]).await;
    assert_eq!(service.line().await, "cancelled by-deadline");
}

#[tokio::test]
async fn an_encrypted_service_is_called_by_http_2() {
    let certificates = Certificates::make();
    let (_service, port) = service(&[certificates.server(), certificates.key()]).await;
    let authority = std::fs::read(certificates.authority()).unwrap();
    let gateway = Gateway::trusting(&format!("https://127.0.0.1:{port}"), &authority).await;
    for case in ["unary", "talk", "large"] {
        call(gateway.server.addr, case, &[]).await;
    }
}

#[tokio::test]
async fn calls_that_last_are_spread_over_connections() {
    let (_service, port) = service(&[]).await;
    let config = ProxyConfig {
        in_flight_per_session_max: 200,
        ..ProxyConfig::default()
    };
    let upstream = ([127, 0, 0, 1], port).into();
    let gateway = Gateway::configured(upstream, config, Arc::new(SystemClock)).await;
    call(gateway.server.addr, "full", &[]).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_holds_up_no_other() {
    let (_service, gateway) = plain().await;
    call(gateway.server.addr, "unread", &[]).await;
}

#[tokio::test]
async fn a_service_that_says_it_is_away_has_failed_and_one_that_refuses_has_not() {
    let (_service, gateway) = plain().await;
    let failures = || gateway.proxy.health(&gateway.upstream).failures;
    call(gateway.server.addr, "status", &[]).await;
    assert_eq!(failures(), 0);
    for number in 1..=3 {
        call(gateway.server.addr, "enough", &[]).await;
        assert_eq!(failures(), number);
    }
}

#[tokio::test]
async fn an_encrypted_service_that_does_not_choose_http_2_is_not_called() {
    let certificates = Certificates::make();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut openssl = Command::new("openssl");
    let _server = openssl
        .args(["s_server", "-quiet", "-www", "-accept", &port, "-cert"])
        .arg(certificates.server())
        .arg("-key")
        .arg(certificates.key())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually("the server", async || {
        let address = format!("127.0.0.1:{port}");
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await;
    let authority = std::fs::read(certificates.authority()).unwrap();
    let gateway = Gateway::trusting(&format!("https://127.0.0.1:{port}"), &authority).await;
    // What it has is a page of HTTP/1, for a GET.
    assert_eq!(get(&gateway.url("/")).await.0, StatusCode::OK);
    let client = http2::Builder::new(TokioExecutor::new());
    let stream = tokio::net::TcpStream::connect(gateway.server.addr)
        .await
        .unwrap();
    let (mut client, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    let mut driven = tokio::task::JoinSet::new();
    driven.spawn(connection);
    let asked = http::Request::post("http://line.test/eras.Cart/Add")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let asked = asked.body(Full::<Bytes>::default()).unwrap();
    let answer = within("the answer", client.send_request(asked))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let problem = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: Problem = serde_json::from_slice(&problem).unwrap();
    assert_eq!(
        problem.detail.as_deref(),
        Some("The service could not be reached.")
    );
}

/// A room whose protected paths are the service's.
async fn gated(upstream: &str) -> (World, TestApp) {
    let world = World::create().await;
    world
        .room(json!({"upstream": upstream, "paths": ["/eras.Cart"]}))
        .await;
    let app = world.gateway().await;
    (world, app)
}

#[tokio::test]
async fn without_a_pass_a_call_gets_a_status_and_with_one_it_passes() {
    let (_service, port) = service(&[]).await;
    let (_world, app) = gated(&format!("http://127.0.0.1:{port}")).await;
    call(app.addr(), "refused", &[]).await;
    let pass = app.join(1).await.claimed(&app).await;
    for case in ["unary", "status", "talk", "large"] {
        call(app.addr(), case, &[&pass]).await;
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_a_status_too() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (_world, app) = gated(&format!("http://{address}")).await;
    let pass = app.join(1).await.claimed(&app).await;
    call(app.addr(), "down", &[&pass]).await;
}

#[tokio::test]
async fn a_call_ends_with_its_session_and_says_so() {
    let (_service, port) = service(&[]).await;
    let (_world, app) = gated(&format!("http://127.0.0.1:{port}")).await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    let mut process = python("client.py")
        .args([&app.addr().to_string(), "ended", &pass])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut client = Program {
        _process: process,
        lines,
    };
    assert_eq!(client.line().await, "inside");
    fan.call(&app, Method::DELETE, "pass").await;
    assert_eq!(client.line().await, "good");
}

#[tokio::test]
async fn more_calls_than_one_connection_takes_go_on_at_once() {
    let (_service, port) = service(&[]).await;
    let (_world, app) = gated(&format!("http://127.0.0.1:{port}")).await;
    // Several fans, as one may not have so many requests at once.
    let mut clients = tokio::task::JoinSet::new();
    for nonce in 1..=4 {
        let pass = app.join(nonce).await.claimed(&app).await;
        let address = app.addr();
        clients.spawn(async move { call(address, "many", &[&pass]).await });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_was_ended_is_over_at_the_service_though_its_client_goes_on() {
    let (mut service, port) = service(&[]).await;
    let (_world, app) = gated(&format!("http://127.0.0.1:{port}")).await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    let stream = tokio::net::TcpStream::connect(app.addr()).await.unwrap();
    let client = http2::Builder::new(TokioExecutor::new());
    let (mut client, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    let mut driven = tokio::task::JoinSet::new();
    driven.spawn(connection);
    let (feed, messages) = crate::serving::channel_body();
    let asked = http::Request::post("http://line.test/eras.Cart/Talk")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("ropeline-pass", &pass);
    let asked = asked.body(messages).unwrap();
    // A word of one letter, with its length before it.
    let word = Bytes::from_static(b"\0\0\0\0\x01a");
    feed.send(word.clone()).await.unwrap();
    let mut answer = within("the head", client.send_request(asked))
        .await
        .unwrap();
    let heard = within("a word", answer.frame()).await.unwrap().unwrap();
    assert!(heard.into_data().unwrap().ends_with(b"heard a"));
    fan.call(&app, Method::DELETE, "pass").await;
    let last = within("the end", answer.frame()).await.unwrap().unwrap();
    assert_eq!(last.into_trailers().unwrap()["grpc-status"], "14");
    // It has half of the stream still, and does not close it.
    assert_eq!(service.line().await, "a talk is over");
    let _sent = feed.send(word).await;
}
