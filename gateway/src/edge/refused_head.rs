//! The response to a request that is not served, because the parser refuses its head or there are
//! too many connections: a problem document, or a page if the head came from a browser.

use std::fmt;
use std::sync::Arc;

use contract::problem::PROBLEM_MEDIA_TYPE;
use contract::{Problem, ProblemCode};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use web::RequestIds;
use web::reader::{Reader, reader};
use web::request_id::X_REQUEST_ID;

/// Bytes of a head that are kept while it is read. Browsers send the fields that tell a person from
/// a program before their cookies.
const KEPT_BYTES_MAX: usize = 8 * 1024;

/// Bytes of that memory that a connection keeps between requests.
const KEPT_BYTES_REUSED_MAX: usize = 2 * 1024;

/// Makes the page that people get instead of a problem document.
#[derive(Clone)]
pub struct Page(Arc<dyn Fn(Problem) -> PageParts + Send + Sync>);

/// A page and the headers that describe it.
pub struct PageParts {
    /// Media type, policies and the like.
    pub headers: HeaderMap,
    /// The document.
    pub html: String,
}

impl Page {
    /// Pages that `make` renders from a problem.
    pub fn new(make: impl Fn(Problem) -> PageParts + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

/// What the response to a refused request is made of.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    pub(super) ids: RequestIds,
    /// The page for people; `None` if they get a problem document too.
    pub(super) page: Option<Page>,
}

/// The beginning of the head that is being read.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<u8>);

impl Kept {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let free = KEPT_BYTES_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(free)]);
    }

    /// Whether the head is complete or the kept bytes are at their limit.
    pub(super) fn is_whole(&self) -> bool {
        self.0.len() >= KEPT_BYTES_MAX || self.0.windows(4).any(|four| four == b"\r\n\r\n")
    }

    /// Forgets a head that was read, and keeps up to `KEPT_BYTES_REUSED_MAX` of its memory.
    pub(super) fn forget(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_BYTES_REUSED_MAX);
    }

    /// Frees the memory, because no further head follows.
    pub(super) fn end(&mut self) {
        self.0 = Vec::new();
    }

    /// The fields that can be parsed. Each line is parsed by itself, because the head is malformed
    /// somewhere.
    fn fields(&self) -> HeaderMap {
        let lines = self.0.split(|byte| *byte == b'\n').skip(1);
        let lines = lines.map(<[u8]>::trim_ascii_end);
        lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let name = HeaderName::from_bytes(&line[..colon]).ok()?;
                let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
                Some((name, value))
            })
            .collect()
    }
}

/// The status of a response that begins with `bytes`, if it is one with which hyper refuses a head.
pub(super) fn status_of(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let status = std::str::from_utf8(rest).ok()?.parse().ok()?;
    (400..500).contains(&status).then_some(status)
}

/// Why a request is not served.
pub(super) struct Refusal {
    status: u16,
    reason: &'static str,
    problem: Problem,
}

impl Refusal {
    /// A refusal by the parser, with the status that hyper chose.
    pub(super) fn of_parser(status: u16) -> Self {
        let (code, reason, detail) = match status {
            431 => (
                ProblemCode::HeadTooLarge,
                "Request Header Fields Too Large",
                "The request's headers are larger or more than are read.",
            ),
            414 => (
                ProblemCode::HeadTooLarge,
                "URI Too Long",
                "The request's address is too long.",
            ),
            408 => (
                ProblemCode::RequestTimeout,
                "Request Timeout",
                "The request took too long to arrive.",
            ),
            _ => (
                ProblemCode::BadRequest,
                "Bad Request",
                "The request's head could not be read.",
            ),
        };
        let mut problem = Problem::new(code).detail(detail);
        problem.status = status;
        Self {
            status,
            reason,
            problem,
        }
    }

    /// There are too many connections.
    pub(super) fn no_room() -> Self {
        Self {
            status: 503,
            reason: "Service Unavailable",
            problem: Problem::new(ProblemCode::LineUnavailable)
                .detail("Too many connections. Try again in a moment."),
        }
    }
}

/// The complete response to a request that began with `head`.
pub(super) fn answer(refusal: Refusal, head: &Kept, refusals: &Refusals) -> Vec<u8> {
    let Refusal {
        status,
        reason,
        mut problem,
    } = refusal;
    let id = refusals.ids.next_id();
    let retry_after = problem.retry_after_seconds;
    problem.request_id = Some(id.as_str().to_owned());
    tracing::debug!(
        status,
        request_id = id.as_str(),
        "a request was refused before it was served"
    );
    let page = refusals.page.as_ref();
    let page = page.filter(|_| reader(&head.fields()) == Reader::Person);
    let parts = match page {
        Some(page) => (page.0)(problem),
        None => PageParts {
            headers: [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE))]
                .into_iter()
                .collect(),
            // Serialisation cannot fail: a problem contains only strings, numbers and JSON values.
            html: serde_json::to_string(&problem).unwrap_or_default(),
        },
    };
    let mut answer = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
    for (name, value) in &parts.headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    if let Some(seconds) = retry_after {
        answer.extend_from_slice(format!("retry-after: {seconds}\r\n").as_bytes());
    }
    let rest = format!(
        "content-length: {}\r\ncache-control: no-store\r\n{X_REQUEST_ID}: {}\r\n\
         connection: close\r\n\r\n{}",
        parts.html.len(),
        id.as_str(),
        parts.html,
    );
    answer.extend_from_slice(rest.as_bytes());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_made_out_of_a_head_that_cannot_be_read() {
        let mut kept = Kept::default();
        kept.add(b"GET /a b HTTP/1.1\r\nHost: x\r\nno colon\r\nb\x01d: y\r\nAccept : no\r\n");
        kept.add(b"ACCEPT:  text/html \r\n\r\nx-requested-with: body\r\n");
        let fields = kept.fields();
        assert_eq!(fields.len(), 2, "{fields:?}");
        assert_eq!(fields["accept"], "text/html");
        kept.forget();
        assert!(kept.fields().is_empty());
    }

    #[test]
    fn no_more_than_the_beginning_is_kept() {
        let mut kept = Kept::default();
        kept.add(&[b'a'; KEPT_BYTES_MAX - 1]);
        kept.add(b"bc");
        kept.add(b"d");
        assert_eq!((kept.0.len(), kept.0.last()), (KEPT_BYTES_MAX, Some(&b'b')));
    }
}
