//! A connection to an upstream, driven by the task of the request that uses it.
//!
//! The connection has no task of its own: data from the upstream wakes the request's task, which
//! reads it at once. While a connection is idle in the pool, no task polls it.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::request_body::RequestBody;
use super::wire::Wire;
use crate::edge::lazy_timer::LazyTimer;

/// Headers of an answer on a connection for large heads.
pub(super) const LARGE_HEADERS_MAX: usize = 1000;

/// How many headers an answer may have. The parser keeps room for a hundred without allocating, and
/// few upstreams ever send more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HeadSize {
    /// A hundred.
    Usual,
    /// [`LARGE_HEADERS_MAX`].
    Large,
}

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: Driver,
    heads: HeadSize,
    is_tunnel: Arc<AtomicBool>,
    rests_since: Instant,
    /// Deadline for the head of the response.
    head_timer: LazyTimer,
}

/// What polls the connection's I/O.
enum Driver {
    /// The task that owns the [`Connection`] polls it.
    Here(Box<http1::Connection<TokioIo<Wire>, RequestBody>>),
    /// A separate task polls it, see [`Connection::detach`].
    Elsewhere,
    /// The connection is closed.
    Over,
}

/// Why a request got no response.
pub(super) enum NotAnswered {
    /// The head of the response did not come in time.
    Overdue,
    /// The connection broke.
    Broken {
        error: hyper::Error,
        /// The request, if none of it was written to the socket, so that it can be sent again.
        unsent: Option<Box<Request<RequestBody>>>,
    },
}

impl Connection {
    /// Starts HTTP/1.1 on `stream`, with a buffer of up to `buffer_bytes`.
    pub(super) async fn open(
        stream: Wire,
        buffer_bytes: usize,
        heads: HeadSize,
    ) -> hyper::Result<Self> {
        let mut http = http1::Builder::new();
        http.max_buf_size(buffer_bytes);
        if heads == HeadSize::Large {
            http.max_headers(LARGE_HEADERS_MAX);
        }
        let is_tunnel = stream.is_tunnel();
        let (sender, driver) = http.handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Driver::Here(Box::new(driver)),
            heads,
            is_tunnel,
            rests_since: Instant::now(),
            head_timer: LazyTimer::default(),
        })
    }

    /// Sends `request` and waits for the head of the response. The limit `head_max` runs from the
    /// moment `settled` resolves, when the upstream has the whole request.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        settled: impl Future<Output = ()>,
        head_max: Duration,
    ) -> Result<Response<Incoming>, NotAnswered> {
        let Self {
            sender,
            driver,
            head_timer,
            ..
        } = self;
        head_timer.clear();
        let (mut answered, mut settled) = (
            pin!(unconstrained(sender.try_send_request(request))),
            pin!(settled),
        );
        let answer = poll_fn(|cx| {
            driver.poll(cx);
            let answer = match driver {
                // `driver.poll` above delivers the response and has registered this task's waker,
                // so the response future needs none.
                Driver::Here(_) | Driver::Over => answered.as_mut().poll(&mut nobody()),
                Driver::Elsewhere => answered.as_mut().poll(cx),
            };
            if let Poll::Ready(answer) = answer {
                return Poll::Ready(Some(answer));
            }
            if head_timer.deadline().is_none() && settled.as_mut().poll(cx).is_ready() {
                head_timer.set(Instant::now() + head_max);
            }
            head_timer.poll_passed(cx).map(|()| None)
        });
        match answer.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut refused)) => Err(NotAnswered::Broken {
                unsent: refused.take_message().map(Box::new),
                error: refused.into_error(),
            }),
            None => Err(NotAnswered::Overdue),
        }
    }

    /// The next frame of the response's `body`.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Driver::Elsewhere = self.driver {
            return Pin::new(body).poll_frame(cx);
        }
        // As in `send`, only the driver's poll can deliver more, so the body needs no waker.
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut nobody()) {
            return Poll::Ready(frame);
        }
        self.driver.poll(cx);
        Pin::new(body).poll_frame(&mut nobody())
    }

    /// Moves the connection's I/O into a task of its own in `tasks`, so that the upstream can send
    /// while the client does not read, and the reverse.
    pub(super) fn detach(&mut self, tasks: &TaskTracker) {
        if let Driver::Here(driver) = std::mem::replace(&mut self.driver, Driver::Elsewhere) {
            tasks.spawn(driver);
        }
    }

    /// Like [`Connection::detach`], for a request that may switch protocols.
    pub(super) fn detach_for_switch(&mut self, tasks: &TaskTracker) {
        if let Driver::Here(driver) = std::mem::replace(&mut self.driver, Driver::Elsewhere) {
            tasks.spawn(driver.with_upgrades());
        }
    }

    /// Whether the connection can take another request. Polls the socket once, to notice that the
    /// upstream has closed it or sent data without a request.
    pub(super) fn is_ready(&mut self) -> bool {
        let driver = &mut self.driver;
        let mut moved = pin!(unconstrained(poll_fn(|cx| {
            driver.poll(cx);
            Poll::Ready(())
        })));
        let _moved = moved.as_mut().poll(&mut nobody());
        matches!(self.driver, Driver::Here(_)) && self.sender.is_ready()
    }

    /// Records that the connection has switched protocols.
    pub(super) fn switched(&self) {
        self.is_tunnel.store(true, Ordering::Relaxed);
    }

    /// The size of the heads that answers may have here.
    pub(super) fn heads(&self) -> HeadSize {
        self.heads
    }

    /// Records that the connection becomes idle now.
    pub(super) fn rest(&mut self) {
        self.rests_since = Instant::now();
    }

    /// Whether the connection has been idle for longer than `rest_max`.
    pub(super) fn is_stale(&self, rest_max: Duration) -> bool {
        self.rests_since.elapsed() > rest_max
    }
}

impl fmt::Display for NotAnswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overdue => f.write_str("it did not come in time"),
            Self::Broken { error, .. } => error.fmt(f),
        }
    }
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Here(driver) = self
            && let Poll::Ready(ended) = Pin::new(driver).poll(cx)
        {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to an upstream broke");
            }
            *self = Self::Over;
        }
    }
}

/// A context that wakes no task.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
