//! The form in which a batch of entries goes to `enter.lua`, and in which the answers come back.
//!
//! Both ways the values of all entries are packed into a few strings.

use contract::Timestamp;

use super::packed::{NUMBER_BYTES, PackedNumber, pack, split, unpack};
use super::{ENTER_BATCH_MAX, Enter, Entered, Entry, OnceOpen, Standing, StoreError, StoreResult};
use crate::policy::order::OrderKey;

/// Bytes of a place.
const PLACE_BYTES: usize = 16;
/// Stands for an order key that is not known.
const NO_KEY: f64 = -1.0;
/// Most numbers of one answer.
const NUMBERS_MAX: usize = 4;

/// Values that a Lua function can take (`LUAI_MAXCSTACK`), less some for itself.
const LUA_VALUES_MAX: usize = 7_900;
// The script hands all numbers of all answers to one function.
const _: () = assert!(ENTER_BATCH_MAX * NUMBERS_MAX < LUA_VALUES_MAX);

/// What `enter.lua` takes of the entries, one entry after the other in each.
pub(super) struct Packed {
    /// Two letters: what it asks for; whether it is connected, and whether its key was drawn.
    pub(super) flags: Vec<u8>,
    pub(super) places: Vec<u8>,
    /// Order keys for a room that has not opened.
    pub(super) keys: Vec<u8>,
    /// Order keys for a room that is open.
    pub(super) keys_once_open: Vec<u8>,
}

impl Packed {
    /// Packs `entries`.
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut packed = Self {
            flags: Vec::with_capacity(entries.len() * 2),
            places: Vec::with_capacity(entries.len() * PLACE_BYTES),
            keys: Vec::with_capacity(entries.len() * NUMBER_BYTES),
            keys_once_open: Vec::with_capacity(entries.len() * NUMBER_BYTES),
        };
        for entry in entries {
            packed.flags.extend(flags(entry));
            packed.places.extend(entry.place.as_bytes());
            let key_once_open = match entry.once_open {
                OnceOpen::Keep => entry.key,
                OnceOpen::Live => None,
                OnceOpen::Lot(key) => Some(key),
                // Only who asks to join can be given another key.
                OnceOpen::IfPresent { newcomer } => newcomer.filter(|_| entry.enter == Enter::Join),
            };
            packed.keys.extend(key_bytes(entry.key));
            packed.keys_once_open.extend(key_bytes(key_once_open));
        }
        packed
    }
}

fn flags(entry: &Entry) -> [u8; 2] {
    let mode = match entry.enter {
        Enter::Join => b'j',
        Enter::Look => b'l',
        Enter::Return => b'r',
    };
    let is_connected = entry.connected_to.is_some();
    let is_drawn = matches!(entry.once_open, OnceOpen::IfPresent { .. });
    let how = match (is_connected, is_drawn) {
        (true, false) => b'c',
        (false, true) => b'd',
        (true, true) => b'b',
        (false, false) => b'-',
    };
    [mode, how]
}

fn key_bytes(key: Option<OrderKey>) -> PackedNumber {
    key.map_or(NO_KEY.to_le_bytes(), |key| pack(key.get()))
}

/// Reads what `enter.lua` answered to `count` entries: their letters, and their numbers. `None`
/// where the server may not give the live key that is needed.
pub(super) fn read(
    letters: &[u8],
    numbers: &[u8],
    count: usize,
) -> StoreResult<Vec<Option<Entered>>> {
    if letters.len() != count {
        let answers = letters.len();
        return Err(StoreError::Corrupt(format!(
            "{answers} answers to {count} entries"
        )));
    }
    let mut reader = Reader::new(numbers)?;
    let answers = letters.iter().map(|letter| reader.entered(*letter));
    let answers = answers.collect::<StoreResult<_>>()?;
    match reader.numbers {
        [] => Ok(answers),
        rest => Err(StoreError::Corrupt(format!("{} numbers left", rest.len()))),
    }
}

/// Reads answers one after the other.
struct Reader<'a> {
    /// Those that were not read yet.
    numbers: &'a [PackedNumber],
    /// Places in the line before the entry that is read next.
    in_line: u64,
    /// Joins before it.
    joins: u64,
}

impl<'a> Reader<'a> {
    fn new(numbers: &'a [u8]) -> StoreResult<Self> {
        let mut reader = Self {
            numbers: split(numbers)?,
            in_line: 0,
            joins: 0,
        };
        reader.in_line = reader.number()?;
        reader.joins = reader.number()?;
        Ok(reader)
    }

    fn entered(&mut self, letter: u8) -> StoreResult<Option<Entered>> {
        let entered = match letter {
            b'n' => {
                self.joins += 1;
                let key = self.key()?;
                self.put(key, self.joins)
            }
            b'p' => {
                let key = self.key()?;
                self.put(key, self.joins)
            }
            b'f' => {
                let key = self.key()?;
                self.put(key, 0)
            }
            b'w' => {
                let key = self.key()?;
                Entered::unchanged(Standing::Waiting { key }, Some(key))
            }
            b'c' => {
                let key = self.key()?;
                let standing = Standing::Called {
                    seq: self.number()?,
                    claim_by: self.time()?,
                };
                Entered::unchanged(standing, Some(key))
            }
            b'a' => {
                let key = self.key()?;
                let standing = Standing::Active {
                    seq: self.number()?,
                    started_at: self.time()?,
                    expires_at: self.time()?,
                };
                Entered::unchanged(standing, Some(key))
            }
            b'm' => {
                let key = self.key()?;
                let until = self.time()?;
                Entered::unchanged(Standing::Missed { key, until }, Some(key))
            }
            b'e' => Entered::unchanged(Standing::Ended, Some(self.key()?)),
            b'l' => Entered::unchanged(Standing::Left, None),
            b'u' => Entered::unchanged(Standing::Unknown, None),
            b'k' => return Ok(None),
            other => {
                let letter = char::from(other);
                return Err(StoreError::Corrupt(format!("standing `{letter}`")));
            }
        };
        Ok(Some(entered))
    }

    /// The answer to an entry that was put into the line.
    fn put(&mut self, key: OrderKey, number: u64) -> Entered {
        let in_line_before = self.in_line;
        self.in_line += 1;
        Entered {
            standing: Standing::Waiting { key },
            key: Some(key),
            fresh: true,
            number,
            in_line_before,
        }
    }

    fn key(&mut self) -> StoreResult<OrderKey> {
        let number = self.number()?;
        OrderKey::new(number).ok_or_else(|| StoreError::Corrupt(format!("order key {number}")))
    }

    fn time(&mut self) -> StoreResult<Timestamp> {
        let ms = self.number()?;
        let ms = i64::try_from(ms).map_err(|_| StoreError::Corrupt(format!("time {ms}")))?;
        Ok(Timestamp::from_ms(ms))
    }

    fn number(&mut self) -> StoreResult<u64> {
        let (first, rest) = self
            .numbers
            .split_first()
            .ok_or_else(|| StoreError::Corrupt("a number is missing".to_owned()))?;
        self.numbers = rest;
        unpack(*first)
    }
}

#[cfg(test)]
mod tests {
    use contract::PlaceId;
    use uuid::Uuid;

    use super::*;
    use crate::policy::order::LIVE_BASE;

    fn key(n: u64) -> OrderKey {
        OrderKey::new(n).unwrap()
    }

    fn packed(numbers: &[f64]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    #[test]
    fn an_entry_has_a_key_before_the_opening_and_one_after_it() {
        let entry = |once_open, enter, connected_to| Entry {
            place: PlaceId::from_bytes([7; PLACE_BYTES]),
            key: Some(key(9)),
            once_open,
            enter,
            connected_to,
        };
        let lot = OnceOpen::Lot(key(2 * LIVE_BASE - 1));
        let if_present = OnceOpen::IfPresent {
            newcomer: Some(key(11)),
        };
        let entries = [
            entry(OnceOpen::Keep, Enter::Join, None),
            entry(OnceOpen::Live, Enter::Look, Some(Uuid::nil())),
            entry(lot, Enter::Return, None),
            entry(if_present, Enter::Join, None),
            entry(if_present, Enter::Look, Some(Uuid::nil())),
        ];
        let found = Packed::new(&entries);
        assert_eq!(found.flags, b"j-lcr-jdlb");
        assert_eq!(found.places, [7; 5 * PLACE_BYTES]);
        assert_eq!(found.keys, packed(&[9.0; 5]));
        let once_open = [9.0, NO_KEY, 9_007_199_254_740_991.0, 11.0, NO_KEY];
        assert_eq!(found.keys_once_open, packed(&once_open));
    }

    #[test]
    fn newcomers_are_numbered_by_what_was_there_before() {
        let numbers = packed(&[5.0, 8.0, 20.0, 21.0, 22.0, 23.0, 24.0]);
        let entered = read(b"npnfw", &numbers, 5).unwrap();
        let of = |entered: &Option<Entered>| {
            let Entered {
                key,
                fresh,
                number,
                in_line_before,
                ..
            } = entered.unwrap();
            (key.unwrap().get(), fresh, number, in_line_before)
        };
        let expected = [
            (20, true, 9, 5),
            (21, true, 9, 6),
            (22, true, 10, 7),
            (23, true, 0, 8),
            (24, false, 0, 0),
        ];
        assert_eq!(entered.iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_the_script_never_answers_is_corrupt() {
        let check = |letters: &[u8], numbers: &[f64], count| {
            let answer = read(letters, &packed(numbers), count);
            assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
        };
        check(b"u", &[0.0, 0.0], 2);
        check(b"u", &[0.0], 1);
        check(b"u", &[0.0, 0.0, 1.0], 1);
        check(b"w", &[0.0, 0.0], 1);
        check(b"w", &[0.0, 0.0, 9_007_199_254_740_992.0], 1);
        check(b"w", &[0.0, 0.0, 0.5], 1);
        check(b"w", &[0.0, 0.0, -1.0], 1);
        check(b"w", &[0.0, 0.0, f64::NAN], 1);
        check(b"x", &[0.0, 0.0], 1);
        assert!(read(b"", &[0; NUMBER_BYTES * 2 + 1], 0).is_err());
        assert_eq!(read(b"k", &packed(&[0.0, 0.0]), 1).unwrap(), [None]);
    }
}
