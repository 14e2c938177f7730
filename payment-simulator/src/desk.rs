//! Where one call is decided: it reads the books, and collects the entries that change them.
//!
//! Nothing takes effect here. The provider applies and journals the entries as one change, in
//! the same turn as the decision, so no other call comes between.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use rand_chacha::ChaCha20Rng;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::books::{Books, Entry};
use crate::delivery::{DELIVERIES_MAX, Delivery, DeliveryTimes};
use crate::error::ApiError;
use crate::fault::{CallName, Fault};
use crate::id::{EventId, IntentId};
use crate::intent::{Intent, Notice};
use crate::method::{Behaviour, CallFault, TestMethod};
use crate::object::{self, Cause};

/// Settings that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// How long the bank takes where it does not answer at once.
    pub(crate) settle_delay: Duration,
    /// How long an answer is held to outlast the client's timeout.
    pub(crate) answer_hold: Duration,
    /// How late delayed webhooks are.
    pub(crate) webhook_delay: Duration,
    /// Whether there is anybody to tell.
    pub(crate) sends_webhooks: bool,
    /// Where browsers find the pages.
    pub(crate) base_url: String,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// The merchant, by the secret key.
    Merchant,
    /// A browser, by the client secret of one intent.
    Browser { client_secret: String },
}

/// One call being decided.
pub(crate) struct Desk<'a> {
    pub(crate) books: &'a Books,
    pub(crate) rng: &'a mut ChaCha20Rng,
    pub(crate) now: Timestamp,
    pub(crate) rules: &'a Rules,
    pub(crate) cause: Cause,
    /// What changes.
    pub(crate) entries: Vec<Entry>,
    /// How long the answer is held.
    pub(crate) hold: Option<Duration>,
}

/// What a call comes to: a JSON object or an error.
pub(crate) type Outcome = Result<Value, ApiError>;

/// A behaviour together with the numbers a queued fault gave for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) behaviour: Behaviour,
    pub(crate) delay: Option<Duration>,
    pub(crate) amount_minor: Option<u64>,
}

impl Desk<'_> {
    /// The intent `id`, if this caller may have it. The shop's own name of a payment does as well.
    pub(crate) fn intent(&self, id: &IntentId, caller: &Caller) -> Result<Intent, ApiError> {
        let intent = self
            .books
            .intents()
            .get(id)
            .or_else(|| self.books.intent_of_payment(id.as_ref()))
            .ok_or_else(|| ApiError::no_such("payment_intent", id.as_ref(), "intent"))?;
        if let Caller::Browser { client_secret } = caller {
            let known = intent.client_secret.as_bytes();
            if !bool::from(known.ct_eq(client_secret.as_bytes())) {
                return Err(ApiError::invalid(
                    "payment_intent_invalid_parameter",
                    "The client_secret does not match the one of this PaymentIntent.".to_owned(),
                    Some("client_secret"),
                ));
            }
        }
        Ok(intent.clone())
    }

    /// The intent as this caller may see it.
    pub(crate) fn show(&self, intent: &Intent, caller: &Caller) -> Value {
        match caller {
            Caller::Merchant => object::intent(intent, &self.rules.base_url),
            Caller::Browser { .. } => object::public_intent(intent, &self.rules.base_url),
        }
    }

    /// Takes one use of the oldest queued fault that this call strikes.
    pub(crate) fn strike(
        &mut self,
        call: CallName,
        intent: Option<&IntentId>,
        metadata: &BTreeMap<String, String>,
    ) -> Option<Strike> {
        let faults = self.books.faults().iter();
        let fault = faults
            .clone()
            .find(|fault| fault.matches(call, intent, metadata))?;
        let method = TestMethod::named(&fault.kind)?;
        self.entries.push(match fault.times {
            0 | 1 => Entry::FaultGone(fault.id.clone()),
            times => Entry::Fault(Box::new(Fault {
                times: times - 1,
                ..fault.clone()
            })),
        });
        Some(Strike {
            behaviour: method.behaviour,
            delay: fault.delay_ms.map(Duration::from_millis),
            amount_minor: fault.amount,
        })
    }

    /// Lets a fault strike a call that takes no money: only its effect on the call counts.
    pub(crate) fn strike_call(
        &mut self,
        call: CallName,
        intent: Option<&IntentId>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        match self.strike(call, intent, metadata) {
            Some(strike) => self.suffer(strike),
            None => Ok(()),
        }
    }

    /// What a behaviour does to the call itself.
    pub(crate) fn suffer(&mut self, strike: Strike) -> Result<(), ApiError> {
        let hold = strike.delay.unwrap_or(self.rules.answer_hold);
        match strike.behaviour.call {
            CallFault::None => Ok(()),
            CallFault::AnswerHeld => {
                self.hold = Some(hold);
                Ok(())
            }
            CallFault::RequestLost => {
                self.hold = Some(hold);
                Err(ApiError::provider(504, "The request was lost on its way."))
            }
            CallFault::GatewayDown => Err(ApiError::provider(
                503,
                "The payment provider is not available at the moment.",
            )),
            CallFault::RateLimited => Err(ApiError::rate_limited()),
            CallFault::KeyInUse => Err(ApiError::key_in_use()),
            CallFault::CurrencyUnsupported => Err(ApiError::invalid(
                "currency_not_supported",
                "This account cannot charge in this currency.".to_owned(),
                Some("currency"),
            )),
        }
    }

    /// Records the new state of an intent and tells the merchant about it.
    pub(crate) fn put_intent(&mut self, intent: &Intent, notice: Option<Notice>) {
        self.entries.push(Entry::Intent(Box::new(intent.clone())));
        if let Some(notice) = notice {
            let snapshot = object::intent(intent, &self.rules.base_url);
            self.tell(
                intent,
                notice.event_type(),
                &snapshot,
                notice.ends_attempt(),
            );
        }
    }

    /// Queues an event about `snapshot`.
    pub(crate) fn tell(
        &mut self,
        intent: &Intent,
        event_type: &str,
        snapshot: &Value,
        ends_attempt: bool,
    ) {
        if !self.rules.sends_webhooks {
            return;
        }
        if self.books.outbox.len() >= DELIVERIES_MAX {
            tracing::warn!(event_type, intent = %intent.id, "webhook.dropped: the queue is full");
            return;
        }
        let id = EventId::draw(self.rng);
        let event = object::event(&id, event_type, self.now, &self.cause, snapshot);
        let times = DeliveryTimes {
            now: self.now,
            delay: self.rules.webhook_delay,
        };
        let body = event.to_string();
        let plan = intent.webhooks;
        let deliveries = Delivery::plan(plan, &id, &intent.id, &body, ends_attempt, times);
        let entries = deliveries.into_iter().map(Box::new).map(Entry::Delivery);
        self.entries.extend(entries);
    }
}
