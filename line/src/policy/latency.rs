//! Whether an upstream answers slower than usual.
//!
//! Latencies are averaged in portions of about half a second, and the portions with weights that
//! fall with their age: quickly for the recent latency, slowly for the usual one. Averages are of
//! logarithms: one answer that took very long moves them little, and twice the latency is the same
//! step for a quick upstream as for a slow one.

use std::collections::HashMap;
use std::time::Duration;

use contract::Timestamp;

/// How many answers a portion has at least, over at least half a second.
const PORTION_MIN: u32 = 10;
const PORTION_SPAN: Duration = Duration::from_millis(500);
/// What takes longer to become a portion is dropped: it says little about now.
const PORTION_SPAN_MAX: Duration = Duration::from_secs(5);
/// From how many visitors a portion has to come: one visitor's requests may be slow for reasons of
/// their own.
const VISITORS_MIN: usize = 3;
/// Latencies of one visitor that count in a portion.
const OF_ONE_MAX: u32 = 4;
/// Visitors whose latencies count in a portion. Bounds the memory; so many are a sample.
const PORTION_VISITORS_MAX: usize = 512;

/// Weight of a portion in the recent latency.
const RECENT_WEIGHT: f64 = 0.5;
/// Weight of a portion in the usual latency, once that is known: what lasts for about ten minutes
/// is usual.
const USUAL_WEIGHT: f64 = 1.0 / 1200.0;
/// Portions after which the usual latency is known.
const USUAL_AFTER: u32 = 20;

/// How many times the usual latency is pressure, and up to which there is none.
const LATENCY_MAX: f64 = 1.5;
const LATENCY_CALM: f64 = 1.25;
/// How many times the usual spread of portions a rise has to be at least: answers of very
/// different kinds vary by themselves.
const SPREAD_FACTOR: f64 = 3.0;
/// A smaller rise of the latency is not felt by anyone.
const RISE_MIN_MS: f64 = 20.0;

/// How much there is to say against calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    /// Nothing.
    None,
    /// Too little to slow them more, and too much to raise them.
    Some,
    /// So much that they are slowed.
    High,
}

/// Latencies that are not averaged yet: logarithms of milliseconds.
#[derive(Clone, Debug, Default)]
struct Portion {
    began_at: Option<Timestamp>,
    sum: f64,
    count: u32,
    /// How many are of each visitor.
    by_visitor: HashMap<u64, u32>,
}

/// The latency of one upstream: averages of logarithms of milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency {
    portion: Portion,
    recent: f64,
    usual: f64,
    /// Usual distance of a portion from the usual latency.
    spread: f64,
    portions: u32,
    measured_at: Option<Timestamp>,
}

impl Latency {
    /// Takes in how long an answer to `visitor` took.
    pub(super) fn note(&mut self, took: Duration, visitor: u64, now: Timestamp) {
        let portion = &mut self.portion;
        let is_full = portion.by_visitor.len() >= PORTION_VISITORS_MAX;
        if is_full && !portion.by_visitor.contains_key(&visitor) {
            return;
        }
        let own = portion.by_visitor.entry(visitor).or_default();
        if *own >= OF_ONE_MAX {
            return;
        }
        *own += 1;
        let ms = took.as_secs_f64().max(0.000_1) * 1000.0;
        portion.began_at.get_or_insert(now);
        portion.sum += ms.ln();
        portion.count += 1;
        self.settle(now);
    }

    /// Takes the latencies of a portion into the averages, when it is whole.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let portion = &self.portion;
        let Some(began_at) = portion.began_at else {
            return;
        };
        let lasted = now.since(began_at);
        if now < began_at || lasted >= PORTION_SPAN_MAX {
            self.portion = Portion::default();
            return;
        }
        let is_enough = portion.count >= PORTION_MIN && portion.by_visitor.len() >= VISITORS_MIN;
        if lasted < PORTION_SPAN || !is_enough {
            return;
        }
        let mean = portion.sum / f64::from(portion.count);
        self.portion = Portion::default();
        self.average(mean);
        self.measured_at = Some(now);
    }

    /// Takes the mean of a portion into the averages.
    fn average(&mut self, mean: f64) {
        self.portions = self.portions.saturating_add(1);
        if self.portions == 1 {
            (self.usual, self.recent) = (mean, mean);
            return;
        }
        let rise = mean - self.usual;
        // The first portions, and calm ones after them, are an ordinary average. A rise becomes
        // usual slowly, or it would not be one for long.
        let is_ordinary = self.portions <= USUAL_AFTER || rise <= LATENCY_CALM.ln();
        let weight = if is_ordinary {
            USUAL_WEIGHT.max(1.0 / f64::from(self.portions))
        } else {
            USUAL_WEIGHT
        };
        self.spread += (rise.abs() - self.spread) * weight;
        self.usual += rise * weight;
        self.recent += (mean - self.recent) * RECENT_WEIGHT;
    }

    /// How much slower the upstream answers than usual.
    pub(super) fn pressure(&self, now: Timestamp) -> Pressure {
        let measured_at = self.measured_at;
        let is_recent = measured_at.is_some_and(|at| now.since(at) <= PORTION_SPAN_MAX);
        let rise_ms = self.recent.exp() - self.usual.exp();
        if self.portions < USUAL_AFTER || !is_recent || rise_ms < RISE_MIN_MS {
            return Pressure::None;
        }
        let rise = self.recent - self.usual;
        let wide = self.spread * SPREAD_FACTOR;
        if rise >= LATENCY_MAX.ln().max(wide) {
            Pressure::High
        } else if rise > LATENCY_CALM.ln() {
            Pressure::Some
        } else {
            Pressure::None
        }
    }
}
