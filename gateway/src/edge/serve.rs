//! Serves a router on a listener, with limits against slow clients, large requests and too many
//! clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::http1::{self, SETTLES_WITHIN};
use super::served::{Served, cancelled};
use super::socket::Socket;
use super::sockets::prefer_successor;
use super::turned_away::TurnedAway;
use super::{opening, telemetry};

pub use super::answering::{Answering, Peer};
pub use super::serve_config::{Handover, ServeConfig};

/// Pause after a failed accept, so that a lack of open files does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `answering` until `shutdown`, then lets running requests finish within the grace period.
///
/// Switched connections (WebSocket) count against the limit, but `answering` has to close them:
/// shutdown does not wait for them.
pub async fn serve(
    listener: TcpListener,
    answering: impl Answering,
    config: ServeConfig,
    shutdown: CancellationToken,
) {
    let places = Connections::new(config.connections.clone());
    serve_counted(listener, answering, config, places, shutdown).await;
}

/// Like [`serve`], on all of these listeners.
pub async fn serve_all(
    listeners: Vec<std::net::TcpListener>,
    answering: impl Answering,
    config: ServeConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Connections::new(config.connections.clone());
    let serving = listeners.into_iter().map(|listener| {
        let listener = TcpListener::from_std(listener)?;
        let (answering, config) = (answering.clone(), config.clone());
        Ok(serve_counted(
            listener,
            answering,
            config,
            places.clone(),
            shutdown.clone(),
        ))
    });
    let serving: io::Result<Vec<_>> = serving.collect();
    join_all(serving?).await;
    Ok(())
}

/// Like [`serve`], with connections counted together with those of other listeners.
pub(super) async fn serve_counted(
    listener: TcpListener,
    answering: impl Answering,
    config: ServeConfig,
    places: Connections,
    shutdown: CancellationToken,
) {
    let serving = Serving::new(answering, config, places, shutdown);
    let config = &serving.served.config;
    let draining = serving.served.draining.as_ref();
    let mut is_left = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => serving.take(accepted).await,
            () = cancelled(draining), if !is_left => {
                is_left = true;
                leave(&listener, config);
            }
            () = serving.served.shutdown.cancelled() => break,
        }
    }
    if !is_left {
        leave(&listener, config);
    }
    // What the kernel has given to this listener already.
    if draining.is_some() {
        let settled = Instant::now() + SETTLES_WITHIN;
        while let Ok(accepted) = timeout_at(settled, listener.accept()).await {
            serving.take(accepted).await;
        }
    }
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        serving.take(Ok(accepted)).await;
    }
    drop(listener);
    serving.end().await;
}

/// Leaves new connections to a successor, if there is one.
fn leave(listener: &TcpListener, config: &ServeConfig) {
    let Some(handover) = &config.handover else {
        return;
    };
    if let Err(error) = prefer_successor(listener, handover.sockets) {
        tracing::warn!(
            listener = config.name,
            %error,
            "a successor gets new connections only when this gateway has ended"
        );
    }
}

/// Takes a listener's connections.
struct Serving<A> {
    served: Arc<Served<A>>,
    turned_away: TurnedAway,
}

impl<A: Answering> Serving<A> {
    fn new(
        answering: A,
        config: ServeConfig,
        places: Connections,
        shutdown: CancellationToken,
    ) -> Self {
        let served = Served::new(answering, config, places, shutdown);
        let (name, tasks) = (served.config.name, served.tasks.clone());
        Self {
            turned_away: TurnedAway::new(name, served.refusals.clone(), tasks),
            served: Arc::new(served),
        }
    }

    /// Serves a connection that was accepted, in a task of its own.
    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let served = &self.served;
        let config = &served.config;
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return rest_after(&error, config).await,
        };
        let is_bare = config.tls.is_none() && config.proxy_protocol.is_none();
        let place = match served.places.enter(address.ip()) {
            Ok(place) => place,
            Err(full) if is_bare => return self.turned_away.tell(stream, full),
            // An answer would not be understood before what the client begins with.
            Err(full) => return self.turned_away.note(full),
        };
        // Frames and small responses are written in one piece, so Nagle's algorithm would only
        // delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let socket = Socket::new(stream, place, config.name, config.write_stall_max);
        let peer = Peer {
            address,
            is_encrypted: false,
        };
        if is_bare {
            let watched = http1::watched(socket, served);
            served
                .tasks
                .spawn(http1::serve(watched, peer, served.clone()));
        } else {
            served
                .tasks
                .spawn(opening::open(socket, peer, served.clone()));
        }
    }

    /// Lets running requests finish within the grace period.
    async fn end(self) {
        let served = self.served;
        served.tasks.close();
        let finished = tokio::time::timeout(served.config.grace, served.tasks.wait());
        if finished.await.is_err() {
            tracing::warn!(
                listener = served.config.name,
                tasks = served.tasks.len(),
                "requests were cut off because the grace period is over"
            );
            served.cut_off.cancel();
            served.tasks.wait().await;
        }
    }
}

async fn rest_after(error: &io::Error, config: &ServeConfig) {
    let is_client_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    );
    if !is_client_gone {
        counter!(telemetry::ACCEPT_FAILURES_TOTAL, "listener" => config.name).increment(1);
        tracing::warn!(listener = config.name, %error, "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
