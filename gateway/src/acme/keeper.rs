//! Orders a certificate when it is time, for as long as the process runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use contract::Clock;
use line::Randomness;
use metrics::counter;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Wanted;
use super::authority::Authority;
use super::kept::{Kept, Lead};
use super::order;
use super::schedule::{Failures, Pace, order_at};
use crate::edge::telemetry;

/// Longest time between two looks: clocks are set, machines sleep, and others may stop to lead.
const LOOKS_EVERY: Duration = Duration::from_mins(1);
/// Shortest time between two looks.
const LOOKS_APART: Duration = Duration::from_secs(1);
/// Longest time of an order, in which the authority may keep us waiting several times.
const ORDER_MAX: Duration = Duration::from_mins(8);

/// Keeps one certificate.
pub struct Keeper {
    wanted: Wanted,
    kept: Kept,
    authority: Authority,
    pace: Pace,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    /// From 0 to 1: how late this process renews within the time for it.
    share: f64,
    lead: Option<Lead>,
    /// What had failed before the attempt under way.
    before: Option<Failures>,
    /// Whether it was told that the directory cannot be used.
    has_told: bool,
}

/// What became of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Another process orders.
    Follows,
    /// It is time at this moment, since 1970.
    WaitsUntil(Duration),
    /// There is a new certificate.
    Ordered,
    /// There is none; it is tried again later.
    Failed,
}

impl Keeper {
    /// Keeps what is wanted of an authority whose own certificate is one that the system believes,
    /// or is given by those in `trusted`, as PEM.
    pub fn new(
        wanted: Wanted,
        trusted: &[u8],
        pace: Pace,
        clock: Arc<dyn Clock>,
        randomness: Randomness,
    ) -> Result<Self> {
        let authority = Authority::trusting(trusted).context("no authority can be reached")?;
        Ok(Self {
            kept: Kept::at(wanted.kept_in.clone()),
            share: share(&randomness),
            wanted,
            authority,
            pace,
            clock,
            randomness,
            lead: None,
            before: None,
            has_told: false,
        })
    }

    /// Orders if it is time and nobody else does.
    pub async fn look_once(&mut self) -> Result<Looked> {
        if self.lead.is_none() {
            self.lead = self.kept.lead()?;
        }
        if self.lead.is_none() {
            return Ok(Looked::Follows);
        }
        let now = self.now();
        let have = self.kept.certificate(&self.wanted);
        let failures = self.kept.failures(&self.wanted);
        let at = order_at(have, failures, now, self.share);
        if at > now {
            return Ok(Looked::WaitsUntil(at));
        }
        // It has failed until it succeeds: who is ended in the middle has asked the authority too.
        let begun = failures.one_more(now, None, self.pace, self.share);
        self.kept.keep_failures(&self.wanted, begun)?;
        self.before = Some(failures);
        let filling = order::fill(&self.wanted, &self.kept, &self.authority);
        let filled = timeout(ORDER_MAX, filling).await;
        let filled = filled.context("the order took too long").flatten();
        self.before = None;
        let asked_to_wait = self.authority.asked_to_wait();
        let domains = self.wanted.domains.join(", ");
        if let Err(error) = filled {
            counter!(telemetry::ACME_ORDERS_TOTAL, "outcome" => "failed").increment(1);
            let now = self.now();
            let asked_for = asked_to_wait.and_then(|until| {
                let until = until.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                until.checked_sub(now)
            });
            let share = share(&self.randomness);
            let failures = failures.one_more(now, asked_for, self.pace, share);
            let next = Duration::from_millis(failures.not_before_ms).saturating_sub(now);
            tracing::error!(
                domains,
                error = format!("{error:#}"),
                failures = failures.count,
                again_in_seconds = next.as_secs(),
                "no certificate was given; to try at once, remove {} and start again",
                self.kept.failures_file().display()
            );
            self.kept.keep_failures(&self.wanted, failures)?;
            return Ok(Looked::Failed);
        }
        counter!(telemetry::ACME_ORDERS_TOTAL, "outcome" => "given").increment(1);
        tracing::info!(domains, "a certificate was given");
        self.kept.forget_failures()?;
        Ok(Looked::Ordered)
    }

    /// Looks again and again until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return self.leave(),
                looked = self.look_once() => looked,
            };
            let pause = match looked {
                Ok(Looked::WaitsUntil(at)) => at.saturating_sub(self.now()),
                Ok(Looked::Follows | Looked::Ordered | Looked::Failed) => LOOKS_APART,
                Err(error) => {
                    self.tell_once(&error);
                    LOOKS_EVERY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause.clamp(LOOKS_APART, LOOKS_EVERY)) => {}
            }
        }
    }

    /// An attempt that is broken off by an order to stop is none.
    fn leave(self) {
        if let Some(failures) = self.before
            && let Err(error) = self.kept.keep_failures(&self.wanted, failures)
        {
            tracing::debug!(
                error = format!("{error:#}"),
                "an attempt stays noted as failed"
            );
        }
    }

    fn tell_once(&mut self, error: &anyhow::Error) {
        counter!(telemetry::ACME_ORDERS_TOTAL, "outcome" => "failed").increment(1);
        if !self.has_told {
            self.has_told = true;
            tracing::error!(
                error = format!("{error:#}"),
                "certificates cannot be kept: nothing is ordered"
            );
        }
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.clock.now().as_ms().try_into().unwrap_or_default())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a thousandth is exact enough")]
fn share(randomness: &Randomness) -> f64 {
    randomness.below(1001) as f64 / 1000.0
}
