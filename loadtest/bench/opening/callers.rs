//! Fans who are called: each claims the turn and ends the session.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use contract::RoomId;
use tokio::time::Instant;

use super::joiners::Joined;
use crate::gateway::Gateway;
use crate::http1::{Connection, bodiless};

/// Time between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What called fans did.
pub(super) struct Calls {
    /// Sessions that began and were ended.
    pub(super) claimed: u64,
    /// Calls of fans whose place token was not kept.
    pub(super) unknown: u64,
}

/// Lets everyone whom the log names claim and end, until `ends`.
pub(super) async fn attend(
    gateway: &Gateway,
    room: &RoomId,
    joined: &Joined,
    ends: Instant,
) -> anyhow::Result<Calls> {
    let places: HashMap<u64, String> = joined.first.iter().cloned().collect();
    let mut calls = Calls {
        claimed: 0,
        unknown: 0,
    };
    let mut next = 1;
    while Instant::now() < ends {
        tokio::time::sleep(LOOK_EVERY).await;
        let log = gateway.admissions_from(room, next).await?;
        next += log.len() as u64;
        let mut called = Vec::with_capacity(log.len());
        for record in log {
            match places.get(&record.order_key.parse()?) {
                Some(place) => called.push(place.clone()),
                None => calls.unknown += 1,
            }
        }
        let (address, room) = (gateway.address, room.clone());
        let claim = move || claim_each(address, &room, &called);
        calls.claimed += tokio::task::spawn_blocking(claim).await??;
    }
    Ok(calls)
}

fn claim_each(address: SocketAddr, room: &RoomId, places: &[String]) -> anyhow::Result<u64> {
    let path = format!("/_line/v1/rooms/{room}/pass");
    let mut connection = Connection::open(address)?;
    for place in places {
        let bearer = format!("Authorization: Bearer {place}\r\n");
        for method in ["POST", "DELETE"] {
            let answer = connection.call(&bodiless(method, address, &path, &bearer))?;
            if !(200..300).contains(&answer.status) {
                let text = String::from_utf8_lossy(answer.body);
                bail!("{method} of a pass was answered {}: {text}", answer.status);
            }
        }
    }
    Ok(places.len() as u64)
}
