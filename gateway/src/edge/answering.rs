//! The service behind a listener, and who asks it.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use tower::Service;

/// The other side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address: that of the socket, or the one that a trusted proxy told with the PROXY
    /// protocol.
    pub address: SocketAddr,
    /// The gateway itself ended TLS on this connection.
    pub is_encrypted: bool,
}

/// The service behind a listener.
pub trait Answering: Clone + Send + Sync + 'static {
    /// Answers `request`, which came over a connection from `peer`.
    fn answer(
        &self,
        peer: Peer,
        request: Request<Body>,
    ) -> impl Future<Output = http::Response<Body>> + Send;
}

/// Handlers read the peer from `ConnectInfo<SocketAddr>`.
impl Answering for Router {
    async fn answer(&self, peer: Peer, mut request: Request<Body>) -> http::Response<Body> {
        request.extensions_mut().insert(ConnectInfo(peer.address));
        let Ok(response) = Service::call(&mut self.clone(), request).await;
        response
    }
}
