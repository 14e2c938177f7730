//! Which protected prefix is nearest to a path, found without looking at the others. Pure.

use std::collections::HashMap;

use contract::path::{PathPrefix, SafePath};

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

    /// Whose prefix is nearest to `path`. Of several owners the first that is not idle: a fan
    /// rather waits than gets past a line.
    pub fn nearest(&self, path: &SafePath<'_>, is_idle: impl Fn(&R) -> bool) -> Option<&R> {
        let mut node = &self.0;
        let mut nearest = node.owners.as_slice();
        for name in path.names() {
            let Some(next) = node.below.get(&*name) else {
                break;
            };
            node = next;
            if !node.owners.is_empty() {
                nearest = &node.owners;
            }
        }
        let queues = nearest.iter().find(|owner| !is_idle(owner));
        queues.or(nearest.first())
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
            assert_eq!(found.copied(), expected, "{path:?}");
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
            assert_eq!(rooms.nearest(&path, |_| false), Some(&expected), "{path:?}");
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
                .map(|(at, _)| at);
            prop_assert_eq!(tree.nearest(&path, |_| false).copied(), expected);
        }
    }
}
