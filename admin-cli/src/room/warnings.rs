//! Settings that the gateway takes, and that may not be what was meant. Pure.

use contract::room::RoomSettings;

use super::flags::SettingValues;

/// What a room of these settings does that its operator may not expect, as far as `written` has a
/// part in it.
pub fn warnings(settings: &RoomSettings, written: &SettingValues) -> Vec<String> {
    let touches = |names: &[&str]| names.iter().any(|name| written.contains_key(*name));
    let mut found = Vec::new();
    if touches(&["paths", "upstream", "exempt"]) {
        found.extend(whole_site(settings));
    }
    if touches(&["newUsersPerMinute"]) {
        found.extend(no_calls(settings));
    }
    if touches(&["sessionDurationSeconds", "claimWindowSeconds"]) {
        found.extend(short_session(settings));
    }
    found
}

/// What a room in front of a whole shop stops besides fans. The booking core's own payment webhook
/// needs no pass, so a room in front of it stops nobody unexpected.
fn whole_site(settings: &RoomSettings) -> Option<String> {
    let is_whole = !settings.upstream.is_embedded()
        && settings.exempt.is_empty()
        && settings.paths.iter().any(|path| path == "/");
    is_whole.then(|| {
        "this room protects every path of its shop. Callers without a pass are refused there too: \
         webhooks of the shop's payment provider, health checks, APIs. Exempt their paths \
         (--exempt), protect narrower prefixes, or let such callers reach the shop directly."
            .to_owned()
    })
}

/// What a rate of zero does. It is not refused: whoever plans a sale may want to raise it by hand.
pub fn no_calls(settings: &RoomSettings) -> Option<String> {
    (settings.new_users_per_minute == 0).then(|| {
        format!(
            "at a rate of 0 nobody is called until you raise it, and fans are not told why. \
             `ropeline room pause {} --reason TEXT` tells them.",
            settings.room
        )
    })
}

/// A session that is shorter than the time to claim it is likelier a typing error than a plan.
fn short_session(settings: &RoomSettings) -> Option<String> {
    let (session, claim) = (
        settings.session_duration_seconds,
        settings.claim_window_seconds,
    );
    (session < claim).then(|| {
        format!(
            "a session of {session} s is shorter than the {claim} s in which it may be claimed: \
             fans have less time to buy than to come in."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::change::overlay;
    use serde_json::{Value, json};

    fn check(written: Value, expected: &[&str]) {
        let bare: RoomSettings = serde_json::from_value(json!({"room": "eras"})).unwrap();
        let written: SettingValues = serde_json::from_value(written).unwrap();
        let found = warnings(&overlay(&bare, &written).unwrap(), &written);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.contains(part), "{part} is not in {found}");
        }
    }

    #[test]
    fn what_may_not_be_meant_is_said() {
        check(json!({}), &[]);
        check(
            json!({"newUsersPerMinute": 0}),
            &["nobody is called until you raise it"],
        );
        check(json!({"newUsersPerMinute": 1}), &[]);
        check(
            json!({"sessionDurationSeconds": 1, "sessionMaxSeconds": 1}),
            &["a session of 1 s is shorter than the 60 s"],
        );
        check(json!({"sessionDurationSeconds": 60}), &[]);
        check(json!({"paths": ["/"]}), &[]);
        check(
            json!({"paths": ["/"], "upstream": "http://10.0.0.5:3000"}),
            &["every path of its shop"],
        );
    }

    #[test]
    fn what_was_there_before_is_not_said_again() {
        let settings: RoomSettings =
            serde_json::from_value(json!({"room": "eras", "newUsersPerMinute": 0})).unwrap();
        let written: SettingValues = serde_json::from_value(json!({"title": "Eras"})).unwrap();
        assert_eq!(warnings(&settings, &written), Vec::<String>::new());
    }
}
