//! Every Redis key there is. All keys of a room share the tag `{room}`, so that a Redis Cluster
//! keeps a room on one shard, and begin with the format version.
//!
//! No key has a time to live: a room's keys live as long as the room and are removed with it.
//!
//! | Key | Type | Content |
//! | --- | --- | --- |
//! | `meta` | hash | epoch, live clock, right to give live keys, counters, rate bucket, meter of stand-by, leader lease, pending batch, opening and draw, generation of `done` |
//! | `line` | sorted set | waiting place → order key |
//! | `popped` | sorted set | place popped for a call that is not logged yet → order key |
//! | `called` | sorted set | called place → claim deadline, ms |
//! | `active` | sorted set | place in a session → session expiry, ms |
//! | `missed` | sorted set | place whose turn passed → end of its grace, ms |
//! | `absent` | sorted set | waiting place without a connection → last seen, ms; half a millisecond before, if given a live key then and never seen since |
//! | `done` | hash | place that was called → its order key; place that left → `left`, or `gone` if its key was live or it was given up |
//! | `done_before` | hash | what `done` was before its present generation began: what both have, `done` has later |
//! | `drawn` | set | place that was present at the opening, and left or was dropped as absent since |
//! | `session` | hash | called or active place → `seq:started_ms` (started is 0 until claimed) |
//! | `outcomes` | hash | place → what became of its last admission and is not written down yet, `word:seq:until_ms` |
//! | `lastpages` | sorted set | pass (`jti`) whose session may still go to one page → until when, ms |
//! | `lastpage` | hash | such a pass → that page; pass and `:loads` → what the page has loaded, once it was taken |
//! | `gateways` | sorted set | gateway with connected fans → when it last renewed its lease on their presence, ms |
//! | `gateway:` and its id | list | order keys of the places that were connected to that gateway, some of them no longer |
//! | `snapshot` | string | the last snapshot, JSON |
//! | `opening` | string | the snapshot of the opening, JSON |
//! | `notices` | stream | what happened to places; trimmed to the newest ten thousand |
//!
//! One key belongs to no room: [`INSTALLATION_KEY`], the name of the installation whose line this is.
//!
//! An entry of `notices` has the fields `kind` and `places`, and what its kind needs; one with a
//! field `look` asks to look how those places stand. Readers pass over kinds they do not know.

use contract::RoomId;
use uuid::Uuid;

use super::link::slot_of;

/// Version of the key format and of what the keys hold.
const FORMAT: &str = "rl1";

/// The name of the installation whose line this is.
pub const INSTALLATION_KEY: &str = "rl1:installation";

macro_rules! keys {
    ($($name:ident),+) => {
        /// The names of one room's keys, made once.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct RoomKeys {
            /// What the names of gateways' lists begin with.
            of_gateways: String,
            /// A list that no gateway has.
            of_no_gateway: String,
            /// The slot of all of them in a Redis Cluster.
            slot: u16,
            $($name: String,)+
        }

        impl RoomKeys {
            /// The keys of `room`, below `prefix`: tests keep apart by it, the product uses none.
            pub fn new(prefix: &str, room: &RoomId) -> Self {
                let room = format!("{prefix}{FORMAT}:{{{room}}}");
                let of_gateways = format!("{room}:gateway:");
                Self {
                    of_no_gateway: format!("{of_gateways}{}", Uuid::nil()),
                    slot: slot_of(&room),
                    of_gateways,
                    $($name: format!("{room}:{}", stringify!($name)),)+
                }
            }

            $(
                #[doc = concat!("The key `", stringify!($name), "`.")]
                pub fn $name(&self) -> &str {
                    &self.$name
                }
            )+

            /// All keys of the room.
            pub fn all(&self) -> Vec<&str> {
                vec![$(self.$name()),+]
            }
        }
    };
}

keys!(
    meta,
    line,
    popped,
    called,
    active,
    missed,
    absent,
    done,
    done_before,
    drawn,
    session,
    outcomes,
    lastpages,
    lastpage,
    gateways,
    snapshot,
    opening,
    notices
);

impl RoomKeys {
    /// The places that were connected to `gateway`.
    pub fn of_gateway(&self, gateway: Uuid) -> String {
        format!("{}{gateway}", self.of_gateways)
    }

    /// The slot that all keys of the room have in a Redis Cluster.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// A placeholder for scripts that are given no gateway's list to work on.
    pub fn of_no_gateway(&self) -> &str {
        &self.of_no_gateway
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_room_share_its_tag() {
        let keys = RoomKeys::new("", &"eras".parse().unwrap());
        assert_eq!(keys.line(), "rl1:{eras}:line");
        let of_gateway = keys.of_gateway(Uuid::max());
        let of_gateways = [of_gateway.as_str(), keys.of_no_gateway()];
        let mut all = keys.all().into_iter().chain(of_gateways);
        assert!(all.all(|key| key.contains(":{eras}:") && slot_of(key) == keys.slot()));
    }
}
