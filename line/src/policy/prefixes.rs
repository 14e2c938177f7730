//! Which protected prefix is nearest to a path, found without looking at the others. Pure.

use std::collections::HashMap;

use contract::path::{PathPrefix, SafePath};
use contract::readings::Reading;

/// Protected prefixes as a tree of their segments.
#[derive(Debug)]
pub struct Prefixes<R>(Node<R>);

#[derive(Debug)]
struct Node<R> {
    /// Who protects exactly this prefix.
    owners: Vec<R>,
    below: HashMap<String, Node<R>>,
}

impl<R> Default for Node<R> {
    fn default() -> Self {
        Self {
            owners: Vec::new(),
            below: HashMap::new(),
        }
    }
}

impl<R> Default for Prefixes<R> {
    fn default() -> Self {
        Self(Node::default())
    }
}

impl<R> Prefixes<R> {
    /// Adds a prefix. Of several owners of one, the first added comes first.
    pub fn add(&mut self, prefix: &PathPrefix, owner: R) {
        let node = prefix.names().fold(&mut self.0, |node, name| {
            node.below.entry(name.to_owned()).or_default()
        });
        node.owners.push(owner);
    }

    /// Adds a prefix of a service all of which is below `base`.
    pub fn add_below(&mut self, base: &PathPrefix, prefix: &PathPrefix, owner: R) {
        let names = base.names().chain(prefix.names());
        let node = names.fold(&mut self.0, |node, name| {
            node.below.entry(name.to_owned()).or_default()
        });
        node.owners.push(owner);
    }

    /// Whose prefix is nearest to `path`, and how many segments it has. Of several owners the first
    /// that is not idle: a fan rather waits than gets past a line.
    pub fn nearest(
        &self,
        path: &SafePath<'_>,
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<(&R, usize)> {
        self.0.nearest(0, path, is_idle)
    }

    /// The same for the path that a service knows as `path` below `base`.
    pub fn nearest_below(
        &self,
        base: &PathPrefix,
        path: &SafePath<'_>,
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<(&R, usize)> {
        let mut node = &self.0;
        let mut nearest = (node.owners.as_slice(), 0);
        for (at, name) in base.names().enumerate() {
            let Some(next) = node.below.get(name) else {
                return first_queue(nearest.0, is_idle).map(|owner| (owner, nearest.1));
            };
            node = next;
            if !node.owners.is_empty() {
                nearest = (&node.owners, at + 1);
            }
        }
        let (above, depth) = nearest;
        match node.nearest(base.depth(), path, &is_idle) {
            Some(found) => Some(found),
            None => first_queue(above, is_idle).map(|owner| (owner, depth)),
        }
    }
}

impl<R> Node<R> {
    /// The nearest owner at this node or below it, which is `depth` segments deep itself.
    fn nearest(
        &self,
        depth: usize,
        path: &SafePath<'_>,
        is_idle: impl Fn(&R) -> bool,
    ) -> Option<(&R, usize)> {
        let mut node = self;
        let mut nearest = (node.owners.as_slice(), depth);
        for (at, name) in path.names().enumerate() {
            let Some(next) = node.below.get(&*name) else {
                break;
            };
            node = next;
            if !node.owners.is_empty() {
                nearest = (&node.owners, depth + at + 1);
            }
        }
        first_queue(nearest.0, is_idle).map(|owner| (owner, nearest.1))
    }
}

/// Of several owners the first that is not idle.
pub fn first_queue<R>(owners: &[R], is_idle: impl Fn(&R) -> bool) -> Option<&R> {
    let queues = owners.iter().find(|owner| !is_idle(owner));
    queues.or(owners.first())
}

impl<R> Prefixes<R> {
    /// Who protects a path and how many segments the prefix has, if that is the same for every
    /// reading of the path; `None` if it is not. Nobody, when the list is empty.
    pub fn whichever(&self, readings: &[Reading]) -> Option<(&[R], usize)> {
        let mut states: Vec<State<'_, R>> = vec![State {
            node: Some((&self.0, 0)),
            nearest: (&self.0.owners, 0),
        }];
        for reading in readings {
            let mut next: Vec<State<'_, R>> = Vec::new();
            for state in &states {
                for reached in state.after(reading)? {
                    if !next.contains(&reached) {
                        next.push(reached);
                    }
                }
            }
            states = next;
        }
        let (first, rest) = states.split_first()?;
        let is_same = |other: &State<'_, R>| std::ptr::eq(other.nearest.0, first.nearest.0);
        rest.iter().all(is_same).then_some(first.nearest)
    }
}

/// How far a reading of a path has come in the tree.
struct State<'a, R> {
    /// Where it is and how deep that is; `None` below the tree.
    node: Option<(&'a Node<R>, usize)>,
    /// The owners of the nearest prefix, and how many segments it has.
    nearest: (&'a [R], usize),
}

impl<R> State<'_, R> {
    /// The states after one more segment; `None` if it may be any of the names here.
    fn after(&self, reading: &Reading) -> Option<Vec<Self>> {
        let below = Self {
            node: None,
            nearest: self.nearest,
        };
        let Some((node, depth)) = self.node else {
            return Some(vec![below]);
        };
        match reading {
            Reading::Name(name) => Some(vec![match node.below.get(name) {
                Some(node) if node.owners.is_empty() => Self {
                    node: Some((node, depth + 1)),
                    nearest: self.nearest,
                },
                Some(node) => Self {
                    node: Some((node, depth + 1)),
                    nearest: (&node.owners, depth + 1),
                },
                None => below,
            }]),
            Reading::Nothing => Some(vec![
                below,
                Self {
                    node: Some((node, depth)),
                    nearest: self.nearest,
                },
            ]),
            Reading::Like(pattern) => {
                let is_none = !node.below.keys().any(|name| pattern.may_be(name));
                is_none.then(|| vec![below])
            }
        }
    }
}

impl<R> PartialEq for State<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        let is_there = match (self.node, other.node) {
            (Some((one, _)), Some((other, _))) => std::ptr::eq(one, other),
            (None, None) => true,
            _ => false,
        };
        is_there && std::ptr::eq(self.nearest.0, other.nearest.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixes(of: &[(&str, &'static str)]) -> Prefixes<&'static str> {
        let mut prefixes = Prefixes::default();
        for (text, owner) in of {
            prefixes.add(&text.parse().unwrap(), *owner);
        }
        prefixes
    }

    #[test]
    fn the_nearest_prefix_decides_and_a_queue_before_an_idle_room() {
        // The name says whether the room is idle.
        let rooms = prefixes(&[
            ("/cinema", "idle-cinema"),
            ("/shop;with-a-parameter-longer-than-any-path", "idle-shop"),
            ("/shop", "queue-1"),
            ("/SHOP", "queue-2"),
            ("/shop/seats", "seats"),
        ]);
        for (path, expected) in [
            ("/shop/seats/7", Some("seats")),
            ("/Shop/Seats.", Some("seats")),
            ("/sh%6fp/seats", Some("seats")),
            ("/shop/prices", Some("queue-1")),
            ("/shop", Some("queue-1")),
            ("/shopping", None),
            ("/cinema", Some("idle-cinema")),
            ("/elsewhere", None),
            ("/", None),
        ] {
            let path = SafePath::parse(path).unwrap();
            let found = rooms.nearest(&path, |room| room.starts_with("idle"));
            assert_eq!(found.map(|(owner, _)| *owner), expected, "{path:?}");
        }
    }

    #[test]
    fn a_path_of_several_readings_has_an_owner_if_they_agree() {
        let rooms = prefixes(&[("/shop", "shop"), ("/shop/vip", "vip")]);
        let whole = prefixes(&[("/", "all")]);
        for (path, of_rooms) in [
            ("/shop/AC%2FDC", Some(Some("shop"))),
            ("/shop/vip%2FDC", None),
            ("/shop/vip%2F", None),
            ("/shop/vip/AC%2FDC", Some(Some("vip"))),
            ("/shop/caf%E9", Some(Some("shop"))),
            ("/shop/v%E9ip", None),
            ("/shop//vip", None),
            ("/shop//x", Some(Some("shop"))),
            ("/shop/./vip/x", None),
            ("/shop/x//vip", Some(Some("shop"))),
            ("/sh%E9op", None),
            ("/caf%E9/shop", Some(None)),
            ("/artists/AC%2FDC", Some(None)),
            ("/x%5Cshop", Some(None)),
            ("/shop%5Cx", None),
        ] {
            let readings = contract::readings::readings(path).unwrap();
            let owner = rooms.whichever(&readings);
            assert_eq!(
                owner.map(|(owners, _)| owners.first().copied()),
                of_rooms,
                "{path}"
            );
            assert_eq!(
                whole.whichever(&readings),
                Some((&["all"][..], 0)),
                "{path}"
            );
        }
    }

    #[test]
    fn the_whole_site_is_a_prefix() {
        let rooms = prefixes(&[("/", "all"), ("/a/b", "deep")]);
        for (path, expected) in [
            ("/", "all"),
            ("/a", "all"),
            ("/a/b", "deep"),
            ("/a/c", "all"),
        ] {
            let path = SafePath::parse(path).unwrap();
            let found = rooms.nearest(&path, |_| false).map(|(owner, _)| *owner);
            assert_eq!(found, Some(expected), "{path:?}");
        }
    }

    proptest! {
        /// What the tree finds is what looking at every prefix finds.
        #[test]
        fn the_tree_agrees_with_a_look_at_every_prefix(
            texts in proptest::collection::vec("(/[abA]{1,2}){0,3}", 1..8),
            path in "(/([abAB.]{0,1}[ab]|%61;v=1)){1,4}",
        ) {
            let parsed: Vec<PathPrefix> = texts
                .iter()
                .map(|text| if text.is_empty() { "/" } else { text }.parse().unwrap())
                .collect();
            let mut tree = Prefixes::default();
            for (at, prefix) in parsed.iter().enumerate() {
                tree.add(prefix, at);
            }
            let path = SafePath::parse(&path).unwrap();
            let expected = parsed
                .iter()
                .enumerate()
                .filter(|(_, prefix)| path.is_within(prefix))
                .max_by_key(|(at, prefix)| (prefix.depth(), usize::MAX - at))
                .map(|(at, prefix)| (at, prefix.depth()));
            let found = tree.nearest(&path, |_| false);
            prop_assert_eq!(found.map(|(at, depth)| (*at, depth)), expected);
        }
    }
}
