//! The client for Stripe's HTTP API, used for Stripe itself and for the payment simulator.

use std::collections::HashMap;
use std::time::Duration;

use contract::HoldId;
use http::StatusCode;
use serde::Deserialize;
use show_file::currency;

use super::provider::{
    CancelReason, Intent, IntentRequest, IntentStatus, Listed, ListedIntent, PaymentProvider,
    ProviderDispute, ProviderError, ProviderFuture, ProviderPage, ProviderRefund,
    ProviderRefundStatus, RefundRequest,
};
use crate::config::{PROVIDER_TIMEOUT, PaymentConfig};
use crate::money::FailureReason;
use crate::telemetry;

/// Wait after a 429 without `Retry-After`.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(2);
/// Refunds read per intent. We make one, and another for each that fails.
const REFUNDS_MAX: &str = "100";
/// Items per page, the most that the API allows.
const PAGE_LENGTH: &str = "100";

/// A client of Stripe's API.
#[derive(Clone, Debug)]
pub(crate) struct Stripe {
    client: reqwest::Client,
    url: String,
    secret: String,
}

impl Stripe {
    pub(crate) fn new(config: &PaymentConfig) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: reqwest::Client::builder()
                .timeout(PROVIDER_TIMEOUT)
                .connect_timeout(Duration::from_secs(3))
                .build()?,
            url: config.url.trim_end_matches('/').to_owned(),
            secret: config.secret.clone(),
        })
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let request = self
            .client
            .get(format!("{}{path}", self.url))
            .query(query)
            .bearer_auth(&self.secret);
        finish(call, request).await
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

    async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        idempotency_key: &str,
        form: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.secret)
            .header("Idempotency-Key", idempotency_key)
            .form(form);
        finish(call, request).await
    }
}

impl PaymentProvider for Stripe {
    fn create_intent(&self, request: IntentRequest) -> ProviderFuture<'_, Intent> {
        Box::pin(async move {
            let amount = counted(request.amount_minor, &request.currency)?;
            let currency = request.currency.to_lowercase();
            let payment_id = request.payment_id.to_string();
            let hold_id = request.hold_id.to_string();
            let attempt = request.attempt_no.to_string();
            let form = [
                ("amount", amount.as_str()),
                ("currency", &currency),
                ("metadata[payment_id]", &payment_id),
                ("metadata[hold_id]", &hold_id),
                ("metadata[attempt]", &attempt),
                ("metadata[return_url]", &request.return_url),
            ];
            let key = &request.idempotency_key;
            let intent: WireIntent = self
                .post("create_intent", "/v1/payment_intents", key, &form)
                .await?;
            Ok(intent.into())
        })
    }

    fn fetch_intent<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            let path = format!("/v1/payment_intents/{intent_id}");
            let intent: WireIntent = self.get("fetch_intent", &path, &[]).await?;
            Ok(intent.into())
        })
    }

    fn cancel_intent<'a>(
        &'a self,
        intent_id: &'a str,
        reason: CancelReason,
    ) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            let path = format!("/v1/payment_intents/{intent_id}/cancel");
            let word = match reason {
                CancelReason::Abandoned => "abandoned",
                CancelReason::RequestedByCustomer => "requested_by_customer",
                CancelReason::Superseded => "duplicate",
            };
            let form = [("cancellation_reason", word)];
            // Sent without an idempotency key: cancelling twice has no further effect, and a
            // refusal stored under a fixed key would be repeated after its cause is gone.
            let request = self
                .client
                .post(format!("{}{path}", self.url))
                .bearer_auth(&self.secret)
                .form(&form);
            let intent: WireIntent = finish("cancel_intent", request).await?;
            Ok(intent.into())
        })
    }

    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund> {
        Box::pin(async move {
            let amount = counted(request.amount_minor, &request.currency)?;
            let key = &request.idempotency_key;
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
}

/// An amount in Stripe's unit of the currency.
fn counted(amount_minor: i64, currency: &str) -> Result<String, ProviderError> {
    currency::to_provider(amount_minor, currency)
        .map(|amount| amount.to_string())
        .ok_or_else(|| ProviderError::Refused {
            reason: FailureReason::AmountMismatch,
            message: format!("{amount_minor} minor units of {currency} cannot be charged"),
        })
}

async fn finish<T: for<'de> Deserialize<'de>>(
    call: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<T, ProviderError> {
    let outcome = send(request).await;
    let word = match &outcome {
        Ok(_) => "ok",
        Err(ProviderError::Unavailable(_)) => "unavailable",
        Err(ProviderError::RateLimited { .. }) => "rate-limited",
        Err(ProviderError::Busy) => "busy",
        Err(ProviderError::Refused { .. }) => "refused",
        Err(ProviderError::Unreadable(_)) => "unreadable",
    };
    metrics::counter!(telemetry::PROVIDER_CALLS, "call" => call, "outcome" => word).increment(1);
    outcome
}

async fn send<T: for<'de> Deserialize<'de>>(
    request: reqwest::RequestBuilder,
) -> Result<T, ProviderError> {
    // The URL is kept out of errors: it contains intent ids, and errors are logged.
    let unavailable =
        |error: reqwest::Error| ProviderError::Unavailable(error.without_url().to_string());
    let response = request.send().await.map_err(unavailable)?;
    let status = response.status();
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(RATE_LIMIT_WAIT, Duration::from_secs);
    let replayed = response.headers().get("idempotent-replayed");
    let replayed = replayed.is_some_and(|value| value == "true");
    let body = response.bytes().await.map_err(unavailable)?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| ProviderError::Unreadable(error.to_string()));
    }
    let error = serde_json::from_slice::<WireErrorBody>(&body)
        .unwrap_or_default()
        .error;
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS => ProviderError::RateLimited { retry_after },
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
            tracing::error!(%status, "the payment provider does not accept our secret");
            ProviderError::Unavailable(format!("status {status}"))
        }
        _ => ProviderError::Refused {
            reason: error.reason(),
            message: error.message.unwrap_or_else(|| format!("status {status}")),
        },
    })
}

#[derive(Debug, Default, Deserialize)]
struct WireErrorBody {
    #[serde(default)]
    error: WireError,
}

#[derive(Debug, Default, Deserialize)]
struct WireError {
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

impl WireError {
    fn reason(&self) -> FailureReason {
        FailureReason::from_codes(
            self.code.as_deref().unwrap_or_default(),
            self.decline_code.as_deref(),
        )
    }
}

#[derive(Debug, Deserialize)]
struct WireIntent {
    id: String,
    #[serde(default)]
    client_secret: Option<String>,
    status: String,
    currency: String,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    last_payment_error: Option<WireError>,
    #[serde(default)]
    cancellation_reason: Option<String>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

impl From<WireIntent> for Intent {
    fn from(intent: WireIntent) -> Self {
        let status = match intent.status.as_str() {
            "succeeded" => IntentStatus::Succeeded,
            "processing" | "requires_capture" => IntentStatus::Processing,
            "requires_action" => IntentStatus::RequiresAction,
            "canceled" => IntentStatus::Cancelled(match intent.cancellation_reason.as_deref() {
                Some("abandoned" | "automatic" | "void_invoice") => FailureReason::SessionExpired,
                Some("duplicate") => FailureReason::DuplicateTransaction,
                Some("fraudulent") => FailureReason::Fraud,
                _ => FailureReason::UserCancelled,
            }),
            _ => IntentStatus::Unpaid(intent.last_payment_error.as_ref().map(WireError::reason)),
        };
        let currency = intent.currency.to_uppercase();
        Self {
            id: intent.id,
            client_secret: intent.client_secret.unwrap_or_default(),
            status,
            received_minor: currency::from_provider(intent.amount_received, &currency),
            currency,
        }
    }
}

impl From<WireIntent> for ListedIntent {
    fn from(mut intent: WireIntent) -> Self {
        let hold_id = intent.metadata.get("hold_id");
        let hold_id = hold_id.and_then(|id| id.parse::<HoldId>().ok());
        let attempt = intent.metadata.get("attempt");
        let attempt = attempt.and_then(|number| number.parse().ok());
        Self {
            attempt: hold_id.map(HoldId::uuid).zip(attempt),
            return_url: intent.metadata.remove("return_url"),
            intent: intent.into(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct WireList<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

impl<T, U: From<T>> From<WireList<T>> for ProviderPage<U> {
    fn from(list: WireList<T>) -> Self {
        Self {
            items: list.data.into_iter().map(U::from).collect(),
            has_more: list.has_more,
        }
    }
}

#[derive(Debug, Deserialize)]
struct WireRefund {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

impl From<WireRefund> for ProviderRefund {
    fn from(mut refund: WireRefund) -> Self {
        let currency = refund.currency.to_uppercase();
        Self {
            id: refund.id,
            status: match refund.status.as_str() {
                "succeeded" => ProviderRefundStatus::Succeeded,
                "failed" | "canceled" => ProviderRefundStatus::Failed,
                _ => ProviderRefundStatus::Pending,
            },
            refund_id: refund.metadata.remove("refund_id"),
            intent_id: refund.payment_intent,
            amount_minor: currency::from_provider(refund.amount, &currency),
            currency,
        }
    }
}

#[derive(Debug, Deserialize)]
struct WireDispute {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    payment_intent: Option<String>,
}

impl From<WireDispute> for ProviderDispute {
    fn from(dispute: WireDispute) -> Self {
        let currency = dispute.currency.to_uppercase();
        Self {
            id: dispute.id,
            taken: !(dispute.status == "won" || dispute.status.starts_with("warning_")),
            intent_id: dispute.payment_intent,
            amount_minor: currency::from_provider(dispute.amount, &currency),
            currency,
        }
    }
}
