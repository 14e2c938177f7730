//! `ropeline checkin`: who came to a show, conflicts, and the tokens of scanners.

use comfy_table::{Cell, Color};
use contract::checkin::{
    CheckinCounts, Conflict, ConflictList, ScanPlace, ScannerList, ScannerMade, ScannerRequest,
};
use contract::{ShowId, Timestamp};
use reqwest::Method;

use crate::args::{CheckinCommand, ScannerArgs, TokenCommand};
use crate::client::AdminClient;
use crate::console::{Console, coloured, counted, grouped, table_of};
use crate::failure::{Exit, Failure};
use crate::when::When;

/// Runs the command.
pub(crate) async fn run(
    command: &CheckinCommand,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<Exit, Failure> {
    match command {
        CheckinCommand::Counts { show } => counts(show, client, console).await,
        CheckinCommand::Conflicts { show } => conflicts(show, client, console).await,
        CheckinCommand::Token(TokenCommand::Create(args)) => {
            create(args, client, console, now).await
        }
        CheckinCommand::Token(TokenCommand::List { show }) => {
            list(show.as_ref(), client, console, now).await
        }
        CheckinCommand::Token(TokenCommand::Revoke { scanner }) => {
            client.delete(&format!("scanners/{scanner}")).await?;
            console.note(&format!("{scanner} is revoked."));
            Ok(Exit::Fine)
        }
    }
}

async fn counts(show: &ShowId, client: &AdminClient, console: &Console) -> Result<Exit, Failure> {
    let path = format!("/checkin/v1/shows/{show}/counts");
    let counts: CheckinCounts = client.get(&path).await?;
    if console.is_json() {
        console.document(&counts)?;
        return Ok(Exit::Fine);
    }
    if !counts.gates.is_empty() {
        let mut table = table_of(&["gate", "entered", "left", "refused", "last scan"]);
        for gate in &counts.gates {
            table.add_row([
                Cell::new(&gate.gate),
                Cell::new(grouped(gate.entered)),
                Cell::new(grouped(gate.left)),
                Cell::new(grouped(gate.refused)),
                Cell::new(gate.last_scan_at),
            ]);
        }
        console.table(table)?;
    }
    console.text(&format!(
        "{} inside; {} of {} came; {}.",
        grouped(counts.inside),
        grouped(counts.admitted),
        counted(counts.tickets, "ticket", "tickets"),
        counted(counts.conflicts, "conflict", "conflicts")
    ))?;
    Ok(Exit::Fine)
}

async fn conflicts(
    show: &ShowId,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let path = format!("/checkin/v1/shows/{show}/conflicts");
    let list: ConflictList = client.get(&path).await?;
    if console.is_json() {
        console.document(&list)?;
        return Ok(Exit::Fine);
    }
    if !list.conflicts.is_empty() {
        let titles = ["seat", "ticket", "why", "let in", "scanned", "before"];
        let mut table = table_of(&titles);
        for conflict in &list.conflicts {
            table.add_row(row(conflict));
        }
        console.table(table)?;
    }
    let let_in = list.conflicts.iter().filter(|one| one.admitted).count() as u64;
    console.text(&format!(
        "{}, {} of them let in without a network.",
        counted(list.conflicts.len() as u64, "conflict", "conflicts"),
        grouped(let_in)
    ))?;
    if !list.inside_void.is_empty() {
        let mut table = table_of(&["seat", "cancelled ticket of somebody inside", "came in"]);
        for inside in &list.inside_void {
            table.add_row([
                Cell::new(inside.seat_id.as_deref().unwrap_or("?")),
                Cell::new(inside.ticket_id),
                Cell::new(place(&inside.entry)),
            ]);
        }
        console.table(table)?;
    }
    Ok(Exit::Fine)
}

fn place(place: &ScanPlace) -> String {
    let device = place.device.as_ref().map_or("?", |device| device.as_str());
    format!("{} ({device}) {}", place.gate, place.at)
}

fn row(conflict: &Conflict) -> [Cell; 6] {
    let ticket = conflict.ticket_id.map(|ticket| ticket.to_string());
    [
        Cell::new(conflict.seat_id.as_deref().unwrap_or("?")),
        Cell::new(ticket.unwrap_or_default()),
        Cell::new(conflict.result.as_str()),
        if conflict.admitted {
            coloured("yes", Color::Red)
        } else {
            Cell::new("no")
        },
        Cell::new(place(&conflict.scan)),
        Cell::new(conflict.earlier.as_ref().map(place).unwrap_or_default()),
    ]
}

async fn create(
    args: &ScannerArgs,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let request = ScannerRequest {
        show_id: args.show.clone(),
        gate: args.gate.clone(),
        until: args.until.and_then(|until| When::resolve(until, now)),
    };
    let made: ScannerMade = client.write(Method::POST, "scanners", &request).await?;
    if console.is_json() {
        console.document(&made)?;
        return Ok(Exit::Fine);
    }
    console.text(&format!(
        "{} scans at gate {} until {}.\n\nOpen on the device, once and with a network:\n  {}\n",
        made.scanner.scanner_id, made.scanner.gate, made.scanner.until, made.url
    ))?;
    console.note("The token is in this link and is not shown again.");
    Ok(Exit::Fine)
}

async fn list(
    show: Option<&ShowId>,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let path = match show {
        Some(show) => format!("scanners?showId={show}"),
        None => "scanners".to_owned(),
    };
    let list: ScannerList = client.get(&path).await?;
    if console.is_json() {
        console.document(&list)?;
        return Ok(Exit::Fine);
    }
    let mut table = table_of(&["scanner", "show", "gate", "made", "until", "state"]);
    for scanner in &list.scanners {
        let state = match scanner.revoked_at {
            Some(_) => "revoked",
            None if scanner.until <= now => "over",
            None => "good",
        };
        table.add_row([
            Cell::new(scanner.scanner_id),
            Cell::new(&scanner.show_id),
            Cell::new(&scanner.gate),
            Cell::new(scanner.created_at),
            Cell::new(scanner.until),
            Cell::new(state),
        ]);
    }
    console.table(table)?;
    Ok(Exit::Fine)
}
