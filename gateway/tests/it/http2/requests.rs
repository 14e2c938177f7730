//! Requests and answers of HTTP/2, and what is behind the listener sees of them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{any, get as on_get, post};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::process::Command;

use super::frames::{Frames, HEADERS, RST_STREAM, fields, get};
use super::{client, client_with, impatient};
use crate::serving::{Gateway, Server, within};
use crate::test_app::World;

/// A body of frames that the test makes.
type Streamed = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

/// A router that tells what it saw of a request.
fn telling() -> Router {
    Router::new().fallback(any(async |request: Request| {
        let (head, body) = request.into_parts();
        let body = body.collect().await;
        let (bytes, trailers) = match body {
            Ok(body) => {
                let trailers = body.trailers().cloned().unwrap_or_default();
                (body.to_bytes().len(), trailers)
            }
            Err(error) => return error.to_string().into_response(),
        };
        let all = |headers: &HeaderMap, name: &str| -> Vec<String> {
            let values = headers.get_all(name).iter();
            values.map(|v| v.to_str().unwrap().to_owned()).collect()
        };
        axum::Json(json!({
            "method": head.method.as_str(),
            "uri": head.uri.to_string(),
            "host": all(&head.headers, "host"),
            "cookie": all(&head.headers, "cookie"),
            "bytes": bytes,
            "trailer": all(&trailers, "x-end"),
        }))
        .into_response()
    }))
}

async fn json_of(answer: http::Response<hyper::body::Incoming>) -> serde_json::Value {
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// What curl prints.
async fn curl(arguments: &[&str]) -> String {
    let ran = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20"])
        .args(arguments)
        .output();
    let ran = ran.await.unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test]
async fn one_plain_listener_speaks_both_versions() {
    let server = Server::start_on_cores(telling(), impatient());
    let url = server.url("/a?b=c");
    for (version, spoken) in [
        ("--http2-prior-knowledge", "2"),
        ("--http1.1", "1.1"),
        ("--http1.0", "1"),
    ] {
        let print = ["-w", " %{http_version} %{response_code}"];
        let body = ["-b", "a=1; b=2", "--data-binary", "four"];
        let said = curl(&[&[version, &url][..], &print, &body].concat()).await;
        assert!(said.ends_with(&format!(" {spoken} 200")), "{said}");
        let body = said.rsplitn(3, ' ').last().unwrap();
        let saw: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(saw["uri"], "/a?b=c");
        assert_eq!(saw["host"], json!([server.addr.to_string()]));
        assert_eq!((&saw["bytes"], &saw["method"]), (&json!(4), &json!("POST")));
    }
}

#[tokio::test]
async fn h2load_is_answered_on_every_stream() {
    let lasting = gateway::edge::serve::ServeConfig::public("test", web::RequestIds::new(1));
    let server = Server::start_on_cores(telling(), lasting);
    let url = server.url("/");
    let load = Command::new("h2load")
        .args(["-n", "4000", "-c", "8", "-m", "100", &url])
        .output();
    let ran = within("the load", load).await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        said.contains("4000 succeeded, 0 failed, 0 errored"),
        "{said} {ran:?}"
    );
    assert!(said.contains("4000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
}

#[tokio::test]
async fn cookies_of_several_fields_arrive_as_one() {
    let server = Server::start_on_cores(telling(), impatient());
    let request = http::Request::get("http://line.test/x")
        .header("cookie", "a=1")
        .header("cookie", "b=2; c=3")
        .body(Full::default())
        .unwrap();
    let saw = json_of(client(&server).await.send_request(request).await.unwrap()).await;
    assert_eq!(saw["cookie"], json!(["a=1; b=2; c=3"]));
    assert_eq!(saw["host"], json!(["line.test"]));
    assert_eq!(saw["uri"], "/x");
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    const BYTES: usize = 24 * 1024 * 1024;
    let echo = post(async |body: Body| body);
    let upstream = Server::start(Router::new().route("/", echo)).await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = client(&gateway.server).await;
    let body: Vec<u8> = (0..BYTES).map(|at| at.to_le_bytes()[0]).collect();
    let request = http::Request::post("http://line.test/");
    let request = request.body(Full::from(body.clone())).unwrap();
    let answer = within("the head", client.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let echoed = within("the body", answer.into_body().collect()).await;
    assert!(
        echoed.unwrap().to_bytes() == body,
        "the body changed on its way"
    );
}

#[tokio::test]
async fn an_answer_to_an_upload_arrives_before_its_end() {
    let refusing = post(async || (StatusCode::PAYLOAD_TOO_LARGE, "too large"));
    let server = Server::start_on_cores(Router::new().route("/", refusing), impatient());
    let mut client: http2::SendRequest<Streamed> =
        client_with(&server, http2::Builder::new(TokioExecutor::new())).await;
    let endless = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 8192]))));
    let body = StreamBody::new(Box::pin(endless) as stream::BoxStream<'static, _>);
    let request = http::Request::post("http://line.test/").body(body).unwrap();
    let answer = within("the answer", client.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "too large");
}

#[tokio::test]
async fn trailers_pass_both_ways_through_the_gate() {
    let upstream = Router::new().route(
        "/",
        post(async |body: Body| {
            let sent = body.collect().await.unwrap();
            let told = sent.trailers().map(|trailers| trailers["x-end"].clone());
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            if let Some(told) = told {
                trailers.insert("x-echo", told);
            }
            let frames = [
                Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"message"))),
                Ok(Frame::trailers(trailers)),
            ];
            let body = Body::new(StreamBody::new(stream::iter(frames)));
            ([("trailer", "grpc-status, x-echo")], body).into_response()
        }),
    );
    let upstream = Server::start(upstream).await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client: http2::SendRequest<Streamed> =
        client_with(&gateway.server, http2::Builder::new(TokioExecutor::new())).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "told".parse().unwrap());
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"question"))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(Box::pin(stream::iter(frames)) as stream::BoxStream<'static, _>);
    let request = http::Request::post("http://line.test/")
        .header("te", "trailers")
        .header("trailer", "x-end")
        .body(body)
        .unwrap();
    let answer = within("the answer", client.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let body = within("the body", answer.into_body().collect())
        .await
        .unwrap();
    let trailers = body.trailers().cloned().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-echo"], "told");
    assert_eq!(body.to_bytes(), "message");
}

#[tokio::test]
async fn two_hosts_are_a_conflict_and_no_host_is_none() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let mut client = client(&app.server).await;
    let mut ask = async |hosts: &[&str], accept: &str| {
        let mut request = http::Request::get("http://line.test/catalogue").header("accept", accept);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Full::default()).unwrap();
        client.send_request(request).await.unwrap()
    };
    assert_eq!(ask(&[], "*/*").await.status(), 200);
    assert_eq!(world.last_seen().headers["x-forwarded-host"], "line.test");
    assert_eq!(ask(&["LINE.test"], "*/*").await.status(), 200);
    let refused = ask(&["other.test"], "*/*").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.headers().contains_key("x-request-id"));
    let page = ask(&["other.test"], "text/html").await;
    assert_eq!(page.status(), 400);
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(!page.headers().contains_key("connection"));
}

/// What becomes of a request with this block: the kind of frame on its stream that tells.
async fn becomes(server: &Server, block: &[u8]) -> u8 {
    let mut frames = Frames::connect(server.addr, &[]).await;
    frames.ask(1, block).await;
    let reading = async {
        loop {
            match frames.next().await {
                Some(frame) if frame.stream == 1 => return frame.kind,
                Some(_) => {}
                None => return u8::MAX,
            }
        }
    };
    within("an answer", reading).await
}

#[tokio::test]
async fn what_http2_forbids_is_reset_and_what_is_too_large_is_refused() {
    let server = Server::start_on_cores(telling(), impatient());
    assert_eq!(
        becomes(&server, &get("/", &[("te", "trailers")])).await,
        HEADERS
    );
    for forbidden in [
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("X-Upper", "case"),
    ] {
        let kind = becomes(&server, &get("/", &[forbidden])).await;
        assert!(
            [RST_STREAM, u8::MAX].contains(&kind),
            "{forbidden:?}: {kind}"
        );
    }
    let without_path = fields(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "line.test"),
    ]);
    let kind = becomes(&server, &without_path).await;
    assert!([RST_STREAM, u8::MAX].contains(&kind), "{kind}");
    let tunnel = fields(&[(":method", "CONNECT"), (":authority", "10.0.0.1:22")]);
    assert_eq!(becomes(&server, &tunnel).await, HEADERS);
}

#[tokio::test]
async fn a_head_over_the_limit_gets_a_problem() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let mut client = client(&app.server).await;
    let request = http::Request::get("http://line.test/").header("x-large", "x".repeat(20_000));
    let request = request.body(Full::default()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 431);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    // The same connection goes on.
    let request = http::Request::get("http://line.test/").body(Full::default());
    let answer = client.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn what_runs_at_the_end_is_answered_and_nothing_is_begun() {
    let late = on_get(async || {
        tokio::time::sleep(Duration::from_millis(700)).await;
        "late"
    });
    let server = Server::start_on_cores(
        Router::new().route("/", late),
        gateway::edge::serve::ServeConfig::public("test", web::RequestIds::new(1)),
    );
    let mut client = client(&server).await;
    let ask = || {
        http::Request::get("http://line.test/")
            .body(Full::default())
            .unwrap()
    };
    let running = client.send_request(ask());
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.cancel();
    let answer = within("the answer", running).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "late");
    let refused = within("the end", async {
        while client.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    refused.await;
}
