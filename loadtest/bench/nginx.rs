//! nginx as a plain reverse proxy, and as a server of one file.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::peer::{Peer, free_address};

/// Worker processes: one for each CPU of the smallest machine this runs on.
const WORKERS: u32 = 2;
/// Unused connections to the upstream that each worker keeps.
const KEEPALIVE: u32 = 128;

/// Starts one in front of `upstream`, with all its files in `dir`.
pub(crate) async fn start(upstream: SocketAddr, dir: &Path) -> anyhow::Result<Peer> {
    let address = free_address()?;
    let dir = tempfile::tempdir_in(dir)?.keep();
    start_with(&dir, address, &proxying(address, upstream)).await
}

/// Starts one in front of `upstream` that speaks TLS and HTTP/2 with this certificate and key.
pub(crate) async fn start_encrypted(
    upstream: SocketAddr,
    (cert, key): &(PathBuf, PathBuf),
    dir: &Path,
) -> anyhow::Result<Peer> {
    let address = free_address()?;
    let dir = tempfile::tempdir_in(dir)?.keep();
    let (cert, key) = (cert.display(), key.display());
    let encrypted = format!(
        "listen {address} ssl http2;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets on;"
    );
    let plain = format!("listen {address};");
    let server = proxying(address, upstream).replace(&plain, &encrypted);
    start_with(&dir, address, &server).await
}

/// Starts one that serves `page` at every path.
pub(crate) async fn start_before(page: &[u8], dir: &Path) -> anyhow::Result<Peer> {
    let address = free_address()?;
    let dir = tempfile::tempdir_in(dir)?.keep();
    // Workers run as an account of their own.
    std::fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
    std::fs::write(dir.join("page.html"), page)?;
    start_with(&dir, address, &serving(address, &dir)).await
}

async fn start_with(dir: &Path, address: SocketAddr, server: &str) -> anyhow::Result<Peer> {
    let settings = dir.join("nginx.conf");
    std::fs::write(&settings, configuration(server))?;
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(dir)
        .arg("-e")
        .arg("stderr")
        .arg("-c")
        .arg(&settings);
    Peer::start("nginx", command, address, dir).await
}

/// A configuration with this `server`, without a log of requests, which the gateway has not either.
fn configuration(server: &str) -> String {
    format!(
        "daemon off;
worker_processes {WORKERS};
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 100000000;
{server}
}}
"
    )
}

/// What nginx needs to serve one file.
fn serving(address: SocketAddr, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "    sendfile on;
    open_file_cache max=10;
    server {{
        listen {address};
        root {dir};
        location / {{
            types {{ }}
            default_type text/html;
            rewrite ^ /page.html break;
        }}
    }}"
    )
}

/// What nginx needs to pass everything on over kept connections, with the headers a gateway adds.
fn proxying(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "    upstream page {{
        server {upstream};
        keepalive {KEEPALIVE};
        keepalive_requests 100000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://page;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}"
    )
}
