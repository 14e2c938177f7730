//! A booking with its tickets, for its owner and for whoever has the link to it: the same page and
//! the same forms, below `/bookings/{bookingId}` and `/b/{token}`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::contact::ContactRequest;
use contract::refund::CancelRequest;
use contract::{BookingId, TicketId};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use pages::shop::BookingPage;
use serde::Deserialize;
use web::{ApiError, ApiForm, ApiPath, ApiQuery, ApiResult};

use super::page::{page, page_of, see_other};
use crate::customer::Customer;
use crate::handle::Booking;
use crate::http::cancel::{cancelled, code_sent, wanted};
use crate::http::contact::changed;
use crate::http::invoices::printed;
use crate::http::problems::{invalid, not_found};
use crate::ticket_files::{Disposition, calendar, content_disposition};

/// Whose page it is.
pub(super) struct Reader {
    pub(super) customer: Customer,
    pub(super) booking_id: BookingId,
    /// The path of the page.
    pub(super) base: String,
    /// Whether only the link brought the reader here.
    pub(super) is_guest: bool,
    /// That token.
    link: Option<String>,
}

impl Reader {
    pub(super) fn owner(booking: &Booking, headers: &HeaderMap, booking_id: BookingId) -> Self {
        Self {
            customer: booking.customer(headers),
            booking_id,
            base: format!("/bookings/{booking_id}"),
            is_guest: false,
            link: None,
        }
    }

    pub(super) fn guest(booking: &Booking, token: &str) -> ApiResult<Self> {
        let (customer, link) = booking.guest(token).ok_or_else(not_found)?;
        Ok(Self {
            customer,
            booking_id: BookingId::new(link.booking_id),
            base: crate::links::link_path(token),
            is_guest: true,
            link: Some(token.to_owned()),
        })
    }
}

/// The query of the page after a form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    /// Where a code was sent.
    code: Option<String>,
}

/// What a code is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    #[serde(rename = "for")]
    purpose: Option<String>,
}

pub(super) async fn booking(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiQuery(after): ApiQuery<After>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let reader = Reader::owner(&booking, &headers, booking_id);
    let html = render(&booking, &reader, after.code.is_some(), None).await?;
    Ok(page(StatusCode::OK, html))
}

pub(super) async fn guest_booking(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
    ApiQuery(after): ApiQuery<After>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    let html = render(&booking, &reader, after.code.is_some(), None).await?;
    Ok(page(StatusCode::OK, html))
}

pub(super) async fn cancel(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiForm(fields): ApiForm<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let reader = Reader::owner(&booking, &headers, booking_id);
    cancel_by(&booking, &reader, fields).await
}

pub(super) async fn guest_cancel(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
    ApiForm(fields): ApiForm<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    cancel_by(&booking, &reader, fields).await
}

async fn cancel_by(
    booking: &Booking,
    reader: &Reader,
    fields: Vec<(String, String)>,
) -> ApiResult<Response> {
    match try_cancel(booking, reader, fields).await {
        Ok(()) => Ok(see_other(&reader.base)),
        Err(error) if error.problem().status == StatusCode::NOT_FOUND.as_u16() => Err(error),
        Err(error) => {
            let html = render(booking, reader, false, Some(&error)).await?;
            Ok(page_of(&error, html))
        }
    }
}

async fn try_cancel(
    booking: &Booking,
    reader: &Reader,
    fields: Vec<(String, String)>,
) -> ApiResult<()> {
    let request = cancel_request(fields)?;
    let order = wanted(booking, reader.booking_id, request, None)?;
    cancelled(booking.cancel_by_fan(&reader.customer, order).await?).map(drop)
}

/// The form as the API's request. It is about all tickets, unless the form has a choice of them.
fn cancel_request(fields: Vec<(String, String)>) -> ApiResult<CancelRequest> {
    let mut request = CancelRequest::default();
    let may_choose = fields.iter().any(|(name, _)| name == "choose");
    for (name, value) in fields {
        match name.as_str() {
            "ticket" => {
                let ticket: TicketId = value.parse().map_err(|_| not_found())?;
                request.ticket_ids.get_or_insert_default().push(ticket);
            }
            "code" if !value.trim().is_empty() => request.code = Some(value),
            "reason" if !value.trim().is_empty() => request.reason = Some(value),
            _ => {}
        }
    }
    if may_choose && request.ticket_ids.is_none() {
        return Err(invalid("ticket", "choose at least one ticket"));
    }
    Ok(request)
}

pub(super) async fn contact(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiForm(wanted): ApiForm<ContactRequest>,
) -> ApiResult<Response> {
    let reader = Reader::owner(&booking, &headers, booking_id);
    contact_by(&booking, &reader, wanted).await
}

pub(super) async fn guest_contact(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
    ApiForm(wanted): ApiForm<ContactRequest>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    contact_by(&booking, &reader, wanted).await
}

async fn contact_by(
    booking: &Booking,
    reader: &Reader,
    wanted: ContactRequest,
) -> ApiResult<Response> {
    let (customer, booking_id) = (&reader.customer, reader.booking_id);
    match changed(booking.contact_change(customer, booking_id, wanted).await?) {
        Ok(_) => Ok(see_other(&format!("{}#contact", reader.base))),
        Err(error) if error.problem().status == StatusCode::NOT_FOUND.as_u16() => Err(error),
        Err(error) => {
            let html = render(booking, reader, false, Some(&error)).await?;
            Ok(page_of(&error, html))
        }
    }
}

pub(super) async fn code(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiQuery(asked): ApiQuery<Asked>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let reader = Reader::owner(&booking, &headers, booking_id);
    code_by(&booking, &reader, &asked).await
}

pub(super) async fn guest_code(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> ApiResult<Response> {
    code_by(&booking, &Reader::guest(&booking, &token)?, &asked).await
}

async fn code_by(booking: &Booking, reader: &Reader, form: &Asked) -> ApiResult<Response> {
    let asked = booking
        .code_send(&reader.customer, reader.booking_id)
        .await?;
    match code_sent(asked) {
        Ok(_) => {
            let part = match form.purpose.as_deref() {
                Some("transfer") => "transfer",
                _ => "cancel",
            };
            Ok(see_other(&format!("{}?code=sent#{part}", reader.base)))
        }
        Err(error) if error.problem().status == StatusCode::NOT_FOUND.as_u16() => Err(error),
        Err(error) => {
            let html = render(booking, reader, false, Some(&error)).await?;
            Ok(page_of(&error, html))
        }
    }
}

pub(super) async fn render(
    booking: &Booking,
    reader: &Reader,
    code_was_sent: bool,
    error: Option<&ApiError>,
) -> ApiResult<String> {
    let (customer, booking_id) = (&reader.customer, reader.booking_id);
    let found = booking.booking(customer, booking_id).await?;
    let mut found = found.ok_or_else(not_found)?;
    let show = booking.show_view(&found.show_id).await?;
    let show = show.ok_or_else(not_found)?;
    let offer = booking.refund_offer(customer, booking_id).await?;
    let transfer = booking.transfer_offer(customer, booking_id).await?;
    if reader.is_guest {
        for ticket in &mut found.tickets {
            let id = ticket.ticket_id;
            if ticket.qr.is_some() {
                ticket.qr_svg = Some(format!("{}/tickets/{id}/qr.svg", reader.base));
            }
        }
    }
    let files = if reader.is_guest {
        reader.base.clone()
    } else {
        format!("/api/v1{}", reader.base)
    };
    Ok(pages::shop::booking(&BookingPage {
        booking: found,
        show,
        offer,
        transfer,
        contact: booking.contact(customer, booking_id).await?,
        invoices: booking
            .invoices_of(customer, booking_id)
            .await?
            .unwrap_or_default(),
        link: reader.link.clone(),
        base: reader.base.clone(),
        files,
        wallets: booking.0.wallets_on(),
        is_guest: reader.is_guest,
        code_was_sent,
        problem: error.map(|error| error.problem().clone()),
    }))
}

pub(super) async fn guest_pdf(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    let booked = booking.booked_show(&reader.customer, reader.booking_id);
    let booked = booked.await?.ok_or_else(not_found)?;
    let (title, code) = (&booked.show.title, &booked.booking.code);
    let name = content_disposition(Disposition::Inline, title, code, "pdf");
    let pdf = booking.tickets_pdf(booked).await?;
    Ok(file("application/pdf", Some(name), pdf))
}

pub(super) async fn guest_invoice(
    State(booking): State<Booking>,
    ApiPath((token, number)): ApiPath<(String, String)>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    let found = booking.invoices_of(&reader.customer, reader.booking_id);
    let found = found.await?.ok_or_else(not_found)?;
    let invoice = found.into_iter().find(|invoice| invoice.number == number);
    printed(&booking, invoice.ok_or_else(not_found)?).await
}

pub(super) async fn guest_calendar(
    State(booking): State<Booking>,
    ApiPath(token): ApiPath<String>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    let booked = booking.booked_show(&reader.customer, reader.booking_id);
    let booked = booked.await?.ok_or_else(not_found)?;
    let (title, code) = (&booked.show.title, &booked.booking.code);
    let name = content_disposition(Disposition::Attachment, title, code, "ics");
    let text = calendar(&booked).into_bytes();
    Ok(file("text/calendar; charset=utf-8", Some(name), text))
}

pub(super) async fn guest_qr(
    State(booking): State<Booking>,
    ApiPath((token, ticket_id)): ApiPath<(String, TicketId)>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    let svg = booking
        .ticket_svg(&reader.customer, reader.booking_id, ticket_id)
        .await?;
    let svg = svg.ok_or_else(not_found)?;
    Ok(file("image/svg+xml", None, svg.into_bytes()))
}

fn file(media_type: &'static str, name: Option<HeaderValue>, bytes: impl IntoResponse) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(name) = name {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}
