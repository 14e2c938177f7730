//! One request, from its head to the end of its answer; then it is a line.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use contract::{RoomId, Timestamp};
use http::header::{HOST, HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use web::RequestId;

use super::line::{End, Line, PATH_MAX, TEXT_MAX};
use super::notes::Notes;
use super::open::Open;

/// The status of a request whose client left before there was an answer, as nginx has it.
const CLIENT_GONE: u16 = 499;
/// Links to bookings: what follows is as good as a password.
const LINKS: &[u8] = b"/b/";
/// Stands for what opens a booking.
const HIDDEN: &[u8] = b"[hidden]";

/// A request that is being answered. Its line is written when it is dropped.
pub(super) struct Entry {
    open: Arc<Open>,
    at: Timestamp,
    began: Instant,
    client: IpAddr,
    is_encrypted: bool,
    method: Method,
    protocol: &'static str,
    path: Box<[u8]>,
    host: Option<Box<[u8]>>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
    id: RequestId,
    notes: Notes,
    status: u16,
    bytes: u64,
    end: End,
}

impl Entry {
    /// An entry of the request with this head. Nothing of the head is kept alive.
    pub(super) fn new(
        open: Arc<Open>,
        (client, is_encrypted): (IpAddr, bool),
        head: &Parts,
        id: RequestId,
        notes: Notes,
    ) -> Self {
        let text = |name: HeaderName| {
            let value = head.headers.get(name)?.as_bytes();
            Some(value[..value.len().min(TEXT_MAX + 1)].into())
        };
        let referer = head.headers.get(REFERER);
        Self {
            at: open.clock.now(),
            open,
            began: Instant::now(),
            client,
            is_encrypted,
            method: head.method.clone(),
            protocol: protocol(head.version),
            path: harmless(head.uri.path().as_bytes()),
            host: text(HOST),
            referer: referer.map(|referer| harmless(referer.as_bytes())),
            user_agent: text(USER_AGENT),
            id,
            notes,
            status: CLIENT_GONE,
            bytes: 0,
            end: End::ClientGone,
        }
    }

    /// The answer, whose end ends the entry too.
    pub(super) fn answered(mut self: Box<Self>, response: Response) -> Response {
        let status = response.status();
        self.status = status.as_u16();
        let has_no_body = self.method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || response.body().is_end_stream();
        if has_no_body {
            self.end = End::Complete;
            return response;
        }
        response.map(|inner| {
            Body::new(Logged {
                expected: inner.size_hint().exact(),
                inner,
                entry: self,
            })
        })
    }

    /// The room of a path of the line's own.
    fn room_of_path(&self) -> Option<RoomId> {
        let path = std::str::from_utf8(&self.path).ok()?;
        let rest = path.strip_prefix("/_line/")?;
        let rest = rest.strip_prefix("v1/").unwrap_or(rest);
        let room = rest.strip_prefix("rooms/")?.split('/').next()?;
        room.parse().ok()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let noted = self.notes.noted();
        let room = noted.and_then(|noted| noted.room.get().cloned());
        let room = room.or_else(|| self.room_of_path());
        let line = Line {
            at: self.at,
            client: self.client,
            method: self.method.as_str().as_bytes(),
            path: &self.path,
            protocol: self.protocol,
            host: self.host.as_deref(),
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            is_encrypted: self.is_encrypted,
            status: self.status,
            bytes: self.bytes,
            took: self.began.elapsed(),
            upstream: noted.and_then(|noted| noted.upstream.get().copied()),
            room: room.as_ref().map(RoomId::as_str),
            decision: noted.and_then(|noted| noted.decision.get().copied()),
            request_id: self.id.as_str(),
            end: self.end,
        };
        self.open.lines.put(line.written(self.open.form));
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// A path or an address without what may be secret in it: query, fragment, a login before the host,
/// and what opens a booking.
fn harmless(address: &[u8]) -> Box<[u8]> {
    let end = address.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let mut address = &address[..end.unwrap_or(address.len())];
    let mut start: &[u8] = b"";
    let colon = address.windows(3).position(|three| three == b"://");
    if let Some(colon) = colon {
        let (scheme, rest) = address.split_at(colon + 3);
        let host_end = rest.iter().position(|byte| *byte == b'/');
        let login = rest[..host_end.unwrap_or(rest.len())]
            .iter()
            .rposition(|byte| *byte == b'@');
        start = scheme;
        address = &rest[login.map_or(0, |at| at + 1)..];
    }
    let mut said = [start, address].concat();
    let link = said.windows(LINKS.len()).position(|three| three == LINKS);
    if let Some(link) = link {
        let from = link + LINKS.len();
        let length = said[from..].iter().position(|byte| *byte == b'/');
        let to = length.map_or(said.len(), |length| from + length);
        said.splice(from..to, HIDDEN.iter().copied());
    }
    said.truncate(PATH_MAX + 1);
    said.into_boxed_slice()
}

/// The body of an answer, which counts its bytes.
struct Logged {
    inner: Body,
    entry: Box<Entry>,
    /// The length that was announced.
    expected: Option<u64>,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.entry.bytes += u64::try_from(length).unwrap_or(0);
            }
            Some(Err(_)) => this.entry.end = End::Broke,
            None => this.entry.end = End::Complete,
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        // Nobody asks for the end of a body of which all is there.
        let is_whole = self.inner.is_end_stream() || self.expected == Some(self.entry.bytes);
        if is_whole && self.entry.end == End::ClientGone {
            self.entry.end = End::Complete;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_address_is_logged() {
        for (address, said) in [
            ("/a/b", "/a/b"),
            ("/", "/"),
            ("/a?token=x&b", "/a"),
            ("/b/SECRET", "/b/[hidden]"),
            ("/b/SECRET/tickets.pdf?x", "/b/[hidden]/tickets.pdf"),
            ("/shop/b/SECRET/", "/shop/b/[hidden]/"),
            (
                "https://shop.test/b/SECRET?y",
                "https://shop.test/b/[hidden]",
            ),
            ("https://me:word@shop.test/a#SECRET", "https://shop.test/a"),
            ("https://me:w@rd@shop.test", "https://shop.test"),
            ("https://shop.test/@me", "https://shop.test/@me"),
        ] {
            let found = harmless(address.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), said, "{address}");
        }
        assert_eq!(harmless(&vec![b'a'; 100_000]).len(), PATH_MAX + 1);
    }
}
