//! A gateway is replaced by another one on the same address, without a connection that is refused.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use test_support::database::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::starting::{PROGRAM, Process, home};

/// How many ask at once.
const CLIENTS: usize = 8;
const CHANGE_MAX: Duration = Duration::from_mins(1);

/// Asks once over a connection of its own.
async fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks again and again until told to stop. How often, and what went wrong.
async fn ask_on(address: String, stop: CancellationToken) -> (usize, Vec<String>) {
    let (mut asked, mut failures) = (0, Vec::new());
    while !stop.is_cancelled() {
        asked += 1;
        match ask(&address).await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => {}
            Ok(answer) => failures.push(answer),
            Err(error) => failures.push(error.to_string()),
        }
    }
    (asked, failures)
}

/// Waits until the gateway with this process id is announced.
async fn announced(data_dir: &Path, process: &Process) -> Value {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(data_dir.join("admin.json"));
        let found = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        if let Some(found) = found.filter(|found: &Value| found["pid"] == process.pid()) {
            return found;
        }
        assert!(began.elapsed() < CHANGE_MAX, "{}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_gateway_is_replaced_twice_and_no_connection_is_refused() {
    let database = TestDatabase::create().await;
    let data = tempfile::tempdir().unwrap();
    let data_dir = data.path().to_str().unwrap();
    let always = [
        "--data-dir",
        data_dir,
        "--shutdown-delay-seconds",
        "1",
        "--rate-browse-address",
        "100000/100000",
    ];
    let homes = [home(), home(), home(), home()];
    let start = |at: usize, arguments: &[&str]| {
        let arguments = [&always[..], arguments].concat();
        Process::start(Path::new(PROGRAM), homes[at].path(), &database, &arguments)
    };
    let mut running = start(0, &[]);
    let found = announced(data.path(), &running).await;
    let address = |name: &str| {
        let url = found[name].as_str().unwrap();
        url.strip_prefix("http://").unwrap().to_owned()
    };
    let (listen, ops) = (address("listenUrl"), address("opsUrl"));
    let addresses = ["--listen", &listen, "--ops-listen", &ops];

    // Only on demand.
    let mut mistake = start(1, &addresses);
    assert_eq!(mistake.ends().await.code(), Some(1), "{}", mistake.log());
    assert!(mistake.log().contains("--take-over"), "{}", mistake.log());

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tasks.spawn(ask_on(listen.clone(), stop.clone())))
        .collect();
    let take_over = [&addresses[..], &["--take-over"]].concat();
    for at in [2, 3] {
        let next = start(at, &take_over);
        announced(data.path(), &next).await;
        running.stop().await;
        running = next;
        // The one that is left is ready, and nobody else answers for it.
        let ready = reqwest::get(format!("http://{ops}/readyz")).await.unwrap();
        assert!(
            ready.status().is_success(),
            "{}",
            ready.text().await.unwrap()
        );
    }
    stop.cancel();
    let (mut asked, mut failures) = (0, Vec::new());
    for client in clients {
        let (count, failed) = client.await.unwrap();
        asked += count;
        failures.extend(failed);
    }
    println!("{asked} connections");
    assert_eq!(failures, Vec::<String>::new());
    assert!(asked > 500, "{asked}");
    running.stop().await;
}
