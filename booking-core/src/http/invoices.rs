//! Invoices and credit notes: those of a booking, and all for operators.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::invoice::{Invoice, InvoiceKind, InvoiceList};
use contract::{BookingId, Problem};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiQuery, ApiResult};

use super::problems::{invalid, not_found};
use super::ticket_files::Pdf;
use crate::config::EXPORT_PAGE_MAX;
use crate::handle::Booking;
use crate::store::invoices::InvoiceFilter;
use crate::ticket_files::{Disposition, content_disposition, title};

/// Longest number that is looked up.
const NUMBER_CHARS_MAX: usize = 40;

/// The operators' part.
pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(invoices))
        .routes(routes!(invoice))
        .routes(routes!(invoice_pdf))
}

/// Lists the invoices and credit notes of a booking, for whoever bought it.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/invoices",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses((status = 200, body = InvoiceList), (status = 404, body = Problem))
)]
pub(super) async fn booking_invoices(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<InvoiceList>> {
    let customer = booking.customer(&headers);
    let found = booking.invoices_of(&customer, booking_id).await?;
    Ok(ApiJson(InvoiceList {
        invoices: found.ok_or_else(not_found)?,
        next: None,
    }))
}

/// Reads an invoice or credit note of a booking as PDF, for whoever bought it.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/invoices/{number}",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("number" = String, Path, description = "The number of the document",
            pattern = "^[A-Za-z0-9-]{1,40}$")
    ),
    responses(
        (status = 200, content_type = "application/pdf", body = inline(Pdf),
            headers(("Content-Disposition", description = "A name for the file"))),
        (status = 404, body = Problem),
        (status = 503, body = Problem, description = "booking-busy, database-unavailable")
    )
)]
pub(super) async fn booking_invoice(
    State(booking): State<Booking>,
    ApiPath((booking_id, number)): ApiPath<(BookingId, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let found = booking.invoices_of(&customer, booking_id).await?;
    let found = found.ok_or_else(not_found)?;
    let invoice = found.into_iter().find(|invoice| invoice.number == number);
    printed(&booking, invoice.ok_or_else(not_found)?).await
}

/// The document as a file.
pub(crate) async fn printed(booking: &Booking, invoice: Invoice) -> ApiResult<Response> {
    let name = content_disposition(
        Disposition::Inline,
        &title(&invoice),
        &invoice.booking_code,
        "pdf",
    );
    let printed = booking.invoice_printed(invoice).await?;
    let pdf = booking
        .0
        .press
        .print_invoice(printed.ok_or_else(not_found)?)
        .await?;
    let about = [
        (CONTENT_TYPE, HeaderValue::from_static("application/pdf")),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((about, pdf).into_response())
}

/// Which documents are listed. All that are given have to fit.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those of this year, UTC.
    #[param(minimum = 2000, maximum = 9999)]
    year: Option<i32>,
    /// Only invoices, or only credit notes.
    kind: Option<InvoiceKind>,
    /// Only those of this booking.
    booking_id: Option<BookingId>,
    /// The `next` of the page before; the first page when absent.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Documents in a page, at most 500; 500 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// List invoices and credit notes, page by page
///
/// In the order in which they were made. Numbers have no gap for each kind and year.
#[utoipa::path(
    get, path = "/admin/v1/invoices", operation_id = "invoices", tag = "booking",
    params(Wanted),
    responses(
        (status = 200, description = "A page of them", body = InvoiceList),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn invoices(
    State(booking): State<Booking>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<InvoiceList>> {
    let limit = wanted.limit.unwrap_or(EXPORT_PAGE_MAX);
    if !(1..=EXPORT_PAGE_MAX).contains(&limit) {
        return Err(invalid("limit", "must be from 1 to 500"));
    }
    if wanted
        .year
        .is_some_and(|year| !(2000..=9999).contains(&year))
    {
        return Err(invalid("year", "must be from 2000 to 9999"));
    }
    let after = wanted.after.unwrap_or(0);
    if after < 0 {
        return Err(invalid("after", "must not be negative"));
    }
    let filter = InvoiceFilter {
        number: None,
        booking_id: wanted.booking_id.map(BookingId::uuid),
        year: wanted.year,
        kind: wanted.kind,
        after,
    };
    let found = booking.invoices(filter, limit).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= limit);
    let next = found.last().filter(|_| is_full).map(|(at, _)| *at);
    let invoices = found.into_iter().map(|(_, invoice)| invoice);
    Ok(ApiJson(InvoiceList {
        invoices: invoices.collect(),
        next,
    }))
}

/// Read an invoice or credit note
#[utoipa::path(
    get, path = "/admin/v1/invoices/{number}", operation_id = "invoice", tag = "booking",
    params(("number" = String, Path, description = "Its number", pattern = "^[A-Za-z0-9-]{1,40}$")),
    responses(
        (status = 200, description = "The document", body = Invoice),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn invoice(
    State(booking): State<Booking>,
    ApiPath(number): ApiPath<String>,
) -> ApiResult<ApiJson<Invoice>> {
    numbered(&booking, number).await.map(ApiJson)
}

/// Read an invoice or credit note as PDF
#[utoipa::path(
    get, path = "/admin/v1/invoices/{number}/pdf", operation_id = "invoice_pdf", tag = "booking",
    params(("number" = String, Path, description = "Its number", pattern = "^[A-Za-z0-9-]{1,40}$")),
    responses(
        (status = 200, description = "The file", content_type = "application/pdf",
            body = inline(Pdf)),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "booking-busy, database-unavailable", body = Problem)
    )
)]
async fn invoice_pdf(
    State(booking): State<Booking>,
    ApiPath(number): ApiPath<String>,
) -> ApiResult<Response> {
    let invoice = numbered(&booking, number).await?;
    printed(&booking, invoice).await
}

async fn numbered(booking: &Booking, number: String) -> ApiResult<Invoice> {
    if number.chars().count() > NUMBER_CHARS_MAX {
        return Err(not_found());
    }
    let filter = InvoiceFilter {
        number: Some(number),
        ..InvoiceFilter::default()
    };
    let found = booking.invoices(filter, 1).await?.pop();
    found.map(|(_, invoice)| invoice).ok_or_else(not_found)
}
