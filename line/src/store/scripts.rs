//! The Lua scripts, embedded. Each is one operation of the store; the header of each file says
//! what it guarantees.

use std::borrow::Cow;

use redis::Script;
use uuid::Uuid;

use super::keys::RoomKeys;

/// A script with the number of keys it takes, so that its caller can be checked.
pub struct RoomScript {
    /// Name of its file.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
    /// The keys it takes, in its order.
    keys: &'static [fn(&RoomKeys) -> &str],
    /// Whether the list of one gateway comes after them.
    takes_gateway: bool,
    pub(super) script: Script,
}

impl RoomScript {
    /// The script's keys of one room. `gateway` is the one whose list it works on; without one
    /// the key is a placeholder that the script does not touch.
    pub fn keys<'a>(&self, keys: &'a RoomKeys, gateway: Option<Uuid>) -> Vec<Cow<'a, str>> {
        let of_room = self.keys.iter().map(|key| Cow::Borrowed(key(keys)));
        let of_gateway = self.takes_gateway.then(|| match gateway {
            Some(gateway) => Cow::Owned(keys.of_gateway(gateway)),
            None => Cow::Borrowed(keys.of_no_gateway()),
        });
        of_room.chain(of_gateway).collect()
    }
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal, [$($key:ident)+ $(; $gateway:ident)?];)+) => {
        /// All scripts, hashed once.
        pub struct Scripts {
            $($(#[$doc])* pub $name: RoomScript,)+
        }

        impl Scripts {
            /// Hashes the scripts; nothing is sent yet.
            pub fn new() -> Self {
                Self { $($name: {
                    let source = include_str!(concat!("scripts/", $file));
                    RoomScript {
                        name: $file,
                        source,
                        keys: &[$(RoomKeys::$key),+],
                        takes_gateway: is_named(&[$(stringify!($gateway))?]),
                        script: Script::new(source),
                    }
                },)+ }
            }

            /// Every script there is.
            pub fn all(&self) -> Vec<&RoomScript> {
                vec![$(&self.$name),+]
            }
        }
    };
}

/// Whether a script's keys end with that of a gateway.
fn is_named(gateway: &[&str]) -> bool {
    !gateway.is_empty()
}

scripts! {
    /// Claims the making of the room.
    making_begin = "making_begin.lua", [meta line popped called active missed absent done session snapshot opening notices outcomes lastpages lastpage gateways drawn done_before];
    /// Adds what the log knows.
    making_add = "making_add.lua", [meta line popped called active missed absent done session notices];
    /// Forgets the room.
    forget = "forget.lua", [meta line popped called active missed absent done session outcomes snapshot opening notices lastpages lastpage gateways drawn done_before];
    /// Lets visitors in at the door.
    enter = "enter.lua", [meta line popped called active missed absent done session notices outcomes gateways drawn done_before; gateway];
    /// Gives up a place.
    leave = "leave.lua", [meta line called active missed absent done session notices outcomes popped drawn done_before];
    /// Marks places as absent.
    absent = "absent.lua", [meta line absent notices];
    /// Renews a gateway's lease on the presence of its fans.
    presence = "presence.lua", [meta gateways; gateway];
    /// Marks the fans of a gateway whose lease has ended as absent.
    lapse = "lapse.lua", [meta line absent notices gateways; gateway];
    /// Begins a leader's tick.
    tick = "tick.lua", [meta line popped called active missed absent session outcomes gateways notices done drawn done_before];
    /// Pops places for a call.
    pop = "pop.lua", [meta line popped called active absent];
    /// Lets newcomers straight in.
    standby = "standby.lua", [meta line popped called active];
    /// Makes a logged batch called, or sessions of it.
    publish = "publish.lua", [meta popped called done session notices outcomes active done_before];
    /// Turns a call into a session.
    claim = "claim.lua", [meta called active session notices outcomes];
    /// Prolongs a session.
    renew = "renew.lua", [meta active outcomes];
    /// Ends a session.
    end = "end.lua", [meta called active session notices outcomes];
    /// Keeps where an ended session may still go.
    last_page_put = "last_page_put.lua", [meta lastpages lastpage];
    /// Takes the one visit of it.
    last_page_take = "last_page_take.lua", [meta lastpages lastpage];
    /// Counts what it loads.
    last_page_load = "last_page_load.lua", [meta lastpages lastpage];
    /// Forgets outcomes that are written down.
    settle = "settle.lua", [meta outcomes];
    /// Reads who may give live keys.
    keys_state = "keys_state.lua", [meta];
    /// Lets this server give live keys.
    keys_confirm = "keys_confirm.lua", [meta];
    /// Lets it give more.
    keys_extend = "keys_extend.lua", [meta];
    /// Opens the room.
    open = "open.lua", [meta opening line absent notices];
    /// Reads the counts of the line and its first places.
    snapshot = "snapshot.lua", [meta line popped called active absent];
    /// Reads places behind them.
    knots = "knots.lua", [meta line];
}

impl Default for Scripts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script is read in one sitting. `enter.lua` needs the most: it has eleven kinds of answers.
    const SCRIPT_LINES_MAX: usize = 215;

    /// Highest index of `array[n]` that the script's header documents or its body uses.
    fn highest_key(source: &str) -> usize {
        let uses = source.match_indices("KEYS[").filter_map(|(at, found)| {
            let digits = source[at + found.len()..].split(']').next()?;
            digits.parse::<usize>().ok()
        });
        uses.max().unwrap_or(0)
    }

    #[test]
    fn every_script_uses_the_keys_it_is_given() {
        for script in Scripts::new().all() {
            let used = highest_key(script.source);
            // `making_begin` deletes all its keys without naming the last ones.
            let passes_all = script.source.contains("unpack(KEYS)");
            let given = script.keys.len() + usize::from(script.takes_gateway);
            assert!(
                used == given || (passes_all && used <= given),
                "{}: uses {used} of {given} keys",
                script.name,
            );
        }
    }

    #[test]
    fn every_script_has_a_header_and_takes_time_as_an_argument() {
        for script in Scripts::new().all() {
            for word in ["-- KEYS", "-- ARGV", "-- Returns", "Cost O("] {
                assert!(script.source.contains(word), "{} lacks {word}", script.name);
            }
            assert!(
                !script.source.contains("'TIME'"),
                "{} reads the clock",
                script.name
            );
            assert!(
                script.source.lines().count() <= SCRIPT_LINES_MAX,
                "{} is too long",
                script.name
            );
        }
    }
}
