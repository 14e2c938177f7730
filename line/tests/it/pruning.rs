//! What became of admissions is forgotten by age.

use std::time::Duration;

use contract::{RoomId, Timestamp};
use line::policy::outcome::{Fate, Outcome};
use line::pruning::prune_once;
use line::records::durable::DurableRecords;
use line::records::{Admission, AdmissionBatch};
use test_support::database::{Records, TestDatabase};

use crate::records::{act, batch, made, room};

const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);
/// More than one statement forgets.
const CALLED_AT_ONCE: u64 = 2_500;
const BETWEEN: Duration = Duration::from_hours(12);

fn durable(records: &Records) -> DurableRecords {
    DurableRecords {
        rooms: records.rooms.clone(),
        admissions: records.admissions.clone(),
        audit: records.audit.clone(),
    }
}

fn at(turn: u32) -> Timestamp {
    START.plus(BETWEEN * turn)
}

/// Calls as many places, who all claim and leave before their time.
async fn called(records: &Records, room: &RoomId, turn: u32) {
    let batch = AdmissionBatch {
        called_at: at(turn),
        ..batch(u128::from(turn) + 1, CALLED_AT_ONCE)
    };
    let appended = records.admissions.append(room, &batch, None).await;
    let seq = appended.unwrap().seqs.end - 1;
    let outcome = |(place, _): &(_, _)| Outcome {
        place: *place,
        seq,
        fate: Fate::Ended,
    };
    let outcomes: Vec<_> = batch.places.iter().map(outcome).collect();
    let noted = records.admissions.outcomes_note(room, &outcomes).await;
    noted.unwrap();
}

async fn outcomes(records: &Records) -> u64 {
    let count = sqlx::query_scalar("select count(*) from admission_outcomes");
    let count: i64 = count.fetch_one(&records.pool).await.unwrap();
    count.unsigned_abs()
}

/// The admissions after `seq`, with what became of them.
async fn admissions(records: &Records, room: &RoomId, seq: u64) -> Vec<Admission> {
    let served = records.admissions.served_places(room, seq, 20_000).await;
    served.unwrap()
}

#[tokio::test]
async fn outcomes_of_a_room_that_is_always_open_do_not_grow() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let (eras, durable) = (room("eras"), durable(&records));
    let mut counts = Vec::new();
    for turn in 0..8 {
        called(&records, &eras, turn).await;
        let forgotten = prune_once(&durable, at(turn)).await.unwrap();
        let again = prune_once(&durable, at(turn)).await.unwrap();
        assert_eq!(again, 0, "after {forgotten}");
        counts.push(outcomes(&records).await / CALLED_AT_ONCE);
    }
    // A place token lasts for a day, and a session for some hours: what was called up to a day
    // and a half ago counts.
    assert_eq!(counts, [1, 2, 3, 3, 3, 3, 3, 3]);
    // A line that is made again reads from the first that counts, of which everything is known.
    let read = admissions(&records, &eras, 5 * CALLED_AT_ONCE).await;
    assert_eq!(read.len() as u64, 3 * CALLED_AT_ONCE);
    assert!(read.iter().all(|one| one.fate == Some(Fate::Ended)));
}

#[tokio::test]
async fn outcomes_of_a_deleted_room_are_forgotten_and_of_the_next_one_kept() {
    let database = TestDatabase::create().await;
    let records = database.records();
    let durable = durable(&records);
    for name in ["abba", "eras", "zz-top"] {
        made(&records, name).await;
        called(&records, &room(name), 0).await;
    }
    let eras = room("eras");
    assert!(records.rooms.room_delete(&eras, act()).await.unwrap());
    let forgotten = prune_once(&durable, at(0)).await.unwrap();
    assert_eq!(forgotten, CALLED_AT_ONCE);
    assert!(admissions(&records, &eras, 0).await[0].fate.is_none());
    made(&records, "eras").await;
    called(&records, &eras, 1).await;
    assert_eq!(prune_once(&durable, at(1)).await.unwrap(), 0);
    assert_eq!(outcomes(&records).await, 3 * CALLED_AT_ONCE);
}

#[tokio::test]
async fn outcomes_that_somebody_writes_are_not_waited_for() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let (eras, durable) = (room("eras"), durable(&records));
    called(&records, &eras, 0).await;
    let mut writer = database.connect().await;
    for statement in [
        "begin",
        "update admission_outcomes set seq = seq where place = (select place from admission_outcomes order by place limit 1)",
    ] {
        sqlx::query(statement).execute(&mut writer).await.unwrap();
    }
    let (here, there) = tokio::join!(prune_once(&durable, at(4)), prune_once(&durable, at(4)));
    assert_eq!(here.unwrap() + there.unwrap(), CALLED_AT_ONCE - 1);
    sqlx::query("commit").execute(&mut writer).await.unwrap();
    assert_eq!(prune_once(&durable, at(4)).await.unwrap(), 1);
}
