//! The operators' API for deliveries of a subscription, and its dead letters.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{EventId, Problem, SubscriptionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiQuery, ApiResult, Audited};

use super::problems::{invalid, not_found};
use crate::config::DELIVERIES_LISTED_MAX;
use crate::delivery::DeliveryStatus;
use crate::handle::Booking;
use crate::store::deliveries::DeliveryRow;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(deliveries))
        .routes(routes!(retry))
}

/// Which deliveries are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those in this state; `FAILED` are the dead letters.
    status: Option<DeliveryStatus>,
    /// How many at most; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Deliveries.
#[derive(Serialize, ToSchema)]
struct DeliveryList {
    /// The newest events first.
    deliveries: Vec<DeliveryView>,
}

/// The delivery of an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryView {
    /// The position of the event.
    position: i64,
    /// The id of the event.
    event_id: EventId,
    /// Its kind.
    #[serde(rename = "type")]
    kind: String,
    /// The state of the delivery.
    status: DeliveryStatus,
    /// Attempts so far.
    attempt_count: i32,
    /// When it is tried next, if it waits.
    next_attempt_at: Option<Timestamp>,
    /// When it was tried last.
    tried_at: Option<Timestamp>,
    /// The status of the last answer.
    answer_status: Option<i16>,
    /// The last failure.
    last_error: Option<String>,
    /// When the receiver took it.
    delivered_at: Option<Timestamp>,
}

impl From<DeliveryRow> for DeliveryView {
    fn from(row: DeliveryRow) -> Self {
        let waits = row.status == DeliveryStatus::Due;
        Self {
            position: row.position,
            event_id: EventId::new(row.event_id),
            kind: row.kind,
            status: row.status,
            attempt_count: row.attempt_count,
            next_attempt_at: waits.then_some(row.next_attempt_at),
            tried_at: row.tried_at,
            answer_status: row.answer_status,
            last_error: row.last_error,
            delivered_at: row.delivered_at,
        }
    }
}

/// List deliveries of a subscription, for 31 days
#[utoipa::path(
    get, path = "/admin/v1/subscriptions/{subscriptionId}/deliveries",
    operation_id = "subscription_deliveries", tag = "events",
    params(("subscriptionId" = SubscriptionId, Path, description = "Which"), Wanted),
    responses(
        (status = 200, description = "The deliveries", body = DeliveryList),
        (status = 404, description = "not-found", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn deliveries(
    State(booking): State<Booking>,
    ApiPath(id): ApiPath<SubscriptionId>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<DeliveryList>> {
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=DELIVERIES_LISTED_MAX).contains(&limit) {
        return Err(invalid("limit", "1 to 1000"));
    }
    let rows = booking.deliveries(id, wanted.status, limit).await?;
    let rows = rows.ok_or_else(not_found)?;
    Ok(ApiJson(DeliveryList {
        deliveries: rows.into_iter().map(DeliveryView::from).collect(),
    }))
}

/// Which dead letters are sent again..
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryRequest {
    /// That of the event at this position; all when absent, at most 1,000 with one call.
    position: Option<i64>,
}

/// How many deliveries are sent again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Retried {
    /// So many.
    retried_count: u64,
}

/// Send dead letters of a subscription again
#[utoipa::path(
    post, path = "/admin/v1/subscriptions/{subscriptionId}/deliveries/retry",
    operation_id = "subscription_deliveries_retry", tag = "events", request_body = RetryRequest,
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "They are due again", body = Retried),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn retry(
    State(booking): State<Booking>,
    ApiPath(id): ApiPath<SubscriptionId>,
    sent: ApiResult<ApiJson<RetryRequest>>,
) -> Response {
    let mut audited = Audited {
        target: Some(id.to_string()),
        ..Audited::default()
    };
    let retried: ApiResult<u64> = async {
        let ApiJson(request) = sent?;
        let retried = booking.deliveries_retry(id, request.position).await?;
        retried.ok_or_else(not_found)
    }
    .await;
    match retried {
        Ok(retried_count) => {
            audited.after = Some(json!({ "retriedCount": retried_count }));
            audited.on(ApiJson(Retried { retried_count }).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}
