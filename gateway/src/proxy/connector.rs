//! Opening connections to upstreams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::body::BoxError;
use crate::edge::write_stall::WriteStall;

/// Connects over TCP, with one limit for name resolution and connecting together.
#[derive(Clone, Debug)]
pub(super) struct UpstreamConnector {
    tcp: HttpConnector,
    connect_max: Duration,
    write_stall_max: Duration,
}

impl UpstreamConnector {
    pub(super) fn new(connect_max: Duration, write_stall_max: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        Self {
            tcp,
            connect_max,
            write_stall_max,
        }
    }
}

impl Service<Uri> for UpstreamConnector {
    type Response = TokioIo<WriteStall<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.tcp.call(uri);
        let (connect_max, write_stall_max) = (self.connect_max, self.write_stall_max);
        Box::pin(async move {
            let stream = tokio::time::timeout(connect_max, connecting)
                .await
                .map_err(|_| {
                    io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")
                })??;
            Ok(TokioIo::new(WriteStall::new(
                stream.into_inner(),
                write_stall_max,
            )))
        })
    }
}
