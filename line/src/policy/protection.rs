//! No host leads past a room: generated rooms, hosts and paths.

use contract::host::AnsweredHost;
use contract::path::{PathPrefix, SafePath};
use proptest::prelude::*;

use super::sites::{Found, Sites};
use super::stance::{Behind, Stance};

const HOSTS: [&str; 4] = ["*", "a.example", "b.example", "c.example"];
const SERVERS: [&str; 3] = ["one", "two", "three"];

/// A room as an operator may set it up.
#[derive(Clone, Debug)]
struct Made {
    number: usize,
    stance: Stance,
    is_idle: bool,
}

fn prefix() -> impl Strategy<Value = PathPrefix> {
    proptest::collection::vec("[xy]", 0..3).prop_map(|names| {
        let text = format!("/{}", names.join("/"));
        text.parse().unwrap()
    })
}

fn behind() -> impl Strategy<Value = Behind> {
    let servers = proptest::sample::subsequence(&SERVERS[..], 1..3);
    let base = prop_oneof![3 => Just("/"), 1 => Just("/x")];
    let remote =
        (servers, base, any::<bool>()).prop_map(|(servers, base, preserves_host)| Behind::Remote {
            servers: servers.into_iter().map(str::to_owned).collect(),
            base: base.parse().unwrap(),
            preserves_host,
        });
    prop_oneof![1 => Just(Behind::Core), 2 => remote]
}

fn rooms() -> impl Strategy<Value = Vec<Made>> {
    let hosts = proptest::sample::subsequence(&HOSTS[..], 0..3);
    let prefixes = proptest::collection::vec(prefix(), 1..3);
    let room = (hosts, prefixes, behind(), any::<bool>());
    proptest::collection::vec(room, 1..6).prop_map(|rooms| {
        let numbered = rooms.into_iter().enumerate();
        let made = numbered.map(|(number, (hosts, prefixes, behind, is_idle))| Made {
            number,
            stance: Stance {
                hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
                prefixes,
                behind,
            },
            is_idle,
        });
        made.collect()
    })
}

/// Whether requests of the two rooms may arrive at one server.
fn share_a_service(rooms: &[Made], one: &Behind, other: &Behind) -> bool {
    let servers = |behind: &Behind| match behind {
        Behind::Core => vec!["core".to_owned()],
        Behind::Remote { servers, .. } => servers.clone(),
    };
    let mut reached = servers(one);
    // As long as some room joins further servers to these.
    loop {
        let before = reached.len();
        for room in rooms {
            let own = servers(&room.stance.behind);
            if own.iter().any(|server| reached.contains(server)) {
                let more: Vec<_> = own.into_iter().filter(|s| !reached.contains(s)).collect();
                reached.extend(more);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    servers(other).iter().any(|server| reached.contains(server))
}

/// The path as the service of `behind` gets it.
fn at_server(behind: &Behind, path: &str) -> String {
    match behind {
        Behind::Core => path.to_owned(),
        Behind::Remote { base, .. } => format!("{}{path}", base.as_str().trim_end_matches('/')),
    }
}

/// How deep `room` protects the path that the service gets as `at_server`.
fn depth(room: &Made, at_server_path: &str) -> Option<usize> {
    let whole = |prefix: &PathPrefix| {
        let text = at_server(&room.stance.behind, prefix.as_str());
        text.parse::<PathPrefix>().unwrap()
    };
    let path = SafePath::parse(at_server_path).unwrap();
    let prefixes = room.stance.prefixes.iter().map(whole);
    prefixes
        .filter(|prefix| path.is_within(prefix))
        .map(|prefix| prefix.depth())
        .max()
}

/// Whether `room` is one of those that a request for `host` is looked up among.
fn answers(rooms: &[Made], room: &Made, host: &str) -> bool {
    let host = AnsweredHost::Named(host.to_owned());
    let names = |room: &Made| room.stance.hosts.contains(&host);
    let is_remote = |room: &Made| room.stance.behind != Behind::Core;
    if room.stance.hosts.is_empty() {
        return !rooms.iter().any(|other| names(other) && is_remote(other));
    }
    let is_star = room.stance.hosts.contains(&AnsweredHost::Every);
    names(room) || (is_star && !rooms.iter().any(names))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// For any rooms, no request for a path that some room protects at the service that it goes
    /// to passes without the pass of a room that protects it there, of the nearest of these, and
    /// not for an idle one where one with the same prefix queues. Only a service that is told
    /// the host may have other rooms on other hosts.
    #[test]
    fn no_request_gets_past_the_room_that_protects_its_path(
        rooms in rooms(),
        host in proptest::sample::select(&["", "a.example", "b.example", "d.example"][..]),
        path in "(/[xyz]){1,3}",
    ) {
        let sites = Sites::of(
            rooms.iter().map(|room| (room.stance.clone(), room.clone())).collect(),
        );
        let asked = (!host.is_empty()).then_some(host);
        let safe = SafePath::parse(&path).unwrap();
        let found = sites.find(asked, &safe, |room| room.is_idle);
        let behind = found.map_or(Behind::Core, |found| found.room.stance.behind.clone());
        let tells_host = |behind: &Behind| {
            matches!(behind, Behind::Remote { preserves_host: true, .. })
        };
        let arrives = at_server(&behind, &path);
        let counts = |room: &&Made| {
            let own = &room.stance.behind;
            let is_apart = tells_host(own) && tells_host(&behind) && !answers(&rooms, room, host);
            share_a_service(&rooms, own, &behind) && !is_apart
        };
        let protecting: Vec<_> = rooms
            .iter()
            .filter(counts)
            .filter_map(|room| Some((room, depth(room, &arrives)?)))
            .collect();
        let guard = found.and_then(|found| found.guard);
        if let Some(deepest) = protecting.iter().map(|(_, depth)| *depth).max() {
            let nearest = protecting.iter().filter(|(_, depth)| *depth == deepest);
            let nearest: Vec<_> = nearest.map(|(room, _)| room).collect();
            let guard = guard.expect("a protected path needs a pass");
            let own_depth = depth(guard, &arrives);
            prop_assert!(own_depth >= Some(deepest), "{guard:?} protects {own_depth:?}");
            let is_there = nearest.iter().any(|room| room.number == guard.number);
            let queues = nearest.iter().any(|room| !room.is_idle);
            if is_there {
                prop_assert!(!(guard.is_idle && queues), "{guard:?} leads past a queue");
            }
        }
        // A path with one reading is the same whichever way it is looked at.
        let readings = contract::readings::readings(&path).unwrap();
        let whichever = sites.find_whichever(asked, &readings, |room| room.is_idle);
        let number = |found: Option<Found<&Made>>| {
            found.map(|found| (found.room.number, found.guard.map(|guard| guard.number)))
        };
        prop_assert_eq!(number(whichever), number(found));
    }
}
