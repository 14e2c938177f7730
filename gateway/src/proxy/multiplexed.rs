//! Connections to upstreams that speak HTTP/2, which many requests share.
//!
//! Each has a task of its own, in the runtime of the core that opened it. A stream that is dropped
//! before its end is reset, which cancels the request at the upstream.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::connection::NotAnswered;
use super::request_body::RequestBody;
use super::wire::Wire;

/// Streams at once on a connection; for more, another one is opened. Servers take as many at least
/// (RFC 9113, section 5.1.2).
const STREAMS_MAX: usize = 100;
/// Bytes of one answer that are taken before its client reads them.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all answers of a connection: clients that do not read must not hold up others.
const CONNECTION_WINDOW_BYTES: u32 = 100 * STREAM_WINDOW_BYTES;
/// After this long without a word from an upstream with requests underway it is asked for one.
/// Servers of gRPC close connections that ask more often than every five minutes.
const ASKED_AFTER: Duration = Duration::from_mins(6);
/// How long the word may take.
const ASKED_MAX: Duration = Duration::from_secs(20);

/// A connection.
pub(super) struct Multiplexed {
    sender: SendRequest<RequestBody>,
    load: Arc<Load>,
}

/// How a connection is used.
struct Load {
    opened: Instant,
    streams: AtomicUsize,
    /// When the last stream ended, in milliseconds after `opened`.
    rests_since_ms: AtomicU64,
}

/// The place of one request on a connection.
pub(super) struct Stream {
    sender: SendRequest<RequestBody>,
    load: Arc<Load>,
}

/// Runs what belongs to connections in tasks that are tracked.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

impl Multiplexed {
    /// Begins HTTP/2 on `wire`, with heads of up to `buffer_bytes`, driven by a task in `tasks`.
    pub(super) async fn open(
        wire: Wire,
        buffer_bytes: usize,
        tasks: &TaskTracker,
    ) -> hyper::Result<Self> {
        let mut http = http2::Builder::new(Tasks(tasks.clone()));
        http.timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(buffer_bytes).unwrap_or(u32::MAX))
            .max_send_buf_size(buffer_bytes)
            .keep_alive_interval(ASKED_AFTER)
            .keep_alive_timeout(ASKED_MAX);
        let (sender, connection) = http.handshake(TokioIo::new(wire)).await?;
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an upstream broke");
            }
        });
        Ok(Self {
            sender,
            load: Arc::new(Load {
                opened: Instant::now(),
                streams: AtomicUsize::new(0),
                rests_since_ms: AtomicU64::new(0),
            }),
        })
    }

    /// A place for one more request; `None` when the connection is full or closed.
    pub(super) fn stream(&self) -> Option<Stream> {
        if self.sender.is_closed() {
            return None;
        }
        let more = |streams: usize| (streams < STREAMS_MAX).then_some(streams + 1);
        let taken = self
            .load
            .streams
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Stream {
            sender: self.sender.clone(),
            load: Arc::clone(&self.load),
        })
    }

    /// Whether it can be forgotten: it is closed, or has been idle for longer than `rest_max`.
    pub(super) fn is_stale(&self, rest_max: Duration) -> bool {
        let rests_since_ms = self.load.rests_since_ms.load(Ordering::Relaxed);
        let rests_since = self.load.opened + Duration::from_millis(rests_since_ms);
        let is_idle = self.load.streams.load(Ordering::Relaxed) == 0;
        self.sender.is_closed() || (is_idle && rests_since.elapsed() > rest_max)
    }
}

impl Stream {
    /// Sends `request` and waits for the head of the response. The limit `head_max` runs from the
    /// moment `settled` resolves, when the upstream has the whole request.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        settled: impl Future<Output = ()>,
        head_max: Duration,
    ) -> Result<Response<Incoming>, NotAnswered> {
        let answered = pin!(self.sender.try_send_request(request));
        let overdue = async {
            settled.await;
            tokio::time::sleep(head_max).await;
        };
        tokio::select! {
            biased;
            answer = answered => answer.map_err(|mut refused| NotAnswered::Broken {
                unsent: refused.take_message().map(Box::new),
                error: refused.into_error(),
            }),
            () = overdue => Err(NotAnswered::Overdue),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let ms = u64::try_from(self.load.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.load.rests_since_ms.store(ms, Ordering::Relaxed);
        self.load.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
