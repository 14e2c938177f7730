//! `ropeline show cancel`.

use std::time::Duration;

use contract::booking::Show;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::amount::money_text;
use crate::args::ShowCancelArgs;
use crate::client::AdminClient;
use crate::console::{Console, counted, grouped};
use crate::failure::{Exit, Failure};

/// Pause between two looks at the progress.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How far the cancellation of a show has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShowCancellation {
    /// Bookings that still have tickets.
    pub(super) bookings_left: u64,
    /// Those of them that could not be cancelled and are tried again later.
    #[serde(default)]
    pub(super) bookings_stuck: u64,
    /// Bookings that were cancelled.
    pub(super) bookings_cancelled: u64,
    /// Refunds whose money has not gone back yet.
    pub(super) refunds_open: u64,
    /// Refunds that a person has to look at.
    pub(super) refunds_failed: u64,
    /// What went back, minor units.
    pub(super) refunded_minor: i64,
    /// ISO 4217.
    pub(super) currency: String,
    /// Whether nothing is left to do.
    pub(super) done: bool,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

/// Cancels a show and, if wanted, waits until its bookings are refunded.
pub(super) async fn run(
    args: &ShowCancelArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let id = &args.show;
    let show: Show = client.get(&format!("shows/{id}")).await?;
    let sold = show.seat_count.saturating_sub(show.available_count);
    let question = format!(
        "Cancel \"{}\" ({id}) for good and give all money back? Up to {} seats are sold.",
        show.title,
        grouped(sold)
    );
    console.confirm(&question, args.yes)?;
    let order = args
        .reason
        .as_ref()
        .map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let path = format!("shows/{id}/cancel");
    let mut progress: ShowCancellation = client.write(Method::POST, &path, &order).await?;
    let mut told = None;
    while !args.no_wait
        && (progress.bookings_left > progress.bookings_stuck || progress.refunds_open > 0)
    {
        let line = line_of(&progress);
        if told.as_ref() != Some(&line) {
            console.note(&line);
            told = Some(line);
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        progress = client.get(&format!("shows/{id}/cancellation")).await?;
    }
    if console.is_json() {
        console.document(&progress)?;
    } else {
        console.text(&line_of(&progress))?;
        if progress.refunds_failed > 0 {
            console.text("`ropeline reconcile` names the refunds that a person has to make.")?;
        }
        if progress.bookings_stuck > 0 {
            console.text("The gateway's log says why some bookings cannot be cancelled.")?;
        }
    }
    Ok(
        if progress.refunds_failed > 0 || progress.bookings_stuck > 0 {
            Exit::Failed
        } else {
            Exit::Fine
        },
    )
}

fn line_of(progress: &ShowCancellation) -> String {
    let mut line = format!(
        "{} cancelled, {} left; {} given back, {} under way",
        counted(progress.bookings_cancelled, "booking", "bookings"),
        grouped(progress.bookings_left),
        money_text(progress.refunded_minor, &progress.currency),
        counted(progress.refunds_open, "refund", "refunds"),
    );
    if progress.bookings_stuck > 0 {
        line.extend([
            ", ",
            &grouped(progress.bookings_stuck),
            " could not be cancelled yet",
        ]);
    }
    if progress.refunds_failed > 0 {
        line.extend([", ", &grouped(progress.refunds_failed), " failed"]);
    }
    line.push('.');
    line
}
