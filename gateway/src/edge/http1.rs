//! A connection that speaks HTTP/1, or HTTP/2 if that is what its client begins with.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::answering::{Answering, Peer};
use super::head_watch::{HeadState, HeadWatch};
use super::preface::PREFACE;
use super::rewound::Rewound;
use super::served::Served;
use super::{http2, unread};

/// How long connections are accepted after the end of a listener with a successor, those that the
/// kernel gave to it before; and how long they may take to send their first request.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_millis(300);

/// Watches the heads of requests on `io`, for [`serve`].
pub(super) fn watched<T, A>(io: T, served: &Served<A>) -> (HeadWatch<T>, HeadState) {
    let state = HeadState::default();
    let (head_max, rest_max) = (served.config.head_max, served.config.keepalive);
    let refusals = served.refusals.clone();
    let socket = HeadWatch::new(io, state.clone(), head_max, rest_max, refusals);
    (socket, state)
}

/// Serves a connection until it ends, is switched to another protocol, or turns out to be one of
/// HTTP/2, which a task of its own serves then.
pub(super) async fn serve<T, A>(
    (socket, state): (HeadWatch<T>, HeadState),
    peer: Peer,
    served: Arc<Served<A>>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answering,
{
    let has_asked = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        state.serving();
        has_asked.store(true, Ordering::Relaxed);
        async {
            let (request, rest) = unread::watch(request);
            let mut response = served.answering.answer(peer, request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                state.switched();
            } else if let Some(rest) = rest
                && rest.settle(&mut response).await
            {
                state.linger();
            }
            if served.is_to_leave() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response.map(|body| state.until_answered(body)))
        }
    });
    let mut connection = served
        .http1
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    // Each is looked at whenever the connection has something to do, so the second wait begins
    // only when the first is over.
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = served.shutdown.cancelled() => {
            // A connection without a request would be closed at once, and one may be on its way.
            let has_asked = has_asked.load(Ordering::Relaxed);
            let settles = if has_asked { Duration::ZERO } else { SETTLES_WITHIN };
            let ending = async {
                if let Ok(ended) = timeout(settles, &mut connection).await {
                    return ended;
                }
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            };
            tokio::select! {
                biased;
                ended = ending => ended,
                () = served.cut_off.cancelled() => return,
            }
        }
    };
    let Err(error) = ended else { return };
    if error.is_parse()
        && let Some(parts) = connection.into_parts()
        && parts.read_buf.starts_with(PREFACE)
    {
        let io = Rewound::new(parts.read_buf, parts.io.into_inner().into_inner());
        let speaking = http2::serve(io, peer, served.clone());
        served.tasks.spawn(speaking);
        return;
    }
    tracing::trace!(
        error = &error as &dyn std::error::Error,
        "a connection broke"
    );
}
