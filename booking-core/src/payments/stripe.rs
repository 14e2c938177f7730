//! The client for Stripe's HTTP API, used for Stripe itself and for the payment simulator.
//!
//! A customer pays on Stripe's page, a checkout session; programs with a page of their own pay a
//! payment intent by its client secret. An id says which of the two it names: `cs_…` or `pi_…`.

mod events;
mod wire;

use std::time::Duration;

use contract::Timestamp;
use contract::coupon::PaymentKind;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use show_file::currency;

use super::http_client::{Answered, ClientError, HttpClient, counted};
use super::provider::{
    CancelReason, Charge, Intent, IntentRequest, IntentStatus, Listed, ListedIntent,
    PaymentProvider, ProviderDispute, ProviderError, ProviderFuture, ProviderPage, ProviderRefund,
    ReceivedEvent, RefundRequest, Subject, WebhookRefusal,
};
use crate::config::{PaymentApi, PaymentConfig};
use crate::money::FailureReason;
use crate::money::payment_kind::plain;
use wire::{WireDispute, WireErrorBody, WireIntent, WireList, WireRefund, WireSession};

/// The version of the API that this client was written for, whatever the account's default is.
const VERSION: &str = "2024-06-20";
/// Refunds read per intent. We make one, and another for each that fails.
const REFUNDS_MAX: &str = "100";
/// Items per page, the most that the API allows.
const PAGE_LENGTH: &str = "100";
/// How long a session is open: the least that Stripe allows, 30 minutes, and time for repeated
/// requests. It is expired as soon as its hold ends.
const SESSION_OPEN_FOR: Duration = Duration::from_mins(45);
/// What a session's page says is bought.
const PRODUCT: &str = "Tickets";
/// Where Stripe's own pages are.
const CHECKOUT_ORIGIN: &str = "https://checkout.stripe.com";
/// Where Stripe's API is.
const API_ORIGIN: &str = "https://api.stripe.com";

/// A client of Stripe's API.
#[derive(Debug)]
pub(crate) struct Stripe {
    client: HttpClient,
    config: PaymentConfig,
    url: String,
}

impl Stripe {
    pub(crate) fn new(config: &PaymentConfig) -> Result<Self, ClientError> {
        Ok(Self {
            client: HttpClient::new(config.more_roots.as_deref())?,
            url: config.url.trim_end_matches('/').to_owned(),
            config: config.clone(),
        })
    }

    fn has_own_pages(&self) -> bool {
        self.config.api == PaymentApi::StripeCheckout
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let request = self.client.get(format!("{}{path}", self.url)).query(query);
        self.finish(call, request).await
    }

    async fn list<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        listed: &Listed,
    ) -> Result<WireList<T>, ProviderError> {
        let from = listed.from.as_unix_seconds().to_string();
        let until = listed.until.as_unix_seconds().to_string();
        let mut query = vec![
            ("created[gte]", from.as_str()),
            ("created[lt]", until.as_str()),
            ("limit", PAGE_LENGTH),
        ];
        if let Some(after) = &listed.after {
            query.push(("starting_after", after));
        }
        self.get(call, path, &query).await
    }

    /// Without a key for requests that may be repeated as often as one likes.
    async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        idempotency_key: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let mut request = self.client.post(format!("{}{path}", self.url)).form(form);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        self.finish(call, request).await
    }

    async fn finish<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ProviderError> {
        let request = request
            .bearer_auth(&self.config.secret)
            .header("Stripe-Version", VERSION);
        let read = async { read(&self.config.provider, &self.client.send(request).await?) };
        counted(&self.config.provider, call, read.await)
    }

    async fn create_session(
        &self,
        request: &IntentRequest,
        amount: &str,
        metadata: &[(&str, &str)],
    ) -> Result<Intent, ProviderError> {
        let expires_at = request.created_at.plus(SESSION_OPEN_FOR);
        let expires_at = expires_at.as_unix_seconds().to_string();
        let currency = request.currency.to_lowercase();
        let payment_id = request.payment_id.to_string();
        let mut form = vec![
            ("mode", "payment"),
            ("line_items[0][quantity]", "1"),
            ("line_items[0][price_data][currency]", &currency),
            ("line_items[0][price_data][unit_amount]", amount),
            ("line_items[0][price_data][product_data][name]", PRODUCT),
            ("success_url", &request.return_url),
            ("cancel_url", &request.cancel_url),
            ("expires_at", &expires_at),
            ("client_reference_id", &payment_id),
            ("expand[]", "payment_intent"),
        ];
        let terms = kind_terms(&request.accepts);
        if terms.only_cards {
            form.push(("payment_method_types[0]", "card"));
        }
        if terms.looks_first {
            form.push(("payment_intent_data[capture_method]", "manual"));
        }
        let both: Vec<_> = metadata
            .iter()
            .map(|(name, value)| {
                let inner = format!("payment_intent_data[metadata][{name}]");
                (format!("metadata[{name}]"), inner, *value)
            })
            .collect();
        for (outer, inner, value) in &both {
            form.extend([(outer.as_str(), *value), (inner.as_str(), *value)]);
        }
        let key = Some(request.idempotency_key.as_str());
        let path = "/v1/checkout/sessions";
        let session: WireSession = self.post("create_intent", path, key, &form).await?;
        Ok(session.into())
    }

    async fn create_payment_intent(
        &self,
        request: &IntentRequest,
        amount: &str,
        metadata: &[(&str, &str)],
    ) -> Result<Intent, ProviderError> {
        let currency = request.currency.to_lowercase();
        let metadata: Vec<_> = metadata
            .iter()
            .map(|(name, value)| (format!("metadata[{name}]"), *value))
            .collect();
        let mut form = vec![("amount", amount), ("currency", currency.as_str())];
        form.extend(metadata.iter().map(|(name, value)| (name.as_str(), *value)));
        let terms = kind_terms(&request.accepts);
        if terms.only_cards {
            form.push(("payment_method_types[0]", "card"));
        }
        if terms.looks_first {
            form.push(("capture_method", "manual"));
        }
        let key = Some(request.idempotency_key.as_str());
        let path = "/v1/payment_intents";
        let intent: WireIntent = self.post("create_intent", path, key, &form).await?;
        Ok(intent.into())
    }

    async fn expire_session(
        &self,
        session_id: &str,
        reason: CancelReason,
    ) -> Result<Intent, ProviderError> {
        let path = format!("/v1/checkout/sessions/{session_id}/expire");
        let form = [("expand[]", "payment_intent")];
        let session: WireSession = self.post("cancel_intent", &path, None, &form).await?;
        let mut intent = Intent::from(session);
        // Stripe does not keep why a session was expired.
        if let IntentStatus::Cancelled(_) = intent.status {
            intent.status = IntentStatus::Cancelled(match reason {
                CancelReason::Abandoned => FailureReason::SessionExpired,
                CancelReason::RequestedByCustomer => FailureReason::UserCancelled,
                CancelReason::Superseded => FailureReason::DuplicateTransaction,
                CancelReason::NotAccepted => FailureReason::CouponPayment,
            });
        }
        Ok(intent)
    }
}

impl PaymentProvider for Stripe {
    fn create_intent(&self, request: IntentRequest) -> ProviderFuture<'_, Intent> {
        Box::pin(async move {
            let amount = in_their_unit(request.amount_minor, &request.currency)?;
            let payment_id = request.payment_id.to_string();
            let hold_id = request.hold_id.to_string();
            let attempt = request.attempt_no.to_string();
            let metadata = [
                ("payment_id", payment_id.as_str()),
                ("hold_id", &hold_id),
                ("attempt", &attempt),
                ("return_url", &request.return_url),
            ];
            if self.has_own_pages() {
                self.create_session(&request, &amount, &metadata).await
            } else {
                self.create_payment_intent(&request, &amount, &metadata)
                    .await
            }
        })
    }

    fn fetch_intent<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            if is_session(intent_id) {
                let path = format!("/v1/checkout/sessions/{intent_id}");
                let query = [("expand[]", "payment_intent.latest_charge")];
                let session: WireSession = self.get("fetch_intent", &path, &query).await?;
                return Ok(session.into());
            }
            let path = format!("/v1/payment_intents/{intent_id}");
            let query = [("expand[]", "latest_charge")];
            let intent: WireIntent = self.get("fetch_intent", &path, &query).await?;
            Ok(intent.into())
        })
    }

    fn cancel_intent<'a>(
        &'a self,
        intent_id: &'a str,
        reason: CancelReason,
    ) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            // Sent without an idempotency key: cancelling twice has no further effect, and a
            // refusal stored under a fixed key would be repeated after its cause is gone.
            if is_session(intent_id) {
                return self.expire_session(intent_id, reason).await;
            }
            let path = format!("/v1/payment_intents/{intent_id}/cancel");
            let word = match reason {
                CancelReason::Abandoned | CancelReason::NotAccepted => "abandoned",
                CancelReason::RequestedByCustomer => "requested_by_customer",
                CancelReason::Superseded => "duplicate",
            };
            let form = [("cancellation_reason", word)];
            let intent: WireIntent = self.post("cancel_intent", &path, None, &form).await?;
            Ok(intent.into())
        })
    }

    fn capture<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            // Without an idempotency key, as cancelling is: what was captured is not again.
            let path = format!("/v1/payment_intents/{charge_id}/capture");
            let intent: WireIntent = self.post("capture", &path, None, &[]).await?;
            Ok(intent.into())
        })
    }

    fn kind_of<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<PaymentKind>> {
        Box::pin(async move {
            let path = format!("/v1/payment_intents/{charge_id}");
            let query = [("expand[]", "latest_charge")];
            let intent: WireIntent = self.get("payment_kind", &path, &query).await?;
            Ok(intent.kind())
        })
    }

    fn captured<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<Charge>> {
        Box::pin(async move {
            let intent = self.fetch_intent(charge_id).await?;
            let charge = Charge {
                id: intent.charge_id.unwrap_or(intent.id),
                amount_minor: intent.received_minor,
                currency: intent.currency,
            };
            Ok((charge.amount_minor > 0).then_some(charge))
        })
    }

    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund> {
        Box::pin(async move {
            let amount = in_their_unit(request.amount_minor, &request.currency)?;
            let key = Some(request.idempotency_key.as_str());
            let form = [
                ("payment_intent", request.intent_id.as_str()),
                ("amount", &amount),
                ("metadata[refund_id]", &request.refund_id),
            ];
            let refund: WireRefund = self.post("refund", "/v1/refunds", key, &form).await?;
            Ok(refund.into())
        })
    }

    fn refunds_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderRefund>> {
        Box::pin(async move {
            let query = [("payment_intent", intent_id), ("limit", REFUNDS_MAX)];
            let list: WireList<WireRefund> = self.get("refunds_of", "/v1/refunds", &query).await?;
            Ok(list.data.into_iter().map(ProviderRefund::from).collect())
        })
    }

    fn disputes_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderDispute>> {
        Box::pin(async move {
            let query = [("payment_intent", intent_id), ("limit", REFUNDS_MAX)];
            let list: WireList<WireDispute> =
                self.get("disputes_of", "/v1/disputes", &query).await?;
            Ok(list.data.into_iter().map(ProviderDispute::from).collect())
        })
    }

    fn disputes(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderDispute>> {
        Box::pin(async move {
            let list: WireList<WireDispute> =
                self.list("disputes", "/v1/disputes", &listed).await?;
            Ok(list.into())
        })
    }

    fn intents(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ListedIntent>> {
        Box::pin(async move {
            let list: WireList<WireIntent> =
                self.list("intents", "/v1/payment_intents", &listed).await?;
            Ok(list.into())
        })
    }

    fn refunds(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderRefund>> {
        Box::pin(async move {
            let list: WireList<WireRefund> = self.list("refunds", "/v1/refunds", &listed).await?;
            Ok(list.into())
        })
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ReceivedEvent, WebhookRefusal> {
        events::received(headers, body, &self.config.webhook_secrets, now)
    }

    fn subject(&self, kind: &str, payload: &Value) -> Subject {
        events::subject(kind, payload)
    }

    fn page(&self, intent_id: &str, client_secret: &str) -> Option<String> {
        // Stripe has no page for payment intents; the simulator has one.
        let is_simulators = self.config.api == PaymentApi::Simulator;
        is_simulators.then(|| {
            let base = &self.url;
            format!("{base}/pay/{intent_id}?client_secret={client_secret}")
        })
    }

    fn page_origins(&self) -> Vec<String> {
        let of_api = web::origin::origin_of(&self.url);
        match of_api {
            Some(origin) if origin == API_ORIGIN => vec![CHECKOUT_ORIGIN.to_owned()],
            origin => origin.into_iter().collect(),
        }
    }
}

/// How a payment is begun whose price is for some kinds of payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KindTerms {
    /// The page offers cards alone.
    only_cards: bool,
    /// The money is only reserved, so that it need not go back if the card is another one. Of other
    /// ways to pay not all can be reserved: of those, what does not fit goes back.
    looks_first: bool,
}

fn kind_terms(accepts: &[PaymentKind]) -> KindTerms {
    let is_card = |kind: &PaymentKind| plain(&kind.method) == "card";
    let says_more = |kind: &PaymentKind| {
        kind.network.is_some() || kind.funding.is_some() || kind.issuer.is_some()
    };
    let only_cards = !accepts.is_empty() && accepts.iter().all(is_card);
    KindTerms {
        only_cards,
        looks_first: only_cards && accepts.iter().all(says_more),
    }
}

fn is_session(id: &str) -> bool {
    id.starts_with("cs_")
}

/// An amount in Stripe's unit of the currency.
fn in_their_unit(amount_minor: i64, currency: &str) -> Result<String, ProviderError> {
    currency::to_provider(amount_minor, currency)
        .map(|amount| amount.to_string())
        .ok_or_else(|| ProviderError::Refused {
            reason: FailureReason::AmountMismatch,
            message: format!("{amount_minor} minor units of {currency} cannot be charged"),
        })
}

/// What an answer says.
fn read<T: for<'de> Deserialize<'de>>(
    provider: &str,
    answered: &Answered,
) -> Result<T, ProviderError> {
    let status = answered.status;
    if status.is_success() {
        return serde_json::from_slice(&answered.body)
            .map_err(|error| ProviderError::Unreadable(error.to_string()));
    }
    let replayed = answered.headers.get("idempotent-replayed");
    let replayed = replayed.is_some_and(|value| value == "true");
    let error = serde_json::from_slice::<WireErrorBody>(&answered.body)
        .unwrap_or_default()
        .error;
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS => ProviderError::RateLimited {
            retry_after: answered.retry_after(),
        },
        StatusCode::CONFLICT => ProviderError::Busy,
        // A stored server error is repeated for as long as its key lives, so it counts as a
        // refusal.
        status if status.is_server_error() && replayed => ProviderError::Refused {
            reason: FailureReason::GatewayDown,
            message: format!("status {status}, repeated"),
        },
        status if status.is_server_error() => {
            ProviderError::Unavailable(format!("status {status}"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(%status, provider, "the payment provider does not accept our secret");
            ProviderError::NotSent(format!("status {status}: it does not accept our secret"))
        }
        _ => ProviderError::Refused {
            reason: error.reason(),
            message: error.message.unwrap_or_else(|| format!("status {status}")),
        },
    })
}
