//! Fans who join before they open a socket.

use std::net::SocketAddr;

use anyhow::Context as _;
use contract::RoomId;
use contract::line::StatusDocument;
use tokio::task::JoinSet;

use crate::gateway::nonce;
use crate::http1::{Connection, post_json};

/// Connections that join.
const JOINERS: u32 = 16;

/// Lets fans number `from` and on join, and gives their place tokens.
pub(super) async fn join_all(
    address: SocketAddr,
    room: &RoomId,
    from: u32,
    count: u32,
) -> anyhow::Result<Vec<String>> {
    let path = format!("/_line/v1/rooms/{room}/places");
    let mut joiners = JoinSet::new();
    for joiner in 0..JOINERS {
        let path = path.clone();
        let fans = (from + joiner..from + count).step_by(JOINERS as usize);
        joiners.spawn_blocking(move || join_each(address, &path, fans));
    }
    let mut places = Vec::new();
    while let Some(joined) = joiners.join_next().await {
        places.extend(joined??);
    }
    Ok(places)
}

fn join_each(
    address: SocketAddr,
    path: &str,
    fans: impl Iterator<Item = u32>,
) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::open(address)?;
    let mut places = Vec::new();
    for fan in fans {
        let body = format!(r#"{{"nonce":"{}"}}"#, nonce(u64::from(fan)));
        let answer = connection.call(&post_json(address, path, &body))?;
        let document: StatusDocument = serde_json::from_slice(answer.body)
            .with_context(|| format!("a join was answered {}", answer.status))?;
        places.push(document.place.context("a join without a place")?);
    }
    Ok(places)
}
