//! Finding the gateway, speaking to it, and what is said when that fails.

use std::fs;
use std::net::TcpListener;

use serde_json::json;

use crate::command::{run, run_as, run_in};
use crate::stand_in::{StandIn, TOKEN};

#[test]
fn help_lists_the_exit_codes_and_shows_no_token() {
    let stand_in = StandIn::start();
    let help = run(&stand_in, "--help").ends_with(0);
    for shown in [
        "Exit codes:",
        "3  cannot reach the gateway",
        "ROPELINE_ADMIN_URL",
        "Examples:",
    ] {
        assert!(help.out.contains(shown), "{shown:?} is not in {}", help.out);
    }
    assert!(!help.out.contains(TOKEN), "the token is shown");
}

#[test]
fn nonsense_on_the_command_line_is_a_usage_error() {
    let stand_in = StandIn::with_room("eras");
    for line in [
        "room frobnicate",
        "room show Eras!",
        "room set eras",
        "room set eras --opens-at soon",
        "room set eras --message a --no-message",
        "room watch eras --count 0",
        "draw verify eras --nonce AAEC",
        "--admin-url nowhere room list",
    ] {
        let run = run(&stand_in, line).ends_with(2);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{line}");
    }
}

#[test]
fn a_program_is_told_of_its_nonsense_in_json() {
    let stand_in = StandIn::with_room("eras");
    for line in [
        "--json room frobnicate",
        "room show --json",
        "room list --json=yes --json",
    ] {
        let run = run(&stand_in, line).ends_with(2);
        let told: serde_json::Value = serde_json::from_str(&run.err).unwrap();
        assert_eq!(told["error"]["exitCode"], 2, "{line}");
        assert!(
            !told["error"]["title"].as_str().unwrap().is_empty(),
            "{line}"
        );
        assert!(run.out.is_empty(), "{line}");
    }
    // Help is no failure.
    let help = run(&stand_in, "--json --help").ends_with(0);
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
}

#[test]
fn a_named_directory_without_a_gateway_is_said_and_no_other_gateway_asked() {
    let cwd = tempfile::tempdir().unwrap();
    let typo = run_in(cwd.path(), "--data-dir /no/such/place room list").ends_with(2);
    assert!(typo.err.contains("/no/such/place"), "{}", typo.err);
    fs::create_dir(cwd.path().join(".ropeline")).unwrap();
    fs::write(cwd.path().join(".ropeline/admin.json"), "{").unwrap();
    let broken = run_in(cwd.path(), "room list").ends_with(1);
    assert!(broken.err.contains("admin.json"), "{}", broken.err);
    // What asks no gateway needs none.
    let schema = run_in(cwd.path(), "show schema").ends_with(0).json();
    assert_eq!(schema["title"], "Ropeline show file");
}

#[test]
fn a_gateway_on_this_machine_is_found_without_any_setting() {
    let stand_in = StandIn::with_room("eras");
    let cwd = tempfile::tempdir().unwrap();
    fs::create_dir(cwd.path().join(".demo")).unwrap();
    let announced = json!({"opsUrl": stand_in.url(), "publicUrl": stand_in.url(), "pid": 1});
    fs::write(cwd.path().join(".demo/admin.json"), announced.to_string()).unwrap();
    fs::write(cwd.path().join(".demo/admin-token"), TOKEN).unwrap();
    let list = run_in(cwd.path(), "room list --json").ends_with(0).json();
    assert_eq!(list["rooms"][0]["room"], "eras");
}

#[test]
fn an_unreachable_gateway_is_named_with_the_way_to_set_it() {
    // Bound but dropped at once, so that nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let cwd = tempfile::tempdir().unwrap();
    let line = format!("--admin-url http://{address} room list");
    let run = run_in(cwd.path(), &line).ends_with(3);
    assert!(
        run.err.contains(&format!("http://{address}")),
        "{}",
        run.err
    );
    assert!(run.err.contains("ROPELINE_ADMIN_URL"), "{}", run.err);
    assert!(run.err.to_lowercase().contains("refused"), "{}", run.err);

    let line = format!("--public-url http://{address} draw verify eras");
    let run = run_in(cwd.path(), &line).ends_with(3);
    assert!(run.err.contains("ROPELINE_PUBLIC_URL"), "{}", run.err);
}

#[test]
fn a_wrong_token_and_a_low_role_are_not_authorised() {
    let stand_in = StandIn::with_room("eras");
    let run = run_as(&stand_in, "wrong", "room list").ends_with(4);
    for shown in [
        "unauthorized",
        "No such token.",
        "req-7",
        "ROPELINE_ADMIN_TOKEN",
    ] {
        assert!(run.err.contains(shown), "{}", run.err);
    }
    run_as(&stand_in, "viewer", "room list").ends_with(0);
    let run = run_as(&stand_in, "viewer", "room open eras").ends_with(4);
    assert!(run.err.contains("forbidden"), "{}", run.err);
}

#[test]
fn with_json_a_failure_is_json_on_stderr() {
    let stand_in = StandIn::start();
    let run = run(&stand_in, "room show eras --json").ends_with(5);
    assert!(run.out.is_empty());
    let failure: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(failure["error"]["code"], "room-not-found");
    assert_eq!(failure["error"]["requestId"], "req-7");
    assert_eq!(failure["error"]["exitCode"], 5);
}

#[test]
fn what_is_not_the_operators_api_is_recognised() {
    let stand_in = StandIn::start();
    stand_in.know().check = json!({"unexpected": true});
    let run = run(&stand_in, "check").ends_with(1);
    assert!(
        run.err.contains("cannot be read") && run.err.contains("invariants"),
        "{}",
        run.err
    );
}

#[test]
fn the_public_listener_is_told_from_the_operators() {
    let stand_in = StandIn::with_room("eras");
    stand_in.know().is_public = true;
    for line in ["room list", "room open eras", "admissions eras"] {
        let refused = run(&stand_in, line).ends_with(2);
        let said = format!("{}/ is the public listener", stand_in.url());
        assert!(refused.err.contains(&said), "{line}: {}", refused.err);
        assert!(refused.err.contains("port 8081 unless"), "{}", refused.err);
    }
    let cwd = tempfile::tempdir().unwrap();
    fs::create_dir(cwd.path().join(".ropeline")).unwrap();
    let announced = json!({"opsUrl": "http://127.0.0.1:9", "publicUrl": stand_in.url()});
    fs::write(
        cwd.path().join(".ropeline/admin.json"),
        announced.to_string(),
    )
    .unwrap();
    let line = format!("--admin-url {} room list", stand_in.url());
    let refused = run_in(cwd.path(), &line).ends_with(2);
    let said = "the operators' listener is http://127.0.0.1:9";
    assert!(refused.err.contains(said), "{}", refused.err);
}

#[test]
fn completions_need_no_gateway() {
    let cwd = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let run = run_in(cwd.path(), &format!("completions {shell}")).ends_with(0);
        assert!(
            run.out.contains("ropeline") && run.out.contains("admissions"),
            "{shell}"
        );
    }
}

#[test]
fn a_check_that_finds_something_fails() {
    let stand_in = StandIn::start();
    let report = |violations: u64| {
        let invariants = json!([{"name": "CAP", "violations": 0},
                                {"name": "ONE-SEAT", "violations": violations}]);
        json!({"invariants": invariants, "clean": violations == 0})
    };
    stand_in.know().check = report(0);
    let clean = run(&stand_in, "check").ends_with(0);
    assert!(
        clean.out.contains("ONE-SEAT") && clean.out.contains("Clean"),
        "{}",
        clean.out
    );
    stand_in.know().check = report(2);
    let dirty = run(&stand_in, "check").ends_with(1);
    assert!(
        dirty.out.contains("NOT CLEAN") && dirty.out.contains("2 violations"),
        "{}",
        dirty.out
    );
    assert_eq!(
        run(&stand_in, "check --json").ends_with(1).json(),
        report(2)
    );
}

#[test]
fn the_audit_log_is_filtered_and_limited() {
    let stand_in = StandIn::start();
    let record = |id: i64, action: &str, target: &str| {
        json!({"id": id, "at": "2026-11-22T10:00:00.000Z", "actor": "meera", "action": action,
               "target": target, "before": {"rate": 600}, "after": {"rate": id}})
    };
    let records = [
        record(4, "room.set", "eras"),
        record(3, "room.pause", "eras"),
        record(2, "room.set", "other"),
        record(1, "show.import", "eras"),
    ];
    stand_in.know().audit = json!({"records": records});
    let table = run(&stand_in, "audit").ends_with(0).out;
    assert!(
        table.contains("meera") && table.contains("rate: 600 → 4"),
        "{table}"
    );
    let ids = |line: &str| {
        let list = run(&stand_in, line).ends_with(0).json();
        let records = list["records"].as_array().unwrap().clone();
        records
            .iter()
            .map(|it| it["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("audit --json"), [4, 3, 2, 1]);
    assert_eq!(ids("audit --json --target eras --action room."), [4, 3]);
    assert_eq!(ids("audit --json --limit 1"), [4]);
    // On whichever page they stand.
    assert_eq!(ids("audit --json --limit 3"), [4, 3, 2]);
    assert_eq!(ids("audit --json --target eras --limit 3"), [4, 3, 1]);
    assert_eq!(ids("audit --json --action show. --limit 1"), [1]);
}
