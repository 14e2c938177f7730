//! Holds.

use axum::extract::State;
use axum::response::Response;
use contract::booking::{Hold, HoldRequest, TicketTypesRequest};
use contract::{HoldId, Problem, ProblemCode, ShowId};
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use web::{ApiError, ApiJson, ApiPath, ApiResult};

use super::idempotent::{self, RequestKey};
use super::problems::{hold_expired, invalid, not_found, pass_required};
use super::risk;
use crate::handle::Booking;
use crate::holds::{HoldOutcome, Once, ReleaseOutcome};
use crate::live::HoldKey;
use crate::store::idempotency::StoredAnswer;
use crate::ticket_types::TypesOutcome;

/// Holds seats: all of them or none.
#[utoipa::path(
    post, path = "/shows/{showId}/holds",
    params(
        ("showId" = ShowId, Path, description = "The show"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = HoldRequest,
    responses(
        (status = 201, body = Hold),
        (status = 403, body = Problem, description =
            "pass-required; challenge-required, with the `challenge`"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description =
            "seats-unavailable, ticket-limit, sale-not-open, request-in-progress"),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description = "booking-busy, database-unavailable")
    )
)]
pub(super) async fn hold_place(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    headers: HeaderMap,
    ApiJson(mut request): ApiJson<HoldRequest>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let proof = request.proof.take();
    let path = format!("/shows/{show}/holds");
    let key = RequestKey::read(&headers, &path, &request)?;
    risk::before_hold(&booking, &customer, &show, &request, proof).await?;
    let mut principals = customer.key_principals(&headers);
    // With an idempotency key the new session is derived from it, so every repeat has the same
    // session, whether or not the first response and its cookie arrived.
    let new_session = customer.session().is_none().then(|| {
        let key_use = key.as_ref().zip(principals.first());
        key_use.map_or_else(
            || booking.session_new(),
            |(key, principal)| booking.session_of(&key.used_by(principal)),
        )
    });
    principals.extend(new_session.map(|session| session.principal()));
    let customer = match new_session {
        Some(session) => customer.with_session(session),
        None => customer,
    };
    let key = key.map(|key| HoldKey {
        key_uses: principals.iter().map(|name| key.used_by(name)).collect(),
        answer_of: Box::new(created),
    });
    let outcome = booking.hold_place(&customer, &show, &request, key).await?;
    let mut response = match outcome {
        Once::Now(outcome) => idempotent::respond(created(&read_held(outcome)?))?,
        Once::Known(known) => idempotent::repeat(known)?,
    };
    if let Some(session) = new_session {
        let cookie = session.set_cookie(booking.is_secure());
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The response for a new hold.
fn created(hold: &Hold) -> StoredAnswer {
    StoredAnswer {
        status: StatusCode::CREATED.as_u16(),
        headers: json!({
            CONTENT_TYPE.as_str(): "application/json",
            LOCATION.as_str(): format!("/api/v1/holds/{}", hold.hold_id),
        }),
        // Serialisation cannot fail: a hold contains only strings and numbers.
        body: serde_json::to_vec(hold).unwrap_or_default(),
    }
}

/// The hold, or the refusal as a problem.
pub(crate) fn read_held(outcome: HoldOutcome) -> ApiResult<Hold> {
    match outcome {
        HoldOutcome::Held(hold) => Ok(hold),
        HoldOutcome::ShowNotFound => Err(not_found()),
        HoldOutcome::Invalid { field, problem } => Err(invalid(field, &problem)),
        HoldOutcome::PassRequired { room, show } => Err(pass_required(&room, &show)),
        HoldOutcome::SaleNotOpen => Err(ProblemCode::SaleNotOpen.into()),
        HoldOutcome::SeatsUnavailable(seats) => {
            let seats: Vec<String> = seats.iter().map(ToString::to_string).collect();
            Err(Problem::new(ProblemCode::SeatsUnavailable)
                .with("seatIds", seats)
                .into())
        }
        HoldOutcome::TicketLimit { limit } => Err(Problem::new(ProblemCode::TicketLimit)
            .detail(format!(
                "One customer may have at most {limit} tickets of this show."
            ))
            .with("ticketLimit", limit)
            .into()),
        HoldOutcome::Busy => Err(ProblemCode::BookingBusy.into()),
    }
}

/// Reads a hold of the customer.
#[utoipa::path(
    get, path = "/holds/{holdId}",
    params(("holdId" = HoldId, Path, description = "The hold")),
    responses((status = 200, body = Hold), (status = 404, body = Problem))
)]
pub(super) async fn hold(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<Hold>> {
    let customer = booking.customer(&headers);
    let hold = booking.hold(&customer, hold_id).await?;
    hold.map(ApiJson).ok_or_else(not_found)
}

/// Sells the seats of a hold as other types, at the present prices.
#[utoipa::path(
    post, path = "/holds/{holdId}/ticket-types",
    params(("holdId" = HoldId, Path, description = "The hold")),
    request_body = TicketTypesRequest,
    responses(
        (status = 200, body = Hold),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "conflict: a payment was started"),
        (status = 410, body = Problem, description = "hold-expired"),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn ticket_types(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<TicketTypesRequest>,
) -> ApiResult<ApiJson<Hold>> {
    let customer = booking.customer(&headers);
    let set = booking.hold_types_set(&customer, hold_id, request.ticket_types);
    read_types_set(set.await?).map(ApiJson)
}

/// The hold, or the refusal as a problem.
pub(crate) fn read_types_set(outcome: TypesOutcome) -> ApiResult<Hold> {
    match outcome {
        TypesOutcome::Changed(hold) => Ok(*hold),
        TypesOutcome::NotFound => Err(not_found()),
        TypesOutcome::HoldEnded => Err(hold_expired(false)),
        TypesOutcome::PaymentStarted => Err(Problem::new(ProblemCode::Conflict)
            .detail("A payment was started, so the price stays as it is.")
            .into()),
        TypesOutcome::Invalid(problem) => Err(invalid("ticketTypes", &problem)),
    }
}

/// Releases a hold of the customer. Its seats are free at once.
#[utoipa::path(
    delete, path = "/holds/{holdId}",
    params(("holdId" = HoldId, Path, description = "The hold")),
    responses(
        (status = 204, description = "Given up, now or before"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "conflict: its seats were bought")
    )
)]
pub(super) async fn hold_release(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let customer = booking.customer(&headers);
    match booking.hold_release(&customer, hold_id).await? {
        ReleaseOutcome::Released => Ok(StatusCode::NO_CONTENT),
        ReleaseOutcome::NotFound => Err(not_found()),
        ReleaseOutcome::Bought => Err(ApiError::from(
            Problem::new(ProblemCode::Conflict).detail("The hold has been bought."),
        )),
    }
}
