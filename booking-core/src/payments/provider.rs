//! The interface of a payment provider.
//!
//! What a customer pays is an *intent* here, whatever the provider calls it: a payment intent, a
//! checkout session, a payment link. Where the money gets an id of its own once a customer pays, it
//! is the *charge*; refunds and disputes name it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::money::FailureReason;
use contract::coupon::PaymentKind;
use contract::{HoldId, PaymentId, Timestamp};
use http::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

/// An intent to be created.
#[derive(Clone, Debug)]
pub struct IntentRequest {
    /// A repeated request with the same key is the same request.
    pub idempotency_key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Our payment id.
    pub payment_id: PaymentId,
    /// The hold it pays for.
    pub hold_id: HoldId,
    /// Number of the attempt on that hold, from 1.
    pub attempt_no: i32,
    /// The address to which the provider redirects the customer afterwards.
    pub return_url: String,
    /// The address of a customer who leaves without paying.
    pub cancel_url: String,
    /// When the attempt was recorded. Whatever a repeated request contains follows from it.
    pub created_at: Timestamp,
    /// The kinds of payments that the price is for; all when empty. The provider offers no others as
    /// far as it can, and leaves the money for [`PaymentProvider::capture`] if it can.
    pub accepts: Vec<PaymentKind>,
}

/// The status of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// The customer has not paid. Contains the reason of the last failed attempt, if any.
    Unpaid(Option<FailureReason>),
    /// The customer has to act, for example to authenticate.
    RequiresAction,
    /// The bank is still working on it.
    Processing,
    /// The bank has agreed, and the money waits for [`PaymentProvider::capture`].
    Authorized,
    /// The money was captured.
    Succeeded,
    /// It can no longer be paid.
    Cancelled(FailureReason),
}

/// An intent as the provider describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub id: String,
    /// The secret with which the customer's browser can pay it. Empty if it is paid on a page only.
    pub client_secret: String,
    /// The page on which the customer pays, if it does not follow from the id.
    pub redirect_url: Option<String>,
    /// The id of the money, if a customer has paid or tried to and it is not the intent's.
    pub charge_id: Option<String>,
    /// The status.
    pub status: IntentStatus,
    /// Money captured so far, minor units.
    pub received_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
    /// Further money captured for the same intent, of a customer who paid twice. Not a part of
    /// `received_minor`.
    pub others: Vec<Charge>,
    /// The tries of the customer, as far as they are told.
    pub tries: Vec<Try>,
    /// What was paid with, where it was asked for.
    pub kind: Option<PaymentKind>,
}

/// Money that was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The provider's id.
    pub id: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// A try of a customer to pay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Try {
    /// The provider's id.
    pub id: String,
    /// Whether it was declined; a fault of the bank or the provider is no decline.
    pub declined: bool,
    /// What stands for the card or account: the same for the same one. Not its number.
    pub instrument: Option<String>,
    /// The country of the card, ISO 3166-1 alpha-2; `ZZ` if only known to be another.
    pub country: Option<String>,
    /// How risky the provider finds it: 0 normal or not told, 1 elevated, 2 highest.
    pub risk: u8,
}

/// Why an intent is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its hold ended.
    Abandoned,
    /// The customer released the hold.
    RequestedByCustomer,
    /// Another attempt replaces it.
    Superseded,
    /// The price is for other kinds of payments.
    NotAccepted,
}

/// A refund as the provider describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefund {
    /// The provider's id.
    pub id: String,
    /// The status.
    pub status: ProviderRefundStatus,
    /// Our refund id, from the metadata that we sent.
    pub refund_id: Option<String>,
    /// The intent or charge that is refunded.
    pub intent_id: Option<String>,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// A dispute: a customer's bank asks for money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderDispute {
    /// The provider's id.
    pub id: String,
    /// Whether the bank has taken the money: from the opening of the dispute until we win it. An
    /// inquiry takes none.
    pub taken: bool,
    /// The disputed intent or charge.
    pub intent_id: Option<String>,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// The status of a refund at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderRefundStatus {
    /// Under way.
    Pending,
    /// The money went back.
    Succeeded,
    /// The money could not be given back.
    Failed,
}

/// A refund to be created.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    /// The charge to refund, or the intent if it has no charge of its own.
    pub intent_id: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Our refund id.
    pub refund_id: String,
    /// A repeated request with the same key is the same request, even if the first one failed.
    pub idempotency_key: String,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The request was not sent, or refused before anything was made: it certainly had no effect.
    #[error("the provider was not reached: {0}")]
    NotSent(String),
    /// A server error, or no answer in time: whether the request took effect is unknown.
    #[error("the provider did not answer: {0}")]
    Unavailable(String),
    /// The payment is at a provider that this installation no longer knows: an operator has to
    /// configure it again.
    #[error("the payment provider `{0}` is not configured: configure it again to go on")]
    NotConfigured(String),
    /// Too many requests. Certainly without effect.
    #[error("the provider asks for fewer requests")]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// A request with the same key is still running.
    #[error("the provider is still busy with the same request")]
    Busy,
    /// The provider refused the request.
    #[error("the provider refused: {message}")]
    Refused {
        /// The reason as one of ours.
        reason: FailureReason,
        /// The provider's message.
        message: String,
    },
    /// The answer could not be parsed.
    #[error("the provider's answer could not be read: {0}")]
    Unreadable(String),
}

impl ProviderError {
    /// Whether the call certainly had no effect at the provider.
    pub fn had_no_effect(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::NotConfigured(_) | Self::RateLimited { .. } => true,
            Self::Unavailable(_) | Self::Busy | Self::Refused { .. } | Self::Unreadable(_) => false,
        }
    }

    /// How long the provider wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::NotSent(_)
            | Self::NotConfigured(_)
            | Self::Unavailable(_)
            | Self::Busy
            | Self::Refused { .. }
            | Self::Unreadable(_) => None,
        }
    }
}

/// The range of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Created at this time or later.
    pub from: Timestamp,
    /// Created before this time.
    pub until: Timestamp,
    /// Where the previous page ended, in the provider's words.
    pub after: Option<String>,
}

impl Listed {
    /// The first page of a range.
    pub fn new(from: Timestamp, until: Timestamp) -> Self {
        Self {
            from,
            until,
            after: None,
        }
    }
}

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct ProviderPage<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// Where the next page begins, if another follows.
    pub next: Option<String>,
}

/// Whose an intent is, from its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The hold and the attempt.
    pub attempt: Option<(Uuid, i32)>,
    /// The return URL.
    pub return_url: Option<String>,
}

/// Money of a listing.
#[derive(Clone, Debug)]
pub struct ListedIntent {
    /// The intent, or the charge if the listing names no intent.
    pub intent: Intent,
    /// Whose it is; `None` if the listing does not say, so that [`PaymentProvider::origin_of`] has
    /// to be asked.
    pub origin: Option<Origin>,
}

impl ListedIntent {
    /// Its money.
    pub(crate) fn charge(&self) -> Charge {
        let intent = &self.intent;
        Charge {
            id: intent.charge_id.as_ref().unwrap_or(&intent.id).clone(),
            amount_minor: intent.received_minor,
            currency: intent.currency.clone(),
        }
    }
}

/// What a webhook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An intent changed.
    Intent {
        /// The provider's id of the intent or the charge.
        intent_id: String,
        /// The money that was captured, where it has an id of its own and the event names it.
        charge_id: Option<String>,
        /// The hold and the attempt in its metadata.
        attempt: Option<(Uuid, i32)>,
    },
    /// A refund changed.
    Refund {
        /// The provider's id.
        provider_refund_id: String,
        /// Our refund id in its metadata.
        refund_id: Option<Uuid>,
        /// The intent or charge that is refunded.
        intent_id: Option<String>,
    },
    /// Money of this intent or charge was refunded or is disputed.
    Returned {
        /// The provider's id.
        intent_id: String,
    },
    /// Something else.
    Nothing,
}

/// A webhook whose signature is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedEvent {
    /// The provider's id of the event; repeated deliveries have the same.
    pub id: String,
    /// What happened, in the provider's words.
    pub kind: String,
    /// The body.
    pub payload: Value,
}

/// Why a webhook is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookRefusal {
    /// The signature is missing, wrong or too old.
    BadSignature,
    /// The body is not an event.
    Unreadable,
}

/// The result of a call, as an object-safe future.
pub type ProviderFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// A payment provider. Every call is idempotent: repeating a request has no further effect.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Creates the intent, or returns the one that the same key created.
    fn create_intent(&self, request: IntentRequest) -> ProviderFuture<'_, Intent>;
    /// Fetches an intent.
    fn fetch_intent<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Intent>;
    /// Cancels an intent. Only an intent that is returned as cancelled proves that no money will be
    /// captured.
    fn cancel_intent<'a>(
        &'a self,
        intent_id: &'a str,
        reason: CancelReason,
    ) -> ProviderFuture<'a, Intent>;
    /// Takes the money of a charge that a bank has agreed to. Only for providers that leave it.
    fn capture<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Intent> {
        self.fetch_intent(charge_id)
    }
    /// What a charge was paid with, or is to be; `None` if the provider does not tell.
    fn kind_of<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<PaymentKind>>;
    /// The money of a charge, or of an intent that is its own charge. `None` if none was captured.
    fn captured<'a>(&'a self, charge_id: &'a str) -> ProviderFuture<'a, Option<Charge>>;
    /// Creates a refund, or returns the one that the same key created.
    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund>;
    /// The refunds of an intent, newest first.
    fn refunds_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderRefund>>;
    /// The disputes about an intent, newest first.
    fn disputes_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderDispute>>;
    /// The intents created in a range, by any client of the account.
    fn intents(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ListedIntent>>;
    /// Whose an intent is, for those that a listing does not describe.
    fn origin_of<'a>(&'a self, _intent_id: &'a str) -> ProviderFuture<'a, Origin> {
        Box::pin(async { Ok(Origin::default()) })
    }
    /// The refunds created in a range.
    fn refunds(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderRefund>>;
    /// The disputes opened in a range.
    fn disputes(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderDispute>>;

    /// Reads a webhook, if one of our webhook secrets signed it.
    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<ReceivedEvent, WebhookRefusal>;
    /// What a webhook is about.
    fn subject(&self, kind: &str, payload: &Value) -> Subject;

    /// The page on which the customer pays an intent, where it follows from the intent.
    fn page(&self, _intent_id: &str, _client_secret: &str) -> Option<String> {
        None
    }
    /// The origins of the pages on which customers pay, as sources of a content security policy.
    fn page_origins(&self) -> Vec<String>;
}
