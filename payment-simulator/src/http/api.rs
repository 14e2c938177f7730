//! Stripe's calls.

use axum::extract::State;

use super::request::{ApiRequest, Merchant, ObjectId};
use crate::id::{DisputeId, IntentId, RefundId, SessionId};
use crate::provider::{Answer, Provider};
use crate::{checkout, disputing, listing, payment, refunding};

/// `POST /v1/payment_intents`
pub(super) async fn create(
    State(provider): State<Provider>,
    Merchant(request): Merchant,
) -> Answer {
    request
        .perform(&provider, |desk, form, _| payment::create(desk, form))
        .await
}

/// `GET /v1/payment_intents`
pub(super) async fn intents(
    State(provider): State<Provider>,
    Merchant(request): Merchant,
) -> Answer {
    request
        .perform(&provider, |desk, form, _| listing::intents(desk, form))
        .await
}

/// `GET /v1/payment_intents/{id}`
pub(super) async fn retrieve(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: ApiRequest,
) -> Answer {
    let id = IntentId::from(id.as_str());
    request
        .perform(&provider, |desk, form, caller| {
            payment::retrieve(desk, &id, form, caller)
        })
        .await
}

/// `POST /v1/payment_intents/{id}/confirm`
pub(super) async fn confirm(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: ApiRequest,
) -> Answer {
    let id = IntentId::from(id.as_str());
    request
        .perform(&provider, |desk, form, caller| {
            payment::confirm(desk, &id, form, caller)
        })
        .await
}

/// `POST /v1/payment_intents/{id}/cancel`
pub(super) async fn cancel(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    Merchant(request): Merchant,
) -> Answer {
    let id = IntentId::from(id.as_str());
    request
        .perform(&provider, |desk, form, _| payment::cancel(desk, &id, form))
        .await
}

/// `POST /v1/payment_intents/{id}/capture`
pub(super) async fn capture(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    Merchant(request): Merchant,
) -> Answer {
    let id = IntentId::from(id.as_str());
    request
        .perform(&provider, |desk, form, _| payment::capture(desk, &id, form))
        .await
}

/// `POST /v1/checkout/sessions`
pub(super) async fn session_create(
    State(provider): State<Provider>,
    Merchant(request): Merchant,
) -> Answer {
    request
        .perform(&provider, |desk, form, _| checkout::create(desk, form))
        .await
}

/// `GET /v1/checkout/sessions/{id}`
pub(super) async fn session_retrieve(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    Merchant(request): Merchant,
) -> Answer {
    let id = SessionId::from(id.as_str());
    request
        .perform(&provider, |desk, form, _| {
            checkout::retrieve(desk, &id, form)
        })
        .await
}

/// `POST /v1/checkout/sessions/{id}/expire`
pub(super) async fn session_expire(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    Merchant(request): Merchant,
) -> Answer {
    let id = SessionId::from(id.as_str());
    request
        .perform(&provider, |desk, form, _| checkout::expire(desk, &id, form))
        .await
}

/// `POST /v1/refunds`
pub(super) async fn refund(
    State(provider): State<Provider>,
    Merchant(request): Merchant,
) -> Answer {
    request
        .perform(&provider, |desk, form, _| refunding::create(desk, form))
        .await
}

/// `GET /v1/refunds`
pub(super) async fn refunds(
    State(provider): State<Provider>,
    Merchant(request): Merchant,
) -> Answer {
    request
        .perform(&provider, |desk, form, _| listing::refunds(desk, form))
        .await
}

/// `GET /v1/refunds/{id}`
pub(super) async fn refund_retrieve(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    Merchant(request): Merchant,
) -> Answer {
    let id = RefundId::from(id.as_str());
    request
        .perform(&provider, |desk, _, _| refunding::retrieve(desk, &id))
        .await
}

/// `GET /v1/disputes`
pub(super) async fn disputes(
    State(provider): State<Provider>,
    Merchant(request): Merchant,
) -> Answer {
    request
        .perform(&provider, |desk, form, _| listing::disputes(desk, form))
        .await
}

/// `GET /v1/disputes/{id}`
pub(super) async fn dispute_retrieve(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    Merchant(request): Merchant,
) -> Answer {
    let id = DisputeId::from(id.as_str());
    request
        .perform(&provider, |desk, _, _| disputing::retrieve(desk, &id))
        .await
}
