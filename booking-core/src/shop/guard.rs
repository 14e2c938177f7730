//! Rules for every page: posts only from this site, a Content-Security-Policy, problems as pages.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::header::REFERRER_POLICY;
use http::{HeaderMap, HeaderValue, Method};
use pages::shop::ProblemPage;
use web::encoding::{Document, Effort, Encoding};
use web::origin::{is_same_origin, origin_of};
use web::reader::{Reader, reader};
use web::{ApiError, RequestId};

use super::banner;
use super::page::PageHtml;
use super::page_headers::page_headers;
use super::show_pages::MEDIA_TYPE;
use crate::handle::Booking;

/// Paths for programs, which keep their problem documents.
const API_PREFIX: &str = "/api/";

/// Pages that whoever knows their path may see.
const LINKS_PREFIX: &str = "/b/";

/// The guard's dependencies.
#[derive(Clone)]
pub(super) struct Guard(Arc<Rules>);

struct Rules {
    booking: Booking,
    public_origin: String,
    headers: HeaderMap,
}

impl Guard {
    pub(super) fn new(booking: &Booking) -> Self {
        let config = &booking.0.config;
        Self(Arc::new(Rules {
            booking: booking.clone(),
            public_origin: origin_of(&config.public_url).unwrap_or_default(),
            headers: page_headers(&booking.0.providers.page_origins()),
        }))
    }
}

/// Refuses posts from other sites, and adds headers and banner to pages.
pub(super) async fn middleware(
    State(Guard(rules)): State<Guard>,
    request: Request,
    next: Next,
) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let path = request.uri().path().to_owned();
    let is_person = reader(request.headers()) == Reader::Person;
    let customer = rules.booking.customer(request.headers());
    let owners = customer.limit_owners();
    let encoding = if owners.is_empty() {
        web::encoding::accepted(request.headers())
    } else {
        Encoding::Identity
    };
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if safe || is_same_origin(request.headers(), &rules.public_origin) {
        next.run(request).await
    } else {
        ApiError::from(
            Problem::new(ProblemCode::Forbidden).detail("Forms are taken from our own pages only."),
        )
        .into_response()
    };
    if path.starts_with(API_PREFIX) {
        return response;
    }
    // A program that requests a page keeps the problem document.
    if is_person && let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = id.map(|id| id.as_str().to_owned());
        let back = Some(back(&path, safe && problem.retry_after_seconds.is_some()));
        let html = pages::shop::problem(&ProblemPage { problem, back });
        response.extensions_mut().insert(PageHtml::Own(html));
    }
    match response.extensions_mut().remove::<PageHtml>() {
        Some(PageHtml::Shared(page)) if owners.is_empty() => {
            page.for_everyone().fill(&mut response, encoding);
        }
        Some(page) => {
            let mut banner = banner::find(&rules.booking, &customer, &owners).await;
            // The page of a hold or booking needs no banner that links to it.
            banner
                .holds
                .retain(|hold| !is_about(&path, "holds", &hold.hold_id.to_string()));
            banner
                .bookings
                .retain(|booking| !is_about(&path, "bookings", &booking.booking_id.to_string()));
            let html = page.with_banner(&banner);
            let document = match encoding {
                // Nobody else gets this page.
                Encoding::Identity => Arc::new(Document::untagged(html, MEDIA_TYPE, Effort::Quick)),
                Encoding::Gzip | Encoding::Brotli => rules.booking.0.documents.of(html, MEDIA_TYPE),
            };
            document.fill(&mut response, encoding);
        }
        None => {}
    }
    response.headers_mut().extend(rules.headers.clone());
    if path.starts_with(LINKS_PREFIX) {
        // The path is all that is needed to see the tickets: nobody else may learn it.
        let headers = response.headers_mut();
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    }
    response
}

/// Whether `path` is the page of `id` below `things`.
fn is_about(path: &str, things: &str, id: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    parts.next() == Some(things) && parts.next() == Some(id)
}

/// The link on the page of a problem at `path`: the page itself when trying again may help,
/// otherwise its parent page.
fn back(path: &str, again: bool) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        _ if again => path.to_owned(),
        ["shows", show, "holds"] => format!("/shows/{show}/seats"),
        [
            "holds",
            hold,
            "payments" | "quote" | "release" | "ticket-types",
        ] => format!("/holds/{hold}"),
        ["bookings", booking, "cancel" | "codes"] => format!("/bookings/{booking}"),
        ["b", token, "cancel" | "codes"] => format!("/b/{token}"),
        ["b", _] => "/bookings/find".to_owned(),
        _ => "/".to_owned(),
    }
}
