//! Pingora as a plain reverse proxy: passes everything on to one upstream over kept connections,
//! with the headers a gateway adds and without a log of requests, which the gateway has not either.
//!
//! `pingora-peer LISTEN UPSTREAM THREADS`

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use uuid::Uuid;

/// Unused connections to the upstream that are kept.
const KEEPALIVE: usize = 256;

struct Plain {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Plain {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _context: &mut (),
    ) -> pingora::Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet());
        if let Some(client) = client {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        request.insert_header("X-Forwarded-Proto", "http")?;
        if let Some(host) = session.req_header().headers.get("Host") {
            request.insert_header("X-Forwarded-Host", host.as_bytes())?;
        }
        request.insert_header("X-Request-Id", Uuid::new_v4().to_string())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, threads] = &arguments[..] else {
        return ExitCode::from(64);
    };
    let (Ok(upstream), Ok(threads)) = (upstream.parse(), threads.parse()) else {
        return ExitCode::from(64);
    };
    let settings = ServerConf {
        threads,
        upstream_keepalive_pool_size: KEEPALIVE,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Plain { upstream });
    proxy.add_tcp(listen);
    server.add_service(proxy);
    server.run_forever()
}
