//! The interface of a payment provider.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::money::FailureReason;
use contract::{HoldId, PaymentId, Timestamp};
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
    /// The secret with which the customer's browser can pay it.
    pub client_secret: String,
    /// The status.
    pub status: IntentStatus,
    /// Money captured so far, minor units.
    pub received_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
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
    /// The intent that is refunded.
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
    /// The disputed intent.
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
    /// The intent to refund.
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
    /// No connection, a server error, or no answer in time: whether the request took effect is
    /// unknown.
    #[error("the provider did not answer: {0}")]
    Unavailable(String),
    /// Too many requests.
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

/// The range of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Created at this time or later.
    pub from: Timestamp,
    /// Created before this time.
    pub until: Timestamp,
    /// The last item of the previous page.
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
    /// Whether another page follows.
    pub has_more: bool,
}

/// An intent of a listing, with its metadata.
#[derive(Clone, Debug)]
pub struct ListedIntent {
    /// The intent.
    pub intent: Intent,
    /// The hold and the attempt in its metadata.
    pub attempt: Option<(Uuid, i32)>,
    /// The return URL in its metadata.
    pub return_url: Option<String>,
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
    /// Creates a refund, or returns the one that the same key created.
    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund>;
    /// The refunds of an intent, newest first.
    fn refunds_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderRefund>>;
    /// The disputes about an intent, newest first.
    fn disputes_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderDispute>>;
    /// The intents created in a range, by any client of the account.
    fn intents(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ListedIntent>>;
    /// The refunds created in a range.
    fn refunds(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderRefund>>;
    /// The disputes opened in a range.
    fn disputes(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderDispute>>;
}
