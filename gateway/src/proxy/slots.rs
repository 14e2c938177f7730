//! Connections in use at one upstream, and how many of them carry streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections of one upstream.
#[derive(Debug, Default)]
pub(super) struct Slots {
    all: AtomicUsize,
    streams: AtomicUsize,
}

/// One counted connection; dropping it lowers the count.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    is_stream: bool,
}

impl Slots {
    /// Counts one more connection; `None` when there are `max`.
    pub(super) fn take(self: &Arc<Self>, max: usize) -> Option<Slot> {
        grow(&self.all, max).then(|| Slot {
            slots: Arc::clone(self),
            is_stream: false,
        })
    }

    /// Connections underway.
    pub(super) fn underway(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Slot {
    /// Counts the connection among the streams, unless `max` are already; returns whether it
    /// counts.
    pub(super) fn becomes_stream(&mut self, max: usize) -> bool {
        self.is_stream = self.is_stream || grow(&self.slots.streams, max);
        self.is_stream
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.all.fetch_sub(1, Ordering::Relaxed);
        if self.is_stream {
            self.slots.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn grow(count: &AtomicUsize, max: usize) -> bool {
    let more = |now: usize| (now < max).then_some(now + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_and_streams_among_them() {
        let slots = Arc::new(Slots::default());
        let mut first = slots.take(2).unwrap();
        let mut second = slots.take(2).unwrap();
        assert!(slots.take(2).is_none());
        assert!(first.becomes_stream(1));
        assert!(first.becomes_stream(1), "it is one already");
        assert!(!second.becomes_stream(1));
        drop(first);
        assert!(second.becomes_stream(1));
        assert_eq!(slots.underway(), 1);
        drop(second);
        assert_eq!(slots.streams.load(Ordering::Relaxed), 0);
        assert_eq!(slots.underway(), 0);
    }
}
