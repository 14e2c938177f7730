//! The access log of a gateway process.

use std::convert::Infallible;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde_json::Value;
use test_support::certificates::Certificates;
use test_support::database::TestDatabase;
use tokio::sync::Notify;

use crate::serving::Server;
use crate::starting::{PROGRAM, Process};
use crate::test_app::eventually;
use crate::tls::curl;

/// Settings of an access log beside the gateway's data.
const AS_JSON: [&str; 4] = ["--access-log", "access.log", "--access-log-format", "json"];
/// What no line may have in it.
const SECRET: &str = "swordfish";

/// A shop with a page, an answer that ends when the test says so, and one that never does.
fn shop(goes_on: Arc<Notify>) -> Router {
    let streamed = move || {
        let goes_on = goes_on.clone();
        async move {
            let first = stream::iter([Ok::<_, Infallible>(Bytes::from("first,"))]);
            let last = stream::once(async move {
                goes_on.notified().await;
                Ok(Bytes::from("last"))
            });
            Body::from_stream(first.chain(last))
        }
    };
    let endless = async || {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from("first"))]);
        Body::from_stream(first.chain(stream::pending()))
    };
    Router::new()
        .route("/streamed", get(streamed))
        .route("/endless", get(endless))
        .fallback(async || "hello")
}

struct Logged {
    process: Process,
    listen: String,
    http: reqwest::Client,
}

impl Logged {
    async fn start(home: &Path, database: &TestDatabase, arguments: &[&str]) -> Self {
        let common = ["--path", "/checkout", "--shutdown-delay-seconds", "0"];
        let arguments = [arguments, &common].concat();
        let mut process = Process::start(Path::new(PROGRAM), home, database, &arguments);
        process.becomes_ready().await;
        let told = process.announced().unwrap();
        Self {
            listen: told["listenUrl"].as_str().unwrap().to_owned(),
            process,
            http: reqwest::Client::new(),
        }
    }

    fn asks(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.listen))
    }

    async fn get(&self, path: &str) -> StatusCode {
        let answer = self.asks(path).send().await.unwrap();
        let status = answer.status();
        answer.bytes().await.unwrap();
        status
    }

    /// What comes back for these bytes on a connection of their own.
    fn raw(&self, request: &[u8]) -> String {
        let address = self.listen.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The line with this path, once there is one.
async fn line(log: &Path, path: &str) -> Value {
    eventually(&format!("a line of {path}"), async || {
        let text = text(log);
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let complete = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut found = complete.map(read).filter(|line| line["path"] == path);
        let one = found.next()?;
        assert!(found.next().is_none(), "two lines of {path}: {text}");
        Some(one)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_tells_what_was_asked_and_no_secret() {
    let (home, database) = (tempfile::tempdir().unwrap(), TestDatabase::create().await);
    let shop = Server::start(shop(Arc::default())).await;
    let (origin, log) = (shop.url(""), home.path().join("access.log"));
    let arguments = ["--origin", &origin, "--trusted-proxies", "127.0.0.1/32"];
    let arguments = [&arguments[..], &AS_JSON].concat();
    let gateway = Logged::start(home.path(), &database, &arguments).await;

    let answer = gateway
        .asks(&format!("/page?token={SECRET}"))
        .header("x-forwarded-for", "192.0.2.9, 198.51.100.7")
        .header("authorization", format!("Bearer {SECRET}"))
        .header("cookie", format!("__Host-ropeline_pass_default={SECRET}"))
        .header("referer", format!("https://a.test/b/{SECRET}?c={SECRET}"))
        .header("user-agent", "Tester \"1\"");
    let answer = answer.send().await.unwrap();
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(answer.text().await.unwrap(), "hello");
    let page = line(&log, "/page").await;
    for (name, value) in [
        ("client", "198.51.100.7"),
        ("method", "GET"),
        ("protocol", "HTTP/1.1"),
        ("room", "default"),
        ("decision", "let-through"),
        ("requestId", &id),
        ("referer", "https://a.test/b/[hidden]"),
        ("userAgent", "Tester \"1\""),
        ("end", "complete"),
    ] {
        assert_eq!(page[name], value, "{page}");
    }
    assert_eq!(
        (&page["status"], &page["bytes"], &page["tls"]),
        (&200.into(), &5.into(), &false.into())
    );
    let seconds = |line: &Value, name: &str| line[name].as_f64().unwrap();
    assert!(
        seconds(&page, "seconds") >= seconds(&page, "upstreamSeconds"),
        "{page}"
    );

    gateway.process.stop().await;
    let text = text(&log);
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gate_line_and_edge_refuse_has_a_line_too() {
    let (home, database) = (tempfile::tempdir().unwrap(), TestDatabase::create().await);
    let shop = Server::start(shop(Arc::default())).await;
    let (origin, log) = (shop.url(""), home.path().join("access.log"));
    let arguments = ["--origin", &origin];
    let arguments = [&arguments[..], &AS_JSON].concat();
    let gateway = Logged::start(home.path(), &database, &arguments).await;

    let asked = gateway
        .asks("/checkout")
        .header("accept", "application/json");
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let refused = line(&log, "/checkout").await;
    assert_eq!(
        (&refused["status"], &refused["decision"]),
        (&403.into(), &"refused".into())
    );
    assert_eq!(refused.get("upstreamSeconds"), None);
    let place = "/_line/v1/rooms/default/place";
    let status = gateway.get(place).await;
    let of_line = line(&log, place).await;
    assert_eq!(
        (&of_line["status"], &of_line["room"]),
        (&status.as_u16().into(), &"default".into())
    );
    let said = gateway.raw(b"GET /two HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert_eq!(line(&log, "/two").await["status"], 400);
    gateway.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streamed_answers_are_told_at_their_end_also_of_clients_that_leave() {
    let (home, database) = (tempfile::tempdir().unwrap(), TestDatabase::create().await);
    let goes_on = Arc::new(Notify::new());
    let shop = Server::start(shop(goes_on.clone())).await;
    let (origin, log) = (shop.url(""), home.path().join("access.log"));
    let arguments = ["--origin", &origin];
    let arguments = [&arguments[..], &AS_JSON].concat();
    let gateway = Logged::start(home.path(), &database, &arguments).await;

    let mut answer = gateway.asks("/streamed").send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "first,");
    gateway.get("/meanwhile").await;
    line(&log, "/meanwhile").await;
    assert!(!text(&log).contains("/streamed"), "told before its end");
    goes_on.notify_one();
    assert_eq!(answer.text().await.unwrap(), "last");
    let streamed = line(&log, "/streamed").await;
    assert_eq!(
        (&streamed["bytes"], &streamed["end"]),
        (&10.into(), &"complete".into())
    );

    // Who hangs up has a line too.
    let mut answer = gateway.asks("/endless").send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "first");
    drop(answer);
    let endless = line(&log, "/endless").await;
    assert_eq!(
        (&endless["bytes"], &endless["end"]),
        (&5.into(), &"client-gone".into())
    );
    gateway.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_follow_the_name_of_the_file_and_all_are_there_at_the_end() {
    let (home, database) = (tempfile::tempdir().unwrap(), TestDatabase::create().await);
    let shop = Server::start(shop(Arc::default())).await;
    let (origin, log) = (shop.url(""), home.path().join("access.log"));
    let certificates = Certificates::make();
    let (cert, key) = (certificates.server(), certificates.key());
    let tls = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let arguments = [
        "--origin",
        &origin,
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
        "--tls-listen",
        &tls,
    ];
    let arguments = [&arguments[..], &AS_JSON].concat();
    let gateway = Logged::start(home.path(), &database, &arguments).await;

    let url = format!("https://{tls}/by-tls");
    let said = curl(&certificates.authority(), &url, &["--http2"]).await;
    assert!(said.ends_with("hello"), "{said}");
    let by_tls = line(&log, "/by-tls").await;
    assert_eq!(
        (&by_tls["protocol"], &by_tls["tls"]),
        (&"HTTP/2.0".into(), &true.into())
    );

    // As logrotate does it, without a word to the gateway.
    let moved = home.path().join("access.log.1");
    fs::rename(&log, &moved).unwrap();
    eventually("the file is made again", async || {
        log.exists().then_some(())
    })
    .await;
    gateway.get("/after").await;
    line(&log, "/after").await;
    // What was answered before the end is written before it.
    gateway.get("/last").await;
    gateway.process.stop().await;
    let (before, after) = (text(&moved), text(&log));
    assert!(
        after.ends_with('\n') && after.contains("\"/last\""),
        "{after}"
    );
    assert!(
        before.contains("\"/by-tls\"") && !before.contains("\"/after\""),
        "{before}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_the_combined_form_cannot_be_forged() {
    let (home, database) = (tempfile::tempdir().unwrap(), TestDatabase::create().await);
    let shop = Server::start(shop(Arc::default())).await;
    let (origin, log) = (shop.url(""), home.path().join("access.log"));
    let file = log.to_str().unwrap();
    let arguments = ["--origin", &origin, "--access-log", file];
    let gateway = Logged::start(home.path(), &database, &arguments).await;
    let request = b"GET /a\"b?c HTTP/1.1\r\nHost: shop\r\nReferer: \xff\"\r\n\
        User-Agent: x\" 200 1 \"-\" \"\\\xc3\xa9\tend\r\nConnection: close\r\n\r\n";
    let said = gateway.raw(request);
    assert!(said.starts_with("HTTP/1.1 "), "{said}");
    let status = &said[9..12];
    let body = said.split_once("\r\n\r\n").unwrap().1;
    gateway.process.stop().await;
    let text = text(&log);
    let (start, rest) = text.split_once(" - - [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(
        (start, time.len()),
        ("127.0.0.1", "01/Dec/2026:10:57:06 +0000".len())
    );
    let expected = format!(
        "\"GET /a\\x22b HTTP/1.1\" {status} {} \"\\xFF\\x22\" \
         \"x\\x22 200 1 \\x22-\\x22 \\x22\\x5C\\xC3\\xA9\\x09end\"\n",
        body.len()
    );
    assert_eq!(rest, expected);
}
