//! A connection after a protocol switch, WebSocket or other, copied byte by byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::Instant;

/// Bytes buffered in each direction of a tunnel.
const TUNNEL_BUFFER_BYTES: usize = 4096;

/// Longest time until both sides have switched.
const SWITCH_MAX: Duration = Duration::from_mins(1);

/// When bytes last moved in either direction.
#[derive(Debug)]
struct Activity {
    started: Instant,
    last_ms: AtomicU64,
}

/// A connection that records when bytes move. All bytes of a tunnel are read from or written to the
/// client's side, so it is enough to watch that side.
#[derive(Debug)]
struct Watched<T> {
    inner: T,
    activity: Arc<Activity>,
}

/// Copies bytes both ways until one side closes, no bytes move for `idle_max` (if given), or `end`
/// resolves.
pub(super) async fn run(
    client: OnUpgrade,
    upstream: OnUpgrade,
    idle_max: Option<Duration>,
    end: impl Future<Output = ()>,
) {
    tokio::pin!(end);
    // The client's side switches after it has read the response. A client that has disconnected
    // never does, hence the limit.
    let switched = tokio::time::timeout(SWITCH_MAX, async { tokio::try_join!(client, upstream) });
    let (client, upstream) = tokio::select! {
        switched = switched => match switched {
            Ok(Ok(sides)) => sides,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection did not switch protocols");
                return;
            }
            Err(_) => return,
        },
        () = &mut end => return,
    };
    let activity = Arc::new(Activity {
        started: Instant::now(),
        last_ms: AtomicU64::new(0),
    });
    let mut client = Watched {
        inner: TokioIo::new(client),
        activity: Arc::clone(&activity),
    };
    let mut upstream = TokioIo::new(upstream);
    tokio::select! {
        _ = copy_bidirectional_with_sizes(
            &mut client,
            &mut upstream,
            TUNNEL_BUFFER_BYTES,
            TUNNEL_BUFFER_BYTES,
        ) => {}
        () = activity.idle_for(idle_max) => {
            tracing::debug!("a tunnel stood still for too long");
        }
        () = &mut end => {}
    }
}

impl Activity {
    fn note(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// Resolves when no bytes have moved for `span`; never without a span.
    async fn idle_for(&self, span: Option<Duration>) {
        let Some(span) = span else {
            return std::future::pending().await;
        };
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let deadline = self.started + last + span;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_read(cx, buf);
        if done.is_ready() {
            self.activity.note();
        }
        done
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, buf);
        if done.is_ready() {
            self.activity.note();
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
