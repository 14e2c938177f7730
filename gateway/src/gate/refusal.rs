//! The response to a request that the gate does not let through.

use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use line::room::Room;
use web::ApiError;
use web::reader::Reader;

use crate::cors;
use crate::edge::presented::Presented;
use crate::edge::return_target::ReturnTarget;
use crate::http::page::{protected, waiting_path};
use crate::http::problem_page::came_from;

/// Properties of a request that the gate decides by, besides its passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// A person opens a page.
    pub(super) navigates: bool,
    /// The request must have no side effects, such as prolonging a session: it is HEAD or OPTIONS,
    /// or speculative.
    pub(super) only_looks: bool,
    /// The request may load the last page of an ended session.
    pub(super) may_be_last: bool,
}

impl Asked {
    pub(super) fn of(method: &Method, presented: &Presented) -> Self {
        let is_safe = matches!(*method, Method::HEAD | Method::OPTIONS);
        Self {
            navigates: presented.reader == Reader::Person,
            only_looks: is_safe || presented.is_speculative,
            may_be_last: !presented.is_speculative,
        }
    }
}

/// Redirects a person to the waiting page; gives a program a problem document with its address, which
/// pages of the sites that the room names may read. Counts the refusal.
pub(super) fn refuse(room: &Room, head: &Parts, presented: &Presented) -> Response {
    room.meters.gate.refused.increment(1);
    let mut response = refusal(room, head, presented);
    cors::allow(&mut response, room, presented.origin.as_ref());
    response
}

fn refusal(room: &Room, head: &Parts, presented: &Presented) -> Response {
    if presented.is_speculative {
        // The browser would store a redirect and show it later, when the fan's turn may have come.
        let problem = Problem::new(ProblemCode::LineUnavailable)
            .detail("The line is not joined ahead of time; ask again when the visitor does.");
        return ApiError::from(problem).into_response();
    }
    let path = waiting_page(room, head, presented);
    if presented.reader == Reader::Person {
        let location = HeaderValue::from_str(&path).unwrap_or(HeaderValue::from_static("/"));
        let no_store = HeaderValue::from_static("no-store");
        // 303 makes the browser follow with a GET after a form.
        let status = if is_read(head) {
            StatusCode::FOUND
        } else {
            StatusCode::SEE_OTHER
        };
        return (status, [(LOCATION, location), (CACHE_CONTROL, no_store)]).into_response();
    }
    ApiError::from(pass_required(room, path)).into_response()
}

/// The problem of a request that has to wait at `path`.
pub(super) fn pass_required(room: &Room, path: String) -> Problem {
    Problem::new(ProblemCode::PassRequired)
        .detail("Join the line and come back with a pass.")
        .with("room", room.id.as_str())
        .with("joinUrl", path)
}

/// The address of the waiting page, which leads back to what was asked for.
pub(super) fn waiting_page(room: &Room, head: &Parts, presented: &Presented) -> String {
    let asked_for = || ReturnTarget::of(&head.uri);
    let to = if is_read(head) {
        asked_for()
    } else {
        // A path that takes a form may not answer a GET, so the fan returns to the page with the
        // form.
        let page = came_from(&head.headers);
        page.unwrap_or_else(|| match presented.reader {
            Reader::Person => asked_for(),
            Reader::Program => protected(room),
        })
    };
    waiting_path(&room.id, &to)
}

fn is_read(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD)
}
