//! Decides one call: reads the books and collects the entries that change them.
//!
//! Nothing is changed here. The provider applies and journals the entries as one change under the
//! same lock as the decision, so calls are decided one at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use rand_chacha::ChaCha20Rng;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::books::{Books, Entry};
use crate::config::Secret;
use crate::delivery::{DELIVERIES_MAX, Delivery, DeliveryTimes, Hook};
use crate::error::ApiError;
use crate::fault::{CallName, Fault};
use crate::id::{EventId, IntentId};
use crate::intent::{Intent, Notice, Status};
use crate::method::{Behaviour, CallFault, TestMethod};
use crate::object::{self, Cause};
use crate::razorpay_object;
use crate::session;

/// Which events an endpoint listens to: names, or `*`, or names that end in `*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter(Vec<String>);

impl EventFilter {
    /// The filter that `text` writes, separated by commas.
    pub(crate) fn parse(text: &str) -> Self {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Self(names.map(str::to_owned).collect())
    }

    fn includes(&self, event_type: &str) -> bool {
        self.0.iter().any(|name| match name.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => name == event_type,
        })
    }
}

/// Settings that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Default delay of a delayed bank decision.
    pub(crate) settle_delay: Duration,
    /// Default delay of a held response, longer than the client's timeout.
    pub(crate) answer_hold: Duration,
    /// Delay of delayed webhooks.
    pub(crate) webhook_delay: Duration,
    /// The events of Stripe's that are delivered; none without a webhook URL.
    pub(crate) webhook_events: EventFilter,
    /// Whether a URL for Razorpay's webhooks is configured.
    pub(crate) sends_razorpay_webhooks: bool,
    /// Key id and secret of Razorpay's API.
    pub(crate) razorpay_key: Secret,
    /// URL prefix of the pages for browsers.
    pub(crate) base_url: String,
}

/// The authenticated caller.
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
    /// The entries of the change.
    pub(crate) entries: Vec<Entry>,
    /// How long to hold the response.
    pub(crate) hold: Option<Duration>,
}

/// The result of a call: a JSON object or an error.
pub(crate) type Outcome = Result<Value, ApiError>;

/// A behaviour with the parameters of the queued fault that caused it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) behaviour: Behaviour,
    pub(crate) delay: Option<Duration>,
    pub(crate) amount_minor: Option<u64>,
}

impl Desk<'_> {
    /// The intent `id`, or the one with this payment id of the shop, if this caller may read it.
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

    /// The JSON of an intent, as this caller may read it.
    pub(crate) fn show(&self, intent: &Intent, caller: &Caller) -> Value {
        match caller {
            Caller::Merchant => object::intent(intent, &self.rules.base_url),
            Caller::Browser { .. } => object::public_intent(intent, &self.rules.base_url),
        }
    }

    /// Uses the oldest queued fault that matches this call once.
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

    /// Applies a matching fault to a call that captures no money: only the fault's effect on the
    /// call is used.
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

    /// Applies the effect of a behaviour on the call itself.
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

    /// Whether an intent was made for a page that takes no payments any more.
    pub(crate) fn is_page_closed(&self, intent: &Intent) -> bool {
        let session = intent.session.as_ref();
        let session = session.and_then(|id| self.books.sessions().get(id));
        session.is_some_and(|session| session.status(Some(intent), self.now) != session::OPEN)
    }

    /// Whether `id` is a payment at Razorpay, which Stripe's calls do not show.
    pub(crate) fn is_razorpays(&self, id: &IntentId) -> bool {
        let known = self.books.intents().get(id);
        known.is_some_and(|intent| intent.link.is_some())
    }

    /// Records the new state of an intent and queues webhooks about it.
    pub(crate) fn put_intent(&mut self, intent: &Intent, notice: Option<Notice>) {
        self.entries.push(Entry::Intent(Box::new(intent.clone())));
        let Some(notice) = notice else { return };
        if let Some(payment) = &intent.link {
            let link = self.books.links().get(&payment.link).cloned();
            if let Some(link) = link {
                for (event, payload) in razorpay_object::events(&link, intent, notice, self.now) {
                    self.tell_razorpay(intent, event, &payload, notice.ends_attempt());
                }
            }
            return;
        }
        let snapshot = object::intent(intent, &self.rules.base_url);
        let (kind, ends) = (notice.event_type(), notice.ends_attempt());
        match notice {
            // Money that is taken later makes no further charge.
            Notice::Succeeded if intent.is_manual => {
                self.tell(intent, "charge.captured", &object::charge(intent), false);
            }
            Notice::Succeeded | Notice::Capturable => {
                self.tell(intent, "charge.succeeded", &object::charge(intent), false);
            }
            Notice::PaymentFailed => {
                let charge = object::failed_charge(intent);
                self.tell(intent, "charge.failed", &charge, false);
            }
            Notice::Processing | Notice::RequiresAction | Notice::Canceled => {}
        }
        self.tell(intent, kind, &snapshot, ends);
        self.tell_session(intent, notice);
    }

    /// Queues the event of a new payment intent.
    pub(crate) fn tell_created(&mut self, intent: &Intent) {
        let snapshot = object::intent(intent, &self.rules.base_url);
        self.tell(intent, "payment_intent.created", &snapshot, false);
    }

    /// Queues the event of a session whose intent changed.
    fn tell_session(&mut self, intent: &Intent, notice: Notice) {
        let session = intent.session.as_ref();
        let Some(session) = session.and_then(|id| self.books.sessions().get(id)) else {
            return;
        };
        let before = self.books.intents().get(&intent.id);
        let was_processing = before.is_some_and(|before| before.status == Status::Processing);
        let kind = match notice {
            // The page was done when the bank agreed.
            Notice::Succeeded if intent.is_manual => return,
            Notice::Succeeded if was_processing => "checkout.session.async_payment_succeeded",
            Notice::PaymentFailed if was_processing => "checkout.session.async_payment_failed",
            Notice::Succeeded | Notice::Capturable | Notice::Processing => {
                "checkout.session.completed"
            }
            Notice::PaymentFailed | Notice::RequiresAction | Notice::Canceled => return,
        };
        let shown = session::object(session, Some(intent), self.now, &self.rules.base_url);
        self.tell(intent, kind, &shown, true);
    }

    /// Queues an event about `snapshot`.
    pub(crate) fn tell(
        &mut self,
        intent: &Intent,
        event_type: &str,
        snapshot: &Value,
        ends_attempt: bool,
    ) {
        if !self.rules.webhook_events.includes(event_type) {
            return;
        }
        if self.books.outbox.len() >= DELIVERIES_MAX {
            tracing::warn!(event_type, intent = %intent.id, "webhook.dropped: the queue is full");
            return;
        }
        let id = EventId::draw(self.rng);
        let event = object::event(&id, event_type, self.now, &self.cause, snapshot);
        self.deliver(Hook::Stripe, intent, &id, &event, ends_attempt);
    }

    /// Queues an event of Razorpay's.
    pub(crate) fn tell_razorpay(
        &mut self,
        intent: &Intent,
        event_type: &str,
        payload: &Value,
        ends_attempt: bool,
    ) {
        if !self.rules.sends_razorpay_webhooks || self.books.outbox.len() >= DELIVERIES_MAX {
            return;
        }
        let id = EventId::draw(self.rng);
        let event = razorpay_object::event(event_type, payload, self.now);
        self.deliver(Hook::Razorpay, intent, &id, &event, ends_attempt);
    }

    fn deliver(
        &mut self,
        hook: Hook,
        intent: &Intent,
        id: &EventId,
        event: &Value,
        ends_attempt: bool,
    ) {
        let times = DeliveryTimes {
            now: self.now,
            delay: self.rules.webhook_delay,
        };
        let body = event.to_string();
        let plan = intent.webhooks;
        let deliveries = Delivery::plan(plan, id, &intent.id, &body, ends_attempt, times);
        let deliveries = deliveries
            .into_iter()
            .map(|delivery| Delivery { hook, ..delivery });
        let entries = deliveries.map(Box::new).map(Entry::Delivery);
        self.entries.extend(entries);
    }
}
