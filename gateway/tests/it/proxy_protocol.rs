//! The PROXY protocol on the public listener, with curl and by hand.

use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use gateway::edge::client_ip::TrustedProxies;
use gateway::edge::serve::ServeConfig;
use gateway::edge::tls::{Shown, server_config};
use gateway::edge::{certificate::PairFiles, connections::ConnectionLimits, reread::Reread};
use test_support::certificates::Certificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use web::RequestIds;

use crate::serving::{Server, within};

/// A server that tells each client its address, and believes proxies of these networks.
fn telling(trusted: &str, config: ServeConfig) -> Server {
    let told = get(async |ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>| peer.to_string());
    let config = ServeConfig {
        proxy_protocol: Some(TrustedProxies::new([trusted.parse().unwrap()])),
        ..config
    };
    Server::start_on_cores(Router::new().route("/", told), config)
}

fn usual() -> ServeConfig {
    ServeConfig {
        head_max: Duration::from_millis(700),
        ..ServeConfig::public("test", RequestIds::new(1))
    }
}

/// What a connection that begins with these bytes gets.
async fn answer(server: &Server, begin: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(&[begin, request].concat()).await;
    let mut answer = Vec::new();
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const V1: &[u8] = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

#[tokio::test]
async fn a_trusted_proxy_tells_the_client_and_may_speak_for_itself() {
    let server = telling("127.0.0.0/8", usual());
    let told = answer(&server, V1).await;
    assert!(told.ends_with("198.51.100.7:4711"), "{told}");
    let v2 = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"[..],
        &[198, 51, 100, 8, 192, 0, 2, 1, 0x12, 0x67, 0, 80],
    ]
    .concat();
    let told = answer(&server, &v2).await;
    assert!(told.ends_with("198.51.100.8:4711"), "{told}");
    let own = answer(&server, LOCAL).await;
    assert!(
        own.starts_with("HTTP/1.1 200 ") && own.contains("127.0.0.1:"),
        "{own}"
    );
    // HTTP/2 may follow too.
    let ran = Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "20",
            "--haproxy-protocol",
            "--http2-prior-knowledge",
        ])
        .args(["-w", " %{http_version}", &server.url("/")])
        .output();
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        said.starts_with("127.0.0.1:") && said.ends_with(" 2"),
        "{said} {ran:?}"
    );
}

#[tokio::test]
async fn nobody_else_is_believed_or_answered() {
    let server = telling("10.0.0.0/8", usual());
    assert_eq!(answer(&server, V1).await, "");
    assert_eq!(answer(&server, b"").await, "");
    let server = telling("127.0.0.0/8", usual());
    for hostile in [&b""[..], b"PROXY TCP4 1.2.3.4\r\n", b"\x16\x03\x01"] {
        assert_eq!(answer(&server, hostile).await, "", "{hostile:?}");
    }
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let server = telling("127.0.0.0/8", usual());
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&V1[..20]).await.unwrap();
    let mut answer = Vec::new();
    within("the end", stream.read_to_end(&mut answer))
        .await
        .ok();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn clients_behind_a_proxy_share_no_limit_and_have_one_each() {
    let limits = ConnectionLimits {
        per_address_max: 2,
        trusted: TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]),
        ..ConnectionLimits::default()
    };
    let config = ServeConfig {
        connections: limits,
        head_max: Duration::from_secs(10),
        ..usual()
    };
    let server = telling("127.0.0.0/8", config);
    let mut open = Vec::new();
    for client in 1..6 {
        for number in 0..3 {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            let head = format!(
                "PROXY TCP4 198.51.100.{client} 192.0.2.1 4711 80\r\n\
                 GET / HTTP/1.1\r\nhost: x\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut start = vec![0; 12];
            let read = within("an answer", stream.read_exact(&mut start)).await;
            assert_eq!(read.is_ok(), number < 2, "{client} {number}");
            open.push(stream);
        }
    }
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let certificates = Certificates::make();
    let shown = Shown::default();
    let config = ServeConfig {
        tls: Some(server_config(&shown).unwrap()),
        ..usual()
    };
    let files = PairFiles {
        cert: certificates.server(),
        key: certificates.key(),
    };
    assert!(Reread::new(files, shown, "test").look_once());
    let server = telling("127.0.0.0/8", config);
    let ran = Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "20",
            "--haproxy-protocol",
            "--http2",
            "--cacert",
        ])
        .arg(certificates.authority())
        .args([
            "-w",
            " %{http_version}",
            &format!("https://{}/", server.addr),
        ])
        .output();
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        said.starts_with("127.0.0.1:") && said.ends_with(" 2"),
        "{said} {ran:?}"
    );
}
