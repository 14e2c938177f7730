//! The results: progress while measuring, a table at the end, and JSON for programs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use contract::{Clock, SystemClock, Timestamp};
use serde::Serialize;

use crate::opening_figures::Opening;
use crate::pace::{Latencies, Quantiles};
use crate::processes::load_average;
use crate::rounds::{Round, Sample, median};

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versus {
    pub name: &'static str,
    pub unit: &'static str,
    pub theirs: &'static str,
}

/// A ratio of two rates.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rate {
    name: &'static str,
    unit: &'static str,
    compared_with: &'static str,
    /// Medians of the rounds.
    ours: Sample,
    theirs: Sample,
    /// Ours by theirs: the median of the rounds' ratios, and the lowest and highest.
    ratio: f64,
    ratio_min: f64,
    ratio_max: f64,
    rounds: Vec<Round>,
}

/// Latencies at the same rate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Latency {
    name: &'static str,
    at: &'static str,
    compared_with: &'static str,
    /// Medians of the rounds.
    ours: Quantiles,
    theirs: Quantiles,
    rounds: Vec<(Quantiles, Quantiles)>,
}

/// Memory that a crowd of sockets takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    name: &'static str,
    sockets: u32,
    bytes_before: u64,
    bytes_after: u64,
    bytes_per_socket: u64,
}

/// How soon fans saw something.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    name: &'static str,
    at: String,
    latency: Quantiles,
}

/// Sockets that were opened again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reconnects {
    made: u64,
    /// How often a gateway refused one at first, by the code of its problem.
    refused: BTreeMap<String, u64>,
}

/// What rooms cost in which nobody is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdleCost {
    /// Which gateway.
    pub side: &'static str,
    pub rooms: u32,
    /// CPU time by time.
    pub gateway_cores: f64,
    pub redis_cores: f64,
    pub redis_commands_per_second: f64,
}

/// What it took to make a line again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RebuildCost {
    /// Which gateway.
    pub side: &'static str,
    /// Served places in the log.
    pub served: u64,
    pub seconds: f64,
    pub seconds_beside_joins: f64,
    /// Resident memory of the gateway, before and at most.
    pub memory_bytes_before: u64,
    pub memory_bytes_peak: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    measured_at: Timestamp,
    cpus: usize,
    /// Runnable tasks before anything was started: above zero, others used the machine too.
    load_before: Option<f64>,
    rates: Vec<Rate>,
    latencies: Vec<Latency>,
    memory: Vec<Memory>,
    idle: Vec<IdleCost>,
    rebuilds: Vec<RebuildCost>,
    seen: Vec<Seen>,
    reconnects: Option<Reconnects>,
    opening: Option<Opening>,
}

impl Memory {
    /// What `sockets` sockets took.
    pub(crate) fn new(name: &'static str, sockets: u32, before: u64, after: u64) -> Self {
        Self {
            name,
            sockets,
            bytes_before: before,
            bytes_after: after,
            bytes_per_socket: after.saturating_sub(before) / u64::from(sockets.max(1)),
        }
    }
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn begin() -> Self {
        Self {
            measured_at: SystemClock.now(),
            cpus: available_parallelism().map_or(1, usize::from),
            load_before: load_average(),
            rates: vec![],
            latencies: vec![],
            memory: vec![],
            idle: vec![],
            rebuilds: vec![],
            seen: vec![],
            reconnects: None,
            opening: None,
        }
    }

    /// Adds rates.
    pub(crate) fn rates(&mut self, versus: Versus, rounds: Vec<Round>) {
        let middle = |side: fn(&Round) -> Sample| Sample {
            per_second: median(rounds.iter().map(|round| side(round).per_second)),
            cpu_micros: median(rounds.iter().map(|round| side(round).cpu_micros)),
        };
        let ratio = |round: &Round| round.ours.per_second / round.theirs.per_second;
        let ratios = || rounds.iter().map(ratio);
        let rate = Rate {
            name: versus.name,
            unit: versus.unit,
            compared_with: versus.theirs,
            ours: middle(|round| round.ours),
            theirs: middle(|round| round.theirs),
            ratio: median(ratios()),
            ratio_min: ratios().fold(f64::INFINITY, f64::min),
            ratio_max: ratios().fold(0.0, f64::max),
            rounds,
        };
        progress(&format!("{}: {:.2}", rate.name, rate.ratio));
        self.rates.push(rate);
    }

    /// Adds latencies, ours and theirs of each round.
    pub(crate) fn latencies(&mut self, versus: Versus, rounds: &[(Quantiles, Quantiles)]) {
        let middle = |side: fn(&(Quantiles, Quantiles)) -> Quantiles| {
            let of = |value: fn(Quantiles) -> f64| median(rounds.iter().map(|it| value(side(it))));
            Quantiles {
                count: rounds.iter().map(|it| side(it).count).sum(),
                p50_ms: of(|it| it.p50_ms),
                p99_ms: of(|it| it.p99_ms),
                max_ms: of(|it| it.max_ms),
            }
        };
        self.latencies.push(Latency {
            name: versus.name,
            at: versus.unit,
            compared_with: versus.theirs,
            ours: middle(|it| it.0),
            theirs: middle(|it| it.1),
            rounds: rounds.to_vec(),
        });
    }

    /// Adds memory.
    pub(crate) fn memory(&mut self, memory: Memory) {
        let Memory {
            name,
            bytes_per_socket,
            ..
        } = &memory;
        progress(&format!("{name}: {bytes_per_socket} bytes a socket"));
        self.memory.push(memory);
    }

    /// Adds what idle rooms cost.
    pub(crate) fn idle(&mut self, cost: IdleCost) {
        let commands = cost.redis_commands_per_second;
        progress(&format!(
            "idle rooms, {}: {commands:.0} commands/s",
            cost.side
        ));
        self.idle.push(cost);
    }

    /// Adds what a rebuild took.
    pub(crate) fn rebuild(&mut self, cost: RebuildCost) {
        self.rebuilds.push(cost);
    }

    /// Adds how soon fans saw something.
    pub(crate) fn seen(&mut self, name: &'static str, at: &str, latencies: &Latencies) {
        let latency = latencies.quantiles();
        progress(&format!(
            "{name}, {at}: {:.0} ms at the 99th percentile",
            latency.p99_ms
        ));
        let at = at.to_owned();
        self.seen.push(Seen { name, at, latency });
    }

    /// Adds how many sockets were opened again in a storm, and why gateways refused some at first.
    pub(crate) fn reconnects(&mut self, made: u64, refused: BTreeMap<String, u64>) {
        self.reconnects = Some(Reconnects { made, refused });
    }

    /// Adds an opening.
    pub(crate) fn opening(&mut self, opening: Opening) {
        self.opening = Some(opening);
    }

    /// Prints the tables and writes the JSON.
    pub(crate) fn finish(&self, out: &Path) -> anyhow::Result<()> {
        let load = self.load_before.unwrap_or_default();
        say(&format!(
            "\nMeasured {} on {} CPUs, load before {load:.2}\n",
            serde_json::to_string(&self.measured_at)?.trim_matches('"'),
            self.cpus
        ));
        for table in self.tables() {
            if table.row_count() > 0 {
                say(&format!("{table}\n"));
            }
        }
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(out, json + "\n")
            .with_context(|| format!("could not write {}", out.display()))?;
        say(&format!("Written to {}", out.display()));
        Ok(())
    }

    fn tables(&self) -> [Table; 6] {
        let mut rates = table([
            "per second",
            "Ropeline",
            "compared with",
            "",
            "ratio",
            "rounds",
            "CPU µs each",
            "CPU µs theirs",
        ]);
        for rate in &self.rates {
            rates.add_row([
                rate.name.to_owned(),
                format!("{:.0}", rate.ours.per_second),
                rate.compared_with.to_owned(),
                format!("{:.0}", rate.theirs.per_second),
                format!("{:.2}", rate.ratio),
                format!("{:.2}–{:.2}", rate.ratio_min, rate.ratio_max),
                format!("{:.1}", rate.ours.cpu_micros),
                format!("{:.1}", rate.theirs.cpu_micros),
            ]);
        }
        let mut latencies = table(["latency", "at", "side", "p50 ms", "p99 ms", "max ms"]);
        let mut add = |name: &str, at: &str, side: &str, quantiles: &Quantiles| {
            latencies.add_row([
                name.to_owned(),
                at.to_owned(),
                side.to_owned(),
                format!("{:.2}", quantiles.p50_ms),
                format!("{:.2}", quantiles.p99_ms),
                format!("{:.2}", quantiles.max_ms),
            ]);
        };
        for latency in &self.latencies {
            add(latency.name, latency.at, "Ropeline", &latency.ours);
            add(
                latency.name,
                latency.at,
                latency.compared_with,
                &latency.theirs,
            );
        }
        for seen in &self.seen {
            add(seen.name, &seen.at, "Ropeline", &seen.latency);
        }
        let mut memory = table(["memory", "sockets", "bytes a socket"]);
        for it in &self.memory {
            memory.add_row([
                it.name.to_owned(),
                it.sockets.to_string(),
                it.bytes_per_socket.to_string(),
            ]);
        }
        let mut idle = table([
            "idle rooms",
            "side",
            "gateway, % of a core",
            "Redis, % of a core",
            "Redis commands/s",
        ]);
        for it in &self.idle {
            idle.add_row([
                it.rooms.to_string(),
                it.side.to_owned(),
                format!("{:.1}", it.gateway_cores * 100.0),
                format!("{:.1}", it.redis_cores * 100.0),
                format!("{:.0}", it.redis_commands_per_second),
            ]);
        }
        let mut opening = table(["opening", ""]);
        for (what, value) in self.opening.iter().flat_map(Opening::rows) {
            opening.add_row([what.to_owned(), value]);
        }
        [
            rates,
            latencies,
            memory,
            idle,
            self.rebuild_table(),
            opening,
        ]
    }

    fn rebuild_table(&self) -> Table {
        let mut rebuilds = table([
            "rebuild of places",
            "side",
            "seconds",
            "seconds beside joins",
            "MiB before",
            "MiB at most",
        ]);
        let mib = |bytes: u64| (bytes >> 20).to_string();
        for it in &self.rebuilds {
            rebuilds.add_row([
                it.served.to_string(),
                it.side.to_owned(),
                format!("{:.1}", it.seconds),
                format!("{:.1}", it.seconds_beside_joins),
                mib(it.memory_bytes_before),
                mib(it.memory_bytes_peak),
            ]);
        }
        rebuilds
    }
}

/// Tells what is going on.
pub(crate) fn progress(line: &str) {
    say(&format!("  {line}"));
}

/// Says why nothing was measured.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut out = std::io::stderr();
    // Nobody is left to tell when this fails.
    let _unheard = writeln!(out, "ropeline-bench: {error:#}");
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Whoever closed the output wants to hear no more.
    let _unheard = writeln!(out, "{line}");
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(header);
    table
}
