//! The threads that serve visitors, one for each core, and values that each of them has for itself.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::thread;

thread_local! {
    /// The core that this thread serves visitors for; `None` for every other thread.
    static CORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Declares this thread to be the one that serves visitors for core `number`, counted from 0.
pub fn begin(number: usize) {
    CORE.set(Some(number));
}

/// How many cores this process may use.
pub fn available() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// One value for the thread of each core, and one that all other threads share. When more threads
/// serve visitors than the process may use cores, some of them share a value.
#[derive(Debug)]
pub struct PerCore<T> {
    /// The last is for the other threads.
    values: Box<[T]>,
}

impl<T> PerCore<T> {
    /// Values made by `make`.
    pub fn new(make: impl FnMut() -> T) -> Self {
        Self {
            values: std::iter::repeat_with(make).take(count()).collect(),
        }
    }

    /// Values made by `make`.
    ///
    /// # Errors
    ///
    /// The first of `make`.
    pub fn try_new<E>(make: impl FnMut() -> Result<T, E>) -> Result<Self, E> {
        let values: Result<_, E> = std::iter::repeat_with(make).take(count()).collect();
        Ok(Self { values: values? })
    }

    /// The number of this thread's value.
    pub fn own_number(&self) -> usize {
        let others = self.values.len() - 1;
        CORE.get().map_or(others, |core| core % others)
    }

    /// This thread's value.
    pub fn own(&self) -> &T {
        self.of(self.own_number())
    }

    /// The value with this number, as [`own_number`](Self::own_number) returned it.
    pub fn of(&self, number: usize) -> &T {
        &self.values[number]
    }
}

/// How many values there are: one for each core and one for the other threads.
fn count() -> usize {
    available().get() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_core_has_a_value_and_all_other_threads_share_one() {
        let mut next = 0..;
        let values = PerCore::new(|| next.next().unwrap());
        let others = available().get();
        assert_eq!(*values.own(), others);
        thread::scope(|scope| {
            let on_core = |core: usize| {
                let values = &values;
                let thread = scope.spawn(move || {
                    begin(core);
                    *values.own()
                });
                thread.join().unwrap()
            };
            assert_eq!(on_core(0), 0);
            assert_eq!(on_core(others - 1), others - 1);
            // More threads than cores.
            assert_eq!(on_core(others), 0);
        });
        assert_eq!(next.next(), Some(others + 1));
    }
}
