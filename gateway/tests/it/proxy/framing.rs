//! Where a request begins and ends, and where it goes, is never in doubt.

use super::{Recorder, raw};
use crate::serving::Gateway;

#[tokio::test]
async fn ambiguous_framing_never_becomes_a_second_request() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let attempts = [
        // Two lengths that contradict each other.
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n{smuggled}"
        ),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 40\r\n\r\n{smuggled}"),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +40\r\n\r\n{smuggled}"),
        // An encoding that one parser reads as chunked and another does not.
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        // A folded line.
        format!("POST /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Content-Length: 40\r\n\r\n{smuggled}"),
        // A chunk size with more than a number.
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{smuggled}"
        ),
    ];
    for attempt in &attempts {
        let answer = raw(gateway.server.addr, attempt.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"),
            "{attempt}{answer}"
        );
        assert!(!answer.contains("HTTP/1.1 200"), "{attempt}{answer}");
    }
    assert!(
        !recorder.lines().contains(&"GET /smuggled".to_owned()),
        "{:?}",
        recorder.lines()
    );
}

#[tokio::test]
async fn length_and_chunks_together_reach_the_upstream_as_one_message() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\
          Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    // Chunks win, the length is dropped and the connection ends: nothing is left to misread.
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(
        recorder.lines().iter().all(|line| line == "POST /a"),
        "{:?}",
        recorder.lines()
    );
    if let Some((_, headers)) = recorder.seen.lock().unwrap().first() {
        assert!(
            !headers.contains_key("content-length") || !headers.contains_key("transfer-encoding")
        );
    }
}

#[tokio::test]
async fn connect_and_trace_are_refused() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    for head in ["TRACE / HTTP/1.1", "CONNECT inside:22 HTTP/1.1"] {
        let answer = raw(
            gateway.server.addr,
            format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
    assert!(recorder.lines().is_empty());
}

#[tokio::test]
async fn the_target_host_is_the_upstreams_whatever_the_client_names() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"GET http://169.254.169.254/meta HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(recorder.lines(), ["GET /meta"]);
}

#[tokio::test]
async fn lines_that_end_with_a_line_feed_alone_are_one_request_or_none() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"POST /a HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 5\n\nhello",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("5 bytes"), "{answer}");
    assert_eq!(recorder.lines(), ["POST /a"]);
    // In the framing of chunks some servers take one and others do not.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for chunks in [
        format!("5\nhello\r\n0\r\n\r\n{smuggled}"),
        format!("5;a=\n\r\nhello\r\n0\r\n\r\n{smuggled}"),
        format!("5\r\nhello\n0\r\n\r\n{smuggled}"),
        format!("5\r\nhello\r\n0\n\n{smuggled}"),
    ] {
        let head = "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = raw(gateway.server.addr, format!("{head}{chunks}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{chunks:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1").count(),
            1,
            "{chunks:?}: {answer}"
        );
    }
    let seen = recorder.lines();
    assert!(!seen.contains(&"GET /smuggled".to_owned()), "{seen:?}");
}
