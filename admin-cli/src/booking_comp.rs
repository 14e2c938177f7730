//! `ropeline booking comp`: giving tickets away.

use contract::comp::Comp;
use serde_json::{Value, json};

use crate::amount::money_text;
use crate::booking_args::CompArgs;
use crate::client::AdminClient;
use crate::console::{Console, counted};
use crate::failure::Failure;

/// Gives tickets away.
pub(crate) async fn run(
    args: CompArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let count = match args.count {
        Some(count) => u64::from(count),
        None => u64::try_from(args.seats.len()).unwrap_or(u64::MAX),
    };
    let question = format!(
        "Give {} of {} to {}?",
        counted(count, "ticket", "tickets"),
        args.show,
        args.email
    );
    console.confirm(&question, args.yes)?;
    let path = format!("shows/{}/comps", args.show);
    let given: Comp = client
        .post_once(&path, args.key.as_deref(), &order(&args))
        .await?;
    if console.is_json() {
        return console.document(&given);
    }
    let seats: Vec<String> = given.seat_ids.iter().map(ToString::to_string).collect();
    console.text(&format!(
        "{} worth {} {} on the way to {}: seats {}, booking {}.",
        counted(
            u64::try_from(seats.len()).unwrap_or(u64::MAX),
            "ticket",
            "tickets"
        ),
        money_text(given.face_minor, &given.currency),
        if seats.len() == 1 { "is" } else { "are" },
        args.email,
        seats.join(", "),
        given.booking_id
    ))
}

fn order(args: &CompArgs) -> Value {
    let mut order = json!({ "email": args.email });
    match args.count {
        Some(count) => order["quantity"] = json!(count),
        None => order["seatIds"] = json!(args.seats),
    }
    for (name, value) in [
        ("category", &args.category),
        ("name", &args.name),
        ("reason", &args.reason),
    ] {
        if let Some(value) = value {
            order[name] = json!(value);
        }
    }
    order
}
