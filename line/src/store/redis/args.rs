//! Arguments of scripts.

use std::time::Duration;

use contract::{PlaceId, Timestamp};

use crate::store::RoomRef;

/// Arguments of a script: numbers as decimal text, places as their bytes.
#[derive(Default)]
pub(super) struct Args(pub(super) Vec<Vec<u8>>);

impl Args {
    pub(super) fn of(room: &RoomRef) -> Self {
        Self::default().number(room.epoch)
    }

    pub(super) fn number(self, n: impl std::fmt::Display) -> Self {
        self.bytes(n.to_string().into_bytes())
    }

    pub(super) fn time(self, at: Timestamp) -> Self {
        self.number(at.as_ms())
    }

    pub(super) fn bytes(mut self, bytes: Vec<u8>) -> Self {
        self.0.push(bytes);
        self
    }

    pub(super) fn place(self, place: PlaceId) -> Self {
        self.bytes(place.as_bytes().to_vec())
    }

    pub(super) fn ms(self, span: Duration) -> Self {
        self.number(span.as_millis())
    }
}
