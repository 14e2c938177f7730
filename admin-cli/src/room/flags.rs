//! Room settings as flags, and what they change.

use clap::Args;
use contract::Timestamp;
use contract::room::{Challenge, QueueingMethod};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::when::{When, parse_seconds, parse_when};

/// Settings to write, by their name on the wire.
pub type SettingValues = Map<String, Value>;

/// Every setting of a room. What is not named stays as it is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SettingFlags {
    /// What fans read above the line
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// `embedded`, or the URL of the service to protect
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Most connections to a remote upstream at once, or none for the default of 4096
    #[arg(long, value_name = "N", value_parser = parse_count_or_none)]
    upstream_connections_max: Option<OrNone>,
    /// How long an event stream or a tunnel of a remote upstream may carry nothing, such as 5m, or
    /// none for as long as its session
    #[arg(long, value_name = "SPAN", alias = "stream-idle-seconds", value_parser = parse_seconds_or_none)]
    stream_idle: Option<OrNone>,
    /// Protected path prefix; repeat it for several. The list replaces the present one
    #[arg(long = "path", value_name = "PREFIX", alias = "paths")]
    paths: Vec<String>,
    /// Protect no path
    #[arg(long, conflicts_with = "paths")]
    no_paths: bool,
    /// Calls per minute while visitors wait
    #[arg(long, value_name = "N", visible_alias = "rate")]
    new_users_per_minute: Option<u64>,
    /// Most sessions at once
    #[arg(long, value_name = "N", visible_alias = "cap")]
    total_active_users: Option<u64>,
    /// Length of a session, such as 10m
    #[arg(long, value_name = "SPAN", alias = "session-duration-seconds", value_parser = parse_seconds)]
    session_duration: Option<u64>,
    /// Use of the pass prolongs the session
    #[arg(long, overrides_with = "no_session_renewal")]
    session_renewal: bool,
    /// Use of the pass does not prolong the session
    #[arg(long)]
    no_session_renewal: bool,
    /// Longest a session can be prolonged to
    #[arg(long, value_name = "SPAN", alias = "session-max-seconds", value_parser = parse_seconds)]
    session_max: Option<u64>,
    /// How places are ordered
    #[arg(long, value_name = "METHOD", value_parser = ["fifo", "random", "passthrough", "reject"])]
    queueing_method: Option<String>,
    /// Collect and call even outside the schedule's sale time
    #[arg(long, overrides_with = "no_queue_all")]
    queue_all: bool,
    /// Queue only within the schedule's sale time
    #[arg(long)]
    no_queue_all: bool,
    /// When collecting starts: RFC 3339, +10m, now, or none
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    prequeue_opens_at: Option<When>,
    /// When calling starts: RFC 3339, +10m, now, or none
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    opens_at: Option<When>,
    /// When the room closes: RFC 3339, +10m, now, or none
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    closes_at: Option<When>,
    /// How long a called visitor has to claim
    #[arg(long, value_name = "SPAN", alias = "claim-window-seconds", value_parser = parse_seconds)]
    claim_window: Option<u64>,
    /// How long an absent visitor still counts ahead of others
    #[arg(long, value_name = "SPAN", alias = "absence-timeout-seconds", value_parser = parse_seconds)]
    absence_timeout: Option<u64>,
    /// How long after a missed turn a visitor is called next on return
    #[arg(long, value_name = "SPAN", alias = "missed-turn-grace-seconds", value_parser = parse_seconds)]
    missed_turn_grace: Option<u64>,
    /// What a join must prove
    #[arg(long, value_name = "KIND", value_parser = ["none", "pow"])]
    challenge: Option<String>,
    /// Code that may join; repeat it for several. The list replaces the present one
    #[arg(long = "access-code", value_name = "CODE", alias = "access-codes")]
    access_codes: Vec<String>,
    /// Anyone may join
    #[arg(long, conflicts_with = "access_codes")]
    no_access_codes: bool,
    /// What fans read while they wait
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Show no message
    #[arg(long, conflicts_with = "message")]
    no_message: bool,
    /// Take the room out of use: everyone passes through
    #[arg(long, overrides_with = "no_suspended")]
    suspended: bool,
    /// Put the room back to use
    #[arg(long)]
    no_suspended: bool,
}

impl SettingFlags {
    /// The settings that are named, with relative times seen from `now`.
    pub fn values(&self, now: Timestamp) -> Result<SettingValues, Failure> {
        let mut named = Named::default();
        named.set("title", self.title.as_ref())?;
        named.set("upstream", self.upstream.as_ref())?;
        named.set("upstreamConnectionsMax", self.upstream_connections_max)?;
        named.set("streamIdleSeconds", self.stream_idle)?;
        named.set("paths", list(&self.paths, self.no_paths))?;
        named.set("newUsersPerMinute", self.new_users_per_minute)?;
        named.set("totalActiveUsers", self.total_active_users)?;
        named.set("sessionDurationSeconds", self.session_duration)?;
        named.set(
            "sessionRenewal",
            switch(self.session_renewal, self.no_session_renewal),
        )?;
        named.set("sessionMaxSeconds", self.session_max)?;
        let method: Option<QueueingMethod> = word(self.queueing_method.as_deref())?;
        named.set("queueingMethod", method)?;
        named.set("queueAll", switch(self.queue_all, self.no_queue_all))?;
        let instant = |when: Option<When>| when.map(|when| when.resolve(now));
        named.set("prequeueOpensAt", instant(self.prequeue_opens_at))?;
        named.set("opensAt", instant(self.opens_at))?;
        named.set("closesAt", instant(self.closes_at))?;
        named.set("claimWindowSeconds", self.claim_window)?;
        named.set("absenceTimeoutSeconds", self.absence_timeout)?;
        named.set("missedTurnGraceSeconds", self.missed_turn_grace)?;
        let challenge: Option<Challenge> = word(self.challenge.as_deref())?;
        named.set("challenge", challenge)?;
        named.set(
            "accessCodes",
            list(&self.access_codes, self.no_access_codes),
        )?;
        let message = self.message.as_ref().map(Some);
        named.set("message", message.or(self.no_message.then_some(None)))?;
        named.set("suspended", switch(self.suspended, self.no_suspended))?;
        Ok(named.0)
    }
}

/// A number, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct OrNone(Option<u64>);

fn parse_count_or_none(text: &str) -> Result<OrNone, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    let count = text.parse().map(|count| OrNone(Some(count)));
    count.map_err(|_| "a whole number, or none".to_owned())
}

fn parse_seconds_or_none(text: &str) -> Result<OrNone, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    parse_seconds(text).map(|seconds| OrNone(Some(seconds)))
}

#[derive(Default)]
struct Named(SettingValues);

impl Named {
    fn set(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), Failure> {
        if let Some(value) = value {
            let value = serde_json::to_value(value)
                .map_err(|error| Failure::usage(format!("{name} cannot be written: {error}")))?;
            self.0.insert(name.to_owned(), value);
        }
        Ok(())
    }
}

fn list(items: &[String], none: bool) -> Option<&[String]> {
    (none || !items.is_empty()).then_some(items)
}

fn switch(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}

/// Reads a word of a wire enum.
fn word<T: serde::de::DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Failure> {
    let read = text.map(|text| serde_json::from_value(Value::from(text)));
    read.transpose()
        .map_err(|error| Failure::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use contract::room::RoomSettings;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: SettingFlags,
    }

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn values(line: &str) -> SettingValues {
        let words = std::iter::once("set").chain(line.split_whitespace());
        Line::try_parse_from(words)
            .unwrap()
            .flags
            .values(NOW)
            .unwrap()
    }

    fn check(line: &str, expected: &Value) {
        assert_eq!(Value::Object(values(line)), *expected, "{line}");
    }

    #[test]
    fn only_what_is_named_is_set() {
        use serde_json::json;
        check("", &json!({}));
        check(
            "--rate 5 --cap 6",
            &json!({"newUsersPerMinute": 5, "totalActiveUsers": 6}),
        );
        check("--path /a --path /b", &json!({"paths": ["/a", "/b"]}));
        check(
            "--no-paths --no-access-codes",
            &json!({"paths": [], "accessCodes": []}),
        );
        check("--opens-at none", &json!({"opensAt": null}));
        check(
            "--opens-at +10m",
            &json!({"opensAt": "2026-09-21T14:23:20.000Z"}),
        );
        check("--no-message", &json!({"message": null}));
        check("--message Soon", &json!({"message": "Soon"}));
        check("--session-renewal", &json!({"sessionRenewal": true}));
        check("--no-session-renewal", &json!({"sessionRenewal": false}));
        check(
            "--session-max-seconds 30m",
            &json!({"sessionMaxSeconds": 1800}),
        );
        check("--challenge pow", &json!({"challenge": "pow"}));
        check(
            "--upstream-connections-max 200 --stream-idle 5m",
            &json!({"upstreamConnectionsMax": 200, "streamIdleSeconds": 300}),
        );
        check(
            "--upstream-connections-max none --stream-idle none",
            &json!({"upstreamConnectionsMax": null, "streamIdleSeconds": null}),
        );
        check(
            "--queueing-method random",
            &json!({"queueingMethod": "random"}),
        );
    }

    #[test]
    fn every_setting_has_a_flag() {
        let all = "--title T --upstream embedded --path /a --rate 1 --cap 1 --session-duration 1s \
                   --session-renewal --session-max 1s --queueing-method fifo --queue-all \
                   --prequeue-opens-at now --opens-at now --closes-at now --claim-window 1s \
                   --absence-timeout 1s --missed-turn-grace 1s --challenge none --access-code a \
                   --upstream-connections-max 1 --stream-idle 1s \
                   --message m --suspended";
        let settings: RoomSettings = serde_json::from_str(r#"{"room":"eras"}"#).unwrap();
        let Value::Object(mut settings) = serde_json::to_value(settings).unwrap() else {
            panic!("settings are an object");
        };
        settings.remove("room");
        let flags: Vec<String> = values(all).keys().cloned().collect();
        let settings: Vec<String> = settings.keys().cloned().collect();
        assert_eq!(flags, settings);
    }
}
