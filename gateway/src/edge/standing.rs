//! How one stream of HTTP/2 stands: whether its client takes the answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// Parts that other streams handed on while one waited. A stream with room in its window would have
/// had its turn by then: streams take turns, and there are no more than a hundred.
pub(super) const PARTS_OF_OTHERS: u64 = 400;

/// What the streams of a connection have in common for telling who stalls.
#[derive(Debug)]
pub(super) struct Moves {
    began: Instant,
    /// Parts of answers that were handed on.
    parts: AtomicU64,
    /// Whether the socket takes nothing more.
    is_full: AtomicBool,
    /// When it last began to take something again, in milliseconds since the beginning.
    emptied_ms: AtomicU64,
}

/// One stream. Its task, its answer and its connection share it.
#[derive(Debug)]
pub(super) struct Standing {
    moves: Arc<Moves>,
    /// Since when a part of the answer waits for the client, in milliseconds since the beginning of
    /// the connection; [`NOT_WAITING`] when none does.
    waits_since_ms: AtomicU64,
    /// Parts that all streams had handed on then, with this one.
    parts_then: AtomicU64,
    is_given_up: AtomicBool,
    task: AtomicWaker,
}

const NOT_WAITING: u64 = u64::MAX;

impl Moves {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            parts: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            emptied_ms: AtomicU64::new(0),
        }
    }

    /// When the connection began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Milliseconds since then.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the socket takes bytes.
    pub(super) fn socket_takes(&self, takes: bool) {
        if takes && self.is_full.load(Ordering::Relaxed) {
            self.emptied_ms.store(self.now_ms(), Ordering::Relaxed);
        }
        if takes == self.is_full.load(Ordering::Relaxed) {
            self.is_full.store(!takes, Ordering::Relaxed);
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }
}

impl Standing {
    pub(super) fn new(moves: Arc<Moves>) -> Self {
        Self {
            moves,
            waits_since_ms: AtomicU64::new(NOT_WAITING),
            parts_then: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    /// A part of the answer is handed on.
    pub(super) fn hand_on(&self) {
        let parts = self.moves.parts.fetch_add(1, Ordering::Relaxed);
        self.parts_then.store(parts + 1, Ordering::Relaxed);
        let now_ms = self.moves.now_ms();
        self.waits_since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The part before was taken, or there is no answer any more.
    pub(super) fn taken(&self) {
        self.waits_since_ms.store(NOT_WAITING, Ordering::Relaxed);
    }

    /// When the stream will have waited for `stall` for its client; `None` while it does not wait.
    ///
    /// While the socket is full, nobody can tell a client that does not want this stream from one
    /// with a slow line; how long the socket may be full is limited by itself. But a stream that had
    /// no turn while others had many is not wanted.
    pub(super) fn stalls_at(&self, now: Instant, stall: Duration) -> Option<Instant> {
        let since_ms = self.waits_since_ms.load(Ordering::Relaxed);
        if since_ms == NOT_WAITING {
            return None;
        }
        let moves = &*self.moves;
        let since = moves.at(since_ms);
        let parts = moves.parts.load(Ordering::Relaxed);
        let of_others = parts.saturating_sub(self.parts_then.load(Ordering::Relaxed));
        if of_others >= PARTS_OF_OTHERS {
            return Some(since + stall);
        }
        let is_full = moves.is_full.load(Ordering::Relaxed);
        let emptied = moves.at(moves.emptied_ms.load(Ordering::Relaxed));
        let since = since.max(if is_full { now } else { emptied });
        Some(since + stall)
    }

    /// Gives the stream up.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Resolves when the stream is given up.
    pub(super) async fn given_up(&self) {
        poll_fn(|cx| {
            self.task.register(cx.waker());
            if self.is_given_up.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    fn two() -> (Arc<Moves>, Standing, Standing) {
        let moves = Arc::new(Moves::new());
        let standing = || Standing::new(moves.clone());
        let (one, other) = (standing(), standing());
        (moves, one, other)
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn left(standing: &Standing) -> Option<Duration> {
        let now = Instant::now();
        let at = standing.stalls_at(now, STALL)?;
        Some(at.saturating_duration_since(now))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_alone_while_another_moves() {
        let (_moves, still, moving) = two();
        assert_eq!(left(&still), None);
        still.hand_on();
        for _ in 0..6 {
            pass(10).await;
            moving.hand_on();
            moving.taken();
        }
        assert_eq!(left(&still), Some(Duration::ZERO));
        assert_eq!(left(&moving), None);
        still.taken();
        assert_eq!(left(&still), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_is_no_stall_of_one_stream() {
        let (moves, still, moving) = two();
        still.hand_on();
        moves.socket_takes(false);
        pass(100).await;
        assert_eq!(left(&still), Some(STALL));
        moves.socket_takes(true);
        pass(20).await;
        assert_eq!(left(&still), Some(Duration::from_secs(40)));
        // A line that is busy with another stream is no excuse.
        moves.socket_takes(false);
        for _ in 0..PARTS_OF_OTHERS {
            assert_eq!(left(&still), Some(STALL));
            moving.hand_on();
            moving.taken();
        }
        assert_eq!(left(&still), Some(Duration::ZERO));
    }

    #[tokio::test]
    async fn who_waits_for_the_end_hears_of_it() {
        let (_moves, one, _other) = two();
        let mut end = std::pin::pin!(one.given_up());
        assert!(futures_util::poll!(end.as_mut()).is_pending());
        one.give_up();
        end.await;
    }
}
