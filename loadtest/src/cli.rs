//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use contract::{RoomId, ShowId};
use reqwest::Url;

use crate::arrivals::Arrivals;

/// Simulated fans for a Ropeline gateway.
#[derive(Debug, Parser)]
#[command(
    name = "ropeline-loadtest",
    version,
    about,
    after_help = "Exit status: 0 every promise was kept, 1 the audit found a breach, 2 could not run."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send fans, then audit what they saw
    Run(Box<RunOptions>),
    /// Send a gentle stream of fans without end, so that a line moves
    Demo(Box<DemoOptions>),
}

/// Where the gateway is and what the fans want from it.
#[derive(Clone, Debug, Args)]
pub struct TargetOptions {
    /// The public listener; found in the data directory when absent
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
    /// The operators' listener; found in the data directory when absent
    #[arg(long, value_name = "URL", env = "ROPELINE_ADMIN_URL")]
    pub ops_url: Option<Url>,
    /// The operators' bearer token
    #[arg(long, env = "ROPELINE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with the operators' bearer token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The gateway's data directory; `.ropeline` and `.demo` are tried when absent
    #[arg(long, value_name = "DIR", env = "ROPELINE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The room whose line the fans join
    #[arg(long)]
    pub room: RoomId,
    /// The show that buyers buy; nobody buys when absent
    #[arg(long)]
    pub show: Option<ShowId>,
    /// Where cards are shown when the shop does not name a payment page
    #[arg(long, value_name = "URL", env = "ROPELINE_PAYMENT_URL")]
    pub payment_url: Option<Url>,
    /// Whether each fan sends an address of its own in `X-Forwarded-For`, which a gateway
    /// believes from trusted proxies only; on against loopback when absent
    #[arg(long, value_name = "BOOL")]
    pub spoof_addresses: Option<bool>,
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The target.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Fans that arrive, over all processes
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=16_000_000))]
    pub fans: u32,
    /// How arrivals spread
    #[arg(long, value_enum, default_value = "poisson")]
    pub arrivals: Arrivals,
    /// The time over which they arrive
    #[arg(long, default_value = "60s", value_parser = span)]
    pub over: Duration,
    /// Fans that hold a WebSocket while they wait; the others poll
    #[arg(long, default_value_t = 100)]
    pub sockets: u32,
    /// Admitted fans that buy
    #[arg(long, default_value_t = 0)]
    pub buyers: u32,
    /// Share of the polling fans that go away after joining
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub drifters: f64,
    /// Share of fans that ignore their call
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    pub no_shows: f64,
    /// Share of fans that claim from two connections at once
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    pub double_claims: f64,
    /// Share of fans that join a second time with the same nonce
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    pub rejoins: f64,
    /// Share of buyers whose first card is declined
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub declined_cards: f64,
    /// Share of buyers who cancel what they bought: half of them by themselves, half through an
    /// operator
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub cancels: f64,
    /// Share of buyers who take the best available seats instead of choosing
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    pub best_available: f64,
    /// Most tickets a buyer wants
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub tickets: u32,
    /// Longest time between a call and the claim
    #[arg(long, default_value = "3s", value_parser = span)]
    pub claim_delay: Duration,
    /// Mean time that a fan who does not buy stays inside
    #[arg(long, default_value = "10s", value_parser = span)]
    pub think: Duration,
    /// When the run ends at the latest; the audit follows
    #[arg(long, default_value = "10m", value_parser = span)]
    pub max_duration: Duration,
    /// How long the audit waits for refunds that are under way
    #[arg(long, default_value = "20s", value_parser = span)]
    pub settle: Duration,
    /// What the schedule and the fans' behaviour are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Which of several processes this is, from 0
    #[arg(long, default_value_t = 0)]
    pub process_index: u32,
    /// How many processes share the fans
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub processes: u32,
    /// Others buy the same show meanwhile, so that its booked seats may be more than the fans'
    #[arg(long)]
    pub others_buy: bool,
    /// The payment provider's secret, for the audit of charges; found in the data directory
    /// when absent
    #[arg(long, env = "ROPELINE_PAYMENT_SECRET", hide_env_values = true)]
    pub payment_secret: Option<String>,
    /// A check about seats or money that lacks its evidence counts as broken
    #[arg(long)]
    pub strict: bool,
    /// Also write the report here as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// The target.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Fans that arrive per minute
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=6000))]
    pub fans_per_minute: u32,
    /// How long; until stopped, when absent
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub lasts: Option<Duration>,
    /// Most fans at once; no more arrive while there are as many
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub fans_max: u32,
    /// Share of the admitted that buy
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    pub buyers: f64,
    /// Share of the waiting that lose patience and leave
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub leavers: f64,
    /// Mean time that a fan who does not buy stays inside
    #[arg(long, default_value = "45s", value_parser = span)]
    pub think: Duration,
    /// What the fans' behaviour is drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Reads a span of time: `500ms`, `60s`, `10m`, `2h`, or parts one after another as `1h30m`.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 60s, 10m or 1h30m");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(millis).ok_or_else(wrong)?;
        sum += Duration::from_millis(part);
        rest = tail;
    }
    if sum.is_zero() && !text.starts_with('0') {
        return Err(wrong());
    }
    Ok(sum)
}

/// Reads a share, 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("a share lies between 0 and 1".to_owned())
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole and half numbers are exact")]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_are_read_with_their_units() {
        for (text, seconds) in [
            ("60s", 60.0),
            ("500ms", 0.5),
            ("10m", 600.0),
            ("1h30m", 5400.0),
            ("0s", 0.0),
        ] {
            assert_eq!(span(text).unwrap().as_secs_f64(), seconds);
        }
        for text in ["", "s", "10", "10x", "-3s", "ten"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_stay_between_nothing_and_all() {
        assert_eq!(share("0.25"), Ok(0.25));
        for text in ["1.1", "-0.1", "NaN", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
