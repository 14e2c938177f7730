//! What is decided before seats are held and before a payment is started.

use std::time::Duration;

use contract::{HoldId, ShowId};
use web::challenge::{About, Issued};

use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::fraud::signal::{Signal, SignalKind, Verdict, counted, score};
use crate::store;
use crate::store::holds::HoldRow;
use crate::store::risk::{Asked, History};
use crate::telemetry;

/// An earlier booking makes a customer known when it is as old as this: nobody becomes known by a
/// cheap ticket on the way to the dear ones.
const KNOWN_AFTER: Duration = Duration::from_hours(24);
/// The span in which declined tries count.
const DECLINES_WITHIN: Duration = Duration::from_hours(1);
/// What challenges are issued for.
const HOLDING: &str = "hold";
const PAYING: &str = "pay";

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Gate {
    /// It may.
    Open,
    /// Once this challenge is solved.
    Challenge(Box<Issued>),
    /// It may not. Nobody is told why.
    Refused,
}

impl Core {
    /// Whether the customer may hold seats now. Reads memory only, unless a solution is given.
    pub(crate) async fn hold_gate(
        &self,
        customer: &Customer,
        show: &ShowId,
        request: [u8; 32],
        solution: Option<&str>,
    ) -> Result<Gate, StoreError> {
        let settings = &self.config.fraud;
        // A customer without a name cannot be told from the neighbours at the same address.
        let Some(name) = customer.name().filter(|_| settings.enabled) else {
            return Ok(Gate::Open);
        };
        let now = self.clock.now();
        self.behaviour.asked(&name, request, settings, now);
        let signals = counted(self.behaviour.signals(&name, settings, now));
        if Verdict::of(score(&signals), &settings.levels) == Verdict::Allow {
            return Ok(Gate::Open);
        }
        let subject = format!("{name}\0{show}");
        let about = About {
            purpose: HOLDING,
            subject: &subject,
        };
        if let Some(solution) = solution
            && self.challenge_solved(about, solution).await?
        {
            self.behaviour.clear(&name, now);
            return Ok(Gate::Open);
        }
        count("hold", Verdict::Challenge);
        Ok(Gate::Challenge(Box::new(self.challenge_issue(about))))
    }

    /// Whether a payment for the customer's hold may be started.
    pub(crate) async fn payment_gate(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        email: &str,
        solution: Option<&str>,
    ) -> Result<Gate, StoreError> {
        let settings = &self.config.fraud;
        if !settings.enabled {
            return Ok(Gate::Open);
        }
        // What is wrong with hold or address, the start of the payment says.
        let hold = self.vetted.holds.ask(hold_id.uuid()).await?;
        let hold = hold
            .filter(|hold| customer.owns(hold.subject.as_deref(), hold.session.as_deref()))
            .filter(HoldRow::is_open);
        let (Some(hold), Some(email)) = (hold, crate::email::read(email)) else {
            return Ok(Gate::Open);
        };
        let history = self.history_of(&hold, &email).await?;
        let signals = self.signals_before(customer, &hold, &history);
        let score = score(&signals);
        let verdict = Verdict::of(score, &settings.levels);
        let (pool, now) = (&self.pools.money, self.clock.now());
        match verdict {
            Verdict::Allow if signals.is_empty() => return Ok(Gate::Open),
            Verdict::Refuse => {
                store::risk::keep(pool, hold.hold_id, &signals, score, None, now).await?;
                tracing::warn!(hold = %hold.hold_id, score, "a payment is refused");
                count("pay", verdict);
                if history.hold_declines >= settings.limits.declines_per_hold {
                    Box::pin(self.hold_release(customer, hold_id)).await?;
                }
                return Ok(Gate::Refused);
            }
            Verdict::Allow | Verdict::Challenge | Verdict::Review => {}
        }
        let subject = hold_id.to_string();
        let about = About {
            purpose: PAYING,
            subject: &subject,
        };
        let mut passed = (verdict == Verdict::Allow || history.passed_score >= score).then_some(0);
        if passed.is_none()
            && let Some(solution) = solution
            && self.challenge_solved(about, solution).await?
        {
            passed = Some(score);
        }
        store::risk::keep(pool, hold.hold_id, &signals, score, passed, now).await?;
        if passed.is_some() {
            return Ok(Gate::Open);
        }
        count("pay", Verdict::Challenge);
        Ok(Gate::Challenge(Box::new(self.challenge_issue(about))))
    }

    async fn history_of(&self, hold: &HoldRow, email: &str) -> Result<History, StoreError> {
        let now = self.clock.now();
        let asked = Asked {
            hold_id: hold.hold_id,
            session: hold.session.clone(),
            subject: hold.subject.clone(),
            email: email.to_owned(),
            owner_hash: self.hashes.owner(&hold.limit_owner),
            customer_hash: self.hashes.customer(email),
            known_before: now.minus(KNOWN_AFTER),
            declines_since: now.minus(DECLINES_WITHIN),
        };
        self.vetted.histories.ask(asked).await
    }

    fn signals_before(
        &self,
        customer: &Customer,
        hold: &HoldRow,
        history: &History,
    ) -> Vec<Signal> {
        let settings = &self.config.fraud;
        let limits = &settings.limits;
        let values = if history.is_known {
            0
        } else {
            settings.high_values_in(hold.amount_minor, &hold.currency)
        };
        // By owner and not by address: anybody could use up the limit of an address.
        let limit = history.hold_declines >= limits.declines_per_hold
            || history.owner_declines >= limits.declines_per_customer;
        let of = |kind, amount| Signal::new(kind, amount, settings);
        let mut seen = vec![
            of(SignalKind::HighValue, values),
            of(SignalKind::Declines, history.declines),
            of(SignalKind::DeclineLimit, u32::from(limit)),
        ];
        if let Some(name) = customer.name() {
            seen.extend(self.behaviour.signals(&name, settings, self.clock.now()));
        }
        counted(seen)
    }
}

fn count(at: &'static str, verdict: Verdict) {
    let verdict = verdict.label();
    metrics::counter!(telemetry::FRAUD_VERDICTS, "at" => at, "verdict" => verdict).increment(1);
}
