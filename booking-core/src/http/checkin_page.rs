//! The scanner page, which browsers keep, so that it opens without a network.

use axum::Router;
use axum::extract::State;
use axum::response::{Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use pages::{CHECKIN_PATH, CHECKIN_POLICY, CHECKIN_WORKER_PATH};
use web::openapi::Served;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page and its worker.
pub(super) fn router() -> Router {
    let page = web::encoding::Document::of(pages::checkin(), HTML, web::encoding::Effort::Best);
    let worker =
        web::encoding::Document::of(pages::checkin_worker(), SCRIPT, web::encoding::Effort::Best);
    Router::new()
        .route(CHECKIN_PATH, get(document).with_state(Served::new(page)))
        .route(
            CHECKIN_WORKER_PATH,
            get(document).with_state(Served::new(worker)),
        )
        .route("/checkin", get(async || Redirect::permanent(CHECKIN_PATH)))
}

async fn document(State(document): State<Served>, headers: HeaderMap) -> Response {
    let mut response = document.answer(&headers);
    let permissions = HeaderName::from_static("permissions-policy");
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CHECKIN_POLICY),
        // Looked at again each time: a newer page comes with newer scripts.
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (permissions, "camera=(self), microphone=(), geolocation=()"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
