//! One question per payment at a time.
//!
//! Many ask how a payment stands: a customer who reloads, a webhook, the poller. Of those who
//! come while a question is with the provider, all wait for the next one together, which begins
//! after they came, so that nobody hears an answer that is older than their question.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use uuid::Uuid;

/// Who asks about which payment.
pub(crate) struct Questions<T>(Mutex<HashMap<Uuid, Line<T>>>);

struct Line<T> {
    /// Held by the question that is with the provider.
    running: Arc<tokio::sync::Mutex<()>>,
    /// The question that comes next, if anybody waits for it.
    next: Option<Arc<OnceCell<T>>>,
    users: usize,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Whether a caller found company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nobody else was asking when the caller came.
    Alone,
    /// Others were, whose questions may have changed things since.
    AmongOthers,
}

/// A caller who waits.
struct Entered<'a, T> {
    _visit: Visit<'a, T>,
    begun: Begun,
    running: Arc<tokio::sync::Mutex<()>>,
    next: Arc<OnceCell<T>>,
}

/// Forgets a payment that nobody asks about any more.
struct Visit<'a, T> {
    questions: &'a Questions<T>,
    id: Uuid,
}

impl<T> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        let mut lines = self.questions.lines();
        if let Some(line) = lines.get_mut(&self.id) {
            line.users -= 1;
            if line.users == 0 {
                lines.remove(&self.id);
            }
        }
    }
}

impl<T: Clone> Questions<T> {
    /// The answer of `ask` or of another caller's, whichever begins first from now on. Whoever
    /// gives up waiting leaves the question to the others. `ask` hears whether others
    /// were asking when its caller came.
    pub(crate) async fn shared<Fut>(&self, id: Uuid, ask: impl FnOnce(Begun) -> Fut) -> T
    where
        Fut: Future<Output = T>,
    {
        let Entered {
            _visit,
            begun,
            running,
            next,
        } = self.enter(id);
        let answer = next.get_or_init(|| async {
            let _running = running.lock().await;
            // Whoever comes from here on waits for another question.
            if let Some(line) = self.lines().get_mut(&id)
                && line
                    .next
                    .as_ref()
                    .is_some_and(|waiting| Arc::ptr_eq(waiting, &next))
            {
                line.next = None;
            }
            ask(begun).await
        });
        answer.await.clone()
    }

    fn enter(&self, id: Uuid) -> Entered<'_, T> {
        let mut lines = self.lines();
        let line = lines.entry(id).or_insert_with(|| Line {
            running: Arc::default(),
            next: None,
            users: 0,
        });
        let begun = match line.users {
            0 => Begun::Alone,
            _ => Begun::AmongOthers,
        };
        line.users += 1;
        let next = line.next.get_or_insert_with(Arc::default);
        let (running, next) = (Arc::clone(&line.running), Arc::clone(next));
        let visit = Visit {
            questions: self,
            id,
        };
        Entered {
            _visit: visit,
            begun,
            running,
            next,
        }
    }
}

impl<T> Questions<T> {
    fn lines(&self) -> MutexGuard<'_, HashMap<Uuid, Line<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn those_who_come_meanwhile_share_the_next_question() {
        let questions = Questions::<usize>::default();
        let (asked, gate) = (&AtomicUsize::new(0), &Semaphore::new(0));
        let id = Uuid::from_u128(1);
        let ask = || {
            questions.shared(id, |begun| async move {
                let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                assert_eq!(begun == Begun::Alone, number == 1);
                gate.acquire().await.unwrap().forget();
                number
            })
        };
        let mut first = Box::pin(ask());
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut others: Vec<_> = (0..20).map(|_| Box::pin(ask())).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending());
        }
        // One of them goes away, though it was to ask for all.
        drop(others.remove(0));
        gate.add_permits(2);
        assert_eq!(first.await, 1);
        assert_eq!(futures_util::future::join_all(others).await, [2; 19]);
        assert!(questions.lines().is_empty());
    }
}
