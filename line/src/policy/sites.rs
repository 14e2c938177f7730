//! Which room a request belongs to, by its host and its path, and whose pass it needs. Pure.
//!
//! A host says where a request goes. What it needs a pass for does not hang on the host alone: any
//! client can name any host, so a room protects its paths wherever they are reached, on every host
//! that leads to the same service. Compiled once for each change of the rooms. Where no other host
//! leads to a service, looking a room up is looking up a prefix.

use std::collections::HashMap;

use contract::host::{AnsweredHost, name_of};
use contract::path::SafePath;
use contract::readings::Reading;

use super::prefixes::{Prefixes, first_queue};
use super::services::{Service, Services};
use super::stance::{Behind, Stance};

/// The rooms of all hosts.
#[derive(Debug)]
pub struct Sites<R> {
    rooms: Vec<Placed<R>>,
    /// Hosts that rooms name.
    named: HashMap<String, Site>,
    /// Hosts that no room names.
    every: Site,
    /// What rooms without hosts protect, on the hosts of the booking core too.
    anywhere: Prefixes<usize>,
    services: Services,
}

/// The rooms of one host, by their numbers in [`Sites::rooms`].
#[derive(Debug, Default)]
struct Site {
    prefixes: Prefixes<usize>,
    /// Whose upstream has every path that no room protects; the booking core's, when `None`.
    front: Option<usize>,
}

#[derive(Debug)]
struct Placed<R> {
    room: R,
    service: Service,
}

/// The room of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<R> {
    /// The room whose upstream the request goes to.
    pub room: R,
    /// The room whose pass it needs; none, when no room protects the path.
    pub guard: Option<R>,
    /// All that the host has goes to the upstream of a room.
    pub is_of_front: bool,
}

impl<R: Clone> Found<&R> {
    /// The same with the rooms themselves.
    pub fn cloned(self) -> Found<R> {
        Found {
            room: self.room.clone(),
            guard: self.guard.cloned(),
            is_of_front: self.is_of_front,
        }
    }
}

impl<R> Default for Sites<R> {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl<R> Sites<R> {
    /// The sites of these rooms. Of several that stand alike, the first comes first.
    pub fn of(rooms: Vec<(Stance, R)>) -> Self {
        let (stances, rooms): (Vec<_>, Vec<_>) = rooms.into_iter().unzip();
        let mut named: HashMap<String, Site> = HashMap::new();
        let mut every = Site::default();
        let mut anywhere = Prefixes::default();
        for (number, stance) in stances.iter().enumerate() {
            if stance.hosts.is_empty() {
                every.protect(stance, number);
                for prefix in &stance.prefixes {
                    anywhere.add(prefix, number);
                }
            }
            for host in &stance.hosts {
                let site = match host {
                    AnsweredHost::Every => &mut every,
                    AnsweredHost::Named(name) => named.entry(name.clone()).or_default(),
                };
                site.protect(stance, number);
                if stance.behind != Behind::Core {
                    site.front.get_or_insert(number);
                }
            }
        }
        let (services, of_rooms) = Services::of(&stances);
        let placed = rooms.into_iter().zip(of_rooms);
        Self {
            rooms: placed
                .map(|(room, service)| Placed { room, service })
                .collect(),
            named,
            every,
            anywhere,
            services,
        }
    }

    /// The room of a request for `path` of `host`.
    ///
    /// It goes where the room with the nearest prefix on that host has it go, else to the service
    /// that has the whole host, else to the booking core. It needs the pass of the room that is
    /// nearest among all that protect this path of that service, on whichever host; of several
    /// with one prefix the first that is not idle, those of the host before others.
    pub fn find(
        &self,
        host: Option<&str>,
        path: &SafePath<'_>,
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<Found<&R>> {
        let is_idle = |number: &usize| is_idle(&self.rooms[*number].room);
        let (site, beside) = self.site(host);
        let own = site.prefixes.nearest(path, is_idle);
        let own = own.or_else(|| beside?.nearest(path, is_idle));
        let own = own.map(|(number, depth)| (*number, depth));
        let to = own.map(|(number, _)| number).or(site.front);
        let service = to.map_or(Service::CORE, |number| self.rooms[number].service);
        let guard = match self.services.guards(service) {
            None => own.map(|(number, _)| number),
            Some(guards) => {
                let other = guards.nearest(path, is_idle);
                guards.nearer(own, other.map(|(number, depth)| (*number, depth)), is_idle)
            }
        };
        self.found(site, to, guard)
    }

    /// The room of a request for a path with several readings, if all of them belong to one and need
    /// the same pass.
    pub fn find_whichever(
        &self,
        host: Option<&str>,
        readings: &[Reading],
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<Found<&R>> {
        let is_idle = |number: &usize| is_idle(&self.rooms[*number].room);
        let nearest = |(owners, depth)| Some((*first_queue(owners, is_idle)?, depth));
        let (site, beside) = self.site(host);
        let mut own = nearest(site.prefixes.whichever(readings)?);
        if let (None, Some(beside)) = (own, beside) {
            own = nearest(beside.whichever(readings)?);
        }
        let to = own.map(|(number, _)| number).or(site.front);
        let service = to.map_or(Service::CORE, |number| self.rooms[number].service);
        let guard = match self.services.guards(service) {
            None => own.map(|(number, _)| number),
            Some(guards) => {
                let other = nearest(guards.whichever(readings)?);
                guards.nearer(own, other, is_idle)
            }
        };
        self.found(site, to, guard)
    }

    fn found(&self, site: &Site, to: Option<usize>, guard: Option<usize>) -> Option<Found<&R>> {
        let room = |number: usize| &self.rooms[number].room;
        Some(Found {
            // A room of the booking core that protects the path there stands for the core.
            room: room(to.or(guard)?),
            guard: guard.map(room),
            is_of_front: site.front.is_some(),
        })
    }

    /// The rooms of `host`, and those of any host that are asked after them. A host that only rooms
    /// of the booking core name belongs to the core, so no service that takes every other host has
    /// anything there.
    fn site(&self, host: Option<&str>) -> (&Site, Option<&Prefixes<usize>>) {
        if self.named.is_empty() {
            return (&self.every, None);
        }
        match host.and_then(|host| self.named.get(&*name_of(host))) {
            Some(site) if site.front.is_some() => (site, None),
            Some(site) => (site, Some(&self.anywhere)),
            None => (&self.every, None),
        }
    }
}

impl Site {
    fn protect(&mut self, stance: &Stance, number: usize) {
        for prefix in &stance.prefixes {
            self.prefixes.add(prefix, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rooms by name, hosts, prefixes, and upstream: `core`, or a server with a path. A `!` before it
    /// says that the host is preserved.
    fn sites(rooms: &[(&'static str, &[&str], &[&str], &str)]) -> Sites<&'static str> {
        let stance = |hosts: &[&str], prefixes: &[&str], upstream: &str| Stance {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            prefixes: prefixes.iter().map(|path| path.parse().unwrap()).collect(),
            behind: behind(upstream),
        };
        let rooms = rooms.iter();
        Sites::of(
            rooms
                .map(|(room, hosts, prefixes, upstream)| (stance(hosts, prefixes, upstream), *room))
                .collect(),
        )
    }

    pub(super) fn behind(upstream: &str) -> Behind {
        if upstream == "core" {
            return Behind::Core;
        }
        let plain = upstream.trim_start_matches('!');
        let (servers, base) = plain.split_once('/').unwrap_or((plain, ""));
        Behind::Remote {
            servers: servers.split(',').map(str::to_owned).collect(),
            base: format!("/{base}").parse().unwrap(),
            preserves_host: plain != upstream,
        }
    }

    /// The path needs the pass of this room, or goes past all to the upstream of this one.
    fn check(sites: &Sites<&'static str>, host: &str, path: &str, expected: Option<(&str, bool)>) {
        let safe = SafePath::parse(path).unwrap();
        let host = (!host.is_empty()).then_some(host);
        let found = sites.find(host, &safe, |_| false);
        let named = found.map(|found| (*found.guard.unwrap_or(found.room), found.guard.is_some()));
        assert_eq!(named, expected, "{host:?} {path}");
    }

    #[test]
    fn without_hosts_a_room_protects_its_paths_everywhere() {
        let rooms = sites(&[("eras", &[], &["/eras"], "shop")]);
        for host in ["", "a.example", "A.example:80"] {
            check(&rooms, host, "/eras/x", Some(("eras", true)));
            check(&rooms, host, "/x", None);
        }
    }

    #[test]
    fn a_host_belongs_to_the_service_behind_it_whatever_other_rooms_protect() {
        let rooms = sites(&[
            ("any", &[], &["/", "/checkout/deep"], "any"),
            (
                "shop",
                &["shop.example", "xn--bcher-kva.example"],
                &["/checkout"],
                "shop",
            ),
            ("vip", &["shop.example"], &["/checkout/vip"], "shop"),
        ]);
        for host in [
            "shop.example",
            "SHOP.example:8443",
            "shop.example.",
            "XN--BCHER-kva.Example",
        ] {
            check(&rooms, host, "/checkout/deep", Some(("shop", true)));
            check(&rooms, host, "/", Some(("shop", false)));
        }
        check(
            &rooms,
            "shop.example",
            "/checkout/vip/a",
            Some(("vip", true)),
        );
        for host in [
            "",
            "shop.example.evil.test",
            "evil-shop.example",
            "other.example",
        ] {
            check(&rooms, host, "/checkout", Some(("any", true)));
            check(&rooms, host, "/x", Some(("any", true)));
        }
    }

    #[test]
    fn a_star_takes_what_no_other_room_names() {
        let rooms = sites(&[
            ("rest", &["*"], &["/pay"], "rest"),
            ("shop", &["shop.example"], &["/checkout"], "shop"),
            ("eras", &["tickets.example"], &["/shows/eras"], "core"),
        ]);
        check(&rooms, "other.example", "/pay", Some(("rest", true)));
        check(&rooms, "other.example", "/x", Some(("rest", false)));
        check(&rooms, "", "/x", Some(("rest", false)));
        check(&rooms, "shop.example", "/pay", Some(("shop", false)));
        // The booking core has its own hosts, whoever takes the rest.
        check(
            &rooms,
            "tickets.example",
            "/shows/eras",
            Some(("eras", true)),
        );
        check(&rooms, "tickets.example", "/x", None);
        check(&rooms, "tickets.example", "/pay", None);
    }

    #[test]
    fn no_other_host_leads_past_a_room_of_the_booking_core() {
        let rooms = sites(&[
            ("eras", &["tickets.example"], &["/shows/eras"], "core"),
            ("shop", &["shop.example"], &["/checkout"], "shop"),
        ]);
        for host in ["", "10.0.0.1", "other.example", "tickets.example:1"] {
            check(&rooms, host, "/shows/eras/seats", Some(("eras", true)));
            check(&rooms, host, "/shows/other", None);
        }
        check(
            &rooms,
            "shop.example",
            "/shows/eras/seats",
            Some(("shop", false)),
        );
    }

    #[test]
    fn a_host_of_the_booking_core_keeps_its_webhooks_whoever_takes_the_rest() {
        let rooms = sites(&[
            ("rest", &["*"], &["/"], "rest"),
            ("eras", &["tickets.example"], &["/shows/eras"], "core"),
            ("all", &[], &["/all"], "all"),
        ]);
        let hook = "/api/v1/payments/stripe/webhook";
        check(&rooms, "tickets.example", hook, None);
        check(&rooms, "other.example", hook, Some(("rest", true)));
        // What rooms without hosts protect, they protect there too.
        check(&rooms, "tickets.example", "/all/x", Some(("all", true)));
        let path = SafePath::parse("/all/x").unwrap();
        let found = rooms.find(Some("tickets.example"), &path, |_| false);
        assert!(!found.unwrap().is_of_front);
    }

    #[test]
    fn a_room_of_the_core_protects_its_paths_from_hosts_with_a_shorter_prefix() {
        for hosts in [&[][..], &["*"], &["other.example"]] {
            let rooms = sites(&[
                ("deep", &["tickets.example"], &["/shows/eras"], "core"),
                ("wide", hosts, &["/shows"], "core"),
            ]);
            for host in ["", "other.example", "tickets.example", "10.0.0.1"] {
                check(&rooms, host, "/shows/eras/seats", Some(("deep", true)));
            }
            check(&rooms, "other.example", "/shows/x", Some(("wide", true)));
        }
    }

    #[test]
    fn an_idle_room_of_one_host_leads_past_no_queue_of_another() {
        for upstream in ["core", "shop"] {
            let rooms = sites(&[
                ("idle", &["a.example"], &["/x"], upstream),
                ("queue", &["b.example"], &["/x"], upstream),
            ]);
            let path = SafePath::parse("/x").unwrap();
            for host in ["a.example", "b.example"] {
                let found = rooms.find(Some(host), &path, |room| *room == "idle");
                assert_eq!(found.unwrap().guard, Some(&"queue"), "{upstream} {host}");
            }
        }
    }

    #[test]
    fn a_service_that_does_not_hear_the_host_is_protected_on_every_host_that_leads_there() {
        let before = |one: &str, other: &str| {
            sites(&[
                ("a", &["a.example"], &["/pay"], one),
                ("b", &["b.example"], &["/checkout"], other),
            ])
        };
        for (one, other, guard) in [
            ("shop:1", "shop:1", Some("b")),
            ("!shop:1", "shop:1", Some("b")),
            ("shop:1", "!shop:1", Some("b")),
            ("!shop:1", "!shop:1", None),
            ("shop:1", "shop:2", None),
            ("shop:1,shop:2", "shop:2,shop:3", Some("b")),
        ] {
            let rooms = before(one, other);
            let path = SafePath::parse("/checkout/x").unwrap();
            let found = rooms.find(Some("a.example"), &path, |_| false).unwrap();
            assert_eq!(found.room, &"a", "the host says where it goes");
            assert_eq!(found.guard.copied(), guard, "{one} {other}");
            let readings = contract::readings::readings("/checkout//x").unwrap();
            let found = rooms.find_whichever(Some("a.example"), &readings, |_| false);
            assert_eq!(found.unwrap().guard.copied(), guard, "{one} {other}");
            // It may be a path that the other room protects, or not.
            let readings = contract::readings::readings("/c%E9t").unwrap();
            let found = rooms.find_whichever(Some("a.example"), &readings, |_| false);
            assert_eq!(found.is_some(), guard.is_none(), "{one} {other}");
        }
    }

    #[test]
    fn a_path_below_another_rooms_base_is_that_rooms_too() {
        let rooms = sites(&[
            ("whole", &["a.example"], &["/pay"], "shop:1"),
            ("below", &["b.example"], &["/checkout"], "shop:1/base"),
        ]);
        check(&rooms, "a.example", "/base/checkout", Some(("below", true)));
        check(&rooms, "a.example", "/checkout", Some(("whole", false)));
        check(&rooms, "b.example", "/checkout", Some(("below", true)));
        check(&rooms, "b.example", "/pay", Some(("below", false)));
    }

    #[test]
    fn of_two_rooms_with_one_prefix_the_queue_comes_first() {
        let rooms = sites(&[
            ("idle", &["a.example"], &["/x"], "a"),
            ("queue", &["a.example"], &["/x"], "a"),
        ]);
        let path = SafePath::parse("/x").unwrap();
        let found = rooms.find(Some("a.example"), &path, |room| *room == "idle");
        assert_eq!(found.unwrap().guard, Some(&"queue"));
    }
}
