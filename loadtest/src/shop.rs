//! Calls to the shop and to the payment provider.

use std::sync::OnceLock;

use contract::booking::{ConfirmRequest, HoldRequest, PaymentRequest};
use contract::{BookingId, HoldId, ShowId, TicketId, principal};
use reqwest::{Method, RequestBuilder, Url};

use crate::call::{Answer, CallError, Caller};
use crate::measurements::Step;

/// Header that makes a repeated `POST` harmless.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// One show of the shop.
pub(crate) struct ShopClient {
    /// `http://host:port/api/v1`
    base: String,
    show: ShowId,
    /// Where payments are made when the shop does not say.
    payment_url: Option<Url>,
    /// Where payments turned out to be made.
    provider: OnceLock<Url>,
}

/// Who calls: a fan and their pass.
#[derive(Clone, Copy)]
pub(crate) struct Customer<'a> {
    pub fan: u32,
    pub pass: &'a str,
}

impl ShopClient {
    /// The shop at `url` for `show`.
    pub(crate) fn new(url: &str, show: ShowId, payment_url: Option<Url>) -> Self {
        Self {
            base: format!("{}/api/v1", url.trim_end_matches('/')),
            show,
            payment_url,
            provider: OnceLock::new(),
        }
    }

    /// Where payments are made, once known.
    pub(crate) fn provider(&self) -> Option<Url> {
        self.provider.get().or(self.payment_url.as_ref()).cloned()
    }

    /// The show.
    pub(crate) fn show(&self) -> &ShowId {
        &self.show
    }

    fn request(
        &self,
        caller: &Caller,
        method: Method,
        path: &str,
        customer: Customer<'_>,
    ) -> RequestBuilder {
        caller
            .http()
            .request(method, format!("{}{path}", self.base))
            .header(principal::PASS.as_str(), customer.pass)
    }

    /// Reads the seat map.
    pub(crate) async fn seat_map(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
    ) -> Result<Answer, CallError> {
        let path = format!("/shows/{}/seatmap", self.show);
        let request = self.request(caller, Method::GET, &path, customer);
        caller.send(Step::SeatMap, customer.fan, request).await
    }

    /// Asks for a hold.
    pub(crate) async fn hold(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
        body: &HoldRequest,
        key: &str,
    ) -> Result<Answer, CallError> {
        let path = format!("/shows/{}/holds", self.show);
        let request = self
            .request(caller, Method::POST, &path, customer)
            .header(IDEMPOTENCY_KEY, key)
            .json(body);
        caller.send(Step::Hold, customer.fan, request).await
    }

    /// Releases a hold.
    pub(crate) async fn release(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
        hold: HoldId,
    ) -> Result<Answer, CallError> {
        let request = self.request(caller, Method::DELETE, &format!("/holds/{hold}"), customer);
        caller.send(Step::Leave, customer.fan, request).await
    }

    /// Starts a payment.
    pub(crate) async fn pay(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
        hold: HoldId,
        key: &str,
    ) -> Result<Answer, CallError> {
        let body = PaymentRequest {
            email: format!("fan{}@example.com", customer.fan),
            coupon_code: None,
            proof: None,
        };
        let path = format!("/holds/{hold}/payments");
        let request = self
            .request(caller, Method::POST, &path, customer)
            .header(IDEMPOTENCY_KEY, key)
            .json(&body);
        caller.send(Step::Payment, customer.fan, request).await
    }

    /// Shows the provider a card, as a browser would.
    pub(crate) async fn card(
        &self,
        caller: &Caller,
        fan: u32,
        payment: &contract::booking::Payment,
        card: &str,
    ) -> Result<Answer, CallError> {
        if payment.client_secret.is_empty() {
            return self.page(caller, fan, payment, card).await;
        }
        let page = payment
            .pay_url
            .as_deref()
            .and_then(|url| Url::parse(url).ok());
        let page = page.as_ref().or(self.payment_url.as_ref());
        let page = page.ok_or_else(|| CallError::Unreadable("no payment page".to_owned()))?;
        let path = format!("/v1/payment_intents/{}/confirm", intent_id(payment));
        let url = page
            .join(&path)
            .map_err(|error| CallError::Unreadable(error.to_string()))?;
        // All payments of a run are made at one provider: the first page names it.
        self.provider.get_or_init(|| page.clone());
        let form = [
            ("client_secret", payment.client_secret.as_str()),
            ("payment_method", card),
        ];
        let request = caller.http().post(url).form(&form);
        caller.send(Step::Card, fan, request).await
    }

    /// Pays on the provider's own page, as a browser would.
    async fn page(
        &self,
        caller: &Caller,
        fan: u32,
        payment: &contract::booking::Payment,
        card: &str,
    ) -> Result<Answer, CallError> {
        let page = payment.redirect_url.as_deref().map(Url::parse);
        let Some(Ok(page)) = page else {
            return Err(CallError::Unreadable("no payment page".to_owned()));
        };
        self.provider.get_or_init(|| page.clone());
        let shown = caller.send(Step::Card, fan, caller.http().get(page.clone()));
        // The page of a checkout session leads to that of its payment.
        let next = shown.await?.location.and_then(|to| page.join(&to).ok());
        let mut page = next.unwrap_or(page);
        let secret = page.query_pairs().find(|(name, _)| name == "client_secret");
        let secret = secret.map(|(_, secret)| secret.into_owned());
        page.set_query(None);
        let mut form = vec![("method", "upi"), ("payment_method", card)];
        form.extend(secret.as_deref().map(|secret| ("client_secret", secret)));
        let request = caller.http().post(page).form(&form);
        caller.send(Step::Card, fan, request).await
    }

    /// Cancels tickets of a booking.
    pub(crate) async fn cancel(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
        booking: BookingId,
        tickets: &[TicketId],
        key: &str,
    ) -> Result<Answer, CallError> {
        let path = format!("/bookings/{booking}/cancel");
        let body = serde_json::json!({ "ticketIds": tickets });
        let request = self
            .request(caller, Method::POST, &path, customer)
            .header(IDEMPOTENCY_KEY, key)
            .json(&body);
        caller.send(Step::Cancel, customer.fan, request).await
    }

    /// Asks for the booking that was paid for.
    pub(crate) async fn confirm(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
        hold: HoldId,
        body: &ConfirmRequest,
        key: &str,
    ) -> Result<Answer, CallError> {
        let path = format!("/holds/{hold}/confirm");
        let request = self
            .request(caller, Method::POST, &path, customer)
            .header(IDEMPOTENCY_KEY, key)
            .json(body);
        caller.send(Step::Confirm, customer.fan, request).await
    }

    /// Reads a finished booking.
    pub(crate) async fn booking(
        &self,
        caller: &Caller,
        customer: Customer<'_>,
        booking: BookingId,
    ) -> Result<Answer, CallError> {
        let path = format!("/bookings/{booking}");
        let request = self.request(caller, Method::GET, &path, customer);
        caller.send(Step::Booking, customer.fan, request).await
    }
}

/// The provider's id of a payment: what its client secret begins with, as Stripe's own clients
/// have it, or what the address of its page ends with.
pub(crate) fn intent_id(payment: &contract::booking::Payment) -> &str {
    let secret = payment.client_secret.as_str();
    if secret.is_empty() {
        let page = payment.redirect_url.as_deref().unwrap_or_default();
        return page.rsplit('/').next().unwrap_or_default();
    }
    secret.split_once("_secret").map_or(secret, |(id, _)| id)
}
