//! `ropeline admissions`: reading and verifying a room's admission log.

use std::collections::HashSet;

use contract::room::AdmissionRecord;
use contract::{PlaceId, Timestamp};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::args::AdmissionsArgs;
use crate::client::AdminClient;
use crate::console::{Console, counted, grouped};
use crate::failure::{Exit, Failure};
use crate::when::instant_text;

/// Order keys below this were drawn; those above were given in order of arrival.
const DRAWN_BELOW: u64 = 1 << 52;
/// Places that are remembered to count repeated calls: about 200 MB at most.
const PLACES_REMEMBERED_MAX: usize = 5_000_000;

/// What a log proves. The log is sound when no breach was found; calls out of order and repeated
/// calls are facts beside it: a visitor who missed a turn is called next on return.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogVerdict {
    /// Calls in the log.
    pub records: u64,
    /// Of these, visitors whose order was drawn.
    pub drawn: u64,
    /// Calls with a smaller order key than a call before them.
    pub out_of_order: u64,
    /// Calls of a place that had been called before.
    pub repeated: u64,
    /// The first call.
    pub first_called_at: Option<Timestamp>,
    /// The last call.
    pub last_called_at: Option<Timestamp>,
    /// The hash of the last record: it stands for the whole log.
    pub head: Option<String>,
    /// What breaks the log's promises, at the first record that does.
    pub breach: Option<String>,
    /// Whether the log keeps its promises.
    pub verified: bool,
}

/// Verifies a log record by record.
#[derive(Debug, Default)]
pub struct LogVerifier {
    hash: [u8; 32],
    highest: Option<u64>,
    places: HashSet<PlaceId>,
    verdict: LogVerdict,
}

impl LogVerifier {
    /// Takes the next record. After a breach, records are only counted: what follows a broken
    /// link proves nothing.
    pub fn take(&mut self, record: &AdmissionRecord) {
        self.verdict.records += 1;
        if self.verdict.breach.is_some() {
            return;
        }
        if let Err(breach) = self.check(record) {
            self.verdict.breach = Some(format!("record {}: {breach}", record.seq));
        }
    }

    /// What was found.
    pub fn finish(mut self) -> LogVerdict {
        self.verdict.verified = self.verdict.breach.is_none();
        self.verdict
    }

    fn check(&mut self, record: &AdmissionRecord) -> Result<(), String> {
        let expected = self.verdict.records;
        if record.seq != expected {
            return Err(format!("a gap, number {expected} was expected"));
        }
        let key: u64 = record
            .order_key
            .parse()
            .map_err(|_| format!("`{}` is not an order key", record.order_key))?;
        let last = self.verdict.last_called_at;
        if last.is_some_and(|last| record.called_at < last) {
            return Err("called before the record ahead of it".to_owned());
        }
        self.hash = chain(&self.hash, record, key);
        if HEXLOWER.encode(&self.hash) != record.hash {
            return Err("the hash does not follow from the records before".to_owned());
        }
        self.note(record, key);
        Ok(())
    }

    fn note(&mut self, record: &AdmissionRecord, key: u64) {
        let verdict = &mut self.verdict;
        verdict.first_called_at.get_or_insert(record.called_at);
        verdict.last_called_at = Some(record.called_at);
        verdict.head = Some(record.hash.clone());
        verdict.drawn += u64::from(key < DRAWN_BELOW);
        verdict.out_of_order += u64::from(self.highest.is_some_and(|highest| key < highest));
        self.highest = self.highest.max(Some(key));
        if self.places.contains(&record.place) {
            verdict.repeated += 1;
        } else if self.places.len() < PLACES_REMEMBERED_MAX {
            self.places.insert(record.place);
        }
    }
}

/// The hash of `record` after a record with hash `previous`.
fn chain(previous: &[u8; 32], record: &AdmissionRecord, key: u64) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(previous);
    digest.update(record.seq.to_be_bytes());
    digest.update(key.to_be_bytes());
    digest.update(record.called_at.as_ms().to_be_bytes());
    digest.update(record.place.as_bytes());
    digest.finalize().into()
}

/// Runs the command.
pub(crate) async fn run(
    args: &AdmissionsArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut lines = client
        .lines(&format!("rooms/{}/admissions", args.room))
        .await?;
    if args.verify {
        let mut verifier = LogVerifier::default();
        while let Some(record) = lines.next().await? {
            verifier.take(&record);
        }
        return report(&verifier.finish(), console);
    }
    let mut seen = false;
    while let Some(record) = lines.next::<AdmissionRecord>().await? {
        if console.is_json() {
            console.document_line(&record)?;
        } else {
            if !seen {
                console.text(&row("seq", "called", "place", "order key"))?;
            }
            let called = instant_text(record.called_at);
            let place = record.place.to_string();
            console.text(&row(
                &grouped(record.seq),
                &called,
                &place,
                &record.order_key,
            ))?;
        }
        seen = true;
    }
    if !seen && !console.is_json() {
        console.note("No one has been called yet.");
    }
    Ok(Exit::Fine)
}

/// A row of fixed width: a log may be longer than what a table can be laid out for.
fn row(seq: &str, called: &str, place: &str, order_key: &str) -> String {
    format!("{seq:>10}  {called:<23}  {place:<22}  {order_key:>16}")
}

fn report(verdict: &LogVerdict, console: &Console) -> Result<Exit, Failure> {
    if console.is_json() {
        console.document(verdict)?;
    } else {
        console.text(&verdict_text(verdict))?;
    }
    Ok(if verdict.verified {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn verdict_text(verdict: &LogVerdict) -> String {
    let instant = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), instant_text);
    let mut lines = vec![
        format!("calls          {}", grouped(verdict.records)),
        format!("  drawn        {}", grouped(verdict.drawn)),
        format!("  out of order {}", grouped(verdict.out_of_order)),
        format!("  repeated     {}", grouped(verdict.repeated)),
        format!("first call     {}", instant(verdict.first_called_at)),
        format!("last call      {}", instant(verdict.last_called_at)),
    ];
    if let Some(head) = &verdict.head {
        lines.push(format!("head           {head}"));
    }
    lines.push(match &verdict.breach {
        Some(breach) => format!("The log is BROKEN at {breach}."),
        None => format!(
            "The chain of {} is unbroken.",
            counted(verdict.records, "record", "records")
        ),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Hashes computed by an independent implementation.
    const LOG: [(u64, u8, &str, i64, &str); 3] = [
        (
            1,
            7,
            "1183298394857",
            1_790_000_000_000,
            "e8e8c0dd37a2a1e319fd146ac14304179b60288204399fca0e447c63577440e2",
        ),
        (
            2,
            8,
            "4503599627370497",
            1_790_000_000_100,
            "eebf0022e3261450cf631e291b08235a23e616b05fedb11f088c9fd5bb92be0f",
        ),
        (
            3,
            9,
            "4503599627370496",
            1_790_000_000_100,
            "33fd1f6e53f40d1fe99a18d9afffd78d0022cf506da0454c81b36eca88ba073d",
        ),
    ];

    fn log() -> Vec<AdmissionRecord> {
        let records = LOG
            .iter()
            .map(|(seq, place, key, at, hash)| AdmissionRecord {
                seq: *seq,
                place: PlaceId::from_bytes([*place; 16]),
                order_key: (*key).to_owned(),
                called_at: Timestamp::from_ms(*at),
                hash: (*hash).to_owned(),
            });
        records.collect()
    }

    fn verify(log: &[AdmissionRecord]) -> LogVerdict {
        let mut verifier = LogVerifier::default();
        for record in log {
            verifier.take(record);
        }
        verifier.finish()
    }

    #[test]
    fn a_genuine_log_is_verified_with_its_facts() {
        let verdict = verify(&log());
        assert!(verdict.verified, "{verdict:?}");
        assert_eq!(
            (verdict.records, verdict.drawn, verdict.out_of_order),
            (3, 1, 1)
        );
        assert_eq!(verdict.head.as_deref(), Some(LOG[2].4));
        assert!(verify(&[]).verified);
    }

    #[test]
    fn every_change_of_a_record_breaks_the_chain() {
        let changes: [fn(&mut AdmissionRecord); 5] = [
            |it| it.place = PlaceId::from_bytes([1; 16]),
            |it| it.order_key = "5".to_owned(),
            |it| it.order_key = "first".to_owned(),
            |it| it.called_at = it.called_at.plus(std::time::Duration::from_millis(1)),
            |it| it.hash = "00".repeat(32),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut log = log();
            change(&mut log[1]);
            let verdict = verify(&log);
            assert!(!verdict.verified, "change {number}");
            assert!(
                verdict.breach.unwrap().starts_with("record 2:"),
                "change {number}"
            );
        }
    }

    #[test]
    fn records_taken_out_or_swapped_are_missed() {
        let whole = log();
        for part in [&[0, 2][..], &[1, 2], &[1, 0, 2], &[0, 0, 1, 2]] {
            let log: Vec<_> = part.iter().map(|index| whole[*index].clone()).collect();
            assert!(!verify(&log).verified, "{part:?}");
        }
    }

    #[test]
    fn a_place_called_again_is_counted() {
        let mut log = log();
        log[1].place = log[0].place;
        let mut hash = [0; 32];
        for record in &mut log {
            hash = chain(&hash, record, record.order_key.parse().unwrap());
            record.hash = HEXLOWER.encode(&hash);
        }
        let verdict = verify(&log);
        assert!(verdict.verified);
        assert_eq!(verdict.repeated, 1);
    }

    #[test]
    fn time_never_runs_backwards_in_a_log() {
        let mut log = log();
        log[2].called_at = Timestamp::EPOCH;
        let breach = verify(&log).breach.unwrap();
        assert!(breach.contains("called before"), "{breach}");
    }
}
