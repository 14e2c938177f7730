//! The operators' API for passing tickets on and printing them anew.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::transfer::{ReissueRequest, TransferRequest, Transferred};
use contract::{BookingId, Problem, TicketId};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiResult, Audited};

use super::admin_bookings::reason;
use super::transfer::{Wish, transferred, wish, wish_anew};
use crate::handle::Booking;
use crate::recorded::bounded;
use crate::transfer_decision::Asker;
use crate::transferring::TransferOrder;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(transfer))
        .routes(routes!(reissue))
}

/// The body that passes tickets on.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BookingTransferOrder {
    /// The tickets; all of the booking when absent.
    #[serde(default)]
    #[schema(min_items = 1)]
    ticket_ids: Option<Vec<TicketId>>,
    /// The address of the new holder, who gets the tickets by mail.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    email: String,
    /// The name of the new holder, which is printed on the tickets.
    #[serde(default)]
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// The body that prints tickets anew. All fields may be absent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BookingReissueOrder {
    /// The tickets; all of the booking when absent.
    #[serde(default)]
    #[schema(min_items = 1)]
    ticket_ids: Option<Vec<TicketId>>,
    /// Another name to print on them.
    #[serde(default)]
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Pass tickets of a booking on to another person
///
/// The show's policy binds fans, not operators. Tickets that were used or cancelled stay where they
/// are, and so do all when the show is over.
#[utoipa::path(
    post, path = "/admin/v1/bookings/{bookingId}/transfer", operation_id = "booking_transfer",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    request_body = BookingTransferOrder,
    responses(
        (status = 200, description = "They are the other person's", body = Transferred),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "not-transferable, with the `rule`", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn transfer(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiJson(order): ApiJson<BookingTransferOrder>,
) -> Response {
    let wish = wish(TransferRequest {
        ticket_ids: order.ticket_ids,
        email: order.email,
        name: order.name,
        code: None,
    });
    carry_out(&booking, booking_id, wish, order.reason).await
}

/// Print tickets of a booking anew: their earlier codes and links open nothing any more
#[utoipa::path(
    post, path = "/admin/v1/bookings/{bookingId}/reissue", operation_id = "booking_reissue",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    request_body = BookingReissueOrder,
    responses(
        (status = 200, description = "They have new codes", body = Transferred),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "not-transferable, with the `rule`", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn reissue(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiJson(order): ApiJson<BookingReissueOrder>,
) -> Response {
    let wish = wish_anew(ReissueRequest {
        ticket_ids: order.ticket_ids,
        name: order.name,
        code: None,
    });
    carry_out(&booking, booking_id, wish, order.reason).await
}

async fn carry_out(
    booking: &Booking,
    booking_id: BookingId,
    wish: ApiResult<Wish>,
    why: Option<String>,
) -> Response {
    let mut audited = Audited {
        target: Some(booking_id.to_string()),
        before: state_of(booking, booking_id).await,
        ..Audited::default()
    };
    let done = async {
        let (wish, reason) = (wish?, reason(why)?);
        let outcome = booking
            .transfer(TransferOrder {
                transfer_id: booking.0.transfer_id(booking_id.uuid(), None),
                booking_id: booking_id.uuid(),
                ticket_ids: wish
                    .ticket_ids
                    .map(|ids| ids.into_iter().map(TicketId::uuid).collect()),
                email: wish.email,
                name: wish.name,
                asker: Asker::Operator,
                reason,
                code_id: None,
            })
            .await?;
        transferred(outcome)
    };
    match done.await {
        Ok(done) => {
            audited.after = state_of(booking, booking_id).await;
            audited.on(ApiJson(done).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

/// Who has which tickets with which codes, for the audit log: no address.
async fn state_of(booking: &Booking, booking_id: BookingId) -> Option<Value> {
    let prints = booking.prints(booking_id).await.ok()??;
    let tickets: serde_json::Map<String, Value> = prints
        .into_iter()
        .map(|(ticket_id, generation, holder)| {
            let holder = holder.map_or_else(|| "buyer".to_owned(), |it| it.simple().to_string());
            (
                ticket_id.to_string(),
                json!({ "print": generation, "holder": holder }),
            )
        })
        .collect();
    Some(bounded(Value::Object(tickets)))
}
