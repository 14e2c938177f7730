//! The room of a site that was named on the command line.

use anyhow::{Context, Result, bail};
use contract::room::RoomSettings;
use contract::settings::{FieldProblem, validate, validate_beside};
use contract::{Clock, RoomId, Timestamp};
use line::records::{Act, Audit, AuditEntry, CreateOutcome, PutOutcome, Rooms};

use super::surroundings::Surroundings;
use crate::config::{Config, ORIGIN_ROOM, Origin};

/// Who makes the room, in the audit log.
const ACTOR: &str = "command line";
/// What the audit log calls the command. The newest one tells what a start has to change: nothing
/// that it says too, because an operator may have changed it since.
const COMMAND: &str = "room.command-line";
/// How often the room is read again because another gateway changed it meanwhile.
const TRIES_MAX: usize = 5;

/// What became of the room.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settled {
    change: Change,
    settings: RoomSettings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Made,
    Updated,
    Kept,
}

/// The room of the site that was named on the command line, made or updated.
pub(super) async fn before_site(
    config: &Config,
    rooms: &Rooms,
    audit: &Audit,
    surroundings: &Surroundings,
) -> Result<Option<Settled>> {
    let Some(named) = &config.origin else {
        return Ok(None);
    };
    let last = audit.newest(COMMAND, ORIGIN_ROOM).await;
    let last = last.context("could not read the audit log")?;
    let last: Option<Origin> = last.and_then(|last| serde_json::from_value(last).ok());
    let seeds = || surroundings.randomness.bytes();
    let clock = surroundings.clock.as_ref();
    let settled = settle(rooms, named, last.as_ref(), seeds, clock).await?;
    if settled.change == Change::Made || last.as_ref() != Some(named) {
        let entry = AuditEntry::new(COMMAND, ORIGIN_ROOM).after(named);
        let noted = audit.record(Act::new(ACTOR, clock), entry).await;
        noted.context("could not write the audit log")?;
    }
    Ok(Some(settled))
}

/// Makes or updates the room of `origin`, by what the command says otherwise than the `last` one. A
/// room that is as it should be stays untouched.
async fn settle(
    rooms: &Rooms,
    origin: &Origin,
    last: Option<&Origin>,
    seeds: impl Fn() -> [u8; 32],
    clock: &dyn Clock,
) -> Result<Settled> {
    let id: RoomId = ORIGIN_ROOM.parse().context("no room has this name")?;
    for _ in 0..TRIES_MAX {
        let act = Act::new(ACTOR, clock);
        let all = rooms
            .room_list()
            .await
            .context("could not read the rooms")?;
        let known = all.iter().find(|room| room.settings.room == id);
        let others: Vec<_> = all.iter().map(|room| &room.settings).collect();
        let others: Vec<_> = others.into_iter().filter(|room| room.room != id).collect();
        let before = known.map(|known| &known.settings);
        let settings = match before {
            Some(before) => origin.settings(before, last),
            None => opened(origin.new_room(), act.at),
        };
        if let Some(before) = before
            && *before == settings
        {
            let change = Change::Kept;
            return Ok(Settled { change, settings });
        }
        let problems = validate(&settings)
            .and_then(|()| validate_beside(&settings, before, &others))
            .err()
            .unwrap_or_default();
        if !problems.is_empty() {
            bail!(
                "the room `{id}` cannot be made for --origin: {}",
                told(&problems)
            );
        }
        let change = if let Some(known) = known {
            let put = rooms.room_put(settings.clone(), Some(known.version), act);
            match put.await.context("could not update the room")? {
                PutOutcome::Written(_) => Change::Updated,
                PutOutcome::Stale(_) | PutOutcome::Absent => continue,
            }
        } else {
            let made = rooms.room_create(settings.clone(), seeds(), act);
            match made.await.context("could not make the room")? {
                CreateOutcome::Created(_) => Change::Made,
                CreateOutcome::Exists => continue,
            }
        };
        return Ok(Settled { change, settings });
    }
    bail!("others keep changing the room `{id}`; start again")
}

/// A new room in stand-by: it has opened.
fn opened(mut settings: RoomSettings, now: Timestamp) -> RoomSettings {
    settings.opens_at = Some(now);
    settings
}

fn told(problems: &[FieldProblem]) -> String {
    let told: Vec<_> = problems
        .iter()
        .map(|found| format!("{}: {}", found.field, found.problem))
        .collect();
    told.join("; ")
}

impl Settled {
    /// Tells on the terminal what was done and what can be done next.
    #[expect(clippy::print_stdout, reason = "it answers the command that was typed")]
    pub(super) fn tell(&self, public_url: &str) {
        println!("{}", self.report(public_url));
    }

    fn report(&self, public_url: &str) -> String {
        let settings = &self.settings;
        let room = &settings.room;
        let done = match self.change {
            Change::Made => "was made",
            Change::Updated => "was updated",
            Change::Kept => "is as it was",
        };
        let protected = if settings.paths.iter().any(|path| path == "/") {
            "every path".to_owned()
        } else {
            settings.paths.join(", ")
        };
        let hosts = match settings.hosts.as_slice() {
            [host] if host == "*" => "every host".to_owned(),
            hosts => hosts.join(", "),
        };
        format!(
            "The room `{room}` {done}: {public_url} stands before {upstream}, for {hosts}.\n  \
             Needs a pass: {protected}. Up to {rate} visitors a minute and {cap} at once come in \
             without noticing; above that they wait.\n  Webhooks, health checks and other programs \
             have no pass: exempt their paths.\nNext:\n  \
             ropeline room watch {room}                    what happens\n  \
             ropeline room set {room} --rate 300 --cap 500 other limits\n  \
             ropeline room set {room} --exempt /webhooks   what needs no pass\n  \
             ropeline room set {room} --queue-all          everyone waits\n  \
             ropeline room pause {room} --reason TEXT      nobody comes in\n  \
             ropeline room set {room} --suspended          everyone passes",
            upstream = settings.upstream,
            rate = settings.new_users_per_minute,
            cap = settings.total_active_users,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(json: serde_json::Value) -> RoomSettings {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_report_tells_what_is_protected_and_what_comes_next() {
        let settings = room(serde_json::json!({
            "room": "default", "upstream": "http://shop:3000", "paths": ["/"], "hosts": ["*"],
            "newUsersPerMinute": 600, "totalActiveUsers": 2000,
        }));
        let change = Change::Made;
        let told = Settled { change, settings }.report("http://127.0.0.1:8080");
        for part in [
            "http://127.0.0.1:8080 stands before http://shop:3000, for every host",
            "every path",
            "600 visitors a minute and 2000 at once",
            "ropeline room watch default",
        ] {
            assert!(told.contains(part), "{part} is missing from: {told}");
        }
    }
}
