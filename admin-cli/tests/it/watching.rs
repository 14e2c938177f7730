//! `room watch` without a terminal.

use crate::command::run;
use crate::stand_in::StandIn;

#[test]
fn json_is_one_document_a_refresh() {
    let stand_in = StandIn::with_room("eras");
    let watched = run(&stand_in, "room watch eras --json --count 3 --every 0s").ends_with(0);
    let lines = watched.json_lines();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|stats| stats["inLine"] == 48_211));
    assert_eq!(stand_in.know().stats_asked, 3);
}

#[test]
fn without_a_terminal_a_line_a_refresh_is_written() {
    let stand_in = StandIn::with_room("eras");
    let watched = run(&stand_in, "room watch eras --count 2 --every 0s").ends_with(0);
    assert_eq!(watched.out.lines().count(), 2);
    assert!(
        watched
            .out
            .contains("in-line=48,211 called=30 active=450/1,000"),
        "{}",
        watched.out
    );
}

#[test]
fn an_idle_room_is_said_to_hold_nobody_up_once() {
    let stand_in = StandIn::with_room("eras");
    let watched = run(&stand_in, "room watch eras --count 3 --every 0s").ends_with(0);
    let said = "Room eras is idle: everyone passes through until you open it";
    assert_eq!(watched.err.matches(said).count(), 1, "{}", watched.err);
    let watched = run(&stand_in, "room watch eras --json --count 1 --every 0s").ends_with(0);
    assert!(watched.err.is_empty(), "{}", watched.err);
}

#[test]
fn a_lapse_is_told_and_survived() {
    let stand_in = StandIn::with_room("eras");
    stand_in.know().stats_failing = vec![2];
    let watched = run(&stand_in, "room watch eras --plain --count 3 --every 0s").ends_with(0);
    assert_eq!(watched.out.lines().count(), 2);
    assert!(watched.err.contains("Redis does not answer") && watched.err.contains("trying again"));
}

#[test]
fn a_room_that_cannot_be_read_at_all_fails_at_once() {
    let stand_in = StandIn::with_room("eras");
    run(&stand_in, "room watch other --plain").ends_with(5);
    stand_in.know().stats_failing = vec![2];
    run(&stand_in, "room watch eras --plain").ends_with(1);
}
