//! The answer to a request that the gate does not let through.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use line::room::Room;
use web::ApiError;
use web::reader::{Reader, is_speculative, reader};

use super::last_page::Last;
use crate::edge::return_target::ReturnTarget;
use crate::http::page::waiting_path;
use crate::http::problem_page::came_from;

/// What the gate has to know of a request before it waits for anything: a request's body is not
/// to be shared between threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// A person opens a page.
    pub(super) navigates: bool,
    /// The request must change nothing: it is safe and has no content, or its user may never come.
    pub(super) only_looks: bool,
    /// What it may be to a session that has ended.
    pub(super) last: Option<Last>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let is_safe = matches!(*request.method(), Method::HEAD | Method::OPTIONS);
        Self {
            navigates: reader(request.headers()) == Reader::Person,
            only_looks: is_safe || is_speculative(request.headers()),
            last: Last::of(request).filter(|_| !is_speculative(request.headers())),
        }
    }
}

/// Sends a person to wait and tells a program where to.
pub(super) fn refuse(room: &Room, request: &Request) -> Response {
    if is_speculative(request.headers()) {
        // A redirect would be kept and shown to a fan whose turn may have come since.
        let problem = Problem::new(ProblemCode::LineUnavailable)
            .detail("The line is not joined ahead of time; ask again when the visitor does.");
        return ApiError::from(problem).into_response();
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let own = || ReturnTarget::of(request.uri());
    // The target of a form may not answer a GET; the page with the form does.
    let to = if is_read {
        own()
    } else {
        came_from(request.headers()).unwrap_or_else(own)
    };
    let path = waiting_path(&room.id, &to);
    if reader(request.headers()) == Reader::Person {
        let location = HeaderValue::from_str(&path).unwrap_or(HeaderValue::from_static("/"));
        let no_store = HeaderValue::from_static("no-store");
        // After a form the browser has to ask with GET, whatever it did before.
        let status = if is_read {
            StatusCode::FOUND
        } else {
            StatusCode::SEE_OTHER
        };
        return (status, [(LOCATION, location), (CACHE_CONTROL, no_store)]).into_response();
    }
    let problem = Problem::new(ProblemCode::PassRequired)
        .detail("Join the line and come back with a pass.")
        .with("room", room.id.as_str())
        .with("joinUrl", path);
    ApiError::from(problem).into_response()
}
