//! What the connections of a listener share.

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::Connections;
use super::refused_head::Refusals;
use super::serve_config::ServeConfig;

/// What the connections of a listener share.
pub(super) struct Served<A> {
    pub(super) answering: A,
    pub(super) config: ServeConfig,
    pub(super) places: Connections,
    /// Cancelled when the process begins to drain. Each listener has one of its own, because asking
    /// takes a lock.
    pub(super) draining: Option<CancellationToken>,
    /// Connections end after the requests that are being answered.
    pub(super) shutdown: CancellationToken,
    /// Connections end at once.
    pub(super) cut_off: CancellationToken,
    /// The tasks of connections, and of streams within them.
    pub(super) tasks: TaskTracker,
    pub(super) http1: http1::Builder,
    pub(super) refusals: Refusals,
}

impl<A> Served<A> {
    pub(super) fn new(
        answering: A,
        config: ServeConfig,
        places: Connections,
        shutdown: CancellationToken,
    ) -> Self {
        let handover = config.handover.as_ref();
        Self {
            draining: handover.map(|handover| handover.draining.child_token()),
            refusals: Refusals {
                ids: config.request_ids.clone(),
                page: config.refusal_page.clone(),
            },
            http1: http1_builder(&config),
            tasks: TaskTracker::new(),
            cut_off: CancellationToken::new(),
            answering,
            config,
            places,
            shutdown,
        }
    }

    /// Whether connections are to be closed after the answer under way, so that the client's next
    /// request is for another gateway.
    pub(super) fn is_to_leave(&self) -> bool {
        self.draining
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled)
    }

    /// Resolves when the process begins to drain, or the listener ends.
    pub(super) async fn leaves(&self) {
        tokio::select! {
            () = cancelled(self.draining.as_ref()) => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}

/// Resolves when `token` is cancelled; never without one.
pub(super) async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

fn http1_builder(config: &ServeConfig) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // `HeadWatch` has the timeout, because it tells a slow head from an idle connection.
        .header_read_timeout(None)
        .max_header_size(config.head_bytes_max)
        .max_headers(config.header_count_max)
        .max_buf_size(config.connection_buffer_bytes);
    http
}
