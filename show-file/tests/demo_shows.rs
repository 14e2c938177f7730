//! The demo's show files are sound, and the schema that is committed is the one of the code.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use contract::Timestamp;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn demo_shows_are_sound_and_not_twice() {
    let now = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    let mut shows = HashSet::new();
    for entry in fs::read_dir(root().join("demo")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display();
        // The show of tonight is dated when the demo starts.
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("@DAY@", "20261201");
        let text = text.replace("@STARTS_AT@", "2026-12-01T05:00:00Z");
        let checked = show_file::read(text.as_bytes(), now);
        let show = checked.unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        assert!(
            shows.insert(show.file.show_id),
            "{name}: its show exists twice"
        );
    }
    assert_eq!(shows.len(), 4);
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let path = root().join("docs/show-file.schema.json");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let schema = serde_json::to_string_pretty(&show_file::schema()).unwrap() + "\n";
    assert!(
        committed == schema,
        "run `ropeline show schema > docs/show-file.schema.json`"
    );
}

/// Every field that the types read is in the schema, and nothing else is allowed.
#[test]
fn the_schema_names_every_field_and_refuses_others() {
    let schema = show_file::schema();
    let show = fs::read(root().join("demo/show.json")).unwrap();
    let show: serde_json::Value = serde_json::from_slice(&show).unwrap();
    for name in show.as_object().unwrap().keys() {
        assert!(schema["properties"][name].is_object(), "{name}");
    }
    assert!(
        schema["properties"]["$schema"].is_object(),
        "editors write it into files"
    );
    assert_eq!(schema["additionalProperties"], false);
    for part in ["Venue", "ShowFileCity", "Category", "Section"] {
        assert_eq!(
            schema["$defs"][part]["additionalProperties"], false,
            "{part}"
        );
    }
    assert_eq!(schema["properties"]["holdSeconds"]["minimum"], 300);
    assert_eq!(
        schema["$defs"]["Section"]["properties"]["rows"]["items"]["maxLength"],
        32
    );
    assert!(!schema.to_string().contains("#/components"));
    let required = schema["required"].as_array().unwrap();
    assert!(
        required.iter().any(|name| name == "startsAt") && !required.iter().any(|n| n == "room")
    );
}
