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
fn a_dry_run_finds_what_the_gateway_would_refuse() {
    let stand_in = StandIn::with_room("eras");
    run(&stand_in, "room create other --path /pay").ends_with(0);
    for (line, said) in [
        (
            "--rate 10000001",
            "newUsersPerMinute: 10000001 is out of range",
        ),
        ("--cap 0", "totalActiveUsers: 0 is out of range"),
        ("--path /Pay/", "is protected by the room `other`"),
        ("--upstream ftp://shop", "a scheme other than http"),
        ("--challenge pow", "cannot check a proof of work"),
    ] {
        let line = format!("room set eras --dry-run {line}");
        let refused = run(&stand_in, &line).ends_with(1);
        assert!(refused.err.contains(said), "{line}: {}", refused.err);
        assert!(refused.out.is_empty(), "{line}: {}", refused.out);
    }
    // What the room protects already is its own affair.
    run(&stand_in, "room set eras --dry-run --path /a").ends_with(0);
    let dry = run(&stand_in, "room set eras --dry-run --rate 5").ends_with(0);
    assert!(dry.out.contains("Only the gateway knows"), "{}", dry.out);
    assert!(stand_in.know().writes.is_empty());
}

#[test]
fn what_lets_everyone_through_is_said() {
    let stand_in = StandIn::start();
    let passes = "everyone passes through until you open it: `ropeline room open eras`";
    let created = run(&stand_in, "room create eras").ends_with(0);
    for line in [created, run(&stand_in, "room set eras --title Eras")] {
        let line = line.ends_with(0);
        let said = format!("Room eras is idle: {passes}.");
        assert!(line.out.contains(&said), "{}", line.out);
    }
    for line in ["room show eras", "room list"] {
        let shown = run(&stand_in, line).ends_with(0);
        assert!(shown.out.contains(passes), "{line}: {}", shown.out);
    }
    let scheduled = run(
        &stand_in,
        "room set eras --prequeue-opens-at 2099-01-01T00:00:00Z",
    );
    let scheduled = scheduled.ends_with(0);
    let said = "everyone passes through until 2099-01-01 00:00:00 UTC";
    assert!(scheduled.out.contains(said), "{}", scheduled.out);
}

#[test]
fn resuming_a_closed_room_says_that_the_schedule_decides() {
    let stand_in = StandIn::with_room("eras");
    run(&stand_in, "room close eras --yes").ends_with(0);
    let resumed = run(&stand_in, "room resume eras").ends_with(0);
    assert_eq!(
        resumed.out,
        "Room eras was closed by command and follows its schedule now.\n\
         Room eras is idle: everyone passes through until you open it: `ropeline room open eras`.\n"
    );
    run(&stand_in, "room pause eras").ends_with(0);
    let resumed = run(&stand_in, "room resume eras").ends_with(0);
    assert!(!resumed.out.contains("schedule"), "{}", resumed.out);
}

#[test]
fn settings_that_may_not_be_meant_are_taken_with_a_warning() {
    let stand_in = StandIn::with_room("eras");
    let set = run(&stand_in, "room set eras --rate 0").ends_with(0);
    let said = "Warning: at a rate of 0 nobody is called until you raise it";
    assert!(set.err.contains(said), "{}", set.err);
    let opened = run(&stand_in, "room open eras").ends_with(0);
    assert!(opened.err.contains(said), "{}", opened.err);
    let created = run(&stand_in, "room create other --session-duration 1s --json").ends_with(0);
    let told: serde_json::Value = serde_json::from_str(&created.err).unwrap();
    let told = told["warning"].as_str().unwrap();
    assert!(told.contains("shorter than the 60 s"), "{told}");
    let set = run(&stand_in, "room set eras --title Eras").ends_with(0);
    assert!(set.err.is_empty(), "{}", set.err);
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
    let blank = run(&stand_in, "room pause eras --reason=").ends_with(0);
    assert_eq!(blank.out, "Room eras is paused (paused by command).\n");
    assert_eq!(stand_in.know().rooms["eras"].paused_reason, None);
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
