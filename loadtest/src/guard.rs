//! Which rooms stand before a show: buyers who wait in another one are refused where they buy.

use std::collections::BTreeSet;

use anyhow::bail;
use contract::path::{PathPrefix, SafePath};
use contract::room::RoomSettings;
use contract::{RoomId, ShowId};

/// The rooms whose pass it takes to buy `show`: the one that its file names, and the one that
/// protects the path of its holds. Of two prefixes the nearer decides, as at the gate.
pub(crate) fn rooms_before(
    show: &ShowId,
    named: Option<&RoomId>,
    rooms: &[&RoomSettings],
) -> BTreeSet<RoomId> {
    let holds = format!("/api/v1/shows/{show}/holds");
    let Ok(holds) = SafePath::parse(&holds) else {
        return named.cloned().into_iter().collect();
    };
    let prefixes = rooms.iter().filter(|room| !room.suspended);
    let prefixes = prefixes.flat_map(|room| {
        let parsed = room.paths.iter().filter_map(|path| path.parse().ok());
        parsed.map(|prefix: PathPrefix| (prefix, &room.room))
    });
    let nearest = prefixes
        .filter(|(prefix, _)| holds.is_within(prefix))
        .max_by_key(|(prefix, _)| prefix.depth());
    let nearest = nearest.map(|(_, room)| room);
    named.into_iter().chain(nearest).cloned().collect()
}

/// Refuses to send buyers who could buy nothing: whoever has no pass of a room before the show is
/// refused, and bookings of others would then look as if seats had been given away.
pub(crate) fn admits_buyers(
    room: &RoomId,
    show: &ShowId,
    before: &BTreeSet<RoomId>,
) -> anyhow::Result<()> {
    let other = before.iter().find(|it| *it != room);
    match other {
        Some(other) if before.contains(room) => bail!(
            "show {show} needs a pass of room {other} besides one of room {room}, and fans wait \
             in one room only: take one of the two away from the show"
        ),
        Some(other) => bail!(
            "room {room} does not protect show {show}, room {other} does: fans of room {room} \
             could buy nothing there; name --room {other}, or a show of room {room}"
        ),
        None if before.is_empty() => {
            tracing::warn!(
                "room {room} does not protect show {show}: anyone buys it without waiting; if \
                 others do meanwhile, give --others-buy"
            );
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(named: Option<&str>, rooms: &[(&str, &[&str])], expected: &[&str]) {
        let named: Option<RoomId> = named.map(|room| room.parse().unwrap());
        let rooms: Vec<RoomSettings> = rooms
            .iter()
            .map(|(room, paths)| {
                serde_json::from_value(json!({"room": room, "paths": paths})).unwrap()
            })
            .collect();
        let rooms: Vec<_> = rooms.iter().collect();
        let show = "eras-1".parse().unwrap();
        let found = rooms_before(&show, named.as_ref(), &rooms);
        let found: Vec<_> = found.iter().map(RoomId::as_str).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_show_is_behind_the_room_it_names_and_the_one_that_protects_its_path() {
        check(None, &[("eras", &[])], &[]);
        check(Some("eras"), &[("eras", &[])], &["eras"]);
        check(
            None,
            &[
                ("all", &["/"]),
                ("eras", &["/api/v1/shows/eras-1/holds"]),
                ("other", &["/api/v1/shows/eras-2/holds"]),
            ],
            &["eras"],
        );
        check(Some("eras"), &[("all", &["/"])], &["all", "eras"]);
    }

    #[test]
    fn buyers_are_sent_only_where_they_can_buy() {
        let rooms = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let told = |before: &[&str]| {
            let admitted = admits_buyers(
                &"eras".parse().unwrap(),
                &"eras-1".parse().unwrap(),
                &rooms(before),
            );
            admitted.map_err(|error| error.to_string())
        };
        assert_eq!(told(&["eras"]), Ok(()));
        assert_eq!(told(&[]), Ok(()));
        let refused = told(&["other"]).unwrap_err();
        assert!(refused.contains("name --room other"), "{refused}");
        let refused = told(&["eras", "other"]).unwrap_err();
        assert!(refused.contains("besides"), "{refused}");
    }
}
