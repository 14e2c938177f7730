//! A connection to an upstream, moved forward by the task of the request that uses it.
//!
//! No task of its own stands between the two: what arrives wakes the request's task, which reads
//! it at once. At rest, in its pool, a connection is moved by nobody.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::request_body::RequestBody;
use crate::edge::lazy_timer::LazyTimer;
use crate::edge::write_stall::WriteStall;

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: Driver,
    rests_since: Instant,
    /// Until the head of the answer has to be there.
    head_timer: LazyTimer,
}

/// What reads and writes.
enum Driver {
    /// The task that holds the connection moves it.
    Here(Box<http1::Connection<TokioIo<WriteStall<TcpStream>>, RequestBody>>),
    /// A task of its own does.
    Elsewhere,
    /// The connection is over.
    Over,
}

/// Why a request got no answer.
pub(super) enum NotAnswered {
    /// The head of the answer did not come in time.
    Overdue,
    /// The connection broke.
    Broken {
        error: hyper::Error,
        /// The request, if none of it was written.
        unsent: Option<Box<Request<RequestBody>>>,
    },
}

impl Connection {
    /// Speaks HTTP over `stream`, buffering up to `buffer_bytes`.
    pub(super) async fn open(
        stream: WriteStall<TcpStream>,
        buffer_bytes: usize,
    ) -> hyper::Result<Self> {
        let mut http = http1::Builder::new();
        http.max_buf_size(buffer_bytes);
        let (sender, driver) = http.handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Driver::Here(Box::new(driver)),
            rests_since: Instant::now(),
            head_timer: LazyTimer::default(),
        })
    }

    /// Sends `request` and waits for the head of the answer: for `head_max` from when `settled`
    /// resolves, which is when the upstream has the whole request.
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
                // It comes by the line above alone, so nobody has to wake this task for it.
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

    /// The next frame of the answer's `body`.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Driver::Elsewhere = self.driver {
            return Pin::new(body).poll_frame(cx);
        }
        // As in `send`, what is not there yet comes by the driver alone.
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut nobody()) {
            return Poll::Ready(frame);
        }
        self.driver.poll(cx);
        Pin::new(body).poll_frame(&mut nobody())
    }

    /// Gives the connection a task of its own in `tasks`: one side may go on while the other
    /// stands still.
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

    /// Whether the connection can take a request. An upstream that has closed it, or said
    /// something unasked, is noticed here.
    pub(super) fn is_ready(&mut self) -> bool {
        let driver = &mut self.driver;
        let mut moved = pin!(unconstrained(poll_fn(|cx| {
            driver.poll(cx);
            Poll::Ready(())
        })));
        let _moved = moved.as_mut().poll(&mut nobody());
        matches!(self.driver, Driver::Here(_)) && self.sender.is_ready()
    }

    /// Notes that the connection comes to rest now.
    pub(super) fn rest(&mut self) {
        self.rests_since = Instant::now();
    }

    /// Whether the connection has rested for longer than `rest_max`.
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
