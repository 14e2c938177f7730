//! A connection that speaks HTTP/2.
//!
//! What is behind the listener sees requests as HTTP/1 has them: with one `Host`, one `Cookie` and
//! a path as target. A WebSocket over HTTP/2 (RFC 8441) looks like one over HTTP/1, see
//! [`extended_connect`].

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use http::header::{CONNECTION, COOKIE, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::answering::{Answering, Peer};
use super::extended_connect::{self, Opening};
use super::serve_config::ServeConfig;
use super::served::Served;
use super::stream_body::StreamBody;
use super::streams::{Patience, Streams, Verdict, own_standing};
use super::telemetry;
use super::write_watch::WriteWatch;

/// Streams at once on a connection: as many as RFC 9113 recommends at least.
const STREAMS_MAX: u32 = 100;
/// Bytes of one upload that are taken before what is behind the listener reads them.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same for all uploads of a connection together.
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
/// Streams that were reset before they were looked at. More of them end the connection.
const RESET_UNSEEN_MAX: usize = 20;
/// Streams that were reset for the client's own faults, such as malformed requests. More of them
/// end the connection.
const RESET_FOR_FAULTS_MAX: usize = 100;

/// How long a client that has asked for nothing may take to read that it is left.
const FAREWELL: Duration = Duration::from_secs(1);

/// Fields of one connection, which HTTP/2 forbids.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Serves a connection until it ends.
pub(super) async fn serve<T, A>(io: T, peer: Peer, served: Arc<Served<A>>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answering,
{
    let config = &served.config;
    let streams = Streams::new(served.tasks.clone());
    let patience = Patience {
        head: config.head_max,
        rest: config.keepalive,
        stall: config.write_stall_max,
    };
    let service = service_fn(|request: Request<Incoming>| {
        let (streams, served) = (streams.clone(), served.clone());
        async move {
            let asking = streams.ask();
            let response = answer(&served, peer, request).await;
            asking.answered();
            let standing = own_standing();
            Ok::<_, Infallible>(response.map(|body| StreamBody::new(body, standing)))
        }
    });
    let io = WriteWatch::new(io, streams.clone());
    let connection = builder(config, &streams).serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut look = pin!(sleep_until(Instant::now() + patience.head));
    let mut leaves = pin!(served.leaves());
    let mut left_at = None;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    let error = &error as &dyn std::error::Error;
                    tracing::trace!(error, "a connection broke");
                }
                return;
            }
            () = streams.flooded() => return flooded(&served),
            () = &mut leaves, if left_at.is_none() => {
                left_at = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => {
                let now = Instant::now();
                left_unread(&served, streams.give_up_stalled(now, patience.stall));
                let next = match streams.verdict(now, patience) {
                    Verdict::Wait(next) => next,
                    Verdict::Leave => {
                        // A client that does not even begin is not waited for twice.
                        let grace = if streams.have_asked() {
                            patience.stall
                        } else {
                            FAREWELL.min(patience.stall)
                        };
                        match left_at {
                            None => {
                                left_at = Some(now);
                                connection.as_mut().graceful_shutdown();
                                now + grace
                            }
                            Some(left_at) if now >= left_at + grace => return,
                            Some(left_at) => left_at + grace,
                        }
                    }
                };
                look.as_mut().reset(next);
            }
            () = served.cut_off.cancelled() => return,
        }
    }
}

/// Closes the connection of a client that gives up too many requests.
fn flooded<A>(served: &Served<A>) {
    let listener = served.config.name;
    counter!(telemetry::HTTP2_CLOSED_TOTAL, "listener" => listener, "reason" => "resets")
        .increment(1);
    tracing::debug!(listener, "a connection was closed for its resets");
}

/// Counts the streams that were reset because the client took nothing of their answers.
fn left_unread<A>(served: &Served<A>, count: u64) {
    if count > 0 {
        let listener = served.config.name;
        counter!(telemetry::HTTP2_STALLED_STREAMS_TOTAL, "listener" => listener).increment(count);
        tracing::debug!(
            listener,
            count,
            "streams were reset because nobody read their answers"
        );
    }
}

fn builder(config: &ServeConfig, streams: &Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams.clone());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX))
        .max_send_buf_size(config.connection_buffer_bytes)
        .max_pending_accept_reset_streams(RESET_UNSEEN_MAX)
        .max_local_error_reset_streams(RESET_FOR_FAULTS_MAX)
        // A client that is gone is noticed while it waits for its turn.
        .keep_alive_interval(config.keepalive)
        .keep_alive_timeout(config.head_max)
        .enable_connect_protocol();
    http
}

async fn answer<A: Answering>(
    served: &Served<A>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    name_host(&mut head);
    join_cookies(&mut head.headers);
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        Body::new(body)
    };
    let opening = if head.method == Method::CONNECT {
        match extended_connect::open(&mut head, &served.config.request_ids) {
            Ok(opening) => Some(opening),
            Err(refused) => return *refused,
        }
    } else {
        None
    };
    let request = Request::from_parts(head, body);
    let response = served.answering.answer(peer, request).await;
    let mut response = match opening {
        Some(opening) => opening.finish(response, &served.config.request_ids),
        None => Opening::none(response, &served.config.request_ids),
    };
    leave_out_connection(response.headers_mut());
    response
}

/// Names the host of a request as HTTP/1 does. Where `Host` and `:authority` differ both stay, and
/// the request is refused for naming two.
fn name_host(head: &mut Parts) {
    let Some(authority) = head.uri.authority() else {
        return;
    };
    let Ok(host) = HeaderValue::from_str(authority.as_str()) else {
        return;
    };
    let mut named = head.headers.get_all(HOST).iter();
    let is_same = |named: &HeaderValue| named.as_bytes().eq_ignore_ascii_case(host.as_bytes());
    match (named.next(), named.next()) {
        (None, _) => {
            head.headers.insert(HOST, host);
        }
        (Some(one), None) if is_same(one) => {}
        _ => {
            head.headers.append(HOST, host);
        }
    }
    let path = head.uri.path_and_query().cloned();
    head.uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
}

/// Joins the cookies that the client sent as fields of their own (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (fields.next(), fields.next()) else {
        return;
    };
    let mut joined = BytesMut::from(first.as_bytes());
    for field in [second].into_iter().chain(fields) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(field.as_bytes());
    }
    // Two values with a separator between them are a value.
    if let Ok(joined) = HeaderValue::from_maybe_shared(joined.freeze()) {
        headers.insert(COOKIE, joined);
    }
}

/// Leaves out the fields that speak of a connection of HTTP/1.
fn leave_out_connection(headers: &mut HeaderMap) {
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(uri: &str, hosts: &[&str]) -> (String, Vec<String>) {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        name_host(&mut head);
        let hosts = head.headers.get_all(HOST).iter();
        let hosts = hosts.map(|host| host.to_str().unwrap().to_owned());
        (head.uri.to_string(), hosts.collect())
    }

    #[test]
    fn the_authority_is_the_host_and_a_conflict_stays_one() {
        for (uri, hosts, expected) in [
            ("https://shop.test/a?b", &[][..], &["shop.test"][..]),
            ("https://shop.test/a?b", &["Shop.Test"], &["Shop.Test"]),
            (
                "https://shop.test/a?b",
                &["other.test"],
                &["other.test", "shop.test"],
            ),
            (
                "https://shop.test/a?b",
                &["a", "b"],
                &["a", "b", "shop.test"],
            ),
            ("/a?b", &["shop.test"], &["shop.test"]),
            ("/a?b", &[], &[]),
        ] {
            assert_eq!(
                settled(uri, hosts),
                (
                    "/a?b".to_owned(),
                    expected.iter().map(|&h| h.to_owned()).collect()
                )
            );
        }
    }

    #[test]
    fn cookies_become_one_field() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for cookie in ["a=1", "b=2; c=3", "d=\u{e9}"] {
            headers.append(COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().count(), 1);
        assert_eq!(
            headers[COOKIE].as_bytes(),
            "a=1; b=2; c=3; d=\u{e9}".as_bytes()
        );
    }
}
