//! Passing tickets on, and printing them anew.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::transfer::{ReissueRequest, TransferOffer, TransferRequest, Transferred};
use contract::{BookingId, Problem, ProblemCode, TicketId};
use http::HeaderMap;
use web::{ApiError, ApiJson, ApiPath, ApiResult};

use super::idempotent::{self, Accepted, RequestKey};
use super::problems::{invalid, not_found};
use crate::database::Turns;
use crate::email;
use crate::handle::Booking;
use crate::links::hidden;
use crate::store::transfers::TransferRow;
use crate::transferring::{FansTransfer, TransferOutcome};

/// Longest name on a ticket, in characters.
const NAME_CHARS_MAX: usize = 100;

/// Reads what the reader may do with the tickets now: pass them on, or have them printed anew.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/transfer-offer",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses((status = 200, body = TransferOffer), (status = 404, body = Problem))
)]
pub(super) async fn transfer_offer(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<TransferOffer>> {
    let customer = booking.customer(&headers);
    let offer = booking.transfer_offer(&customer, booking_id).await?;
    offer.map(ApiJson).ok_or_else(not_found)
}

/// Passes tickets on to another person. Their earlier codes admit nobody any more; the new holder
/// gets the tickets and a link of their own by mail. Always needs a one-time code. Refunds go to
/// whoever paid.
#[utoipa::path(
    post, path = "/bookings/{bookingId}/transfer",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = TransferRequest,
    responses(
        (status = 200, body = Transferred, description = "The tickets are the other person's"),
        (status = 403, body = Problem, description =
            "code-required: ask for a code and send it along; code-not-valid"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "not-transferable, with the `rule`"),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn transfer(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<TransferRequest>,
) -> ApiResult<Response> {
    let path = format!("/bookings/{booking_id}/transfer");
    let key = RequestKey::read(&headers, &path, &request)?;
    once(&booking, booking_id, &headers, key, wish(request)?).await
}

/// Prints tickets anew, for example when a copy of them is in wrong hands, or under another name.
/// Their earlier codes and links open nothing any more; new ones come by mail. Always needs a
/// one-time code.
#[utoipa::path(
    post, path = "/bookings/{bookingId}/reissue",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = ReissueRequest,
    responses(
        (status = 200, body = Transferred, description = "The tickets have new codes"),
        (status = 403, body = Problem, description =
            "code-required: ask for a code and send it along; code-not-valid"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "not-transferable, with the `rule`"),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn reissue(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<ReissueRequest>,
) -> ApiResult<Response> {
    let path = format!("/bookings/{booking_id}/reissue");
    let key = RequestKey::read(&headers, &path, &request)?;
    once(&booking, booking_id, &headers, key, wish_anew(request)?).await
}

/// What both requests have in common.
pub(crate) struct Wish {
    pub(crate) ticket_ids: Option<Vec<TicketId>>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) code: Option<String>,
}

/// The wish to pass tickets on.
pub(crate) fn wish(request: TransferRequest) -> ApiResult<Wish> {
    let Some(email) = email::read(&request.email) else {
        return Err(invalid(
            "email",
            "write the e-mail address of the new holder",
        ));
    };
    checked(Wish {
        ticket_ids: request.ticket_ids,
        email: Some(email),
        name: request.name,
        code: request.code,
    })
}

/// The wish to print tickets anew.
pub(crate) fn wish_anew(request: ReissueRequest) -> ApiResult<Wish> {
    checked(Wish {
        ticket_ids: request.ticket_ids,
        email: None,
        name: request.name,
        code: request.code,
    })
}

fn checked(mut wish: Wish) -> ApiResult<Wish> {
    if wish.ticket_ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("ticketIds", "must name at least one ticket"));
    }
    wish.name = name_of(wish.name.take())?;
    Ok(wish)
}

/// The name in one line, or nothing.
pub(crate) fn name_of(name: Option<String>) -> ApiResult<Option<String>> {
    let name = name.map(|name| {
        let words: Vec<&str> = name
            .split(|c: char| c.is_control() || c.is_whitespace())
            .collect();
        words
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    let name = name.filter(|name| !name.is_empty());
    if name
        .as_ref()
        .is_some_and(|name| name.chars().count() > NAME_CHARS_MAX)
    {
        let what = format!("must have at most {NAME_CHARS_MAX} characters");
        return Err(invalid("name", &what));
    }
    Ok(name)
}

/// The wish of a fan in terms of the booking core. `key` is the principal and text of an idempotency
/// key.
pub(crate) fn of_fan(
    booking: &Booking,
    booking_id: BookingId,
    wish: Wish,
    key: Option<(&str, &str)>,
) -> FansTransfer {
    FansTransfer {
        booking_id,
        transfer_id: booking.0.transfer_id(booking_id.uuid(), key),
        ticket_ids: wish
            .ticket_ids
            .map(|ids| ids.into_iter().map(TicketId::uuid).collect()),
        email: wish.email,
        name: wish.name,
        code: wish.code,
    }
}

async fn once(
    booking: &Booking,
    booking_id: BookingId,
    headers: &HeaderMap,
    key: Option<RequestKey>,
    wish: Wish,
) -> ApiResult<Response> {
    let customer = booking.customer(headers);
    let key_use = key.map(|key| key.used_by_owner(&customer, headers));
    let named = key_use
        .as_ref()
        .map(|used| (used.principal.as_str(), used.key.as_str()));
    let wanted = of_fan(booking, booking_id, wish, named);
    let effect = wanted.transfer_id;
    let keys = Turns::of_any(booking.0.pools.money.clone());
    let work = move |booking: Booking| async move {
        let done = transferred(booking.transfer_by_fan(&customer, wanted).await?)?;
        Ok(ApiJson(done).into_response())
    };
    idempotent::once(booking, keys, key_use, effect, Accepted::IsFinal, work).await?
}

/// The transfer, or the refusal.
pub(crate) fn transferred(outcome: TransferOutcome) -> ApiResult<Transferred> {
    match outcome {
        TransferOutcome::Done(row) => Ok(view(*row)),
        TransferOutcome::Refused(rule) => Err(Problem::new(ProblemCode::NotTransferable)
            .detail(rule.sentence())
            .with("rule", serde_json::json!(rule))
            .into()),
        TransferOutcome::UnknownTicket => {
            Err(invalid("ticketIds", "names a ticket of another booking"))
        }
        TransferOutcome::SameHolder => Err(invalid(
            "email",
            "is the address of whoever has the tickets",
        )),
        TransferOutcome::NotFound => Err(not_found()),
        TransferOutcome::CodeRequired => Err(code_required()),
        TransferOutcome::CodeNotValid => Err(code_not_valid()),
    }
}

pub(crate) fn code_required() -> ApiError {
    Problem::new(ProblemCode::CodeRequired)
        .detail("Ask for a one-time code: it comes by mail.")
        .into()
}

pub(crate) fn code_not_valid() -> ApiError {
    Problem::new(ProblemCode::CodeNotValid)
        .detail("The code is wrong, was used, is over or was tried too often. Ask for a new one.")
        .into()
}

fn view(row: TransferRow) -> Transferred {
    Transferred {
        transfer_id: row.transfer_id.simple().to_string(),
        ticket_ids: row.ticket_ids.into_iter().map(TicketId::new).collect(),
        sent_to: hidden(&row.sent_to),
    }
}
