//! The client for Razorpay's HTTP API.
//!
//! A customer pays on the page of a payment link, by UPI, card, wallet or net banking. Each try of
//! the customer is a payment of the link's order. Creating a link takes no idempotency key: its
//! reference id may be used once, so a repeated request finds the link that the first one made.

mod events;
mod reasons;
mod wire;

use std::time::Duration;

use contract::Timestamp;
use contract::coupon::PaymentKind;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http_client::{Answered, ClientError, HttpClient, counted};
use super::provider::{
    CancelReason, Charge, Intent, IntentRequest, IntentStatus, Listed, ListedIntent, Origin,
    PaymentProvider, ProviderDispute, ProviderError, ProviderFuture, ProviderPage, ProviderRefund,
    ReceivedEvent, RefundRequest, Subject, WebhookRefusal,
};
use crate::config::PaymentConfig;
use crate::money::FailureReason;
use crate::money::payment_kind::plain;
use wire::{
    WireCollection, WireDispute, WireErrorBody, WireLink, WireLinks, WirePayment, WireRefund,
    to_capture,
};

/// Items per page, the most that the API allows.
const PAGE_LENGTH: usize = 100;
/// Pages of disputes that are searched for those of one payment.
const DISPUTE_PAGES_MAX: usize = 20;
/// How long a link is open: Razorpay allows no less than 15 minutes. It is cancelled as soon as its
/// hold ends.
const LINK_OPEN_FOR: Duration = Duration::from_mins(45);
/// Later than every dispute.
const FAR_FUTURE: Timestamp = Timestamp::from_ms(4_102_444_800_000);
/// What a link's page says is bought.
const DESCRIPTION: &str = "Tickets";
/// Longest value of a note.
const NOTE_CHARS_MAX: usize = 255;
/// Currencies with thousandths, of which Razorpay takes whole hundredths only.
const WITH_THOUSANDTHS: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];
/// Where Razorpay's own pages are.
const PAGE_ORIGINS: [&str; 3] = [
    "https://rzp.io",
    "https://pages.razorpay.com",
    "https://api.razorpay.com",
];
/// Where Razorpay's API is.
const API_ORIGIN: &str = "https://api.razorpay.com";

/// A client of Razorpay's API.
#[derive(Debug)]
pub(crate) struct Razorpay {
    client: HttpClient,
    config: PaymentConfig,
    url: String,
}

impl Razorpay {
    pub(crate) fn new(config: &PaymentConfig) -> Result<Self, ClientError> {
        Ok(Self {
            client: HttpClient::new(config.more_roots.as_deref())?,
            url: config.url.trim_end_matches('/').to_owned(),
            config: config.clone(),
        })
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let request = self.client.get(format!("{}{path}", self.url)).query(query);
        self.finish(call, request).await.map_err(Failed::known)
    }

    async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<T, Failed> {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        self.finish(call, request).await
    }

    async fn finish<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Failed> {
        let (key, secret) = self.config.secret.split_once(':').unwrap_or_default();
        let request = request.basic_auth(key, Some(secret));
        let outcome = match self.client.send(request).await {
            Ok(answered) => read(&self.config.provider, &answered),
            Err(error) => Err(Failed::from(error)),
        };
        let link_exists = outcome.as_ref().is_err_and(|failed| failed.link_exists);
        let outcome = outcome.map_err(Failed::known);
        counted(&self.config.provider, call, outcome).map_err(|error| Failed { error, link_exists })
    }

    /// A page of a listing by creation times.
    async fn listed<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        path: &str,
        listed: &Listed,
    ) -> Result<(Vec<T>, Option<String>), ProviderError> {
        let skip: usize = match &listed.after {
            None => 0,
            Some(after) => after
                .parse()
                .map_err(|_| ProviderError::Unreadable(format!("`{after}` is no page")))?,
        };
        let from = listed.from.as_unix_seconds().to_string();
        // Both ends are included.
        let to = (listed.until.as_unix_seconds() - 1).to_string();
        let (count, skipped) = (PAGE_LENGTH.to_string(), skip.to_string());
        let query = [
            ("from", from.as_str()),
            ("to", &to),
            ("count", &count),
            ("skip", &skipped),
        ];
        let page: WireCollection<T> = self.get(call, path, &query).await?;
        let next = skip + page.items.len();
        let has_more = page.items.len() == PAGE_LENGTH;
        Ok((page.items, has_more.then(|| next.to_string())))
    }

    async fn link(&self, call: &'static str, link_id: &str) -> Result<WireLink, ProviderError> {
        let path = format!("/v1/payment_links/{link_id}");
        self.get(call, &path, &[]).await
    }

    /// The intent of a link. Takes money that a bank has agreed to: Razorpay does so by itself for
    /// links, but not for an agreement that comes late. Of a customer who pays twice it is taken
    /// once; Razorpay gives back by itself what nobody takes.
    async fn intent(&self, call: &'static str, link: WireLink) -> Result<Intent, ProviderError> {
        let order = link.order().map(str::to_owned);
        self.intent_of_order(call, link, order).await
    }

    async fn intent_of_order(
        &self,
        call: &'static str,
        link: WireLink,
        order: Option<String>,
    ) -> Result<Intent, ProviderError> {
        let mut payments = match order {
            None => link.named_payments(),
            Some(order) => {
                let path = format!("/v1/orders/{order}/payments");
                let found: WireCollection<WirePayment> = self.get(call, &path, &[]).await?;
                found.items
            }
        };
        if let Some(agreed) = to_capture(&mut payments) {
            *agreed = self.capture(agreed).await?;
        }
        Ok(link.with(payments))
    }

    async fn capture(&self, payment: &WirePayment) -> Result<WirePayment, ProviderError> {
        let path = format!("/v1/payments/{}", payment.id);
        let body = json!({"amount": payment.amount, "currency": payment.currency});
        match self
            .post("capture", &format!("{path}/capture"), &body)
            .await
        {
            Ok(captured) => Ok(captured),
            // It was captured meanwhile, or can no longer be.
            Err(Failed {
                error: ProviderError::Refused { .. },
                ..
            }) => self.get("fetch_payment", &path, &[]).await,
            Err(failed) => Err(failed.known()),
        }
    }

    async fn link_by_reference(&self, reference: &str) -> Result<WireLink, ProviderError> {
        let query = [("reference_id", reference)];
        let path = "/v1/payment_links";
        let found: WireLinks = self.get("find_intent", path, &query).await?;
        let mut links = found.payment_links.into_iter();
        links
            .find(|link| link.reference_id.as_deref() == Some(reference))
            .ok_or_else(|| {
                ProviderError::Unavailable("a link that exists was not listed".to_owned())
            })
    }
}

impl PaymentProvider for Razorpay {
    fn create_intent(&self, request: IntentRequest) -> ProviderFuture<'_, Intent> {
        Box::pin(async move {
            let amount = in_their_unit(request.amount_minor, &request.currency)?;
            let reference = request.payment_id.uuid().simple().to_string();
            let expire_by = request.created_at.plus(LINK_OPEN_FOR).as_unix_seconds();
            let mut notes = json!({
                "payment_id": request.payment_id.to_string(),
                "hold_id": request.hold_id.to_string(),
                "attempt": request.attempt_no.to_string(),
            });
            if request.return_url.len() <= NOTE_CHARS_MAX {
                notes["return_url"] = json!(request.return_url);
            }
            let mut body = json!({
                "amount": amount,
                "currency": request.currency,
                "accept_partial": false,
                "reference_id": reference,
                "description": DESCRIPTION,
                "expire_by": expire_by,
                "notify": {"sms": false, "email": false},
                "reminder_enable": false,
                "notes": notes,
                "callback_url": request.return_url,
                "callback_method": "get",
            });
            if !request.accepts.is_empty() {
                body["options"] = only(&request.accepts);
            }
            let link: WireLink = match self.post("create_intent", "/v1/payment_links", &body).await
            {
                Ok(link) => link,
                Err(failed) if failed.link_exists => self.link_by_reference(&reference).await?,
                Err(failed) => return Err(failed.known()),
            };
            Ok(link.with(Vec::new()))
        })
    }

    fn fetch_intent<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            let link = self.link("fetch_intent", intent_id).await?;
            self.intent("fetch_intent", link).await
        })
    }

    fn cancel_intent<'a>(
        &'a self,
        intent_id: &'a str,
        reason: CancelReason,
    ) -> ProviderFuture<'a, Intent> {
        Box::pin(async move {
            let call = "cancel_intent";
            let before = self.link(call, intent_id).await?;
            let path = format!("/v1/payment_links/{intent_id}/cancel");
            let cancelled = self.post(call, &path, &json!({})).await;
            // The answer names no order.
            let _: WireLink = cancelled.map_err(Failed::known)?;
            let link = self.link(call, intent_id).await?;
            let order = link.order().or(before.order()).map(str::to_owned);
            // A customer may have been at the bank already.
            let mut intent = self.intent_of_order(call, link, order).await?;
            if let IntentStatus::Cancelled(_) = intent.status {
                intent.status = IntentStatus::Cancelled(match reason {
                    CancelReason::Abandoned => FailureReason::SessionExpired,
                    CancelReason::RequestedByCustomer => FailureReason::UserCancelled,
                    CancelReason::Superseded => FailureReason::DuplicateTransaction,
                    CancelReason::NotAccepted => FailureReason::CouponPayment,
                });
            }
            Ok(intent)
        })
    }

    // Links take money by themselves, so what does not fit goes back.
    fn kind_of<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<PaymentKind>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{charge_id}");
            let query = [("expand[]", "card")];
            let payment: WirePayment = self.get("payment_kind", &path, &query).await?;
            Ok(payment.kind())
        })
    }

    fn captured<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<Charge>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{charge_id}");
            let payment: WirePayment = self.get("fetch_payment", &path, &[]).await?;
            Ok(payment.has_money().then(|| payment.charge()))
        })
    }

    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund> {
        Box::pin(async move {
            let amount = in_their_unit(request.amount_minor, &request.currency)?;
            let path = format!("{}/v1/payments/{}/refund", self.url, request.intent_id);
            let body = json!({
                "amount": amount,
                "speed": "normal",
                "notes": {"refund_id": request.refund_id},
            });
            let request = self
                .client
                .post(path)
                .header("X-Refund-Idempotency", &request.idempotency_key)
                .json(&body);
            let refund: WireRefund = self
                .finish("refund", request)
                .await
                .map_err(Failed::known)?;
            Ok(refund.into())
        })
    }

    fn refunds_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderRefund>> {
        Box::pin(async move {
            let path = format!("/v1/payments/{intent_id}/refunds");
            let count = PAGE_LENGTH.to_string();
            let query = [("count", count.as_str())];
            let found: WireCollection<WireRefund> = self.get("refunds_of", &path, &query).await?;
            let mut refunds = found.items;
            refunds.sort_by_key(|refund| std::cmp::Reverse(refund.created_at));
            Ok(refunds.into_iter().map(ProviderRefund::from).collect())
        })
    }

    fn disputes_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderDispute>> {
        Box::pin(async move {
            // Disputes cannot be asked for by payment, so those since the payment are searched.
            let path = format!("/v1/payments/{intent_id}");
            let payment: WirePayment = self.get("disputes_of", &path, &[]).await?;
            let since = Timestamp::from_ms(payment.created_at.saturating_mul(1000));
            let mut listed = Listed::new(since, FAR_FUTURE);
            let mut found = Vec::new();
            for _ in 0..DISPUTE_PAGES_MAX {
                let page = self.listed::<WireDispute>("disputes_of", "/v1/disputes", &listed);
                let (items, next) = page.await?;
                found.extend(
                    items
                        .into_iter()
                        .filter(|item| item.payment_id == intent_id),
                );
                match next {
                    Some(next) => listed.after = Some(next),
                    None => break,
                }
            }
            found.sort_by_key(|dispute| std::cmp::Reverse(dispute.created_at));
            Ok(found.into_iter().map(ProviderDispute::from).collect())
        })
    }

    fn intents(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ListedIntent>> {
        Box::pin(async move {
            let page = self.listed::<WirePayment>("intents", "/v1/payments", &listed);
            let (items, next) = page.await?;
            let items = items.into_iter().map(ListedIntent::from).collect();
            Ok(ProviderPage { items, next })
        })
    }

    fn origin_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Origin> {
        Box::pin(async move { Ok(self.link("origin_of", intent_id).await?.origin()) })
    }

    fn refunds(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderRefund>> {
        Box::pin(async move {
            let page = self.listed::<WireRefund>("refunds", "/v1/refunds", &listed);
            let (items, next) = page.await?;
            let items = items.into_iter().map(ProviderRefund::from).collect();
            Ok(ProviderPage { items, next })
        })
    }

    fn disputes(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderDispute>> {
        Box::pin(async move {
            let page = self.listed::<WireDispute>("disputes", "/v1/disputes", &listed);
            let (items, next) = page.await?;
            let items = items.into_iter().map(ProviderDispute::from).collect();
            Ok(ProviderPage { items, next })
        })
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        _now: Timestamp,
    ) -> Result<ReceivedEvent, WebhookRefusal> {
        events::received(headers, body, &self.config.webhook_secrets)
    }

    fn subject(&self, kind: &str, payload: &Value) -> Subject {
        events::subject(kind, payload)
    }

    fn page_origins(&self) -> Vec<String> {
        match web::origin::origin_of(&self.url) {
            Some(origin) if origin == API_ORIGIN => PAGE_ORIGINS.map(str::to_owned).to_vec(),
            origin => origin.into_iter().collect(),
        }
    }
}

/// What the page of a link shows for a price that is for some kinds of payments: these alone. It is
/// looked at again when it is paid, because this is about what is shown.
fn only(accepts: &[PaymentKind]) -> Value {
    let instruments: Vec<Value> = accepts.iter().map(instrument).collect();
    json!({"checkout": {"config": {"display": {
        "blocks": {"coupon": {"name": "For your coupon", "instruments": instruments}},
        "sequence": ["block.coupon"],
        "preferences": {"show_default_blocks": false},
    }}}})
}

/// A kind of payment in the words of Razorpay's checkout.
fn instrument(kind: &PaymentKind) -> Value {
    let method = plain(&kind.method);
    let mut instrument = json!({"method": method});
    let issuer = kind.issuer.as_ref();
    match method.as_str() {
        "card" => {
            if let Some(network) = &kind.network {
                instrument["networks"] = json!([network_name(network)]);
            }
            if let Some(funding) = &kind.funding {
                instrument["types"] = json!([plain(funding)]);
            }
            if let Some(bank) = issuer {
                instrument["issuers"] = json!([bank.to_uppercase()]);
            }
        }
        "netbanking" => {
            if let Some(bank) = issuer {
                instrument["banks"] = json!([bank.to_uppercase()]);
            }
        }
        "wallet" => {
            if let Some(wallet) = issuer {
                instrument["wallets"] = json!([wallet.to_lowercase()]);
            }
        }
        _ => {}
    }
    instrument
}

/// A network as Razorpay writes it.
fn network_name(network: &str) -> &str {
    match plain(network).as_str() {
        "visa" => "Visa",
        "mastercard" => "MasterCard",
        "amex" => "American Express",
        "diners" => "Diners Club",
        "rupay" => "RuPay",
        "maestro" => "Maestro",
        _ => network,
    }
}

/// A call that failed, and whether because the link exists already.
#[derive(Debug)]
struct Failed {
    error: ProviderError,
    link_exists: bool,
}

impl Failed {
    fn known(self) -> ProviderError {
        self.error
    }
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Self {
        Self {
            error,
            link_exists: false,
        }
    }
}

/// An amount in Razorpay's unit, which is the smallest of the currency.
fn in_their_unit(amount_minor: i64, currency: &str) -> Result<i64, ProviderError> {
    if WITH_THOUSANDTHS.contains(&currency) && amount_minor % 10 != 0 {
        return Err(ProviderError::Refused {
            reason: FailureReason::AmountMismatch,
            message: format!("{amount_minor} minor units of {currency} cannot be charged"),
        });
    }
    Ok(amount_minor)
}

/// What an answer says.
fn read<T: for<'de> Deserialize<'de>>(provider: &str, answered: &Answered) -> Result<T, Failed> {
    let status = answered.status;
    if status.is_success() {
        return serde_json::from_slice(&answered.body)
            .map_err(|error| ProviderError::Unreadable(error.to_string()).into());
    }
    let error = serde_json::from_slice::<WireErrorBody>(&answered.body)
        .unwrap_or_default()
        .error;
    let link_exists = error.says_link_exists();
    let error = match status {
        StatusCode::TOO_MANY_REQUESTS => ProviderError::RateLimited {
            retry_after: answered.retry_after(),
        },
        StatusCode::CONFLICT => ProviderError::Busy,
        status if status.is_server_error() => {
            ProviderError::Unavailable(format!("status {status}"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(%status, provider, "the payment provider does not accept our secret");
            ProviderError::NotSent(format!("status {status}: it does not accept our secret"))
        }
        _ => ProviderError::Refused {
            reason: error.reason(),
            message: error
                .description
                .unwrap_or_else(|| format!("status {status}")),
        },
    };
    Err(Failed { error, link_exists })
}
