//! From one database to another.

use std::fs;

use backup::BackupError;

use crate::databases::{Installation, empty, files, place, restored, server, sql};

const LARGE: &str = "create table large as \
    select n, sha256(n::text::bytea)::text as noise from generate_series(1, 40000) n";
const NOTE: &str = "restore-unfinished";

#[tokio::test]
async fn what_was_backed_up_is_restored_and_nothing_of_later() {
    let (_kept, to) = place();
    let installation = Installation::make(1).await;
    sql(&installation.url(), "create table sold as select 1 as n");
    let taken = installation.back_up(&to, None).unwrap();
    sql(&installation.url(), "insert into sold values (2)");
    let (_data, data) = place();
    let url = empty(&server());

    let done = restored(&taken.file, &url, &data, None).unwrap();

    assert!(done.signing_keys.is_empty());
    assert_eq!(sql(&url, "select string_agg(n::text, ',') from sold"), "1");
    assert_eq!(sql(&url, "select count(*) from ticket_key_seals"), "1");
    assert_eq!(files(&data), ["admin-token", "signing-key.pem"]);
    let again = restored(&taken.file, &url, &data, None).unwrap_err();
    assert!(matches!(again, BackupError::NotEmpty(_)), "{again}");
}

#[tokio::test]
async fn a_restore_that_was_interrupted_left_nothing_and_is_repeated() {
    let (_kept, to) = place();
    let installation = Installation::make(1).await;
    sql(&installation.url(), LARGE);
    let taken = installation.back_up(&to, None).unwrap();
    assert!(
        taken.manifest.database_bytes() > 1 << 20,
        "more than a part"
    );
    let (_data, data) = place();
    let url = empty(&server());

    let stopped = restored(&taken.file, &url, &data, Some(1 << 20)).unwrap_err();

    assert!(matches!(stopped, BackupError::Stopped), "{stopped}");
    assert_eq!(sql(&url, "select to_regclass('large') is null"), "t");
    assert_eq!(files(&data), [NOTE], "a gateway does not start here");

    // Another backup is not mixed into it.
    let other = installation.back_up(&to.join("other.tar"), None).unwrap();
    let refused = restored(&other.file, &url, &data, None).unwrap_err();
    assert!(matches!(refused, BackupError::OtherRestore(_)), "{refused}");

    restored(&taken.file, &url, &data, None).unwrap();
    assert_eq!(sql(&url, "select count(*) from large"), "40000");
    assert_eq!(files(&data), ["admin-token", "signing-key.pem"]);
}

#[tokio::test]
async fn a_restore_that_ended_between_database_and_keys_goes_on() {
    let (_kept, to) = place();
    let installation = Installation::make(1).await;
    let taken = installation.back_up(&to, None).unwrap();
    let (_data, data) = place();
    let url = empty(&server());
    restored(&taken.file, &url, &data, Some(0)).unwrap_err();
    let note = fs::read(data.join(NOTE)).unwrap();
    restored(&taken.file, &url, &data, None).unwrap();
    // As when the process ended before it wrote the keys.
    fs::remove_file(data.join("signing-key.pem")).unwrap();
    fs::write(data.join(NOTE), &note).unwrap();

    restored(&taken.file, &url, &data, None).unwrap();

    assert_eq!(files(&data), ["admin-token", "signing-key.pem"]);
    // With the note alone, a database of somebody else is not taken for the restored one.
    let other = Installation::make(2).await;
    fs::write(data.join(NOTE), &note).unwrap();
    let refused = restored(&taken.file, &other.url(), &data, None).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
}

#[tokio::test]
async fn a_directory_with_other_keys_is_refused_before_the_database_is_touched() {
    let (_kept, to) = place();
    let installation = Installation::make(1).await;
    let taken = installation.back_up(&to, None).unwrap();
    let other = Installation::make(2).await;
    let url = empty(&server());
    let refused = restored(&taken.file, &url, other.data.path(), None).unwrap_err();
    assert!(
        matches!(refused, BackupError::OtherFiles { .. }),
        "{refused}"
    );
    assert_eq!(
        sql(
            &url,
            "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
        ),
        "0"
    );
    // With its own files it goes on: only the database was lost.
    restored(&taken.file, &url, installation.data.path(), None).unwrap();
}

#[tokio::test]
async fn a_backup_that_could_not_be_used_is_not_made() {
    let (_kept, to) = place();
    let installation = Installation::make(1).await;
    let other = Installation::make(2).await;
    let key = other.data.path().join("signing-key.pem");
    fs::copy(key, installation.data.path().join("signing-key.pem")).unwrap();
    let refused = installation.back_up(&to, None).unwrap_err();
    assert!(
        matches!(refused, BackupError::KeysMissing { .. }),
        "{refused}"
    );
    assert_eq!(
        files(&to),
        Vec::<String>::new(),
        "nothing half made is left"
    );
    sql(&other.url(), "drop table place_key_seals");
    let refused = other.back_up(&to, None).unwrap_err();
    assert!(matches!(refused, BackupError::NothingThere), "{refused}");
}

#[tokio::test]
async fn older_backups_go_and_files_of_others_stay() {
    let (_kept, to) = place();
    let installation = Installation::make(1).await;
    let first = installation.back_up(&to, None).unwrap();
    let name = first.file.file_name().unwrap().to_str().unwrap().to_owned();
    let (stem, _) = name.rsplit_once('-').unwrap();
    for other in [
        "20200101T000000Z.tar",
        "20200102T000000Z.tar.age",
        "notes.txt",
    ] {
        fs::write(to.join(format!("{stem}-{other}")), "").unwrap();
    }
    fs::remove_file(&first.file).unwrap();

    let taken = installation.back_up(&to, Some(2)).unwrap();

    assert_eq!(
        taken.removed,
        [to.join(format!("{stem}-20200101T000000Z.tar"))]
    );
    assert_eq!(files(&to).len(), 3);
}

#[tokio::test]
async fn an_unreachable_database_is_told_in_its_own_words() {
    let nowhere = backup::Address::parse("postgres://nobody@127.0.0.1:1/x").unwrap();
    let source = backup::Source {
        address: nowhere,
        data_dir: std::path::PathBuf::from("/nowhere"),
        signing_keys: Vec::new(),
    };
    let (_kept, to) = place();
    let taken = backup::create(&source, &to, &backup::Protection::Plain, None, &mut |_| {
        Ok(())
    });
    let refused = taken.unwrap_err().to_string();
    assert!(
        refused.contains("psql failed") && refused.contains("127.0.0.1"),
        "{refused}"
    );
}
