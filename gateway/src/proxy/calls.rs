//! Calls of gRPC: sent over HTTP/2, on connections that they share.

use axum::body::Body;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use tokio_util::task::TaskTracker;

use super::connection::{HeadSize, NotAnswered};
use super::failure::Failure;
use super::idle::BoxError;
use super::multiplexed::Stream;
use super::request_body::{Progress, RequestBody};
use super::response_body::Carrier;
use super::sender::{Answered, Sender, Way};
use contract::upstream::Upstream;

impl Sender {
    /// Sends a call once, on a connection that others may use too. A stream may stand still for as
    /// long as the room lets streams do.
    pub(super) async fn call(
        &self,
        way: &Way<'_>,
        head: Parts,
        body: Body,
    ) -> (Result<Answered, Failure>, Progress) {
        let (body, progress) = RequestBody::of_call(body, way.stream_idle_max);
        let Some(head) = as_http2(head, way.upstream) else {
            return (Err(Failure::Garbled), progress);
        };
        let mut request = Request::from_parts(head, body);
        loop {
            let (mut stream, is_new) = match self.stream(way).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(error = &*error as &dyn std::error::Error, "no connection");
                    return (Err(Failure::to_connect(&error)), progress);
                }
            };
            let sent = stream.send(request, progress.settled(), way.head_max).await;
            match sent {
                Ok(response) => {
                    let answered = Answered {
                        response,
                        carrier: Carrier::Shared { _place: stream },
                    };
                    return (Ok(answered), progress);
                }
                // The connection closed before a byte of the request was written.
                Err(NotAnswered::Broken {
                    unsent: Some(unsent),
                    ..
                }) if !is_new => request = *unsent,
                Err(reason) => {
                    tracing::debug!(%reason, "no answer");
                    let failure = Failure::of(&reason, &progress, HeadSize::Large);
                    return (Err(failure), progress);
                }
            }
        }
    }

    /// A place on a connection, and whether the connection is new.
    async fn stream(&self, way: &Way<'_>) -> Result<(Stream, bool), BoxError> {
        let pool = way.lane.pool.as_ref();
        if let Some(stream) = pool.and_then(|pool| pool.stream()) {
            return Ok((stream, false));
        }
        let tasks: &TaskTracker = &self.background;
        let connection = self.connector.connect_http2(way.upstream, tasks).await?;
        let stream = connection.stream().ok_or("the connection closed at once")?;
        if let Some(pool) = pool {
            pool.put_shared(connection, tasks);
        }
        Ok((stream, true))
    }
}

/// The head of a request as HTTP/2 has it: with an absolute target instead of `Host`, and without
/// fields of one connection.
fn as_http2(mut head: Parts, upstream: &Upstream) -> Option<Parts> {
    let host = head.headers.remove(HOST);
    let authority = host.as_ref().map(HeaderValue::as_bytes);
    let authority = Authority::try_from(authority.unwrap_or_default()).ok()?;
    let scheme = if upstream.is_encrypted() {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    };
    let path = head.uri.path_and_query().cloned();
    head.uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build()
        .ok()?;
    head.version = Version::HTTP_2;
    // hyper leaves out what `Connection` names, and `TE: trailers` has to stay.
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use http::header::TE;

    use super::*;

    #[test]
    fn a_head_of_http_2_names_its_host_in_the_target() {
        for (upstream, expected) in [
            (
                "http://shop.internal:50051",
                "http://shop.example:8443/a.B/C?d",
            ),
            ("https://shop.internal", "https://shop.example:8443/a.B/C?d"),
        ] {
            let request = Request::post("/a.B/C?d")
                .header(HOST, "shop.example:8443")
                .header(TE, "trailers")
                .header(CONNECTION, "te")
                .header(TRANSFER_ENCODING, "chunked");
            let (head, ()) = request.body(()).unwrap().into_parts();
            let head = as_http2(head, &upstream.parse().unwrap()).unwrap();
            assert_eq!(head.uri, expected);
            assert_eq!(head.version, Version::HTTP_2);
            let names: Vec<_> = head.headers.keys().collect();
            assert_eq!(names, [TE]);
        }
    }
}
