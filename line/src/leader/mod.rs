//! The leader of a room calls visitors, and keeps the room's books: snapshots, reserved keys, what
//! became of admissions. Every gateway tries every tick; the lease in the store lets one through,
//! and its fence keeps an outdated leader from doing anything.

mod books;
mod calls;
mod shared;

use std::sync::Arc;

use self::books::Books;
use self::calls::Calls;
use self::shared::Shared;
use crate::error::WorkError;
use crate::room::Room;

pub use self::calls::Tick;

/// Leads one room, or stands by.
pub struct Leader {
    calls: Calls,
    books: Books,
}

impl Leader {
    /// A candidate for leading `room`.
    pub fn new(room: Arc<Room>) -> Self {
        let shared = Arc::new(Shared::default());
        Self {
            calls: Calls::new(room.clone(), shared.clone()),
            books: Books::new(room, shared),
        }
    }

    /// Leads until the room ends. No call waits for the books.
    pub async fn run(self) {
        tokio::join!(self.calls.run(), self.books.run());
    }

    /// One tick to its end, and then the books if they are due.
    pub async fn tick_once(&mut self) -> Result<Tick, WorkError> {
        let ticked = self.calls.tick_once().await;
        let published = self.calls.publish().await;
        // Also while nobody can be called: fans are shown the line as it is.
        let kept = self.books.keep_if_due().await;
        let ticked = ticked?;
        published?;
        kept.map(|_| ticked)
    }
}
