//! Room settings as flags, and what they change.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use contract::Timestamp;
use contract::room::{Challenge, FailMode, QueueingMethod};
use contract::upstreams::UpstreamSetting;
use serde_json::Value;

use super::named::{Named, OrNone, list, parse_count_or_none, parse_seconds_or_none, switch};
use super::site_flags::SiteFlags;
use crate::failure::Failure;
use crate::when::{When, parse_seconds, parse_when};

pub use super::named::SettingValues;

/// Every setting of a room. What is not named stays as it is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SettingFlags {
    /// What fans read above the line
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// `embedded`, or the URL of the service to protect; repeat it for several servers of one service.
    /// The list replaces the present one [new rooms: embedded]
    #[arg(long, value_name = "URL")]
    upstream: Vec<String>,
    #[command(flatten)]
    site: SiteFlags,
    /// Most connections to a remote upstream at once, or none for the default of 4096 [new rooms:
    /// none]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    #[arg(value_parser = parse_count_or_none)]
    upstream_connections_max: Option<OrNone>,
    /// How long an event stream or a tunnel of a remote upstream may carry nothing, such as 5m, or
    /// none for as long as its session [new rooms: none]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "stream-idle-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds_or_none)]
    stream_idle: Option<OrNone>,
    /// Protected path prefix; repeat it for several. The list replaces the present one
    #[arg(long = "path", value_name = "PREFIX", alias = "paths")]
    paths: Vec<String>,
    /// Protect no path
    #[arg(long, conflicts_with = "paths")]
    no_paths: bool,
    /// Calls per minute while visitors wait; 0 calls nobody [new rooms: 600]
    #[arg(
        long = "rate",
        value_name = "N",
        visible_alias = "new-users-per-minute"
    )]
    #[arg(allow_hyphen_values = true, value_parser = parse_count)]
    new_users_per_minute: Option<u64>,
    /// The most that the rate may be set to, against a slipped digit, or none [new rooms: none]
    #[arg(long, value_name = "N", alias = "rate-ceiling-per-minute")]
    #[arg(allow_hyphen_values = true, value_parser = parse_count_or_none)]
    rate_ceiling: Option<OrNone>,
    /// How many are called at a time, or none to call evenly [new rooms: none]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    #[arg(value_parser = parse_count_or_none)]
    call_batch: Option<OrNone>,
    /// What becomes of visitors while the line cannot be used: closed, or open after a while and for
    /// a while [new rooms: closed]
    #[arg(long, value_name = "MODE", value_parser = ["closed", "open"])]
    fail_mode: Option<String>,
    /// How long the line fails before visitors are let through [new rooms: 30s]
    #[arg(long, value_name = "SPAN", alias = "fail-open-after-seconds")]
    #[arg(allow_hyphen_values = true, value_parser = parse_seconds)]
    fail_open_after: Option<u64>,
    /// How long they are let through then, at most [new rooms: 5m]
    #[arg(long, value_name = "SPAN", alias = "fail-open-max-seconds")]
    #[arg(allow_hyphen_values = true, value_parser = parse_seconds)]
    fail_open_max: Option<u64>,
    /// How many a minute each gateway lets through then [new rooms: 60]
    #[arg(long, value_name = "N", alias = "fail-open-rate-per-minute")]
    #[arg(allow_hyphen_values = true, value_parser = parse_count)]
    fail_open_rate: Option<u64>,
    /// Most sessions at once [new rooms: 1000]
    #[arg(long = "cap", value_name = "N", visible_alias = "total-active-users")]
    #[arg(allow_hyphen_values = true, value_parser = parse_count)]
    total_active_users: Option<u64>,
    /// Length of a session [new rooms: 10m]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "session-duration-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds)]
    session_duration: Option<u64>,
    /// Use of the pass prolongs the session [new rooms: it does]
    #[arg(long, overrides_with = "no_session_renewal")]
    session_renewal: bool,
    /// Use of the pass does not prolong the session
    #[arg(long)]
    no_session_renewal: bool,
    /// Longest a session can be prolonged to [new rooms: 30m]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "session-max-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds)]
    session_max: Option<u64>,
    /// How places are ordered [new rooms: fifo]
    #[arg(long, value_name = "METHOD", value_parser = ["fifo", "random", "passthrough", "reject"])]
    queueing_method: Option<String>,
    /// Send everyone to the waiting page, and queue even outside the schedule's sale time
    #[arg(long, overrides_with = "no_queue_all")]
    queue_all: bool,
    /// Queue only within the schedule's sale time, and let visitors straight in while nobody waits
    /// and rate and cap have room [new rooms: so]
    #[arg(long)]
    no_queue_all: bool,
    /// When collecting starts: RFC 3339, +10m, now, or none [new rooms: none]
    #[arg(long, value_name = "TIME", value_parser = parse_when, allow_hyphen_values = true)]
    prequeue_opens_at: Option<When>,
    /// When calling starts: RFC 3339, +10m, now, or none. Before, everyone passes through, unless the
    /// room collects or the manager opens it [new rooms: none]
    #[arg(long, value_name = "TIME", value_parser = parse_when, allow_hyphen_values = true)]
    opens_at: Option<When>,
    /// When the room closes: RFC 3339, +10m, now, or none [new rooms: none]
    #[arg(long, value_name = "TIME", value_parser = parse_when, allow_hyphen_values = true)]
    closes_at: Option<When>,
    /// How long a called visitor has to claim [new rooms: 1m]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "claim-window-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds)]
    claim_window: Option<u64>,
    /// How long an absent visitor still counts ahead of others [new rooms: 5m]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "absence-timeout-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds)]
    absence_timeout: Option<u64>,
    /// Only places that were seen within the absence timeout before the opening draw [new rooms: on]
    #[arg(long, overrides_with = "no_draw_requires_presence")]
    draw_requires_presence: bool,
    /// Everyone who joined before the opening draws, also those who left the page
    #[arg(long)]
    no_draw_requires_presence: bool,
    /// How old a place token may be that brings a place back [new rooms: 1d]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "place-max-age-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds)]
    place_max_age: Option<u64>,
    /// How long after a missed turn a visitor is called next on return [new rooms: 10m]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "missed-turn-grace-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds)]
    missed_turn_grace: Option<u64>,
    /// What a join must prove; there is no proof yet that the gateway can check [new rooms: none]
    #[arg(long, value_name = "KIND", value_parser = challenges())]
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
        let upstream = list(&self.upstream, false);
        let upstream = upstream.map(|texts| UpstreamSetting::from(texts.to_vec()));
        named.set("upstream", upstream)?;
        self.site.set_in(&mut named)?;
        named.set("upstreamConnectionsMax", self.upstream_connections_max)?;
        named.set("streamIdleSeconds", self.stream_idle)?;
        named.set("rateCeilingPerMinute", self.rate_ceiling)?;
        named.set("callBatch", self.call_batch)?;
        named.set("paths", list(&self.paths, self.no_paths))?;
        named.set("newUsersPerMinute", self.new_users_per_minute)?;
        named.set("totalActiveUsers", self.total_active_users)?;
        named.set("sessionDurationSeconds", self.session_duration)?;
        named.set(
            "sessionRenewal",
            switch(self.session_renewal, self.no_session_renewal),
        )?;
        named.set("sessionMaxSeconds", self.session_max)?;
        let fail_mode: Option<FailMode> = word(self.fail_mode.as_deref())?;
        named.set("failMode", fail_mode)?;
        named.set("failOpenAfterSeconds", self.fail_open_after)?;
        named.set("failOpenMaxSeconds", self.fail_open_max)?;
        named.set("failOpenRatePerMinute", self.fail_open_rate)?;
        let method: Option<QueueingMethod> = word(self.queueing_method.as_deref())?;
        named.set("queueingMethod", method)?;
        named.set("queueAll", switch(self.queue_all, self.no_queue_all))?;
        let instant = |when: Option<When>| when.map(|when| when.resolve(now));
        named.set("prequeueOpensAt", instant(self.prequeue_opens_at))?;
        named.set("opensAt", instant(self.opens_at))?;
        named.set("closesAt", instant(self.closes_at))?;
        named.set("claimWindowSeconds", self.claim_window)?;
        named.set("absenceTimeoutSeconds", self.absence_timeout)?;
        named.set(
            "drawRequiresPresence",
            switch(self.draw_requires_presence, self.no_draw_requires_presence),
        )?;
        named.set("placeMaxAgeSeconds", self.place_max_age)?;
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

/// What can be asked of a join. Proof of work has a name on the wire, but every gateway refuses it
/// and says why, so help does not offer it.
fn challenges() -> PossibleValuesParser {
    PossibleValuesParser::new([
        PossibleValue::new("none"),
        PossibleValue::new("pow").hide(true),
    ])
}

fn parse_count(text: &str) -> Result<u64, String> {
    let wrong = || "write a whole number, 0 or more".to_owned();
    text.parse().map_err(|_| wrong())
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
    use clap::{CommandFactory, Parser};
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
        check(
            "--host shop.example --host bücher.example",
            &json!({"hosts": ["shop.example", "xn--bcher-kva.example"]}),
        );
        check(
            "--exempt /a --exempt HEAD",
            &json!({"exempt": ["/a", "HEAD"]}),
        );
        check("--no-exempt", &json!({"exempt": []}));
        check(
            "--no-preserve-host --response-timeout 1m --cors-origin https://a",
            &json!({
                "preserveHost": false, "responseTimeoutSeconds": 60, "corsOrigins": ["https://a"],
            }),
        );
        check("--no-hosts", &json!({"hosts": []}));
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

    /// What help says of the flag, in one line.
    fn help_of(flag: &str) -> String {
        let command = Line::command();
        let found = command
            .get_arguments()
            .find(|it| it.get_long() == Some(flag));
        let help = found.and_then(clap::Arg::get_help);
        help.unwrap_or_else(|| panic!("no help for --{flag}"))
            .to_string()
    }

    #[test]
    fn help_tells_what_a_new_room_has() {
        let bare: RoomSettings = serde_json::from_str(r#"{"room":"eras"}"#).unwrap();
        let Value::Object(bare) = serde_json::to_value(bare).unwrap() else {
            panic!("settings are an object");
        };
        for flag in [
            "upstream",
            "upstream-connections-max",
            "stream-idle",
            "response-timeout",
            "rate",
            "rate-ceiling",
            "call-batch",
            "fail-mode",
            "fail-open-after",
            "fail-open-max",
            "fail-open-rate",
            "cap",
            "session-duration",
            "session-max",
            "queueing-method",
            "prequeue-opens-at",
            "opens-at",
            "closes-at",
            "claim-window",
            "absence-timeout",
            "place-max-age",
            "missed-turn-grace",
            "challenge",
        ] {
            let help = help_of(flag);
            let told = help
                .split_once("[new rooms: ")
                .and_then(|(_, rest)| rest.strip_suffix(']'));
            let told = told.unwrap_or_else(|| panic!("--{flag}: {help}"));
            // What help tells is what the flag would set.
            for (setting, value) in values(&format!("--{flag} {told}")) {
                assert_eq!(bare[&setting], value, "--{flag} {told}");
            }
        }
        let told = |name: &str| help_of(name).contains("[new rooms: ");
        assert_eq!(bare["sessionRenewal"], told("session-renewal"));
        assert_eq!(bare["queueAll"], !told("no-queue-all"));
        assert_eq!(bare["drawRequiresPresence"], told("draw-requires-presence"));
    }

    #[test]
    fn what_is_always_refused_is_not_offered() {
        let mut command = Line::command();
        let help = command.render_long_help().to_string();
        assert!(!help.contains("pow"), "{help}");
    }

    /// What is said about a line that cannot be read.
    fn refused(line: &str) -> String {
        let words = std::iter::once("set").chain(line.split_whitespace());
        Line::try_parse_from(words).err().unwrap().to_string()
    }

    #[test]
    fn a_value_that_does_not_fit_is_told_in_our_words_and_by_the_name_that_was_typed() {
        for (line, said) in [
            ("--rate -5", "--rate <N>': write a whole number, 0 or more"),
            ("--rate abc", "--rate <N>': write a whole number"),
            ("--cap -1", "--cap <N>': write a whole number"),
            ("--opens-at -10m", "lies in the past"),
            ("--session-duration -5m", "write a span with its unit"),
            ("--stream-idle -5m", "write a span with its unit"),
            (
                "--upstream-connections-max -5",
                "write a whole number, or none",
            ),
        ] {
            let refused = refused(line);
            assert!(refused.contains(said), "{line}: {refused}");
            assert!(!refused.contains("tip:"), "{line}: {refused}");
        }
        check(
            "--new-users-per-minute 5",
            &serde_json::json!({"newUsersPerMinute": 5}),
        );
        check(
            "--total-active-users 5",
            &serde_json::json!({"totalActiveUsers": 5}),
        );
    }

    #[test]
    fn every_setting_has_a_flag() {
        let all = "--title T --upstream embedded --host a --path /a --exempt HEAD --preserve-host --response-timeout 1m \
                   --forward-pass --sign-requests --known-user-secret 0123456789abcdef --known-user-target https://a \
                   --cors-origin https://a --rate 1 --cap 1 --session-duration 1s \
                   --session-renewal --session-max 1s --queueing-method fifo --queue-all \
                   --prequeue-opens-at now --opens-at now --closes-at now --claim-window 1s \
                   --absence-timeout 1s --missed-turn-grace 1s --challenge none --access-code a \
                   --upstream-connections-max 1 --upstream-health /up --sticky \
                   --stream-idle 1s --rate-ceiling 9 --call-batch 5 \
                   --fail-mode open --fail-open-after 1s --fail-open-max 1s --fail-open-rate 1 \
                   --message m --suspended --draw-requires-presence \
                   --place-max-age 1h";
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
