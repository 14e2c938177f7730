//! Who may act with a fan's cookies: our own pages, and nobody else's.
//!
//! A browser sends cookies along with what another site's form asks for. Such a form could replace
//! a fan's place with one at the end of the line, which would be a place lost.

use std::sync::Once;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::Method;
use web::ApiError;

use super::room::Shows;
use crate::edge::presented::Presented;

/// Refuses what pages of other sites ask for, unless it only reads.
pub(super) async fn middleware(Shows(visitor): Shows, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match check(&visitor) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Refuses a request of another site's page. Who sends a bearer token does not rely on cookies,
/// and no page can add one to a form or a WebSocket.
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

/// Says once what an operator has to know: behind a proxy that asks by another name, our own pages
/// look like those of another site.
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
