//! What a payment provider has to offer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::money::FailureReason;
use contract::{HoldId, PaymentId, Timestamp};
use uuid::Uuid;

/// A payment to be made.
#[derive(Clone, Debug)]
pub struct IntentRequest {
    /// Repeating a request with the same key is the same request.
    pub idempotency_key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What the shop calls it.
    pub payment_id: PaymentId,
    /// The hold it pays for.
    pub hold_id: HoldId,
    /// Which attempt on that hold, from 1.
    pub attempt_no: i32,
    /// Where the customer's browser goes afterwards.
    pub return_url: String,
}

/// How the provider sees a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// The customer has not paid. Holds why the last try failed, if there was one.
    Unpaid(Option<FailureReason>),
    /// The customer has to do something.
    RequiresAction,
    /// The bank is working.
    Processing,
    /// The money was taken.
    Succeeded,
    /// It can no longer be paid.
    Cancelled(FailureReason),
}

/// A payment as the provider describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub id: String,
    /// What lets the customer pay it.
    pub client_secret: String,
    /// How it stands.
    pub status: IntentStatus,
    /// Minor units taken so far.
    pub received_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// Why an intent is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its hold ended.
    Abandoned,
    /// The customer gave the hold up.
    RequestedByCustomer,
    /// Another attempt takes its place.
    Superseded,
}

/// How the provider sees a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefund {
    /// The provider's id.
    pub id: String,
    /// How it stands.
    pub status: ProviderRefundStatus,
    /// Our own id, as we sent it along.
    pub refund_id: Option<String>,
    /// The intent whose money goes back.
    pub intent_id: Option<String>,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// A customer's bank asks for money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderDispute {
    /// The provider's id.
    pub id: String,
    /// Whether the bank has taken the money: from the opening of the dispute until we win it. A
    /// mere inquiry takes none.
    pub taken: bool,
    /// The intent whose money it is about.
    pub intent_id: Option<String>,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// State of a refund at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderRefundStatus {
    /// Under way.
    Pending,
    /// The money went back.
    Succeeded,
    /// It could not be given back.
    Failed,
}

/// A refund to be made.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    /// The intent whose money goes back.
    pub intent_id: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Our id.
    pub refund_id: String,
    /// Repeating a request with the same key is the same request, whatever became of it.
    pub idempotency_key: String,
}

/// Why the provider gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No connection, an error of its own or no answer in time: what happened is unknown.
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
    /// It understood and refused.
    #[error("the provider refused: {message}")]
    Refused {
        /// Why, in our words.
        reason: FailureReason,
        /// Why, in its words.
        message: String,
    },
    /// It answered something we do not understand.
    #[error("the provider's answer could not be read: {0}")]
    Unreadable(String),
}

/// What is to be listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Made at this time or later,
    pub from: Timestamp,
    /// and before this time.
    pub until: Timestamp,
    /// The last one of the page before.
    pub after: Option<String>,
}

impl Listed {
    /// The first page.
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
    /// What is on it.
    pub items: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
}

/// An intent of a list, with what it says of its maker.
#[derive(Clone, Debug)]
pub struct ListedIntent {
    /// The intent.
    pub intent: Intent,
    /// The hold and the attempt that it says it pays for.
    pub attempt: Option<(Uuid, i32)>,
    /// Where it says that the customer goes afterwards.
    pub return_url: Option<String>,
}

/// The result of a call, as an object-safe future.
pub type ProviderFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// A payment provider. Every call is idempotent: the same request again has no further effect.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Makes the intent, or finds the one that the same key made.
    fn create_intent(&self, request: IntentRequest) -> ProviderFuture<'_, Intent>;
    /// How an intent stands.
    fn fetch_intent<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Intent>;
    /// Cancels an intent. Only an intent that comes back cancelled is proof that no money will be
    /// taken.
    fn cancel_intent<'a>(
        &'a self,
        intent_id: &'a str,
        reason: CancelReason,
    ) -> ProviderFuture<'a, Intent>;
    /// Gives money back.
    fn refund(&self, request: RefundRequest) -> ProviderFuture<'_, ProviderRefund>;
    /// The refunds of an intent, newest first.
    fn refunds_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderRefund>>;
    /// The disputes about an intent, newest first.
    fn disputes_of<'a>(&'a self, intent_id: &'a str) -> ProviderFuture<'a, Vec<ProviderDispute>>;
    /// The intents that were made in a time, by anybody with our account.
    fn intents(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ListedIntent>>;
    /// The refunds that were made in a time.
    fn refunds(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderRefund>>;
    /// The disputes that were opened in a time.
    fn disputes(&self, listed: Listed) -> ProviderFuture<'_, ProviderPage<ProviderDispute>>;
}
