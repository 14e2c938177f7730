//! The streams of a connection that speaks HTTP/2: how many there are, whether they move, and
//! whether the client only makes work.
//!
//! A client may open streams and reset them at once, without waiting for answers (CVE-2023-44487):
//! the work for each is done, and none counts against the number of concurrent streams. And it may
//! leave answers unread by not opening the window of a stream, while the socket moves. HTTP/1 has
//! neither: there, a client that goes away takes its connection with it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Requests that a client may give up before their answers have begun, beyond those that were
/// answered: a browser that leaves a page gives up tens of them, and a proxy in front those of many
/// fans, beside many more that are answered.
const GIVEN_UP_MAX: u64 = 200;

/// Longest times of a connection without progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first request.
    pub(super) head: Duration,
    /// Without a stream.
    pub(super) rest: Duration,
    /// While the client takes nothing of any answer that waits for it, and after the order to leave
    /// until the client has closed.
    pub(super) stall: Duration,
}

/// The streams of a connection. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    tasks: TaskTracker,
    has_asked: AtomicBool,
    /// Tasks of streams.
    running: AtomicUsize,
    /// When that number was last zero, in milliseconds since the beginning.
    rests_since_ms: AtomicU64,
    /// Answers of which a part was handed on, and the next was not asked for yet.
    waiting: AtomicUsize,
    /// When a part of an answer was last asked for.
    moved_ms: AtomicU64,
    /// Requests that the client gave up, less those that were answered.
    given_up: AtomicU64,
    flooded: CancellationToken,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is looked at again then.
    Wait(Instant),
    /// It has rested for long enough: no new streams are taken.
    Leave,
    /// The client does not read.
    Stalled,
}

impl Streams {
    /// Those of a new connection, each in a task of `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            tasks,
            has_asked: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            rests_since_ms: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            moved_ms: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            flooded: CancellationToken::new(),
        }))
    }

    /// A request has come. It counts as given up unless it is answered.
    pub(super) fn ask(&self) -> Asking {
        self.0.has_asked.store(true, Ordering::Relaxed);
        Asking {
            streams: self.clone(),
            is_answered: false,
        }
    }

    /// Whether a request has come.
    pub(super) fn have_asked(&self) -> bool {
        self.0.has_asked.load(Ordering::Relaxed)
    }

    /// Watches whether the client takes `body`.
    pub(super) fn watch(&self, body: Body) -> StreamBody {
        StreamBody {
            inner: body,
            streams: self.clone(),
            is_waiting: false,
        }
    }

    /// Resolves when the client has given up too many requests.
    pub(super) async fn flooded(&self) {
        self.0.flooded.cancelled().await;
    }

    /// What is to become of the connection at `now`.
    pub(super) fn verdict(&self, now: Instant, patience: Patience) -> Verdict {
        let shared = &*self.0;
        let at = |ms: &AtomicU64| shared.began + Duration::from_millis(ms.load(Ordering::Relaxed));
        if shared.running.load(Ordering::Relaxed) == 0 {
            let span = if self.have_asked() {
                patience.rest
            } else {
                patience.head
            };
            let ends = at(&shared.rests_since_ms) + span;
            return if now >= ends {
                Verdict::Leave
            } else {
                Verdict::Wait(ends)
            };
        }
        if shared.waiting.load(Ordering::Relaxed) == 0 {
            return Verdict::Wait(now + patience.rest.min(patience.stall));
        }
        let ends = at(&shared.moved_ms) + patience.stall;
        if now >= ends {
            Verdict::Stalled
        } else {
            Verdict::Wait(ends)
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Each stream is a task, which is counted.
impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(self.clone());
        self.0.tasks.spawn(async move {
            stream.await;
            drop(running);
        });
    }
}

/// A task of a stream.
struct Running(Streams);

impl Drop for Running {
    fn drop(&mut self) {
        let now_ms = self.0.now_ms();
        let shared = &*self.0.0;
        shared.rests_since_ms.store(now_ms, Ordering::Relaxed);
        shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is being answered.
pub(super) struct Asking {
    streams: Streams,
    is_answered: bool,
}

impl Asking {
    /// Its answer begins.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let given_up = &self.streams.0.given_up;
        if self.is_answered {
            let less = |count: u64| Some(count.saturating_sub(1));
            let _ = given_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else if given_up.fetch_add(1, Ordering::Relaxed) >= GIVEN_UP_MAX {
            self.streams.0.flooded.cancel();
        }
    }
}

/// See [`Streams::watch`].
pub(super) struct StreamBody {
    inner: Body,
    streams: Streams,
    /// A part was handed on, and the next was not asked for yet.
    is_waiting: bool,
}

impl StreamBody {
    fn waits(&mut self, is_waiting: bool) {
        if is_waiting == self.is_waiting {
            return;
        }
        self.is_waiting = is_waiting;
        let waiting = &self.streams.0.waiting;
        if is_waiting {
            waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let now_ms = this.streams.now_ms();
        this.streams.0.moved_ms.store(now_ms, Ordering::Relaxed);
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        this.waits(matches!(polled, Poll::Ready(Some(Ok(_)))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.waits(false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};
    use http_body_util::BodyExt;

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        rest: Duration::from_secs(75),
        stall: Duration::from_secs(60),
    };

    fn streams() -> Streams {
        Streams::new(TaskTracker::new())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn verdict(streams: &Streams) -> Verdict {
        streams.verdict(Instant::now(), PATIENCE)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_leaves_soon_and_one_at_rest_later() {
        let streams = streams();
        let began = Instant::now();
        assert_eq!(verdict(&streams), Verdict::Wait(began + PATIENCE.head));
        pass(10).await;
        assert_eq!(verdict(&streams), Verdict::Leave);
        streams.ask().answered();
        assert_eq!(verdict(&streams), Verdict::Wait(began + PATIENCE.rest));
        pass(65).await;
        assert_eq!(verdict(&streams), Verdict::Leave);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_keeps_its_connection_and_the_rest_begins_at_its_end() {
        let streams = streams();
        let end = CancellationToken::new();
        streams.ask().answered();
        streams.execute(end.clone().cancelled_owned());
        pass(1000).await;
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        end.cancel();
        streams.0.tasks.close();
        streams.0.tasks.wait().await;
        pass(74).await;
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        pass(1).await;
        assert_eq!(verdict(&streams), Verdict::Leave);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_told_from_an_answer_that_has_nothing() {
        let streams = streams();
        streams.execute(std::future::pending());
        let mut body = streams.watch(Body::from("all of it"));
        let mut quiet = streams.watch(Body::new(http_body_util::StreamBody::new(
            futures_util::stream::pending::<Result<Frame<Bytes>, axum::Error>>(),
        )));
        assert!(poll!(quiet.frame()).is_pending());
        pass(100).await;
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        assert!(poll!(body.frame()).is_ready());
        pass(59).await;
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        pass(1).await;
        assert_eq!(verdict(&streams), Verdict::Stalled);
        drop(body);
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
    }

    #[tokio::test]
    async fn who_only_gives_up_floods_and_who_gives_up_some_does_not() {
        let streams = streams();
        for _ in 0..10 * GIVEN_UP_MAX {
            drop(streams.ask());
            streams.ask().answered();
        }
        let before = || std::pin::pin!(streams.flooded()).now_or_never().is_some();
        assert!(!before());
        for _ in 0..=GIVEN_UP_MAX {
            drop(streams.ask());
        }
        assert!(before());
    }
}
