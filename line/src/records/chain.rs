//! The chain of hashes that an admission log is, and its check. No IO.

use contract::room::AdmissionRecord;
use contract::{PlaceId, Timestamp};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::error::RecordsError;

/// The hash before the first record.
const GENESIS: [u8; 32] = [0; 32];

/// The end of a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The last ordinal, 0 when the log is empty.
    pub seq: u64,
    /// The last hash, zeros when the log is empty.
    pub hash: [u8; 32],
}

/// Where a log does not fit its hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admission log breaks at record {seq}: {problem}")]
pub struct ChainBreak {
    /// The first record that does not fit.
    pub seq: u64,
    /// Why.
    pub problem: &'static str,
}

/// The hash of a record after one with the hash `prev`.
pub fn chain_hash(
    prev: &[u8; 32],
    seq: u64,
    order_key: u64,
    called_at: Timestamp,
    place: &PlaceId,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(prev);
    hash.update(seq.to_be_bytes());
    hash.update(order_key.to_be_bytes());
    hash.update(called_at.as_ms().to_be_bytes());
    hash.update(place.as_bytes());
    hash.finalize().into()
}

/// Checks records against their hashes, from the one after `head`, and returns the new head.
/// A whole log is checked from [`LogHead::EMPTY`].
pub fn chain_verify<'r>(
    head: LogHead,
    records: impl IntoIterator<Item = &'r AdmissionRecord>,
) -> Result<LogHead, ChainBreak> {
    records.into_iter().try_fold(head, |head, record| {
        let broken = |problem| ChainBreak {
            seq: record.seq,
            problem,
        };
        if record.seq != head.seq + 1 {
            return Err(broken("its ordinal does not follow the one before"));
        }
        let order_key = record
            .order_key
            .parse()
            .map_err(|_| broken("its order key is not a number"))?;
        let hash = chain_hash(
            &head.hash,
            record.seq,
            order_key,
            record.called_at,
            &record.place,
        );
        if HEXLOWER.encode(&hash) == record.hash {
            Ok(LogHead {
                seq: record.seq,
                hash,
            })
        } else {
            Err(broken("its hash does not fit its content"))
        }
    })
}

impl LogHead {
    /// The head of an empty log.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: GENESIS,
    };

    /// The head as its row has it.
    pub(super) fn read(seq: i64, hash: Vec<u8>) -> Result<Self, RecordsError> {
        let hash = hash.try_into().map_err(|_| RecordsError::Corrupt {
            table: "admission_heads",
            detail: "a hash is not 32 bytes long".to_owned(),
        })?;
        Ok(Self {
            seq: seq.unsigned_abs(),
            hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tampering = fn(&mut Vec<AdmissionRecord>);

    fn records(count: u64) -> Vec<AdmissionRecord> {
        let mut prev = GENESIS;
        (1..=count)
            .map(|seq| {
                let place = PlaceId::from_bytes([u8::try_from(seq).unwrap(); 16]);
                let called_at = Timestamp::from_ms(1_790_000_000_000);
                prev = chain_hash(&prev, seq, seq * 10, called_at, &place);
                AdmissionRecord {
                    seq,
                    place,
                    order_key: (seq * 10).to_string(),
                    called_at,
                    hash: HEXLOWER.encode(&prev),
                }
            })
            .collect()
    }

    /// The expected value is from Python's hashlib, over the bytes the contract describes.
    #[test]
    fn the_hash_is_the_documented_one() {
        let hash = chain_hash(
            &GENESIS,
            1,
            0x0010_0000_0000_0001,
            Timestamp::from_ms(1_790_000_000_000),
            &PlaceId::from_bytes([7; 16]),
        );
        assert_eq!(
            HEXLOWER.encode(&hash),
            "52d3bab5a2119b90737c91c1dab7a6df0699eff193340bff20a4fb6c0df76085"
        );
    }

    #[test]
    fn a_log_is_verified_whole_and_in_parts() {
        let log = records(9);
        let whole = chain_verify(LogHead::EMPTY, &log).unwrap();
        assert_eq!(whole.seq, 9);
        let part = chain_verify(LogHead::EMPTY, &log[..4]).unwrap();
        assert_eq!(chain_verify(part, &log[4..]).unwrap(), whole);
    }

    #[test]
    fn any_change_of_the_log_is_found() {
        let changes: [(&str, Tampering); 5] = [
            ("a record removed", |log| drop(log.remove(3))),
            ("two records swapped", |log| log.swap(3, 4)),
            ("another place", |log| {
                log[3].place = PlaceId::from_bytes([99; 16]);
            }),
            ("another order key", |log| {
                log[3].order_key = "41".to_owned();
            }),
            ("another time", |log| {
                log[3].called_at = Timestamp::from_ms(1);
            }),
        ];
        for (change, apply) in changes {
            let mut log = records(9);
            apply(&mut log);
            let broken = chain_verify(LogHead::EMPTY, &log).expect_err(change);
            assert!(broken.seq >= 4, "{change}: {broken}");
        }
    }
}
