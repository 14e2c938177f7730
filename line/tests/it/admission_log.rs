//! The admission log on PostgreSQL.

use std::time::Duration;

use contract::{RoomId, Timestamp};
use futures_util::StreamExt;
use line::policy::outcome::{Fate, Outcome};
use line::records::{AdmissionBatch, LogHead, RecordsError};
use test_support::database::{Records, TestDatabase};
use tokio::time::Instant;

use crate::records::{batch, made, room, verified_log};

/// Appends as a leader does: a batch may be repeated after any error, and a loaded machine gives
/// some.
async fn appended(records: &Records, room: &RoomId, batch: &AdmissionBatch) -> Vec<u64> {
    loop {
        match records.admissions.append(room, batch, None).await {
            Ok(appended) => return appended.seqs.collect(),
            Err(error) => assert!(error.is_passing(), "{error}"),
        }
    }
}

#[tokio::test]
async fn concurrent_appends_keep_the_chain_without_gaps() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    made(&here, "eras").await;
    let eras = room("eras");
    let append = async |records: &Records, first: u128| {
        for n in 0..25 {
            let batch = batch(first + n, 1 + u64::try_from(n).unwrap() * 7);
            let seqs = appended(records, &eras, &batch).await;
            assert_eq!(seqs.len(), batch.places.len());
            assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
        }
    };
    tokio::join!(append(&here, 100), append(&there, 200));
    let places = verified_log(&here, &eras).await;
    assert_eq!(places.len(), 2 * (0..25).map(|n| 1 + n * 7).sum::<usize>());
}

#[tokio::test]
async fn replaying_a_batch_changes_nothing() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    made(&here, "eras").await;
    let eras = room("eras");
    let first = batch(1, 5_000);
    let seqs = appended(&here, &eras, &first).await;
    assert_eq!(seqs, (1..=5_000).collect::<Vec<_>>());
    appended(&here, &eras, &batch(2, 3)).await;
    let head = here.admissions.head(&eras).await.unwrap();
    let mut later = first.clone();
    later.called_at = later.called_at.plus(Duration::from_secs(9));
    let both = tokio::join!(
        appended(&here, &eras, &later),
        appended(&there, &eras, &later),
    );
    assert_eq!(both, (seqs.clone(), seqs));
    assert_eq!(here.admissions.head(&eras).await.unwrap(), head);
    let mut other = first;
    other.places.swap(0, 1);
    let refused = here.admissions.append(&eras, &other, None).await;
    assert!(
        matches!(refused, Err(RecordsError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(verified_log(&here, &eras).await.len(), 5_003);
}

#[tokio::test]
async fn a_remembered_end_of_the_log_is_compared_before_it_is_used() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    made(&here, "eras").await;
    let eras = room("eras");
    let mut head = LogHead::EMPTY;
    for id in 1..=3 {
        let batch = batch(id, 4);
        let appended = here.admissions.append(&eras, &batch, Some(head)).await;
        let appended = appended.unwrap();
        let first = u64::try_from(id - 1).unwrap() * 4 + 1;
        assert_eq!(appended.seqs, first..first + 4);
        let repeated = here.admissions.append(&eras, &batch, Some(head)).await;
        assert_eq!(repeated.unwrap(), appended, "the answer may have been lost");
        let after_itself = appended.head;
        let repeated = here.admissions.append(&eras, &batch, Some(after_itself));
        assert_eq!(repeated.await.unwrap(), appended);
        head = appended.head;
        assert_eq!(here.admissions.head(&eras).await.unwrap(), head);
    }
    // Another leader has appended meanwhile.
    let others = there.admissions.append(&eras, &batch(4, 2), None).await;
    assert_eq!(others.unwrap().seqs, 13..15);
    let forged = LogHead {
        seq: 14,
        hash: [7; 32],
    };
    for (id, outdated) in [(5, head), (6, LogHead::EMPTY), (7, forged)] {
        let first = u64::try_from(id - 5).unwrap() + 15;
        let batch = batch(id, 1);
        let appended = here.admissions.append(&eras, &batch, Some(outdated));
        assert_eq!(appended.await.unwrap().seqs, first..first + 1);
    }
    let mut other = batch(1, 4);
    other.places.swap(0, 1);
    let end = here.admissions.head(&eras).await.unwrap();
    let refused = here.admissions.append(&eras, &other, Some(end)).await;
    assert!(
        matches!(refused, Err(RecordsError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(verified_log(&here, &eras).await.len(), 17);
}

#[tokio::test]
async fn leaders_that_remember_the_end_of_the_log_keep_the_chain() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    made(&here, "eras").await;
    let eras = room("eras");
    let append = async |records: &Records, first: u128| {
        let mut head = None;
        for n in 0..40 {
            let batch = batch(first + n, 3);
            let appended = loop {
                match records.admissions.append(&eras, &batch, head.take()).await {
                    Ok(appended) => break appended,
                    Err(error) => assert!(error.is_passing(), "{error}"),
                }
            };
            head = Some(appended.head);
        }
    };
    tokio::join!(append(&here, 100), append(&there, 200));
    assert_eq!(verified_log(&here, &eras).await.len(), 240);
}

#[tokio::test]
async fn simultaneous_copies_of_a_new_batch_are_logged_once() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    made(&here, "eras").await;
    let eras = room("eras");
    for id in 1..20 {
        let batch = batch(id, 40);
        let (a, b) = tokio::join!(
            appended(&here, &eras, &batch),
            appended(&there, &eras, &batch),
        );
        assert_eq!(a, b);
    }
    assert_eq!(verified_log(&here, &eras).await.len(), 19 * 40);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_an_append_halfway() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    for id in 1..40 {
        let batch = batch(id, 200);
        let append = records.admissions.append(&eras, &batch, None);
        tokio::select! {
            biased;
            _ = append => {}
            // Gives the append a few polls, a different number each time.
            () = async { for _ in 0..id { tokio::task::yield_now().await; } } => {}
        }
    }
    // Whatever happened, no connection came back to the pool inside a transaction and every
    // batch is whole.
    let again = batch(1000, 1);
    let deadline = Instant::now() + Duration::from_secs(20);
    // The abandoned appends queue for the pool and for the head first.
    while records
        .admissions
        .append(&eras, &again, None)
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the pool did not recover");
    }
    // What the callers began before they went comes to its end; until then a transaction
    // between two of its statements is "idle in transaction" too.
    records.tasks.close();
    records.tasks.wait().await;
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state = 'idle in transaction'",
    )
    .fetch_one(&records.pool)
    .await
    .unwrap();
    assert_eq!(open, 0);
    assert_eq!(verified_log(&records, &eras).await.len() % 200, 1);
}

#[tokio::test]
async fn a_connection_killed_during_an_append_leaves_nothing_half_done() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    appended(&records, &eras, &batch(1, 10)).await;
    // A second session holds the head, so the append waits inside its transaction and can be
    // killed there.
    let mut holder = records.pool.acquire().await.unwrap();
    sqlx::query("begin").execute(&mut *holder).await.unwrap();
    sqlx::query("select 1 from admission_heads for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    // Outside that transaction: inside one, the list of sessions would never change.
    let mut watcher = records.pool.acquire().await.unwrap();
    let killer = async {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let killed: Vec<bool> = sqlx::query_scalar(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_all(&mut *watcher)
            .await
            .unwrap();
            if killed.contains(&true) {
                break;
            }
            assert!(Instant::now() < deadline, "the append never waited");
            tokio::task::yield_now().await;
        }
    };
    let lost = batch(2, 5_000);
    let (result, ()) = tokio::join!(records.admissions.append(&eras, &lost, None), killer);
    assert!(result.is_err_and(|error| error.is_passing()));
    sqlx::query("rollback").execute(&mut *holder).await.unwrap();
    drop(holder);
    assert_eq!(verified_log(&records, &eras).await.len(), 10);
    // The leader repeats it.
    appended(&records, &eras, &lost).await;
    assert_eq!(verified_log(&records, &eras).await.len(), 5_010);
}

#[tokio::test]
async fn served_places_are_found_in_order() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    let (first, mut second) = (batch(1, 5), batch(2, 2));
    // A fan who missed the turn is called again.
    second.places.push(first.places[1]);
    appended(&records, &eras, &first).await;
    appended(&records, &eras, &second).await;
    let page = records.admissions.served_places(&eras, 3, 3).await.unwrap();
    assert_eq!(page.iter().map(|a| a.seq).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(page[0].place, first.places[3].0);
    let never = records.admissions.append(&room("none"), &first, None).await;
    assert!(matches!(never, Err(RecordsError::Conflict(_))));
    let mut tail = Box::pin(records.admissions.stream(&eras, 8));
    assert_eq!(tail.next().await.unwrap().unwrap().seq, 8);
    assert!(tail.next().await.is_none());
}

#[tokio::test]
async fn what_became_of_an_admission_is_the_newest_word() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    let first = batch(1, 2);
    let place = first.places[0].0;
    appended(&records, &eras, &first).await;
    let fate = async || {
        let served = records.admissions.served_places(&eras, 0, 9).await.unwrap();
        let fates: Vec<_> = served.into_iter().map(|admission| admission.fate).collect();
        fates
    };
    assert_eq!(fate().await, [None, None]);
    let until = Timestamp::from_ms(5_000);
    for (seq, noted, shown) in [
        (2, Fate::Missed { until }, Fate::Missed { until }),
        (2, Fate::Returned, Fate::Returned),
        (1, Fate::Ended, Fate::Returned),
    ] {
        let outcome = Outcome {
            place,
            seq,
            fate: noted,
        };
        let done = records.admissions.outcomes_note(&eras, &[outcome]).await;
        done.unwrap();
        assert_eq!(fate().await, [Some(shown), None]);
    }
    // The next admission of the same place is another.
    let mut second = batch(2, 1);
    second.places[0].0 = place;
    appended(&records, &eras, &second).await;
    assert_eq!(fate().await, [Some(Fate::Returned), None, None]);
}
