//! `ropeline room …`.

pub mod change;
mod export;
pub mod flags;
pub mod orders;
pub mod tables;

use contract::Timestamp;
use contract::room::{RoomList, RoomSettings, RoomStats, RoomView};
use reqwest::Method;
use serde_json::json;

use crate::args::{ConfirmedArgs, DeleteArgs, RoomCommand, SettingsArgs};
use crate::client::AdminClient;
use crate::console::{Console, counted};
use crate::failure::{Exit, Failure};
use crate::watch;

/// Runs a command about rooms.
pub(crate) async fn run(
    command: RoomCommand,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<Exit, Failure> {
    match command {
        RoomCommand::Create(args) => create(&args, client, console, now).await?,
        RoomCommand::List => list(client, console, now).await?,
        RoomCommand::Show { room } => {
            let room: RoomView = client.get(&format!("rooms/{room}")).await?;
            if console.is_json() {
                console.document(&room)?;
            } else {
                console.table(tables::detail(&room, now))?;
            }
        }
        RoomCommand::Set { settings, dry_run } => {
            set(&settings, dry_run, client, console, now).await?;
        }
        RoomCommand::Open { room } => {
            let view = client.post(&format!("rooms/{room}/open")).await?;
            told(&view, console)?;
        }
        RoomCommand::Pause { room, reason } => {
            told(&orders::pause(client, &room, reason).await?, console)?;
        }
        RoomCommand::Resume { room } => told(&orders::resume(client, &room).await?, console)?,
        RoomCommand::Close(args) => {
            confirm("Close", &args, client, console).await?;
            let view = client.post(&format!("rooms/{}/close", args.room)).await?;
            told(&view, console)?;
        }
        RoomCommand::Delete(args) => {
            delete(&args, client, console).await?;
        }
        RoomCommand::Export { room } => export::run(&room, client, console).await?,
        RoomCommand::Watch(args) => watch::run(&args, client, console).await?,
    }
    Ok(Exit::Fine)
}

async fn delete(args: &DeleteArgs, client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let room = &args.room.room;
    if let Some(confirmed) = &args.confirm
        && confirmed != room
    {
        return Err(Failure::usage("Nothing was deleted")
            .detail(format!("--confirm names room {confirmed}, not {room}")));
    }
    if !args.purge_log {
        confirm("Delete", &args.room, client, console).await?;
        client.delete(&format!("rooms/{room}")).await?;
        if console.is_json() {
            return console.document(&json!({"room": room, "deleted": true}));
        }
        return console.text(&format!(
            "Deleted room {room}. Its admission log stays: `ropeline admissions {room}`."
        ));
    }
    if !args.room.yes {
        console.confirm(&format!("Delete room {room} if it is there?"), false)?;
    }
    if args.confirm.is_none() {
        if !console.is_interactive() {
            return Err(Failure::usage("This needs a second confirmation")
                .detail(format!("Purge the admission log of room {room} for good?"))
                .hint(format!("add --confirm {room}")));
        }
        console.confirm(
            &format!("Purge the admission log of room {room} for good?"),
            false,
        )?;
    }
    let path = format!("rooms/{room}?purgeLog=true&confirm={room}");
    client.delete(&path).await?;
    if console.is_json() {
        return console.document(&json!({"room": room, "deleted": true, "purgedLog": true}));
    }
    console.text(&format!("Deleted room {room} and its admission log."))
}

async fn create(
    args: &SettingsArgs,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<(), Failure> {
    let bare: RoomSettings = serde_json::from_value(json!({"room": args.room}))
        .map_err(|error| Failure::usage(format!("The room cannot be described: {error}")))?;
    let settings = change::overlay(&bare, &args.flags.values(now)?)?;
    let view: RoomView = client.write(Method::POST, "rooms", &settings).await?;
    note_whole_site(&view.settings, console);
    if console.is_json() {
        return console.document(&view);
    }
    console.text(&format!(
        "Created room {}, {}.",
        view.settings.room,
        tables::phase_text(&view)
    ))?;
    console.table(tables::detail(&view, now))
}

async fn list(client: &AdminClient, console: &Console, now: Timestamp) -> Result<(), Failure> {
    let list: RoomList = client.get("rooms").await?;
    if console.is_json() {
        return console.document(&list);
    }
    if list.rooms.is_empty() {
        console.note("There is no room yet. `ropeline room create` makes one.");
        return Ok(());
    }
    console.table(tables::list(&list.rooms, now))
}

async fn set(
    args: &SettingsArgs,
    dry_run: bool,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<(), Failure> {
    let values = args.flags.values(now)?;
    if values.is_empty() {
        return Err(Failure::usage("No setting is named")
            .hint("`ropeline room set --help` lists them, such as --rate 1200"));
    }
    let seen: RoomView = client.get(&format!("rooms/{}", args.room)).await?;
    let wanted = change::overlay(&seen.settings, &values)?;
    let planned = change::differences(&seen.settings, &wanted)?;
    if dry_run && console.is_json() {
        return console.document(&json!({
            "room": args.room, "dryRun": true, "version": seen.version, "changes": planned,
        }));
    }
    if dry_run || planned.is_empty() {
        return unchanged(&seen, &planned, console);
    }
    let changed = change::write(client, &seen, &values).await?;
    if values.contains_key("paths") || values.contains_key("upstream") {
        note_whole_site(&changed.room.settings, console);
    }
    if !changed.meanwhile.is_empty() {
        let names: Vec<&str> = changed
            .meanwhile
            .iter()
            .map(|it| it.setting.as_str())
            .collect();
        console.note(&format!(
            "Kept what someone else changed meanwhile: {}.",
            names.join(", ")
        ));
    }
    if console.is_json() {
        return console.document(&changed.room);
    }
    console.table(tables::change(&changed.differences))?;
    console.text(&format!(
        "Changed room {} (version {}).",
        args.room, changed.room.version
    ))
}

/// Tells what would change, or that nothing does.
fn unchanged(
    seen: &RoomView,
    planned: &[change::Difference],
    console: &Console,
) -> Result<(), Failure> {
    if console.is_json() {
        return console.document(seen);
    }
    if planned.is_empty() {
        return console.text("Nothing to change: the settings are so already.");
    }
    console.table(tables::change(planned))?;
    console.text("Nothing was changed (--dry-run).")
}

async fn confirm(
    verb: &str,
    args: &ConfirmedArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    if args.yes || !console.is_interactive() {
        return console.confirm(&format!("{verb} room {}?", args.room), args.yes);
    }
    let stats: RoomStats = client.get(&format!("rooms/{}/stats", args.room)).await?;
    let question = format!(
        "{verb} room {}? There are {} in line and {} inside.",
        args.room,
        counted(stats.in_line, "visitor", "visitors"),
        counted(stats.active, "visitor", "visitors"),
    );
    console.confirm(&question, args.yes)
}

fn told(room: &RoomView, console: &Console) -> Result<(), Failure> {
    if console.is_json() {
        return console.document(room);
    }
    let name = &room.settings.room;
    console.text(&format!("Room {name} is {}.", tables::phase_text(room)))
}

/// Tells what a room in front of a whole shop stops besides fans. The booking core's own payment
/// webhook needs no pass, so a room in front of it stops nobody unexpected.
fn note_whole_site(settings: &RoomSettings, console: &Console) {
    if settings.upstream != "embedded" && settings.paths.iter().any(|path| path == "/") {
        console.note(
            "Warning: this room protects every path of its shop. Callers without a pass are \
             refused there too: webhooks of the shop's payment provider, health checks, APIs. \
             Protect narrower prefixes, or let such callers reach the shop directly.",
        );
    }
}
