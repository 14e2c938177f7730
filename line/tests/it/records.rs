//! Rooms, the admission log and the audit log on PostgreSQL.

use std::time::Duration;

use contract::room::{Override, RoomSettings};
use contract::{Clock, ManualClock, PlaceId, RoomId, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use line::policy::order::{CLOCK_MAX, KeyRange, LIVE_BASE};
use line::policy::outcome::{Fate, Outcome};
use line::records::{
    Act, AdmissionBatch, CreateOutcome, LogHead, PutOutcome, RecordsError, RoomRecord, chain_verify,
};
use tokio::time::Instant;
use uuid::Uuid;

use test_support::database::{Records, TestDatabase};
use test_support::tcp_proxy::{Line, TcpProxy};

pub(crate) fn room(name: &str) -> RoomId {
    name.parse().unwrap()
}

fn settings(name: &str) -> RoomSettings {
    serde_json::from_value(serde_json::json!({"room": name})).unwrap()
}

pub(crate) fn act() -> Act {
    Act::new("tester", &ManualClock::default())
}

pub(crate) async fn made(records: &Records, name: &str) -> RoomRecord {
    let mut asked_again = false;
    loop {
        let created = records.rooms.room_create(settings(name), [7; 32], act());
        match created.await {
            Ok(CreateOutcome::Created(record)) => return *record,
            Ok(CreateOutcome::Exists) => {
                assert!(asked_again, "{name} exists");
                return records.rooms.room_get(&room(name)).await.unwrap().unwrap();
            }
            // A loaded machine; the room may have been made.
            Err(error) => assert!(error.is_passing(), "{error}"),
        }
        asked_again = true;
    }
}

/// A batch whose places are told apart by `id`.
pub(crate) fn batch(id: u128, count: u64) -> AdmissionBatch {
    let place = |n: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&u64::try_from(id).unwrap().to_be_bytes());
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        PlaceId::from_bytes(bytes)
    };
    AdmissionBatch {
        batch_id: Uuid::from_u128(id),
        called_at: ManualClock::default().now(),
        places: (0..count).map(|n| (place(n), (1 << 52) + n)).collect(),
    }
}

/// Reads the whole log and checks its chain; returns the places in order.
pub(crate) async fn verified_log(records: &Records, room: &RoomId) -> Vec<PlaceId> {
    let log: Vec<_> = records
        .admissions
        .stream(room, 1)
        .try_collect()
        .await
        .unwrap();
    let end = chain_verify(LogHead::EMPTY, &log).unwrap();
    assert_eq!(end, records.admissions.head(room).await.unwrap());
    log.into_iter().map(|record| record.place).collect()
}

#[tokio::test]
async fn a_room_reads_back_as_it_was_made() {
    let database = TestDatabase::create().await;
    let records = database.records();
    let record = made(&records, "eras").await;
    assert_eq!((record.version, record.epoch), (1, 0));
    assert_eq!(record.commitment.len(), 64);
    assert_eq!(
        records.rooms.room_get(&room("eras")).await.unwrap(),
        Some(record.clone())
    );
    assert_eq!(
        records.rooms.room_list().await.unwrap(),
        std::slice::from_ref(&record)
    );
    assert_eq!(
        records
            .rooms
            .room_create(settings("eras"), [8; 32], act())
            .await
            .unwrap(),
        CreateOutcome::Exists
    );
    assert_eq!(records.rooms.room_get(&room("other")).await.unwrap(), None);
}

#[tokio::test]
async fn neither_debug_nor_the_audit_log_shows_secrets() {
    let database = TestDatabase::create().await;
    let records = database.records();
    let mut secret = settings("eras");
    secret.access_codes = vec!["sesame-opens".to_owned()];
    let outcome = records
        .rooms
        .room_create(secret, [0xab; 32], act())
        .await
        .unwrap();
    let audit = records.audit.list(10, None).await.unwrap();
    let text = format!("{outcome:?} {audit:?}");
    assert!(text.contains("1 not shown"), "{text}");
    for leak in ["sesame", "171, 171", "abababab"] {
        assert!(!text.contains(leak), "{leak} in {text}");
    }
}

#[tokio::test]
async fn pollers_see_every_change_once() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    assert_eq!(here.rooms.rooms_changed_since(0).await.unwrap().change, 0);
    made(&there, "eras").await;
    made(&there, "other").await;
    let first = here.rooms.rooms_changed_since(0).await.unwrap();
    assert_eq!((first.rooms.len(), first.deleted.len()), (2, 0));
    there
        .rooms
        .room_override(
            &room("eras"),
            Some(Override::Pause),
            Some("late".to_owned()),
            act(),
        )
        .await
        .unwrap();
    assert!(
        there
            .rooms
            .room_delete(&room("other"), act())
            .await
            .unwrap()
    );
    assert!(
        !there
            .rooms
            .room_delete(&room("other"), act())
            .await
            .unwrap()
    );
    let second = here.rooms.rooms_changed_since(first.change).await.unwrap();
    assert_eq!(second.rooms.len(), 1);
    assert_eq!(second.rooms[0].overridden, Some(Override::Pause));
    assert_eq!(second.rooms[0].paused_reason.as_deref(), Some("late"));
    assert_eq!(second.deleted, [room("other")]);
    let third = here.rooms.rooms_changed_since(second.change).await.unwrap();
    assert!(third.rooms.is_empty() && third.deleted.is_empty());
    assert_eq!(third.change, second.change);
    // A database restored to an earlier state is behind what the poller knows.
    let restored = here.rooms.rooms_changed_since(second.change + 50).await;
    assert_eq!(
        restored.unwrap(),
        here.rooms.rooms_changed_since(0).await.unwrap()
    );
}

/// Versions that each room of the next test reaches.
const VERSIONS: i64 = 11;

#[tokio::test]
async fn a_change_never_becomes_visible_after_a_later_one() {
    let database = TestDatabase::create().await;
    let records = database.records();
    let writers: Vec<_> = (0..6)
        .map(|n| {
            let records = database.records();
            async move {
                let name = format!("room-{n}");
                made(&records, &name).await;
                let mut version = 1;
                while version < VERSIONS {
                    match records.rooms.room_put(settings(&name), None, act()).await {
                        Ok(PutOutcome::Written(record)) => version = record.version,
                        Ok(other) => panic!("{other:?}"),
                        // A loaded machine; it may have been written.
                        Err(error) => assert!(error.is_passing(), "{error}"),
                    }
                }
            }
        })
        .collect();
    let poller = async {
        let (mut change, mut versions) = (0, std::collections::BTreeMap::new());
        let deadline = Instant::now() + Duration::from_secs(20);
        while versions.values().filter(|v| **v >= VERSIONS).count() < 6 {
            assert!(
                Instant::now() < deadline,
                "changes were missed: {versions:?}"
            );
            let changes = match records.rooms.rooms_changed_since(change).await {
                Ok(changes) => changes,
                Err(error) if error.is_passing() => continue,
                Err(error) => panic!("{error}"),
            };
            change = changes.change;
            for record in changes.rooms {
                versions.insert(record.settings.room, record.version);
            }
        }
    };
    tokio::join!(poller, futures_util::future::join_all(writers));
}

#[tokio::test]
async fn of_two_managers_with_one_version_one_wins() {
    let database = TestDatabase::create().await;
    let (here, there) = (database.records(), database.records());
    let version = made(&here, "eras").await.version;
    for _ in 0..10 {
        let version = here
            .rooms
            .room_get(&room("eras"))
            .await
            .unwrap()
            .unwrap()
            .version;
        let (a, b) = tokio::join!(
            here.rooms.room_put(settings("eras"), Some(version), act()),
            there.rooms.room_put(settings("eras"), Some(version), act()),
        );
        let outcomes = [a.unwrap(), b.unwrap()];
        let written = outcomes
            .iter()
            .filter(|o| matches!(o, PutOutcome::Written(r) if r.version == version + 1))
            .count();
        assert_eq!(written, 1, "{outcomes:?}");
        assert!(outcomes.contains(&PutOutcome::Stale(version + 1)));
    }
    assert_eq!(
        here.rooms
            .room_put(settings("eras"), Some(version), act())
            .await
            .unwrap(),
        PutOutcome::Stale(version + 10)
    );
    assert_eq!(
        here.rooms
            .room_put(settings("none"), None, act())
            .await
            .unwrap(),
        PutOutcome::Absent
    );
    // One record for the creation and one for each change that was made, none for the refused.
    assert_eq!(here.audit.list(100, None).await.unwrap().len(), 11);
}

#[tokio::test]
async fn resume_goes_back_to_what_the_pause_replaced() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    for (word, resumed) in [
        (None, None),
        (Some(Override::Open), Some(Override::Open)),
        (Some(Override::Close), Some(Override::Close)),
    ] {
        let set = |word, reason: Option<&str>| {
            records
                .rooms
                .room_override(&eras, word, reason.map(str::to_owned), act())
        };
        set(word, None).await.unwrap();
        set(Some(Override::Pause), Some("one")).await.unwrap();
        let paused = set(Some(Override::Pause), Some("two"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(paused.paused_reason.as_deref(), Some("two"));
        let after = records
            .rooms
            .room_resume(&eras, act())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((after.overridden, after.paused_reason), (resumed, None));
        assert_eq!(
            records
                .rooms
                .room_get(&eras)
                .await
                .unwrap()
                .unwrap()
                .overridden,
            resumed
        );
    }
    let lifted = records
        .rooms
        .room_resume(&eras, act())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        lifted.overridden, None,
        "a closed room goes back to its schedule"
    );
}

#[tokio::test]
async fn the_seed_is_revealed_once() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    let reveal = |ms| records.rooms.seed_reveal(&eras, Timestamp::from_ms(ms));
    let first = reveal(1_000).await.unwrap().unwrap();
    let second = reveal(2_000).await.unwrap().unwrap();
    assert_eq!(first, second);
    assert_eq!(first.opened_at, Some(Timestamp::from_ms(1_000)));
    assert_eq!(
        records
            .rooms
            .seed_reveal(&room("none"), Timestamp::EPOCH)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn no_live_key_is_reserved_twice() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let (eras, rooms) = (room("eras"), &records.rooms);
    let reserve = async |reached, count| {
        let reserved = rooms.order_keys_reserve(&eras, reached, count).await;
        reserved.unwrap().unwrap()
    };
    let range = |term, after, limit, is_ahead| KeyRange {
        term,
        after,
        limit,
        is_ahead,
    };
    assert_eq!(reserve(100, 50).await, range(1, 100, 150, false));
    // The next server goes on above all of it, whatever clock it has.
    assert_eq!(reserve(120, 50).await, range(2, 150, 200, true));
    assert_eq!(reserve(300, 50).await, range(3, 300, 350, false));
    let extend = async |term, limit| {
        let extended = rooms.order_keys_extend(&eras, term, limit).await;
        extended.unwrap()
    };
    assert_eq!(extend(2, 900).await, None, "another server has followed");
    assert_eq!(extend(3, 400).await, Some(400));
    assert_eq!(extend(3, 10).await, Some(400));
    assert_eq!(reserve(0, 1).await, range(4, 400, 401, true));
    // Those who ask at once get ranges that do not meet.
    let asked = (0..4).map(async |_| {
        loop {
            // A busy machine may keep one waiting for a connection.
            if let Ok(Some(range)) = rooms.order_keys_reserve(&eras, 0, 10).await {
                return range;
            }
        }
    });
    let mut ranges = futures_util::future::join_all(asked).await;
    ranges.sort_by_key(|range| range.term);
    assert!(ranges[0].after >= 401, "{ranges:?}");
    let met = ranges.windows(2).find(|pair| pair[0].limit > pair[1].after);
    assert_eq!(met, None);
    // Keys end where numbers are not exact any more.
    let last = reserve(CLOCK_MAX - 3, 50).await;
    assert_eq!((last.after, last.limit), (CLOCK_MAX - 3, CLOCK_MAX));
    let none_left = reserve(u64::MAX, u64::MAX).await;
    assert_eq!((none_left.after, none_left.limit), (CLOCK_MAX, CLOCK_MAX));
}

#[tokio::test]
async fn what_a_gateway_of_the_version_before_gave_is_not_given_again() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    // It wrote its clock once a second.
    let floor = i64::try_from(LIVE_BASE + 5_000).unwrap();
    let written = sqlx::query("update rooms set order_floor = $1").bind(floor);
    let pool = sqlx::PgPool::connect_with(database.options())
        .await
        .unwrap();
    written.execute(&pool).await.unwrap();
    let reserved = records.rooms.order_keys_reserve(&eras, 5_100, 9).await;
    let ten_seconds = 10_000 << 10;
    assert_eq!(reserved.unwrap().unwrap().after, 5_000 + ten_seconds);
}

#[tokio::test]
async fn a_new_room_of_an_old_name_starts_anew() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    let reserve = |reached| records.rooms.order_keys_reserve(&eras, reached, 9);
    assert_eq!(reserve(500).await.unwrap().unwrap().term, 1);
    records
        .admissions
        .append(&eras, &batch(1, 3))
        .await
        .unwrap();
    records.rooms.room_delete(&eras, act()).await.unwrap();
    assert_eq!(reserve(6).await.unwrap(), None);
    let extended = records.rooms.order_keys_extend(&eras, 1, 999).await;
    assert_eq!(extended.unwrap(), None);
    let again = made(&records, "eras").await;
    assert_eq!((again.epoch, again.overridden), (1, None));
    // Its keys begin anew, under a term that no gateway of the old room has.
    let reserved = reserve(6).await.unwrap().unwrap();
    assert_eq!((reserved.term, reserved.after), (2, 6));
    assert!(again.version > 1, "an ETag of the old room must not fit");
    records
        .admissions
        .append(&eras, &batch(2, 3))
        .await
        .unwrap();
    assert_eq!(verified_log(&records, &eras).await.len(), 6);
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
            let seqs = records.admissions.append(&eras, &batch).await.unwrap();
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
    let seqs = here.admissions.append(&eras, &first).await.unwrap();
    assert_eq!(seqs, (1..=5_000).collect::<Vec<_>>());
    here.admissions.append(&eras, &batch(2, 3)).await.unwrap();
    let head = here.admissions.head(&eras).await.unwrap();
    let mut later = first.clone();
    later.called_at = later.called_at.plus(Duration::from_secs(9));
    let (a, b) = tokio::join!(
        here.admissions.append(&eras, &later),
        there.admissions.append(&eras, &later),
    );
    assert_eq!((a.unwrap(), b.unwrap()), (seqs.clone(), seqs));
    assert_eq!(here.admissions.head(&eras).await.unwrap(), head);
    let mut other = first;
    other.places.swap(0, 1);
    let refused = here.admissions.append(&eras, &other).await;
    assert!(
        matches!(refused, Err(RecordsError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(verified_log(&here, &eras).await.len(), 5_003);
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
            here.admissions.append(&eras, &batch),
            there.admissions.append(&eras, &batch),
        );
        assert_eq!(a.unwrap(), b.unwrap());
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
        let append = records.admissions.append(&eras, &batch);
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
    while records.admissions.append(&eras, &again).await.is_err() {
        assert!(Instant::now() < deadline, "the pool did not recover");
    }
    records.database.ping().await.unwrap();
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state = 'idle in transaction'",
    )
    .fetch_one(&records.pool)
    .await
    .unwrap();
    assert_eq!(open, 0);
    // What the callers began before they went comes to its end.
    records.tasks.close();
    records.tasks.wait().await;
    assert_eq!(verified_log(&records, &eras).await.len() % 200, 1);
}

#[tokio::test]
async fn a_connection_killed_during_an_append_leaves_nothing_half_done() {
    let database = TestDatabase::create().await;
    let records = database.records();
    made(&records, "eras").await;
    let eras = room("eras");
    records
        .admissions
        .append(&eras, &batch(1, 10))
        .await
        .unwrap();
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
    let (result, ()) = tokio::join!(records.admissions.append(&eras, &lost), killer);
    assert!(result.is_err_and(|error| error.is_passing()));
    sqlx::query("rollback").execute(&mut *holder).await.unwrap();
    drop(holder);
    assert_eq!(verified_log(&records, &eras).await.len(), 10);
    // The leader repeats it.
    records.admissions.append(&eras, &lost).await.unwrap();
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
    records.admissions.append(&eras, &first).await.unwrap();
    records.admissions.append(&eras, &second).await.unwrap();
    let page = records.admissions.served_places(&eras, 3, 3).await.unwrap();
    assert_eq!(page.iter().map(|a| a.seq).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(page[0].place, first.places[3].0);
    let never = records.admissions.append(&room("none"), &first).await;
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
    records.admissions.append(&eras, &first).await.unwrap();
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
    records.admissions.append(&eras, &second).await.unwrap();
    assert_eq!(fate().await, [Some(Fate::Returned), None, None]);
}

#[tokio::test]
async fn a_database_that_is_gone_is_noticed_within_a_second_and_found_again() {
    let database = TestDatabase::create().await;
    let options = database.options();
    let proxy = TcpProxy::start(format!("{}:{}", options.get_host(), options.get_port())).await;
    let options = options.host("127.0.0.1").port(proxy.address.port());
    let records = Records::on(line::records::pool_options().connect_lazy_with(options));
    for line in [Line::Cut, Line::Silent] {
        records.database.ping().await.unwrap();
        proxy.set(line);
        for _ in 0..3 {
            let began = Instant::now();
            let error = records.rooms.room_list().await.unwrap_err();
            assert!(error.is_passing(), "{line:?}: {error:?}");
            assert!(began.elapsed() < Duration::from_secs(1), "{line:?}");
        }
        proxy.set(Line::Up);
        let deadline = Instant::now() + Duration::from_secs(5);
        while records.database.ping().await.is_err() {
            assert!(Instant::now() < deadline, "{line:?}: never found again");
        }
    }
}
