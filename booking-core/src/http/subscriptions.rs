//! The operators' API for subscriptions to events: receivers of webhooks.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode, SubscriptionId, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, ApiJson, ApiPath, ApiResult, Audited};

use super::problems::{invalid, not_found};
use crate::config::SUBSCRIPTIONS_MAX;
use crate::database::StoreError;
use crate::events::kind;
use crate::events::webhooks::desk::{SubscriptionChange, Wish};
use crate::handle::Booking;
use crate::store::subscriptions::SubscriptionRow;
use crate::webhook_secrets::OVERLAP;

/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 200;
/// Longest time that a secret stays good after its exchange, in seconds.
const OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 3600;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(show, delete))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(rotate))
        .routes(routes!(replay))
        .routes(routes!(test))
}

/// A subscription that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionRequest {
    /// Where webhooks go: https, and a public address unless a setting allows others.
    #[schema(max_length = 2048)]
    url: String,
    /// Which kinds of events; all when absent or empty.
    #[serde(default)]
    types: Vec<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 200)]
    description: String,
    /// Events after this position: 0 for all that ever happened. From now on when absent.
    #[serde(default)]
    #[schema(minimum = 0)]
    after: Option<i64>,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SubscriptionView {
    /// Its id.
    subscription_id: SubscriptionId,
    /// Where webhooks go.
    url: String,
    /// What it is for.
    description: String,
    /// Which kinds of events; all when empty.
    types: Vec<String>,
    /// `ENABLED` or `DISABLED`.
    status: &'static str,
    /// Why it is disabled.
    disabled_because: Option<String>,
    /// Since when the receiver takes nothing.
    failing_since: Option<Timestamp>,
    /// Up to here events have their deliveries.
    position: i64,
    /// Deliveries that wait.
    due_count: i64,
    /// Dead letters.
    failed_count: i64,
    /// When it was created.
    created_at: Timestamp,
}

impl From<&SubscriptionRow> for SubscriptionView {
    fn from(row: &SubscriptionRow) -> Self {
        let enabled = row.disabled_because.is_none();
        Self {
            subscription_id: SubscriptionId::new(row.subscription_id),
            url: row.url.clone(),
            description: row.description.clone(),
            types: row.kinds.clone(),
            status: if enabled { "ENABLED" } else { "DISABLED" },
            disabled_because: row.disabled_because.clone(),
            failing_since: row.failing_since,
            position: row.position,
            due_count: row.due_count,
            failed_count: row.failed_count,
            created_at: row.created_at,
        }
    }
}

/// A subscription with the secret that its webhooks are signed with.
#[derive(Serialize, ToSchema)]
struct SubscriptionSecret {
    /// The subscription.
    #[serde(flatten)]
    subscription: SubscriptionView,
    /// The secret, which is not shown again.
    #[schema(examples("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))]
    secret: String,
}

/// Subscriptions.
#[derive(Serialize, ToSchema)]
struct SubscriptionList {
    /// The oldest first.
    subscriptions: Vec<SubscriptionView>,
}

/// List subscriptions to events
#[utoipa::path(
    get, path = "/admin/v1/subscriptions", operation_id = "subscriptions", tag = "events",
    responses(
        (status = 200, description = "Never with their secrets", body = SubscriptionList),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn list(State(booking): State<Booking>) -> ApiResult<ApiJson<SubscriptionList>> {
    let rows = booking.subscriptions(None).await?;
    let subscriptions = rows.iter().map(SubscriptionView::from).collect();
    Ok(ApiJson(SubscriptionList { subscriptions }))
}

/// Subscribe a receiver of webhooks to events
#[utoipa::path(
    post, path = "/admin/v1/subscriptions", operation_id = "subscription_create", tag = "events",
    request_body = SubscriptionRequest,
    responses(
        (status = 201, description = "The subscription and its secret", body = SubscriptionSecret),
        (status = 403, description = "forbidden", body = Problem),
        (status = 409, description = "conflict: there are 50 already", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn create(
    State(booking): State<Booking>,
    sent: ApiResult<ApiJson<SubscriptionRequest>>,
) -> Response {
    match make(&booking, sent).await {
        Ok(row) => secret_told(StatusCode::CREATED, &row),
        Err(refusal) => Audited::default().on(refusal.into_response()),
    }
}

async fn make(
    booking: &Booking,
    sent: ApiResult<ApiJson<SubscriptionRequest>>,
) -> ApiResult<SubscriptionRow> {
    let ApiJson(request) = sent?;
    if let Some(why) = booking.webhook_refusal(&request.url) {
        return Err(invalid("url", why));
    }
    if request.description.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(invalid("description", "longer than 200 characters"));
    }
    let kinds = kind::checked(request.types);
    let kinds = kinds.map_err(|unknown| invalid("types", &format!("no kind `{unknown}`")))?;
    if request.after.is_some_and(|after| after < 0) {
        return Err(invalid("after", "a position is at least 0"));
    }
    let wish = Wish {
        url: request.url,
        description: request.description,
        kinds,
        after: request.after,
    };
    let created = booking.subscription_create(wish).await?;
    created.ok_or_else(|| {
        let detail = format!("There are {SUBSCRIPTIONS_MAX} subscriptions already.");
        Problem::new(ProblemCode::Conflict).detail(detail).into()
    })
}

fn secret_told(status: StatusCode, row: &SubscriptionRow) -> Response {
    let view = SubscriptionView::from(row);
    let audited = Audited {
        target: Some(view.subscription_id.to_string()),
        before: None,
        // Without the secret.
        after: serde_json::to_value(&view).ok(),
    };
    let told = SubscriptionSecret {
        subscription: view,
        secret: row.secrets.newest().to_owned(),
    };
    audited.on((status, ApiJson(told)).into_response())
}

async fn found(booking: &Booking, id: SubscriptionId) -> ApiResult<SubscriptionRow> {
    let row = booking.subscriptions(Some(id)).await?.pop();
    row.ok_or_else(not_found)
}

/// Read a subscription
#[utoipa::path(
    get, path = "/admin/v1/subscriptions/{subscriptionId}", operation_id = "subscription",
    tag = "events", params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "Without its secret", body = SubscriptionView),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn show(
    State(booking): State<Booking>,
    ApiPath(id): ApiPath<SubscriptionId>,
) -> ApiResult<ApiJson<SubscriptionView>> {
    let row = found(&booking, id).await?;
    Ok(ApiJson(SubscriptionView::from(&row)))
}

/// Delete a subscription with its deliveries
#[utoipa::path(
    delete, path = "/admin/v1/subscriptions/{subscriptionId}",
    operation_id = "subscription_delete", tag = "events",
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn delete(State(booking): State<Booking>, ApiPath(id): ApiPath<SubscriptionId>) -> Response {
    let before = found(&booking, id).await;
    let audited = Audited {
        target: Some(id.to_string()),
        before: before.ok().and_then(|row| seen(&row)),
        after: None,
    };
    audited.on(match booking.subscription_delete(id).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => not_found().into_response(),
        Err(error) => ApiError::from(error).into_response(),
    })
}

fn seen(row: &SubscriptionRow) -> Option<Value> {
    serde_json::to_value(SubscriptionView::from(row)).ok()
}

/// The answer to a change of a subscription, with what is recorded of it.
fn answered(
    id: SubscriptionId,
    changed: Result<SubscriptionChange<SubscriptionRow>, StoreError>,
    refusal: &str,
) -> Response {
    let mut audited = Audited {
        target: Some(id.to_string()),
        ..Audited::default()
    };
    let response = match changed {
        Ok(SubscriptionChange::Done(row)) => {
            audited.after = seen(&row);
            ApiJson(SubscriptionView::from(&row)).into_response()
        }
        Ok(SubscriptionChange::Unknown) => not_found().into_response(),
        Ok(SubscriptionChange::Conflict) => {
            let problem = Problem::new(ProblemCode::Conflict).detail(refusal);
            ApiError::from(problem).into_response()
        }
        Err(error) => ApiError::from(error).into_response(),
    };
    audited.on(response)
}

/// Enable a subscription that was disabled
///
/// Events of the meantime are delivered.
#[utoipa::path(
    post, path = "/admin/v1/subscriptions/{subscriptionId}/enable",
    operation_id = "subscription_enable", tag = "events",
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "It is enabled", body = SubscriptionView),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it is enabled already", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn enable(State(booking): State<Booking>, ApiPath(id): ApiPath<SubscriptionId>) -> Response {
    let changed = booking.subscription_enable(id).await;
    answered(id, changed, "It is enabled already.")
}

/// Disable a subscription
///
/// Its events wait.
#[utoipa::path(
    post, path = "/admin/v1/subscriptions/{subscriptionId}/disable",
    operation_id = "subscription_disable", tag = "events",
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "It is disabled", body = SubscriptionView),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it is disabled already", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn disable(State(booking): State<Booking>, ApiPath(id): ApiPath<SubscriptionId>) -> Response {
    let changed = booking.subscription_disable(id).await;
    answered(id, changed, "It is disabled already.")
}

/// How a secret is exchanged..
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateRequest {
    /// How long the secret before stays good; a day when absent. 0 for one that leaked.
    #[schema(maximum = 604_800)]
    overlap_seconds: Option<u64>,
}

/// Exchange the secret of a subscription
///
/// Until the secret before ends, each webhook has a signature of both.
#[utoipa::path(
    post, path = "/admin/v1/subscriptions/{subscriptionId}/rotate",
    operation_id = "subscription_rotate", tag = "events", request_body = RotateRequest,
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "With the new secret", body = SubscriptionSecret),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: exchanged meanwhile", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn rotate(
    State(booking): State<Booking>,
    ApiPath(id): ApiPath<SubscriptionId>,
    sent: ApiResult<ApiJson<RotateRequest>>,
) -> Response {
    let overlap = sent.and_then(|ApiJson(request)| match request.overlap_seconds {
        None => Ok(OVERLAP),
        Some(seconds) if seconds <= OVERLAP_SECONDS_MAX => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(invalid("overlapSeconds", "at most 604800, a week")),
    });
    let overlap = match overlap {
        Ok(overlap) => overlap,
        Err(refusal) => return of_target(id).on(refusal.into_response()),
    };
    match booking.subscription_rotate(id, overlap).await {
        Ok(SubscriptionChange::Done(row)) => secret_told(StatusCode::OK, &row),
        changed => answered(id, changed, "The secret was exchanged meanwhile."),
    }
}

fn of_target(id: SubscriptionId) -> Audited {
    Audited {
        target: Some(id.to_string()),
        ..Audited::default()
    }
}

/// From where events are delivered again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// All events after this position, 0 for all that ever happened.
    #[schema(minimum = 0)]
    after: i64,
}

/// Deliver all events after a position again
///
/// The deliveries after it are forgotten and made anew, with the same ids of events.
#[utoipa::path(
    post, path = "/admin/v1/subscriptions/{subscriptionId}/replay",
    operation_id = "subscription_replay", tag = "events", request_body = ReplayRequest,
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "They are delivered", body = SubscriptionView),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it is not that far yet", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn replay(
    State(booking): State<Booking>,
    ApiPath(id): ApiPath<SubscriptionId>,
    sent: ApiResult<ApiJson<ReplayRequest>>,
) -> Response {
    let after = sent.and_then(|ApiJson(request)| {
        let fits = request.after >= 0;
        fits.then_some(request.after)
            .ok_or_else(|| invalid("after", "a position is at least 0"))
    });
    match after {
        Ok(after) => {
            let changed = booking.subscription_replay(id, after).await;
            answered(id, changed, "It is not beyond that position yet.")
        }
        Err(refusal) => of_target(id).on(refusal.into_response()),
    }
}

/// What a receiver made of a test.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Tested {
    /// Whether it answered with 2xx.
    taken: bool,
    /// The status of its answer.
    answer_status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
}

/// Send a test event to the receiver of a subscription
///
/// Its `type` is `subscription.test`. It is in no log, and it is not tried again.
#[utoipa::path(
    post, path = "/admin/v1/subscriptions/{subscriptionId}/test",
    operation_id = "subscription_test", tag = "events",
    params(("subscriptionId" = SubscriptionId, Path, description = "Which")),
    responses(
        (status = 200, description = "What came of it", body = Tested),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn test(State(booking): State<Booking>, ApiPath(id): ApiPath<SubscriptionId>) -> Response {
    let audited = of_target(id);
    audited.on(match booking.subscription_test(id).await {
        Ok(Some(outcome)) => ApiJson(Tested {
            taken: outcome.taken,
            answer_status: outcome.answer_status,
            error: outcome.error,
        })
        .into_response(),
        Ok(None) => not_found().into_response(),
        Err(error) => ApiError::from(error).into_response(),
    })
}
