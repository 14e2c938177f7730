//! `ropeline events`: the log of events.

use std::time::Duration;

use comfy_table::Cell;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::AdminClient;
use crate::console::{Console, table_of};
use crate::event_args::{EventsCommand, Kinds};
use crate::failure::{Exit, Failure};

/// Events asked for at once: the most that a gateway gives.
const PAGE: u64 = 1000;
/// How often the gateway is asked for new events.
const TAIL_EVERY: Duration = Duration::from_secs(1);

/// A part of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventPage {
    events: Vec<Event>,
    next: u64,
    head: u64,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    id: String,
    position: u64,
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: Value,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Whether anything was erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Erased {
    erased: bool,
}

/// Runs the command.
pub(crate) async fn run(
    command: &EventsCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        EventsCommand::List { limit, kinds } => {
            list(u64::from(*limit), kinds, client, console).await
        }
        EventsCommand::Replay { after, kinds } => {
            written(*after, kinds, client, console).await?;
            Ok(Exit::Fine)
        }
        EventsCommand::Tail { after, kinds } => {
            let mut after = match after {
                Some(after) => *after,
                None => page(0, 1, kinds, client).await?.head,
            };
            loop {
                after = written(after, kinds, client, console).await?;
                tokio::time::sleep(TAIL_EVERY).await;
            }
        }
        EventsCommand::Erase { email, yes } => erase(email, *yes, client, console).await,
    }
}

async fn page(
    after: u64,
    limit: u64,
    kinds: &Kinds,
    client: &AdminClient,
) -> Result<EventPage, Failure> {
    let kinds = kinds.kinds.join(",");
    let path = format!("events?after={after}&limit={limit}&types={kinds}");
    client.get(&path).await
}

/// The newest events. Kinds are sparse, so pages are read until there are enough, from ever further
/// back.
async fn list(
    limit: u64,
    kinds: &Kinds,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let head = page(0, 1, kinds, client).await?.head;
    let mut back = limit;
    let events = loop {
        let mut after = head.saturating_sub(back);
        let from = after;
        let mut events = Vec::new();
        while after < head {
            let page = page(after, PAGE, kinds, client).await?;
            after = page.next.max(after + 1);
            events.extend(page.events);
        }
        if events.len() as u64 >= limit || from == 0 {
            break events;
        }
        back = back.saturating_mul(8);
    };
    let from = events
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let events = &events[from..];
    if console.is_json() {
        console.document(&json!({ "events": events, "head": head }))?;
        return Ok(Exit::Fine);
    }
    if events.is_empty() {
        console.note("There is no such event.");
        return Ok(Exit::Fine);
    }
    let mut table = table_of(&["position", "event", "at", "about"]);
    for event in events {
        table.add_row([
            Cell::new(event.position),
            Cell::new(&event.kind),
            Cell::new(&event.timestamp),
            Cell::new(about(&event.data)),
        ]);
    }
    console.table(table)?;
    Ok(Exit::Fine)
}

/// What an event is about, in few words.
fn about(data: &Value) -> String {
    let names = ["bookingId", "refundId", "holdId", "ticketId"];
    let id = names.iter().find_map(|name| data[*name].as_str());
    let show = data["show"]["showId"].as_str();
    [id, show]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes all events after a position. Returns where to go on.
async fn written(
    mut after: u64,
    kinds: &Kinds,
    client: &AdminClient,
    console: &Console,
) -> Result<u64, Failure> {
    loop {
        let page = page(after, PAGE, kinds, client).await?;
        for event in &page.events {
            console.document_line(event)?;
        }
        let is_end = page.next <= after || page.next >= page.head;
        after = page.next;
        if is_end {
            return Ok(after);
        }
    }
}

async fn erase(
    email: &str,
    yes: bool,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    console.confirm(&format!("Erase {email} from all events, for good?"), yes)?;
    let body = json!({ "email": email });
    let done: Erased = client.write(Method::POST, "events/erase", &body).await?;
    if console.is_json() {
        console.document(&done)?;
    } else if done.erased {
        console.text("Erased.")?;
    } else {
        console.text("No event had fields of this customer.")?;
    }
    Ok(Exit::Fine)
}
