//! Settings of the site that a room stands before, as flags.

use clap::Args;
use contract::host::international;

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

/// Names in any script become what the DNS has; all else is for the gateway to judge.
fn parse_host(text: &str) -> Result<String, String> {
    if text.is_ascii() {
        return Ok(text.to_owned());
    }
    international(text).ok_or_else(|| "write a name such as shop.example".to_owned())
}
