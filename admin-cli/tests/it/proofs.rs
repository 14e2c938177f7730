//! The draw and the admission log, verified over HTTP.

use contract::line::DrawDocument;
use serde_json::{Value, json};

use crate::command::run;
use crate::stand_in::StandIn;

const COMMITMENT: &str = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
const SEED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn draw(seed: Option<&str>) -> DrawDocument {
    DrawDocument {
        room: "eras".parse().unwrap(),
        algorithm: "HMAC-SHA256".to_owned(),
        commitment: COMMITMENT.to_owned(),
        seed: seed.map(str::to_owned),
        revealed_at: None,
        nonce: None,
        order_key: None,
    }
}

#[test]
fn a_draw_is_verified_with_a_visitors_nonce() {
    let stand_in = StandIn::start();
    stand_in.know().draw = Some(draw(Some(SEED)));
    let line = "draw verify eras --nonce AAECAwQFBgcICQoLDA0ODw --order-key 4380303371600603";
    let shown = run(&stand_in, line).ends_with(0);
    assert!(
        shown.out.contains("4380303371600603") && shown.out.contains("genuine"),
        "{}",
        shown.out
    );
    let verdict = run(&stand_in, &format!("{line} --json"))
        .ends_with(0)
        .json();
    assert_eq!(
        (&verdict["verified"], &verdict["seedMatches"]),
        (&json!(true), &json!(true))
    );
    run(&stand_in, &format!("{line}1")).ends_with(1);
}

#[test]
fn a_forged_or_unpublished_draw_is_not_verified() {
    let stand_in = StandIn::start();
    run(&stand_in, "draw verify eras").ends_with(5);
    stand_in.know().draw = Some(draw(None));
    let early = run(&stand_in, "draw verify eras").ends_with(1);
    assert!(
        early.out.contains(COMMITMENT) && early.out.contains("yet"),
        "{}",
        early.out
    );
    stand_in.know().draw = Some(draw(Some(&SEED.replace("1f", "1e"))));
    let forged = run(&stand_in, "draw verify eras").ends_with(1);
    assert!(
        forged.out.contains("NOT what was committed to"),
        "{}",
        forged.out
    );
}

/// A log of three calls. The hashes were computed by an independent implementation.
fn log() -> Vec<Value> {
    [
        (
            1,
            "BwcHBwcHBwcHBwcHBwcHBw",
            "1183298394857",
            0,
            "e8e8c0dd37a2a1e319fd146ac14304179b60288204399fca0e447c63577440e2",
        ),
        (
            2,
            "CAgICAgICAgICAgICAgICA",
            "4503599627370497",
            100,
            "eebf0022e3261450cf631e291b08235a23e616b05fedb11f088c9fd5bb92be0f",
        ),
        (
            3,
            "CQkJCQkJCQkJCQkJCQkJCQ",
            "4503599627370496",
            100,
            "33fd1f6e53f40d1fe99a18d9afffd78d0022cf506da0454c81b36eca88ba073d",
        ),
    ]
    .map(|(seq, place, order_key, ms, hash)| {
        json!({"seq": seq, "place": place, "orderKey": order_key,
               "calledAt": contract::Timestamp::from_ms(1_790_000_000_000 + ms), "hash": hash})
    })
    .into()
}

fn lines(log: &[Value]) -> String {
    let texts: Vec<String> = log.iter().map(Value::to_string).collect();
    texts.join("\n") + "\n"
}

#[test]
fn the_admission_log_is_streamed_as_it_is() {
    let stand_in = StandIn::with_room("eras");
    stand_in.know().admissions = lines(&log());
    assert_eq!(
        run(&stand_in, "admissions eras --json")
            .ends_with(0)
            .json_lines(),
        log()
    );
    let table = run(&stand_in, "admissions eras").ends_with(0).out;
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("CAgICAgICAgICAgICAgICA"), "{table}");
    // A log without a final line end is whole all the same.
    stand_in.know().admissions = lines(&log()).trim_end().to_owned();
    assert_eq!(
        run(&stand_in, "admissions eras --json")
            .ends_with(0)
            .json_lines(),
        log()
    );
    run(&stand_in, "admissions other").ends_with(5);
}

#[test]
fn verify_finds_what_was_changed_in_the_admission_log() {
    let stand_in = StandIn::with_room("eras");
    stand_in.know().admissions = lines(&log());
    let verdict = run(&stand_in, "admissions eras --verify --json")
        .ends_with(0)
        .json();
    assert_eq!(
        (&verdict["records"], &verdict["verified"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(verdict["outOfOrder"], 1);
    let mut changed = log();
    changed[1]["orderKey"] = json!("1");
    stand_in.know().admissions = lines(&changed);
    let broken = run(&stand_in, "admissions eras --verify").ends_with(1);
    assert!(broken.out.contains("BROKEN at record 2"), "{}", broken.out);
}

#[test]
fn an_export_is_one_document_with_settings_and_log() {
    let stand_in = StandIn::with_room("eras");
    for log in [vec![], log()] {
        stand_in.know().admissions = lines(&log);
        for command in ["room export eras", "room export eras --json"] {
            let document = run(&stand_in, command).ends_with(0).json();
            assert_eq!(document["room"]["room"], "eras");
            assert_eq!(document["admissions"], json!(log));
        }
    }
    run(&stand_in, "room export other").ends_with(5);
    // What breaks off is not taken for the whole.
    stand_in.know().admissions = lines(&log()) + "{\"seq\": 4, ";
    let broken = run(&stand_in, "room export eras").ends_with(1);
    assert!(serde_json::from_str::<serde_json::Value>(&broken.out).is_err());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let stand_in = StandIn::with_room("eras");
    let many: String = std::iter::repeat_n(lines(&log()), 2000).collect();
    stand_in.know().admissions = many;
    let mut child = crate::command::ropeline(&std::env::temp_dir())
        .args(["admissions", "eras", "--json"])
        .env("ROPELINE_ADMIN_URL", stand_in.url())
        .env("ROPELINE_ADMIN_TOKEN", crate::stand_in::TOKEN)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(
        ended.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}
