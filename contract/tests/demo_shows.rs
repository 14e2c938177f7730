//! The demo's show files are show files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use contract::SeatId;
use contract::booking::{Section, ShowFile};

/// The seats of a section; a seat's id is its row label and number.
#[expect(
    clippy::unwrap_used,
    reason = "a label that is no seat id fails the test"
)]
fn seats(section: &Section) -> impl Iterator<Item = SeatId> {
    section.rows.iter().flat_map(|row| {
        (1..=section.seats_per_row).map(move |number| format!("{row}{number}").parse().unwrap())
    })
}

#[test]
fn demo_shows_have_unique_seats_of_known_categories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let mut shows = HashSet::new();

    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display();
        let show: ShowFile = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let categories: HashSet<&str> = show
            .categories
            .iter()
            .map(|category| category.category.as_str())
            .collect();
        let mut known = HashSet::new();
        for section in &show.sections {
            assert!(
                categories.contains(section.category.as_str()),
                "{name}: {}",
                section.name
            );
            for seat in seats(section) {
                assert!(known.insert(seat.clone()), "{name}: two seats {seat}");
            }
            for seat in section.accessible.iter().chain(&section.blocked) {
                assert!(known.contains(seat), "{name}: no seat {seat}");
            }
        }
        assert!(shows.insert(show.show_id), "{name}: its show exists twice");
    }

    assert_eq!(shows.len(), 3);
}
