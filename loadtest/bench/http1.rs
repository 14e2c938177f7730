//! One HTTP/1.1 connection, kept open, one call at a time.
//!
//! It does as little as it can, because client and server share the machine: what the client uses
//! up, the server lacks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; the body lies in the connection's buffer until the next call.
pub(crate) struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// Where the head of an answer ends and what it says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub status: u16,
    pub length: usize,
    pub body_length: usize,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends a complete request and reads the complete answer.
    pub(crate) fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        loop {
            if let Some(head) = parse_head(&self.buffer)? {
                let end = head.length + head.body_length;
                if end > ANSWER_BYTES_MAX {
                    return Err(io::Error::other("the answer is too long"));
                }
                while self.buffer.len() < end {
                    self.read_more()?;
                }
                return Ok(Answer {
                    status: head.status,
                    body: &self.buffer[head.length..end],
                });
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

/// A request with a body of JSON.
pub(crate) fn post_json(host: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A request without a body, with `headers` of the form `Name: value\r\n`.
pub(crate) fn get(host: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    bodiless("GET", host, path, headers)
}

/// The same with any method.
pub(crate) fn bodiless(method: &str, host: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").into_bytes()
}

/// The head at the beginning of `bytes`, once it is complete.
pub(crate) fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let body_length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    match (status, body_length) {
        (Some(status), Some(body_length)) => Ok(Some(Head {
            status,
            length: end + 4,
            body_length,
        })),
        (Some(204), None) => Ok(Some(Head {
            status: 204,
            length: end + 4,
            body_length: 0,
        })),
        _ => Err(io::Error::other("an answer without status or length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let bytes = b"HTTP/1.1 201 Created\r\nX-A: b\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(parse_head(&bytes[..30]).unwrap(), None);
        let head = parse_head(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.body_length), (201, 3));
        assert_eq!(&bytes[head.length..], b"abc");
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
