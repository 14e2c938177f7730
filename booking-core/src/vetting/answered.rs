//! What is remembered and decided when a provider has told what was paid with: after the answer and
//! before the booking.

use std::time::Duration;

use contract::booking::PaymentStatus;

use crate::core::Core;
use crate::database::StoreError;
use crate::fraud::signal::{Signal, SignalKind, Verdict, counted, score};
use crate::payments::provider::{CancelReason, Intent, IntentStatus, ProviderError, Try};
use crate::store;
use crate::store::holds::HoldRow;
use crate::store::payments::PaymentRow;
use crate::store::risk::{Instrument, InstrumentUse, NewTries, NewTry};
use crate::telemetry;

/// The span in which customers of one card count, over all shows.
const CARD_CUSTOMERS_WITHIN: Duration = Duration::from_hours(7 * 24);

/// What follows from the tries of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tries {
    /// Nothing.
    GoOn,
    /// So many were declined that no more may be made.
    UsedUp,
}

impl Core {
    /// Asks the provider, and remembers and judges the tries that it tells of. When too many were
    /// declined, the intent is closed and the hold released.
    pub(crate) async fn ask_and_note(
        &self,
        hold: &HoldRow,
        payment: &PaymentRow,
        cancel: Option<CancelReason>,
    ) -> Result<Result<Intent, ProviderError>, StoreError> {
        let answer = self.ask_provider(hold, payment, cancel).await;
        let Ok(intent) = &answer else {
            return Ok(answer);
        };
        if self.tries_told(hold, payment, intent).await? == Tries::GoOn {
            return Ok(answer);
        }
        let closed = Some(CancelReason::RequestedByCustomer);
        let answer = self.ask_provider(hold, payment, closed).await;
        if let Ok(intent) = &answer {
            // The customer may have paid while it was being closed.
            self.tries_told(hold, payment, intent).await?;
        }
        Ok(answer)
    }

    /// Remembers the tries that `intent` tells of. A paid one that is suspicious is put aside for a
    /// person; that is committed before the booking is made.
    async fn tries_told(
        &self,
        hold: &HoldRow,
        payment: &PaymentRow,
        intent: &Intent,
    ) -> Result<Tries, StoreError> {
        let is_paid = intent.status == IntentStatus::Succeeded;
        let is_news = payment.status != PaymentStatus::Succeeded;
        let nothing = intent.tries.is_empty() && !is_paid;
        if !self.config.fraud.enabled || nothing || !is_news {
            return Ok(Tries::GoOn);
        }
        let now = self.clock.now();
        if !intent.tries.is_empty() {
            let new = self.new_tries(hold, payment, intent);
            self.vetted.tries.ask(new).await?;
        }
        let paid = intent.tries.iter().find(|it| is_paid && !it.declined);
        let hash = paid.and_then(|it| self.hash_of(payment, it));
        let since = now.minus(CARD_CUSTOMERS_WITHIN);
        let instrument = Instrument {
            hold_id: hold.hold_id,
            show_no: hold.show_no,
            hash,
            since,
        };
        let used = self.vetted.instruments.ask(instrument).await?;
        if !is_paid {
            let limit = self.config.fraud.limits.declines_per_hold;
            return Ok(if used.hold_declines >= limit && hold.is_open() {
                Tries::UsedUp
            } else {
                Tries::GoOn
            });
        }
        let signals = self.signals_after(used, paid);
        let score = score(&signals);
        if Verdict::of(score, &self.config.fraud.levels) < Verdict::Review {
            return Ok(Tries::GoOn);
        }
        let (mut connection, _turn) = self.settling.acquire().await?;
        let begun =
            store::reviews::begin(&mut connection, hold.hold_id, &signals, score, now).await?;
        if begun {
            tracing::warn!(hold = %hold.hold_id, score, "a purchase waits for a review");
            let verdict = Verdict::Review.label();
            metrics::counter!(telemetry::FRAUD_VERDICTS, "at" => "paid", "verdict" => verdict)
                .increment(1);
        }
        Ok(Tries::GoOn)
    }

    fn hash_of(&self, payment: &PaymentRow, told: &Try) -> Option<Vec<u8>> {
        let key = told.instrument.as_deref()?;
        Some(self.hashes.instrument(&payment.provider, key))
    }

    fn new_tries(&self, hold: &HoldRow, payment: &PaymentRow, intent: &Intent) -> NewTries {
        let tries = intent.tries.iter().map(|told| NewTry {
            try_id: told.id.clone(),
            declined: told.declined,
            instrument_hash: self.hash_of(payment, told),
            country: told.country.clone(),
            provider_risk: i16::from(told.risk),
        });
        NewTries {
            provider: payment.provider.clone(),
            hold_id: hold.hold_id,
            show_no: hold.show_no,
            ticket_count: i32::try_from(hold.seat_nos.len()).unwrap_or(i32::MAX),
            owner_hash: self.hashes.owner(&hold.limit_owner),
            customer_hash: self.hashes.customer(&payment.email),
            tries: tries.collect(),
            now: self.clock.now(),
        }
    }

    fn signals_after(&self, used: InstrumentUse, paid: Option<&Try>) -> Vec<Signal> {
        let settings = &self.config.fraud;
        let limits = &settings.limits;
        let over = used.show_customers > limits.customers_per_card
            || used.show_tickets > limits.tickets_per_card;
        let country = paid.and_then(|it| it.country.as_deref());
        let foreign = country.is_some_and(|country| settings.is_foreign(country));
        let risk = paid.map_or(0, |it| u32::from(it.risk));
        let of = |kind, amount| Signal::new(kind, amount, settings);
        let mut seen = used.before;
        seen.extend([
            of(SignalKind::CardCustomers, used.customers.saturating_sub(1)),
            of(SignalKind::CardLimit, u32::from(over)),
            of(SignalKind::ProviderRisk, risk),
            of(SignalKind::ForeignCard, u32::from(foreign)),
        ]);
        counted(seen)
    }
}
