//! Whether the gateway would take a room's settings, told without asking it to.

use contract::room::{RoomList, RoomSettings, RoomView};
use contract::settings::{FieldProblem, validate, validate_beside};

use crate::client::AdminClient;
use crate::failure::Failure;

/// Refuses what the gateway would refuse of `wanted` in the place of `seen`, by the rules that it
/// has: settings that make no sense, and paths that another room protects.
pub(super) async fn check(
    seen: &RoomView,
    wanted: &RoomSettings,
    client: &AdminClient,
) -> Result<(), Failure> {
    validate(wanted).map_err(|problems| refused(&problems))?;
    let list: RoomList = client.get("rooms").await?;
    let others = list.rooms.iter().map(|room| &room.settings);
    let others: Vec<_> = others.filter(|it| it.room != wanted.room).collect();
    validate_beside(wanted, Some(&seen.settings), &others).map_err(|problems| refused(&problems))
}

fn refused(problems: &[FieldProblem]) -> Failure {
    let told = problems
        .iter()
        .map(|it| format!("{}: {}", it.field, it.problem));
    let told: Vec<_> = told.collect();
    let mut failure = Failure::failed("The gateway would refuse these settings")
        .detail(told.join("; "))
        .hint("`--help` explains what each setting accepts; nothing was changed (--dry-run)");
    failure.code = Some("validation-failed".into());
    failure
}
