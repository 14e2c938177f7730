//! What crosses the proxy in a header or trailer, and what does not.

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use contract::principal;
use gateway::proxy::Command;
use http::Request;
use http::header::{COOKIE, HOST};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::{Recorder, raw, read_head, scripted};
use crate::serving::{Gateway, Server, client, fan, within};

#[tokio::test]
async fn what_a_client_forges_never_arrives() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"POST /a?b=c HTTP/1.1\r\nHost: tickets.example\r\n\
          Ropeline-Room: forged\r\nRopeline_Room: forged\r\nROPELINE-Subject: forged\r\n\
          X-Forwarded-For: forged\r\nX_Forwarded_For: forged\r\nX-Forwarded-Host: forged\r\n\
          Forwarded: for=forged\r\nX-Real-IP: forged\r\nX-Request-Id: forged\r\n\
          X-Original-URL: /forged\r\nX-Private: forged\r\nKeep-Alive: forged\r\n\
          Cookie: cart=1; __Host-ropeline_pass_eras=forged; ropeline_place_eras=forged\r\n\
          Connection: close, X-Private, X-Forwarded-For, Ropeline-Room, X-Request-Id\r\n\
          Transfer-Encoding: chunked\r\nTrailer: Ropeline-Room, X-Sum\r\n\r\n\
          5\r\nhello\r\n0\r\nRopeline-Room: forged\r\nX-Sum: 1\r\n\r\n",
    )
    .await;
    assert!(answer.contains("5 bytes"), "{answer}");
    assert_eq!(recorder.lines(), ["POST /a?b=c"]);
    let headers = recorder.last_headers();
    for (name, value) in &headers {
        let is_list_of_names = name == "trailer";
        assert!(
            is_list_of_names || !value.to_str().unwrap().contains("forged"),
            "{name}"
        );
    }
    assert_eq!(headers[COOKIE], "cart=1");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "tickets.example");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-request-id"], "request-1");
    assert_eq!(headers[HOST], recorder.server.addr.to_string());
    assert_eq!(principal::read(&headers), [fan()]);
    assert!(!headers.contains_key("connection"));
    assert!(!headers.contains_key("x-private"));
}

#[tokio::test]
async fn a_forged_trailer_never_arrives() {
    let (heads, mut trailers) = mpsc::unbounded_channel();
    let router = Router::new().fallback(move |request: Request<Body>| {
        let heads = heads.clone();
        async move {
            let body = request.into_body().collect().await.unwrap();
            heads.send(body.trailers().cloned()).unwrap();
        }
    });
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;
    raw(
        gateway.server.addr,
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
          Trailer: Ropeline-Room, X-Sum\r\n\r\n\
          5\r\nhello\r\n0\r\nRopeline-Room: forged\r\nX-Sum: 1\r\n\r\n",
    )
    .await;
    let trailers = within("the trailers", trailers.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers["x-sum"], "1");
}

#[tokio::test]
async fn a_fan_does_not_learn_where_the_upstream_is() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        let host = stream.local_addr().unwrap();
        read_head(&mut stream).await;
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/next?a=b\r\n\
             Content-Location: //{host}/here\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(response.headers()["location"], "/next?a=b");
    assert_eq!(response.headers()["content-location"], "/here");
}

#[tokio::test]
async fn an_upstreams_word_to_the_gateway_ends_here() {
    let router = Router::new().route(
        "/",
        on_get(|| async {
            [
                ("ropeline-command", "end-session"),
                ("ropeline-room", "leak"),
                ("keep-alive", "timeout=5"),
                ("x-hop", "1"),
                ("connection", "x-hop"),
                ("x-kept", "1"),
            ]
            .into_response()
        }),
    );
    let upstream = Server::start(router).await;
    let mut gateway = Gateway::before(upstream.addr).await;
    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(gateway.commands.recv().await, Some(Command::EndSession));
    let mut names: Vec<_> = response
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date", "x-kept"]);
}
