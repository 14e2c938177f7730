//! Settings of the site that a room stands before, as flags.

use clap::Args;
use contract::host::international;
use contract::room::UpstreamHealth;
use serde::Serialize;

use super::named::{Named, OrNone, list, parse_seconds_or_none, switch};
use crate::failure::Failure;

/// What a room answers for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct SiteFlags {
    /// Name that the room answers for, without a port, or `*` for every host that no other room
    /// names; repeat it for several. Every path of such a host goes to a remote upstream. The list
    /// replaces the present one
    #[arg(long = "host", value_name = "NAME", alias = "hosts", value_parser = parse_host)]
    hosts: Vec<String>,
    /// Protect the paths on every host, and leave all others to the booking core
    #[arg(long, conflicts_with = "hosts")]
    no_hosts: bool,
    /// Check each server of a remote upstream by a GET of this path, with
    /// `interval`, `timeout`, `healthy` and `unhealthy` after it where the defaults are not meant, as
    /// `/healthz,interval=5,timeout=2,healthy=2,unhealthy=3`, or none [new rooms: none]
    #[arg(long, value_name = "PATH", value_parser = parse_health)]
    upstream_health: Option<HealthOrNone>,
    /// Keep a fan at one of several servers for as long as it answers, by a cookie
    #[arg(long, overrides_with = "no_sticky")]
    sticky: bool,
    /// Send each request to whichever server has least to do [new rooms: so]
    #[arg(long)]
    no_sticky: bool,
    /// Give the upstream the host that the fan asked for, instead of its own name [new rooms: it gets its own]
    #[arg(long, overrides_with = "no_preserve_host")]
    preserve_host: bool,
    /// Give the upstream its own name as the host
    #[arg(long)]
    no_preserve_host: bool,
    /// Give a remote upstream the fan's pass of this room, in Ropeline-Pass [new rooms: it does not get it]
    #[arg(long, overrides_with = "no_forward_pass")]
    forward_pass: bool,
    /// Keep the pass from the upstream
    #[arg(long)]
    no_forward_pass: bool,
    /// Give a remote upstream a signed Ropeline-Proof that a request came through the gate [new rooms: it gets none]
    #[arg(long, overrides_with = "no_sign_requests")]
    sign_requests: bool,
    /// Sign no requests
    #[arg(long)]
    no_sign_requests: bool,
    /// Secret that Queue-it's connectors share with this room, or @FILE that has it; shown sealed from then on
    #[arg(long, value_name = "SECRET", value_parser = parse_secret, hide_env_values = true)]
    known_user_secret: Option<String>,
    /// Site with such a connector, or a part of one, such as `https://shop.example.org/checkout`;
    /// repeat
    /// it for several. The list replaces the present one
    #[arg(
        long = "known-user-target",
        value_name = "SITE",
        alias = "known-user-targets"
    )]
    known_user_targets: Vec<String>,
    /// Send fans to no such site, and forget the secret
    #[arg(long, conflicts_with_all = ["known_user_targets", "known_user_secret"])]
    no_known_user: bool,
    /// How long a remote upstream may take until its answer begins, such as 1m, or none for the
    /// default of 30s [new rooms: none]
    #[arg(
        long,
        value_name = "SPAN",
        alias = "response-timeout-seconds",
        allow_hyphen_values = true
    )]
    #[arg(value_parser = parse_seconds_or_none)]
    response_timeout: Option<OrNone>,
    /// Origin whose pages may read the gateway's refusals, such as `https://www.example.com`; repeat it
    /// for several. The list replaces the present one
    #[arg(long = "cors-origin", value_name = "ORIGIN", alias = "cors-origins")]
    cors_origins: Vec<String>,
    /// No other site's pages may read them
    #[arg(long, conflicts_with = "cors_origins")]
    no_cors_origins: bool,
    /// What of the protected paths needs no pass: a path prefix, a method, or both as `POST
    /// /checkout/hook`; repeat it for several. The list replaces the present one
    #[arg(long, value_name = "WHAT")]
    exempt: Vec<String>,
    /// Exempt nothing
    #[arg(long, conflicts_with = "exempt")]
    no_exempt: bool,
}

impl SiteFlags {
    /// Adds the settings that are named.
    pub(super) fn set_in(&self, named: &mut Named) -> Result<(), Failure> {
        named.set("hosts", list(&self.hosts, self.no_hosts))?;
        named.set("upstreamHealth", self.upstream_health.as_ref())?;
        named.set("sticky", switch(self.sticky, self.no_sticky))?;
        named.set(
            "preserveHost",
            switch(self.preserve_host, self.no_preserve_host),
        )?;
        named.set(
            "forwardPass",
            switch(self.forward_pass, self.no_forward_pass),
        )?;
        named.set(
            "signRequests",
            switch(self.sign_requests, self.no_sign_requests),
        )?;
        let secret = self.known_user_secret.as_ref().map(Some);
        named.set(
            "knownUserSecret",
            secret.or_else(|| self.no_known_user.then_some(None)),
        )?;
        named.set(
            "knownUserTargets",
            list(&self.known_user_targets, self.no_known_user),
        )?;
        named.set("responseTimeoutSeconds", self.response_timeout)?;
        named.set(
            "corsOrigins",
            list(&self.cors_origins, self.no_cors_origins),
        )?;
        named.set("exempt", list(&self.exempt, self.no_exempt))
    }
}

/// A secret, or the content of the file that is named: what is typed here others on the machine can
/// see.
fn parse_secret(text: &str) -> Result<String, String> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    let content = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    Ok(content.trim().to_owned())
}

/// How a server is checked, or `none`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct HealthOrNone(Option<UpstreamHealth>);

fn parse_health(text: &str) -> Result<HealthOrNone, String> {
    if text == "none" {
        return Ok(HealthOrNone(None));
    }
    let mut parts = text.split(',');
    let path = parts.next().unwrap_or_default();
    let mut health = serde_json::json!({ "path": path });
    for part in parts {
        let (name, count) = part.split_once('=').unwrap_or((part, ""));
        let field = match name {
            "interval" => "intervalSeconds",
            "timeout" => "timeoutSeconds",
            "healthy" => "healthyAfter",
            "unhealthy" => "unhealthyAfter",
            _ => {
                return Err(format!(
                    "`{name}` is none of interval, timeout, healthy, unhealthy"
                ));
            }
        };
        let count: u64 = count
            .parse()
            .map_err(|_| format!("write a whole number, as {name}=5"))?;
        health[field] = count.into();
    }
    let health = serde_json::from_value(health).map_err(|error| error.to_string());
    health.map(|health| HealthOrNone(Some(health)))
}

/// Names in any script become what the DNS has; all else is for the gateway to judge.
fn parse_host(text: &str) -> Result<String, String> {
    if text.is_ascii() {
        return Ok(text.to_owned());
    }
    international(text).ok_or_else(|| "write a name such as shop.example".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_path_and_what_differs_from_the_defaults() {
        let read = |text: &str| serde_json::to_value(parse_health(text).unwrap()).unwrap();
        assert_eq!(read("none"), serde_json::Value::Null);
        let plain = read("/healthz");
        assert_eq!(
            (
                &plain["path"],
                &plain["intervalSeconds"],
                &plain["unhealthyAfter"]
            ),
            (&"/healthz".into(), &5.into(), &3.into())
        );
        assert_eq!(read("/h,interval=9,healthy=1")["intervalSeconds"], 9);
        for wrong in ["/h,interval", "/h,every=5", "/h,timeout=soon"] {
            assert!(parse_health(wrong).is_err(), "{wrong}");
        }
    }
}
