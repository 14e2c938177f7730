//! What comes before HTTP on a connection: a PROXY header, and a TLS handshake.

use std::sync::Arc;

use metrics::counter;
use rustls::HandshakeKind;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answering::{Answering, Peer};
use super::client_ip::TrustedProxies;
use super::served::Served;
use super::socket::Socket;
use super::{http1, http2, proxy_header, telemetry, tls};

/// A connection on which HTTP can begin.
enum Opened {
    Plain(Socket),
    Encrypted(Box<TlsStream<Socket>>),
}

/// Opens a connection from `peer` within the time for a head, and serves it in another task: in the
/// same one, the future would stay as large as that of a handshake.
pub(super) async fn open<A: Answering>(socket: Socket, peer: Peer, served: Arc<Served<A>>) {
    let opening = timeout(served.config.head_max, begin(socket, peer, &served));
    let opened = tokio::select! {
        opened = opening => opened,
        () = served.cut_off.cancelled() => return,
    };
    let Ok(Some((opened, peer))) = opened else {
        if opened.is_err() {
            tracing::trace!("a connection did not begin in time");
        }
        return;
    };
    let tasks = served.tasks.clone();
    match opened {
        Opened::Plain(socket) => {
            let watched = http1::watched(socket, &served);
            tasks.spawn(http1::serve(watched, peer, served));
        }
        Opened::Encrypted(stream) => {
            if stream.get_ref().1.alpn_protocol() == Some(tls::H2) {
                tasks.spawn(http2::serve(stream, peer, served));
            } else {
                let watched = http1::watched(stream, &served);
                tasks.spawn(http1::serve(watched, peer, served));
            }
        }
    }
}

async fn begin<A>(
    mut socket: Socket,
    mut peer: Peer,
    served: &Served<A>,
) -> Option<(Opened, Peer)> {
    if let Some(trusted) = &served.config.proxy_protocol {
        peer = told_peer(&mut socket, peer, trusted, served).await?;
    }
    let Some(tls) = &served.config.tls else {
        return Some((Opened::Plain(socket), peer));
    };
    let listener = served.config.name;
    let counted = |kind: &'static str| {
        counter!(telemetry::TLS_HANDSHAKES_TOTAL, "listener" => listener, "kind" => kind)
            .increment(1);
    };
    match TlsAcceptor::from(tls.clone()).accept(socket).await {
        Ok(stream) => {
            counted(match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => "resumed",
                _ => "full",
            });
            peer.is_encrypted = true;
            Some((Opened::Encrypted(Box::new(stream)), peer))
        }
        Err(error) => {
            counted("failed");
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// The peer that a proxy tells of. Nobody else may.
async fn told_peer<A>(
    socket: &mut Socket,
    peer: Peer,
    trusted: &TrustedProxies,
    served: &Served<A>,
) -> Option<Peer> {
    let listener = served.config.name;
    let refused = |why: &dyn std::fmt::Display| {
        counter!(telemetry::PROXY_HEADERS_REFUSED_TOTAL, "listener" => listener).increment(1);
        tracing::debug!(peer = %peer.address, %why, "a connection without a proxy was refused");
        None
    };
    if !trusted.contains(peer.address.ip().to_canonical()) {
        return refused(&"it comes from no trusted proxy");
    }
    let (stream, place) = socket.parts();
    let client = match proxy_header::read(stream).await {
        Ok(Some(client)) => client,
        Ok(None) => return Some(peer),
        Err(error) => return refused(&error),
    };
    if let Err(full) = served.places.carries(place, client.ip()) {
        let limit = full.word();
        counter!(telemetry::CONNECTIONS_REFUSED_TOTAL, "listener" => listener, "limit" => limit)
            .increment(1);
        return None;
    }
    Some(Peer {
        address: client,
        ..peer
    })
}
