//! Shares questions to the provider, with at most one per payment under way.
//!
//! Many callers ask about one payment: a customer who reloads, a webhook, the poller. Callers that
//! arrive while a question is under way all share the next one, which starts after the last of them
//! arrived. So no caller gets an answer that is older than its question.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use uuid::Uuid;

/// The questions under way and waiting, by payment.
pub(crate) struct Questions<T>(Mutex<HashMap<Uuid, Line<T>>>);

struct Line<T> {
    /// Locked while a question is under way.
    running: Arc<tokio::sync::Mutex<()>>,
    /// The next question, if a caller waits for it.
    next: Option<Arc<OnceCell<T>>>,
    users: usize,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Whether a caller was alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// No other caller was asking when this one arrived.
    Alone,
    /// Others were asking, and their questions may have changed the payment since.
    AmongOthers,
}

/// A waiting caller.
struct Entered<'a, T> {
    _visit: Visit<'a, T>,
    begun: Begun,
    running: Arc<tokio::sync::Mutex<()>>,
    next: Arc<OnceCell<T>>,
}

/// Removes the entry of a payment when its last caller is dropped.
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
    /// The result of `ask` or of another caller's, whichever starts first from now on. When a
    /// caller is dropped while waiting, another caller asks instead. `ask` gets whether others were
    /// asking when its caller arrived.
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
            // Callers that arrive from now on share another question.
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
        // The caller that was to ask for all of them is dropped.
        drop(others.remove(0));
        gate.add_permits(2);
        assert_eq!(first.await, 1);
        assert_eq!(futures_util::future::join_all(others).await, [2; 19]);
        assert!(questions.lines().is_empty());
    }
}
