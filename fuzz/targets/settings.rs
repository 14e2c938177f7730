//! Settings of rooms, as managers send them: each is either refused by name or makes sense, and
//! what is stored is read as it was written.

#![no_main]

use contract::room::RoomSettings;
use contract::settings::validate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(settings) = serde_json::from_slice::<RoomSettings>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&settings).expect("what was read can be written");
    let again: RoomSettings =
        serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, settings);
    match validate(&settings) {
        Ok(()) => {
            for path in &settings.paths {
                let _prefix: contract::path::PathPrefix = path.parse().expect("a checked prefix");
            }
            for host in &settings.hosts {
                let _host: contract::host::AnsweredHost = host.parse().expect("a checked host");
            }
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
});
