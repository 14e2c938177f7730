//! `ropeline review …`: purchases that look like fraud, and what a person decides.

use comfy_table::Cell;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::amount::money_text;
use crate::booking_args::{ReviewArgs, ReviewCommand};
use crate::client::AdminClient;
use crate::console::{Console, counted, table_of};
use crate::failure::{Exit, Failure};

/// Purchases that wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reviews {
    /// The most urgent first.
    reviews: Vec<Review>,
}

/// A purchase in review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    /// The booking.
    booking_id: String,
    /// The show.
    show_id: String,
    /// When it starts.
    starts_at: String,
    /// Whether that is within a day.
    urgent: bool,
    /// The address that it was booked with.
    email: String,
    /// Tickets that are not void.
    ticket_count: u64,
    /// What was paid, minor units.
    amount_minor: i64,
    /// ISO 4217.
    currency: String,
    /// The state of the review.
    state: String,
    /// The sum of the points.
    score: u64,
    /// Why it was put aside.
    signals: Vec<Signal>,
    /// What else a gateway tells.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// A signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Signal {
    /// What was seen.
    #[serde(rename = "signal")]
    kind: String,
    /// How much of it.
    amount: u64,
    /// What it counts.
    points: u64,
}

/// Runs the command.
pub(crate) async fn run(
    command: ReviewCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        ReviewCommand::List => list(client, console).await?,
        ReviewCommand::Show { booking } => {
            let found: Review = client.get(&format!("reviews/{booking}")).await?;
            show(&found, console)?;
        }
        ReviewCommand::Approve(args) => {
            let question = format!("Send the tickets of {}?", args.booking);
            decide(args, "approve", &question, client, console).await?;
        }
        ReviewCommand::Refuse(args) => {
            let question = format!("Cancel {} and give everything back?", args.booking);
            decide(args, "refuse", &question, client, console).await?;
        }
    }
    Ok(Exit::Fine)
}

async fn list(client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let found: Reviews = client.get("reviews").await?;
    if console.is_json() {
        return console.document(&found);
    }
    if !found.reviews.is_empty() {
        let mut table = table_of(&[
            "booking", "show", "starts", "address", "tickets", "paid", "score", "why",
        ]);
        for review in &found.reviews {
            let soon = if review.urgent { " (soon)" } else { "" };
            let why: Vec<&str> = review.signals.iter().map(|it| it.kind.as_str()).collect();
            table.add_row([
                Cell::new(&review.booking_id),
                Cell::new(&review.show_id),
                Cell::new(format!("{}{soon}", review.starts_at)),
                Cell::new(&review.email),
                Cell::new(review.ticket_count),
                Cell::new(money_text(review.amount_minor, &review.currency)),
                Cell::new(review.score),
                Cell::new(why.join(", ")),
            ]);
        }
        console.table(table)?;
    }
    let count = u64::try_from(found.reviews.len()).unwrap_or(u64::MAX);
    let what = counted(count, "purchase waits", "purchases wait");
    console.text(&format!("{what} for a review."))
}

fn show(review: &Review, console: &Console) -> Result<(), Failure> {
    if console.is_json() {
        return console.document(review);
    }
    let mut table = table_of(&["", ""]);
    let text = |name: &str| {
        review
            .extra
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("-")
    };
    for (name, value) in [
        ("booking", review.booking_id.as_str()),
        ("show", &review.show_id),
        ("starts", &review.starts_at),
        ("address", &review.email),
        ("state", &review.state),
        ("waits since", text("createdAt")),
        ("decided", text("decidedAt")),
        ("note", text("note")),
    ] {
        table.add_row([Cell::new(name), Cell::new(value)]);
    }
    let paid = money_text(review.amount_minor, &review.currency);
    table.add_row([Cell::new("paid"), Cell::new(paid)]);
    table.add_row([Cell::new("tickets"), Cell::new(review.ticket_count)]);
    table.add_row([Cell::new("score"), Cell::new(review.score)]);
    for signal in &review.signals {
        let why = format!(
            "{} × {}: {} points",
            signal.kind, signal.amount, signal.points
        );
        table.add_row([Cell::new("signal"), Cell::new(why)]);
    }
    console.table(table)
}

async fn decide(
    args: ReviewArgs,
    verb: &str,
    question: &str,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    console.confirm(question, args.yes)?;
    let body = match args.note {
        Some(note) => json!({ "note": note }),
        None => json!({}),
    };
    let path = format!("reviews/{}/{verb}", args.booking);
    let decided: Review = client.write(Method::POST, &path, &body).await?;
    if console.is_json() {
        return console.document(&decided);
    }
    console.text(if verb == "approve" {
        "Approved: the tickets are on their way."
    } else {
        "Refused: the booking is cancelled and the money goes back."
    })
}
