//! TLS handshakes a second, full and resumed, and requests a second over HTTP/2 through the gate,
//! against nginx with the same certificate.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::RoomId;
use contract::room::RoomSettings;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use test_support::certificates::Certificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::bare::{Bare, BareSizes, PAGE_PATH};
use crate::gateway::quiet_room;
use crate::nginx;
use crate::peer::free_address;
use crate::processes::{cpu_time, family};
use crate::report::{Report, Versus, progress};
use crate::rounds::{Sample, take_turns};
use crate::stage::Stage;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);
/// Clients that shake hands at once.
const CLIENTS: usize = 32;
/// Connections and streams of the client for HTTP/2: fewer requests at once than one session may
/// have.
const CONNECTIONS: &str = "8";
const STREAMS: &str = "6";
const PAGE_BYTES: usize = 1024;
const THEIRS: &str = "nginx with the same certificate";

/// Measures TLS and HTTP/2.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let certificates = Certificates::make();
    let sizes = BareSizes {
        page: PAGE_BYTES,
        ..BareSizes::default()
    };
    let upstream = Bare::start(sizes, stage.dir()).await?;
    let pair = (certificates.server(), certificates.key());
    let nginx = nginx::start_encrypted(upstream.address, &pair, stage.dir()).await?;
    let (plain, listen) = (free_address()?, free_address()?);
    let settings = [
        // Where the room is looked at; its public address would be the one with TLS.
        ("ROPELINE_LISTEN", plain.to_string()),
        ("ROPELINE_PUBLIC_URL", format!("http://{plain}")),
        ("ROPELINE_TLS_CERT", pair.0.display().to_string()),
        ("ROPELINE_TLS_KEY", pair.1.display().to_string()),
        ("ROPELINE_TLS_LISTEN", listen.to_string()),
    ];
    let gateway = stage.gateway_with(&settings).await?;
    let (ours, theirs) = (|| family(gateway.pid()), || nginx.pids());
    for (name, is_resumed) in [("TLS handshakes", false), ("TLS resumptions", true)] {
        progress(name);
        let shake = async |address, lasts, pids: &dyn Fn() -> Vec<u32>| {
            let authority = certificates.authority();
            shake_hands(address, &authority, is_resumed, lasts, pids).await
        };
        shake(listen, WARM_UP, &ours).await?;
        shake(nginx.address, WARM_UP, &theirs).await?;
        let rounds = take_turns(
            ROUNDS,
            async || shake(listen, ROUND, &ours).await,
            async || shake(nginx.address, ROUND, &theirs).await,
        );
        let versus = Versus {
            name,
            unit: "handshakes/s",
            theirs: THEIRS,
        };
        report.rates(versus, rounds.await?);
    }
    progress("HTTP/2");
    let room: RoomId = "bench-tls".parse()?;
    let settings = RoomSettings {
        upstream: format!("http://{}", upstream.address).as_str().into(),
        paths: vec!["/bench".to_owned()],
        new_users_per_minute: 600,
        ..quiet_room(&room)?
    };
    gateway.room_open(&settings).await?;
    let cookie = gateway.pass_cookie(&room, 0).await?;
    let ask = async |address, lasts, pids: &dyn Fn() -> Vec<u32>| {
        ask_by_http2(address, &cookie, lasts, pids).await
    };
    ask(listen, WARM_UP, &ours).await?;
    ask(nginx.address, WARM_UP, &theirs).await?;
    let rounds = take_turns(
        ROUNDS,
        async || ask(listen, ROUND, &ours).await,
        async || ask(nginx.address, ROUND, &theirs).await,
    );
    let versus = Versus {
        name: "HTTP/2 through the gate",
        unit: "requests/s",
        theirs: THEIRS,
    };
    report.rates(versus, rounds.await?);
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    nginx.stop().await;
    upstream.stop().await;
    Ok(())
}

/// Shakes hands again and again, each time over a connection of its own.
async fn shake_hands(
    address: SocketAddr,
    authority: &Path,
    is_resumed: bool,
    lasts: Duration,
    servers: &dyn Fn() -> Vec<u32>,
) -> anyhow::Result<Sample> {
    let connector = connector(authority, is_resumed)?;
    if is_resumed {
        shake_once(&connector, address).await?;
    }
    let count = Arc::new(AtomicU64::new(0));
    let clients = TaskTracker::new();
    let (before, began) = (cpu_time(&servers()), Instant::now());
    let shaking: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (connector, count) = (connector.clone(), count.clone());
            clients.spawn(async move {
                while began.elapsed() < lasts {
                    if shake_once(&connector, address).await? == is_resumed {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in shaking {
        client.await??;
    }
    let took = began.elapsed();
    let used = cpu_time(&servers()).saturating_sub(before);
    sample(count.load(Ordering::Relaxed), took, used)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn sample(count: u64, took: Duration, used: Duration) -> anyhow::Result<Sample> {
    if count == 0 {
        bail!("nothing was served");
    }
    Ok(Sample {
        per_second: count as f64 / took.as_secs_f64(),
        cpu_micros: used.as_secs_f64() * 1e6 / count as f64,
    })
}

fn connector(authority: &Path, is_resumed: bool) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !is_resumed {
        config.resumption = Resumption::disabled();
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Shakes hands and says goodbye; what the server sends meanwhile is read, because tickets are
/// among it. Whether a session was resumed.
async fn shake_once(connector: &TlsConnector, address: SocketAddr) -> anyhow::Result<bool> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    let mut stream = connector.connect(name, stream).await?;
    let kind = stream.get_ref().1.handshake_kind();
    stream.shutdown().await?;
    let mut rest = Vec::new();
    // A server may close without a goodbye of its own.
    let _ended = stream.read_to_end(&mut rest).await;
    Ok(kind == Some(HandshakeKind::Resumed))
}

/// Asks as fast as answers come, over HTTP/2.
async fn ask_by_http2(
    address: SocketAddr,
    cookie: &str,
    lasts: Duration,
    servers: &dyn Fn() -> Vec<u32>,
) -> anyhow::Result<Sample> {
    let mut command = Command::new("h2load");
    command
        .args(["-t", "2", "-c", CONNECTIONS, "-m", STREAMS, "-D"])
        .arg(lasts.as_secs().to_string())
        .arg("-H")
        .arg(format!("cookie: {cookie}"))
        .arg(format!("https://{address}{PAGE_PATH}"));
    let before = cpu_time(&servers());
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("could not start h2load; scripts/install-servers --bench installs it")?;
    let used = cpu_time(&servers()).saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let count = answers(&text).with_context(|| format!("h2load was not served: {text}"))?;
    sample(count, lasts, used)
}

/// The good answers in what h2load prints, if others are fewer than one in a hundred.
fn answers(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.starts_with("status codes: "))?;
    let mut counts = line.trim_start_matches("status codes: ").split(", ");
    let mut count = || counts.next()?.split(' ').next()?.parse::<u64>().ok();
    let good = count()?;
    let mut bad = 0;
    while let Some(other) = count() {
        bad += other;
    }
    (good > 0 && bad * 100 <= good).then_some(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_answers_are_counted_unless_there_are_bad_ones() {
        let text = |codes: &str| format!("finished in 4.00s, 1.00 req/s\nstatus codes: {codes}\n");
        assert_eq!(answers(&text("1200 2xx, 0 3xx, 3 4xx, 0 5xx")), Some(1200));
        assert_eq!(answers(&text("1200 2xx, 0 3xx, 30 4xx, 0 5xx")), None);
        assert_eq!(answers(&text("0 2xx, 0 3xx, 0 4xx, 0 5xx")), None);
        assert_eq!(answers("unable to connect"), None);
    }
}
