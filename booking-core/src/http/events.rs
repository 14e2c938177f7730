//! The operators' API for the log of events.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiQuery, ApiResult, Audited};

use super::problems::invalid;
use crate::config::EVENTS_LISTED_MAX;
use crate::event::Event;
use crate::events::kind;
use crate::handle::Booking;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(erase))
}

/// Which events are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only events after this position; 0, all, when absent.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// How many at most; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// Only these kinds, comma-separated; all when absent.
    types: Option<String>,
}

/// Some events.
#[derive(Serialize, ToSchema)]
struct EventPage {
    /// In the order of their positions.
    events: Vec<Event>,
    /// The `after` to read on with.
    next: i64,
    /// The end of the log.
    head: i64,
}

/// Read events from the log, which keeps all of them
///
/// Whoever has read up to a position never misses an event by reading on after it.
#[utoipa::path(
    get, path = "/admin/v1/events", operation_id = "events", tag = "events",
    params(Wanted),
    responses(
        (status = 200, description = "The events", body = EventPage),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn list(
    State(booking): State<Booking>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<EventPage>> {
    let after = wanted.after.unwrap_or(0);
    let limit = wanted.limit.unwrap_or(100);
    if after < 0 {
        return Err(invalid("after", "a position is at least 0"));
    }
    if !(1..=EVENTS_LISTED_MAX).contains(&limit) {
        return Err(invalid("limit", "1 to 1000"));
    }
    let kinds = kind::read_list(wanted.types.as_deref().unwrap_or_default());
    let kinds = kinds.map_err(|unknown| invalid("types", &format!("no kind `{unknown}`")))?;
    let page = booking.events(after, limit, kinds).await?;
    Ok(ApiJson(EventPage {
        events: page.events,
        next: page.next,
        head: page.head,
    }))
}

/// Whose personal fields are erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EraseRequest {
    /// The address of the customer, a guest or not.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    email: String,
}

/// Whether anything was erased.
#[derive(Serialize, ToSchema)]
struct Erased {
    /// False when no event had fields of this customer.
    erased: bool,
}

/// Erase a customer's personal fields from all events, for good
///
/// The key that they are sealed by is destroyed. Bookings keep their address, and what receivers of
/// events have taken is theirs to erase.
#[utoipa::path(
    post, path = "/admin/v1/events/erase", operation_id = "events_erase", tag = "events",
    request_body = EraseRequest,
    responses(
        (status = 200, description = "It is done", body = Erased),
        (status = 403, description = "forbidden", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn erase(State(booking): State<Booking>, sent: ApiResult<ApiJson<EraseRequest>>) -> Response {
    let mut audited = Audited {
        target: Some("customer".to_owned()),
        ..Audited::default()
    };
    match erase_of(&booking, sent).await {
        Ok(erased) => {
            // Whose fields they were must not stay in the audit log.
            audited.after = Some(json!({ "erased": erased }));
            audited.on(ApiJson(Erased { erased }).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn erase_of(booking: &Booking, sent: ApiResult<ApiJson<EraseRequest>>) -> ApiResult<bool> {
    let ApiJson(request) = sent?;
    let email = crate::email::read(&request.email);
    let email = email.ok_or_else(|| invalid("email", "not an address"))?;
    Ok(booking.events_erase(email).await?)
}
