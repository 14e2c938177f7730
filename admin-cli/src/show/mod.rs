//! `ropeline show …`.

mod cancel;
pub mod file;
mod moving;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use comfy_table::{Cell, CellAlignment, Table};
use contract::booking::{ImportOutcome, Show, ShowFile, ShowImported, ShowList};
use contract::{Clock, SystemClock};
use reqwest::Method;
use serde_json::json;
use show_file::{CheckedShow, FILE_BYTES_MAX, Fault};

use crate::amount::money_text;
use crate::args::ShowCommand;
use crate::client::AdminClient;
use crate::console::{Console, counted, grouped, table_of};
use crate::failure::{Exit, Failure};
use crate::room::tables::wire_word;
use crate::when::instant_text;

/// Runs a command about shows.
pub(crate) async fn run(
    command: ShowCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        ShowCommand::Import { file, .. } => import(&file, client, console).await?,
        ShowCommand::Schema => schema(console)?,
        ShowCommand::List => list(client, console).await?,
        ShowCommand::Show { show } => {
            let show: Show = client.get(&format!("shows/{show}")).await?;
            if console.is_json() {
                console.document(&show)?;
            } else {
                detail(&show, console)?;
            }
        }
        ShowCommand::Cancel(args) => return cancel::run(&args, client, console).await,
        ShowCommand::Move(args) => return moving::run(&args, client, console).await,
    }
    Ok(Exit::Fine)
}

/// Runs a command that needs no gateway; `None` if it needs one.
pub(crate) fn run_alone(command: &ShowCommand, console: &Console) -> Option<Result<Exit, Failure>> {
    let done = match command {
        ShowCommand::Import {
            file,
            dry_run: true,
        } => import_dry(file, console),
        ShowCommand::Schema => schema(console),
        ShowCommand::Import { dry_run: false, .. }
        | ShowCommand::List
        | ShowCommand::Show { .. }
        | ShowCommand::Cancel(_)
        | ShowCommand::Move(_) => return None,
    };
    Some(done.map(|()| Exit::Fine))
}

fn schema(console: &Console) -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&show_file::schema());
    console.text(&schema.map_err(|error| Failure::failed(error.to_string()))?)
}

fn import_dry(path: &Path, console: &Console) -> Result<(), Failure> {
    let show = read_sound(path)?;
    let (file, seat_count) = (&show.file, show.seats.len() as u64);
    if console.is_json() {
        return console.document(&json!({
            "showId": file.show_id, "seatCount": seat_count, "dryRun": true,
        }));
    }
    console.table(summary_table(file))?;
    console.text(&summary_text(file, seat_count))?;
    let room = file.room.as_ref().map_or_else(String::new, |room| {
        format!(" The gateway checks besides that there is a room {room}.")
    });
    console.text(&format!(
        "The file is sound. Nothing was sent (--dry-run).{room}"
    ))
}

async fn import(path: &Path, client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let show = read_sound(path)?;
    let file = &show.file;
    let imported = client.write(Method::POST, "shows", file).await;
    let imported: ShowImported = imported.map_err(|failure: Failure| {
        let hint = "leave seats, currency and room as they are, or import a new show under \
                    another showId; `ropeline show show` tells how it is";
        failure.hint_about("conflict", hint)
    })?;
    if console.is_json() {
        return console.document(&imported);
    }
    console.table(summary_table(file))?;
    console.text(&summary_text(file, show.seats.len() as u64))?;
    let id = &imported.show_id;
    console.text(&match imported.outcome {
        ImportOutcome::Created => format!("Created show {id}."),
        ImportOutcome::Updated if imported.changed.is_empty() => format!("Updated show {id}."),
        ImportOutcome::Updated => {
            format!("Updated show {id}: {}.", imported.changed.join(", "))
        }
        ImportOutcome::Unchanged => format!("Show {id} is unchanged: it was imported just so."),
    })
}

/// The show file at `path`, or all that is wrong with it.
fn read_sound(path: &Path) -> Result<CheckedShow, Failure> {
    let name = path.display();
    let refused = |faults: &[Fault]| {
        let told = faults.iter().map(ToString::to_string);
        Failure::failed(format!("{name} is not a sound show file"))
            .detail(told.collect::<Vec<_>>().join("\n           "))
            .hint("docs/SHOWS.md describes show files; nothing was sent")
    };
    let bytes =
        read(path).map_err(|error| Failure::failed(format!("Cannot read {name}: {error}")))?;
    show_file::read(&bytes, SystemClock.now()).map_err(|faults| refused(&faults))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is taken, so that a larger file is told as such.
    let limit = FILE_BYTES_MAX as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn summary_table(file: &ShowFile) -> Table {
    let mut table = table_of(&["category", "name", "price", "seats", "blocked"]);
    for it in file::summary(file) {
        table.add_row([
            Cell::new(it.category),
            Cell::new(it.name),
            right(money_text(it.price_minor, &file.currency)),
            right(grouped(it.seats)),
            right(grouped(it.blocked)),
        ]);
    }
    table
}

fn summary_text(file: &ShowFile, seat_count: u64) -> String {
    let prices = || file.categories.iter().map(|it| it.price_minor);
    let low = money_text(prices().min().unwrap_or_default(), &file.currency);
    let high = money_text(prices().max().unwrap_or_default(), &file.currency);
    let price = if low == high {
        low
    } else {
        format!("{low} to {high}")
    };
    format!(
        "{} on {}, {}: {}, {price}",
        file.title,
        instant_text(file.starts_at),
        file.venue.name,
        counted(seat_count, "seat", "seats"),
    )
}

async fn list(client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let list: ShowList = client.get("shows").await?;
    if console.is_json() {
        return console.document(&list);
    }
    if list.shows.is_empty() {
        console.note("There is no show yet. `ropeline show import` brings one in.");
        return Ok(());
    }
    let titles = [
        "show", "title", "city", "starts", "sale", "room", "free", "seats",
    ];
    let mut table = table_of(&titles);
    for show in &list.shows {
        table.add_row([
            Cell::new(&show.show_id),
            Cell::new(&show.title),
            Cell::new(&show.city_id),
            Cell::new(instant_text(show.starts_at)),
            Cell::new(wire_word(&show.sale_status).to_lowercase()),
            Cell::new(room_text(show)),
            right(grouped(show.available_count)),
            right(grouped(show.seat_count)),
        ]);
    }
    console.table(table)
}

fn detail(show: &Show, console: &Console) -> Result<(), Failure> {
    let mut table = table_of(&["field", "value"]);
    let categories = show.categories.iter().map(|it| {
        let price = money_text(it.price_minor, &show.currency);
        format!("{} ({}): {price}", it.name, it.category)
    });
    let rows = [
        ("show", show.show_id.to_string()),
        ("title", show.title.clone()),
        ("city", show.city_id.to_string()),
        (
            "venue",
            format!("{}, {}", show.venue.name, show.venue.address),
        ),
        ("starts", instant_text(show.starts_at)),
        ("sale opens", instant_text(show.sale_opens_at)),
        ("sale closes", instant_text(show.sale_closes_at)),
        ("sale", wire_word(&show.sale_status).to_lowercase()),
        ("room", room_text(show)),
        ("ticket limit", show.ticket_limit.to_string()),
        ("hold", format!("{} s", show.hold_seconds)),
        ("prices", categories.collect::<Vec<_>>().join("\n")),
        ("seats", grouped(show.seat_count)),
        ("free", grouped(show.available_count)),
    ];
    table.add_rows(rows.map(|(name, value)| [name.to_owned(), value]));
    console.table(table)
}

fn room_text(show: &Show) -> String {
    show.room
        .as_ref()
        .map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
