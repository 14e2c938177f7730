//! Pages as responses.

use std::sync::Arc;

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode};
use pages::shop::Banner;
use web::ApiError;

use super::show_pages::RenderedPage;

/// A page before the guard, which adds the parts that all pages have.
#[derive(Clone)]
pub(super) enum PageHtml {
    /// Rendered for this response.
    Own(String),
    /// Rendered once for many.
    Shared(Arc<RenderedPage>),
}

impl PageHtml {
    /// The page with the holds and bookings of its reader.
    pub(super) fn with_banner(&self, banner: &Banner) -> String {
        match self {
            Self::Own(html) => pages::shop::with_banner(html, banner),
            Self::Shared(page) => page.with_banner(banner),
        }
    }
}

/// A page that is specific to one customer or changes all the time, so no cache keeps it.
pub(super) fn page(status: StatusCode, html: String) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(PageHtml::Own(html));
    response
}

/// A page that is the same for many but for the banner.
pub(super) fn shared_page(page: Arc<RenderedPage>) -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(PageHtml::Shared(page));
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
