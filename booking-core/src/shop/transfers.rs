//! The forms of a booking's page that pass tickets on and print them anew.

use axum::extract::State;
use axum::response::Response;
use contract::transfer::{ReissueRequest, TransferRequest};
use contract::{BookingId, TicketId};
use http::{HeaderMap, StatusCode};
use web::{ApiForm, ApiPath, ApiResult};

use super::bookings::{Reader, render};
use super::page::{page_of, see_other};
use crate::handle::Booking;
use crate::http::problems::{invalid, not_found};
use crate::http::transfer::{Wish, of_fan, transferred, wish, wish_anew};

/// The fields of the form.
type Fields = Vec<(String, String)>;

pub(super) async fn transfer(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiForm(fields): ApiForm<Fields>,
) -> ApiResult<Response> {
    let reader = Reader::owner(&booking, &headers, booking_id);
    settle(&booking, &reader, to_pass_on(fields)).await
}

pub(super) async fn guest_transfer(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
    ApiForm(fields): ApiForm<Fields>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    settle(&booking, &reader, to_pass_on(fields)).await
}

pub(super) async fn reissue(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiForm(fields): ApiForm<Fields>,
) -> ApiResult<Response> {
    let reader = Reader::owner(&booking, &headers, booking_id);
    settle(&booking, &reader, to_print(fields)).await
}

pub(super) async fn guest_reissue(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
    ApiForm(fields): ApiForm<Fields>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    settle(&booking, &reader, to_print(fields)).await
}

/// Carries the wish out. A guest's link ends with it, so the answer is a page and no redirect there.
async fn settle(booking: &Booking, reader: &Reader, wish: ApiResult<Wish>) -> ApiResult<Response> {
    let done = async {
        let wanted = of_fan(booking, reader.booking_id, wish?, None);
        transferred(booking.transfer_by_fan(&reader.customer, wanted).await?)
    };
    match done.await {
        // The reader's link may have ended with it; the list of bookings always opens.
        Ok(_) if reader.is_guest => Ok(see_other("/bookings/find?sent=tickets")),
        Ok(_) => Ok(see_other(&reader.base)),
        Err(error) if error.problem().status == StatusCode::NOT_FOUND.as_u16() => Err(error),
        Err(error) => {
            let html = render(booking, reader, false, Some(&error)).await?;
            Ok(page_of(&error, html))
        }
    }
}

fn to_pass_on(fields: Fields) -> ApiResult<Wish> {
    let form = Form::read(fields)?;
    wish(TransferRequest {
        ticket_ids: form.ticket_ids,
        email: form.email,
        name: form.name,
        code: form.code,
    })
}

fn to_print(fields: Fields) -> ApiResult<Wish> {
    let form = Form::read(fields)?;
    wish_anew(ReissueRequest {
        ticket_ids: form.ticket_ids,
        name: form.name,
        code: form.code,
    })
}

/// The form. It is about all tickets, unless it has a choice of them.
#[derive(Debug, Default)]
struct Form {
    ticket_ids: Option<Vec<TicketId>>,
    email: String,
    name: Option<String>,
    code: Option<String>,
}

impl Form {
    fn read(fields: Fields) -> ApiResult<Self> {
        let mut form = Self::default();
        let may_choose = fields.iter().any(|(name, _)| name == "choose");
        for (name, value) in fields {
            match name.as_str() {
                "ticket" => {
                    let ticket: TicketId = value.parse().map_err(|_| not_found())?;
                    form.ticket_ids.get_or_insert_default().push(ticket);
                }
                "email" => form.email = value,
                "code" if !value.trim().is_empty() => form.code = Some(value),
                "name" if !value.trim().is_empty() => form.name = Some(value),
                _ => {}
            }
        }
        if may_choose && form.ticket_ids.is_none() {
            return Err(invalid("ticket", "choose at least one ticket"));
        }
        Ok(form)
    }
}
