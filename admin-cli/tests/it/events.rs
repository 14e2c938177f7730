//! The log of events, subscriptions, sales.

use serde_json::json;

use crate::command::run;
use crate::stand_in::StandIn;

const SUBSCRIPTION: &str = "sub_0190163d8694739baea51966c26f8ad9";

#[test]
fn events_are_listed_and_replayed_page_by_page() {
    let stand_in = StandIn::start();
    let listed = run(&stand_in, "events list --limit 2 --json")
        .ends_with(0)
        .json();
    let positions = |of: &serde_json::Value| {
        let events = of["events"].as_array().unwrap();
        events
            .iter()
            .map(|event| event["position"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(positions(&listed), [2499, 2500]);
    // A rare kind is looked for further back.
    let line = "events list --limit 2 --type booking.confirmed --json";
    assert_eq!(
        positions(&run(&stand_in, line).ends_with(0).json()),
        [1000, 2000]
    );
    let shown = run(&stand_in, "events list --limit 1").ends_with(0);
    for part in ["2500", "ticket.scanned", "bkg_1 eras-mumbai-1"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let all = run(&stand_in, "events replay --after 100")
        .ends_with(0)
        .json_lines();
    assert_eq!(all.len(), 2400);
    assert_eq!(
        (&all[0]["position"], &all[2399]["position"]),
        (&json!(101), &json!(2500))
    );
    run(&stand_in, "events erase fan@example.com").ends_with(2);
    let erased = run(&stand_in, "events erase fan@example.com --yes").ends_with(0);
    assert!(erased.out.contains("Erased."), "{}", erased.out);
}

#[test]
fn a_subscription_is_made_looked_at_and_replayed() {
    let stand_in = StandIn::start();
    let line = "subscription create https://crm.example/hook --type refund.made --after 0";
    let made = run(&stand_in, line).ends_with(0);
    assert!(made.out.contains("whsec_c2VjcmV0"), "{}", made.out);
    let listed = run(&stand_in, "subscription list").ends_with(0);
    assert!(
        listed.out.contains("disabled") && listed.out.contains("refund.made"),
        "{}",
        listed.out
    );
    let rotated = run(
        &stand_in,
        &format!("subscription rotate {SUBSCRIPTION} --json"),
    )
    .ends_with(0);
    assert_eq!(rotated.json()["secret"], "whsec_c2VjcmV0");
    let letters = run(
        &stand_in,
        &format!("subscription deliveries {SUBSCRIPTION} --status failed"),
    );
    let letters = letters.ends_with(0);
    assert!(letters.out.contains("answered 500"), "{}", letters.out);
    let again = run(
        &stand_in,
        &format!("subscription replay {SUBSCRIPTION} --failed"),
    )
    .ends_with(0);
    assert!(
        again.out.contains("3 dead letters are sent again"),
        "{}",
        again.out
    );
    run(&stand_in, &format!("subscription replay {SUBSCRIPTION}")).ends_with(2);
    // Scripts can tell by the exit code.
    let tested = run(&stand_in, &format!("subscription test {SUBSCRIPTION}")).ends_with(1);
    assert!(tested.out.contains("answered 500"), "{}", tested.out);
    run(&stand_in, &format!("subscription delete {SUBSCRIPTION}")).ends_with(2);
}

#[test]
fn sales_are_figures_and_values_for_a_spreadsheet() {
    let stand_in = StandIn::start();
    let shown = run(&stand_in, "sales").ends_with(0);
    for part in ["INR 10,050.00", "Front, left", "8 calls, 2 bought, 25 %"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let csv = run(&stand_in, "sales eras-mumbai-1 --hourly --csv").ends_with(0);
    let row =
        "eras-mumbai-1,2026-11-22T10:00:00.000Z,\"Front, left\",INR,3,1500000,1,500000,1000000,0,0";
    assert_eq!(csv.out.lines().nth(1), Some(row));
    assert!(csv.out.starts_with("show,hour,category,currency,"));
}
