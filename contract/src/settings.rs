//! Which settings of a room make sense. Pure; finds every problem at once.
//!
//! The gateway refuses what is found here, and a dry run of the command line finds the same.

mod cors;
mod exempt;
mod findings;
mod hosts;
mod known_user;
mod prefixes;
mod upstream;

use crate::limits::{
    ACCESS_CODE_CHARS_MAX, ACCESS_CODES_MAX, ACTIVE_USERS_MAX, CALL_BATCH_MAX,
    CLAIM_WINDOW_SECONDS_MIN, DURATION_SECONDS_MAX, MESSAGE_CHARS_MAX, PLACE_AGE_SECONDS_MAX,
    RATE_MAX, REASON_CHARS_MAX, RESPONSE_TIMEOUT_SECONDS_MAX, TITLE_CHARS_MAX,
    UPSTREAM_CONNECTIONS_MAX,
};
use crate::room::{Challenge, RoomSettings};

use findings::Findings;

pub use crate::upstream::EMBEDDED;
pub use findings::FieldProblem;
pub use prefixes::validate_beside;

/// Finds every problem of `settings`.
pub fn validate(settings: &RoomSettings) -> Result<(), Vec<FieldProblem>> {
    let mut findings = Findings::default();
    numbers(settings, &mut findings);
    times(settings, &mut findings);
    upstream::check(settings, &mut findings);
    not_there_yet(settings, &mut findings);
    hosts::check(&settings.hosts, &mut findings);
    prefixes::check(&settings.paths, &mut findings);
    cors::check(&settings.cors_origins, &mut findings);
    exempt::check(&settings.exempt, &mut findings);
    known_user::check(settings, &mut findings);
    findings.text("title", &settings.title, TITLE_CHARS_MAX);
    if let Some(message) = &settings.message {
        findings.text("message", message, MESSAGE_CHARS_MAX);
    }
    access_codes(&settings.access_codes, &mut findings);
    findings.settle()
}

/// Checks the reason of a pause.
pub fn validate_reason(reason: &str) -> Result<(), Vec<FieldProblem>> {
    let mut findings = Findings::default();
    findings.text("reason", reason, REASON_CHARS_MAX);
    findings.settle()
}

fn numbers(settings: &RoomSettings, findings: &mut Findings) {
    findings.within(
        "newUsersPerMinute",
        settings.new_users_per_minute,
        &(0..=RATE_MAX),
        "",
    );
    findings.within(
        "totalActiveUsers",
        settings.total_active_users,
        &(1..=ACTIVE_USERS_MAX),
        "; to let nobody in, pause the room",
    );
    let seconds = 1..=DURATION_SECONDS_MAX;
    for (field, value) in [
        ("sessionDurationSeconds", settings.session_duration_seconds),
        ("sessionMaxSeconds", settings.session_max_seconds),
        ("absenceTimeoutSeconds", settings.absence_timeout_seconds),
        ("failOpenAfterSeconds", settings.fail_open_after_seconds),
        ("failOpenMaxSeconds", settings.fail_open_max_seconds),
    ] {
        findings.within(field, value, &seconds, " seconds");
    }
    findings.within(
        "failOpenRatePerMinute",
        settings.fail_open_rate_per_minute,
        &(1..=RATE_MAX),
        "; to let nobody through, set failMode to `closed`",
    );
    // No grace at all is a choice: a missed turn is then a lost turn.
    findings.within(
        "missedTurnGraceSeconds",
        settings.missed_turn_grace_seconds,
        &(0..=DURATION_SECONDS_MAX),
        " seconds",
    );
    findings.within(
        "claimWindowSeconds",
        settings.claim_window_seconds,
        &(CLAIM_WINDOW_SECONDS_MIN..=DURATION_SECONDS_MAX),
        " seconds, so that a phone has time to wake up",
    );
    optional_numbers(settings, findings);
    // A token that ages while its place may still come back would lose that place.
    findings.within(
        "placeMaxAgeSeconds",
        settings.place_max_age_seconds,
        &(settings.absence_timeout_seconds..=PLACE_AGE_SECONDS_MAX),
        " seconds: at least absenceTimeoutSeconds",
    );
    if let Some(ceiling) = settings.rate_ceiling_per_minute
        && settings.new_users_per_minute > ceiling
    {
        findings.add(
            "newUsersPerMinute",
            format!(
                "{} is above rateCeilingPerMinute, which is {ceiling}: if it is meant, raise that too",
                settings.new_users_per_minute
            ),
        );
    }
    if settings.session_renewal && settings.session_max_seconds < settings.session_duration_seconds
    {
        findings.add(
            "sessionMaxSeconds",
            format!(
                "{} is shorter than sessionDurationSeconds, which is {}: sessions would end before \
                 their time; make it at least as long",
                settings.session_max_seconds, settings.session_duration_seconds
            ),
        );
    }
}

/// Checks the numbers that may be left out.
fn optional_numbers(settings: &RoomSettings, findings: &mut Findings) {
    for (field, value, max, unit) in [
        (
            "upstreamConnectionsMax",
            settings.upstream_connections_max,
            UPSTREAM_CONNECTIONS_MAX,
            ", or null",
        ),
        (
            "rateCeilingPerMinute",
            settings.rate_ceiling_per_minute,
            RATE_MAX,
            ", or null",
        ),
        (
            "callBatch",
            settings.call_batch,
            CALL_BATCH_MAX,
            ", or null",
        ),
        (
            "responseTimeoutSeconds",
            settings.response_timeout_seconds,
            RESPONSE_TIMEOUT_SECONDS_MAX,
            " seconds, or null",
        ),
        (
            "streamIdleSeconds",
            settings.stream_idle_seconds,
            DURATION_SECONDS_MAX,
            " seconds, or null",
        ),
    ] {
        if let Some(value) = value {
            findings.within(field, value, &(1..=max), unit);
        }
    }
}

fn times(settings: &RoomSettings, findings: &mut Findings) {
    let ordered = [
        ("prequeueOpensAt", settings.prequeue_opens_at),
        ("opensAt", settings.opens_at),
        ("closesAt", settings.closes_at),
    ];
    let present: Vec<_> = ordered
        .iter()
        .filter_map(|(field, at)| at.map(|at| (*field, at)))
        .collect();
    for pair in present.windows(2) {
        let [(earlier, first), (later, second)] = pair else {
            continue;
        };
        if second <= first {
            findings.add(
                *later,
                format!("{second} has to be later than {earlier}, which is {first}"),
            );
        }
    }
}

/// Settings that the contract names and this version cannot serve are refused, not ignored.
fn not_there_yet(settings: &RoomSettings, findings: &mut Findings) {
    if settings.challenge != Challenge::None {
        findings.add(
            "challenge",
            "this version cannot check a proof of work; use `none`",
        );
    }
}

fn access_codes(codes: &[String], findings: &mut Findings) {
    if codes.len() > ACCESS_CODES_MAX {
        findings.add(
            "accessCodes",
            format!(
                "{} codes are too many: at most {ACCESS_CODES_MAX}",
                codes.len()
            ),
        );
    }
    for (index, code) in codes.iter().take(ACCESS_CODES_MAX).enumerate() {
        let field = format!("accessCodes[{index}]");
        if code.trim().is_empty() {
            findings.add(field, "is empty: anyone could guess it");
        } else {
            findings.text(&field, code, ACCESS_CODE_CHARS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn bare() -> RoomSettings {
        serde_json::from_str(r#"{"room": "eras"}"#).unwrap()
    }

    /// `change` makes the default settings problematic in exactly `fields`.
    fn check(change: impl FnOnce(&mut RoomSettings), fields: &[&str]) {
        let mut settings = bare();
        change(&mut settings);
        let found = validate(&settings).err().unwrap_or_default();
        let found: Vec<&str> = found.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(found, fields, "{settings:?}");
    }

    #[test]
    fn defaults_are_fine() {
        check(|_| {}, &[]);
    }

    #[test]
    fn numbers_have_limits() {
        check(|s| s.new_users_per_minute = 0, &[]);
        check(|s| s.new_users_per_minute = RATE_MAX, &[]);
        check(
            |s| s.new_users_per_minute = RATE_MAX + 1,
            &["newUsersPerMinute"],
        );
        check(|s| s.total_active_users = 0, &["totalActiveUsers"]);
        check(|s| s.total_active_users = u64::MAX, &["totalActiveUsers"]);
        check(|s| s.claim_window_seconds = 4, &["claimWindowSeconds"]);
        check(|s| s.claim_window_seconds = 5, &[]);
        check(
            |s| s.absence_timeout_seconds = 0,
            &["absenceTimeoutSeconds"],
        );
        check(|s| s.place_max_age_seconds = 299, &["placeMaxAgeSeconds"]);
        check(|s| s.place_max_age_seconds = 300, &[]);
        check(
            |s| s.place_max_age_seconds = PLACE_AGE_SECONDS_MAX + 1,
            &["placeMaxAgeSeconds"],
        );
        check(|s| s.fail_open_after_seconds = 0, &["failOpenAfterSeconds"]);
        check(|s| s.fail_open_max_seconds = 0, &["failOpenMaxSeconds"]);
        check(
            |s| s.fail_open_rate_per_minute = 0,
            &["failOpenRatePerMinute"],
        );
        check(|s| s.missed_turn_grace_seconds = 0, &[]);
        check(
            |s| s.missed_turn_grace_seconds = DURATION_SECONDS_MAX + 1,
            &["missedTurnGraceSeconds"],
        );
        check(
            |s| s.session_duration_seconds = 0,
            &["sessionDurationSeconds"],
        );
    }

    #[test]
    fn a_rate_keeps_below_its_ceiling() {
        let ceiling =
            |ceiling| move |s: &mut RoomSettings| s.rate_ceiling_per_minute = Some(ceiling);
        check(ceiling(600), &[]);
        check(ceiling(599), &["newUsersPerMinute"]);
        check(ceiling(RATE_MAX + 1), &["rateCeilingPerMinute"]);
        check(
            |s| {
                s.rate_ceiling_per_minute = Some(0);
                s.new_users_per_minute = 0;
            },
            &["rateCeilingPerMinute"],
        );
    }

    #[test]
    fn a_batch_of_calls_has_a_size_or_none() {
        for right in [None, Some(1), Some(CALL_BATCH_MAX)] {
            check(|s| s.call_batch = right, &[]);
        }
        for wrong in [0, CALL_BATCH_MAX + 1] {
            check(|s| s.call_batch = Some(wrong), &["callBatch"]);
        }
    }

    #[test]
    fn what_an_upstream_is_given_has_limits_or_none() {
        check(|s| s.upstream_connections_max = Some(1), &[]);
        for wrong in [0, UPSTREAM_CONNECTIONS_MAX + 1] {
            check(
                |s| s.upstream_connections_max = Some(wrong),
                &["upstreamConnectionsMax"],
            );
        }
        check(|s| s.stream_idle_seconds = Some(DURATION_SECONDS_MAX), &[]);
        for wrong in [0, DURATION_SECONDS_MAX + 1] {
            check(
                |s| s.stream_idle_seconds = Some(wrong),
                &["streamIdleSeconds"],
            );
        }
    }

    #[test]
    fn a_session_cannot_be_cut_below_its_duration() {
        check(|s| s.session_max_seconds = 599, &["sessionMaxSeconds"]);
        check(
            |s| {
                s.session_max_seconds = 599;
                s.session_renewal = false;
            },
            &[],
        );
    }

    #[test]
    fn times_come_in_order() {
        let at = |ms| Some(Timestamp::from_ms(ms));
        check(
            |s| {
                s.prequeue_opens_at = at(1);
                s.opens_at = at(2);
                s.closes_at = at(3);
            },
            &[],
        );
        check(
            |s| {
                s.prequeue_opens_at = at(3);
                s.opens_at = at(2);
                s.closes_at = at(1);
            },
            &["opensAt", "closesAt"],
        );
        check(
            |s| {
                s.prequeue_opens_at = at(2);
                s.closes_at = at(2);
            },
            &["closesAt"],
        );
    }

    #[test]
    fn upstreams_are_embedded_or_http() {
        for good in [
            "embedded",
            "http://127.0.0.1:9000",
            "http://[::1]:80",
            "https://shop.example/base",
        ] {
            check(|s| s.upstream = good.into(), &[]);
        }
        for bad in [
            "",
            "shop",
            "ftp://shop.example",
            "file:///etc/passwd",
            "http://",
            "http://user:secret@shop.example",
            "http://shop.example/?a=b",
            "/relative",
        ] {
            check(|s| s.upstream = bad.into(), &["upstream"]);
        }
    }

    #[test]
    fn texts_are_bounded() {
        check(|s| s.title = "é".repeat(TITLE_CHARS_MAX), &[]);
        check(|s| s.title = "é".repeat(TITLE_CHARS_MAX + 1), &["title"]);
        check(|s| s.title = "a\u{0}b".to_owned(), &["title"]);
        check(|s| s.message = Some("one\ntwo".to_owned()), &[]);
        check(
            |s| s.message = Some("x".repeat(MESSAGE_CHARS_MAX + 1)),
            &["message"],
        );
        check(
            |s| s.access_codes = vec![" ".to_owned()],
            &["accessCodes[0]"],
        );
        check(
            |s| s.access_codes = vec!["x".repeat(ACCESS_CODE_CHARS_MAX + 1)],
            &["accessCodes[0]"],
        );
        check(
            |s| s.access_codes = vec!["x".to_owned(); ACCESS_CODES_MAX + 1],
            &["accessCodes"],
        );
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        check(
            |s| {
                s.new_users_per_minute = u64::MAX;
                s.claim_window_seconds = 0;
                s.upstream = "gopher://x".into();
                s.paths = vec!["x".to_owned()];
                s.title = "x".repeat(999);
            },
            &[
                "newUsersPerMinute",
                "claimWindowSeconds",
                "upstream",
                "paths[0]",
                "title",
            ],
        );
    }

    #[test]
    fn reasons_are_bounded() {
        assert!(validate_reason("Payment is down").is_ok());
        assert!(validate_reason(&"x".repeat(REASON_CHARS_MAX + 1)).is_err());
    }
}
