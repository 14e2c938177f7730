//! The gateway's command line: what it says of its configuration, and its exit status.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the gateway in `dir` with nothing but these variables and PATH.
fn gateway(dir: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ropeline-gateway"))
        .args(arguments)
        .env_clear()
        // Private servers' programs are looked for.
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(variables.iter().copied())
        .current_dir(dir)
        .output()
        .unwrap()
}

#[test]
fn bad_configuration_ends_with_64_and_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ropeline.toml"), "lissen = \"x\"\n").unwrap();
    let variables = [
        ("ROPELINE_LOG_FORMAT", "xml"),
        ("ROPELINE_LISTEN", "nowhere"),
        ("ROPELINE_DATABASE_URL", "mysql://x"),
    ];
    for arguments in [&[][..], &["config", "check"]] {
        let output = gateway(dir.path(), &variables, arguments);
        assert_eq!(output.status.code(), Some(64));
        let text = String::from_utf8(output.stderr).unwrap();
        for name in ["lissen", "LOG_FORMAT", "ROPELINE_LISTEN", "DATABASE_URL"] {
            assert!(text.contains(name), "{name} is missing from: {text}");
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_parsed_is_bad_configuration_too() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["--lissen", "x"][..], &["config"], &["--listen"]] {
        let output = gateway(dir.path(), &[], arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    for asks in ["--help", "--version"] {
        let output = gateway(dir.path(), &[], &[asks]);
        assert_eq!(output.status.code(), Some(0), "{asks}");
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn a_check_prints_what_is_in_force_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ropeline.toml"), "log = \"debug\"\n").unwrap();
    let variables = [
        ("ROPELINE_REDIS_URL", ""),
        ("ROPELINE_DATA_DIR", ""),
        ("ROPELINE_CONFIG", ""),
        ("ROPELINE_DATABASE_URL", "postgres://me:hush@db/line"),
        ("ROPELINE_ADMIN_TOKEN", "hush"),
        ("ROPELINE_PAYMENT_SECRET", "hush"),
    ];
    let output = gateway(dir.path(), &variables, &["config", "check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in [
        ("ROPELINE_LISTEN ", "127.0.0.1:8080  (default)"),
        ("ROPELINE_REDIS_URL ", "a private one  (default)"),
        ("ROPELINE_DATA_DIR ", ".ropeline  (default)"),
        ("ROPELINE_DATABASE_URL ", "postgres://me:[hidden]@db/line"),
        ("ROPELINE_LOG ", "debug  (ropeline.toml)"),
        ("Warning: ", "ROPELINE_ADMIN_TOKEN"),
    ] {
        let found = text
            .lines()
            .any(|l| l.starts_with(line.0) && l.contains(line.1));
        assert!(found, "{line:?} is missing from: {text}");
    }
    assert!(!text.contains("hush"), "{text}");
    assert!(text.trim_end().ends_with("The configuration is good."));
}

#[test]
fn a_check_finds_what_a_start_finds() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("signing-key.pem"), "not a key\n").unwrap();
    std::fs::create_dir(data.join("admin-token")).unwrap();
    let variables = [
        ("ROPELINE_DATA_DIR", "data"),
        ("ROPELINE_REDIS_URL", "redis://127.0.0.1:port/0"),
        ("ROPELINE_DATABASE_URL", "postgres://h:port/x"),
    ];
    let [started, checked] = [&[][..], &["config", "check"]].map(|arguments| {
        let output = gateway(dir.path(), &variables, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    });
    assert_eq!(started, checked);
    for named in [
        "signing-key.pem: not an Ed25519 private key",
        "admin-token: ",
        "ROPELINE_REDIS_URL: ",
        "ROPELINE_DATABASE_URL: ",
    ] {
        assert!(
            checked.contains(named),
            "{named} is missing from: {checked}"
        );
    }
}

#[test]
fn https_and_the_default_simulator_are_a_good_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("ROPELINE_PUBLIC_URL", "https://tickets.example")];
    let output = gateway(dir.path(), &variables, &["config", "check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_settings_file_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let written = gateway(dir.path(), &[], &["init"]);
    assert_eq!(written.status.code(), Some(0));
    let file = dir.path().join("ropeline.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\n#listen = \"127.0.0.1:8080\"\n"), "{text}");
    let checked = gateway(dir.path(), &[], &["config", "check"]);
    assert_eq!(checked.status.code(), Some(0));
    std::fs::write(&file, "log = \"debug\"\n").unwrap();
    let refused = gateway(dir.path(), &[], &["init"]);
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("ropeline.toml is there already"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "log = \"debug\"\n");
}

#[test]
fn a_site_that_cannot_be_stood_before_is_bad_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--origin", "shop:3000"][..], "--origin: "),
        (
            &["--origin", "http://127.0.0.1:8080"],
            "is this gateway itself",
        ),
        (&["--rate", "600"], "belong to --origin"),
        (
            &["--origin", "http://shop", "--rate", "-1", "--path", "x"],
            "--path: ",
        ),
    ] {
        let output = gateway(dir.path(), &[], arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{said} is missing from: {text}");
    }
}
