//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Breaks gateways, servers and the network between them while fans join, wait and buy, and audits
/// what the fans saw
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 every promise was kept, 1 the audit found a breach, 2 could not run."
)]
pub(crate) struct Options {
    /// What the timetable of faults and the fans' behaviour are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long things are broken
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    pub minutes: f64,
    /// How many faults; one in four seconds when absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub faults: Option<u32>,
    /// Calls a minute
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(60..=60_000))]
    pub rate: u32,
    /// The gateway's program; the payment simulator is expected beside it
    #[arg(long, default_value = "target/release/ropeline-gateway")]
    pub gateway: PathBuf,
    /// Where servers and gateways keep data and logs meanwhile; kept there when a promise was broken
    #[arg(long, default_value = "/var/tmp")]
    pub scratch: PathBuf,
    /// Only print the timetable
    #[arg(long)]
    pub timetable: bool,
}

/// Seconds between two faults when nothing else was asked for.
const SECONDS_PER_FAULT: f64 = 4.0;

/// Share of the calls there could be that are needed by as many fans.
const FANS_SHARE: f64 = 0.75;

impl Options {
    /// How many fans come.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a day of calls has some million fans"
    )]
    pub(crate) fn fan_count(&self) -> u32 {
        (self.minutes * f64::from(self.rate) * FANS_SHARE).ceil() as u32
    }

    /// How many faults are drawn.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a day of minutes has some ten thousand faults"
    )]
    pub(crate) fn fault_count(&self) -> usize {
        let usual = self.minutes * 60.0 / SECONDS_PER_FAULT;
        self.faults.unwrap_or(usual as u32) as usize
    }
}

/// Reads how many minutes, up to a day.
fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))?;
    if (0.1..=1440.0).contains(&minutes) {
        Ok(minutes)
    } else {
        Err("a run takes between 0.1 and 1440 minutes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn ten_minutes_have_a_hundred_and_fifty_faults() {
        let options = Options::parse_from(["faults"]);
        assert_eq!(options.fault_count(), 150);
        let options = Options::parse_from(["faults", "--faults", "3"]);
        assert_eq!(options.fault_count(), 3);
    }
}
