//! Gathers calls, so that those who wait at the same time are settled together.
//!
//! Some batches are under way at the same time. A batch takes what has arrived when one of them is
//! over, so batches grow with the rush and nobody waits for a batch to fill.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::database::{StoreError, Work};

/// Settles a batch: an answer for each call, in their order.
type Settle<I, O> = dyn Fn(Vec<I>) -> BoxFuture<'static, Vec<Result<O, StoreError>>> + Send + Sync;

/// Calls that are settled together. Clones are cheap and share everything.
pub(crate) struct Gather<I, O>(Arc<Shared<I, O>>);

impl<I, O> Clone for Gather<I, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<I, O> {
    work: Work,
    bounds: Bounds,
    settle: Box<Settle<I, O>>,
    line: Mutex<Line<I, O>>,
}

/// How calls are gathered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Batches that are under way at the same time.
    pub(crate) at_once: usize,
    /// Calls in one batch.
    pub(crate) size_max: usize,
}

struct Line<I, O> {
    waiting: VecDeque<Call<I, O>>,
    running: usize,
}

struct Call<I, O> {
    asked: I,
    reply: oneshot::Sender<Result<O, StoreError>>,
}

impl<I: Send + 'static, O: Send + 'static> Gather<I, O> {
    /// Batches run in tasks of `work`, so a call that has begun ends whether or not its caller
    /// waits.
    pub(crate) fn new<F>(work: &Work, bounds: Bounds, settle: F) -> Self
    where
        F: Fn(Vec<I>) -> BoxFuture<'static, Vec<Result<O, StoreError>>> + Send + Sync + 'static,
    {
        Self(Arc::new(Shared {
            work: work.clone(),
            bounds,
            settle: Box::new(settle),
            line: Mutex::new(Line {
                waiting: VecDeque::new(),
                running: 0,
            }),
        }))
    }

    /// The answer to `asked`, settled with whatever else waits.
    pub(crate) async fn ask(&self, asked: I) -> Result<O, StoreError> {
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut line = self.line();
            line.waiting.push_back(Call { asked, reply });
            let is_first = line.running < self.0.bounds.at_once;
            line.running += usize::from(is_first);
            is_first
        };
        if is_first {
            self.0.work.start(self.clone().run());
        }
        answer.await.unwrap_or(Err(StoreError::TaskBroke))
    }

    /// Settles batches until nobody waits.
    async fn run(self) {
        while let Some((asked, replies)) = self.take() {
            // A defect breaks the calls of its batch, and not those that wait.
            let settled = AssertUnwindSafe(async { (self.0.settle)(asked).await }).catch_unwind();
            let Ok(answers) = settled.await else {
                tracing::error!(calls = replies.len(), "a defect broke a batch");
                continue;
            };
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A caller that gave up is no error.
                let _ = reply.send(answer);
            }
        }
    }

    /// The next batch. `None` ends the run.
    #[expect(clippy::type_complexity, reason = "the calls, apart")]
    fn take(&self) -> Option<(Vec<I>, Vec<oneshot::Sender<Result<O, StoreError>>>)> {
        let mut line = self.line();
        let count = line.waiting.len().min(self.0.bounds.size_max);
        if count == 0 {
            line.running -= 1;
            return None;
        }
        let calls = line.waiting.drain(..count);
        Some(calls.map(|call| (call.asked, call.reply)).unzip())
    }
}

impl<I, O> Gather<I, O> {
    fn line(&self) -> MutexGuard<'_, Line<I, O>> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same failure for each of `count` calls.
pub(crate) fn fail_all<O>(count: usize, cause: &StoreError) -> Vec<Result<O, StoreError>> {
    let failure = || match cause {
        StoreError::Unavailable(_) => StoreError::Unavailable(sqlx::Error::PoolTimedOut),
        cause => cause.for_another(),
    };
    (0..count).map(|_| Err(failure())).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;
    use tokio_util::task::TaskTracker;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        at_once: 2,
        size_max: 4,
    };

    #[tokio::test]
    async fn those_who_come_meanwhile_are_settled_together() {
        let gate = Arc::new(Semaphore::new(0));
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let (at_gate, noted) = (Arc::clone(&gate), Arc::clone(&sizes));
        let gather = Gather::new(&Work::new(TaskTracker::new()), BOUNDS, move |asked| {
            let (gate, sizes) = (Arc::clone(&at_gate), Arc::clone(&noted));
            async move {
                sizes.lock().unwrap().push(asked.len());
                gate.acquire().await.unwrap().forget();
                asked
                    .into_iter()
                    .map(|number: usize| Ok(number * 2))
                    .collect()
            }
            .boxed()
        });
        let mut first = Box::pin(gather.ask(0));
        assert!(futures_util::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
        let mut second = Box::pin(gather.ask(1));
        assert!(futures_util::poll!(&mut second).is_pending());
        tokio::task::yield_now().await;
        let others = join_all((2..8).map(|number| gather.ask(number)));
        let mut others = Box::pin(others);
        assert!(futures_util::poll!(&mut others).is_pending());
        tokio::task::yield_now().await;
        assert_eq!(*sizes.lock().unwrap(), [1, 1], "two are under way");
        gate.add_permits(10);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (0, 2));
        let others: Vec<usize> = others.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(others, [4, 6, 8, 10, 12, 14]);
        assert_eq!(*sizes.lock().unwrap(), [1, 1, 4, 2]);
        assert_eq!(gather.line().running, 0);
    }

    #[tokio::test]
    async fn a_defect_breaks_its_batch_and_no_other() {
        let gather = Gather::new(&Work::new(TaskTracker::new()), BOUNDS, |asked| {
            async move {
                assert!(!asked.contains(&1), "a defect");
                asked.into_iter().map(Ok).collect()
            }
            .boxed()
        });
        let broken = gather.ask(1).await;
        assert!(matches!(broken, Err(StoreError::TaskBroke)));
        assert!(matches!(gather.ask(2).await, Ok(2)));
        assert_eq!(gather.line().running, 0);
    }
}
