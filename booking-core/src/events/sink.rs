//! Sinks: programs that get every event, in order. One trait, so that another kind can be added.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::event::Event;

/// Why a sink did not take events, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(pub String);

/// Where all events go, in the order of their positions.
///
/// Appending may be repeated after a failure or by another process, and then begins at an event that
/// the sink may have: each event arrives at least once. A sink that remembers positions itself makes
/// that exactly once.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// The name under which its position is kept.
    fn name(&self) -> &str;

    /// The position of the last event that it has, if it can tell; `None` when it cannot, and then
    /// the position that we keep counts. One that tells and went back, because it lost its last
    /// second, gets again what it lost.
    async fn position(&self) -> Result<Option<i64>, SinkError>;

    /// Appends `events`, which are in order, and returns once it has all of them.
    async fn append(&self, events: &[Event]) -> Result<(), SinkError>;
}

/// A sink, and whether it fails.
pub(crate) struct Sink {
    pub(super) sink: Arc<dyn EventSink>,
    failing: AtomicBool,
}

impl Sink {
    pub(crate) fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink,
            failing: AtomicBool::new(false),
        }
    }

    /// Tells of the first failure, and of the end of them.
    pub(super) fn tell<T>(&self, outcome: Result<T, SinkError>) -> Option<T> {
        let sink = self.sink.name();
        match outcome {
            Ok(value) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(sink, "the sink of events takes them again");
                }
                Some(value)
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(sink, %error, "the sink of events takes none; they wait");
                }
                None
            }
        }
    }
}
