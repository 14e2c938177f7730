//! One payment provider with its guard: a breaker, a bound on calls, and a rest that it asked for.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use breaker::{Breaker, BreakerConfig, BreakerState, Outcome, Permit};
use contract::Timestamp;
use contract::coupon::PaymentKind;
use http::HeaderMap;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use super::orchestration::Standing;
use super::provider::{
    CancelReason, Charge, Intent, IntentRequest, Listed, ListedIntent, Origin, PaymentProvider,
    ProviderDispute, ProviderError, ProviderFuture, ProviderPage, ProviderRefund, ReceivedEvent,
    RefundRequest, Subject, WebhookRefusal,
};
use crate::config::{PROVIDER_CALLS_AT_ONCE, PROVIDER_SLOT_WAIT};
use crate::telemetry;

/// When calls to a provider are stopped. Fewer calls are made than to an upstream, and each is the
/// money of another customer.
const BREAKER: BreakerConfig = BreakerConfig {
    window: Duration::from_secs(30),
    outcomes_min: 8,
    failures_max_percent: 50,
    visitors_min: 2,
    rest: Duration::from_secs(10),
};

/// A configured provider. Calls go through its guard.
pub(crate) struct Lane {
    name: String,
    provider: Arc<dyn PaymentProvider>,
    slots: Semaphore,
    /// Time starts with the lane and does not follow the wall clock, which may be set.
    started: Instant,
    state: Mutex<State>,
    hasher: RandomState,
}

struct State {
    breaker: Breaker,
    /// Until then the provider wants fewer requests.
    rests_until: Option<Instant>,
}

impl Lane {
    pub(super) fn new(name: String, provider: Arc<dyn PaymentProvider>) -> Self {
        Self {
            name,
            provider,
            slots: Semaphore::new(PROVIDER_CALLS_AT_ONCE),
            started: Instant::now(),
            state: Mutex::new(State {
                breaker: Breaker::new(BREAKER),
                rests_until: None,
            }),
            hasher: RandomState::new(),
        }
    }

    /// Its name in paths and in the database.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How the provider does at the moment.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        if state.breaker.state(self.now()) == BreakerState::Open {
            Standing::Open
        } else if state
            .rests_until
            .is_some_and(|until| until > Instant::now())
        {
            Standing::Resting
        } else {
            Standing::Ready
        }
    }

    /// Calls about the payments of one hold.
    pub(crate) fn about(&self, hold_id: Uuid) -> AboutHold<'_> {
        AboutHold {
            lane: self,
            hold_id,
        }
    }

    /// Makes one call within the guard. What `about` is tells customers apart: the breaker opens
    /// only when calls about different things fail. So a call about a hold is about its id.
    async fn guarded<T>(
        &self,
        about: impl Hash,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let attempt = Attempt::begin(self, self.hasher.hash_one(about))?;
        let slot = tokio::time::timeout(PROVIDER_SLOT_WAIT, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(ProviderError::NotSent(
                "too many calls are under way".to_owned(),
            ));
        };
        let outcome = call.await;
        attempt.end(&outcome);
        outcome
    }

    fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_ms(ms)
    }

    /// The state cannot be left half changed by a panic elsewhere.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls about the payments of one hold, which come from one customer, however many attempts
/// there are.
#[derive(Clone, Copy)]
pub(crate) struct AboutHold<'a> {
    lane: &'a Lane,
    hold_id: Uuid,
}

impl AboutHold<'_> {
    pub(crate) async fn create_intent(
        self,
        request: IntentRequest,
    ) -> Result<Intent, ProviderError> {
        let call = self.lane.provider.create_intent(request);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn fetch_intent(self, intent_id: &str) -> Result<Intent, ProviderError> {
        let call = self.lane.provider.fetch_intent(intent_id);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn cancel_intent(
        self,
        intent_id: &str,
        reason: CancelReason,
    ) -> Result<Intent, ProviderError> {
        let call = self.lane.provider.cancel_intent(intent_id, reason);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn capture(self, charge_id: &str) -> Result<Intent, ProviderError> {
        let call = self.lane.provider.capture(charge_id);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn kind_of(
        self,
        charge_id: &str,
    ) -> Result<Option<PaymentKind>, ProviderError> {
        let call = self.lane.provider.kind_of(charge_id);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn refund(
        self,
        request: RefundRequest,
    ) -> Result<ProviderRefund, ProviderError> {
        let call = self.lane.provider.refund(request);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn refunds_of(
        self,
        intent_id: &str,
    ) -> Result<Vec<ProviderRefund>, ProviderError> {
        let call = self.lane.provider.refunds_of(intent_id);
        self.lane.guarded(self.hold_id, call).await
    }

    pub(crate) async fn disputes_of(
        self,
        intent_id: &str,
    ) -> Result<Vec<ProviderDispute>, ProviderError> {
        let call = self.lane.provider.disputes_of(intent_id);
        self.lane.guarded(self.hold_id, call).await
    }
}

/// One call within the breaker. Dropped early, it says nothing about the provider.
struct Attempt<'a> {
    lane: &'a Lane,
    about: u64,
    permit: Option<Permit>,
}

impl<'a> Attempt<'a> {
    fn begin(lane: &'a Lane, about: u64) -> Result<Self, ProviderError> {
        let admitted = lane.state().breaker.admit(about, lane.now());
        lane.show();
        match admitted {
            Ok(permit) => Ok(Self {
                lane,
                about,
                permit: Some(permit),
            }),
            Err(_) => Err(ProviderError::NotSent("its breaker is open".to_owned())),
        }
    }

    fn end<T>(mut self, outcome: &Result<T, ProviderError>) {
        let judged = match outcome {
            // A refusal is an answer: the provider works.
            Ok(_) | Err(ProviderError::Refused { .. } | ProviderError::Busy) => Outcome::Success,
            Err(
                ProviderError::NotSent(_)
                | ProviderError::Unavailable(_)
                | ProviderError::Unreadable(_),
            ) => Outcome::Failure,
            // Too many requests are not a provider that is down.
            Err(ProviderError::RateLimited { .. } | ProviderError::NotConfigured(_)) => {
                Outcome::Abandoned
            }
        };
        if let Err(error) = outcome
            && let Some(wait) = error.retry_after()
        {
            self.lane.state().rests_until = Some(Instant::now() + wait);
        }
        self.record(judged);
    }

    fn record(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let lane = self.lane;
        let (before, after) = {
            let mut state = lane.state();
            let now = lane.now();
            let before = state.breaker.state(now);
            state.breaker.record(permit, outcome, self.about, now);
            (before, state.breaker.state(now))
        };
        if before != after {
            let provider = lane.name();
            match after {
                BreakerState::Open => tracing::error!(provider, "calls to the provider stop"),
                BreakerState::HalfOpen => {}
                BreakerState::Closed => tracing::info!(provider, "calls to the provider go on"),
            }
        }
        lane.show();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.record(Outcome::Abandoned);
    }
}

impl Lane {
    fn show(&self) {
        let state = match self.state().breaker.state(self.now()) {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        metrics::gauge!(telemetry::PROVIDER_BREAKER, "provider" => self.name.clone()).set(state);
    }
}

impl PaymentProvider for Lane {
    fn create_intent(&self, request: IntentRequest) -> ProviderFuture<'_, Intent> {
        Box::pin(async move {
            let about = request.hold_id.uuid();
            self.guarded(about, self.provider.create_intent(request))
                .await
        })
    }

    fn fetch_intent<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Intent> {
        Box::pin(self.guarded(intent_id, self.provider.fetch_intent(intent_id)))
    }

    fn cancel_intent<'a>(
        &'a self,
        intent_id: &'a str,
        reason: CancelReason,
    ) -> ProviderFuture<'a, Intent> {
        let call = self.provider.cancel_intent(intent_id, reason);
        Box::pin(self.guarded(intent_id, call))
    }

    fn capture<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Intent> {
        Box::pin(self.guarded(charge_id, self.provider.capture(charge_id)))
    }

    fn kind_of<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<PaymentKind>> {
        Box::pin(self.guarded(charge_id, self.provider.kind_of(charge_id)))
    }

    fn captured<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<Charge>> {
        Box::pin(self.guarded(charge_id, self.provider.captured(charge_id)))
    }

    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund> {
        Box::pin(async move {
            let about = request.intent_id.clone();
            self.guarded(&about, self.provider.refund(request)).await
        })
    }

    fn refunds_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderRefund>> {
        Box::pin(self.guarded(intent_id, self.provider.refunds_of(intent_id)))
    }

    fn disputes_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderDispute>> {
        Box::pin(self.guarded(intent_id, self.provider.disputes_of(intent_id)))
    }

    fn intents(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ListedIntent>> {
        Box::pin(self.guarded("intents", self.provider.intents(listed)))
    }

    fn origin_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Origin> {
        Box::pin(self.guarded(intent_id, self.provider.origin_of(intent_id)))
    }

    fn refunds(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderRefund>> {
        Box::pin(self.guarded("refunds", self.provider.refunds(listed)))
    }

    fn disputes(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderDispute>> {
        Box::pin(self.guarded("disputes", self.provider.disputes(listed)))
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ReceivedEvent, WebhookRefusal> {
        self.provider.webhook(headers, body, now)
    }

    fn subject(&self, kind: &str, payload: &Value) -> Subject {
        self.provider.subject(kind, payload)
    }

    fn page(&self, intent_id: &str, client_secret: &str) -> Option<String> {
        self.provider.page(intent_id, client_secret)
    }

    fn page_origins(&self) -> Vec<String> {
        self.provider.page_origins()
    }
}
