//! What the gate tells a proxy that asks about each request and sends it to the shop by itself.

use axum::body::Body;
use axum::response::Response;
use contract::{Problem, ProblemCode, principal};
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};
use web::reader::Reader;
use web::{ApiError, RequestId};

use super::decision::{Decider, Verdict};
use super::pass_cookie::give_cookie;
use super::refusal::{pass_required, refuse, waiting_page};
use super::told::told;
use crate::cors;
use crate::edge::presented::Presented;
use crate::edge::return_target::JOIN_URL;

/// Whether a person or a program is to read the refusal: a person is to be sent to `Location`.
const READER: HeaderName = HeaderName::from_static("ropeline-reader");

/// How a proxy is told that a request may not go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalForm {
    /// As 401 with the address of the waiting page, for a proxy that answers the fan by itself.
    #[default]
    Unauthorized,
    /// As the answer that the fan is to get, for a proxy that passes refusals on.
    Final,
}

/// Answers 200 with what the shop is to know if the request with this `head` may go through, else
/// with a refusal. Where rooms name their hosts, one for another host is refused: the gateway itself
/// would answer it, but the proxy that asks sends it to the shop.
pub(super) async fn tell(
    decider: &Decider,
    head: Parts,
    (presented, id): (&Presented, &RequestId),
    form: RefusalForm,
) -> Result<Response, ApiError> {
    let decision = decider.decide(&head, presented).await?;
    if decision.way.room.is_none() && decider.has_named_hosts() {
        return Err(Problem::new(ProblemCode::Forbidden)
            .detail("No room answers for the host of this request.")
            .into());
    }
    let room = match decision.verdict {
        Verdict::LetThrough(let_through) => {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            let no_store = HeaderValue::from_static("no-store");
            headers.insert(CACHE_CONTROL, no_store);
            principal::write(let_through.own.as_slice(), headers);
            if let Some(room) = &decision.way.room {
                let path = head.uri.path_and_query().map(PathAndQuery::as_str);
                let told = told(room, &let_through, &head, path, &id.0, decision.now);
                headers.extend(told.unwrap_or_default());
            }
            if let Some(cookie) = let_through.cookie {
                give_cookie(headers, cookie);
            }
            return Ok(response);
        }
        Verdict::Refused(room) => Some(room),
        // Only the booking core knows who owns what, and it is not asked.
        Verdict::ToHolder { .. } => decision.way.room,
    };
    let room = room.ok_or_else(|| ApiError::internal(&"a path is protected by no room"))?;
    if form == RefusalForm::Final {
        let mut response = refuse(&room, &head, presented);
        let path = waiting_page(&room, &head, presented);
        name_page(&mut response, presented, &path);
        return Ok(response);
    }
    room.meters.gate.refused.increment(1);
    let path = waiting_page(&room, &head, presented);
    let mut problem = pass_required(&room, path.clone());
    // Some proxies send whoever gets a 401 on to `Location`. A browser that looks ahead would store
    // the redirect and show it later, when the fan's turn may have come, so it gets the 403.
    if !presented.is_speculative {
        problem.status = StatusCode::UNAUTHORIZED.as_u16();
    }
    let mut response = web::error::respond(problem);
    cors::allow(&mut response, &room, presented.origin.as_ref());
    if !presented.is_speculative {
        if let Ok(path) = HeaderValue::from_str(&path) {
            response.headers_mut().insert(LOCATION, path);
        }
        name_page(&mut response, presented, &path);
    }
    Ok(response)
}

/// Adds where to wait, and who is to be told.
fn name_page(response: &mut Response, presented: &Presented, path: &str) {
    let reader = match presented.reader {
        Reader::Person => "person",
        Reader::Program => "program",
    };
    let headers = response.headers_mut();
    headers.insert(READER, HeaderValue::from_static(reader));
    if let Ok(path) = HeaderValue::from_str(path) {
        headers.insert(JOIN_URL, path);
    }
}
