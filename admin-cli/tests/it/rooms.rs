//! Rooms: create, list, show, set, commands, confirmations.

use serde_json::json;

use crate::command::run;
use crate::stand_in::StandIn;

#[test]
fn a_room_is_created_with_every_named_setting() {
    let stand_in = StandIn::start();
    let line = "room create eras --path /shows/eras --path /pay --rate 1200 --cap 5000 \
                --opens-at 2026-11-22T15:30:00+05:30 --session-duration 15m --json";
    let view = run(&stand_in, line).ends_with(0).json();
    assert_eq!(view["version"], 1);
    let know = stand_in.know();
    let settings = &know.rooms["eras"].settings;
    assert_eq!(settings.paths, ["/shows/eras", "/pay"]);
    assert_eq!(
        (settings.new_users_per_minute, settings.total_active_users),
        (1200, 5000)
    );
    assert_eq!(settings.session_duration_seconds, 900);
    assert_eq!(
        settings.opens_at.unwrap().to_string(),
        "2026-11-22T10:00:00.000Z"
    );
    drop(know);
    let again = run(&stand_in, "room create eras").ends_with(6);
    assert!(again.err.contains("already"), "{}", again.err);
}

#[test]
fn rooms_are_listed_for_people_and_for_programs() {
    let stand_in = StandIn::with_room("eras");
    let table = run(&stand_in, "room list").ends_with(0);
    for shown in ["room", "rate/min", "eras", "idle", "600", "/a"] {
        assert!(
            table.out.contains(shown),
            "{shown:?} is not in {}",
            table.out
        );
    }
    assert!(
        !table.out.contains('\u{1b}'),
        "colour outside a terminal: {:?}",
        table.out
    );
    let list = run(&stand_in, "room list --json").ends_with(0).json();
    assert_eq!(list["rooms"][0]["newUsersPerMinute"], 600);

    let empty = run(&StandIn::start(), "room list").ends_with(0);
    assert!(
        empty.out.is_empty() && empty.err.contains("room create"),
        "{}",
        empty.err
    );
}

#[test]
fn a_room_is_shown_in_full() {
    let stand_in = StandIn::with_room("eras");
    let shown = run(&stand_in, "room show eras").ends_with(0);
    for line in [
        "claim window",
        "draw commitment",
        "10 min, renewed up to 30 min",
        "by command",
    ] {
        assert!(shown.out.contains(line), "{line:?} is not in {}", shown.out);
    }
    let missing = run(&stand_in, "room show other").ends_with(5);
    assert!(missing.err.contains("room list"), "{}", missing.err);
}

#[test]
fn set_shows_before_and_after_and_keeps_the_rest() {
    let stand_in = StandIn::with_room("eras");
    let set = run(&stand_in, "room set eras --rate 1200 --message Soon").ends_with(0);
    let row = |name: &str| {
        let line = set
            .out
            .lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        row("newUsersPerMinute"),
        ["newUsersPerMinute", "600", "1200"]
    );
    assert_eq!(row("message"), ["message", "none", "Soon"]);
    let know = stand_in.know();
    let settings = &know.rooms["eras"].settings;
    assert_eq!(
        (settings.new_users_per_minute, settings.paths.len()),
        (1200, 1)
    );
}

#[test]
fn a_dry_run_and_an_idle_change_write_nothing() {
    let stand_in = StandIn::with_room("eras");
    let dry = run(&stand_in, "room set eras --rate 5 --dry-run").ends_with(0);
    assert!(dry.out.contains("newUsersPerMinute") && dry.out.contains("Nothing was changed"));
    let dry = run(&stand_in, "room set eras --rate 5 --dry-run --json")
        .ends_with(0)
        .json();
    let expected = json!([{"setting": "newUsersPerMinute", "before": 600, "after": 5}]);
    assert_eq!((&dry["changes"], &dry["dryRun"]), (&expected, &json!(true)));
    let idle = run(&stand_in, "room set eras --rate 600").ends_with(0);
    assert!(idle.out.contains("Nothing to change"), "{}", idle.out);
    assert!(stand_in.know().writes.is_empty());
}

#[test]
fn a_change_of_other_settings_meanwhile_is_kept() {
    let stand_in = StandIn::with_room("eras");
    stand_in.know().interloper = Some(|settings| settings.title = "Eras".to_owned());
    let set = run(&stand_in, "room set eras --rate 1200").ends_with(0);
    assert!(set.err.contains("title"), "{}", set.err);
    let know = stand_in.know();
    let settings = &know.rooms["eras"].settings;
    assert_eq!(
        (settings.title.as_str(), settings.new_users_per_minute),
        ("Eras", 1200)
    );
}

#[test]
fn a_change_of_the_same_setting_meanwhile_is_a_conflict() {
    let stand_in = StandIn::with_room("eras");
    stand_in.know().interloper = Some(|settings| settings.new_users_per_minute = 60);
    let set = run(&stand_in, "room set eras --rate 1200").ends_with(6);
    assert!(
        set.err.contains("newUsersPerMinute from 600 to 60"),
        "{}",
        set.err
    );
    assert_eq!(
        stand_in.know().rooms["eras"].settings.new_users_per_minute,
        60
    );
}

#[test]
fn commands_change_the_phase_and_tell_it() {
    let stand_in = StandIn::with_room("eras");
    let open = run(&stand_in, "room open eras").ends_with(0);
    assert_eq!(open.out, "Room eras is queueing (opened by command).\n");
    let pause = run(&stand_in, "room pause eras --reason Soon").ends_with(0);
    assert_eq!(
        pause.out,
        "Room eras is paused (paused by command: Soon).\n"
    );
    let view = run(&stand_in, "room resume eras --json")
        .ends_with(0)
        .json();
    assert_eq!(
        (&view["phase"], &view["override"]),
        (&json!("idle"), &json!(null))
    );
    run(&stand_in, "room open other").ends_with(5);
}

#[test]
fn close_and_delete_need_a_confirmation() {
    let stand_in = StandIn::with_room("eras");
    for verb in ["close", "delete"] {
        let refused = run(&stand_in, &format!("room {verb} eras")).ends_with(2);
        assert!(refused.err.contains("--yes"), "{}", refused.err);
    }
    assert!(stand_in.know().writes.is_empty() && stand_in.know().rooms.len() == 1);
    run(&stand_in, "room close eras --yes").ends_with(0);
    assert_eq!(stand_in.know().writes, ["close"]);
    let deleted = run(&stand_in, "room delete eras -y --json")
        .ends_with(0)
        .json();
    assert_eq!(deleted, json!({"room": "eras", "deleted": true}));
    assert!(stand_in.know().rooms.is_empty());
    run(&stand_in, "room delete eras --yes").ends_with(5);
}

#[test]
fn a_log_is_purged_when_asked_for_twice() {
    let stand_in = StandIn::with_room("eras");
    for (given, told) in [
        ("", "--yes"),
        (" --yes", "--confirm eras"),
        (" --yes --confirm other", "other"),
    ] {
        let refused = run(&stand_in, &format!("room delete eras --purge-log{given}"));
        let refused = refused.ends_with(2);
        assert!(refused.err.contains(told), "{given}: {}", refused.err);
    }
    // Without the purge there is nothing to confirm.
    run(&stand_in, "room delete eras --yes --confirm eras").ends_with(2);
    assert_eq!(stand_in.know().rooms.len(), 1);
    let purged = run(
        &stand_in,
        "room delete eras --yes --purge-log --confirm eras --json",
    );
    let purged = purged.ends_with(0).json();
    let told = json!({"room": "eras", "deleted": true, "purgedLog": true});
    assert_eq!(purged, told);
    assert_eq!(
        stand_in.know().writes,
        ["delete?purgeLog=true&confirm=eras"]
    );
}
