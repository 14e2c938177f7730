//! Cases of the protocol, one connection at a time: see docs/PROXY-CASES.md.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Recorder, raw, read_head, scripted};
use crate::serving::{Gateway, within};

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain";

/// What a client gets on one connection for a `GET` (or what `method` is) that the upstream answers by
/// `answer`, and then for another one that it answers by [`PLAIN`] wherever that arrives.
async fn two_answers(method: &str, answer: &str) -> String {
    let answer = answer.to_owned();
    let (addr, _tasks) = scripted(move |_, mut stream| {
        let answer = answer.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                let is_second = head.contains("/second");
                let text = if is_second { PLAIN } else { &answer };
                if stream.write_all(text.as_bytes()).await.is_err() || text.contains("close") {
                    return;
                }
            }
        }
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let asked = format!(
        "{method} /first HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    raw(gateway.server.addr, asked.as_bytes()).await
}

#[tokio::test]
async fn the_end_of_an_answer_is_never_in_doubt() {
    for (method, answer, status, body) in [
        // A length that describes what a GET would have given.
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "200",
            "",
        ),
        // Bytes that these answers cannot have are no answer to the next request.
        (
            "GET",
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "204",
            "",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "304",
            "",
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "200",
            "",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "200",
            "ok",
        ),
        // Interim answers are no answers.
        (
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "200",
            "ok",
        ),
        // A length that is the end of the connection.
        (
            "GET",
            "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end",
            "200",
            "until the end",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
            "200",
            "ok",
        ),
        // Answers that contradict themselves are given to nobody.
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
            "502",
            "upstream-failed",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
            "502",
            "upstream-failed",
        ),
        (
            "GET",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
            "502",
            "upstream-failed",
        ),
        ("GET", "HTTP/3.1 200 OK\r\n\r\n", "502", "upstream-failed"),
    ] {
        let got = two_answers(method, answer).await;
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer:?}: {got:?}"
        );
        assert!(got.contains(body), "{answer:?}: {got:?}");
        assert!(got.ends_with("\r\n\r\nplain"), "{answer:?}: {got:?}");
        assert_eq!(got.matches("HTTP/1.1 ").count(), 2, "{answer:?}: {got:?}");
        assert!(!got.contains("evil"), "{answer:?}: {got:?}");
    }
}

#[tokio::test]
async fn what_one_connection_says_of_itself_ends_there() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        for gone in ["x-hop", "keep-alive", "proxy-authorization", "te: gzip"] {
            assert!(!head.contains(gone), "{head}");
        }
        assert!(head.contains("te: trailers"), "{head}");
        assert!(head.contains("range: bytes=1-2"), "{head}");
        let answer = "HTTP/1.1 206 Partial Content\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\
                      Keep-Alive: timeout=5\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nla";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let asked = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
                 Keep-Alive: timeout=9\r\nProxy-Authorization: Basic x\r\nTE: gzip, trailers\r\n\
                 Range: bytes=1-2\r\n\r\n";
    let got = raw(gateway.server.addr, asked.as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 206 "), "{got}");
    assert!(got.contains("content-range: bytes 1-2/5"), "{got}");
    assert!(got.ends_with("\r\n\r\nla"), "{got}");
    for gone in ["x-secret", "timeout=5"] {
        assert!(!got.to_lowercase().contains(gone), "{got}");
    }
}

#[tokio::test]
async fn a_request_is_the_same_one_request_however_it_is_written() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    for (asked, line, bytes) in [
        ("GET /plain HTTP/1.1\r\nHost: a\r\n", "GET /plain", 0),
        (
            "GET http://a/absolute?x=1 HTTP/1.1\r\nHost: a\r\n",
            "GET /absolute?x=1",
            0,
        ),
        (
            "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n",
            "POST /chunked",
            5,
        ),
        (
            "PURGE /made-up HTTP/1.1\r\nHost: a\r\n",
            "PURGE /made-up",
            0,
        ),
    ] {
        let body = if bytes > 0 {
            "5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
        } else {
            ""
        };
        let whole = format!("{asked}Connection: close\r\n\r\n{body}");
        let got = raw(gateway.server.addr, whole.as_bytes()).await;
        assert!(got.ends_with(&format!("{bytes} bytes")), "{asked}: {got}");
        assert_eq!(recorder.lines().last().unwrap(), line);
    }
    let before = recorder.lines().len();
    for asked in ["OPTIONS * HTTP/1.1", "GET nowhere HTTP/1.1"] {
        let whole = format!("{asked}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let got = raw(gateway.server.addr, whole.as_bytes()).await;
        assert!(got.starts_with("HTTP/1.1 400 "), "{asked}: {got}");
    }
    assert_eq!(recorder.lines().len(), before);
}

#[tokio::test]
async fn heads_that_are_too_large_harm_no_other_request() {
    let huge = format!(
        "HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 2\r\n\r\nok",
        "x".repeat(300_000)
    );
    let got = two_answers("GET", &huge).await;
    assert!(got.starts_with("HTTP/1.1 502 "), "{}", &got[..200]);
    assert!(got.ends_with("\r\n\r\nplain"), "the connection goes on");
}

#[tokio::test]
async fn a_protocol_that_nobody_knows_is_a_tunnel_once_the_upstream_switches() {
    let (addr, _tasks) = scripted(|number, mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(head.to_lowercase().contains("upgrade: chat/7"), "{head}");
        if number == 0 {
            stream.write_all(PLAIN.as_bytes()).await.unwrap();
            return;
        }
        let switched = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: chat/7\r\n\r\nhello";
        stream.write_all(switched.as_bytes()).await.unwrap();
        let mut said = [0; 3];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
        // One side ends first: what the other still says arrives.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        stream.write_all(b"bye").await.unwrap();
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let asks = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat/7\r\n\r\n";
    // The upstream may not want to switch.
    let mut client = TcpStream::connect(gateway.server.addr).await.unwrap();
    client.write_all(asks.as_bytes()).await.unwrap();
    let head = within("the answer", read_head(&mut client)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut client = TcpStream::connect(gateway.server.addr).await.unwrap();
    client.write_all(asks.as_bytes()).await.unwrap();
    let head = within("the switch", read_head(&mut client)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut said = [0; 5];
    within("what came with it", client.read_exact(&mut said))
        .await
        .unwrap();
    assert_eq!(&said, b"hello");
    client.write_all(b"yes").await.unwrap();
    client.read_exact(&mut said[..3]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within("the end", client.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(rest, b"bye");
}
