//! Which room a request belongs to, by its host and its path. Pure.
//!
//! Compiled once for each change of the rooms. Where no room names a host, looking one up is looking
//! up a prefix.

use std::collections::HashMap;

use contract::host::{AnsweredHost, name_of};
use contract::path::{PathPrefix, SafePath};
use contract::readings::Reading;

use super::prefixes::{Prefixes, first_queue};

/// The rooms of all hosts.
#[derive(Debug)]
pub struct Sites<R> {
    named: HashMap<String, Site<R>>,
    /// Hosts that no room names.
    every: Site<R>,
    /// What rooms of the booking core protect on hosts of their own. The core answers on every host
    /// that no remote service has, so there too nobody gets past these rooms.
    guarded: Prefixes<R>,
}

/// The rooms of one host.
#[derive(Debug)]
struct Site<R> {
    prefixes: Prefixes<R>,
    /// Whose upstream has every path that no room protects.
    front: Option<R>,
}

/// What a room says of where it stands.
#[derive(Debug)]
pub struct Stance {
    /// The hosts that it answers for; any, when empty.
    pub hosts: Vec<AnsweredHost>,
    /// The prefixes that it protects.
    pub prefixes: Vec<PathPrefix>,
    /// Its upstream is not the booking core in this process.
    pub is_remote: bool,
}

/// The room of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<R> {
    /// The room.
    pub room: R,
    /// It protects the path; else the path only goes to its upstream.
    pub is_protected: bool,
    /// All that the host has goes to the upstream of a room.
    pub is_of_front: bool,
}

impl<R: Clone> Found<&R> {
    /// The same with the room itself.
    pub fn cloned(self) -> Found<R> {
        Found {
            room: self.room.clone(),
            is_protected: self.is_protected,
            is_of_front: self.is_of_front,
        }
    }
}

impl<R> Default for Site<R> {
    fn default() -> Self {
        Self {
            prefixes: Prefixes::default(),
            front: None,
        }
    }
}

impl<R> Default for Sites<R> {
    fn default() -> Self {
        Self {
            named: HashMap::new(),
            every: Site::default(),
            guarded: Prefixes::default(),
        }
    }
}

impl<R: Clone> Sites<R> {
    /// Adds a room. Of several that stand alike, the first added comes first.
    pub fn add(&mut self, stance: &Stance, room: &R) {
        if stance.hosts.is_empty() {
            self.every.protect(stance, room);
        }
        for host in &stance.hosts {
            let site = match host {
                AnsweredHost::Every => &mut self.every,
                AnsweredHost::Named(name) => self.named.entry(name.clone()).or_default(),
            };
            site.protect(stance, room);
            if stance.is_remote {
                site.front.get_or_insert_with(|| room.clone());
            }
        }
        if !stance.hosts.is_empty() && !stance.is_remote {
            for prefix in &stance.prefixes {
                self.guarded.add(prefix, room.clone());
            }
        }
    }
}

impl<R> Sites<R> {
    /// The room of a request for `path` of `host`: the one with the nearest prefix on that host, then
    /// the one whose upstream has the whole host. Only where no room has it, rooms that answer for
    /// any host are looked at. Of several with one prefix the first that is not idle.
    pub fn find(
        &self,
        host: Option<&str>,
        path: &SafePath<'_>,
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<Found<&R>> {
        let named = self.named_site(host);
        if let Some(site) = named
            && let Some(found) = site.find(path, &is_idle)
        {
            return Some(found);
        }
        let every = &self.every;
        let found = match every.prefixes.nearest(path, &is_idle) {
            Some(room) => Some(every.protected(room)),
            // A host that a room of the booking core names belongs to the core.
            None if named.is_none() => every.unprotected(),
            None => None,
        };
        found.or_else(|| {
            let room = self.guarded.nearest(path, &is_idle)?;
            Some(every.protected(room))
        })
    }

    /// The room of a request for a path with several readings, if all of them belong to one. Only of a
    /// host that belongs to a service; the booking core has no such paths.
    pub fn find_whichever(
        &self,
        host: Option<&str>,
        readings: &[Reading],
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<Found<&R>> {
        let site = self.named_site(host).unwrap_or(&self.every);
        let owners = site.prefixes.whichever(readings)?;
        match first_queue(owners, is_idle) {
            Some(room) => Some(site.protected(room)),
            None => site.unprotected(),
        }
    }

    fn named_site(&self, host: Option<&str>) -> Option<&Site<R>> {
        if self.named.is_empty() {
            return None;
        }
        self.named.get(&*name_of(host?))
    }
}

impl<R> Site<R> {
    fn protect(&mut self, stance: &Stance, room: &R)
    where
        R: Clone,
    {
        for prefix in &stance.prefixes {
            self.prefixes.add(prefix, room.clone());
        }
    }

    fn find(&self, path: &SafePath<'_>, is_idle: impl Fn(&R) -> bool) -> Option<Found<&R>> {
        match self.prefixes.nearest(path, is_idle) {
            Some(room) => Some(self.protected(room)),
            None => self.unprotected(),
        }
    }

    fn protected<'s>(&'s self, room: &'s R) -> Found<&'s R> {
        Found {
            room,
            is_protected: true,
            is_of_front: self.front.is_some(),
        }
    }

    fn unprotected(&self) -> Option<Found<&R>> {
        self.front.as_ref().map(|room| Found {
            room,
            is_protected: false,
            is_of_front: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rooms by name, hosts, prefixes and whether their upstream is remote.
    fn sites(rooms: &[(&'static str, &[&str], &[&str], bool)]) -> Sites<&'static str> {
        let mut sites = Sites::default();
        for (room, hosts, prefixes, is_remote) in rooms {
            let stance = Stance {
                hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
                prefixes: prefixes.iter().map(|path| path.parse().unwrap()).collect(),
                is_remote: *is_remote,
            };
            sites.add(&stance, room);
        }
        sites
    }

    fn check(sites: &Sites<&'static str>, host: &str, path: &str, expected: Option<(&str, bool)>) {
        let safe = SafePath::parse(path).unwrap();
        let host = (!host.is_empty()).then_some(host);
        let found = sites.find(host, &safe, |_| false);
        let found = found.map(|found| (*found.room, found.is_protected));
        assert_eq!(found, expected, "{host:?} {path}");
    }

    #[test]
    fn without_hosts_a_room_protects_its_paths_everywhere() {
        let rooms = sites(&[("eras", &[], &["/eras"], true)]);
        for host in ["", "a.example", "A.example:80"] {
            check(&rooms, host, "/eras/x", Some(("eras", true)));
            check(&rooms, host, "/x", None);
        }
    }

    #[test]
    fn a_host_belongs_to_the_service_behind_it_whatever_other_rooms_protect() {
        let rooms = sites(&[
            ("any", &[], &["/", "/checkout/deep"], true),
            (
                "shop",
                &["shop.example", "xn--bcher-kva.example"],
                &["/checkout"],
                true,
            ),
            ("vip", &["shop.example"], &["/checkout/vip"], true),
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
            ("rest", &["*"], &["/pay"], true),
            ("shop", &["shop.example"], &["/checkout"], true),
            ("eras", &["tickets.example"], &["/shows/eras"], false),
        ]);
        check(&rooms, "other.example", "/pay", Some(("rest", true)));
        check(&rooms, "other.example", "/x", Some(("rest", false)));
        check(&rooms, "", "/x", Some(("rest", false)));
        check(&rooms, "shop.example", "/pay", Some(("shop", false)));
        // The booking core has its own hosts, beside what rooms of any host protect there.
        check(
            &rooms,
            "tickets.example",
            "/shows/eras",
            Some(("eras", true)),
        );
        check(&rooms, "tickets.example", "/x", None);
        check(&rooms, "tickets.example", "/pay", Some(("rest", true)));
    }

    #[test]
    fn no_other_host_leads_past_a_room_of_the_booking_core() {
        let rooms = sites(&[
            ("eras", &["tickets.example"], &["/shows/eras"], false),
            ("shop", &["shop.example"], &["/checkout"], true),
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
    fn of_two_rooms_with_one_prefix_the_queue_comes_first() {
        let rooms = sites(&[
            ("idle", &["a.example"], &["/x"], true),
            ("queue", &["a.example"], &["/x"], true),
        ]);
        let path = SafePath::parse("/x").unwrap();
        let found = rooms.find(Some("a.example"), &path, |room| *room == "idle");
        assert_eq!(found.unwrap().room, &"queue");
    }
}
