//! What a room may have behind it, and how that is checked.

use super::findings::Findings;
use crate::limits::URL_BYTES_MAX;
use crate::room::{RoomSettings, UpstreamHealth};

const INTERVAL_SECONDS_MAX: u64 = 3_600;
const TIMEOUT_SECONDS_MAX: u64 = 60;
const IN_A_ROW_MAX: u64 = 100;

/// Checks the upstream of a room and what is said about it.
pub(super) fn check(settings: &RoomSettings, findings: &mut Findings) {
    addresses(settings, findings);
    if let Some(health) = &settings.upstream_health {
        checks(health, findings);
    }
}

fn addresses(settings: &RoomSettings, findings: &mut Findings) {
    let upstream = &settings.upstream;
    if upstream.is_embedded() {
        return;
    }
    let texts = upstream.texts();
    let field = |at: usize| match texts {
        [_] => "upstream".to_owned(),
        _ => format!("upstream[{at}]"),
    };
    if let Some(at) = texts.iter().position(|text| text.len() > URL_BYTES_MAX) {
        let problem = format!("longer than {URL_BYTES_MAX} bytes, which no server needs");
        findings.add(field(at), problem);
    } else if let Err(error) = upstream.addresses() {
        let field = error.at().map_or_else(|| "upstream".to_owned(), field);
        findings.add(field, format!("{error}; or write `embedded`"));
    }
}

fn checks(health: &UpstreamHealth, findings: &mut Findings) {
    let path = &health.path;
    let is_path = path.starts_with('/')
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !is_path || path.len() > URL_BYTES_MAX {
        findings.add(
            "upstreamHealth.path",
            "is no path as it is asked for, such as /healthz",
        );
    }
    for (field, value, max, unit) in [
        (
            "upstreamHealth.intervalSeconds",
            health.interval_seconds,
            INTERVAL_SECONDS_MAX,
            " seconds",
        ),
        (
            "upstreamHealth.timeoutSeconds",
            health.timeout_seconds,
            TIMEOUT_SECONDS_MAX,
            " seconds",
        ),
        (
            "upstreamHealth.healthyAfter",
            health.healthy_after,
            IN_A_ROW_MAX,
            "",
        ),
        (
            "upstreamHealth.unhealthyAfter",
            health.unhealthy_after,
            IN_A_ROW_MAX,
            "",
        ),
    ] {
        findings.within(field, value, &(1..=max), unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(changes: &serde_json::Value, fields: &[&str]) {
        let mut settings = serde_json::json!({"room": "eras"});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let settings: RoomSettings = serde_json::from_value(settings).unwrap();
        let mut findings = Findings::default();
        check(&settings, &mut findings);
        let found: Vec<_> = findings.0.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(found, fields, "{changes}");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_by_its_place_in_the_list() {
        let list = |urls: &[&str]| serde_json::json!({"upstream": urls});
        finds(&list(&["http://a", "http://b:3000"]), &[]);
        finds(&list(&[]), &["upstream"]);
        finds(&list(&["ftp://a"]), &["upstream"]);
        finds(&list(&["http://a", "ftp://b"]), &["upstream[1]"]);
        finds(&list(&["http://a", "embedded"]), &["upstream[1]"]);
        finds(&list(&["http://a", "https://b"]), &["upstream[1]"]);
        finds(&list(&["http://a", "http://a:80"]), &["upstream[1]"]);
        let long = format!("http://{}", "a".repeat(URL_BYTES_MAX));
        finds(&list(&["http://a", &long]), &["upstream[1]"]);
    }

    #[test]
    fn checks_have_a_path_and_bounds() {
        let health = |path: &str, interval: u64| serde_json::json!({"upstreamHealth": {"path": path, "intervalSeconds": interval}});
        finds(&health("/healthz?deep=1", 1), &[]);
        finds(&health("healthz", 1), &["upstreamHealth.path"]);
        finds(&health("/a b", 1), &["upstreamHealth.path"]);
        finds(&health("/", 0), &["upstreamHealth.intervalSeconds"]);
    }
}
