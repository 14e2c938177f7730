//! What an upstream says of its own address, and how it is reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use contract::upstream::Bounds;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use test_support::certificates::Certificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Recorder, read_head, scripted};
use crate::serving::{Gateway, client, get, within};

async fn head_of(url: &str) -> (StatusCode, HeaderMap) {
    let request = Request::get(url).header("host", "tickets.example");
    let request = request.body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request)).await;
    let (parts, _) = response.unwrap().into_parts();
    (parts.status, parts.headers)
}

#[tokio::test]
async fn an_upstream_below_a_path_is_seen_as_the_whole_site() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before_url(&recorder.server.url("/base"), Bounds::default()).await;
    get(&gateway.url("/a/b?c=d")).await;
    assert_eq!(recorder.lines(), ["GET /base/a/b?c=d"]);
    let bounds = Bounds {
        preserves_host: true,
        ..Bounds::default()
    };
    head_of(&gateway.url("/")).await;
    let own = recorder.last_headers()["host"].clone();
    assert_eq!(own, recorder.server.addr.to_string());
    let gateway = Gateway::before_url(&recorder.server.url(""), bounds).await;
    head_of(&gateway.url("/")).await;
    assert_eq!(recorder.last_headers()["host"], "tickets.example");
}

#[tokio::test]
async fn a_login_behind_the_gateway_does_not_go_round_in_circles() {
    let router = Router::new().fallback(|request: Request<Body>| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let name = host.split(':').next().unwrap().to_owned();
        [
            ("set-cookie", format!("sid=1; Domain={name}; Path=/base/a")),
            ("location", format!("http://{host}/base/x")),
        ]
    });
    let shop = crate::serving::Server::start(router).await;
    let gateway = Gateway::before_url(&shop.url("/base"), Bounds::default()).await;
    let (_, headers) = head_of(&gateway.url("/login")).await;
    assert_eq!(headers["set-cookie"], "sid=1; Path=/a");
    assert_eq!(headers["location"], "/x");
}

#[tokio::test]
async fn more_than_a_hundred_headers_are_passed_on_and_harm_nobody() {
    let (addr, _tasks, _) = many_headers(1).await;
    let gateway = Gateway::before(addr).await;
    for _ in 0..3 {
        let (status, headers) = head_of(&gateway.url("/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers.get_all("link").iter().count(), 120);
    }
    assert_eq!(gateway.proxy.health(&gateway.upstream).failures, 0);
}

/// An upstream whose every answer has 120 headers, and which gives the first `count` all at once.
async fn many_headers(count: usize) -> (SocketAddr, JoinSet<()>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, all) = (Arc::clone(&asked), Arc::new(Barrier::new(count)));
    let (addr, tasks) = scripted(move |_, mut stream| {
        let (counted, all) = (Arc::clone(&counted), Arc::clone(&all));
        async move {
            while !read_head(&mut stream).await.is_empty() {
                if counted.fetch_add(1, Ordering::SeqCst) < count {
                    all.wait().await;
                }
                let mut answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_owned();
                for number in 0..120 {
                    let link = format!("Link: </{number}.css>; rel=preload\r\n");
                    answer.push_str(&link);
                }
                answer += "\r\nok";
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (addr, tasks, asked)
}

#[tokio::test]
async fn all_first_answers_with_many_headers_arrive_however_many_come_at_once() {
    let (addr, _tasks, asked) = many_headers(5).await;
    let gateway = Gateway::before(addr).await;
    let url = gateway.url("/");
    let answers = futures_util::future::join_all((0..5).map(|_| get(&url))).await;
    for (status, body) in answers {
        assert_eq!((status, &body[..]), (StatusCode::OK, b"ok".as_slice()));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 10, "each was asked for again");
}

#[tokio::test]
async fn what_may_have_changed_something_is_not_sent_again_for_many_headers() {
    let (addr, _tasks, asked) = many_headers(1).await;
    let gateway = Gateway::before(addr).await;
    let request = Request::delete(gateway.url("/"))
        .body(Body::empty())
        .unwrap();
    let answer = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_early_answer_to_an_upload_reaches_the_client_each_time() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        let mut some = vec![0; 64 * 1024];
        stream.read_exact(&mut some).await.unwrap();
        let answer = "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n\
                      Content-Length: 9\r\n\r\ntoo large";
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Closed with unread bytes: the gateway's next write fails.
    })
    .await;
    let gateway = Gateway::before(addr).await;
    for round in 0..20 {
        let request = Request::post(gateway.url("/upload"));
        let request = request.body(Body::from(vec![7; 10 * super::MIB])).unwrap();
        let answer = within("the answer", client().request(request))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{round}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "too large", "{round}");
    }
    assert_eq!(gateway.proxy.health(&gateway.upstream).failures, 0);
}

#[tokio::test]
async fn a_room_says_how_long_an_answer_may_take() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let bounds = Bounds {
        response_max: Some(Duration::from_millis(50)),
        ..Bounds::default()
    };
    let gateway = Gateway::before_url(&format!("http://{addr}"), bounds).await;
    let (status, _) = get(&gateway.url("/")).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
}

/// An upstream that speaks TLS with a certificate for 127.0.0.1.
async fn encrypted(certificates: &Certificates) -> (u16, JoinSet<()>) {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificates.server())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(certificates.key()).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = Vec::new();
                loop {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
                        stream.write_all(answer).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                }
            });
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn an_encrypted_upstream_has_to_be_one_that_is_believed() {
    let certificates = Certificates::make();
    let (port, _tasks) = encrypted(&certificates).await;
    let authority = std::fs::read(certificates.authority()).unwrap();
    let url = format!("https://127.0.0.1:{port}");
    let believing = Gateway::trusting(&url, &authority).await;
    for _ in 0..2 {
        let (status, body) = get(&believing.url("/")).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"secret"[..]));
    }
    let doubting = Gateway::before_url(&url, Bounds::default()).await;
    assert_eq!(get(&doubting.url("/")).await.0, StatusCode::BAD_GATEWAY);
    // The certificate is for another name.
    let other = format!("https://localhost:{port}");
    let other = Gateway::trusting(&other, &authority).await;
    assert_eq!(get(&other.url("/")).await.0, StatusCode::BAD_GATEWAY);
    // Plain HTTP is not an answer that counts either.
    let recorder = Recorder::start().await;
    let plain = format!("https://{}", recorder.server.addr);
    let plain = Gateway::trusting(&plain, &authority).await;
    assert_eq!(get(&plain.url("/")).await.0, StatusCode::BAD_GATEWAY);
    assert!(recorder.lines().is_empty());
}
