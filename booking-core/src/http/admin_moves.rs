//! The operators' API for moving shows.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::booking::Venue;
use contract::{Problem, ProblemCode, ShowId, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiResult, Audited};

use super::cancel::REASON_CHARS_MAX;
use super::problems::{invalid, not_found};
use crate::handle::Booking;
use crate::recorded::bounded;
use crate::show_moving::{MoveOrder, ShowMove};
use crate::store::show_moves::Moved;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(show_move))
        .routes(routes!(show_move_progress))
}

/// The body that moves a show.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ShowMoveOrder {
    /// When it starts.
    starts_at: Timestamp,
    /// When it ends, if that is known.
    #[serde(default)]
    ends_at: Option<Timestamp>,
    /// Where it takes place; where it was to be when absent.
    #[serde(default)]
    venue: Option<Venue>,
    /// Why, as the fans read it.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Until when who bought before gets the whole price back for the asking.
    #[serde(default)]
    refund_until: Option<Timestamp>,
}

impl ShowMoveOrder {
    fn checked(self, now: Timestamp) -> ApiResult<MoveOrder> {
        if self.starts_at <= now {
            return Err(invalid("startsAt", "is in the past"));
        }
        if self.ends_at.is_some_and(|ends_at| ends_at < self.starts_at) {
            return Err(invalid("endsAt", "is before startsAt"));
        }
        if self.refund_until.is_some_and(|until| until <= now) {
            return Err(invalid("refundUntil", "is in the past"));
        }
        if self
            .refund_until
            .is_some_and(|until| until > self.starts_at)
        {
            return Err(invalid("refundUntil", "is after the show has begun"));
        }
        let is_long = |text: &String| text.chars().count() > REASON_CHARS_MAX;
        if self.reason.as_ref().is_some_and(is_long) {
            let what = format!("must have at most {REASON_CHARS_MAX} characters");
            return Err(invalid("reason", &what));
        }
        if let Some(venue) = &self.venue {
            let has_control = |text: &str| text.chars().any(char::is_control);
            if venue.name.trim().is_empty() || is_long(&venue.name) || has_control(&venue.name) {
                return Err(invalid("venue.name", "must be some text on one line"));
            }
            if is_long(&venue.address) || has_control(&venue.address) {
                return Err(invalid("venue.address", "must be text on one line"));
            }
        }
        Ok(MoveOrder {
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            venue: self.venue,
            reason: self.reason.filter(|reason| !reason.trim().is_empty()),
            refund_until: self.refund_until,
        })
    }
}

/// Move a show to another time or venue: all bookings are told
///
/// Its sale closes as long before the show as before. Bookings are told in the background; the same
/// request again changes nothing and tells how far that has come. With `refundUntil`, who bought
/// before the move gets the whole price back until then, whatever the refund policy says.
#[utoipa::path(
    post, path = "/admin/v1/shows/{showId}/move", operation_id = "show_move", tag = "booking",
    params(("showId" = ShowId, Path, description = "The show")),
    request_body = ShowMoveOrder,
    responses(
        (status = 202, description = "It is moved", body = ShowMove),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it was cancelled, has begun, or is there already, \
            perhaps with another reason or refundUntil", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn show_move(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    ApiJson(order): ApiJson<ShowMoveOrder>,
) -> Response {
    let mut audited = Audited {
        target: Some(show.to_string()),
        ..Audited::default()
    };
    match moved(&booking, &show, order, &mut audited).await {
        Ok(progress) => audited.on((StatusCode::ACCEPTED, ApiJson(progress)).into_response()),
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn moved(
    booking: &Booking,
    show: &ShowId,
    order: ShowMoveOrder,
    audited: &mut Audited,
) -> ApiResult<ShowMove> {
    let order = order.checked(booking.0.clock.now())?;
    audited.before = booking.show_times(show).await?.map(bounded);
    let conflict = |detail: &str| Problem::new(ProblemCode::Conflict).detail(detail);
    match booking.show_move(show, order).await? {
        None => return Err(not_found()),
        Some(Moved::Cancelled) => return Err(conflict("The show was cancelled.").into()),
        Some(Moved::Begun) => return Err(conflict("The show has begun.").into()),
        Some(Moved::Otherwise) => {
            let detail = "It is there already, moved with another reason or refundUntil.";
            return Err(conflict(detail).into());
        }
        Some(Moved::Now | Moved::Before) => {}
    }
    let progress = booking.show_move_progress(show).await?;
    let progress = progress
        .ok_or_else(|| conflict("The show takes place there and then already, unmoved."))?;
    let after = booking.show_times(show).await?;
    audited.after = after.map(|after| {
        bounded(json!({ "show": after, "move": serde_json::to_value(&progress).ok() }))
    });
    Ok(progress)
}

/// Read how far the telling of the last move of a show has come
#[utoipa::path(
    get, path = "/admin/v1/shows/{showId}/move", operation_id = "show_move_progress",
    tag = "booking",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, description = "So far", body = ShowMove),
        (status = 404, description = "not-found: it was not moved", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn show_move_progress(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<ApiJson<ShowMove>> {
    let progress = booking.show_move_progress(&show).await?;
    progress.map(ApiJson).ok_or_else(not_found)
}
