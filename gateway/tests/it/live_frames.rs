//! WebSocket frames, byte by byte: what a client may send, and how a connection ends.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::serving::within;
use crate::test_app::{Fan, TestApp, World};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A connection without a library.
struct Raw(TcpStream);

impl Raw {
    /// Sends a handshake with `headers` besides the place, and gives the head of the answer.
    async fn open(app: &TestApp, fan: &Fan, headers: &[(&str, &str)]) -> (Self, String) {
        let mut stream = TcpStream::connect(app.addr()).await.unwrap();
        let mut request = format!(
            "GET /_line/v1/rooms/eras/place/live HTTP/1.1\r\nHost: line.test\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: {}\r\n",
            fan.bearer()
        );
        request.extend(
            headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n")),
        );
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        within("the answer", async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
        })
        .await;
        (Self(stream), String::from_utf8(head).unwrap())
    }

    async fn connected(app: &TestApp, fan: &Fan) -> Self {
        let headers = [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", KEY)];
        let (raw, head) = Self::open(app, fan, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        raw
    }

    /// Sends a frame of a client.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        self.0.write_all(&frame(first, payload)).await.unwrap();
    }

    /// The next frame: its first byte and its payload.
    async fn receive(&mut self) -> (u8, Vec<u8>) {
        within("a frame", async {
            let first = self.0.read_u8().await.unwrap();
            let length = match self.0.read_u8().await.unwrap() {
                126 => usize::from(self.0.read_u16().await.unwrap()),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.unwrap();
            (first, payload)
        })
        .await
    }

    /// The payload of the close frame, whatever comes before it; then the connection has to end.
    async fn closes(mut self) -> Vec<u8> {
        let payload = loop {
            let (first, payload) = self.receive().await;
            if first == CLOSE {
                break payload;
            }
        };
        let mut rest = Vec::new();
        let ended = within("the end", self.0.read_to_end(&mut rest)).await;
        ended.expect("the connection is closed and not reset");
        assert!(rest.is_empty(), "nothing follows a close frame: {rest:?}");
        payload
    }
}

/// A frame of a client: masked, with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()).unwrap() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0x80 | 0x7e);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

async fn waiting() -> (World, TestApp, Fan) {
    let world = World::create().await;
    world.room(json!({ "totalActiveUsers": 0 })).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    (world, app, fan)
}

fn code(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().copied().map(u16::from_be_bytes)
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let (_world, app, fan) = waiting().await;
    for (sent, answered) in [
        (&[0x03, 0xe8][..], Some(1000)),
        (b"\x03\xe8bye", Some(1000)),
        (&[0x03, 0xe9], Some(1001)),
        (&[0x0b, 0xb8], Some(3000)),
        (&[], None),
    ] {
        let mut raw = Raw::connected(&app, &fan).await;
        assert_eq!(raw.receive().await.0, TEXT);
        raw.send(CLOSE, sent).await;
        assert_eq!(code(&raw.closes().await), answered, "{sent:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_sent_is_answered_with_the_reason() {
    let (_world, app, fan) = waiting().await;
    let long = [b'a'; 2000];
    for (name, first, payload, expected) in [
        ("text that is not UTF-8", TEXT, &b"\xff\xfe"[..], 1007),
        ("a reason that is not UTF-8", CLOSE, b"\x03\xe8\xff", 1007),
        ("a long message", TEXT, &long, 1009),
        ("a reserved bit", 0xc1, b"a", 1002),
        ("an unknown kind", 0x83, b"a", 1002),
        ("a part of no message", 0x80, b"a", 1002),
        ("a long ping", 0x89, &long[..126], 1002),
        ("half a code", CLOSE, b"\x03", 1002),
        ("a code that is never sent", CLOSE, &[0x03, 0xed], 1002),
    ] {
        let mut raw = Raw::connected(&app, &fan).await;
        assert_eq!(raw.receive().await.0, TEXT);
        raw.send(first, payload).await;
        assert_eq!(code(&raw.closes().await), Some(expected), "{name}");
    }
    let mut raw = Raw::connected(&app, &fan).await;
    raw.0.write_all(&[TEXT, 1, b'a']).await.unwrap();
    assert_eq!(code(&raw.closes().await), Some(1002), "without a mask");
}

#[tokio::test]
async fn whoever_sends_too_much_is_told_so() {
    let (_world, app, fan) = waiting().await;
    for (name, first, payload, times) in [
        ("texts", TEXT, &b"a"[..], 400),
        ("pings", 0x89, b"", 400),
        ("pongs", 0x8a, b"", 400),
        ("large pongs", 0x8a, &[0; 120], 160),
        ("parts of one text", 0x00, b"", 3000),
    ] {
        let mut raw = Raw::connected(&app, &fan).await;
        assert_eq!(raw.receive().await.0, TEXT);
        if first == 0 {
            raw.send(TEXT & 0x7f, b"").await;
        }
        let frames = frame(first, payload).repeat(times);
        // The gateway may close before it has read all of it.
        let _closed = raw.0.write_all(&frames).await;
        assert_eq!(code(&raw.closes().await), Some(1008), "{name}");
    }
}

#[tokio::test]
async fn whoever_answers_pings_is_not_sending_too_much() {
    let (_world, app, fan) = waiting().await;
    let mut raw = Raw::connected(&app, &fan).await;
    assert_eq!(raw.receive().await.0, TEXT);
    for _ in 0..99 {
        raw.send(0x8a, b"").await;
    }
    raw.send(TEXT, b"ping").await;
    let (first, payload) = raw.receive().await;
    assert_eq!(
        (first, &payload[..]),
        (TEXT, &br#"{"type":"heartbeat"}"#[..])
    );
}

#[tokio::test]
async fn whoever_says_something_gets_a_sign_of_life() {
    let (_world, app, fan) = waiting().await;
    let mut raw = Raw::connected(&app, &fan).await;
    assert_eq!(raw.receive().await.0, TEXT);
    raw.send(TEXT, b"ping").await;
    let (first, payload) = raw.receive().await;
    assert_eq!(first, TEXT);
    let frame: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(frame, json!({ "type": "heartbeat" }));
}

#[tokio::test]
async fn a_silent_line_still_shows_that_it_lives() {
    let (_world, app, fan) = waiting().await;
    let mut raw = Raw::connected(&app, &fan).await;
    assert_eq!(raw.receive().await.0, TEXT);
    within("a heartbeat", async {
        while raw.receive().await.1 != br#"{"type":"heartbeat"}"# {}
    })
    .await;
}

#[tokio::test]
async fn a_handshake_is_of_version_13_and_has_a_key() {
    let (_world, app, fan) = waiting().await;
    let version = ("Sec-WebSocket-Version", "13");
    let old = [("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", KEY)];
    let (_raw, head) = Raw::open(&app, &fan, &old).await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert!(head.contains("sec-websocket-version: 13\r\n"), "{head}");
    for headers in [
        &[version][..],
        &[version, ("Sec-WebSocket-Key", "short")],
        &[
            version,
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Key", KEY),
        ],
    ] {
        let (_raw, head) = Raw::open(&app, &fan, headers).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{headers:?}: {head}");
    }
}
