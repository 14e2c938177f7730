//! Frames of HTTP/2 made by hand, also such as no client sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// `INITIAL_WINDOW_SIZE` of settings.
pub(super) const WINDOW: u16 = 4;

/// What a connection begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it was read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// A connection on which the settings were exchanged.
pub(super) struct Frames {
    pub(super) reading: OwnedReadHalf,
    pub(super) writing: OwnedWriteHalf,
}

impl Frames {
    /// Connects, and sends these settings.
    pub(super) async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::connect_in_pieces(address, settings, &[PREFACE]).await
    }

    /// Connects with the preface in these pieces, each in a segment of its own.
    pub(super) async fn connect_in_pieces(
        address: SocketAddr,
        settings: &[(u16, u32)],
        preface: &[&[u8]],
    ) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reading, mut writing) = stream.into_split();
        let mut told = Vec::new();
        for (name, value) in settings {
            told.extend(name.to_be_bytes());
            told.extend(value.to_be_bytes());
        }
        for (at, piece) in preface.iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            writing.write_all(piece).await.unwrap();
        }
        let mut frames = Self { reading, writing };
        frames.send(SETTINGS, 0, 0, &told).await.unwrap();
        frames.send(SETTINGS, ACK, 0, &[]).await.unwrap();
        frames
    }

    pub(super) async fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        send(&mut self.writing, kind, flags, stream, payload).await
    }

    /// Asks with this block of headers, and sends no body.
    pub(super) async fn ask(&mut self, stream: u32, block: &[u8]) {
        let asked = self.send(HEADERS, END_HEADERS | END_STREAM, stream, block);
        asked.await.unwrap();
    }

    /// Opens the window of a stream, or of the connection with stream 0.
    pub(super) async fn open(&mut self, stream: u32, bytes: u32) {
        open(&mut self.writing, stream, bytes).await;
    }

    /// The next frame; `None` when the server has closed or reset the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        read(&mut self.reading).await
    }

    /// Reads until the connection ends, within this time. The kinds of frames that came.
    pub(super) async fn until_end(&mut self, within: Duration) -> Vec<u8> {
        let mut kinds = Vec::new();
        let reading = async {
            while let Some(frame) = self.next().await {
                kinds.push(frame.kind);
            }
        };
        let ended = tokio::time::timeout(within, reading).await;
        assert!(ended.is_ok(), "the connection stays; frames: {kinds:?}");
        kinds
    }
}

/// Writes a frame.
pub(super) async fn send(
    writing: &mut OwnedWriteHalf,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let frame = frame(kind, flags, stream, payload);
    writing.write_all(&frame).await
}

/// Opens the window of a stream, or of the connection with stream 0.
pub(super) async fn open(writing: &mut OwnedWriteHalf, stream: u32, bytes: u32) {
    let payload = bytes.to_be_bytes();
    send(writing, WINDOW_UPDATE, 0, stream, &payload)
        .await
        .unwrap();
}

/// The next frame; `None` when the server has closed or reset the connection.
pub(super) async fn read(reading: &mut OwnedReadHalf) -> Option<Frame> {
    let mut head = [0; 9];
    reading.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    reading.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind: head[3],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff,
        payload,
    })
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers as HPACK writes them without compressing anything.
pub(super) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// What posts to `path`.
pub(super) fn post(path: &str) -> Vec<u8> {
    fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "line.test"),
        (":path", path),
    ])
}

/// What asks for `path`, with `more` fields.
pub(super) fn get(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "line.test"),
        (":path", path),
    ];
    fields(&[&pseudo[..], more].concat())
}
