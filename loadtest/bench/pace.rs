//! Latency at a fixed rate.
//!
//! Each connection has a timetable. A call is timed from when it was due, not from when it was
//! sent: a slow answer delays the next call, and that delay counts.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use crate::http1::Connection;

/// The longest latency told apart from longer ones, in microseconds.
const LATENCY_MICROS_MAX: u64 = 10_000_000;
/// Digits a histogram keeps.
const PRECISION_DIGITS: u8 = 3;

/// How fast to call, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Calls a second, over all connections.
    pub per_second: u32,
    /// Connections that share the rate.
    pub connections: u32,
    /// How long.
    pub lasts: Duration,
}

/// Latency of a number of calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quantiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Latencies gathered so far.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_max(
            LATENCY_MICROS_MAX,
            PRECISION_DIGITS,
        )?))
    }

    /// Adds one.
    pub(crate) fn add(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros);
    }

    /// Adds those that another gathered.
    pub(crate) fn add_all(&mut self, others: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&others.0)?)
    }

    /// Each latency in microseconds, with how often it occurred.
    pub(crate) fn counts(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|value| (value.value_iterated_to(), value.count_at_value()))
            .collect()
    }

    /// Adds latencies that another process has counted.
    pub(crate) fn add_counts(&mut self, counts: &[(u64, u64)]) -> anyhow::Result<()> {
        for (micros, count) in counts {
            self.0.record_n((*micros).min(LATENCY_MICROS_MAX), *count)?;
        }
        Ok(())
    }

    /// Their quantiles.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1000.0;
        Quantiles {
            count: self.0.len(),
            p50_ms: ms(self.0.value_at_quantile(0.5)),
            p99_ms: ms(self.0.value_at_quantile(0.99)),
            max_ms: ms(self.0.max()),
        }
    }
}

/// Calls `address` at a fixed pace. `request` makes the next request of a connection; the answer
/// has to be a success.
pub(crate) async fn keep_pace<R>(
    address: SocketAddr,
    pace: Pace,
    request: impl Fn(u32) -> R,
) -> anyhow::Result<Quantiles>
where
    R: FnMut() -> Vec<u8> + Send + 'static,
{
    let requests: Vec<R> = (0..pace.connections).map(request).collect();
    tokio::task::spawn_blocking(move || {
        let begins = Instant::now() + Duration::from_millis(100);
        let threads: Vec<_> = (0..)
            .zip(requests)
            .map(|(number, request)| {
                thread::spawn(move || call_on_time(address, pace, number, begins, request))
            })
            .collect();
        let mut all = Latencies::new()?;
        for thread in threads {
            let Ok(latencies) = thread.join() else {
                bail!("a client broke");
            };
            all.add_all(&latencies?)?;
        }
        Ok(all.quantiles())
    })
    .await?
}

fn call_on_time(
    address: SocketAddr,
    pace: Pace,
    number: u32,
    begins: Instant,
    mut request: impl FnMut() -> Vec<u8>,
) -> anyhow::Result<Latencies> {
    be_punctual();
    let mut latencies = Latencies::new()?;
    let mut connection = Connection::open(address)?;
    let between = Duration::from_secs(1) * pace.connections / pace.per_second;
    // Connections call one after another, not all at once.
    let mut due = begins + between * number / pace.connections;
    let ends = begins + pace.lasts;
    while due < ends {
        let request = request();
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer = connection.call(&request).context("a call got no answer")?;
        if !(200..300).contains(&answer.status) {
            let text = String::from_utf8_lossy(answer.body);
            bail!("a call was answered {}: {text}", answer.status);
        }
        latencies.add(due.elapsed());
        due += between;
    }
    Ok(latencies)
}

/// Asks the kernel to wake this thread when it asked to be woken, not up to 50 µs later.
#[cfg(target_os = "linux")]
fn be_punctual() {
    // Otherwise both sides of a comparison are as late.
    let _late = nix::sys::prctl::set_timerslack(1).map_err(io::Error::from);
}

#[cfg(not(target_os = "linux"))]
fn be_punctual() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut latencies = Latencies::new().unwrap();
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        let quantiles = latencies.quantiles();
        assert_eq!(quantiles.count, 100);
        assert!((quantiles.p50_ms - 50.0).abs() < 0.1);
        assert!((quantiles.p99_ms - 99.0).abs() < 0.1);
    }
}
