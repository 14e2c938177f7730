//! Stripe's calls.

use axum::extract::State;

use super::request::{ApiRequest, ObjectId};
use crate::error::ApiError;
use crate::id::{IntentId, RefundId};
use crate::provider::{Answer, Provider};
use crate::{listing, payment, refunding};

/// `POST /v1/payment_intents`
pub(super) async fn create(
    State(provider): State<Provider>,
    request: ApiRequest,
) -> Result<Answer, ApiError> {
    request.demand_merchant()?;
    let ApiRequest {
        form, cause, key, ..
    } = request;
    Ok(provider
        .call(cause, key, |desk| payment::create(desk, &form))
        .await)
}

/// `GET /v1/payment_intents`
pub(super) async fn intents(
    State(provider): State<Provider>,
    request: ApiRequest,
) -> Result<Answer, ApiError> {
    request.demand_merchant()?;
    let ApiRequest { form, cause, .. } = request;
    Ok(provider
        .call(cause, None, |desk| listing::intents(desk, &form))
        .await)
}

/// `GET /v1/payment_intents/{id}`
pub(super) async fn retrieve(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: ApiRequest,
) -> Answer {
    let ApiRequest { caller, cause, .. } = request;
    let id = IntentId::from(id.as_str());
    provider
        .call(cause, None, |desk| payment::retrieve(desk, &id, &caller))
        .await
}

/// `POST /v1/payment_intents/{id}/confirm`
pub(super) async fn confirm(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: ApiRequest,
) -> Answer {
    let ApiRequest {
        caller,
        form,
        cause,
        key,
    } = request;
    let id = IntentId::from(id.as_str());
    provider
        .call(cause, key, |desk| {
            payment::confirm(desk, &id, &form, &caller)
        })
        .await
}

/// `POST /v1/payment_intents/{id}/cancel`
pub(super) async fn cancel(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: ApiRequest,
) -> Result<Answer, ApiError> {
    request.demand_merchant()?;
    let ApiRequest {
        form, cause, key, ..
    } = request;
    let id = IntentId::from(id.as_str());
    Ok(provider
        .call(cause, key, |desk| payment::cancel(desk, &id, &form))
        .await)
}

/// `POST /v1/refunds`
pub(super) async fn refund(
    State(provider): State<Provider>,
    request: ApiRequest,
) -> Result<Answer, ApiError> {
    request.demand_merchant()?;
    let ApiRequest {
        form, cause, key, ..
    } = request;
    Ok(provider
        .call(cause, key, |desk| refunding::create(desk, &form))
        .await)
}

/// `GET /v1/refunds`
pub(super) async fn refunds(
    State(provider): State<Provider>,
    request: ApiRequest,
) -> Result<Answer, ApiError> {
    request.demand_merchant()?;
    let ApiRequest { form, cause, .. } = request;
    Ok(provider
        .call(cause, None, |desk| listing::refunds(desk, &form))
        .await)
}

/// `GET /v1/refunds/{id}`
pub(super) async fn refund_retrieve(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: ApiRequest,
) -> Result<Answer, ApiError> {
    request.demand_merchant()?;
    let id = RefundId::from(id.as_str());
    Ok(provider
        .call(request.cause, None, |desk| refunding::retrieve(desk, &id))
        .await)
}
