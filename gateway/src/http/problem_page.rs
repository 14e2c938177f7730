//! The gateway's problems as pages: a person gets a page with a link to go on, a program the
//! problem document (RFC 9457). Responses of upstreams are never changed.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use contract::{Problem, ProblemCode, RoomId};
use http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERER, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};
use pages::problem::{GateProblemPage, WayOn};
use web::RequestId;

use crate::edge::refused_head::{Page, PageParts};
use crate::edge::return_target::ReturnTarget;

/// Prefix of a room's waiting page and its forms.
const ROOM_PAGES: &str = "/_line/rooms/";
/// Headers that decide between page and document, for caches.
const VARY_ON: &str = "accept, sec-fetch-mode, sec-fetch-dest, x-requested-with, hx-request";

/// Replaces a problem in a response by a page. Call it before the request id is set on the
/// response, because the page shows the id.
pub fn show(response: &mut Response, asked: &Asked, id: &RequestId, policy: &str) {
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id.as_str().to_owned());
        write_page(response, asked, problem, policy);
    }
}

/// The properties of a request that the page needs.
pub struct Asked {
    method: Method,
    uri: Uri,
    referer: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Asked {
    /// Keeps the properties of a request with this `head`.
    pub fn of(head: &Parts) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            referer: head.headers.get(REFERER).cloned(),
            host: head.headers.get(HOST).cloned(),
        }
    }

    fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    fn way_on(&self, problem: &Problem) -> WayOn {
        if self.is_read() && problem.retry_after_seconds.is_some() {
            let path = self.uri.path_and_query().map(PathAndQuery::as_str);
            // `//host` would be read as another site.
            let is_here = |path: &&str| path.starts_with('/') && !path.starts_with("//");
            let path = path.filter(is_here).unwrap_or("/");
            return WayOn::Again(path.to_owned());
        }
        let room = self.uri.path().strip_prefix(ROOM_PAGES);
        let room = room.and_then(|rest| rest.split('/').next()?.parse::<RoomId>().ok());
        let came_from = || page_before(self.referer.as_ref()?, self.host.as_ref()?);
        match (room, came_from()) {
            (Some(room), _) if problem.code != ProblemCode::RoomNotFound => {
                WayOn::Line(format!("{ROOM_PAGES}{room}"))
            }
            (_, Some(page)) if !self.is_read() => WayOn::Back(page.as_str().to_owned()),
            _ => WayOn::Home,
        }
    }
}

/// The page of this site from which a form was sent, if the browser names it.
pub fn came_from(headers: &HeaderMap) -> Option<ReturnTarget> {
    page_before(headers.get(REFERER)?, headers.get(HOST)?)
}

fn page_before(referer: &HeaderValue, host: &HeaderValue) -> Option<ReturnTarget> {
    let referer: Uri = referer.to_str().ok()?.parse().ok()?;
    let host = host.to_str().ok()?;
    let is_own = referer.authority().is_some_and(|own| own.as_str() == host);
    is_own.then(|| ReturnTarget::of(&referer))
}

fn write_page(response: &mut Response, asked: &Asked, problem: Problem, policy: &str) {
    let page = GateProblemPage {
        way_on: asked.way_on(&problem),
        has_sent: !asked.is_read(),
        problem,
    };
    *response.body_mut() = Body::from(pages::problem::problem(&page));
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    describe(headers, policy);
}

/// Pages for people whose request cannot be read, so without a link back to a return target.
pub fn of_refused_heads(policy: Arc<str>) -> Page {
    Page::new(move |problem| {
        let page = GateProblemPage {
            way_on: WayOn::Home,
            has_sent: false,
            problem,
        };
        let mut headers = HeaderMap::new();
        describe(&mut headers, &policy);
        PageParts {
            headers,
            html: pages::problem::problem(&page),
        }
    })
}

fn describe(headers: &mut HeaderMap, policy: &str) {
    let policy =
        HeaderValue::from_str(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (VARY, VARY_ON),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
