//! The operators' API for giving tickets away.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::booking::HoldRequest;
use contract::comp::Comp;
use contract::{Problem, SeatId, ShowId};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiResult, Audited};

use super::admin_bookings::reason;
use super::holds::read_held;
use super::idempotent::{self, RequestKey};
use super::problems::{invalid, not_found};
use super::transfer::name_of;
use crate::comps::{CompKey, CompOrder};
use crate::handle::Booking;
use crate::holds::Once;
use crate::recorded::bounded;
use crate::store::idempotency::StoredAnswer;

/// Under which operators use idempotency keys.
const OPERATORS: &str = "operators";

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default().routes(routes!(comp))
}

/// Tickets to give away: either named seats, or so many of the best of a category.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CompRequest {
    /// The seats, each once.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 20)]
    seat_ids: Option<Vec<SeatId>>,
    /// How many of the best available.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 20)]
    quantity: Option<u32>,
    /// Of which category; any, when absent.
    #[serde(default)]
    category: Option<String>,
    /// Where the tickets are mailed.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    email: String,
    /// The name to print on the tickets.
    #[serde(default)]
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Give tickets away
///
/// They are a booking that costs nothing: mailed, transferred, cancelled and scanned as any other.
/// Its lines tell what it costs otherwise. Seats that are held or sold are refused; the ticket limit
/// of customers and the times of the sale do not count.
#[utoipa::path(
    post, path = "/admin/v1/shows/{showId}/comps", operation_id = "tickets_give", tag = "booking",
    params(
        ("showId" = ShowId, Path, description = "The show"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = CompRequest,
    responses(
        (status = 201, description = "The booking", body = Comp),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, body = Problem, description =
            "seats-unavailable; sale-not-open: it is over or cancelled; request-in-progress"),
        (status = 422, description = "validation-failed, idempotency-key-reused", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn comp(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<CompRequest>,
) -> Response {
    let mut audited = Audited {
        target: Some(show.to_string()),
        ..Audited::default()
    };
    match give(&booking, &show, &headers, request, &mut audited).await {
        Ok(response) => audited.on(response),
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn give(
    booking: &Booking,
    show: &ShowId,
    headers: &HeaderMap,
    request: CompRequest,
    audited: &mut Audited,
) -> ApiResult<Response> {
    let key = RequestKey::read(headers, &format!("/shows/{show}/comps"), &request)?;
    let Some(email) = crate::email::read(&request.email) else {
        return Err(invalid("email", "write the e-mail address of the guest"));
    };
    let order = CompOrder {
        email,
        name: name_of(request.name)?,
        reason: reason(request.reason)?,
    };
    let seats = HoldRequest {
        seat_ids: request.seat_ids,
        quantity: request.quantity,
        category: request.category,
        ..HoldRequest::default()
    };
    let key = key.map(|key| CompKey {
        key_use: key.used_by(OPERATORS),
        answer_of: created,
    });
    let before = booking.free_seats(show).await?.ok_or_else(not_found)?;
    let comp = match booking.comp(show, seats, order, key).await? {
        Ok(Once::Now(comp)) => comp,
        Ok(Once::Known(known)) => return idempotent::repeat(known),
        Err(refusal) => {
            return match read_held(refusal) {
                Ok(_) => Err(not_found()),
                Err(problem) => Err(problem),
            };
        }
    };
    let after = booking.free_seats(show).await?;
    audited.before = Some(json!({ "freeSeats": before }));
    audited.after = Some(bounded(json!({
        "freeSeats": after,
        "bookingId": comp.booking_id,
        "seatIds": comp.seat_ids,
        "faceMinor": comp.face_minor,
        "currency": comp.currency,
    })));
    idempotent::respond(created(&comp))
}

/// The response for tickets that were given away.
fn created(comp: &Comp) -> StoredAnswer {
    StoredAnswer {
        status: StatusCode::CREATED.as_u16(),
        headers: json!({
            CONTENT_TYPE.as_str(): "application/json",
            LOCATION.as_str(): format!("/admin/v1/bookings/{}", comp.booking_id),
        }),
        // Serialisation cannot fail: it contains only strings and numbers.
        body: serde_json::to_vec(comp).unwrap_or_default(),
    }
}
