//! `ropeline sales`: what was sold.

use comfy_table::Cell;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amount::money_text;
use crate::client::AdminClient;
use crate::console::{Console, grouped, table_of};
use crate::event_args::SalesArgs;
use crate::failure::{Exit, Failure};

/// What was sold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sales {
    shows: Vec<ShowSales>,
    categories: Vec<CategorySales>,
    rooms: Vec<Conversion>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Of one show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShowSales {
    show_id: String,
    currency: String,
    bookings: u64,
    booked_minor: i64,
    refunded_minor: i64,
    kept_minor: i64,
    net_minor: i64,
    entries: u64,
    /// Absent in answers of earlier versions, as below.
    #[serde(default)]
    comp_bookings: u64,
    #[serde(default)]
    comp_face_minor: i64,
}

/// Of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CategorySales {
    show_id: String,
    category: String,
    currency: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hour: Option<String>,
    tickets_sold: u64,
    sold_minor: i64,
    tickets_cancelled: u64,
    cancelled_minor: i64,
    net_minor: i64,
    #[serde(default)]
    comp_tickets: u64,
    #[serde(default)]
    comp_tickets_cancelled: u64,
}

/// Of one room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Conversion {
    room: String,
    calls: u64,
    buyers: u64,
}

/// Runs the command.
pub(crate) async fn run(
    args: &SalesArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let show = args
        .show
        .as_ref()
        .map_or_else(String::new, |show| format!("&show={show}"));
    let sales: Sales = client
        .get(&format!("sales?hourly={}{show}", args.hourly))
        .await?;
    if args.csv {
        console.text(&csv(&sales.categories))?;
    } else if console.is_json() {
        console.document(&sales)?;
    } else if sales.shows.is_empty() {
        console.note("Nothing was sold yet.");
    } else {
        tables(&sales, console)?;
    }
    Ok(Exit::Fine)
}

fn tables(sales: &Sales, console: &Console) -> Result<(), Failure> {
    let titles = [
        "show",
        "bookings",
        "paid",
        "went back",
        "kept",
        "net",
        "entries",
        "given away",
        "worth",
    ];
    let mut table = table_of(&titles);
    for show in &sales.shows {
        let money = |minor| Cell::new(money_text(minor, &show.currency));
        table.add_row([
            Cell::new(&show.show_id),
            Cell::new(grouped(show.bookings)),
            money(show.booked_minor),
            money(show.refunded_minor),
            money(show.kept_minor),
            money(show.net_minor),
            Cell::new(grouped(show.entries)),
            Cell::new(grouped(show.comp_bookings)),
            money(show.comp_face_minor),
        ]);
    }
    console.table(table)?;
    let titles = [
        "show",
        "hour",
        "category",
        "sold",
        "for",
        "cancelled",
        "net",
        "given away",
    ];
    let mut table = table_of(&titles);
    for category in &sales.categories {
        let money = |minor| Cell::new(money_text(minor, &category.currency));
        table.add_row([
            Cell::new(&category.show_id),
            Cell::new(category.hour.as_deref().unwrap_or("all")),
            Cell::new(&category.category),
            Cell::new(grouped(category.tickets_sold)),
            money(category.sold_minor),
            Cell::new(grouped(category.tickets_cancelled)),
            money(category.net_minor),
            Cell::new(grouped(
                category
                    .comp_tickets
                    .saturating_sub(category.comp_tickets_cancelled),
            )),
        ]);
    }
    console.table(table)?;
    for room in &sales.rooms {
        let share = room.buyers.saturating_mul(100).checked_div(room.calls);
        let share = share.map_or_else(String::new, |share| format!(", {share} %"));
        let (calls, buyers) = (grouped(room.calls), grouped(room.buyers));
        console.text(&format!(
            "Room {}: {calls} calls, {buyers} bought{share}.",
            room.room
        ))?;
    }
    Ok(())
}

/// By show and category. Only letters of a show file's categories could need quotes.
fn csv(categories: &[CategorySales]) -> String {
    let head = "show,hour,category,currency,tickets_sold,sold_minor,tickets_cancelled,\
                cancelled_minor,net_minor,comp_tickets,comp_tickets_cancelled";
    let rows = categories.iter().map(|of| {
        let numbers = [
            of.tickets_sold.to_string(),
            of.sold_minor.to_string(),
            of.tickets_cancelled.to_string(),
            of.cancelled_minor.to_string(),
            of.net_minor.to_string(),
            of.comp_tickets.to_string(),
            of.comp_tickets_cancelled.to_string(),
        ];
        let texts = [
            of.show_id.as_str(),
            of.hour.as_deref().unwrap_or_default(),
            &of.category,
            &of.currency,
        ];
        let cells = texts.into_iter().map(quoted).chain(numbers);
        cells.collect::<Vec<_>>().join(",")
    });
    std::iter::once(head.to_owned())
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A cell of RFC 4180. One that a spreadsheet would take for a formula begins with an apostrophe.
pub(crate) fn quoted(text: &str) -> String {
    let text = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        for (text, cell) in [
            ("Stalls", "Stalls"),
            ("A, left", "\"A, left\""),
            ("the \"pit\"", "\"the \"\"pit\"\"\""),
            ("=1+1", "'=1+1"),
        ] {
            assert_eq!(quoted(text), cell);
        }
    }
}
