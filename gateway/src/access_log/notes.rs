//! What is found out about a request on its way, for its line in the access log.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contract::RoomId;
use http::Extensions;

/// What is found out about a request. They travel in its extensions; without an access log there
/// are none, and what is noted is lost.
#[derive(Clone, Debug, Default)]
pub struct Notes(Option<Arc<Noted>>);

#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) room: OnceLock<RoomId>,
    pub(super) decision: OnceLock<&'static str>,
    pub(super) upstream: OnceLock<Duration>,
}

impl Notes {
    /// Notes that are kept, for the extensions of a request.
    pub(super) fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Those of the request with these extensions.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// The room and the gate's decision. What is noted first stays.
    pub fn decided(&self, room: Option<&RoomId>, decision: &'static str) {
        if let Some(noted) = &self.0 {
            if let Some(room) = room {
                noted.room.get_or_init(|| room.clone());
            }
            noted.decision.get_or_init(|| decision);
        }
    }

    /// How long the upstream took until the head of its answer.
    pub fn upstream_took(&self, took: Duration) {
        if let Some(noted) = &self.0 {
            noted.upstream.get_or_init(|| took);
        }
    }

    pub(super) fn noted(&self) -> Option<&Noted> {
        self.0.as_deref()
    }
}
