//! The upstream in this process.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use contract::RoomId;
use contract::principal::{Principal, ROOM};
use http::Method;
use http::request::Parts;
use tower::ServiceExt;
use web::{AtHand, LimitedAs, Reading, RequestId};

use crate::edge::client_ip::ClientIp;
use crate::proxy::{Forwarded, UpstreamKind, headers};

/// The upstream in this process: the booking core, or a stand-in in tests.
pub struct InProcess {
    /// Answers every request.
    pub router: Router,
    /// Answers some requests without the router.
    pub at_hand: Option<Arc<dyn AtHand>>,
}

impl InProcess {
    /// The answer to a request that is let through, if it is at hand. A refusal is a problem
    /// document, as from the router, whoever reads it.
    pub(super) fn at_hand(
        &self,
        head: &Parts,
        principals: &[Principal],
        client: ClientIp,
        id: &RequestId,
    ) -> Option<Response> {
        if head.method != Method::GET {
            return None;
        }
        let limited_as = client.limited_as();
        let mut response = self.at_hand.as_ref()?.answer(&Reading {
            path: head.uri.path(),
            headers: &head.headers,
            principals,
            limited_as: limited_as.map(|group| LimitedAs(group.address())),
        })?;
        web::request_id::finish(&mut response, id.clone());
        Some(response)
    }

    /// Forwards with the same headers and commands as to a remote upstream. This one serves all
    /// rooms, so it names the room whose session it ends.
    pub(super) async fn forward(
        &self,
        mut head: Parts,
        body: Body,
        client: ClientIp,
        forwarded: &Forwarded,
    ) -> (Response, Option<Option<RoomId>>) {
        // It limits by address too, but does not know the connection's peer.
        if let Some(group) = client.limited_as() {
            head.extensions.insert(LimitedAs(group.address()));
        }
        head.extensions
            .insert(RequestId(forwarded.request_id.clone()));
        let mut request = Request::from_parts(head, body);
        let request_headers = request.headers_mut();
        let _protocol = headers::clean_request(request_headers, UpstreamKind::Embedded);
        headers::describe(request_headers, forwarded);
        let Ok(mut response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let named = response
            .headers()
            .get(ROOM)
            .and_then(|room| room.to_str().ok())
            .and_then(|room| room.parse::<RoomId>().ok());
        let command =
            headers::clean_response(status, response.headers_mut(), UpstreamKind::Embedded);
        (response.map(Body::new), command.map(|_| named))
    }
}
