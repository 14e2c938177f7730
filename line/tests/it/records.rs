//! Rooms, the admission log and the audit log on PostgreSQL.

use std::time::Duration;

use contract::room::{Override, RoomSettings};
use contract::{Clock, ManualClock, PlaceId, RoomId, Timestamp};
use futures_util::TryStreamExt;
use line::policy::order::{CLOCK_MAX, KeyRange, LIVE_BASE};
use line::records::{
    Act, AdmissionBatch, CreateOutcome, LogHead, PutOutcome, RoomRecord, chain_verify,
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
        .append(&eras, &batch(1, 3), None)
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
        .append(&eras, &batch(2, 3), None)
        .await
        .unwrap();
    assert_eq!(verified_log(&records, &eras).await.len(), 6);
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
