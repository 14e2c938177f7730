//! Check-in: counts, conflicts, tokens of scanners.

use serde_json::{Value, json};

use crate::command::run;
use crate::stand_in::StandIn;

const SCANNER: &str = "scn_0198c2e4f7a87c1e9d3b5a6f70812c3d";

fn place(gate: &str, device: &str) -> Value {
    json!({
        "gate": gate, "device": device, "scannerId": SCANNER,
        "at": "2026-12-24T13:00:00.000Z", "receivedAt": "2026-12-24T13:10:00.000Z",
    })
}

fn scanner(revoked_at: Option<&str>) -> Value {
    json!({
        "scannerId": SCANNER, "showId": "eras", "gate": "North",
        "createdAt": "2026-12-24T10:00:00.000Z", "until": "2099-12-26T02:00:00.000Z",
        "revokedAt": revoked_at,
    })
}

fn stand_in() -> StandIn {
    let stand_in = StandIn::start();
    stand_in.know().checkin.extend([
        (
            "counts",
            json!({
                "tickets": 1200, "admitted": 1000, "inside": 990, "conflicts": 1,
                "gates": [{
                    "gate": "North", "entered": 1005, "left": 15, "refused": 3,
                    "lastScanAt": "2026-12-24T13:00:00.000Z",
                }],
            }),
        ),
        (
            "conflicts",
            json!({ "conflicts": [{
                "result": "DUPLICATE", "direction": "in", "admitted": true,
                "ticketId": "tkt_0198c2e4f7a87c1e9d3b5a6f70812c3d", "seatId": "A10",
                "scan": place("South", "Phone 2"), "earlier": place("North", "Phone 1"),
            }]}),
        ),
        (
            "scanners",
            json!({ "scanners": [scanner(None), scanner(Some("2026-12-24T12:00:00.000Z"))] }),
        ),
        (
            "made",
            json!({
                "scanner": scanner(None), "token": "rscan_secret",
                "url": "https://tickets.test/checkin/#token=rscan_secret",
            }),
        ),
    ]);
    stand_in
}

#[test]
fn counts_and_conflicts_are_told_to_people_and_programs() {
    let stand_in = stand_in();
    let counts = run(&stand_in, "checkin counts eras").ends_with(0).out;
    for shown in [
        "North",
        "1,005",
        "990 inside; 1,000 of 1,200 tickets came; 1 conflict.",
    ] {
        assert!(counts.contains(shown), "{shown:?} is not in {counts}");
    }
    let json = run(&stand_in, "checkin counts eras --json")
        .ends_with(0)
        .json();
    assert_eq!(json["inside"], 990);
    let conflicts = run(&stand_in, "checkin conflicts eras").ends_with(0).out;
    for shown in [
        "A10",
        "DUPLICATE",
        "Phone 1",
        "Phone 2",
        "1 conflict, 1 of them let in",
    ] {
        assert!(conflicts.contains(shown), "{shown:?} is not in {conflicts}");
    }
    let json = run(&stand_in, "checkin conflicts eras --json")
        .ends_with(0)
        .json();
    assert_eq!(json["conflicts"][0]["earlier"]["device"], "Phone 1");
    stand_in.know().checkin.remove("counts");
    run(&stand_in, "checkin counts nowhere").ends_with(5);
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let stand_in = stand_in();
    let create = "checkin token create --show eras --gate North --until 2026-12-25T00:00:00Z";
    let made = run(&stand_in, create).ends_with(0).out;
    assert!(
        made.contains("https://tickets.test/checkin/#token=rscan_secret"),
        "{made}"
    );
    let json = run(&stand_in, &format!("{create} --json"))
        .ends_with(0)
        .json();
    assert_eq!(json["token"], "rscan_secret");
    let asked: Value = serde_json::from_str(&stand_in.know().writes[0]).unwrap();
    let until = "2026-12-25T00:00:00.000Z";
    assert_eq!(
        asked,
        json!({"showId": "eras", "gate": "North", "until": until})
    );
    let list = run(&stand_in, "checkin tokens list --show eras")
        .ends_with(0)
        .out;
    assert!(list.contains("good") && list.contains("revoked"), "{list}");
    assert!(!list.contains("secret"));
    run(&stand_in, &format!("checkin token revoke {SCANNER}")).ends_with(0);
    let told = stand_in.know().writes.last().cloned();
    assert_eq!(told, Some(format!("revoke {SCANNER}")));
    run(&stand_in, "checkin token create --show eras").ends_with(2);
}
