//! `ropeline room …`.

mod acceptable;
pub mod change;
mod export;
pub mod flags;
pub mod idle;
mod named;
pub mod orders;
mod site_flags;
pub mod tables;
pub mod warnings;

use contract::line::Phase;
use contract::room::{Override, RoomList, RoomSettings, RoomStats, RoomView};
use contract::{RoomId, Timestamp};
use reqwest::Method;
use serde_json::json;

use crate::args::{ConfirmedArgs, DeleteArgs, RoomCommand, SettingsArgs};
use crate::client::AdminClient;
use crate::console::{Console, counted};
use crate::failure::{Exit, Failure};
use crate::watch;
use flags::SettingValues;

const NOTHING_TO_CHANGE: &str = "Nothing to change: the settings are so already.";

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
            told(&view, console, now)?;
        }
        RoomCommand::Pause { room, reason } => {
            told(&orders::pause(client, &room, reason).await?, console, now)?;
        }
        RoomCommand::Resume { room } => resume(&room, client, console, now).await?,
        RoomCommand::Close(args) => {
            confirm("Close", &args, client, console).await?;
            let view = client.post(&format!("rooms/{}/close", args.room)).await?;
            told(&view, console, now)?;
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
    let values = args.flags.values(now)?;
    let settings = change::overlay(&bare, &values)?;
    let view: RoomView = client.write(Method::POST, "rooms", &settings).await?;
    warn(&view.settings, &values, console);
    if console.is_json() {
        return console.document(&view);
    }
    console.text(&format!("Created room {}.", view.settings.room))?;
    console.table(tables::detail(&view, now))?;
    console.text(&tables::standing(&view, now))
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
    console.table(tables::list(&list.rooms, now))?;
    let idle = list.rooms.iter().filter(|room| room.phase == Phase::Idle);
    for room in idle {
        console.text(&tables::standing(room, now))?;
    }
    Ok(())
}

/// Takes a manager's word back. Who resumes a room that was closed may expect what held before the
/// closing, which nobody remembers: the schedule decides.
async fn resume(
    room: &RoomId,
    client: &AdminClient,
    console: &Console,
    now: Timestamp,
) -> Result<(), Failure> {
    let before: RoomView = client.get(&format!("rooms/{room}")).await?;
    let after = orders::resume(client, room).await?;
    if before.overridden == Some(Override::Close) && !console.is_json() {
        console.text(&format!(
            "Room {room} was closed by command and follows its schedule now."
        ))?;
    }
    told(&after, console, now)
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
    if dry_run {
        acceptable::check(&seen, &wanted, client).await?;
        warn(&wanted, &values, console);
        return planned_only(&seen, &planned, console);
    }
    if planned.is_empty() {
        return unchanged(&seen, console);
    }
    let changed = change::write(client, &seen, &values).await?;
    warn(&changed.room.settings, &values, console);
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
    ))?;
    if changed.room.phase == Phase::Idle {
        console.text(&tables::standing(&changed.room, now))?;
    }
    Ok(())
}

/// Tells that the settings are so already.
fn unchanged(seen: &RoomView, console: &Console) -> Result<(), Failure> {
    if console.is_json() {
        return console.document(seen);
    }
    console.text(NOTHING_TO_CHANGE)
}

/// Tells what would change.
fn planned_only(
    seen: &RoomView,
    planned: &[change::Difference],
    console: &Console,
) -> Result<(), Failure> {
    if console.is_json() {
        return console.document(&json!({
            "room": seen.settings.room, "dryRun": true, "version": seen.version,
            "changes": planned,
        }));
    }
    if planned.is_empty() {
        return console.text(NOTHING_TO_CHANGE);
    }
    console.table(tables::change(planned))?;
    console.text(
        "Nothing was changed (--dry-run). These settings keep the gateway's rules. Only the \
         gateway knows whether your token may change rooms, and what others change meanwhile.",
    )
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

fn told(room: &RoomView, console: &Console, now: Timestamp) -> Result<(), Failure> {
    if room.phase == Phase::Queueing
        && let Some(warning) = warnings::no_calls(&room.settings)
    {
        console.warning(&warning);
    }
    if console.is_json() {
        return console.document(room);
    }
    console.text(&tables::standing(room, now))
}

/// Tells what the settings that were `written` do that may not be meant.
fn warn(settings: &RoomSettings, written: &SettingValues, console: &Console) {
    for warning in warnings::warnings(settings, written) {
        console.warning(&warning);
    }
}
