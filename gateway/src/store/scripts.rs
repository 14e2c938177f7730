//! The Lua scripts, embedded. Each is one operation of the store; the header of each file says
//! what it guarantees.

use redis::Script;

/// A script with the number of keys it takes, so that its caller can be checked.
pub struct RoomScript {
    /// Name of its file.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
    /// Keys it takes.
    pub key_count: usize,
    pub(super) script: Script,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal, $keys:literal;)+) => {
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
                        key_count: $keys,
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

scripts! {
    /// Makes the room, or adds what the log knows.
    prepare = "prepare.lua", 12;
    /// Lets visitors in at the door.
    enter = "enter.lua", 9;
    /// Gives up a place.
    leave = "leave.lua", 9;
    /// Marks places as absent.
    absent = "absent.lua", 3;
    /// Begins a leader's tick.
    tick = "tick.lua", 8;
    /// Pops places for a call.
    pop = "pop.lua", 6;
    /// Makes a logged batch called.
    publish = "publish.lua", 6;
    /// Turns a call into a session.
    claim = "claim.lua", 5;
    /// Prolongs a session.
    renew = "renew.lua", 2;
    /// Ends a session.
    end = "end.lua", 5;
    /// Reads the line's snapshot.
    snapshot = "snapshot.lua", 6;
}

impl Default for Scripts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            // `prepare` deletes all its keys without naming the last ones.
            let passes_all = script.source.contains("unpack(KEYS)");
            assert!(
                used == script.key_count || (passes_all && used <= script.key_count),
                "{}: uses {used} of {} keys",
                script.name,
                script.key_count
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
                script.source.lines().count() <= 130,
                "{} is too long",
                script.name
            );
        }
    }
}
