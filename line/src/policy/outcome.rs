//! What became of an admission after it was logged.
//!
//! The admission log says who was called. Without more, a store that is made again from it takes
//! someone who missed their turn and waits once more for served, and a session that ended early
//! for one that runs. The store keeps what has happened since in a journal, and the leader
//! writes it down for good once a second.

use contract::{PlaceId, Timestamp};

/// What became of a place's last admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Claimed: a session until then, unless it ends before.
    Claimed {
        /// The end of the session.
        until: Timestamp,
    },
    /// The turn passed; forgiven until then.
    Missed {
        /// The end of the grace.
        until: Timestamp,
    },
    /// In line again.
    Returned,
    /// Given up.
    Left,
    /// The session ended before its time.
    Ended,
}

impl Fate {
    /// The word that stands for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Claimed { .. } => "claimed",
            Self::Missed { .. } => "missed",
            Self::Returned => "returned",
            Self::Left => "left",
            Self::Ended => "ended",
        }
    }

    /// The end of the session, or of the grace of a missed turn.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Claimed { until } | Self::Missed { until } => Some(until),
            Self::Returned | Self::Left | Self::Ended => None,
        }
    }

    /// What `word` stands for, with the end that goes with it.
    pub fn read(word: &str, until: Option<Timestamp>) -> Option<Self> {
        Some(match (word, until) {
            ("claimed", Some(until)) => Self::Claimed { until },
            ("missed", Some(until)) => Self::Missed { until },
            ("returned", _) => Self::Returned,
            ("left", _) => Self::Left,
            ("ended", _) => Self::Ended,
            _ => return None,
        })
    }
}

/// An entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whose.
    pub place: PlaceId,
    /// The last published ordinal of the room then: it is of the place's last admission up to it.
    pub seq: u64,
    /// What became of it.
    pub fate: Fate,
}

impl Outcome {
    /// As the store keeps it: `word:seq:until_ms`.
    pub fn text(&self) -> String {
        let until = self.fate.until().map_or(0, Timestamp::as_ms);
        format!("{}:{}:{until}", self.fate.word(), self.seq)
    }

    /// Reads what [`Outcome::text`] wrote.
    pub fn read(place: PlaceId, text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (word, seq, until) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            place,
            seq: seq.parse().ok()?,
            fate: Fate::read(word, Some(Timestamp::from_ms(until.parse().ok()?)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back() {
        let until = Timestamp::from_ms(1_790_000_000_000);
        for fate in [
            Fate::Claimed { until },
            Fate::Missed { until },
            Fate::Returned,
            Fate::Left,
            Fate::Ended,
        ] {
            let place = PlaceId::from_bytes([1; 16]);
            let outcome = Outcome {
                place,
                seq: 7,
                fate,
            };
            assert_eq!(Outcome::read(place, &outcome.text()), Some(outcome));
            let word = fate.word();
            assert_eq!(Fate::read(word, fate.until()), Some(fate));
        }
        assert_eq!(Fate::read("novelty", None), None);
    }
}
