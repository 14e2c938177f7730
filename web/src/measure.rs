//! Counts requests and measures how long their answers take.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::telemetry::{REQUEST_SECONDS, REQUESTS_TOTAL};

/// Which part of the program a router is, as the label `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of requests that match a route.
    pub routed: &'static str,
    /// Of all others.
    pub unrouted: &'static str,
}

impl Part {
    /// One name, whether or not a route matches.
    pub const fn new(name: &'static str) -> Self {
        Self {
            routed: name,
            unrouted: name,
        }
    }
}

/// Records one request. The label `route` is the template of the route, such as
/// `/_line/v1/rooms/{room}`, or `other`, so that its values are bounded.
pub async fn middleware(State(part): State<Part>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = method_label(request.method());
    let (part, route) = match request.extensions().get::<MatchedPath>() {
        Some(path) => (part.routed, path.as_str().to_owned()),
        None => (part.unrouted, "other".to_owned()),
    };
    let response = next.run(request).await;
    histogram!(REQUEST_SECONDS, "part" => part, "route" => route.clone())
        .record(began.elapsed().as_secs_f64());
    counter!(
        REQUESTS_TOTAL,
        "part" => part, "route" => route, "method" => method,
        "status" => response.status().as_str().to_owned()
    )
    .increment(1);
    response
}

/// Methods that HTTP registers; clients may make up others, which would be labels without end.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
