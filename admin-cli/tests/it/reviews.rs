//! Purchases in review.

use serde_json::json;

use crate::command::run;
use crate::review_stand_in::BOOKING;
use crate::stand_in::StandIn;

#[test]
fn a_review_is_listed_explained_and_decided() {
    let stand_in = StandIn::start();
    let list = run(&stand_in, "review list").ends_with(0);
    for shown in ["(soon)", "card-customers", "1 purchase waits"] {
        assert!(list.out.contains(shown), "{shown:?}: {}", list.out);
    }
    let shown = run(&stand_in, &format!("review show {BOOKING}")).ends_with(0);
    assert!(
        shown.out.contains("card-customers × 7: 80 points"),
        "{}",
        shown.out
    );
    // Nothing is decided without a word.
    run(&stand_in, &format!("review refuse {BOOKING}")).ends_with(2);
    let line = format!("review refuse {BOOKING} --note stolen --yes --json");
    let refused = run(&stand_in, &line).ends_with(0).json();
    assert_eq!(
        (&refused["state"], &refused["note"]),
        (&json!("REFUSED"), &json!("stolen"))
    );
    let line = format!("review approve {BOOKING} --note fine --yes");
    let approved = run(&stand_in, &line).ends_with(0);
    assert!(approved.out.contains("on their way"), "{}", approved.out);
    run(&stand_in, &format!("review approve {BOOKING} --yes")).ends_with(6);
}
