//! Show files: whatever is in one, it is either a sound show or every fault has a text; a sound one
//! is sound when it is written again.

#![no_main]

use std::collections::BTreeSet;

use contract::Timestamp;
use libfuzzer_sys::fuzz_target;
use show_file::{read, seat_count};

const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

fuzz_target!(|bytes: &[u8]| {
    match read(bytes, NOW) {
        Ok(show) => {
            assert_eq!(show.seats.len(), seat_count(&show.file.sections));
            let labels: BTreeSet<_> = show
                .seats
                .iter()
                .map(|seat| seat.label().seat_id.to_string())
                .collect();
            assert_eq!(labels.len(), show.seats.len(), "two seats with one name");
            let written = serde_json::to_vec(&show.file).expect("what was read can be written");
            assert_eq!(read(&written, NOW).as_ref(), Ok(&show));
        }
        Err(faults) => assert!(!faults.is_empty()),
    }
});
