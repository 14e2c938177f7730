//! Pages as responses.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode};
use web::ApiError;

/// A page before the guard, which adds the parts that all pages have.
#[derive(Clone)]
pub(super) struct PageHtml(pub(super) String);

/// A page that is specific to one customer or changes all the time, so no cache keeps it.
pub(super) fn page(status: StatusCode, html: String) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(PageHtml(html));
    response
}

/// The response to a form, and to a page that has a new address.
pub(super) fn see_other(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// The status of a page that shows `error`, with `Retry-After` if the error has one.
pub(super) fn page_of(error: &ApiError, html: String) -> Response {
    let problem = error.problem();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = page(status, html);
    if let Some(seconds) = problem.retry_after_seconds {
        let headers = response.headers_mut();
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
