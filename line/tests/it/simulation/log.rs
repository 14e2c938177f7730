//! The durable line in memory, which fails when it is told to.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use contract::{PlaceId, RoomId, Timestamp};
use line::policy::order::KeyRange;
use line::policy::outcome::{Fate, Outcome};
use line::records::durable::DurableLine;
use line::records::{
    Admission, AdmissionBatch, Appended, AuditEntry, LogHead, NotedRoom, RecordsError, RoomRecord,
};
use uuid::Uuid;

use super::ops::LogFailure;

pub(super) struct MemoryLog(Mutex<State>, AtomicU64);

/// Happens once, between the reveal of the seed and its answer.
pub(super) type OnReveal = Box<dyn FnOnce() + Send>;

struct State {
    record: RoomRecord,
    log: Vec<Admission>,
    batches: HashMap<Uuid, Range<u64>>,
    outcomes: HashMap<PlaceId, Outcome>,
    /// What was reserved last.
    keys: KeyRange,
    is_away: bool,
    failure: Option<LogFailure>,
    on_reveal: Option<OnReveal>,
}

impl MemoryLog {
    pub(super) fn new(record: RoomRecord) -> Self {
        let state = State {
            record,
            log: Vec::new(),
            batches: HashMap::new(),
            outcomes: HashMap::new(),
            keys: KeyRange {
                term: 0,
                after: 0,
                limit: 0,
                is_ahead: false,
            },
            is_away: false,
            failure: None,
            on_reveal: None,
        };
        Self(Mutex::new(state), AtomicU64::new(0))
    }

    /// Adds admissions of places that nobody here has, called at these times.
    pub(super) fn fill(&self, called_at: impl IntoIterator<Item = Timestamp>) {
        let mut state = self.0.lock().unwrap();
        for called_at in called_at {
            let seq = u64::try_from(state.log.len()).unwrap() + 1;
            state.log.push(Admission {
                seq,
                place: filled(seq),
                order_key: (1 << 52) + seq,
                called_at,
                fate: Some(Fate::Ended),
            });
        }
    }

    /// How many admissions were read so far.
    pub(super) fn read_count(&self) -> u64 {
        self.1.load(Ordering::SeqCst)
    }

    pub(super) fn admissions(&self) -> Vec<Admission> {
        self.0.lock().unwrap().log.clone()
    }

    /// Whether a line made again from this takes `place` for served.
    pub(super) fn has_served(&self, place: PlaceId) -> bool {
        let state = self.0.lock().unwrap();
        let mut of_place = state.log.iter().filter(|known| known.place == place);
        of_place.any(|known| state.with_fate(*known).fate != Some(Fate::Returned))
    }

    pub(super) fn record(&self) -> RoomRecord {
        self.0.lock().unwrap().record.clone()
    }

    pub(super) fn record_change(&self, change: impl FnOnce(&mut RoomRecord)) {
        change(&mut self.0.lock().unwrap().record);
    }

    pub(super) fn set_away(&self, is_away: bool) {
        self.0.lock().unwrap().is_away = is_away;
    }

    pub(super) fn fail_next(&self, failure: LogFailure) {
        self.0.lock().unwrap().failure = Some(failure);
    }

    pub(super) fn on_reveal(&self, act: OnReveal) {
        self.0.lock().unwrap().on_reveal = Some(act);
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, RecordsError> {
        let mut state = self.0.lock().unwrap();
        if state.is_away {
            return Err(RecordsError::Timeout);
        }
        Ok(act(&mut state))
    }
}

/// The place of the admission `seq` that a log was filled with.
pub(super) fn filled(seq: u64) -> PlaceId {
    let mut bytes = [255; 16];
    bytes[8..].copy_from_slice(&seq.to_be_bytes());
    PlaceId::from_bytes(bytes)
}

impl State {
    fn with_fate(&self, admission: Admission) -> Admission {
        let outcome = self.outcomes.get(&admission.place);
        let fate = outcome
            .filter(|outcome| outcome.seq >= admission.seq)
            .map(|outcome| outcome.fate)
            .or(admission.fate);
        Admission { fate, ..admission }
    }

    fn append(&mut self, batch: &AdmissionBatch) -> Appended {
        if let Some(known) = self.batches.get(&batch.batch_id) {
            return Appended {
                seqs: known.clone(),
                head: self.head(),
            };
        }
        let first = self.log.len();
        for (place, order_key) in &batch.places {
            self.log.push(Admission {
                seq: u64::try_from(self.log.len()).unwrap() + 1,
                place: *place,
                order_key: *order_key,
                called_at: batch.called_at,
                fate: None,
            });
        }
        let head = self.head();
        let seqs = u64::try_from(first).unwrap() + 1..head.seq + 1;
        self.batches.insert(batch.batch_id, seqs.clone());
        Appended { seqs, head }
    }

    fn head(&self) -> LogHead {
        LogHead {
            seq: u64::try_from(self.log.len()).unwrap(),
            hash: [0; 32],
        }
    }
}

#[async_trait]
impl DurableLine for MemoryLog {
    async fn append(
        &self,
        _: &RoomId,
        batch: &AdmissionBatch,
        _: Option<LogHead>,
    ) -> Result<Appended, RecordsError> {
        self.with(|state| match state.failure.take() {
            Some(LogFailure::BeforeAppend) => Err(RecordsError::Timeout),
            Some(LogFailure::AfterAppend) => {
                state.append(batch);
                Err(RecordsError::Timeout)
            }
            None => Ok(state.append(batch)),
        })?
    }

    async fn head(&self, _: &RoomId) -> Result<LogHead, RecordsError> {
        self.with(|state| State::head(state))
    }

    async fn served_places(
        &self,
        _: &RoomId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Admission>, RecordsError> {
        // Others go on while the database is asked.
        tokio::task::yield_now().await;
        let read: Vec<_> = self.with(|state| {
            let after = usize::try_from(after_seq).unwrap();
            let next = state.log.iter().skip(after).take(limit);
            next.map(|admission| state.with_fate(*admission)).collect()
        })?;
        self.1
            .fetch_add(u64::try_from(read.len()).unwrap(), Ordering::SeqCst);
        Ok(read)
    }

    async fn outcomes_note(&self, _: &RoomId, outcomes: &[Outcome]) -> Result<(), RecordsError> {
        self.with(|state| {
            for outcome in outcomes {
                let known = state.outcomes.entry(outcome.place).or_insert(*outcome);
                if outcome.seq >= known.seq {
                    *known = *outcome;
                }
            }
        })
    }

    // Nothing is simulated for so long that outcomes are forgotten.
    async fn outcomes_room(&self, _: Option<&RoomId>) -> Result<Option<NotedRoom>, RecordsError> {
        Ok(None)
    }

    async fn outcomes_forget(&self, _: &RoomId, _: u64, _: u64) -> Result<u64, RecordsError> {
        Ok(0)
    }

    async fn seed_reveal(
        &self,
        _: &RoomId,
        now: Timestamp,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        let (record, act) = self.with(|state| {
            let revealed = &mut state.record.seed_revealed_at;
            revealed.get_or_insert(now);
            state.record.opened_at = *revealed;
            (state.record.clone(), state.on_reveal.take())
        })?;
        if let Some(act) = act {
            act();
        }
        Ok(Some(record))
    }

    async fn keys_reserve(
        &self,
        _: &RoomId,
        reached: u64,
        count: u64,
    ) -> Result<Option<KeyRange>, RecordsError> {
        self.with(|state| {
            let after = state.keys.limit.max(reached);
            state.keys = KeyRange {
                term: state.keys.term + 1,
                after,
                limit: after + count,
                is_ahead: after > reached,
            };
            match state.failure.take() {
                // The gateway dies before the store knows.
                Some(LogFailure::AfterAppend) => Err(RecordsError::Timeout),
                failure => {
                    state.failure = failure;
                    Ok(Some(state.keys))
                }
            }
        })?
    }

    async fn keys_extend(
        &self,
        _: &RoomId,
        term: u64,
        limit: u64,
    ) -> Result<Option<u64>, RecordsError> {
        self.with(|state| {
            let keys = &mut state.keys;
            let is_in_force = keys.term == term;
            keys.limit = keys.limit.max(if is_in_force { limit } else { 0 });
            is_in_force.then_some(keys.limit)
        })
    }

    async fn audit_note(&self, _: Timestamp, _: AuditEntry) -> Result<(), RecordsError> {
        self.with(|_| ())
    }
}
