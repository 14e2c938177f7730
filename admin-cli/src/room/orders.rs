//! What a manager tells a room to do.

use contract::RoomId;
use contract::room::{PauseRequest, RoomView};
use reqwest::Method;

use crate::client::AdminClient;
use crate::failure::Failure;

/// Pauses a room; `reason` is what fans read. A blank one is none.
pub async fn pause(
    client: &AdminClient,
    room: &RoomId,
    reason: Option<String>,
) -> Result<RoomView, Failure> {
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    let body = PauseRequest { reason };
    client
        .write(Method::POST, &format!("rooms/{room}/pause"), &body)
        .await
}

/// Takes back a manager's word, so that the schedule decides.
pub async fn resume(client: &AdminClient, room: &RoomId) -> Result<RoomView, Failure> {
    client.post(&format!("rooms/{room}/resume")).await
}
