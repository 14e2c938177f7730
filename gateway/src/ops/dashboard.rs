//! The pages for people, with their own styles and scripts and nothing from elsewhere.

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

const PAGE: &str = include_str!("assets/dashboard.html");
const STYLE: &str = include_str!("assets/dashboard.css");
const SCRIPT: &str = include_str!("assets/dashboard.js");
const ROOMS: &str = include_str!("assets/figures.js");
const SALES: &str = include_str!("assets/sales.js");
const MAIL_PAGE: &str = include_str!("assets/mail.html");
const MAIL_STYLE: &str = include_str!("assets/mail.css");
const MAIL_SCRIPT: &str = include_str!("assets/mail.js");

/// Only what this listener serves itself, and no embedding: the page holds a full-rights token.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The same for the page that shows mail, in a frame where nothing runs. The frame takes over the
/// policy of its page, and mail brings its styles along.
const MAIL_CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new()
        .route("/mail", get(mail_page))
        .route(
            "/assets/mail.css",
            get(async || asset("text/css; charset=utf-8", MAIL_STYLE)),
        )
        .route(
            "/assets/mail.js",
            get(async || asset("text/javascript; charset=utf-8", MAIL_SCRIPT)),
        )
        .route("/", get(async || asset("text/html; charset=utf-8", PAGE)))
        .route(
            "/assets/dashboard.css",
            get(async || asset("text/css; charset=utf-8", STYLE)),
        )
        .route(
            "/assets/dashboard.js",
            get(async || asset("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/assets/figures.js",
            get(async || asset("text/javascript; charset=utf-8", ROOMS)),
        )
        .route(
            "/assets/sales.js",
            get(async || asset("text/javascript; charset=utf-8", SALES)),
        )
}

async fn mail_page() -> impl IntoResponse {
    let policy = [(CONTENT_SECURITY_POLICY, MAIL_CONTENT_POLICY)];
    (policy, asset("text/html; charset=utf-8", MAIL_PAGE))
}

/// Adds the headers that every answer of this listener carries.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn asset(
    media_type: &'static str,
    text: &'static str,
) -> ([(http::HeaderName, &'static str); 2], &'static str) {
    // Asked again each time: an upgrade replaces page and script together.
    (
        [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")],
        text,
    )
}
