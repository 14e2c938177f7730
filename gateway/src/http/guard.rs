//! Refuses requests that pages of other sites make with a fan's cookies.
//!
//! A browser sends cookies along with a form of another site. Such a form could replace a fan's
//! place with a new one at the end of the line.

use std::sync::Once;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::Method;
use web::ApiError;

use super::room::Shows;
use crate::edge::presented::Presented;

/// Refuses requests of other sites' pages, except reads.
pub(super) async fn middleware(Shows(visitor): Shows, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match check(&visitor) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Refuses a request of another site's page. A request with a bearer token is allowed: it does not
/// rely on cookies, and no page can add the token to a form or a WebSocket.
pub(super) fn check(visitor: &Presented) -> Result<(), ApiError> {
    if visitor.bearer().is_some() || visitor.is_own {
        return Ok(());
    }
    tell_operator(visitor);
    Err(Problem::new(ProblemCode::Forbidden)
        .detail(
            "This is taken from our own pages only, at the site's public address. Programs send a \
             bearer token, or no Origin.",
        )
        .into())
}

/// Logs once what the operator has to change: behind a proxy that sends another `Host`, the
/// gateway's own pages look like pages of another site.
fn tell_operator(visitor: &Presented) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(
            origin = ?visitor.origin,
            host = ?visitor.host,
            "refused what a page of another site asked for; if the origin is this site's own, set ROPELINE_PUBLIC_URL to it (told once)"
        );
    });
}
