//! Shows: import and list.

use serde_json::{Value, json};

use crate::command::{run, run_with};
use crate::stand_in::StandIn;

fn file() -> Value {
    json!({
        "showId": "eras-mumbai-1",
        "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
        "title": "The Eras Show",
        "venue": {"name": "Arena", "address": "1 Sea Road"},
        "startsAt": "2099-12-01T14:00:00Z",
        "currency": "INR",
        "categories": [{"category": "PREMIUM", "name": "Premium", "priceMinor": 1_500_000},
                       {"category": "STANDARD", "name": "Standard", "priceMinor": 500_000}],
        "sections": [{"name": "Stalls", "category": "PREMIUM", "rows": ["A", "B"],
                      "seatsPerRow": 10},
                     {"name": "Balcony", "category": "STANDARD", "rows": ["C"], "seatsPerRow": 20}]
    })
}

#[test]
fn an_import_tells_whether_it_created_updated_or_changed_nothing() {
    let stand_in = StandIn::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eras.json");
    std::fs::write(&path, file().to_string()).unwrap();
    let line = format!("show import {}", path.display());
    let created = run(&stand_in, &line).ends_with(0);
    for shown in [
        "PREMIUM",
        "INR 15,000.00",
        "40 seats",
        "INR 5,000.00 to",
        "Created show eras",
    ] {
        assert!(
            created.out.contains(shown),
            "{shown:?} is not in {}",
            created.out
        );
    }
    assert!(run(&stand_in, &line).ends_with(0).out.contains("unchanged"));
    let mut changed = file();
    changed["title"] = json!("The Last Eras Show");
    let updated = run_with(
        &stand_in,
        "show import - --json",
        changed.to_string().as_bytes(),
    );
    let expected = json!({"showId": "eras-mumbai-1", "seatCount": 40, "outcome": "updated"});
    assert_eq!(updated.ends_with(0).json(), expected);

    let list = run(&stand_in, "show list").ends_with(0);
    assert!(
        list.out.contains("The Last Eras Show") && list.out.contains("39"),
        "{}",
        list.out
    );
}

#[test]
fn an_unsound_file_is_told_by_field_and_not_sent() {
    let stand_in = StandIn::start();
    let mut unsound = file();
    unsound["sections"][1]["rows"] = json!(["C", "C"]);
    unsound["holdSeconds"] = json!(5);
    let refused = run_with(&stand_in, "show import -", unsound.to_string().as_bytes()).ends_with(1);
    for shown in ["sections[1].rows[1]", "`C`", "holdSeconds"] {
        assert!(
            refused.err.contains(shown),
            "{shown:?} is not in {}",
            refused.err
        );
    }
    let with_accent = file().to_string().replace("Sea Road", "Caf\u{e9}");
    let latin_1 = with_accent.chars().map(|it| u8::try_from(it).unwrap());
    let latin_1: Vec<u8> = latin_1.collect();
    let refused = run_with(&stand_in, "show import -", &latin_1).ends_with(1);
    assert!(refused.err.contains("save it as UTF-8"), "{}", refused.err);
    unsound["venue"]["name"] = json!(5);
    unsound["showId"] = json!("Eras!");
    let refused = run_with(&stand_in, "show import -", unsound.to_string().as_bytes()).ends_with(1);
    for shown in ["venue.name", "showId", "holdSeconds"] {
        assert!(
            refused.err.contains(shown),
            "{shown:?} is not in {}",
            refused.err
        );
    }
    let refused = run_with(&stand_in, "show import -", b"showId: eras\n").ends_with(1);
    assert!(refused.err.contains("line 1, column 1"), "{}", refused.err);
    assert!(stand_in.know().shows.is_empty());
    run(&stand_in, "show import /nowhere.json").ends_with(1);
}

#[test]
fn a_dry_run_sends_nothing() {
    let stand_in = StandIn::start();
    let dry = run_with(
        &stand_in,
        "show import - --dry-run",
        file().to_string().as_bytes(),
    );
    assert!(dry.ends_with(0).out.contains("Nothing was sent"));
    assert!(stand_in.know().shows.is_empty());
}

#[test]
fn a_conflict_says_what_may_change() {
    let stand_in = StandIn::start();
    stand_in.know().shows_are_in_use = true;
    let refused = run_with(&stand_in, "show import -", file().to_string().as_bytes()).ends_with(6);
    assert!(refused.err.contains("showId"), "{}", refused.err);
    assert!(refused.out.is_empty(), "{}", refused.out);
    assert!(!refused.err.contains("room show"), "{}", refused.err);
}
