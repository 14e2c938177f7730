//! `ropeline show move`.

use std::time::Duration;

use contract::Timestamp;
use contract::booking::Show;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::args::ShowMoveArgs;
use crate::client::AdminClient;
use crate::console::{Console, counted, grouped};
use crate::failure::{Exit, Failure};
use crate::when::instant_text;

/// Pause between two looks at the progress.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How far the telling of a move has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShowMove {
    /// When it starts.
    starts_at: Timestamp,
    /// Bookings for which no notice is made yet.
    bookings_left: u64,
    /// Notices that are to be sent.
    notices_due: u64,
    /// Notices that were sent.
    notices_sent: u64,
    /// Notices that were given up.
    notices_failed: u64,
    /// What else a gateway tells.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Moves a show and, if wanted, waits until its bookings are told.
pub(super) async fn run(
    args: &ShowMoveArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let id = &args.show;
    let show: Show = client.get(&format!("shows/{id}")).await?;
    let sold = show.seat_count.saturating_sub(show.available_count);
    let question = format!(
        "Move \"{}\" ({id}) to {} and tell its customers? Up to {} seats are sold.",
        show.title,
        instant_text(args.starts_at),
        grouped(sold)
    );
    console.confirm(&question, args.yes)?;
    let path = format!("shows/{id}/move");
    let mut progress: ShowMove = client.write(Method::POST, &path, &order(args)).await?;
    let mut told = None;
    while !args.no_wait && (progress.bookings_left > 0 || progress.notices_due > 0) {
        let line = line_of(&progress);
        if told.as_ref() != Some(&line) {
            console.note(&line);
            told = Some(line);
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        progress = client.get(&path).await?;
    }
    if console.is_json() {
        console.document(&progress)?;
    } else {
        console.text(&line_of(&progress))?;
        if progress.notices_failed > 0 {
            console.text("`ropeline mail list` shows the notices that were given up.")?;
        }
    }
    Ok(if progress.notices_failed > 0 {
        Exit::Failed
    } else {
        Exit::Fine
    })
}

/// The body of the request.
fn order(args: &ShowMoveArgs) -> Value {
    let mut order = json!({ "startsAt": args.starts_at });
    if let Some(ends_at) = args.ends_at {
        order["endsAt"] = json!(ends_at);
    }
    if let Some(until) = args.refund_until {
        order["refundUntil"] = json!(until);
    }
    if let Some(reason) = &args.reason {
        order["reason"] = json!(reason);
    }
    if let Some(venue) = &args.venue {
        let address = args.venue_address.as_deref().unwrap_or_default();
        order["venue"] = json!({ "name": venue, "address": address });
    }
    order
}

fn line_of(progress: &ShowMove) -> String {
    let mut line = format!(
        "It starts at {}. {} told, {} under way",
        instant_text(progress.starts_at),
        counted(progress.notices_sent, "booking", "bookings"),
        grouped(progress.bookings_left + progress.notices_due),
    );
    if progress.notices_failed > 0 {
        line.extend([", ", &grouped(progress.notices_failed), " failed"]);
    }
    line.push('.');
    line
}
