//! The end of an admission log.

use line::policy::outcome::{Fate, Outcome};
use line::records::{LogHead, RecordsError};
use test_support::database::TestDatabase;

use crate::records::{act, batch, made, room, verified_log};

#[tokio::test]
async fn a_purged_log_is_gone_for_good_and_a_new_room_begins_another() {
    let database = TestDatabase::create().await;
    let records = database.records();
    let eras = room("eras");
    assert_eq!(records.rooms.room_purge(&eras, act()).await.unwrap(), None);
    for deleted_before in [false, true] {
        made(&records, "eras").await;
        let append = |id| {
            let (records, eras) = (&records, &eras);
            async move {
                let appended = records.admissions.append(eras, &batch(id, 3), None).await?;
                Ok::<_, RecordsError>(appended.seqs.collect::<Vec<_>>())
            }
        };
        assert_eq!(append(1).await.unwrap(), [1, 2, 3]);
        let outcome = Outcome {
            seq: 1,
            place: batch(1, 1).places[0].0,
            fate: Fate::Left,
        };
        records
            .admissions
            .outcomes_note(&eras, &[outcome])
            .await
            .unwrap();
        if deleted_before {
            assert!(records.rooms.room_delete(&eras, act()).await.unwrap());
        }
        let purged = records.rooms.room_purge(&eras, act()).await.unwrap();
        assert_eq!(purged, Some(3), "{deleted_before}");
        assert_eq!(records.rooms.room_get(&eras).await.unwrap(), None);
        let head = records.admissions.head(&eras).await.unwrap();
        assert_eq!(head, LogHead::EMPTY);
        // A leader that has not heard of it adds nothing to a log that is gone.
        let late = append(2).await.unwrap_err();
        assert!(matches!(late, RecordsError::Conflict(_)), "{late}");
        // The same batch id is no repeat of what was purged.
        made(&records, "eras").await;
        assert_eq!(append(1).await.unwrap(), [1, 2, 3]);
        let served = records.admissions.served_places(&eras, 0, 10).await;
        let fates: Vec<_> = served.unwrap().iter().map(|served| served.fate).collect();
        assert_eq!(fates, [None; 3], "what became of those of the old room");
        assert_eq!(verified_log(&records, &eras).await.len(), 3);
        records.rooms.room_purge(&eras, act()).await.unwrap();
    }
}
