//! The key names of rooms, made once for each room: joins come in many small batches, and making
//! the names of a dozen keys costs as much as some of the joins.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use contract::RoomId;

use crate::store::keys::{INSTALLATION_KEY, RoomKeys};

/// Rooms whose names are remembered; beyond them all are forgotten and made again.
const ROOMS_MAX: usize = 4096;

/// The key names of all rooms that were asked for.
pub(super) struct KeyNames {
    /// What every key begins with.
    prefix: String,
    of_rooms: ArcSwap<HashMap<RoomId, Arc<RoomKeys>>>,
}

impl KeyNames {
    /// Names below `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            of_rooms: ArcSwap::default(),
        }
    }

    /// The key of the installation.
    pub(super) fn installation(&self) -> String {
        format!("{}{INSTALLATION_KEY}", self.prefix)
    }

    /// The keys of `room`.
    pub(super) fn of(&self, room: &RoomId) -> Arc<RoomKeys> {
        if let Some(keys) = self.of_rooms.load().get(room) {
            return keys.clone();
        }
        let keys = Arc::new(RoomKeys::new(&self.prefix, room));
        self.of_rooms.rcu(|known| {
            let mut known = if known.len() < ROOMS_MAX {
                HashMap::clone(known)
            } else {
                HashMap::new()
            };
            known.insert(room.clone(), keys.clone());
            known
        });
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_once_and_a_bounded_number_is_remembered() {
        let names = KeyNames::new("test:");
        let room = |n: usize| format!("room-{n}").parse().unwrap();
        let first = names.of(&room(0));
        assert_eq!(first.line(), "test:rl1:{room-0}:line");
        assert!(Arc::ptr_eq(&first, &names.of(&room(0))));
        for n in 0..=ROOMS_MAX {
            names.of(&room(n));
        }
        assert_eq!(names.of_rooms.load().len(), 1);
        assert_eq!(names.of(&room(0)), first);
    }
}
