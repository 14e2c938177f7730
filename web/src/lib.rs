//! The HTTP behaviour that all listeners share.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`at_hand`] | answers that an upstream in this process has ready |
//! | [`audited`] | the effect of a change, for the audit log |
//! | [`challenge`] | what a client has to do before a request is taken |
//! | [`cookie`] | the cookies of a request |
//! | [`encoding`] | responses that are compressed once and sent often |
//! | [`error`] | [`ApiError`]: a problem document as a response |
//! | [`etag`] | whether a client already has the current version |
//! | [`event_stream`] | server-sent events, which proxies must not buffer |
//! | [`extract`] | [`ApiJson`], [`ApiForm`], [`ApiQuery`], [`ApiPath`], [`RawJson`], [`NoFields`]: typed input, refusals as problem documents |
//! | [`holders`] | markers for holders whose session has ended |
//! | [`limited`] | the address that limits count |
//! | [`measure`] | counts and latencies of requests |
//! | [`reader`] | whether a person or a program reads the response, and whether it is speculative |
//! | [`openapi`] | the parts that all OpenAPI documents share |
//! | [`origin`] | whether a request was made by a page of this site |
//! | [`request_id`] | one id for each request, in the response's header and in its problem document
//! |
//! | [`telemetry`] | the metrics of all listeners |
//!
//! [`standard`] applies them to a router.

pub mod at_hand;
pub mod audited;
pub mod challenge;
pub mod cookie;
pub mod encoding;
pub mod error;
pub mod etag;
pub mod event_stream;
pub mod extract;
pub mod holders;
pub mod limited;
pub mod measure;
pub mod openapi;
pub mod origin;
pub mod reader;
pub mod request_id;
pub mod telemetry;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use contract::{Problem, ProblemCode};

pub use at_hand::{AtHand, Reading};
pub use audited::Audited;
pub use error::{ApiError, ApiResult};
pub use extract::{ApiForm, ApiJson, ApiPath, ApiQuery, NoFields, RawJson};
pub use holders::{HolderOnly, NotHolder};
pub use limited::LimitedAs;
pub use measure::Part;
pub use request_id::{RequestId, RequestIds};

/// Largest body that an endpoint reads, unless it sets its own limit.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Puts the standard behaviour around `router`: problem documents for unknown paths and
/// methods, the body limit, metrics of `part`, and request ids.
pub fn standard<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    part: Part,
    ids: RequestIds,
) -> Router<S> {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(
            measure::Measure::of(part),
            measure::middleware,
        ))
        // Outermost, so that every response carries the id, including refusals by inner layers.
        .layer(axum::middleware::from_fn_with_state(
            ids,
            request_id::middleware,
        ))
}

/// The response for a path that does not exist.
pub async fn not_found() -> ApiError {
    Problem::new(ProblemCode::NotFound).into()
}

/// The response for a method that a path does not have.
pub async fn method_not_allowed() -> ApiError {
    Problem::new(ProblemCode::MethodNotAllowed).into()
}
