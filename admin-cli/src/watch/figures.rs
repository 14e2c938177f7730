//! Fetching a room's figures, again and again.

use std::time::Duration;

use contract::RoomId;
use contract::room::RoomStats;

use crate::client::AdminClient;
use crate::failure::{Exit, Failure};

/// The shortest time between refreshes: the gateway takes new figures no faster than this.
pub(super) const REFRESH_MIN: Duration = Duration::from_millis(100);

/// The room's present figures.
pub(super) async fn fetch(client: &AdminClient, room: &RoomId) -> Result<RoomStats, Failure> {
    client.get(&format!("rooms/{room}/stats")).await
}

/// Whether trying again would fail the same way.
pub(super) fn is_final(failure: &Failure) -> bool {
    matches!(
        failure.exit,
        Exit::NotAuthorised | Exit::NotFound | Exit::Usage
    )
}

/// A failure in one line, for where there is only one.
pub(super) fn one_line(failure: &Failure) -> String {
    match &failure.detail {
        Some(detail) => format!("{}: {detail}", failure.title),
        None => failure.title.clone(),
    }
}
